"""The checker, the tests' client and the stub, tried on real peers without the proxy between.

A test suite that proves signatures must first prove that its own proof can fail.
"""

import os

import pytest

import bodies
import smb2
from capture import TO_CLIENT, TO_SERVER, Relay
from harness import USERS
from nas import SAMBA_ALGORITHMS, Nas
from rawclient import BadResponse, Disconnected, Failed, RawClient
from smbtools import SmbClient
from stubserver import CONTENT, StubServer
from verify import check

SMALL = "put in f; get f out; ls; rename f g; del g"
REQUIRED = "--option=client signing=required"


@pytest.fixture(scope="module")
def signing_nas():
    with Nas(signing="mandatory") as server:
        yield server


@pytest.fixture
def relay(signing_nas):
    with Relay((signing_nas.address, signing_nas.port)) as recording:
        yield recording


def run_smbclient(relay, tmp_path, **options):
    (tmp_path / "in").write_bytes(os.urandom(100_000))
    SmbClient(str(tmp_path), relay.address, relay.port).must(SMALL, **options)
    relay.wait_ended()
    return check(relay.connections[-1], USERS)


@pytest.mark.parametrize("dialect", smb2.DIALECTS)
def test_smbclient_to_smbd_verifies_at_every_dialect(relay, tmp_path, dialect):
    report = run_smbclient(relay, tmp_path, dialect=dialect, options=[REQUIRED])
    report.assert_clean(at_least=50)
    assert report.dialect == dialect
    assert {"TREE_CONNECT", "CREATE", "READ", "WRITE", "CLOSE", "SET_INFO"} <= report.commands


@pytest.mark.parametrize("algorithm", SAMBA_ALGORITHMS.values())
def test_smbclient_to_smbd_verifies_with_every_algorithm(relay, tmp_path, algorithm):
    report = run_smbclient(relay, tmp_path, options=[
        REQUIRED, f"--option=client smb3 signing algorithms={algorithm}"])
    report.assert_clean(at_least=50)
    assert report.algorithm == algorithm


def test_unsigned_traffic_is_found(nas, tmp_path):
    """The same peers, nobody insisting on signing: the checker must not be content."""
    with Relay((nas.address, nas.port)) as relay:
        report = run_smbclient(relay, tmp_path, options=["--option=client signing=if_required"])
    assert report.unsigned > 20


def test_one_changed_bit_is_found(relay):
    """For every signed frame of a recording: with a bit changed the checker sees one bad message."""
    with RawClient(relay.address, relay.port) as client:
        client.negotiate()
        session = client.login()
        session.tree_connect()
        session.close(session.create("bits"))
        session.logoff()
    relay.wait_ended()
    connection = relay.connections[-1]
    check(connection, USERS).assert_clean(at_least=9)
    changed = 0
    for index, frame in enumerate(connection.frames):
        if not frame.messages()[0].flags & smb2.SIGNED or frame.messages()[0].command == smb2.SESSION_SETUP:
            continue
        whole = frame.data
        for at in (20, 50, len(whole) - 1):
            frame.data = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
            report = check(connection, USERS)
            assert report.bad >= 1, (index, at)
            changed += 1
        frame.data = whole
    assert changed >= 24


def test_wrong_password_in_the_checker_is_found(relay):
    with RawClient(relay.address, relay.port) as client:
        client.negotiate()
        client.login()
    relay.wait_ended()
    assert check(relay.connections[-1], {"alice": "something else"}).problems


def test_relay_hooks_change_drop_and_inject(signing_nas):
    with Relay((signing_nas.address, signing_nas.port)) as relay:
        with RawClient(relay.address, relay.port) as client:
            client.negotiate()
            session = client.login()
            session.tree_connect()
            relay.hook = lambda connection, direction, data: (
                [data[:50] + bytes([data[50] ^ 1]) + data[51:]] if direction == TO_CLIENT else None)
            with pytest.raises(BadResponse):
                session.ask(smb2.ECHO, bodies.empty())
        with RawClient(relay.address, relay.port, timeout=1) as client:
            relay.hook = lambda connection, direction, data: [] if direction == TO_SERVER else None
            with pytest.raises((Disconnected, TimeoutError)):
                client.negotiate()
            assert len(relay.last().frames) == 1


@pytest.mark.parametrize("dialect", smb2.DIALECTS.values())
def test_raw_client_and_smbd_agree(relay, dialect):
    """Files, compounds, CANCEL, re-authentication, two sessions: all of it signed and right."""
    with RawClient(relay.address, relay.port) as client:
        client.negotiate([dialect])
        session = client.login()
        session.tree_connect()
        directory = session.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                                   access=bodies.READ_ACCESS)
        waiting = client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), session)
        client.send(smb2.CANCEL, bodies.empty(), session, message_id=waiting)
        assert client.answer(waiting).status == 0xC0000120
        parts = [(smb2.CREATE, bodies.create("y")), (smb2.WRITE, bodies.write(bodies.NO_FILE, b"abc")),
                 (smb2.CLOSE, bodies.close(bodies.NO_FILE))]
        assert [answer.status for answer in client.compound(parts, session)] == [0, 0, 0]
        client.login("alice", session=session)
        other = client.login("bob", raw=True)
        other.tree_connect()
        session.logoff()
        shared = other.create("y", access=bodies.READ_ACCESS, disposition=bodies.OPEN)
        assert other.read(shared, 10) == b"abc"
        other.logoff()
        with pytest.raises(Failed):
            client.login(password="wrong")
        with pytest.raises(Failed):
            client.login(mic="wrong")
    relay.wait_ended()
    report = check(relay.connections[-1], USERS)
    report.assert_clean(at_least=25)
    assert {"CANCEL", "CHANGE_NOTIFY", "SESSION_SETUP", "LOGOFF"} <= report.commands
    assert len(report.keys) == 2


@pytest.mark.parametrize("dialect", smb2.DIALECTS.values())
def test_honest_stub_serves_and_signs(tmp_path, dialect):
    with StubServer(dialect=dialect) as stub, Relay((stub.address, stub.port)) as relay:
        with RawClient(relay.address, relay.port) as client:
            client.negotiate()
            session = client.login()
            session.tree_connect()
            file_id = session.create("file")
            assert session.read(file_id, 100) == CONTENT
            session.close(file_id)
            session.logoff()
        relay.wait_ended()
        check(relay.connections[0], USERS).assert_clean(at_least=11)
        assert stub.problems == []
        # A client that is not ours believes it too.
        done = SmbClient(str(tmp_path), stub.address, stub.port).run(
            "close 1", exactly=False, options=[REQUIRED])
        assert smb2.TREE_CONNECT in stub.commands(), done.stdout + done.stderr
