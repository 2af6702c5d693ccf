"""A file server, or somebody on its wire, that answers what no honest one does: nobody gets a session
by it, no client is left waiting, and the log is not flooded.

Each misdeed is done by the tests' own file server, which is honest again afterwards.
"""

import struct

import pytest

import bodies
import smb2
from front import Front
from harness import wait_until
from rawclient import Disconnected, Failed
from smb2 import ASYNC, BREAK_ID, PENDING, RESPONSE, SUCCESS, Header
from stubserver import CONTENT, ERROR_BODY, FILE_ID, Conversation, StubServer

STATUS_AT, CREDITS_AT, ASYNC_ID = 8, 14, 0x1234
STRIKES = 64  # events about one link before it ends


class Lasting(Front):
    """The proxy in front of a stub; it also knows its worker, which must last."""

    def __enter__(self):
        super().__enter__()
        self.workers = self.proxy.children("worker")
        return self

    def assert_same_worker(self):
        self.proxy.assert_healthy()
        assert self.proxy.children("worker") == self.workers


def not_yet(raw):
    """A last SESSION_SETUP response that says MORE_PROCESSING_REQUIRED in place of SUCCESS."""
    header = smb2.parse_header(raw)
    if header.command != smb2.SESSION_SETUP or header.status != SUCCESS:
        return raw
    return raw[:STATUS_AT] + struct.pack("<I", smb2.MORE_PROCESSING) + raw[STATUS_AT + 4:]


@pytest.mark.parametrize("last_setup", ["unsigned", "right"])
def test_login_without_success(last_setup):
    """The file server's token is right, but it never says SUCCESS."""
    with StubServer(spoil=not_yet, last_setup=last_setup) as stub, Lasting(stub) as front:
        with front.negotiated() as client:
            with pytest.raises(Failed) as refused:
                client.login("alice")
            assert refused.value.status == smb2.ACCESS_DENIED
        front.proxy.wait_event("upstream_login_refused", reason="success_missing", user="alice")
        assert not front.proxy.seen("login")
        stub.spoil, stub.last_setup = (lambda raw: raw), "right"
        client, session = front.established()
        with client:
            assert session.read(FILE_ID, 100) == CONTENT
        front.assert_same_worker()
        front.proxy.wait_event("login")
        assert len(front.proxy.seen("login")) == 1


def one_credit(raw):
    return raw[:CREDITS_AT] + struct.pack("<H", 1) + raw[CREDITS_AT + 2:]


def test_file_server_with_one_credit():
    """However little it grants, its client may always ask for one thing more."""
    with StubServer(spoil=one_credit) as stub, Lasting(stub) as front:
        client, session = front.established()
        with client:
            for _ in range(50):
                assert client.credits >= 1
                assert session.read(FILE_ID, 100) == CONTENT
            assert client.credits >= 1


class Inventive(StubServer):
    """Sends a thousand breaks of what nobody has before it answers a READ."""

    def _serve(self, client):
        try:
            Inventing(self, client).run()
        except OSError:
            pass


class Inventing(Conversation):
    def _read(self, message, key):
        header = Header(smb2.OPLOCK_BREAK, BREAK_ID, 0, 0, flags=RESPONSE).pack()
        for number in range(1000):
            self._send(header + struct.pack("<HBBI16s", 24, 0, 0, 0, struct.pack("<QQ", 0, number)))
        super()._read(message, key)


def test_flood_of_invented_breaks():
    with Inventive() as stub, Lasting(stub) as front:
        client, session = front.established()
        with client:
            with pytest.raises(Disconnected):
                session.read(FILE_ID, 100)
            assert not client.notifications
        front.proxy.wait_event("link_ended", reason="limit")
        assert 1 <= len(front.proxy.seen("upstream_forged")) <= STRIKES + 1
        front.assert_same_worker()


class Tardy(StubServer):
    """Lets a READ wait until `late` is called, and its interim response with it."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def _serve(self, client):
        try:
            Late(self, client).run()
        except OSError:
            pass

    def late(self):
        for conversation, message, key in self.kept:
            conversation.answer_late(message, key)


class Late(Conversation):
    def _read(self, message, key):
        self.stub.kept.append((self, message, key))

    def answer_late(self, message, key):
        self._send(self._response(message, ERROR_BODY, PENDING, tree=ASYNC_ID, flags=ASYNC))
        self._answer(message, key, self._data(), tree=ASYNC_ID, flags=ASYNC)


def test_late_interim_of_an_ended_session():
    """The session's user has logged off; the link and its other session go on."""
    with Tardy() as stub, Lasting(stub) as front:
        client, alice = front.established()
        with client:
            bob = client.login("bob")
            bob.tree_connect()
            waiting = client.send(smb2.READ, bodies.read(FILE_ID, 100), alice)
            wait_until(lambda: stub.kept, "the READ to arrive")
            alice.logoff()
            assert client.answer(waiting).status == smb2.USER_SESSION_DELETED
            stub.late()
            bob.must(smb2.FLUSH, bodies.flush(FILE_ID))
            assert waiting not in client.answers and not client.interims
        assert not front.proxy.seen("upstream_forged")
        assert not stub.problems
