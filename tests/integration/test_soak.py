"""Mixed load from fifty connections: nothing lost, nothing changed, and no memory that only grows.

Two minutes; COUNTERSIGN_SOAK_MINUTES=30 (any number) makes it longer. The time is the bound, not the
work: a slow machine does less.
"""

import hashlib
import os
import random
import threading
import time
from contextlib import ExitStack

import pytest

import bodies
import smb2
from harness import wait_until
from memory import MIB, resident
from rawclient import RawClient
from rig import Rig
from smbtools import SmbClient

MINUTES = float(os.environ.get("COUNTERSIGN_SOAK_MINUTES", "2"))
RAW, PROGRAMS = 44, 6  # connections of our own client, and runs of smbclient at a time
WORKERS = 2
WARM_UP = 0.25         # of the time, until every buffer and table has its size
UNLOCK = 0x4


# AddressSanitizer keeps what was freed, 256 MiB of it, unless it is told not to: nothing could be seen.
QUARANTINE = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"


@pytest.fixture(scope="module")
def module_rig(nas):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASAN_OPTIONS", ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), QUARANTINE))))
        with Rig(nas, workers=WORKERS) as arrangement:
            yield arrangement


class Load:
    """What all the threads share: when to stop, and what went wrong."""

    def __init__(self):
        self.end = time.monotonic() + MINUTES * 60
        self.problems = []
        self.done = {}
        self._lock = threading.Lock()

    @property
    def over(self):
        return time.monotonic() > self.end or bool(self.problems)

    def count(self, what):
        with self._lock:
            self.done[what] = self.done.get(what, 0) + 1

    def run(self, work, *arguments):
        """A thread that repeats its work until the end."""
        def repeat():
            try:
                work(self, *arguments)
            except Exception as error:  # told by the test, with all others
                self.problems.append(f"{work.__name__} {arguments[-1]}: {error!r}")
        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        return thread


class User:
    """One connection of our own client that knows what it has written."""

    def __init__(self, load, rig, number):
        self.load, self.number = load, number
        self.chance = random.Random(number)
        self.name = f"user{number}"
        self.digests = {}  # offset → (size, digest)
        self.client = RawClient(*rig.direct, timeout=60)
        self.client.negotiate(dialects=[[0x202], [0x210], [0x300, 0x302], [0x311]][number % 4])
        self.login()

    def login(self):
        self.session = self.client.login(["alice", "bob"][self.number % 2])
        self.session.tree_connect()
        self.file = self.session.create(self.name)

    def write(self):
        """Some parts at once, each in a place and of a size of its own."""
        asked = []
        for offset in self.chance.sample([place << 16 for place in range(8)], min(4, self.client.credits)):
            data = self.chance.randbytes(self.chance.choice([1, 500, 4096, 65536]))
            asked.append(self.client.send(smb2.WRITE, bodies.write(self.file, data, offset), self.session))
            self.digests[offset] = len(data), hashlib.sha256(data).digest()
        for message_id in asked:
            self.must(message_id)

    def must(self, message_id):
        answer = self.client.answer(message_id)
        assert answer.status == smb2.SUCCESS, f"{answer.name} {answer.status:#x}"
        return answer

    def read(self):
        """All of what was written, asked for at once as far as credits go."""
        places = list(self.digests)[:max(1, self.client.credits - 1)]
        asked = [(offset, self.client.send(smb2.READ, bodies.read(self.file, self.digests[offset][0], offset),
                                           self.session)) for offset in places]
        for offset, message_id in asked:
            data = bodies.read_data(self.must(message_id))
            assert hashlib.sha256(data).digest() == self.digests[offset][1], f"{self.name} at {offset}"

    def small(self):
        """Names, locks, attributes: many small messages."""
        session = self.session
        directory = session.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                                   access=bodies.READ_ACCESS)
        session.must(smb2.QUERY_DIRECTORY, bodies.query_directory(directory, self.name))
        session.close(directory)
        session.must(smb2.LOCK, bodies.lock(self.file, 0, 10))
        session.must(smb2.LOCK, bodies.lock(self.file, 0, 10, flags=UNLOCK))
        session.must(smb2.QUERY_INFO, bodies.query_info(self.file))
        session.must(smb2.FLUSH, bodies.flush(self.file))
        session.close(session.create(f"{self.name}-gone", options=bodies.DELETE_ON_CLOSE))
        assert session.ask(smb2.READ, bodies.read(self.file, 1, 1 << 40)).status == smb2.END_OF_FILE

    def wait_and_give_up(self):
        directory = self.session.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                                        access=bodies.READ_ACCESS)
        waiting = self.client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), self.session)
        self.client.send(smb2.CANCEL, bodies.empty(), self.session, message_id=waiting)
        self.client.answer(waiting)
        self.client.interims.clear()
        self.session.close(directory)

    def log_in_again(self):
        """A session ends and another begins on the same connection."""
        self.session.close(self.file)
        self.session.logoff()
        self.client.sessions.clear()
        self.login()

    def step(self):
        work = self.chance.choices([self.write, self.read, self.small, self.wait_and_give_up,
                                    self.log_in_again], [8, 8, 4, 1, 0.3])[0]
        work()
        self.load.count(work.__name__)


def our_client(load, rig, number):
    """Stays connected for long, comes back now and then."""
    while not load.over:
        user = User(load, rig, number)
        with user.client:
            until = min(load.end, time.monotonic() + user.chance.uniform(5, 40))
            while time.monotonic() < until and not load.problems:
                user.step()
            user.read()
            user.session.logoff()
        load.count("connection")


def smbclient(load, rig, directory, number):
    """The program, again and again: a file there and back, compared."""
    chance = random.Random(-number)
    own = directory / f"smbclient{number}"
    own.mkdir()
    while not load.over:
        content = chance.randbytes(chance.choice([0, 10, 100000, 3 * MIB]))
        (own / "there").write_bytes(content)
        program = SmbClient(str(own), *rig.direct)
        program.must(f"put there smbclient{number}; get smbclient{number} back; rm smbclient{number}",
                     dialect=chance.choice(["2.0.2", "2.1", "3.0", "3.1.1"]), seconds=120)
        assert hashlib.sha256((own / "back").read_bytes()).digest() == hashlib.sha256(content).digest()
        load.count("smbclient")


def watch_memory(load, workers):
    """Samples of what all workers have, with their times, from the end of the warm-up on."""
    samples = []
    start, whole = time.monotonic(), MINUTES * 60
    while not load.over:
        if time.monotonic() - start > WARM_UP * whole:
            samples.append([resident(pid) for pid in workers])
        time.sleep(min(1.0, whole / 100))
    return samples


def assert_flat(samples):
    """The last third is not above the first by more than the margin: what fifty connections hold at a
    time comes and goes, what leaks stays."""
    third = len(samples) // 3
    assert third >= 5, "too few samples"
    for worker in range(WORKERS):
        of_worker = [sample[worker] for sample in samples]
        first, last = max(of_worker[:third]), min(of_worker[-third:])
        assert last < first + 4 * MIB, f"worker {worker}: {[size // 1024 for size in of_worker]}"


def test_mixed_load(rig, tmp_path):
    workers = rig.proxy.children("worker")
    assert len(workers) == WORKERS
    load = Load()
    with ExitStack() as stack:
        stack.callback(lambda: setattr(load, "end", 0))
        threads = [load.run(our_client, rig, number) for number in range(RAW)]
        threads += [load.run(smbclient, rig, tmp_path, number) for number in range(PROGRAMS)]
        samples = watch_memory(load, workers)
        for thread in threads:
            thread.join(180)
    assert not load.problems, load.problems[:5]
    assert not any(thread.is_alive() for thread in threads)
    print(f"\n{load.done}\nKiB: {[[size // 1024 for size in sample] for sample in samples[::10]]}")
    assert set(load.done) >= {"write", "read", "small", "wait_and_give_up", "connection", "smbclient"}
    assert rig.proxy.children("worker") == workers
    assert_flat(samples)
    nothing_was_lost(rig)


def nothing_was_lost(rig):
    """Every link ended because its client closed it; nothing was refused; every event was written."""
    links = len(rig.proxy.seen("link"))
    wait_until(lambda: len(rig.proxy.seen("link_ended")) >= links, "every link to end", 30)
    assert links >= RAW + PROGRAMS
    assert {event["reason"] for event in rig.proxy.seen("link_ended")} == {"client_closed"}
    # One address that speaks now one dialect and now another is told of.
    assert not [event for event in rig.proxy.seen() if event["severity"] in ("warning", "error")
                and event["event"] not in ("downgrade", "contexts_stripped")]
    assert not any("lost_before" in event for event in rig.proxy.seen())
