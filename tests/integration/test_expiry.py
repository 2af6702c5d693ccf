"""Upstream sessions that expire or vanish: the client renews, or loses that one session and no other.

The file server is the tests' own, which can be told when a session is too old, has been deleted, or
is answered late.
"""

import os
import signal
import struct

import pytest

import bodies
import ntlm
import smb2
import spnego
from capture import TO_CLIENT
from harness import USERS, wait_until
from rawclient import Failed
from rig import Rig
from smb2 import RESPONSE, SIGNED, replace_header
from smbcrypto import is_signed_well, sign
from stubserver import CONTENT, ERROR_BODY, FILE_ID, Conversation, StubServer

EXPIRED = 0xC000035C  # STATUS_NETWORK_SESSION_EXPIRED


class Forgetful(StubServer):
    """A file server whose sessions can come to an end.

    expired   sessions that must authenticate again before anything else is done
    deleted   session → how it is told so: "signed", "unsigned" or "echoed" (the request's signature)
    withheld  commands that are kept in `kept` and answered by answer_late() only
    renewal   what a renewal is answered: "right", "unsigned", or "refused"
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.expired, self.deleted, self.withheld, self.renewal = set(), {}, set(), "right"
        self.renewed = []  # sessions that authenticated again
        self.kept = []

    def _serve(self, client):
        try:
            Renewable(self, client).run()
        except OSError:
            pass

    def forget(self):
        """Is honest again."""
        self.expired, self.deleted, self.withheld, self.renewal = set(), {}, set(), "right"
        self.renewed, self.kept, self.requests, self.problems = [], [], [], []

    def asked(self, command, session_id):
        """How many requests of a kind arrived in a session."""
        return len([message for message in self.requests
                    if message.command == command and message.session_id == session_id])

    def answer_late(self):
        for conversation, message, key in self.kept:
            conversation.answer_now(message, key)


class Renewable(Conversation):
    """One of its connections; renewals of several sessions may go on at once."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.renewals = {}

    def answer_now(self, message, key):
        super()._command(message, key)

    def _command(self, message, key):
        how = self.stub.deleted.get(message.session_id)
        if message.command in self.stub.withheld:
            self.stub.kept.append((self, message, key))
        elif how:
            self._session_is_gone(message, key, how)
        elif message.session_id in self.stub.expired and message.command not in (smb2.CLOSE, smb2.LOGOFF):
            self._answer(message, key, status=EXPIRED)
        else:
            super()._command(message, key)

    def _session_is_gone(self, message, key, how):
        raw = self._response(message, ERROR_BODY, smb2.USER_SESSION_DELETED)
        if how == "signed":
            raw = sign(self.algorithm, key, raw)
        elif how == "echoed":
            raw = replace_header(raw, flags=RESPONSE | SIGNED, signature=message.header.signature)
        self._send(raw)

    def _session_setup(self, message):
        key = self.sessions.get(message.session_id)
        if key is None:
            super()._session_setup(message)
            return
        if not is_signed_well(self.algorithm, key, message.raw):
            self.stub.problems.append("SESSION_SETUP of a renewal: not signed as it must be")
        token = smb2.session_setup_token(message.raw, response=False)
        status, final = smb2.MORE_PROCESSING, b""
        if message.session_id not in self.renewals:
            _, mechanisms, negotiate = spnego.parse_init(token)
            acceptor = ntlm.Server(self.stub.passwords)
            self.renewals[message.session_id] = acceptor, mechanisms
            final = spnego.response_token(spnego.ACCEPT_INCOMPLETE, spnego.OID_NTLMSSP,
                                          acceptor.challenge(negotiate))
        else:
            acceptor, mechanisms = self.renewals.pop(message.session_id)
            assert acceptor.accept(spnego.parse_response(token)[1])
            status = smb2.LOGON_FAILURE if self.stub.renewal == "refused" else smb2.SUCCESS
            final = spnego.response_token(spnego.ACCEPT_COMPLETED, mic=ntlm.gss_mic(
                acceptor.exported_key, False, mechanisms))
            self.stub.renewed.append(message.session_id)
            self.stub.expired.discard(message.session_id)
        body = struct.pack("<HHHH", 9, 0, 72, len(final)) + final
        raw = self._response(message, body, status)
        self._send(raw if self.stub.renewal == "unsigned" else sign(self.algorithm, key, raw))


@pytest.fixture(scope="module", params=["same", "mapped"])
def module_rig(request):
    account = ("bob", USERS["bob"])
    with Forgetful() as server, Rig(server, on_upstream={"login": [request.param]},
                                    mapped={"alice": account, "bob": account}) as rig:
        yield rig


@pytest.fixture
def two(module_rig):
    """Two sessions of one link: (rig, client, alice's, bob's)."""
    rig = module_rig
    rig.reset()
    rig.server.forget()
    client, alice = rig.established("alice")
    with client:
        bob = client.login("bob")
        bob.tree_connect()
        alice.upstream, bob.upstream = [message.session_id for message in rig.server.requests
                                        if message.command == smb2.TREE_CONNECT]
        read(alice), read(bob)
        yield rig, client, alice, bob
    assert not rig.server.problems
    rig.proxy.assert_healthy()


def read(session):
    assert session.read(FILE_ID, 100) == CONTENT


def status_of(session):
    return session.ask(smb2.READ, bodies.read(FILE_ID, 100)).status


def logs_in(client):
    try:
        client.login("alice")
        return True
    except Failed:
        return False


def restart_keeper(rig):
    """A new keeper knows nothing of what the one before it handed out."""
    (keeper,) = rig.proxy.children("keeper")
    rig.proxy.may_die = True
    os.kill(keeper, signal.SIGKILL)
    rig.proxy.wait_event("process_ended")
    with rig.raw_direct() as client:
        client.negotiate()
        wait_until(lambda: logs_in(client), "a new keeper")


def last_setup_response(relay):
    """When the last SESSION_SETUP response went through."""
    return [frame.at for frame in relay.last().frames if frame.direction == TO_CLIENT
            and any(message.command == smb2.SESSION_SETUP for message in frame.messages())][-1]


def renewed(rig, *sessions):
    """Waits until the file server has seen these sessions authenticate again."""
    wait_until(lambda: set(rig.server.renewed) == {session.upstream for session in sessions},
               "the sessions to be renewed")
    for session in sessions:
        wait_until(lambda: status_of(session) == smb2.SUCCESS, "the renewed session to be used")


def test_expired_session_is_renewed_without_the_client(two):
    """The one request that was refused is passed on as it is; after that nothing is to be seen."""
    rig, client, alice, bob = two
    for _ in range(3):
        rig.server.expired.add(alice.upstream)
        rig.server.renewed.clear()
        assert status_of(alice) == EXPIRED
        read(bob)
        renewed(rig, alice)
        assert rig.server.renewed == [alice.upstream]
        rig.proxy.wait_event("session_renewed", user="alice")
        rig.proxy.mark()
    assert not rig.proxy.seen("logoff")


def test_renewal_ends_no_previous_session(two):
    """That was ended when the session began; the file server may have given its id to another since."""
    rig, _, alice, _ = two
    with rig.raw() as second:
        second.negotiate()
        again = second.login("alice", previous=alice.id)
        again.tree_connect()
        again.upstream = rig.server.requests[-1].session_id
        rig.server.expired.add(again.upstream)
        assert status_of(again) == EXPIRED
        renewed(rig, again)
    setups = [message for message in rig.server.requests if message.command == smb2.SESSION_SETUP]
    assert [struct.unpack_from("<Q", message.raw, 64 + 16)[0] for message in setups[-4:]] == [
        alice.upstream, alice.upstream, 0, 0]


def test_client_that_renews_at_once_finds_it_done(two):
    """Windows answers STATUS_NETWORK_SESSION_EXPIRED with a login on the same session."""
    rig, client, alice, bob = two
    rig.server.expired.add(alice.upstream)
    assert status_of(alice) == EXPIRED
    client.login("alice", session=alice)
    assert rig.server.renewed == [alice.upstream]
    read(alice)
    read(bob)


def test_expired_session_is_renewed_with_the_clients(two):
    """The keeper has been restarted and has no handle for the session: the client is asked."""
    rig, client, alice, bob = two
    for _ in range(2):
        restart_keeper(rig)
        rig.server.expired.add(alice.upstream)
        rig.server.renewed.clear()
        assert status_of(alice) == EXPIRED
        rig.proxy.wait_event("upstream_login_refused", user="alice", reason="bad_handle")
        read(bob)
        assert status_of(alice) == EXPIRED and not rig.server.renewed
        client.login("alice", session=alice)
        assert rig.server.renewed == [alice.upstream]
        assert last_setup_response(rig.upstream_relay) < last_setup_response(rig.client_relay)
        read(alice)
        read(bob)
        rig.proxy.mark()
    assert rig.server.connections and not rig.proxy.seen("logoff")


def test_renewal_of_a_session_that_has_not_expired_stays_here(two):
    rig, client, alice, bob = two
    before = rig.server.commands().count(smb2.SESSION_SETUP)
    client.login("alice", session=alice)
    assert rig.server.commands().count(smb2.SESSION_SETUP) == before
    read(alice)
    read(bob)


def test_both_expire_at_once(two):
    rig, client, alice, bob = two
    rig.server.expired |= {alice.upstream, bob.upstream}
    assert status_of(alice) == status_of(bob) == EXPIRED
    renewed(rig, alice, bob)
    read(alice), read(bob)


def test_nobody_else_renews_an_expired_session(two):
    rig, client, alice, bob = two
    rig.server.expired.add(alice.upstream)
    assert status_of(alice) == EXPIRED
    renewed(rig, alice)
    before = rig.server.asked(smb2.SESSION_SETUP, alice.upstream)
    with pytest.raises(Failed):
        client.login("bob", session=alice)
    assert rig.proxy.wait_event("identity_changed", user="alice")["claimed"] == "bob"
    assert rig.server.asked(smb2.SESSION_SETUP, alice.upstream) == before
    assert status_of(alice) == smb2.USER_SESSION_DELETED
    read(bob)


def test_renewal_that_comes_to_another_account():
    """The mapping was changed meanwhile: nothing more is done in the session, and both accounts are told."""
    with Forgetful() as server, Rig(server, on_upstream={"login": ["mapped"]},
                                    mapped={"alice": ("bob", USERS["bob"])}) as rig:
        client, session = rig.established("alice")
        with client:
            read(session)
            rig.proxy.credentials.add("alice", USERS["alice"], "--mapped", "alice")
            assert rig.proxy.reload()[0] == 0
            server.expired.add(next(message.session_id for message in server.requests
                                    if message.command == smb2.TREE_CONNECT))
            assert status_of(session) == EXPIRED
            rig.proxy.wait_event("session_expired", leg="upstream", reason="file_server", user="alice")
            told = rig.proxy.wait_event("identity_changed", leg="upstream", reason="other_account",
                                        verdict="refused")
            assert (told["user"], told["account"], told["claimed"]) == ("alice", "bob", "alice")
            assert status_of(session) == EXPIRED
            assert not server.renewed


def test_file_server_refuses_the_renewal(two):
    """That session is over, and nobody is told that the client's own password was wrong."""
    rig, client, alice, bob = two
    rig.server.expired.add(alice.upstream)
    rig.server.renewal = "refused"
    assert status_of(alice) == EXPIRED
    rig.proxy.wait_event("upstream_login_refused", user="alice", status="0xc000006d")
    assert rig.proxy.wait_event("logoff", user="alice")["reason"] == "renewal_failed"
    assert status_of(alice) == smb2.USER_SESSION_DELETED
    read(bob)
    # The credential rests now, through reloads too; a new keeper knows nothing of it.
    restart_keeper(rig)
    wait_until(lambda: logs_in(client), "the credential to be tried again")


def test_renewal_must_be_answered_signed(two):
    rig, client, alice, _ = two
    rig.server.expired.add(alice.upstream)
    rig.server.renewal = "unsigned"
    assert status_of(alice) == EXPIRED
    assert client.ends()
    assert rig.proxy.wait_event("upstream_bad_signature")["reason"] == "renewal"


@pytest.mark.parametrize("how", ["signed", "unsigned", "echoed"])
def test_deleted_session_takes_no_other_with_it(two, how):
    rig, client, alice, bob = two
    rig.server.deleted[alice.upstream] = how
    assert status_of(alice) == smb2.USER_SESSION_DELETED
    told = rig.proxy.wait_event("logoff", user="alice")
    assert told["reason"] == ("file_server" if how == "signed" else "file_server_unverified")
    unverified = rig.proxy.seen("upstream_unverified")
    assert [(event["severity"], event["leg"], event["command"]) for event in unverified] == (
        [] if how == "signed" else [("warning", "upstream", "READ")])
    before = rig.server.asked(smb2.READ, alice.upstream)
    assert status_of(alice) == smb2.USER_SESSION_DELETED
    assert rig.server.asked(smb2.READ, alice.upstream) == before
    read(bob)
    again = client.login("alice")
    again.tree_connect()
    read(again)
    assert len(rig.proxy.seen("logoff")) == 1


def withhold(rig, client, session):
    """A READ that the file server has and does not answer: its MessageId."""
    rig.server.withheld.add(smb2.READ)
    waiting = client.send(smb2.READ, bodies.read(FILE_ID, 100), session)
    wait_until(lambda: rig.server.kept, "the READ to arrive")
    rig.server.withheld.clear()
    return waiting


@pytest.mark.parametrize("how", ["signed", "unsigned", "echoed"])
def test_what_waited_in_a_deleted_session_is_answered_once(two, how):
    rig, client, alice, bob = two
    waiting = withhold(rig, client, alice)
    rig.server.deleted[alice.upstream] = how
    body = bodies.flush(FILE_ID)
    assert alice.ask(smb2.FLUSH, body).status == smb2.USER_SESSION_DELETED
    assert client.answer(waiting).status == smb2.USER_SESSION_DELETED
    rig.server.answer_late()
    read(bob)
    assert waiting not in client.answers
    assert not rig.proxy.seen("upstream_forged")


def test_answer_after_a_logoff_is_dropped_and_a_second_one_is_not(two):
    rig, client, alice, bob = two
    waiting = withhold(rig, client, alice)
    alice.logoff()
    assert client.answer(waiting).status == smb2.USER_SESSION_DELETED
    rig.server.answer_late()
    read(bob)
    assert waiting not in client.answers
    rig.server.answer_late()
    assert client.ends()
    rig.proxy.wait_event("upstream_forged", reason="unknown_message_id")
