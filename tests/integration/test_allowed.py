"""A file server that does what the protocol allows it, and smbd never does.

It joins and splits its answers, sends breaks early and on another connection, finishes what is being
cancelled, moves shares away, and keeps handles that are resilient.
"""

import os
import struct
import threading
from contextlib import contextmanager

import pytest

import bodies
import smb2
from durable import chain
from harness import USERS, wait_until
from proxy import Proxy, listener, upstream
from rawclient import Failed, RawClient
from smb2 import ALL_ONES, ASYNC, BREAK_ID, PENDING, RELATED, RESPONSE, SUCCESS, Header
from smbcrypto import sign
from stubserver import CONTENT, ERROR_BODY, FILE_ID, Conversation, StubServer

RESILIENCY, NOTIFY_CLEANUP = 0x001401D4, 0x0000010B
ASYNC_ID, HOLD = 0x1234, 10_000
READ_ALL = bodies.read(FILE_ID, 100)


@contextmanager
def before(conversation, entry=None, proxy=None, **knobs):
    """The proxy in front of a file server of that kind: (file server, proxy, one who connects)."""
    class Server(StubServer):
        def _serve(self, client):
            try:
                conversation(self, client).run()
            except OSError:
                pass

    entry = listener(**(entry or {}))
    with Server(**knobs) as server:
        options = dict(proxy or {})
        login = options.pop("login", ["same"])
        with Proxy([entry], [upstream(server, login=login)], **options) as running:
            yield server, running, lambda **how: RawClient(entry["address"], entry["port"], **how)
        assert not server.problems


def enter(connect, user="alice", guid=None, **how):
    client = connect()
    client.guid = guid or client.guid
    client.negotiate(**how)
    session = client.login(user)
    session.tree_connect()
    return client, session


def is_bad(event):
    """Not what is told of clients that speak several dialects from one address."""
    return event["event"] == "upstream_forged" or (
        event["severity"] in ("warning", "error") and event["event"] != "downgrade")


# Answers in frames as it pleases.

class Joining(Conversation):
    """Collects answers until there are `stub.joins` of them: then they go out as one chain."""

    ALONE = (smb2.TREE_CONNECT, smb2.CREATE, smb2.LOGOFF)

    def __init__(self, stub, client):
        super().__init__(stub, client)
        self.collected = []

    def _answer(self, request, key, body=ERROR_BODY, status=SUCCESS, **options):
        if request.command in self.ALONE or not self.stub.joins:
            super()._answer(request, key, body, status, **options)
            return
        self.collected.append((key, self._response(request, body, status, **options)))
        if len(self.collected) < self.stub.joins:
            return
        frame = b""
        for left, (one_key, raw) in reversed(list(enumerate(reversed(self.collected)))):
            if left or self.stub.pads_last:
                raw += bytes(-len(raw) % 8)
            if left:
                raw = smb2.replace_header(raw, next_command=len(raw))
            frame += sign(self.algorithm, one_key, raw)
        self.collected = []
        self._send(frame)


@pytest.mark.parametrize("pads_last", [False, True])
@pytest.mark.parametrize("dialects", [[0x202], [0x311]], ids=["2.0.2", "3.1.1"])
def test_answers_to_several_frames_in_one(dialects, pads_last):
    """Of two sessions, in a chain that the client did not ask for."""
    with before(Joining) as (server, proxy, connect):
        server.joins, server.pads_last = 0, pads_last
        client, alice = enter(connect, dialects=dialects)
        with client:
            bob = client.login("bob")
            bob.tree_connect()
            server.joins = 3
            asked = [client.send(smb2.READ, READ_ALL, session) for session in (alice, bob, alice)]
            for message_id in asked:
                answer = client.answer(message_id)
                assert bodies.read_data(answer) == CONTENT and not answer.flags & RELATED
            client.send(smb2.READ, READ_ALL, bob)
            client.send(smb2.FLUSH, bodies.flush(FILE_ID), alice)
            assert bodies.read_data(alice.ask(smb2.READ, READ_ALL)) == CONTENT
            server.joins = 0
        assert not [event for event in proxy.seen() if is_bad(event)]


def test_chain_is_answered_one_by_one():
    with before(Conversation) as (server, proxy, connect):
        client, session = enter(connect)
        with client:
            answers = client.compound([(smb2.CREATE, bodies.create("f")),
                                       (smb2.READ, bodies.read(bodies.NO_FILE, 100)),
                                       (smb2.CLOSE, bodies.close(bodies.NO_FILE))], session)
            assert [answer.status for answer in answers] == [SUCCESS] * 3
            assert bodies.read_data(answers[1]) == CONTENT
            together = server.requests[-3:]
            assert [message.next_command != 0 for message in together] == [True, True, False]
            assert [bool(message.flags & RELATED) for message in together] == [False, True, True]
            assert together[1].session_id == together[2].session_id == ALL_ONES
        assert not [event for event in proxy.seen() if is_bad(event)]


class Interim(Conversation):
    """Puts the interim response to a READ into the chain of the answer before it."""

    def __init__(self, stub, client):
        super().__init__(stub, client)
        self.before = None

    def _answer(self, request, key, body=ERROR_BODY, status=SUCCESS, **options):
        if request.command == smb2.FLUSH and request.next_command:
            self.before = smb2.align8(self._response(request, body, status, **options))
        else:
            super()._answer(request, key, body, status, **options)

    def _read(self, message, key):
        first = sign(self.algorithm, key, smb2.replace_header(self.before, next_command=len(self.before)))
        self._send(first + self._response(message, ERROR_BODY, PENDING, tree=ASYNC_ID, flags=ASYNC))
        self._answer(message, key, self._data(), tree=ASYNC_ID, flags=ASYNC)


def test_interim_response_in_a_chain():
    with before(Interim, proxy={"extra": {"limits": {"interim_hold": HOLD}}}) as (_, proxy, connect):
        client, session = enter(connect)
        with client:
            flushed, read = client.compound([(smb2.FLUSH, bodies.flush(FILE_ID)), (smb2.READ, READ_ALL)],
                                            session, related=False)
            assert flushed.status == SUCCESS and not flushed.next_command
            assert bodies.read_data(read) == CONTENT and not client.interims
        assert not [event for event in proxy.seen() if is_bad(event)]


# Breaks where and when it pleases.

def oplock_break(file_id=FILE_ID, session_id=0):
    return Header(smb2.OPLOCK_BREAK, BREAK_ID, session_id, flags=RESPONSE).pack() + struct.pack(
        "<HBBI16s", 24, 0, 0, 0, file_id)


def lease_break(key):
    return Header(smb2.OPLOCK_BREAK, BREAK_ID, flags=RESPONSE).pack() + struct.pack(
        "<HHI16sIIIII", 44, 5, 1, key, 7, 1, 0, 0, 0)


class Hasty(Conversation):
    """Sends `stub.hurries` before it answers a CREATE; by `stub.all` the test reaches each connection."""

    def __init__(self, stub, client):
        super().__init__(stub, client)
        self.stub.all.append(self)

    def _command(self, message, key):
        if message.command == smb2.CREATE and self.stub.hurries:
            self._send(self.stub.hurries)
        super()._command(message, key)

    def send_break(self, raw):
        self._send(raw)

    def upstream_session(self, number):
        return list(self.sessions)[number]


@contextmanager
def hasty(**options):
    StubServer.all, StubServer.hurries = [], None
    with before(Hasty, **options) as all_of_it:
        yield all_of_it


def test_break_before_the_open_is_known():
    """It waits for the CREATE response, without which the client could not tell whose it is."""
    with hasty() as (server, proxy, connect):
        client, session = enter(connect)
        with client:
            server.hurries = oplock_break()
            waiting = client.send(smb2.CREATE, bodies.create("f", oplock=bodies.OPLOCK_BATCH), session)
            frames = [client.receive_frame(), client.receive_frame()]
            assert [smb2.parse_header(frame).message_id for frame in frames] == [waiting, BREAK_ID]
            assert frames[1][64 + 8:] == FILE_ID
            assert not [event for event in proxy.seen() if is_bad(event)]
            # Of a file that this CREATE does not open, it goes nowhere.
            server.hurries = oplock_break(bytes(16))
            session.create("f")
            session.must(smb2.FLUSH, bodies.flush(FILE_ID))
            assert not client.notifications
            proxy.wait_event("upstream_forged", reason="break_of_unknown_open", leg="upstream")


def test_lease_break_before_the_open_is_known():
    """The lease's key is the client's own: from the request on it knows what that is."""
    key = os.urandom(16)
    with hasty() as (server, proxy, connect):
        client, session = enter(connect)
        with client:
            server.hurries = lease_break(key)
            session.create("f", oplock=bodies.OPLOCK_LEASE, contexts=bodies.lease_context(key))
            told = client.notification()
            assert told.body[8:24] == key and told.body[2:4] == b"\5\0"
            server.hurries = None
            server.all[-1].send_break(lease_break(os.urandom(16)))
            proxy.wait_event("upstream_forged", reason="break_of_unknown_lease", leg="upstream")
            session.must(smb2.FLUSH, bodies.flush(FILE_ID))
            assert not client.notifications


def test_break_says_another_session():
    with hasty() as (server, proxy, connect):
        client, alice = enter(connect)
        with client:
            bob = client.login("bob")
            bob.tree_connect()
            alice.create("f", oplock=bodies.OPLOCK_BATCH)
            of_alice, of_bob = (server.all[-1].upstream_session(number) for number in (0, 1))
            server.all[-1].send_break(oplock_break(session_id=of_bob))
            proxy.wait_event("upstream_forged", reason="break_in_other_session", leg="upstream")
            server.all[-1].send_break(oplock_break(session_id=of_alice))
            told = client.notification()
            assert told.session_id == alice.id and told.body[8:] == FILE_ID
            bob.must(smb2.FLUSH, bodies.flush(FILE_ID))
            assert not client.notifications


def test_lease_break_on_another_connection_of_the_client():
    """Links of one ClientGuid know each other's leases, and nobody else's. The client is told on the
    connection on which the file server tells it."""
    key = os.urandom(16)
    with hasty(proxy={"workers": 3}) as (server, proxy, connect):
        first, one = enter(connect)
        others = [enter(connect, guid=first.guid) for _ in range(4)]
        stranger, foreign = enter(connect, "bob")
        one.create("f", oplock=bodies.OPLOCK_LEASE, contexts=bodies.lease_context(key))
        for number, (client, session) in enumerate(others):
            server.all[1 + number].send_break(lease_break(key))
            assert client.notification().body[8:24] == key
            session.must(smb2.OPLOCK_BREAK, bodies.lease_acknowledge(key, 1))
        assert not [event for event in proxy.seen() if is_bad(event)]
        server.all[-1].send_break(lease_break(key))
        proxy.wait_event("upstream_forged", reason="break_of_unknown_lease", user=None)
        foreign.must(smb2.FLUSH, bodies.flush(FILE_ID))
        assert not stranger.notifications and not first.notifications
        for client in (first, stranger, *(client for client, _ in others)):
            client.__exit__()


# What is cancelled, and what comes of it.

class Waiting(Conversation):
    """Lets each READ wait, with an interim response, until the test or a CANCEL ends it."""

    def __init__(self, stub, client):
        super().__init__(stub, client)
        self.stub.last = self

    def _handle(self, message):
        super()._handle(message)
        if message.command == smb2.CANCEL:
            self.stub.cancelled.set()

    def _read(self, message, key):
        self.waits = (message, key)
        self._send(self._response(message, ERROR_BODY, PENDING, tree=ASYNC_ID, flags=ASYNC))
        self.stub.began.set()

    def finish(self):
        message, key = self.waits
        self._answer(message, key, self._data(), tree=ASYNC_ID, flags=ASYNC)


@contextmanager
def waiting(hold):
    StubServer.began, StubServer.cancelled = threading.Event(), threading.Event()
    with before(Waiting, proxy={"extra": {"limits": {"interim_hold": hold}}}) as (server, proxy, connect):
        client, session = enter(connect)
        with client:
            message_id = client.send(smb2.READ, READ_ALL, session)
            assert server.began.wait(5)
            # Behind the interim response on its way back, which so has come to Countersign.
            session.must(smb2.FLUSH, bodies.flush(FILE_ID))
            yield server, client, session, message_id
            session.must(smb2.FLUSH, bodies.flush(FILE_ID))
            assert message_id not in client.answers, "answered twice"
        assert not [event for event in proxy.seen() if is_bad(event)]


def cancels(server):
    return [message for message in server.requests if message.command == smb2.CANCEL]


@pytest.mark.parametrize("hold", [0, HOLD], ids=["after its interim response", "while that is held back"])
def test_cancel_comes_too_late(hold):
    """The file server had done it already, and says so: that is the one answer."""
    with waiting(hold) as (server, client, session, message_id):
        if not hold:
            assert client.interim().message_id == message_id
        client.send(smb2.CANCEL, bodies.empty(), session, message_id=message_id)
        assert server.cancelled.wait(5)
        server.last.finish()
        answer = client.answer(message_id)
        assert bodies.read_data(answer) == CONTENT and bool(answer.flags & ASYNC) == (not hold)
        assert not client.interims
        asked, = cancels(server)
        assert asked.flags & ASYNC and asked.tree == ASYNC_ID


def test_cancel_of_what_has_been_answered():
    """It goes nowhere: its MessageId is nobody's any more, and neither is its AsyncId."""
    with waiting(0) as (server, client, session, message_id):
        told = client.interim()
        server.last.finish()
        client.answer(message_id)
        for how in ({}, {"flags": ASYNC, "async_id": told.tree}):
            client.send(smb2.CANCEL, bodies.empty(), session, message_id=message_id, **how)
        session.must(smb2.FLUSH, bodies.flush(FILE_ID))
        assert not cancels(server)


def test_waiting_with_the_only_credit():
    """While something waits the client can go on with the credit that the interim response brought,
    where the file server never gives more than one, as it could without us."""
    StubServer.began, StubServer.cancelled = threading.Event(), threading.Event()
    with before(Waiting, spoil=lambda raw: smb2.replace_header(raw, credits=1)) as (server, _, connect):
        client, session = enter(connect)
        with client:
            assert client.credits == 1
            message_id = client.send(smb2.READ, READ_ALL, session)
            assert client.interim().message_id == message_id and client.credits == 1
            for _ in range(5):
                session.must(smb2.FLUSH, bodies.flush(FILE_ID))
                assert client.credits == 1
            client.send(smb2.CANCEL, bodies.empty(), session, message_id=message_id)
            assert server.cancelled.wait(5)
            server.last.finish()
            assert bodies.read_data(client.answer(message_id)) == CONTENT


# Shares that are elsewhere.

REDIRECT = struct.pack("<IIHHIII", 48 + 24, 3, 0, 0, 0, 48, 24) + bytes(8) + "\\\\192.0.2.99".encode(
    "utf-16-le").ljust(40, b"\0")


def error(*contexts):
    """An error body with contexts, as 3.1.1 has it (2.2.2)."""
    packed = b""
    for kind, data in contexts:
        packed = smb2.align8(packed) + struct.pack("<II", len(data), kind) + data
    return struct.pack("<HBBI", 9, len(contexts), 0, len(packed)) + packed


class Moved(Joining):
    """Answers a TREE_CONNECT of `gone` with `stub.tells`, (status, body)."""

    ALONE = ()

    def _command(self, message, key):
        if message.command == smb2.TREE_CONNECT and "gone".encode("utf-16-le") in message.raw:
            self._answer(message, key, self.stub.tells[1], self.stub.tells[0])
        else:
            super()._command(message, key)


@pytest.mark.parametrize("tells,reason", [
    ((smb2.BAD_NETWORK_NAME, error((0x72645253, REDIRECT))), "share_redirect"),
    ((0xC05D0001, error((0, struct.pack("<H", 0x302)))), "cluster_dialect")], ids=["redirect", "dialect"])
@pytest.mark.parametrize("chained", [False, True], ids=["alone", "in a chain"])
@pytest.mark.parametrize("dialects", [[0x210], [0x300, 0x302], [0x311]], ids=["2.1", "3.0.2", "3.1.1"])
def test_share_that_is_elsewhere(dialects, chained, tells, reason):
    """The client hears that it is not here: neither of another address, nor that less would do."""
    with before(Moved) as (server, proxy, connect):
        server.tells, server.joins, server.pads_last = tells, 0, False
        client, session = enter(connect, dialects=dialects)
        with client:
            request = (smb2.TREE_CONNECT, bodies.tree_connect("\\\\nas\\gone"))
            if chained:
                server.joins = 2
                answer, _ = client.compound([request, (smb2.FLUSH, bodies.flush(FILE_ID))], session,
                                            related=False)
                server.joins = 0
            else:
                answer = session.ask(*request)
            assert answer.status == smb2.BAD_NETWORK_NAME
            assert answer.body.rstrip(b"\0") == b"\x09"
            session.must(smb2.FLUSH, bodies.flush(FILE_ID))
        proxy.wait_event("bypass_refused", reason=reason, leg="upstream", verdict="refused")


# Handles that are resilient, and contexts that are nobody's business.

class Resilient(Conversation):
    def _ioctl(self, message, key):
        if struct.unpack_from("<I", message.raw, 68)[0] != RESILIENCY:
            super()._ioctl(message, key)
            return
        self._answer(message, key, struct.pack("<HHI16sIIIIII", 49, 0, RESILIENCY, FILE_ID, 112, 0, 112, 0,
                                               0, 0))


def resilient(session):
    return session.ask(smb2.IOCTL, bodies.ioctl(RESILIENCY, struct.pack("<II", 60000, 0), FILE_ID))


def reopened(session):
    """The status of having the handle back."""
    return session.ask(smb2.CREATE, bodies.create("f", contexts=chain((b"DHnC", FILE_ID)))).status


@pytest.mark.parametrize("login", ["same", "mapped"])
def test_resilient_handle(login):
    """Asked for by an FSCTL, and had back like a durable one: where the file server sees one owner of
    everything, only by whom it was given to."""
    account = ("alice", USERS["alice"])
    with before(Resilient, proxy={"login": [login], "workers": 2,
                                  "mapped": {"alice": account, "bob": account}}) as (_, proxy, connect):
        client, session = enter(connect)
        session.create("f")
        if login == "mapped":
            assert reopened(session) == smb2.OBJECT_NAME_NOT_FOUND
            proxy.wait_event("foreign_session", reason="durable_handle_unknown")
        assert resilient(session).status == SUCCESS
        client.__exit__()
        proxy.wait_event("link_ended")
        client, session = enter(connect, "bob")
        with client:
            if login == "mapped":
                assert reopened(session) == smb2.OBJECT_NAME_NOT_FOUND
                proxy.wait_event("foreign_session", reason="durable_handle_of_another", user="bob")
        client, session = enter(connect)
        with client:
            assert reopened(session) == SUCCESS


def test_create_contexts_are_not_touched():
    """Neither those that mean something to us nor those that mean nothing to anybody."""
    application = b"\x45\xbc\xa6\x6a\xef\xa7\xf7\x4a\x90\x08\xfa\x46\x2e\x14\x4d\x74"
    contexts = chain(
        (b"RqLs", struct.pack("<16sIIQ16sHH", os.urandom(16), 0x7, 0x4, 0, os.urandom(16), 9, 0)),
        (b"DH2Q", struct.pack("<IIQ16s", 60000, 0x2, 0, os.urandom(16))),
        (application, struct.pack("<HH16s", 20, 0, os.urandom(16))),
        (b"MxAc", struct.pack("<Q", 1)), (b"QFid", b""), (b"AlSi", struct.pack("<Q", 5)),
        (b"TWrp", struct.pack("<Q", 130000000000000000)), (b"ExtA", bytes(8)),
        (b"AAPL", os.urandom(24)), (b"what is this?", os.urandom(33)))
    body = bodies.create("f", oplock=bodies.OPLOCK_LEASE, contexts=contexts)
    with before(Conversation) as (server, _, connect):
        client, session = enter(connect)
        with client:
            session.must(smb2.CREATE, body)
            assert server.requests[-1].body == body


class DirectoryLeasing(Conversation):
    @staticmethod
    def _capabilities(dialect):
        return Conversation._capabilities(dialect) | (0x22 if dialect >= 0x300 else 0)


class Boastful(Conversation):
    @staticmethod
    def _capabilities(dialect):
        return 0xFFFFFFFF


@pytest.mark.parametrize("dialects,carried", [([0x202], 0), ([0x210], 0x6), ([0x300], 0x26), ([0x311], 0x26)],
                         ids=["2.0.2", "2.1", "3.0", "3.1.1"])
def test_capabilities_that_are_not_carried(dialects, carried):
    """DFS, multichannel, persistent handles, notifications to clients, and what is not known yet; below
    3.1.1 encryption is our own, not the file server's."""
    with before(Boastful) as (_, _, connect), connect() as client:
        answer = client.negotiate(dialects=dialects, capabilities=0xFFFFFFBF)
        assert answer.capabilities == carried
        client.login().tree_connect()


def test_directory_leases():
    """Offered to who asks for them, where the file server has them; their breaks come through."""
    key = os.urandom(16)
    asks = {"capabilities": 0x27}

    class Both(DirectoryLeasing, Hasty):
        pass

    StubServer.all, StubServer.hurries = [], None
    with before(Both) as (server, proxy, connect):
        with connect() as modest:
            assert modest.negotiate().capabilities & 0x22 == 0x2
        with connect() as old:
            assert old.negotiate(dialects=[0x210], **asks).capabilities & 0x20 == 0
        client, session = enter(connect, **asks)
        with client:
            assert client.negotiated.capabilities & 0x22 == 0x22
            lease = chain((b"RqLs", struct.pack("<16sIIQ16sHH", key, 0x3, 0, 0, bytes(16), 1, 0)))
            session.create("d", oplock=bodies.OPLOCK_LEASE, contexts=lease, options=bodies.DIRECTORY_FILE)
            server.all[-1].send_break(lease_break(key))
            assert client.notification().body[8:24] == key
        assert not [event for event in proxy.seen() if is_bad(event)]
    with before(Conversation) as (_, _, connect), connect() as client:
        assert not client.negotiate(**asks).capabilities & 0x20
