"""How the upstream session is opened: as the same user, as a mapped account, and never by guessing."""

import pytest

import bodies
import ntlm
import smb2
import spnego
from harness import USERS
from rawclient import Disconnected, Failed
from rig import Rig

DORA = {"dora": "Dora.Pw4", **USERS}
REFUSED = (Disconnected, Failed)


def test_same_user_with_any_spelling(rig):
    """Names are compared without case; the file server sees the name of the credentials file."""
    for spelled in ("alice", "ALICE", "Alice"):
        with rig.raw() as client:
            client.negotiate()
            client.login(spelled, USERS["alice"]).tree_connect()
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert upstream_leg.users[0].lower() == client_leg.users[0].lower() == "alice"


def test_domain_and_workstation_are_the_clients_own_words(rig):
    """They prove nothing and change nothing but the log."""
    with rig.raw() as client:
        client.negotiate()
        client.login("alice", domain="SOMEWHERE", workstation="LAPTOP").tree_connect()
    login = rig.proxy.wait_event("login", user="alice", domain="SOMEWHERE")
    assert login.get("workstation") == "LAPTOP"


def test_mapped_account(nas):
    """dora is known here only; the file server sees bob, the log names both."""
    with Rig(nas, users={"dora": "Dora.Pw4"}, mapped={"dora": ("bob", USERS["bob"])},
             on_upstream={"login": ["mapped"]}) as rig:
        with rig.raw() as client:
            client.negotiate()
            session = client.login("dora", "Dora.Pw4")
            session.tree_connect()
            session.close(session.create("of-bob"))
            session.logoff()
        login = rig.proxy.wait_event("login", user="dora", login="mapped")
        assert login["account"].lower().endswith("bob")
        assert not rig.proxy.seen("login_fallback")
        for client_leg, upstream_leg in rig.assert_both_legs_signed(DORA):
            assert client_leg.users == ["dora"] and upstream_leg.users == ["bob"]


def test_mapped_for_everybody_without_a_line_of_their_own(nas):
    with Rig(nas, users={"dora": "Dora.Pw4", "eve": "Eve.Pw5"},
             mapped={"*": ("alice", USERS["alice"]), "eve": ("bob", USERS["bob"])},
             on_upstream={"login": ["mapped"]}) as rig:
        for user, password, account in (("dora", "Dora.Pw4", "alice"), ("eve", "Eve.Pw5", "bob")):
            with rig.raw() as client:
                client.negotiate()
                client.login(user, password)
            assert rig.proxy.wait_event("login", user=user)["account"].lower().endswith(account)


def test_fallback_is_taken_only_when_listed_and_is_told(nas):
    with Rig(nas, mapped={"bob": ("alice", USERS["alice"])},
             on_upstream={"login": ["mapped", "same"]}) as rig:
        for user, login in (("bob", "mapped"), ("alice", "same")):
            rig.reset()
            with rig.raw() as client:
                client.negotiate()
                client.login(user)
            rig.proxy.wait_event("login", user=user, login=login)
            assert bool(rig.proxy.seen("login_fallback")) == (user == "alice")


def test_no_credential_is_no_session(nas):
    """alice is who she says; there is nobody to be upstream, and nothing else is tried."""
    with Rig(nas, mapped={"bob": ("bob", USERS["bob"])}, on_upstream={"login": ["mapped"]}) as rig:
        with rig.raw() as client:
            client.negotiate()
            with pytest.raises(REFUSED) as refused:
                client.login("alice")
            assert refused.type is Disconnected or refused.value.status != smb2.LOGON_FAILURE
        rig.proxy.wait_event("upstream_login_refused", user="alice")
        assert not rig.at_server(smb2.SESSION_SETUP)


def test_wrong_upstream_password_is_not_the_clients_fault(nas):
    """The account's password was changed on the file server only."""
    users = {"alice": "Changed.Pw8"}
    with Rig(nas, users=users) as rig:
        with rig.raw() as client:
            client.negotiate()
            with pytest.raises(REFUSED) as refused:
                client.login("alice", "Changed.Pw8")
            assert refused.type is Disconnected or refused.value.status != smb2.LOGON_FAILURE
        told = rig.proxy.wait_event("upstream_login_refused", user="alice")
        assert told["status"] == "0xc000006d" and told["leg"] == "upstream"
        assert not rig.proxy.seen("login")


def test_two_users_on_one_connection(rig):
    """A terminal server: each session has its own keys and its own rights; one's end is not the other's."""
    with rig.raw() as client:
        client.negotiate()
        alice, bob = client.login("alice"), client.login("bob")
        alice.tree_connect("priv")
        with pytest.raises(Failed) as denied:
            bob.tree_connect("priv")
        assert denied.value.status == smb2.ACCESS_DENIED
        bob.tree_connect("data")
        alice.close(alice.create("of-alice", options=0x1000))
        alice.logoff()
        bob.close(bob.create("of-bob", options=0x1000))
        # The ended session's id is answered, not a reason to disconnect the other user.
        answer = client.ask(smb2.ECHO, bodies.empty(), session=alice)
        assert answer.status == smb2.USER_SESSION_DELETED
        bob.close(bob.create("of-bob", options=0x1000))
        bob.logoff()
    rig.proxy.wait_event("logoff", user="alice")
    rig.proxy.wait_event("logoff", user="bob")


def reconnect(rig, user, previous):
    """A new connection that says it takes the place of a session."""
    client = rig.raw()
    client.negotiate()
    session = client.login(user, previous=previous)
    session.tree_connect()
    return client, session


def test_logoff_in_a_re_authentication_that_was_left(rig):
    """Both ends of the session end, as they do without the proxy."""
    client, session = rig.established("alice")
    with client:
        token = spnego.init_token([spnego.OID_NTLMSSP], ntlm.Client("alice", "").negotiate())
        begun = session.ask(smb2.SESSION_SETUP, bodies.session_setup(token))
        assert begun.status == smb2.MORE_PROCESSING
        session.logoff()
        assert len(rig.at_server(smb2.LOGOFF)) == 1
        assert session.ask(smb2.CREATE, bodies.create("f")).status == smb2.USER_SESSION_DELETED
        client.login("alice").tree_connect()


def test_large_requests_behind_the_end_of_the_last_session(rig):
    """They are answered like all others of a session that has ended, and the connection goes on."""
    with rig.raw_direct() as client:
        client.negotiate()
        session = client.login("alice")
        session.tree_connect()
        file_id = session.create("f")
        while client.credits < 64:
            session.must(smb2.ECHO, bodies.empty())
        end = client.send(smb2.LOGOFF, bodies.empty(), session)
        session.ended = True
        late = [client.send(smb2.WRITE, bodies.write(file_id, bytes(1 << 20)), session, credit_charge=16)
                for _ in range(3)]
        assert client.answer(end).status == smb2.SUCCESS
        assert [client.answer(number).status for number in late] == [smb2.USER_SESSION_DELETED] * 3
        client.login("alice").tree_connect()


def previous_ids_at_server(rig):
    """Every PreviousSessionId that the file server was told."""
    return {int.from_bytes(message.raw[80:88], "little") for message in rig.at_server(smb2.SESSION_SETUP)}


def test_reconnecting_client_ends_its_own_previous_session(rig):
    """Else its own locks and opens would stand in its way until they time out."""
    first, old = rig.established("alice")
    old.create("exclusive", share=0)
    second, new = reconnect(rig, "alice", old.id)
    with first, second:
        new.close(new.create("exclusive", share=0))
        assert len(previous_ids_at_server(rig)) == 2 and old.id not in previous_ids_at_server(rig)
        old.ended = True
        try:
            assert old.ask(smb2.CREATE, bodies.create("f")).status == smb2.USER_SESSION_DELETED
        except Disconnected:
            pass


def test_nobody_ends_the_session_of_another(rig):
    first, old = rig.established("alice")
    old.create("exclusive", share=0)
    with first:
        for user, previous in (("bob", old.id), ("bob", 1), ("alice", old.id + 1)):
            client, session = reconnect(rig, user, previous)
            with client:
                session.must(smb2.ECHO, bodies.empty())
            old.must(smb2.ECHO, bodies.empty())
        old.close(old.create("another", share=0))
        assert previous_ids_at_server(rig) == {0}
        rig.proxy.wait_event("foreign_session", user="bob")
