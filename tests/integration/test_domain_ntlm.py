"""NTLM logins of domain users: the domain controller proves the password, the proxy everything else."""

import os
import signal
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

import ntlm
from harness import wait_until
from proxy import BINARY, UIDS, Proxy, command, listener, upstream
from rawclient import Failed, RawClient

PIPE_GROUP = 64111
NAME = "files.corp.test"
LOGON_FAILURE, NO_LOGON_SERVERS, ACCESS_DENIED = 0xC000006D, 0xC000005E, 0xC0000022
LOCAL = {"alice": "Local.Alice1", "dave": "Local.Dave2", "CORP\\erin": "Local.Erin3"}


def pairs_without(kind):
    return lambda pairs: [pair for pair in pairs if pair[0] != kind]


def pairs_with(kind, value):
    return lambda pairs: [(other, value if other == kind else old) for other, old in pairs]


class Front:
    """The proxy on the joined host in front of the domain's file server, and its clients."""

    def __init__(self, domain, port=4450, groups=(PIPE_GROUP,), winbind=True, extra=None):
        self.domain, self.port = domain, port
        entry = listener(address=domain.proxy.address, port=port, names=[NAME])
        users = {role: str(uid) for role, uid in UIDS.items()}
        # Whoever gets in works on the file server as carol: what is tested is who gets in.
        self.proxy = Proxy(
            [entry], [upstream(domain.nas, login=["mapped"])], users=LOCAL,
            mapped={"*": ("CORP\\carol", domain.users["carol"])}, host=domain.proxy,
            extra={**(extra or {}), "winbind": winbind,
                   "users": {**users, "keeper_groups": [str(group) for group in groups]}})

    def __enter__(self):
        self.domain.winbind.let_in(PIPE_GROUP)
        self.proxy.__enter__()
        return self

    def __exit__(self, *details):
        return self.proxy.__exit__(*details)

    @contextmanager
    def client(self):
        with self.domain.client.entered():
            client = RawClient(self.domain.proxy.address, self.port, timeout=60)
        with client:
            client.negotiate()
            yield client

    def login(self, user="alice", password=None, domain="CORP", **knobs):
        """One login; Failed with the status when it is refused."""
        password = self.domain.users[user] if password is None else password
        knobs.setdefault("target_name", f"cifs/{NAME}")
        with self.client() as client:
            session = client.login(user, password, domain=domain, **knobs)
            session.tree_connect("data", host=NAME)
            return session

    def refused(self, status, event, reason=None, **knobs):
        """The same, refused with that status and told by that event, which is returned."""
        self.proxy.mark()
        with pytest.raises(Failed) as failure:
            self.login(**knobs)
        assert failure.value.status == status, hex(failure.value.status)
        fields = {"reason": reason} if reason else {}
        return self.proxy.wait_event(event, **fields)


@pytest.fixture(scope="module", autouse=True)
def users_of_these_tests(domain):
    accounts, more = domain.controller.accounts, {"erin": "Erin.Pw5", "frank": "Frank.Pw6"}
    for name, password in more.items():
        accounts.add_user(name, password)
    accounts.lock_out_after(3)
    yield
    accounts.lock_out_after(0)
    for name in more:
        accounts.remove_user(name)


@pytest.fixture(scope="module")
def front(domain):
    with Front(domain) as arrangement:
        yield arrangement


@pytest.fixture
def frank(front):
    """A user whose account may be spoilt; his Directory."""
    accounts = front.domain.controller.accounts
    yield accounts
    accounts.enable("frank")
    accounts.change("frank", lockoutTime="0", badPwdCount="0", accountExpires="0", logonHours=None,
                    userWorkstations=None, pwdLastSet="-1")


@pytest.mark.parametrize("user, spelled, named", [
    ("alice", "alice", "CORP"), ("alice", "ALICE", "corp"), ("alice", "alice", "corp.test"),
    ("carol", "carol@corp.test", ""), ("carol", "Carol", "")])
def test_domain_users_get_in_under_the_domains_names(front, user, spelled, named):
    front.proxy.mark()
    assert front.login(spelled, front.domain.users[user], named).key
    login = front.proxy.wait_event("login")
    assert (login["user"], login["domain"], login["mechanism"]) == (user, "CORP", "ntlm")


def test_challenge_has_the_names_that_winbind_joined_with(front):
    with front.client() as client:
        seen = {}
        def look(pairs):
            seen.update(pairs)
            return pairs
        client.login("alice", front.domain.users["alice"], domain="CORP", pairs=look,
                     target_name=f"cifs/{NAME}")
    assert seen[ntlm.AV_NB_COMPUTER] == ntlm.utf16("PROXYM")
    assert seen[ntlm.AV_NB_DOMAIN] == ntlm.utf16("CORP")
    assert seen[ntlm.AV_DNS_DOMAIN] == ntlm.utf16("corp.test")


def test_wrong_password_and_unknown_user_are_the_same_to_the_client(front):
    front.refused(LOGON_FAILURE, "login_refused", "wrong_password", password="x")
    front.refused(LOGON_FAILURE, "login_refused", "unknown_user", user="nobody", password="x")


# What the controller would take: it looks at none of this.
OURS = {
    "other server": (dict(target_name="cifs/other.corp.test"), "target_name_refused"),
    "file server itself": (dict(target_name="cifs/nas.corp.test"), "target_name_refused"),
    "MIC wrong": (dict(mic="wrong"), "mic_refused"),
    "MIC announced and missing": (dict(mic="missing"), "mic_refused"),
    "computer name left out": (dict(pairs=pairs_without(ntlm.AV_NB_COMPUTER)), "login_refused"),
    "all names left out": (dict(pairs=lambda pairs: []), "login_refused"),
    "older timestamp": (dict(pairs=pairs_with(ntlm.AV_TIMESTAMP, bytes(8))), "login_refused"),
    "bound to a TLS channel": (dict(pairs=pairs_with(ntlm.AV_CHANNEL_BINDINGS, b"\x55" * 16)),
                               "login_refused"),
    "NTLMv1": (dict(version="v1", mic="none"), "ntlmv1_refused"),
    "NTLMv1, extended": (dict(version="v1-extended", mic="none"), "ntlmv1_refused"),
    "LM": (dict(version="lm", mic="none"), "ntlmv1_refused"),
    "signing dropped": (dict(dropped_flags=ntlm.SIGN), "login_refused"),
}


@pytest.mark.parametrize("case", OURS)
def test_what_the_controller_does_not_check_is_checked_here(front, case):
    knobs, event = OURS[case]
    front.proxy.mark()
    with pytest.raises(Failed):
        front.login(**knobs)
    front.proxy.wait_event(event)
    assert not front.proxy.seen("login")


@pytest.mark.parametrize("case", [case for case in OURS if "MIC" not in case])
def test_what_is_wrong_without_a_key_costs_the_user_no_try(front, frank, case):
    """… though the password is wrong too, which the controller would count."""
    knobs, _ = OURS[case]
    with pytest.raises(Failed):
        front.login("frank", "wrong", **knobs)
    assert frank.number("frank", "badPwdCount") == 0


def test_the_controller_counts_a_wrong_password(front, frank):
    """The twin of the test above."""
    front.refused(LOGON_FAILURE, "login_refused", "wrong_password", user="frank", password="wrong")
    assert frank.number("frank", "badPwdCount") == 1


class Recorder(ntlm.Client):
    """Keeps the AUTHENTICATE that it sends."""

    def authenticate(self, challenge):
        self.message = super().authenticate(challenge)  # pylint: disable=attribute-defined-outside-init
        return self.message


class Replay:
    """Sends what another client has sent."""

    def __init__(self, recorder):
        self.recorder, self.exported_key = recorder, recorder.exported_key

    def negotiate(self):
        return self.recorder.negotiate_message

    def authenticate(self, _):
        return self.recorder.message


def test_an_answer_is_for_one_challenge(front, frank):
    """A recorded AUTHENTICATE, with a right password, against another challenge."""
    recorded = Recorder("frank", "Frank.Pw6", domain="CORP", target_name=f"cifs/{NAME}")
    with front.client() as client:
        client.login_by(recorded)
    front.proxy.mark()
    with front.client() as client, pytest.raises(Failed):
        client.login_by(Replay(recorded))
    assert front.proxy.wait_event("login_refused")["reason"] in ("stale", "av_pairs")
    assert frank.number("frank", "badPwdCount") == 0


STATUSES = {
    "disabled": (lambda accounts: accounts.disable("frank"), 0xC0000072),
    "expired": (lambda accounts: accounts.change("frank", accountExpires="130000000000000000"), 0xC0000193),
    "password must change": (lambda accounts: accounts.change("frank", pwdLastSet="0"), 0xC0000224),
    "hours": (lambda accounts: accounts.change("frank", logonHours=bytes(21)), 0xC000006F),
    "workstation": (lambda accounts: accounts.change("frank", userWorkstations="ELSEWHERE"), 0xC0000070),
}


@pytest.mark.parametrize("case", STATUSES)
def test_what_the_controller_says_of_an_account_reaches_the_client(front, frank, case):
    spoil, status = STATUSES[case]
    assert front.login("frank", "Frank.Pw6").key
    spoil(frank)
    front.refused(status, "login_refused", "domain", user="frank", password="Frank.Pw6")
    front.refused(LOGON_FAILURE, "login_refused", "wrong_password", user="frank", password="x")


def test_the_domains_guest_is_nobody_here(front):
    """Disabled, as it comes, or with a password that is right: whoever uses it has proved nothing."""
    accounts = front.domain.controller.accounts
    guest = {"user": "Guest", "password": "Guest.Pw7"}
    front.refused(LOGON_FAILURE, "guest_login_refused", "guest", **guest)
    accounts.set_password("Guest", "Guest.Pw7")
    accounts.enable("Guest")
    try:
        told = front.refused(LOGON_FAILURE, "guest_login_refused", "guest", **guest)
    finally:
        accounts.disable("Guest")
    assert told["user"] == "Guest" and not front.proxy.seen("login")


def test_a_locked_account(front, frank):
    for _ in range(3):
        front.refused(LOGON_FAILURE, "login_refused", "wrong_password", user="frank", password="x")
    front.refused(0xC0000234, "login_refused", "domain", user="frank", password="Frank.Pw6")


def local(front, user, password, domain):
    """Logs in as a local user; the events show whether it was one."""
    front.proxy.mark()
    assert front.login(user, password, domain).key
    return front.proxy.wait_event("login")


@pytest.mark.parametrize("domain_name", ["", ".", "PROXYM", "PROXY", NAME, "WORKGROUP", "SOMEGROUP"])
def test_local_users_without_a_domain(front, domain_name):
    """… or with this host's, our workgroup's or one that nobody knows."""
    assert local(front, "alice", LOCAL["alice"], domain_name)["user"] == "alice"
    front.refused(LOGON_FAILURE, "login_refused", "wrong_password", domain=domain_name)


def test_a_local_user_hides_no_domain_user(front):
    """Two of one name, each with a password of his own."""
    assert front.login("alice", front.domain.users["alice"], "CORP").key
    front.refused(LOGON_FAILURE, "login_refused", "wrong_password", password=LOCAL["alice"])
    front.refused(LOGON_FAILURE, "login_refused", "wrong_password", domain="", password="Alice.Pw1")


def test_a_local_user_of_that_very_domain_goes_first(front):
    local(front, "erin", LOCAL["CORP\\erin"], "corp")
    front.refused(LOGON_FAILURE, "login_refused", "wrong_password", user="erin", password="Erin.Pw5")


def test_a_local_users_domain_is_not_made_up_by_the_domain(front):
    """dave is no user of the domain: his domain is asked, and says so with authority."""
    front.refused(LOGON_FAILURE, "login_refused", "unknown_user", user="dave", password=LOCAL["dave"])
    front.refused(LOGON_FAILURE, "login_refused", "unknown_user", user="carol", domain=".",
                  password=front.domain.users["carol"])


def unavailable(front, **knobs):
    return front.refused(NO_LOGON_SERVERS, "domain_unavailable", "domain_unavailable", **knobs)


@contextmanager
def winbind_stopped(domain):
    domain.winbind.stop_winbind()
    try:
        yield domain.winbind
    finally:
        if domain.winbind.winbindd is None:
            domain.winbind.start_winbind()
            domain.winbind.let_in(PIPE_GROUP)


def get_in(front, user="alice", password=None):
    """The status that a user gets, 0 for being in."""
    try:
        front.login(user, password)
        return 0
    except Failed as failure:
        return failure.status


def test_local_users_do_not_need_winbind(front):
    """… and nobody's password counts as wrong when it does not run; no restart is needed."""
    with winbind_stopped(front.domain):
        unavailable(front)
        unavailable(front, password="wrong")
        local(front, "alice", LOCAL["alice"], "")
        local(front, "alice", LOCAL["alice"], "PROXY")
        assert front.proxy.stderr().count("winbind does not answer") == 1
    assert front.login().key


def test_winbind_may_come_later_than_the_proxy(domain):
    with winbind_stopped(domain) as winbind, Front(domain, port=4452) as early:
        unavailable(early)
        local(early, "alice", LOCAL["alice"], "")
        winbind.start_winbind()
        winbind.let_in(PIPE_GROUP)
        assert early.login().key


def test_a_controller_that_is_gone(front):
    controller = front.domain.controller
    with ExitStack() as stack:
        # The file server, which asks the same controller, is reached before.
        first, *others = [stack.enter_context(front.client()) for _ in range(4)]
        controller.stop()
        stack.callback(controller.start)
        asking = {"domain": "CORP", "target_name": f"cifs/{NAME}"}
        with pytest.raises(Failed) as failure:
            first.login("alice", "Alice.Pw1", **asking)
        assert failure.value.status == NO_LOGON_SERVERS
        front.proxy.wait_event("domain_unavailable")
        # Winbind took its time to find that out; for a while nobody else waits for it in vain.
        begun = time.monotonic()
        for client in others:
            with pytest.raises(Failed) as failure:
                client.login("carol", "Carol.Pw3", **asking)
            assert failure.value.status == NO_LOGON_SERVERS
        assert time.monotonic() - begun < 5
    wait_until(lambda: not get_in(front), "the controller to be found again", 90, 0.5)


def test_a_controller_that_is_silent_delays_nobody_else(front):
    controller, outcome = front.domain.controller, []
    asking = threading.Thread(target=lambda: outcome.append(get_in(front)))
    with ExitStack() as stack:
        # The file server, which asks the same controller, is reached before.
        clients = [stack.enter_context(front.client()) for _ in range(3)]
        controller.pause()
        stack.callback(controller.resume)
        asking.start()
        for client in clients:
            with pytest.raises(Failed) as failure:
                client.login("alice", "wrong", domain=".")
            assert failure.value.status == LOGON_FAILURE
        assert asking.is_alive() and not outcome
    asking.join(90)
    assert outcome in ([0], [NO_LOGON_SERVERS])
    wait_until(lambda: not get_in(front), "the controller to answer again", 90, 0.5)


def test_a_broken_trust_is_no_wrong_password(front):
    """The controller does not know the host any more."""
    accounts = front.domain.controller.accounts
    with winbind_stopped(front.domain) as winbind:
        accounts.disable("PROXYM$")
        try:
            winbind.start_winbind(trusted=False)
            winbind.let_in(PIPE_GROUP)
            unavailable(front)
            assert "no domain controller takes this host's own password" in check(front).stdout
        finally:
            accounts.enable("PROXYM$")
            winbind.stop_winbind()
    wait_until(lambda: not get_in(front), "the trust to be found whole", 60, 0.5)


def test_a_keeper_without_the_pipes_group_says_so(domain):
    with Front(domain, port=4453, groups=[]) as front:
        unavailable(front)
        unavailable(front)
        assert front.proxy.stderr().count("put it into the group of winbind's privileged pipe") == 1
        local(front, "alice", LOCAL["alice"], "")


def check(front):
    return front.domain.proxy.run([BINARY, "check", "--config", front.proxy.configuration])


def test_check_asks_winbind(front):
    assert "this host is PROXYM in the domain CORP (corp.test)" in check(front).stdout
    with winbind_stopped(front.domain):
        done = check(front)
        assert done.returncode == 1 and "winbindd does not answer" in done.stdout, done.stdout


def test_groups_of_the_domain_count_in_rules(domain):
    """… by name, which winbind resolves, by SID, and through a group of the credentials file."""
    engineering = domain.controller.accounts.sid("engineering")
    rules = [{"name": "finance", "who": ["@CORP\\finance"], "then": "allow"},
             {"name": "interns", "who": ["@CORP\\no such group"], "then": "refuse"},
             {"name": "engineers", "who": [f"@{engineering}"], "then": "refuse"},
             {"name": "team", "who": ["@team"], "then": "allow"}]
    with Front(domain, port=4454, extra={"rules": rules, "otherwise": "refuse"}) as ruled:
        proxy = ruled.proxy
        assert "the group @team: the credentials file has no such group" in check(ruled).stdout
        ruled.login("alice", domain.users["alice"])
        refused(ruled, "engineers", user="carol")
        refused(ruled, None, user="frank", password="Frank.Pw6")
        refused(ruled, None, user="alice", password=LOCAL["alice"], domain="")
        done = command("group", "add", "--file", proxy.credentials.path, "team", "CORP\\frank", "dave",
                       "CORP\\carol")
        assert done.returncode == 0, done.stderr
        os.chown(proxy.credentials.path, UIDS["keeper"], UIDS["keeper"])
        proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not get_in(ruled, "frank", "Frank.Pw6"), "the new group to count", 10, 0.2)
        ruled.login("dave", LOCAL["dave"], "")
        refused(ruled, "engineers", user="carol")
        refused(ruled, None, user="alice", password=LOCAL["alice"], domain="SOMEGROUP")
        # For each configuration that was read, a reload's too; not for each login.
        assert proxy.stderr().count("the domain has no group CORP\\no such group") in (2, 3)


def refused(front, rule, **knobs):
    """The login was right, and a rule (or none that allows) is against it."""
    event = front.refused(ACCESS_DENIED, "rule_refused", **knobs)
    assert event.get("rule") == rule, event


def test_without_winbind_there_are_no_domain_users(domain):
    with Front(domain, port=4451, winbind=False) as plain:
        plain.refused(LOGON_FAILURE, "login_refused", "wrong_password")
        plain.refused(LOGON_FAILURE, "login_refused", "unknown_user", user="carol")
        assert plain.login("alice", LOCAL["alice"], "ANY").key
