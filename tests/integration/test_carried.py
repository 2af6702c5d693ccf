"""What must keep its meaning through the proxy: locks, waits, notifications, breaks, chains.

Each at the highest and the lowest client dialect, before file servers of three dialects; at the end
of each test every message of both legs is checked.
"""

import os
import select

import pytest

import bodies
import smb2
from nas import Nas
from rig import Rig
from smb2 import ASYNC

CANCELLED = 0xC0000120
LOCK_NOT_GRANTED = 0xC0000055


@pytest.fixture(scope="module", params=["2.0.2", "2.1", "3.1.1"])
def old_and_new(request):
    with Nas(max_dialect=request.param) as nas, Rig(nas) as rig:
        rig.upstream_dialect = smb2.DIALECTS[request.param]
        yield rig


@pytest.fixture(params=["2.0.2", "3.1.1"])
def pair(old_and_new, request):
    """Two users on two connections: (rig, (client, session), (client, session))."""
    rig = old_and_new
    rig.reset()
    rig.server.empty_share()
    dialects = [smb2.DIALECTS[request.param]]
    alice, bob = rig.established("alice", dialects), rig.established("bob", dialects)
    with alice[0], bob[0]:
        yield rig, alice, bob
    rig.assert_both_legs_signed()
    rig.proxy.assert_healthy()
    # One address that speaks now one dialect and now another is told of.
    assert not [event for event in rig.proxy.seen() if event["severity"] in ("warning", "error")
                and event["event"] != "downgrade"]


def shared(session, name, **options):
    """A file that both may write: its FileId."""
    return session.create(name, access=0x0012019F, **options)


def make_shared(rig, name, content=b""):
    path = os.path.join(rig.server.share, name)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o666)


def test_lock_is_a_lock(pair):
    """One waits for the other's lock, is told so, and gets it when it is free."""
    rig, (_, alice), (client, bob) = pair
    make_shared(rig, "f", b"x" * 10)
    of_alice, of_bob = shared(alice, "f"), shared(bob, "f")
    alice.must(smb2.LOCK, bodies.lock(of_alice))
    assert bob.ask(smb2.LOCK, bodies.lock(of_bob)).status == LOCK_NOT_GRANTED
    waiting = client.send(smb2.LOCK, bodies.lock(of_bob, flags=0x2), bob)
    told = client.interim()
    assert told.message_id == waiting and told.flags & ASYNC and not told.flags & smb2.SIGNED
    alice.must(smb2.LOCK, bodies.lock(of_alice, flags=0x4))
    answer = client.answer(waiting)
    assert answer.status == smb2.SUCCESS
    assert answer.flags & ASYNC and answer.tree == told.tree


@pytest.mark.parametrize("by", ["MessageId", "AsyncId"])
def test_wait_is_cancelled(pair, by):
    rig, (_, alice), (client, bob) = pair
    make_shared(rig, "f", b"x" * 10)
    of_alice, of_bob = shared(alice, "f"), shared(bob, "f")
    alice.must(smb2.LOCK, bodies.lock(of_alice))
    waiting = client.send(smb2.LOCK, bodies.lock(of_bob, flags=0x2), bob)
    told = client.interim()
    how = {"flags": ASYNC, "async_id": told.tree} if by == "AsyncId" else {}
    # The client may repeat itself; upstream a second CANCEL could repeat a nonce, and must not go on.
    for _ in range(2):
        client.send(smb2.CANCEL, bodies.empty(), bob, message_id=waiting, **how)
    assert client.answer(waiting).status == CANCELLED
    cancels = rig.at_server(smb2.CANCEL)
    assert len(cancels) == 1 and not client.answers
    bob.must(smb2.ECHO, bodies.empty())


def test_change_is_notified(pair):
    _, (client, alice), (_, bob) = pair
    directory = alice.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                             access=bodies.READ_ACCESS)
    waiting = client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), alice)
    assert client.interim().message_id == waiting
    # smbd's notify daemon may hear of the watch only after the first change: bob goes on until then.
    for number in range(20):
        bob.close(bob.create(f"appeared{number}"))
        if select.select([client.socket], [], [], 0.5)[0]:
            break
    answer = client.answer(waiting)
    assert answer.status == smb2.SUCCESS and "appeared".encode("utf-16-le") in answer.raw
    assert client.interims == []


def test_oplock_is_broken(pair):
    """The break comes to the connection that holds the oplock, names its open, and is answered."""
    rig, (client, alice), (other, bob) = pair
    make_shared(rig, "f", b"x")
    file_id = shared(alice, "f", oplock=bodies.OPLOCK_BATCH)
    waiting = other.send(smb2.CREATE, bodies.create("f", access=0x0012019F), bob)
    told = client.notification()
    assert told.command == smb2.OPLOCK_BREAK and not told.flags & smb2.SIGNED
    assert told.body[8:24] == file_id
    level = told.body[2]
    answer = alice.must(smb2.OPLOCK_BREAK, bodies.oplock_acknowledge(file_id, level))
    assert answer.body[2] == level
    assert other.answer(waiting).status == smb2.SUCCESS
    assert not other.notifications


def test_lease_is_broken(pair):
    """A lease is named by its key, of the client's own choice."""
    rig, (client, alice), (other, bob) = pair
    needed = 0x300 if client.negotiated.dialect >= 0x300 else 0x210  # leases of 3.x count epochs
    if client.negotiated.dialect < 0x210 or rig.upstream_dialect < needed:
        assert not client.negotiated.capabilities & 0x2, "leases offered that cannot be had"
        return
    assert client.negotiated.capabilities & 0x2
    make_shared(rig, "f", b"x")
    key = os.urandom(16)
    shared(alice, "f", oplock=bodies.OPLOCK_LEASE, contexts=bodies.lease_context(key))
    waiting = other.send(smb2.CREATE, bodies.create("f", access=0x0012019F), bob)
    told = client.notification()
    assert told.body[:2] == b"\x2c\0" and told.body[8:24] == key
    new_state = int.from_bytes(told.body[28:32], "little")
    alice.must(smb2.OPLOCK_BREAK, bodies.lease_acknowledge(key, new_state))
    assert other.answer(waiting).status == smb2.SUCCESS


def test_many_requests_in_flight(pair):
    """As many as there are credits, answered each to its own MessageId."""
    rig, (client, alice), _ = pair
    content = os.urandom(4096 * 60)
    make_shared(rig, "f", content)
    file_id = shared(alice, "f")
    while client.credits < 60:
        alice.must(smb2.ECHO, bodies.empty())
    asked = {client.send(smb2.READ, bodies.read(file_id, 4096, 4096 * part), alice): part
             for part in range(60)}
    for message_id, part in asked.items():
        data = bodies.read_data(client.answer(message_id))
        assert data == content[4096 * part:4096 * (part + 1)]


def test_chains(pair):
    """Related, unrelated, of two sessions, and one whose first part fails."""
    rig, (client, alice), (_, _) = pair
    other = client.login("bob")
    other.tree_connect()
    make_shared(rig, "f", b"content")
    reading = dict(access=bodies.READ_ACCESS, disposition=bodies.OPEN)
    answers = client.compound([(smb2.CREATE, bodies.create("f", **reading)),
                               (smb2.READ, bodies.read(bodies.NO_FILE, 7)),
                               (smb2.CLOSE, bodies.close(bodies.NO_FILE))], alice)
    assert [answer.status for answer in answers] == [0, 0, 0]
    assert bodies.read_data(answers[1]) == b"content"
    failing = client.compound([(smb2.CREATE, bodies.create("absent", **reading)),
                               (smb2.READ, bodies.read(bodies.NO_FILE, 7)),
                               (smb2.CLOSE, bodies.close(bodies.NO_FILE))], alice)
    assert [answer.status for answer in failing] == [smb2.OBJECT_NAME_NOT_FOUND] * 3
    mixed = client.compound([
        (smb2.ECHO, bodies.empty()),
        (smb2.CREATE, bodies.create("f", **reading)),
        (smb2.ECHO, bodies.empty())], alice, related=False, owners=[alice, other, alice])
    assert [answer.status for answer in mixed] == [0, 0, 0]


def test_large_transfers(pair):
    """Up to the sizes that were negotiated, with the credits that they cost."""
    rig, (client, alice), _ = pair
    _, most_read, most_write = client.negotiated.sizes
    size = min(most_read, most_write, 1 << 20)
    assert size >= 65536
    if client.negotiated.dialect >= 0x210 and rig.upstream_dialect >= 0x210:
        assert size == 1 << 20, "multi-credit transfers are not offered"
    data, charge = os.urandom(size), (size - 1) // 65536 + 1
    cost = {"credit_charge": charge} if client.negotiated.dialect >= 0x210 else {}
    file_id = alice.create("large")
    while client.credits < 2 * charge:
        alice.must(smb2.ECHO, bodies.empty())
    alice.write(file_id, data, **cost)
    assert alice.read(file_id, size, **cost) == data
    alice.close(file_id)
    with open(os.path.join(rig.server.share, "large"), "rb") as file:
        assert file.read() == data
