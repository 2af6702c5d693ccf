"""read_only: what changes something is refused, in whatever way it is tried; what reads is not.

The file server would let the user do all of it: each test looks into its directory afterwards.
"""

import os
import struct

import pytest

import bodies
import smb2
from rawclient import ALL_DIALECTS
from rig import Rig
from smb2 import ACCESS_DENIED, SUCCESS

RULE = {"name": "frozen", "to": {"share": ["data"]}, "then": "allow", "demand": {"read_only": True}}

MAXIMUM_ALLOWED, GENERIC_READ, GENERIC_EXECUTE = 0x02000000, 0x80000000, 0x20000000
READ_RIGHTS = (0x1, 0x8, 0x20, 0x80, 0x20000, 0x100000, GENERIC_READ, GENERIC_EXECUTE, MAXIMUM_ALLOWED,
               0x120089, 0x1200A9)
WRITE_RIGHTS = (0x2, 0x4, 0x10, 0x40, 0x100, 0x10000, 0x40000, 0x80000, 0x1000000, 0x10000000, 0x40000000)
SUPERSEDE, OVERWRITE = 0, 4
COPYCHUNK, COPYCHUNK_WRITE, RESUME_KEY = 0x1440F2, 0x1480F2, 0x140078
SET_SPARSE, SET_ZERO_DATA, SET_REPARSE_POINT, GET_REPARSE_POINT = 0x900C4, 0x980C8, 0x900A4, 0x900A8
OFFLOAD_WRITE, TRIM, SET_COMPRESSION, DUPLICATE_EXTENTS = 0x98268, 0x98208, 0x9C040, 0x98344
SET_OBJECT_ID, CREATE_OBJECT_ID, UNKNOWN_ANY, UNKNOWN_WRITE = 0x90098, 0x900C0, 0x90FF8, 0x9BFF8
QUERY_RANGES, GET_COMPRESSION, ENUMERATE_SNAPSHOTS = 0x940CF, 0x9003C, 0x144064


@pytest.fixture(scope="module")
def frozen_rig(nas):
    with Rig(nas, extra={"rules": [RULE]}) as rig:
        yield rig


@pytest.fixture
def frozen(frozen_rig):
    """One file with known content in a share where nothing may be changed."""
    frozen_rig.reset()
    frozen_rig.server.empty_share()
    path = os.path.join(frozen_rig.server.share, "kept")
    with open(path, "wb") as file:
        file.write(b"kept content")
    os.chmod(path, 0o777)
    yield frozen_rig
    with open(path, "rb") as file:
        assert file.read() == b"kept content"
    assert os.listdir(frozen_rig.server.share) == ["kept"]
    frozen_rig.proxy.assert_healthy()


def status(session, command, body, **options):
    return session.ask(command, body, **options).status


@pytest.mark.parametrize("dialect", ALL_DIALECTS)
def test_reading(frozen, dialect):
    client, session = frozen.established(dialects=[dialect])
    with client:
        for access in READ_RIGHTS:
            file_id = session.create("kept", access=access, disposition=bodies.OPEN)
            session.close(file_id)
        file_id = session.create("kept", access=MAXIMUM_ALLOWED, disposition=bodies.OPEN_IF)
        assert session.read(file_id, 100) == b"kept content"
        session.must(smb2.QUERY_INFO, bodies.query_info(file_id))
        session.must(smb2.LOCK, bodies.lock(file_id))
        assert status(session, smb2.WRITE, bodies.write(file_id, b"x")) == ACCESS_DENIED
        session.close(file_id)
        directory = session.create("", access=bodies.READ_ACCESS, disposition=bodies.OPEN,
                                   options=bodies.DIRECTORY_FILE)
        session.must(smb2.QUERY_DIRECTORY, bodies.query_directory(directory))


def test_rights_that_change(frozen):
    client, session = frozen.established()
    with client:
        for access in WRITE_RIGHTS:
            for extra in (0, bodies.READ_ACCESS, MAXIMUM_ALLOWED):
                body = bodies.create("kept", access=access | extra, disposition=bodies.OPEN)
                assert status(session, smb2.CREATE, body) == ACCESS_DENIED, hex(access | extra)
    told = frozen.proxy.wait_event("read_only_refused", user="alice", command="CREATE")
    assert (told["rule"], told["verdict"]) == ("frozen", "refused") and told["share"].endswith("data")
    # Once of each command, however often it is tried.
    frozen.proxy.wait_event("link_ended")
    assert len(frozen.proxy.seen("read_only_refused")) == 1
    assert not frozen.at_server(smb2.CREATE)


def test_dispositions_that_change(frozen):
    client, session = frozen.established()
    with client:
        for disposition in (SUPERSEDE, bodies.CREATE_NEW, OVERWRITE, bodies.OVERWRITE_IF, 6, 0xFFFFFFFF):
            for name in ("kept", "new"):
                body = bodies.create(name, access=bodies.READ_ACCESS, disposition=disposition)
                assert status(session, smb2.CREATE, body) == ACCESS_DENIED, disposition
        # OPEN_IF would make it; there is nothing to open.
        body = bodies.create("new", access=bodies.READ_ACCESS, disposition=bodies.OPEN_IF)
        assert status(session, smb2.CREATE, body) == smb2.OBJECT_NAME_NOT_FOUND
        for name in ("kept", "new"):
            body = bodies.create(name, access=bodies.READ_ACCESS, disposition=bodies.OPEN,
                                 options=bodies.DELETE_ON_CLOSE)
            assert status(session, smb2.CREATE, body) == ACCESS_DENIED
        body = bodies.create("dir", access=bodies.READ_ACCESS, disposition=bodies.CREATE_NEW,
                             options=bodies.DIRECTORY_FILE)
        assert status(session, smb2.CREATE, body) == ACCESS_DENIED


def rename_to(name):
    text = name.encode("utf-16-le")
    return struct.pack("<BxxxxxxxQI", 0, 0, len(text)) + text


def test_set_info(frozen):
    client, session = frozen.established()
    with client:
        file_id = session.create("kept", access=MAXIMUM_ALLOWED, disposition=bodies.OPEN)
        for info, data in ((bodies.FILE_RENAME_INFORMATION, rename_to("moved")),
                           (bodies.FILE_END_OF_FILE_INFORMATION, struct.pack("<Q", 0)),
                           (bodies.FILE_BASIC_INFORMATION, bytes(40)), (13, b"\1"), (64, b"\3\0\0\0")):
            assert status(session, smb2.SET_INFO, bodies.set_info(file_id, info, data)) == ACCESS_DENIED
        session.close(file_id)
    frozen.proxy.wait_event("read_only_refused", command="SET_INFO")
    assert not frozen.at_server(smb2.SET_INFO)


def test_control_codes(frozen):
    client, session = frozen.established()
    with client:
        file_id = session.create("kept", access=MAXIMUM_ALLOWED, disposition=bodies.OPEN)
        for code in (COPYCHUNK, COPYCHUNK_WRITE, SET_SPARSE, SET_ZERO_DATA, SET_REPARSE_POINT, OFFLOAD_WRITE,
                     TRIM, SET_COMPRESSION, DUPLICATE_EXTENTS, SET_OBJECT_ID, CREATE_OBJECT_ID, UNKNOWN_ANY,
                     UNKNOWN_WRITE):
            answer = status(session, smb2.IOCTL, bodies.ioctl(code, bytes(48), file_id))
            assert answer == ACCESS_DENIED, hex(code)
        before = len(frozen.at_server(smb2.IOCTL))
        for code in (RESUME_KEY, GET_REPARSE_POINT, QUERY_RANGES, GET_COMPRESSION, ENUMERATE_SNAPSHOTS):
            session.ask(smb2.IOCTL, bodies.ioctl(code, bytes(16), file_id))
            before += 1
            assert len(frozen.at_server(smb2.IOCTL)) == before, hex(code)
        session.close(file_id)


def test_chains(frozen):
    """Related requests, of which the first may be harmless."""
    client, session = frozen.established()
    with client:
        answers = client.compound(
            [(smb2.CREATE, bodies.create("kept", access=MAXIMUM_ALLOWED, disposition=bodies.OPEN)),
             (smb2.WRITE, bodies.write(bodies.NO_FILE, b"changed")),
             (smb2.CLOSE, bodies.close(bodies.NO_FILE))], session)
        assert answers[0].status == SUCCESS
        assert [answer.status for answer in answers[1:]] == [ACCESS_DENIED] * 2
        session.close(bodies.created_file_id(answers[0]))
        answers = client.compound(
            [(smb2.CREATE, bodies.create("kept", access=MAXIMUM_ALLOWED, disposition=bodies.OPEN)),
             (smb2.SET_INFO, bodies.set_info(bodies.NO_FILE, 13, b"\1"))], session)
        assert [answer.status for answer in answers] == [SUCCESS, ACCESS_DENIED]
        session.close(bodies.created_file_id(answers[0]))
        answers = client.compound(
            [(smb2.CREATE, bodies.create("new")), (smb2.WRITE, bodies.write(bodies.NO_FILE, b"x")),
             (smb2.CLOSE, bodies.close(bodies.NO_FILE))], session)
        assert [answer.status for answer in answers] == [ACCESS_DENIED] * 3
        answers = client.compound(
            [(smb2.CREATE, bodies.create("kept", access=bodies.READ_ACCESS, disposition=bodies.OPEN)),
             (smb2.READ, bodies.read(bodies.NO_FILE, 4)), (smb2.CLOSE, bodies.close(bodies.NO_FILE))],
            session)
        assert bodies.read_data(answers[1]) == b"kept"


def test_another_tree_does_not_help(frozen):
    """A file of the share named in a request of another share, and the other way round."""
    client, session = frozen.established()
    with client:
        file_id = session.create("kept", access=MAXIMUM_ALLOWED, disposition=bodies.OPEN)
        frozen_tree = session.tree_id
        session.tree_connect("priv")
        assert session.tree_id != frozen_tree
        for command, body in ((smb2.WRITE, bodies.write(file_id, b"x")),
                              (smb2.SET_INFO, bodies.set_info(file_id, 13, b"\1"))):
            assert status(session, command, body) == ACCESS_DENIED
        own = session.create("mine", disposition=bodies.OVERWRITE_IF)
        session.write(own, b"may be changed")
        assert status(session, smb2.WRITE, bodies.write(own, b"x"), tree_id=frozen_tree) == ACCESS_DENIED
        session.close(own)


def test_rights_that_are_told(frozen):
    """What clients are told of their rights has no right to change anything."""
    client, session = frozen.established()
    with client:
        answer = session.tree_connect()
        assert struct.unpack_from("<I", answer.raw, 64 + 12)[0] & 0xD0156 == 0
        body = bodies.create("kept", access=bodies.READ_ACCESS, disposition=bodies.OPEN,
                             contexts=bodies.create_context(b"MxAc", b""))
        answer = session.must(smb2.CREATE, body)
        at, size = struct.unpack_from("<II", answer.raw, 64 + 80)
        assert size and answer.raw[at + 16:at + 20] == b"MxAc"
        told, granted = struct.unpack_from("<II", answer.raw, at + 24)
        assert told == 0 and granted & 0x120089 == 0x120089 and granted & 0xD0156 == 0


def test_smbclient(frozen, tmp_path):
    """A whole client: it reads all, and every way of changing something is answered ACCESS_DENIED."""
    (tmp_path / "in").write_bytes(b"new")
    client = frozen.smbclient(tmp_path)
    assert "kept" in client.must("ls; get kept out; allinfo kept")
    assert (tmp_path / "out").read_bytes() == b"kept content"
    for command in ("put in new", "put in kept", "del kept", "mkdir dir", "rename kept moved",
                    "setmode kept +r", "hardlink kept linked", "utimes kept 20:01:01-00:00:00 -1 -1 -1",
                    "scopy kept copied"):
        output = client.run(command).stdout + client.run(command).stderr
        assert "NT_STATUS_ACCESS_DENIED" in output, (command, output)
    frozen.assert_both_legs_signed()


def test_audit_only_tells(nas, tmp_path):
    rule = dict(RULE, then="audit")
    with Rig(nas, extra={"rules": [rule]}) as rig:
        nas.empty_share()
        (tmp_path / "in").write_bytes(b"new")
        rig.smbclient(tmp_path).must("put in new; rename new newer; del newer")
        for command in ("CREATE", "WRITE", "SET_INFO"):
            told = rig.proxy.wait_event("rule_audit", command=command, rule="frozen")
            assert (told["reason"], told["verdict"]) == ("read_only", "recorded")
        assert not rig.proxy.seen("read_only_refused")
        rig.assert_both_legs_signed()
