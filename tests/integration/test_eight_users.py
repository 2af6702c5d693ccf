"""A terminal server: eight users on one connection, each of them another account at the file server.

They do everything at the same time: a request of each is on its way before any answer is taken.
Responses are checked with the key of the session that asked, so a mix-up cannot go unseen.
"""

import os

import pytest

import bodies
import smb2
from nas import Nas
from rawclient import Failed, RawClient
from rig import Rig

NOTIFY_CLEANUP = 0x0000010B
READ_WRITE = 0x0012019F
ACCOUNTS = {f"acc{number}": f"Acc.Pw{number}" for number in range(8)}
PEOPLE = {f"user{number}": f"User.Pw{number}" for number in range(8)}
MAPPED = {user: (account, ACCOUNTS[account]) for user, account in zip(PEOPLE, ACCOUNTS)}


@pytest.fixture(scope="module")
def nas():
    with Nas(users=ACCOUNTS, extra={"kernel oplocks": "no", "kernel change notify": "no",
                                    "create mask": "0600"}) as server:
        yield server


@pytest.fixture(scope="module")
def module_rig(nas):
    with Rig(nas, users=PEOPLE, mapped=MAPPED, on_upstream={"login": ["mapped"]}) as arrangement:
        yield arrangement


class Crowd:
    """Eight sessions of one connection."""

    def __init__(self, client):
        self.client = client
        self.sessions = []

    def log_in(self):
        for user, password in PEOPLE.items():
            session = self.client.login(user, password)
            session.tree_connect()
            self.sessions.append(session)

    def all(self, command, body):
        """Sends a request in each session, then takes the answers; `body` is made for each number."""
        asked = [self.client.send(command, body(number), session)
                 for number, session in enumerate(self.sessions)]
        answers = [self.client.answer(message_id) for message_id in asked]
        for answer, session in zip(answers, self.sessions):
            assert answer.session_id == session.id
        return answers

    def must(self, command, body):
        answers = self.all(command, body)
        assert {answer.status for answer in answers} == {smb2.SUCCESS}
        return answers

    def create(self, name, **options):
        """Each opens a file or directory of its own: the FileIds."""
        answers = self.must(smb2.CREATE, lambda number: bodies.create(name(number), **options))
        return [bodies.created_file_id(answer) for answer in answers]

    def watch(self, directories):
        """Each waits for a change in a directory of its own: the MessageIds."""
        asked = [self.client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), session)
                 for session, directory in zip(self.sessions, directories)]
        assert {self.client.interim().message_id for _ in asked} == set(asked)
        return asked

    def settle(self, without=()):
        """After a round of everybody, everything that was to come has come."""
        for session in self.sessions:
            if session not in without:
                session.must(smb2.CREATE, bodies.create("settled", options=bodies.DIRECTORY_FILE,
                                                        access=bodies.READ_ACCESS))


@pytest.fixture
def crowd(rig):
    with rig.raw() as client:
        client.negotiate()
        crowd = Crowd(client)
        crowd.log_in()
        os.mkdir(os.path.join(rig.server.share, "settled"))
        os.chmod(os.path.join(rig.server.share, "settled"), 0o777)
        yield crowd
    rig.assert_both_legs_signed({**PEOPLE, **ACCOUNTS})
    assert not [event for event in rig.proxy.seen() if event["severity"] in ("warning", "error")]


def test_each_is_its_own_account(rig, crowd):
    """Its files are its own on the file server's disk, and closed to the others."""
    files = crowd.create(lambda number: f"of{number}")
    for number in range(8):
        found = os.stat(os.path.join(rig.server.share, f"of{number}"))
        assert found.st_uid == rig.server.uids[f"acc{number}"] and found.st_mode & 0o077 == 0
    for step in range(1, 8):
        answers = crowd.all(smb2.CREATE, lambda number: bodies.create(
            f"of{(number + step) % 8}", access=bodies.READ_ACCESS, disposition=bodies.OPEN))
        assert {answer.status for answer in answers} == {smb2.ACCESS_DENIED}
        # What another has open is no file of one's own, with that one's FileId either.
        answers = crowd.all(smb2.READ, lambda number: bodies.read(files[(number + step) % 8], 1))
        assert {answer.status for answer in answers} == {smb2.FILE_CLOSED}
    logins = rig.proxy.seen("login")
    assert {event["user"]: event["account"] for event in logins} == dict(zip(PEOPLE, ACCOUNTS))
    assert len({event["link"] for event in logins}) == 1


def test_all_write_and_read_at_once(rig, crowd):
    files = crowd.create(lambda number: f"of{number}")
    parts = [[os.urandom(4096) for _ in range(30)] for _ in range(8)]
    for part in range(30):
        crowd.must(smb2.WRITE, lambda number: bodies.write(files[number], parts[number][part], 4096 * part))
    for part in range(30):
        answers = crowd.must(smb2.READ, lambda number: bodies.read(files[number], 4096, 4096 * part))
        assert [bodies.read_data(answer) for answer in answers] == [of[part] for of in parts]
    crowd.must(smb2.CLOSE, lambda number: bodies.close(files[number]))
    for number in range(8):
        with open(os.path.join(rig.server.share, f"of{number}"), "rb") as file:
            assert file.read() == b"".join(parts[number])


def test_locks_of_one_keep_out_the_others(rig, crowd):
    path = os.path.join(rig.server.share, "shared")
    with open(path, "wb") as file:
        file.write(bytes(100))
    os.chmod(path, 0o666)
    files = crowd.create(lambda number: "shared", access=READ_WRITE, disposition=bodies.OPEN)
    crowd.must(smb2.LOCK, lambda number: bodies.lock(files[number], 10 * number, 10))
    for step in range(1, 8):
        answers = crowd.all(smb2.LOCK, lambda number: bodies.lock(
            files[number], 10 * ((number + step) % 8), 10))
        assert {answer.status for answer in answers} == {0xC0000055}  # LOCK_NOT_GRANTED
    # Whoever logs off leaves its lock behind, and only that.
    crowd.sessions[3].logoff()
    taker = crowd.sessions[4]
    taker.must(smb2.LOCK, bodies.lock(files[4], 30, 10))
    assert taker.ask(smb2.LOCK, bodies.lock(files[4], 20, 10)).status == 0xC0000055


@pytest.mark.parametrize("with_lease", [False, True], ids=["oplock", "lease"])
def test_break_reaches_the_session_that_holds(rig, crowd, with_lease):
    """Somebody at the file server itself opens the files in an order of his own."""
    keys = [os.urandom(16) for _ in range(8)]
    asked = crowd.must(smb2.CREATE, lambda number: bodies.create(
        f"of{number}", **({"oplock": bodies.OPLOCK_LEASE, "contexts": bodies.lease_context(keys[number])}
                          if with_lease else {"oplock": bodies.OPLOCK_BATCH})))
    files = [bodies.created_file_id(answer) for answer in asked]
    for number in range(8):
        os.chmod(os.path.join(rig.server.share, f"of{number}"), 0o666)
    with RawClient(rig.server.address, rig.server.port) as other:
        other.negotiate()
        outside = other.login("acc0", ACCOUNTS["acc0"])
        outside.tree_connect()
        for number in (5, 0, 7, 2, 6, 1, 4, 3):
            holder, wrong = crowd.sessions[number], crowd.sessions[(number + 1) % 8]
            waiting = other.send(smb2.CREATE, bodies.create(f"of{number}", access=READ_WRITE), outside)
            told = crowd.client.notification()
            assert told.session_id in (0, holder.id)
            if with_lease:
                assert told.body[8:24] == keys[number]
                acknowledge = bodies.lease_acknowledge(keys[number], told.body[28])
            else:
                assert told.body[8:24] == files[number]
                acknowledge = bodies.oplock_acknowledge(files[number], told.body[2])
                assert wrong.ask(smb2.OPLOCK_BREAK, acknowledge).status == smb2.FILE_CLOSED
            holder.must(smb2.OPLOCK_BREAK, acknowledge)
            assert other.answer(waiting).status == smb2.SUCCESS
    crowd.settle()
    assert not crowd.client.notifications


def test_change_reaches_the_session_that_watches(crowd):
    directories = crowd.create(lambda number: f"dir{number}", options=bodies.DIRECTORY_FILE)
    waiting = crowd.watch(directories)
    for number in (6, 1, 3):
        session = crowd.sessions[number]
        session.close(session.create(f"dir{number}\\new{number}"))
        answer = crowd.client.answer(waiting[number])
        assert answer.status == smb2.SUCCESS and answer.session_id == session.id
        assert f"new{number}".encode("utf-16-le") in answer.raw
        crowd.settle()
        assert not set(waiting) & set(crowd.client.answers)
        waiting[number] = -1


def test_one_logs_off_and_seven_stay(rig, crowd):
    directories = crowd.create(lambda number: f"dir{number}", options=bodies.DIRECTORY_FILE)
    files = crowd.create(lambda number: f"of{number}")
    waiting = crowd.watch(directories)
    gone = crowd.sessions[2]
    gone.logoff()
    assert crowd.client.answer(waiting[2]).status == NOTIFY_CLEANUP
    crowd.settle(without=[gone])
    assert not set(waiting) & set(crowd.client.answers)
    for number, session in enumerate(crowd.sessions):
        if session is not gone:
            session.write(files[number], b"still here")
            session.close(session.create(f"dir{number}\\new"))
            assert crowd.client.answer(waiting[number]).status == smb2.SUCCESS
    rig.proxy.wait_event("logoff", user="user2")
    assert len(rig.proxy.seen("logoff")) == 1
    # The next user takes the free seat.
    again = crowd.client.login("user2", PEOPLE["user2"])
    again.tree_connect()
    again.close(again.create("of2", access=bodies.READ_ACCESS, disposition=bodies.OPEN))
    with pytest.raises(Failed) as closed:
        again.read(files[2], 1)
    assert closed.value.status == smb2.FILE_CLOSED
