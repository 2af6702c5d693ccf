"""A credential that the file server refused is not tried again until it has rested, or is another.

The file server locks accounts, as most do: whoever goes on trying locks out the real alice.
"""

import signal

import pytest

import smb2
from front import Front
from harness import USERS, run, wait_until
from nas import Nas
from rawclient import Disconnected, Failed, RawClient
from rig import Rig

LOCKED_AFTER = 5
ACCOUNT_LOCKED_OUT = 0xC0000234
# WRONG_PASSWORD, NO_SUCH_USER, PASSWORD_EXPIRED, ACCOUNT_DISABLED, PASSWORD_MUST_CHANGE,
# ACCOUNT_RESTRICTION, ACCOUNT_EXPIRED
CREDENTIAL = (0xC000006A, 0xC0000064, 0xC0000071, 0xC0000072, 0xC0000224, 0xC000006E, 0xC0000193,
              ACCOUNT_LOCKED_OUT, smb2.LOGON_FAILURE)
# INSUFFICIENT_RESOURCES, NO_LOGON_SERVERS, NETWORK_NAME_DELETED, INVALID_LOGON_HOURS,
# INVALID_WORKSTATION, LOGON_TYPE_NOT_GRANTED, INSUFF_SERVER_RESOURCES
NOT_CREDENTIAL = (0xC000009A, 0xC000005E, 0xC00000C9, 0xC000006F, 0xC0000070, 0xC000015B, 0xC0000205)
# All but these are told as they are; these would say that the client's own proof was wrong, or nothing.
NOT_TOLD = (0xC000006A, 0xC0000064, smb2.LOGON_FAILURE, 0xC00000C9)
ELSEWHERE = "Changed.Pw8"  # what the credentials file has for alice; the file server has another


class LockingNas(Nas):
    """smbd that counts wrong passwords, and locks an account that had too many."""

    def __enter__(self):
        super().__enter__()
        self.pdbedit("-P", "bad lockout attempt", "-C", str(LOCKED_AFTER))
        return self

    def pdbedit(self, *arguments):
        done = run(["pdbedit", "-s", self._path("smb.conf"), *arguments], env=self._environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def wrong_passwords(self, user):
        """As smbd counts them since the last right one."""
        fields = dict(line.split(":", 1) for line in self.pdbedit("-v", user).splitlines() if ":" in line)
        return int(next(value for name, value in fields.items() if name.startswith("Bad password count")))


@pytest.fixture
def locking():
    with LockingNas() as server:
        yield server


def refused_status(arrangement, user="alice", password=ELSEWHERE):
    """What a client is told that does not get a session."""
    with arrangement.raw() as client:
        client.negotiate()
        with pytest.raises(Failed) as refused:
            client.login(user, password)
        return refused.value.status


def logs_in(arrangement, user, password):
    """True when there is a session to be had now."""
    with arrangement.raw() as client:
        client.negotiate()
        try:
            client.login(user, password).tree_connect()
        except (Disconnected, Failed):
            return False
        return True


def test_file_server_hears_of_a_refused_credential_once(locking):
    with Rig(locking, users={"alice": ELSEWHERE, "bob": USERS["bob"]}) as rig:
        assert refused_status(rig) == smb2.ACCESS_DENIED
        told = rig.proxy.wait_event("upstream_login_refused", user="alice")
        assert told["reason"] == "file_server_refused" and told["status"] == "0xc000006d"
        assert len(rig.at_server(smb2.SESSION_SETUP)) == 2
        assert locking.wrong_passwords("alice") == 1

        rig.reset()
        for name in ("alice", "ALICE") * 5:
            assert refused_status(rig, name) == smb2.ACCESS_DENIED
        told = wait_until(lambda: len(rig.proxy.seen("upstream_login_refused")) >= 10 and
                          rig.proxy.seen("upstream_login_refused"), "ten events")
        assert [event["reason"] for event in told] == 10 * ["back_off"]
        assert {(event["leg"], event["verdict"]) for event in told} == {("upstream", "refused")}
        assert not rig.at_server(smb2.SESSION_SETUP)
        assert locking.wrong_passwords("alice") == 1
        # It is alice's account that rests, not the file server.
        assert logs_in(rig, "bob", USERS["bob"])

        # She was not locked out: with the right password she is in at once.
        rig.proxy.credentials.add("alice", USERS["alice"])
        rig.proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: logs_in(rig, "alice", USERS["alice"]), "the new credential to be used", 5, 0.1)
        assert rig.proxy.wait_event("login", user="alice")["login"] == "same"


def test_the_file_server_would_have_locked_the_account(locking):
    """Else the test above proved nothing. What the file server says of a locked account is passed on,
    once; then the account rests too."""
    for number in range(1, LOCKED_AFTER + 1):
        with RawClient(locking.address, locking.port) as client:
            client.negotiate()
            with pytest.raises(Failed):
                client.login("alice", ELSEWHERE)
        assert locking.wrong_passwords("alice") == number
    with Rig(locking) as rig:
        assert refused_status(rig, password=USERS["alice"]) == ACCOUNT_LOCKED_OUT
        assert refused_status(rig, password=USERS["alice"]) == smb2.ACCESS_DENIED
        rig.proxy.wait_event("upstream_login_refused", reason="back_off")


def test_reloads_do_not_lock_the_account(locking):
    """Neither do ten reloads of the same credential, each with another configuration around it."""
    mapped = {"alice": ("bob", ELSEWHERE)}
    with Rig(locking, mapped=mapped, on_upstream={"login": ["mapped"]}) as rig:
        assert refused_status(rig, password=USERS["alice"]) == smb2.ACCESS_DENIED
        rig.proxy.wait_event("upstream_login_refused", reason="file_server_refused")
        for number in range(2 * LOCKED_AFTER):
            rig.proxy.extra["rules"] = [{"name": f"rule-{number}", "who": ["nobody"], "then": "refuse"}]
            rig.proxy.write_configuration()
            rig.proxy.credentials.add(f"user{number}", "Some.Pw1")
            assert rig.proxy.reload()[0] == 0
            rig.proxy.mark()
            assert refused_status(rig, password=USERS["alice"]) == smb2.ACCESS_DENIED
            rig.proxy.wait_event("upstream_login_refused", reason="back_off")
        assert locking.wrong_passwords("bob") == 1
        # Another password for the same account is another matter.
        rig.proxy.credentials.add("alice", USERS["bob"], "--mapped", "bob")
        assert rig.proxy.reload()[0] == 0
        assert logs_in(rig, "alice", USERS["alice"])


class Refusing(Front):
    """A file server that refuses every login with `status`, and a proxy before it."""

    def __init__(self, status):
        super().__init__(knobs={"login_status": status})

    def tries(self):
        """How many logins the file server has seen, of two messages each."""
        return self.stub.commands().count(smb2.SESSION_SETUP) // 2


@pytest.mark.parametrize("status", CREDENTIAL, ids=hex)
def test_errors_of_the_account_make_it_rest(status):
    with Refusing(status) as case:
        assert refused_status(case, password=USERS["alice"]) == (
            smb2.ACCESS_DENIED if status in NOT_TOLD else status)
        case.proxy.wait_event("upstream_login_refused", reason="file_server_refused", status=hex(status))
        assert refused_status(case, password=USERS["alice"]) == smb2.ACCESS_DENIED
        case.proxy.wait_event("upstream_login_refused", reason="back_off")
        assert case.tries() == 1


@pytest.mark.parametrize("status", NOT_CREDENTIAL, ids=hex)
def test_errors_of_the_file_server_do_not(status):
    with Refusing(status) as case:
        for number in (1, 2, 3):
            assert refused_status(case, password=USERS["alice"]) == (
                smb2.ACCESS_DENIED if status in NOT_TOLD else status)
            assert case.tries() == number
        assert not case.proxy.seen("upstream_login_refused", reason="back_off")
