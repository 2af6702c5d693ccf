"""Two clients contend for the same files, one through the proxy and one at the file server itself.

Whatever one holds keeps the other out exactly as if both were direct, whichever of them it is. The
file server arbitrates everything itself: nothing of it goes through this machine's kernel.
"""

import os
import select
import struct

import pytest

import bodies
import smb2
from nas import Nas
from rawclient import RawClient

CANCELLED = 0xC0000120
SHARING_VIOLATION = 0xC0000043
FILE_LOCK_CONFLICT = 0xC0000054
LOCK_NOT_GRANTED = 0xC0000055
RANGE_NOT_LOCKED = 0xC000007E
SHARED, EXCLUSIVE, UNLOCK, AT_ONCE = 0x1, 0x2, 0x4, 0x10
READ_LEASE, HANDLE_LEASE, WRITE_LEASE = 0x1, 0x2, 0x4
READ_WRITE, DELETE = 0x0012019F, 0x00010000
ADDED, OLD_NAME, NEW_NAME = 1, 4, 5


@pytest.fixture(scope="module")
def nas():
    with Nas(extra={"kernel oplocks": "no", "kernel change notify": "no"},
             share_options={"kernel share modes": "no", "posix locking": "no"}) as server:
        yield server


class Party:
    """One of the two who contend: its connection and its session."""

    def __init__(self, client, session):
        self.client, self.session = client, session

    def open(self, name, access=READ_WRITE, **options):
        return self.session.create(name, access=access, disposition=bodies.OPEN, **options)

    def lock(self, file_id, *where, flags=EXCLUSIVE | AT_ONCE):
        """The status of a byte-range lock or unlock."""
        return self.session.ask(smb2.LOCK, bodies.lock(file_id, *where, flags=flags)).status

    def begin(self, command, body):
        """Sends a request that cannot be answered yet, and waits until it is known to wait."""
        waiting = self.client.send(command, body, self.session)
        assert self.client.interim().message_id == waiting
        return waiting

    def served(self, waiting, file_id):
        """The status of a LOCK that waited. smbd 4.17 loses a waiter's wake-up once in a while, also with
        nobody in between: any other lock on the file repeats it."""
        for _ in range(5):
            if select.select([self.client.socket], [], [], 1)[0] or waiting in self.client.answers:
                break
            self.lock(file_id, 99, 1)
            self.lock(file_id, 99, 1, flags=UNLOCK)
        return self.client.answer(waiting).status

    def begin_open(self, name, **options):
        """Sends a CREATE that waits for a break of somebody else's."""
        body = bodies.create(name, access=READ_WRITE, disposition=bodies.OPEN, **options)
        return self.client.send(smb2.CREATE, body, self.session)

    def opened(self, waiting):
        """The FileId of such a CREATE, once it is answered."""
        answer = self.client.answer(waiting)
        assert answer.status == smb2.SUCCESS, hex(answer.status)
        return bodies.created_file_id(answer)

    def watch(self, name="", tree=False):
        """Asks for the next change in a directory, which the caller keeps open: the MessageId."""
        directory = self.session.create(name, options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                                        access=bodies.READ_ACCESS)
        body = bodies.change_notify(directory)
        return directory, self.begin(smb2.CHANGE_NOTIFY, body[:2] + bytes([tree, 0]) + body[4:])


@pytest.fixture(params=["proxied holds", "direct holds"])
def parties(rig, request):
    """(holder, contender), one proxied and one direct; both legs are checked afterwards."""
    with open(os.path.join(rig.server.share, "f"), "wb") as file:
        file.write(b"0123456789" * 10)
    os.chmod(file.name, 0o666)
    proxied = Party(*rig.established("alice"))
    with proxied.client, RawClient(rig.server.address, rig.server.port) as client:
        client.negotiate()
        direct = Party(client, client.login("bob"))
        direct.session.tree_connect()
        yield (proxied, direct) if request.param == "proxied holds" else (direct, proxied)
        client.socket.close()
    rig.assert_both_legs_signed()
    assert not [event for event in rig.proxy.seen() if event["severity"] in ("warning", "error")]


def test_exclusive_range_keeps_the_other_out(parties):
    holder, contender = parties
    mine, theirs = holder.open("f"), contender.open("f")
    assert holder.lock(mine, 10, 20) == smb2.SUCCESS
    for where in ((10, 20), (29, 1), (0, 11), (15, 1)):
        assert contender.lock(theirs, *where) == LOCK_NOT_GRANTED
    for where in ((0, 10), (30, 70)):
        assert contender.lock(theirs, *where) == smb2.SUCCESS
    for command, body in ((smb2.READ, bodies.read(theirs, 5, 12)),
                          (smb2.WRITE, bodies.write(theirs, b"x", 29))):
        assert contender.session.ask(command, body).status == FILE_LOCK_CONFLICT
    assert holder.session.read(mine, 5, 12) == b"23456"
    assert contender.lock(theirs, 10, 20, flags=UNLOCK) == RANGE_NOT_LOCKED
    assert holder.lock(mine, 10, 20, flags=UNLOCK) == smb2.SUCCESS
    assert contender.lock(theirs, 10, 20) == smb2.SUCCESS
    assert holder.lock(mine, 10, 20) == LOCK_NOT_GRANTED


def test_shared_range_is_shared(parties):
    holder, contender = parties
    mine, theirs = holder.open("f"), contender.open("f")
    assert holder.lock(mine, 0, 10, flags=SHARED | AT_ONCE) == smb2.SUCCESS
    assert contender.lock(theirs, 0, 10, flags=SHARED | AT_ONCE) == smb2.SUCCESS
    assert contender.session.read(theirs, 3) == b"012"
    assert contender.session.ask(smb2.WRITE, bodies.write(theirs, b"x")).status == FILE_LOCK_CONFLICT
    assert contender.lock(theirs, 5, 1) == LOCK_NOT_GRANTED


@pytest.mark.parametrize("freed_by", ["unlock", "close", "logoff", "a cut connection"])
def test_wait_for_a_range_ends_when_it_is_free(rig, parties, freed_by):
    holder, contender = parties
    mine, theirs = holder.open("f"), contender.open("f")
    assert holder.lock(mine, 0, 10) == smb2.SUCCESS
    waiting = contender.begin(smb2.LOCK, bodies.lock(theirs, 5, 1, flags=EXCLUSIVE))
    if freed_by == "unlock":
        holder.lock(mine, 0, 10, flags=UNLOCK)
    elif freed_by == "close":
        holder.session.close(mine)
    elif freed_by == "logoff":
        holder.session.logoff()
    else:
        holder.client.socket.close()
    assert contender.served(waiting, theirs) == smb2.SUCCESS
    assert contender.lock(theirs, 5, 1, flags=UNLOCK) == smb2.SUCCESS


def test_wait_for_a_range_is_given_up(parties):
    """One waits and gives up; the next who waits is served, the first is not."""
    holder, contender = parties
    mine, theirs = holder.open("f"), contender.open("f")
    assert holder.lock(mine, 0, 10) == smb2.SUCCESS
    first = contender.begin(smb2.LOCK, bodies.lock(theirs, 0, 1, flags=EXCLUSIVE))
    second = contender.begin(smb2.LOCK, bodies.lock(theirs, 4, 1, flags=EXCLUSIVE))
    contender.client.send(smb2.CANCEL, bodies.empty(), contender.session, message_id=first)
    assert contender.client.answer(first).status == CANCELLED
    holder.lock(mine, 0, 10, flags=UNLOCK)
    assert contender.served(second, theirs) == smb2.SUCCESS
    assert holder.lock(mine, 0, 1) == smb2.SUCCESS
    assert holder.lock(mine, 4, 1) == LOCK_NOT_GRANTED


@pytest.mark.parametrize("share, access, status", [
    (0x0, bodies.READ_ACCESS, SHARING_VIOLATION), (0x1, bodies.READ_ACCESS, smb2.SUCCESS),
    (0x1, READ_WRITE, SHARING_VIOLATION), (0x3, READ_WRITE, smb2.SUCCESS),
    (0x3, DELETE, SHARING_VIOLATION), (0x7, bodies.READ_ACCESS, smb2.SUCCESS)])
def test_share_mode_is_kept(parties, share, access, status):
    holder, contender = parties
    mine = holder.open("f", share=share)
    body = bodies.create("f", access=access, disposition=bodies.OPEN)
    assert contender.session.ask(smb2.CREATE, body).status == status
    holder.session.close(mine)
    assert contender.session.ask(smb2.CREATE, body).status in (smb2.SUCCESS, smb2.ACCESS_DENIED)


def test_access_is_held_against_a_later_share_mode(parties):
    holder, contender = parties
    holder.open("f")
    for share, status in ((0x1, SHARING_VIOLATION), (0x3, smb2.SUCCESS)):
        body = bodies.create("f", access=bodies.READ_ACCESS, disposition=bodies.OPEN, share=share)
        assert contender.session.ask(smb2.CREATE, body).status == status


@pytest.mark.parametrize("how", ["acknowledged", "closed instead"])
def test_batch_oplock_is_broken(parties, how):
    """What the holder still kept for itself is written before the other may look."""
    holder, contender = parties
    mine = holder.open("f", oplock=bodies.OPLOCK_BATCH)
    waiting = contender.begin_open("f")
    told = holder.client.notification()
    assert told.body[8:24] == mine and told.body[2] == bodies.OPLOCK_LEVEL_2
    holder.session.write(mine, b"kept back")
    if how == "acknowledged":
        body = bodies.oplock_acknowledge(mine, bodies.OPLOCK_LEVEL_2)
        assert holder.session.must(smb2.OPLOCK_BREAK, body).body[2] == bodies.OPLOCK_LEVEL_2
    else:
        holder.session.close(mine)
    assert contender.session.read(contender.opened(waiting), 9) == b"kept back"
    assert not contender.client.notifications


def test_level_2_oplock_is_broken_by_a_write(parties):
    """Nobody acknowledges that one: it only says that what was read is old."""
    holder, contender = parties
    mine, theirs = holder.open("f", oplock=bodies.OPLOCK_LEVEL_2), contender.open("f")
    contender.session.write(theirs, b"changed")
    told = holder.client.notification()
    assert told.body[8:24] == mine and told.body[2] == bodies.OPLOCK_NONE
    assert holder.session.read(mine, 7) == b"changed"


def lease(key, state, epoch=0):
    """A lease of version 2, as 3.x has it (2.2.13.2.10)."""
    data = struct.pack("<16sIIQ16sHH", key, state, 0, 0, bytes(16), epoch, 0)
    return {"oplock": bodies.OPLOCK_LEASE, "contexts": bodies.create_context(b"RqLs", data)}


def test_lease_is_broken_in_steps(parties):
    """By a reader it loses the writing; by a writer then the rest, with its epoch counted on."""
    holder, contender = parties
    key = os.urandom(16)
    mine = holder.open("f", **lease(key, READ_LEASE | HANDLE_LEASE | WRITE_LEASE))
    waiting = contender.begin_open("f")
    told = holder.client.notification()
    epoch, flags = struct.unpack_from("<HI", told.body, 2)
    before, after = struct.unpack_from("<II", told.body, 24)
    assert told.body[8:24] == key and flags == 1
    assert (before, after) == (7, READ_LEASE | HANDLE_LEASE)
    holder.session.write(mine, b"kept back")
    holder.session.must(smb2.OPLOCK_BREAK, bodies.lease_acknowledge(key, after))
    theirs = contender.opened(waiting)
    assert contender.session.read(theirs, 9) == b"kept back"
    contender.session.write(theirs, b"changed")
    told = holder.client.notification()
    assert told.body[8:24] == key
    assert struct.unpack_from("<II", told.body, 24) == (READ_LEASE | HANDLE_LEASE, 0)
    assert struct.unpack_from("<H", told.body, 2)[0] == epoch + 1
    assert holder.session.read(mine, 7) == b"changed"


def test_handle_lease_gives_way_to_who_needs_the_file_alone(parties):
    """The holder has closed the file and keeps the handle for later; asked for it, it lets go."""
    holder, contender = parties
    key = os.urandom(16)
    mine = holder.open("f", share=0x1, **lease(key, READ_LEASE | HANDLE_LEASE))
    waiting = contender.begin_open("f", share=0x7)
    told = holder.client.notification()
    assert told.body[8:24] == key and struct.unpack_from("<I", told.body, 28)[0] == READ_LEASE
    holder.session.close(mine)
    contender.opened(waiting)


def changes(message):
    """What a CHANGE_NOTIFY response tells: (action, name) each (MS-FSCC 2.7.1)."""
    at, size = struct.unpack_from("<HI", message.raw, 66)
    data, found = message.raw[at:at + size], []
    while data:
        following, action, length = struct.unpack_from("<III", data)
        found.append((action, data[12:12 + length].decode("utf-16-le")))
        data = data[following:] if following else b""
    return found


def test_change_by_the_other_is_notified(parties):
    holder, contender = parties
    directory, waiting = holder.watch()
    made = contender.session.create("new")
    answer = holder.client.answer(waiting)
    assert (ADDED, "new") in changes(answer)
    waiting = holder.begin(smb2.CHANGE_NOTIFY, bodies.change_notify(directory))
    name = "renamed".encode("utf-16-le")
    rename = struct.pack("<B7xQI", 0, 0, len(name)) + name
    contender.session.must(smb2.SET_INFO, bodies.set_info(made, bodies.FILE_RENAME_INFORMATION, rename))
    told = changes(holder.client.answer(waiting))
    assert (OLD_NAME, "new") in told
    if (NEW_NAME, "renamed") not in told:  # in an answer of its own, to the next request
        again = holder.client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), holder.session)
        assert (NEW_NAME, "renamed") in changes(holder.client.answer(again))


def test_change_below_is_notified_to_who_asked_for_it(parties):
    holder, contender = parties
    contender.session.close(contender.session.create("below", options=bodies.DIRECTORY_FILE))
    _, near = holder.watch()
    _, far = holder.watch(tree=True)
    contender.session.close(contender.session.create("below\\new"))
    assert (ADDED, "below\\new") in changes(holder.client.answer(far))
    holder.session.must(smb2.ECHO, bodies.empty())
    assert near not in holder.client.answers
