"""Clients that have not logged in: what they can use up is little, so that others notice nothing."""

import socket
import struct
import time
from contextlib import ExitStack

import pytest

import bodies
import ntlm
import smb2
import spnego
from front import Front
from harness import wait_until
from rawclient import Disconnected, Failed
from smb2 import Header
from stubserver import CONTENT, FILE_ID

HALF_OPEN = 4
STRIKES = 64  # events about one link before it ends
INSUFFICIENT_RESOURCES = 0xC000009A
INSUFF_SERVER_RESOURCES = 0xC0000205


def limited(on_upstream=None, **limits):
    """The proxy in front of an honest file server, with its own limits."""
    return Front(on_upstream=on_upstream, extra={"limits": limits})


@pytest.fixture
def front():
    with Front() as arrangement:
        yield arrangement


def begin_login(client):
    """The first SESSION_SETUP of a new session: the status of its answer."""
    token = spnego.init_token([spnego.OID_NTLMSSP], ntlm.Client("alice", "").negotiate())
    return client.ask(smb2.SESSION_SETUP, bodies.session_setup(token)).status


def begin_many(client, most):
    """As many as are answered, up to `most`: their statuses."""
    statuses = []
    try:
        while len(statuses) < most:
            statuses.append(begin_login(client))
    except Disconnected:
        pass
    return statuses


def test_half_open_logins_of_a_connection(front):
    with front.negotiated() as client:
        statuses = [begin_login(client) for _ in range(HALF_OPEN + 2)]
        assert statuses == [smb2.MORE_PROCESSING] * HALF_OPEN + [INSUFFICIENT_RESOURCES] * 2
        front.proxy.wait_event("limit_reached", reason="half_open_sessions", verdict="refused")


def test_logins_that_have_ended_are_not_half_open(front):
    with front.negotiated() as client:
        for _ in range(2 * HALF_OPEN):
            with pytest.raises(Failed):
                client.login("alice", "wrong")
        client.login("alice")
    assert not front.proxy.seen("limit_reached")


def test_logins_that_were_left_half_way_make_room():
    """A connection that many use for long is not used up by those who did not finish."""
    with limited(login_timeout=5000) as front:
        client, session = front.established()
        with client:
            statuses = [smb2.MORE_PROCESSING]
            while statuses[-1] == smb2.MORE_PROCESSING and len(statuses) < 5000:
                statuses.append(begin_login(client))
            assert statuses[-1] == INSUFFICIENT_RESOURCES
            wait_until(lambda: begin_login(client) == smb2.MORE_PROCESSING, "room", 30, 0.5)
            client.login("bob")
            assert session.read(FILE_ID, 100) == CONTENT


def test_half_open_logins_of_many_connections(front):
    """More attempts than the keeper has room for: alice logs in all the same."""
    with ExitStack() as stack:
        statuses = []
        for _ in range(17):
            statuses += begin_many(stack.enter_context(front.negotiated()), 256)
        assert statuses.count(smb2.MORE_PROCESSING) == 17 * HALF_OPEN
        client, session = front.established()
        with client:
            assert session.read(FILE_ID, 100) == CONTENT


def test_connections_to_the_file_server():
    """One too many is refused before it is dialled; when one ends, the next is served."""
    with limited(on_upstream={"connections": 1}) as front:
        client, session = front.established()
        with client:
            with front.raw() as second, pytest.raises(Failed) as refused:
                second.negotiate()
            assert refused.value.status == INSUFF_SERVER_RESOURCES
            front.proxy.wait_event("limit_reached", reason="upstream_connections", leg="upstream",
                                   verdict="refused", upstream="nas")
            assert front.stub.connections == 1
            assert session.read(FILE_ID, 100) == CONTENT
        front.proxy.wait_event("link_ended", reason="client_closed")
        client, session = front.established()
        with client:
            assert session.read(FILE_ID, 100) == CONTENT
        assert front.stub.connections == 2


def test_flood_of_what_is_refused(front):
    with front.negotiated() as client:
        assert len(begin_many(client, 1000)) < 2 * STRIKES
        assert_ended_early(front)


def assert_ended_early(front):
    """The stranger's link has ended, with a bounded number of events; alice logs in."""
    ended = front.proxy.wait_event("link_ended", reason="limit")
    about = [event for event in front.proxy.events() if event.get("link") == ended["link"]]
    assert STRIKES < len(about) < 2 * STRIKES
    client, session = front.established()
    with client:
        assert session.read(FILE_ID, 100) == CONTENT


def test_flood_of_wrong_passwords(front):
    with front.negotiated() as client:
        with pytest.raises(Disconnected):
            for _ in range(1000):
                with pytest.raises(Failed):
                    client.login("alice", "wrong")
        assert_ended_early(front)


def echo(message_id):
    raw = Header(smb2.ECHO, message_id, 0, 0, credits=1).pack() + bodies.empty()
    return struct.pack(">I", len(raw)) + raw


class Deaf:
    """A stranger who sends ECHOs and reads no answer."""

    def __init__(self, client):
        self.socket, self.next_id, self.unsent = client.socket, client.next_id, b""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.socket.setblocking(False)

    def send(self):
        """What the proxy takes of it now; True when that was anything."""
        if len(self.unsent) < 10000:
            self.unsent += b"".join(echo(self.next_id + more) for more in range(1000))
            self.next_id += 1000
        try:
            taken = self.socket.send(self.unsent)
        except OSError:
            return False
        self.unsent = self.unsent[taken:]
        return True


class Flood:
    """Many of them, until the proxy takes nothing from any for a second."""

    def __init__(self, strangers):
        self.strangers, self.last = strangers, time.monotonic()

    def is_over(self, session):
        if any([stranger.send() for stranger in self.strangers]):
            self.last = time.monotonic()
        assert session.read(FILE_ID, 100) == CONTENT
        return time.monotonic() - self.last > 1


def test_answers_that_nobody_reads():
    """They wait in the proxy's memory, but there is room for others beside them."""
    with limited(memory=64, connections_per_source=64) as front, ExitStack() as stack:
        client, session = front.established()
        stack.enter_context(client)
        flood = Flood([Deaf(stack.enter_context(front.negotiated())) for _ in range(30)])
        wait_until(lambda: flood.is_over(session), "nobody to be read any more", 120)
        other, another = front.established()
        with other:
            assert another.read(FILE_ID, 100) == CONTENT
        assert not front.proxy.seen("limit_reached")
