"""`reload --apply`: what is up is judged by listener, upstream and rules as they are now.

Each reason for which it ends has a test, beside one of what goes on.
"""

import threading

import pytest

import bodies
import ntlm
import smb2
import spnego
from capture import TO_CLIENT, TO_SERVER
from harness import USERS, wait_until
from kerberosrig import PROXY_NAME
from proxy import listener
from rawclient import Disconnected, Failed, NtlmLogin
from reloadplace import Place

CIPHERS = (2, 4, 1, 3)


@pytest.fixture(scope="module")
def module_place(realm):
    with realm.file_server() as server, Place(realm, server) as place:
        yield place


@pytest.fixture
def place(module_place):
    yield module_place
    module_place.restore()
    module_place.proxy.assert_healthy()


def apply(place):
    place.proxy.mark()
    assert "applied" in place.reload("--apply")


def rule(place, **rule):
    place.extra["rules"] = [{"name": "new", **rule}]
    apply(place)


def works(session):
    file = session.create(f"applied-{session.id:x}")
    session.write(file, b"and on")
    assert session.read(file, 6) == b"and on"
    session.close(file)


def gone(session):
    """Told so by a signed answer."""
    with pytest.raises(Failed) as failed:
        session.must(smb2.CREATE, bodies.create("f"), encrypt=False)
    assert failed.value.status == smb2.USER_SESSION_DELETED


def holding(waits, command):
    """A hook of a relay that keeps the file server's answers to a command back."""
    def hook(_, direction, data):
        if direction == TO_CLIENT and smb2.is_smb2(data) and smb2.parse_header(data).command == command:
            assert waits.wait(20)
    return hook


def why(place, **fields):
    return place.proxy.wait_event("session_rejudged", **fields)["reason"]


# Rules.

def test_encryption_of_a_user(place):
    """Who does not encrypt is ended, who does goes on; and comes back encrypted."""
    alice, plain = place.established(ciphers=CIPHERS)
    bob, other = place.established("bob")
    with alice, bob:
        rule(place, who=["alice"], demand={"encryption": True}, then="allow")
        assert why(place, user="alice") == "encryption"
        gone(plain)
        works(other)
        again = alice.login("alice", target_name=f"cifs/{PROXY_NAME}")
        assert again.encrypts
        again.tree_connect()
        works(again)
        assert len(place.proxy.seen("session_rejudged")) == 1
        apply(place)
        works(again)
        assert not place.proxy.seen("session_rejudged")


def test_encryption_of_a_client_that_cannot(place):
    client, session = place.established()
    with client:
        rule(place, demand={"encryption": True}, then="allow")
        assert why(place) == "login"
        assert place.proxy.wait_event("rule_refused")["reason"] == "encryption"
        gone(session)


def test_encryption_of_a_share(place):
    alice, plain = place.established(ciphers=CIPHERS)
    elsewhere, other = place.established("bob", share="IPC$", ciphers=CIPHERS)
    with alice, elsewhere:
        rule(place, to={"share": ["data"]}, demand={"encryption": True}, then="allow")
        assert why(place) == "encryption"
        gone(plain)
        other.must(smb2.ECHO, bodies.empty())
        other.tree_connect("data")
        assert other.encrypts
        works(other)
        assert len(place.proxy.seen("session_rejudged")) == 1


@pytest.mark.parametrize("kept", [False, True], ids=["refused", "allowed"])
def test_share_by_a_server_name_that_is_cut_in_the_log(place, kept):
    """However long that is, the rule is asked about the share, and about no piece of a name."""
    client, session = place.established(share="IPC$")
    with client:
        session.tree_connect("data", host="x" * 600)
        if kept:
            rule(place, to={"share": ["data", "IPC$"]}, then="allow")
            works(session)
            place.extra["otherwise"] = "refuse"
            apply(place)
            works(session)
            assert not place.proxy.seen("session_rejudged")
        else:
            rule(place, to={"share": ["data"]}, then="refuse")
            assert why(place) == "share"
            gone(session)


@pytest.mark.parametrize("demand, reason", [({"min_dialect": "3.1.1"}, "min_dialect"),
                                            ({"kerberos": True}, "kerberos"),
                                            ({"mutual_authentication": True}, "mutual_authentication")])
def test_demands_of_the_login(place, demand, reason):
    client, session = place.established(dialects=(0x300,))
    with client:
        rule(place, demand=demand, then="allow")
        assert why(place) == "login"
        assert place.proxy.wait_event("rule_refused")["reason"] == reason
        gone(session)


def test_demands_that_are_met(place):
    """Kerberos at 3.1.1 goes on, and is the same session."""
    place.upstream.update(login=["delegate"], service="cifs/proxy.mit.test@MIT.TEST")
    place.reload()
    with place.raw() as client:
        client.negotiate()
        session = client.login_ticket(place.initiator())
        session.tree_connect()
        rule(place, demand={"kerberos": True, "mutual_authentication": True, "min_dialect": "3.1.1"},
             then="allow")
        works(session)
        assert not place.proxy.seen("session_rejudged")


def test_read_only_holds_for_what_is_open(place):
    """What could be written before cannot be any more, whichever way; reading goes on."""
    client, session = place.established()
    other, bobs = place.established("bob")
    with client, other:
        file, doomed = session.create("open"), session.create("doomed")
        theirs = bobs.create("theirs")
        session.write(file, b"written before")
        rule(place, who=["alice"], demand={"read_only": True}, then="allow")
        for command, body in (
                (smb2.WRITE, bodies.write(file, b"after")),
                (smb2.SET_INFO, bodies.set_info(file, bodies.FILE_END_OF_FILE_INFORMATION, bytes(8))),
                (smb2.SET_INFO, bodies.set_info(doomed, 13, b"\1")),
                (smb2.IOCTL, bodies.ioctl(0x000980C8, bytes(16), file)),
                (smb2.CREATE, bodies.create("new"))):
            assert session.ask(command, body).status == smb2.ACCESS_DENIED, command
        assert place.proxy.wait_event("read_only_refused", command="WRITE")["rule"] == "new"
        assert session.read(file, 14) == b"written before"
        session.close(file)
        session.close(doomed)
        bobs.write(theirs, b"still")
        assert not place.proxy.seen("session_rejudged")
        # And back: the open that could not be written can be.
        kept = session.create("open", access=0x00120089, disposition=1)
        place.extra["rules"] = []
        apply(place)
        session.write(session.create("new"), b"again")
        assert session.read(kept, 14) == b"written before"


# Listener and upstream.

def ended(place, client, reason, leg="client"):
    event = place.proxy.wait_event("session_rejudged")
    assert (event["reason"], event["leg"]) == (reason, leg)
    assert client.ends()
    place.proxy.wait_event("link_ended", reason="reloaded")


@pytest.mark.parametrize("change, reason, offer", [
    ({"min_dialect": "3.1.1"}, "dialect", {"dialects": (0x302,)}),
    ({"max_dialect": "3.0"}, "dialect", {}),
    ({"signing": ["hmac-sha256"]}, "signing", {}),
    ({"ciphers": ["aes-256-ccm"]}, "cipher", {"ciphers": CIPHERS}),
    ({"posture": "encryption"}, "encryption", {}),
], ids=lambda value: str(value).replace(" ", ""))
def test_connection_that_its_listener_does_not_take(place, change, reason, offer):
    client, _ = place.established(**offer)
    with client:
        place.listener.update(change)
        apply(place)
        ended(place, client, reason)


@pytest.mark.parametrize("change, reason, before", [
    ({"min_dialect": "3.1.1"}, "dialect", {"max_dialect": "3.0"}),
    ({"signing": ["hmac-sha256"]}, "signing", {}),
    ({"ciphers": ["aes-256-ccm"]}, "cipher", {}),
    ({"encryption": "required"}, "encryption", {"encryption": "off"}),
], ids=lambda value: str(value).replace(" ", ""))
def test_connection_that_its_upstream_does_not_take(place, change, reason, before):
    place.upstream.update(before)
    place.reload()
    client, _ = place.established()
    with client:
        for option in before:
            place.upstream.pop(option)
        place.upstream.update(change)
        apply(place)
        ended(place, client, reason, "upstream")


@pytest.mark.parametrize("change, reason, knobs", [
    ({"mechanisms": ["kerberos"]}, "mechanism", {}),
    ({"mic": "required"}, "mic", {"mic": "none"}),
    ({"target_name": "required"}, "target_name", {"target_name": None}),
], ids=lambda value: str(value).replace(" ", ""))
def test_login_that_its_listener_does_not_take(place, change, reason, knobs):
    with place.raw() as client:
        client.negotiate()
        session = client.login(**{"target_name": f"cifs/{PROXY_NAME}", **knobs})
        session.tree_connect()
        place.listener.update(change)
        apply(place)
        assert why(place) == reason
        gone(session)


def test_posture_of_clients_that_can_encrypt(place):
    """Their connection stays: they log in again, and encrypt. Who encrypts goes on."""
    place.listener["encrypted_shares"] = ["data"]
    place.reload()
    sealed_client, sealed = place.established(ciphers=CIPHERS)
    place.listener.pop("encrypted_shares")
    place.listener["encryption"] = "if-offered"
    place.reload()
    whole_client, whole = place.established(ciphers=CIPHERS)
    with sealed_client, whole_client:
        assert whole.encrypts
        place.listener.pop("encryption")
        place.listener["posture"] = "encryption"
        apply(place)
        works(whole)
        assert why(place) == "encryption"  # a share alone is not the session
        gone(sealed)
        again = sealed_client.login("alice", target_name=f"cifs/{PROXY_NAME}")
        assert again.encrypts
        assert len(place.proxy.seen("session_rejudged")) == 1


def test_encrypted_shares(place):
    """Of the listener: the client has to come again. Of the upstream: encrypted from now on."""
    client, session = place.established(ciphers=CIPHERS)
    with client:
        place.upstream["encrypted_shares"] = ["data"]
        apply(place)
        relayed = place.relay.last()
        before = len(relayed.frames)
        works(session)
        assert all(frame.data[:4] == b"\xfdSMB" for frame in relayed.frames[before:])
        place.listener["encrypted_shares"] = ["data"]
        apply(place)
        assert why(place) == "encryption"
        gone(session)


def test_upstream_encryption(place):
    """A file server that can encrypt is logged in to anew."""
    client, session = place.established()
    with client:
        place.upstream["encryption"] = "required"
        apply(place)
        assert why(place) == "encryption"
        gone(session)
        again = client.login("alice", target_name=f"cifs/{PROXY_NAME}")
        again.tree_connect()
        works(again)


def test_upstream_login(place):
    """Who is another account on the file server now has to log in again, and is that one."""
    client, session = place.established()
    with client:
        place.upstream["login"] = ["mapped"]
        apply(place)
        assert why(place) == "upstream_login"
        gone(session)
        client.login("alice", target_name=f"cifs/{PROXY_NAME}")
        event = place.proxy.wait_event("login")
        assert (event["login"], event["account"].split("\\")[-1]) == ("mapped", "bob")


@pytest.mark.parametrize("change", ["listener gone", "other address", "other upstream", "other file server"])
def test_listener_that_is_not_there_any_more(place, change):
    spare = listener("spare", "nas")
    client, _ = place.established()
    with client:
        place.proxy.listeners.append(spare)
        try:
            if change == "listener gone":
                place.proxy.listeners.remove(place.listener)
            elif change == "other address":
                place.listener.update(address=spare["address"], port=spare["port"] - 1)
            elif change == "other upstream":
                place.listener.update(upstream="twin")
            else:
                place.upstream.update(address=place.twin.address)
            apply(place)
            ended(place, client, "listener")
        finally:
            place.proxy.listeners[:] = [place.listener]


def test_what_changes_nothing_ends_nothing(place):
    """Names, limits, an upstream's time: the connection goes on, and its next session is by the new."""
    client, session = place.established(ciphers=CIPHERS)
    with client:
        file = session.create("through")
        place.listener["names"] = [PROXY_NAME, "also.test"]
        place.upstream.update(connect_timeout=7000, strict=True)
        place.extra["limits"] = {"interim_hold": 0, "login_timeout": 30_000}
        apply(place)
        session.write(file, b"x")
        assert not place.proxy.seen("session_rejudged")
        client.login("bob", target_name="cifs/also.test").tree_connect()
        works(session)


# Logins under way.

class Halfway:
    """A login whose client has got its challenge and says nothing yet."""

    def __init__(self, client, user, session=None, **knobs):
        self.client, self.user, self.session, self.knobs = client, user, session, knobs
        self.challenged, self.go_on = threading.Event(), threading.Event()
        self.result = None
        self.thread = threading.Thread(target=self._log_in)

    def __enter__(self):
        authenticate = ntlm.Client.authenticate

        class Waiting(ntlm.Client):
            def authenticate(inner, challenge):  # pylint: disable=no-self-argument
                self.challenged.set()
                assert self.go_on.wait(20)
                return authenticate(inner, challenge)
        self.initiator = Waiting(self.user, USERS[self.user],
                                 target_name=f"cifs/{PROXY_NAME}", **self.knobs)
        self.thread.start()
        assert self.challenged.wait(10)
        return self

    def _log_in(self):
        try:
            way = NtlmLogin(self.initiator, [spnego.OID_NTLMSSP], True, False)
            self.result = self.client._log_in(way, self.session, "right", 0)
        except (Failed, Disconnected) as failure:
            self.result = failure

    def finish(self):
        self.go_on.set()
        self.thread.join(20)
        return self.result

    def __exit__(self, *_):
        self.go_on.set()
        self.thread.join(20)


def test_login_under_way_is_allowed(place):
    """Its connection stays, and so does what is there beside it."""
    client, session = place.established("bob")
    with client, Halfway(client, "alice") as login:
        rule(place, who=["bob"], demand={"read_only": True}, then="allow")
        alices = login.finish()
        alices.tree_connect()
        works(alices)
        with pytest.raises(Failed):
            session.create("not any more")
        assert not place.proxy.seen("session_rejudged")


def test_login_under_way_is_refused(place):
    """By the new rules, and nothing goes to the file server for it."""
    with place.raw() as client:
        client.negotiate()
        with Halfway(client, "alice") as login:
            rule(place, who=["alice"], then="refuse")
            assert login.finish().status == smb2.ACCESS_DENIED
        assert place.proxy.wait_event("rule_refused")["rule"] == "new"
        works_again = client.login("bob", target_name=f"cifs/{PROXY_NAME}")
        works_again.tree_connect()
        works(works_again)


@pytest.mark.parametrize("change", ["refuse", "allow"])
def test_session_that_is_authenticated_again_meanwhile(place, change):
    """It has been judged itself; what it does again is judged when it is done."""
    client, session = place.established()
    with client, Halfway(client, "alice", session=session) as login:
        rule(place, who=["alice"], then=change)
        if change == "refuse":
            assert why(place, user="alice") == "login"
            assert login.finish().status == smb2.USER_SESSION_DELETED
        else:
            assert login.finish() is session
            works(session)


def test_login_under_way_encrypts(place):
    with place.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        with Halfway(client, "alice") as login:
            rule(place, who=["alice"], demand={"encryption": True}, then="allow")
            session = login.finish()
        assert session.encrypts
        session.tree_connect()
        works(session)


@pytest.mark.parametrize("change, knobs, reason", [
    ({"mechanisms": ["kerberos"]}, {}, "mechanism"), ({"mic": "required"}, {"mic": "none"}, "mic")],
    ids=["mechanism", "mic"])
def test_login_under_way_that_its_listener_does_not_take(place, change, knobs, reason):
    with place.raw() as client:
        client.negotiate()
        with Halfway(client, "alice", **knobs) as login:
            place.listener.update(change)
            apply(place)
            assert login.finish().status == smb2.ACCESS_DENIED
        assert why(place) == reason


def test_login_under_way_with_a_group_nobody_asked_for(place):
    """The keeper was asked under the old rules; the next attempt is judged."""
    with place.raw() as client:
        client.negotiate()
        with Halfway(client, "alice") as login:
            rule(place, who=["@staff"], then="refuse")
            assert login.finish().status == smb2.ACCESS_DENIED
        assert why(place) == "group_not_known"
        client.login("alice", target_name=f"cifs/{PROXY_NAME}").tree_connect()


def test_login_at_the_file_server_is_judged(place):
    """The client is proven, the file server still asked: refused at once, or encrypted."""
    for demand, user in (({"then": "refuse"}, "alice"),
                         ({"then": "allow", "demand": {"encryption": True}}, "bob")):
        place.restore()
        waits = threading.Event()

        with place.raw() as client:
            client.negotiate(ciphers=CIPHERS)
            place.relay.hook = holding(waits, smb2.SESSION_SETUP)
            before = len(place.relay.last().messages(TO_SERVER, smb2.SESSION_SETUP))
            result = []

            def log_in():
                try:
                    result.append(client.login(user, target_name=f"cifs/{PROXY_NAME}"))
                except Failed as failed:
                    result.append(failed.status)
            thread = threading.Thread(target=log_in)
            thread.start()
            wait_until(lambda: len(place.relay.last().messages(TO_SERVER, smb2.SESSION_SETUP)) > before,
                       "the file server to be asked", 5)
            rule(place, who=[user], **demand)
            if demand["then"] == "refuse":
                thread.join(10)  # while the file server has not said anything yet
                assert result == [smb2.ACCESS_DENIED]
            waits.set()
            place.relay.hook = None
            thread.join(10)
            if demand["then"] == "allow":
                assert result[0].encrypts
                result[0].tree_connect()
                works(result[0])
            else:
                assert why(place, user=user) == "login"
