"""Rules that demand `pin`: who gives less than is remembered is refused where such a rule matches.

Nothing is pinned by the listener or the upstream: what is less is recorded there, and let in.
"""

import json
import os
import signal

import pytest

import ntlm
import smb2
from harness import USERS, wait_until
from kerberosrig import KerberosRig
from nas import Nas
from proxy import command
from rawclient import Failed, RawClient
from rig import Rig
from smbcrypto import AES_CMAC

OLD = {"dialects": (0x202, 0x210)}
ALICE = {"name": "steady", "who": ["alice"], "then": "allow", "demand": {"pin": True}}
DATA = {"name": "steady-share", "to": {"share": ["data"]}, "then": "allow", "demand": {"pin": True}}
WINREG = {"name": "steady-pipe", "to": {"pipe": ["winreg"]}, "then": "allow", "demand": {"pin": True}}


@pytest.fixture(scope="module")
def nas():
    with Nas() as server:
        yield server


def ruled(nas, *rules, **options):
    return Rig(nas, extra={"rules": list(rules)}, **options)


def forget(rig, *what):
    """`countersign forget`, once it has been done."""
    rig.proxy.mark()
    done = command("forget", "--config", rig.proxy.configuration, *what)
    assert done.returncode == 0, done.stderr
    rig.proxy.wait_event("memory_forgotten")


def use(rig, user="alice", guid=None, where=None, **offer):
    """One connection with an offer, a login and a share."""
    with RawClient(*(where or (rig.address, rig.port))) as client:
        if guid:
            client.guid = guid
        client.negotiate(**offer)
        client.login(user).tree_connect()


def refused(rig, user="alice", **options):
    """A login that a rule refuses, of which the file server hears nothing."""
    rig.reset()
    with pytest.raises(Failed) as failed:
        use(rig, user, **options)
    assert failed.value.status == smb2.ACCESS_DENIED
    told = rig.proxy.wait_event("rule_refused", user=user, verdict="refused")
    assert (told["rule"], told["reason"]) == ("steady", "pin")
    assert not rig.at_server(smb2.SESSION_SETUP) and not rig.proxy.seen("login", link=told["link"])


def test_client_that_offers_less(nas, tmp_path):
    """smbclient at 3.1.1, then at 2.1 from the same address: for whom the rule is it is refused, as often
    as it is tried; the others get in."""
    with ruled(nas, ALICE) as rig:
        client = rig.smbclient(tmp_path)
        client.must("ls")
        client.must("ls")
        assert not rig.proxy.seen("rule_refused")
        for _ in range(3):
            rig.reset()
            assert "NT_STATUS_ACCESS_DENIED" in client.refused(dialect="2.1")
            told = rig.proxy.wait_event("rule_refused", user="alice", verdict="refused")
            assert (told["rule"], told["reason"], told["client_dialect"]) == ("steady", "pin", "2.1")
            less = rig.proxy.wait_event("downgrade", reason="dialect", leg="client", offered="2.1")
            assert less["verdict"] == "recorded" and less["remembered"].startswith("3.1.1")
            assert not rig.at_server(smb2.SESSION_SETUP)
        client.must("ls", user="bob", dialect="2.1")
        assert "NT_STATUS_ACCESS_DENIED" in client.refused(dialect="2.1")
        client.must("ls")  # as ever
        forget(rig, "--client", "127.0.0.1")
        client.must("ls", dialect="2.1")
        client.must("ls")
        assert "NT_STATUS_ACCESS_DENIED" in client.refused(dialect="2.1")


@pytest.mark.parametrize("offer", [{"signing": (AES_CMAC,)}, {"signing": None}, {"ciphers": ()}],
                         ids=["signing", "signing context", "cipher"])
def test_whatever_is_less(nas, offer):
    with ruled(nas, ALICE) as rig:
        use(rig, ciphers=(2, 1))
        refused(rig, **{"ciphers": (2, 1), **offer})
        use(rig, "bob", **{"ciphers": (2, 1), **offer})
        use(rig, ciphers=(2, 1))


def test_no_way_to_be_known_for_less(nas):
    """Neither by coming again, nor as somebody else, nor where no rule demands anything."""
    side_door = {"from": {"listener": ["recorded"]}, **ALICE}
    with ruled(nas, side_door) as rig:
        fresh = bytes(range(3, 19))
        use(rig)
        refused(rig, guid=fresh, **OLD)
        use(rig, "bob", guid=fresh, **OLD)
        use(rig, guid=fresh, where=rig.direct, **OLD)
        refused(rig, guid=fresh, **OLD)


def test_share(nas):
    """Who gives less logs in, and reaches the other shares."""
    with ruled(nas, DATA) as rig:
        use(rig)
        rig.reset()
        with rig.raw() as client:
            client.negotiate(**OLD)
            session = client.login("alice")
            session.tree_connect("priv")
            connected = len(rig.at_server(smb2.TREE_CONNECT))
            with pytest.raises(Failed) as failed:
                session.tree_connect("data")
            assert failed.value.status == smb2.ACCESS_DENIED
            assert len(rig.at_server(smb2.TREE_CONNECT)) == connected
        told = rig.proxy.wait_event("rule_refused", rule="steady-share")
        assert told["reason"] == "pin" and told["share"].endswith("\\data")


def test_pipe(nas):
    """It is the rule that refuses, not the lack of one."""
    with ruled(nas, WINREG) as rig:
        use(rig)
        with rig.raw() as client:
            client.negotiate(**OLD)
            session = client.login("alice")
            session.tree_connect("IPC$")
            with pytest.raises(Failed) as failed:
                session.create("winreg")
            assert failed.value.status == smb2.ACCESS_DENIED
        told = rig.proxy.wait_event("rule_refused", rule="steady-pipe")
        assert (told["reason"], told["pipe"]) == ("pin", "winreg")
        assert not rig.proxy.seen("pipe_refused")


def test_audit(nas):
    """Recorded, with what would have been the reason, each time; and read back as such."""
    with ruled(nas, {**ALICE, "then": "audit"}) as rig:
        use(rig)
        assert not rig.proxy.seen("rule_audit")
        for _ in range(2):
            rig.reset()
            use(rig, guid=bytes(range(5, 21)), **OLD)
            told = rig.proxy.wait_event("rule_audit", user="alice", verdict="recorded")
            assert (told["rule"], told["reason"]) == ("steady", "pin")
            assert rig.proxy.wait_event("login", user="alice")
        rig.proxy.stop()
        done = command("audit", "--config", rig.proxy.configuration, "--summary", "--json")
        assert json.loads(done.stdout)["audited_rules"] == [
            {"rule": "steady", "reason": "pin", "events": 2, "clients": 1, "addresses": {"127.0.0.1": 2}}]


def test_file_server_that_gives_less(tmp_path):
    """smbd is reconfigured between two links: nobody whom the rule means logs in there any more."""
    with Nas() as nas, ruled(nas, ALICE) as rig:
        client = rig.smbclient(tmp_path)
        client.must("ls")
        nas.restart("2.1")
        for _ in range(2):
            rig.reset()
            assert "NT_STATUS_ACCESS_DENIED" in client.refused()
            less = rig.proxy.wait_event("downgrade", leg="upstream", reason="dialect", chosen="2.1")
            assert less["verdict"] == "recorded"
            told = rig.proxy.wait_event("rule_refused", rule="steady", reason="pin")
            assert told["user"] == "alice" and told["client_dialect"] == "3.1.1"
            assert not rig.at_server(smb2.SESSION_SETUP)
        client.must("ls", user="bob")
        forget(rig, "--upstream", "recorded")
        client.must("ls")
        nas.restart("3.1.1")
        client.must("ls")
        nas.restart("3.0.2")
        client.refused()


def test_applied_to_who_is_there(nas):
    """A reload with --apply ends the session that gave less, and lets the other be."""
    with ruled(nas) as rig, rig.raw() as good, rig.raw() as less:
        for client, offer in ((good, {}), (less, OLD)):
            client.negotiate(**offer)
            client.session = client.login("alice")
            client.session.tree_connect()
        rig.proxy.wait_event("downgrade", reason="dialect")
        rig.proxy.extra["rules"] = [ALICE]
        rig.proxy.write_configuration()
        status, said = rig.proxy.reload("--apply")
        assert status == 0, said
        assert rig.proxy.wait_event("session_rejudged")["reason"] == "login"
        told = rig.proxy.wait_event("rule_refused", user="alice")
        assert (told["reason"], told["client_dialect"]) == ("pin", "2.1")
        with pytest.raises(Failed) as failed:
            less.session.create("f")
        assert failed.value.status == smb2.USER_SESSION_DELETED
        good.session.close(good.session.create("f"))
        assert len(rig.proxy.seen("session_rejudged")) == 1


class Impatient(ntlm.Client):
    """alice, who waits for the last answer of her login for a short time only."""

    def __init__(self, connection):
        super().__init__("alice", USERS["alice"], target_name=f"cifs/{connection.address}")
        self.connection = connection

    def authenticate(self, challenge):
        self.connection.socket.settimeout(2)
        return super().authenticate(challenge)


def test_while_the_recorder_is_away(nas):
    """Nobody can tell whether somebody gives less: whom the rule means has to wait, and is refused when it
    is gone; a link on which it was told before goes on."""
    with ruled(nas, ALICE) as rig:
        rig.proxy.may_die = True
        use(rig)
        recorder = rig.proxy.children("recorder")[0]
        with rig.raw() as before, rig.raw() as waiting:
            before.negotiate()
            session = before.login("alice")
            waiting.negotiate()
            os.kill(recorder, signal.SIGSTOP)
            try:
                session.tree_connect("data")
                with pytest.raises(TimeoutError):
                    waiting.login_by(Impatient(waiting))
            finally:
                os.kill(recorder, signal.SIGKILL)
            waiting.socket.settimeout(10)
            assert smb2.parse_header(waiting.receive_frame()).status == smb2.ACCESS_DENIED

            def gets_in():
                try:
                    before.login("alice")
                    return True
                except Failed:
                    return False
            wait_until(gets_in, "alice to be let in", 10, 0.2)
            session.close(session.create("f"))


@pytest.fixture(scope="module")
def server(realm):
    with realm.file_server() as file_server:
        yield file_server


def test_kerberos_client_that_uses_ntlm(realm, server, tmp_path):
    """smbclient with a ticket, then with a password from the same address."""
    with KerberosRig(realm, server, login=["ticket", "same"], extra={"rules": [ALICE]}) as rig:
        client = rig.smbclient(tmp_path)
        client.must("ls", user="alice")  # nothing is known yet
        client.must("ls", ticket=realm.kinit("alice"))
        for _ in range(2):
            rig.reset()
            assert "NT_STATUS_ACCESS_DENIED" in client.refused(user="alice")
            less = rig.proxy.wait_event("downgrade", reason="kerberos", leg="client", user="alice")
            assert (less["verdict"], less["offered"]) == ("recorded", "ntlm")
            told = rig.proxy.wait_event("rule_refused", user="alice", mechanism="ntlm")
            assert (told["rule"], told["reason"]) == ("steady", "pin")
            assert not rig.at_server(smb2.SESSION_SETUP)
        client.must("ls", user="bob")
        client.must("ls", ticket=realm.kinit("alice"))
        forget(rig, "--client", "127.0.0.1")
        client.must("ls", user="alice")
