"""Real clients, unchanged, through the proxy: smbclient, rclone (go-smb2), impacket.

None of them is told to sign, and some are told not to. What they do on the wire is recorded and every
signature of both legs is checked.
"""

import filecmp
import os

import pytest
from impacket.smbconnection import SMBConnection

import smb2
from harness import USERS
from rig import Rig
from smbtools import Rclone


@pytest.mark.parametrize("dialect", smb2.DIALECTS)
@pytest.mark.parametrize("protection", ["off", "sign"])
def test_smbclient_signs_whatever_it_is_told(rig, tmp_path, dialect, protection):
    """--client-protection=off only means that the client does not insist."""
    (tmp_path / "in").write_bytes(os.urandom(70_000))
    client = rig.smbclient(tmp_path, dialect=dialect, options=[f"--client-protection={protection}"])
    client.must("put in f; get f out; ls; del f")
    assert filecmp.cmp(tmp_path / "in", tmp_path / "out", shallow=False)
    for client_leg, _ in rig.assert_both_legs_signed():
        assert client_leg.dialect == dialect and client_leg.signed >= 20 and not client_leg.encrypted


def test_smbclient_that_negotiates_from_smb1(rig, tmp_path):
    """A client that still allows SMB1 opens with the multi-protocol NEGOTIATE and ends at 3.1.1."""
    client = rig.smbclient(tmp_path)
    client.must("ls", exactly=False, options=["--option=client min protocol=NT1"])
    first = rig.client_relay.connections[0].frames[0].data
    assert first[:4] == b"\xffSMB"
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert client_leg.dialect == upstream_leg.dialect == "3.1.1"


def test_smbclient_sees_shares_and_other_users(rig, tmp_path):
    """Named pipes (share list), a second user, and the file server's own access control."""
    client = rig.smbclient(tmp_path)
    listing = client.run("", share="", options=["-L", rig.address])
    assert listing.returncode == 0 and "data" in listing.stdout and "priv" in listing.stdout, listing
    client.must("put client.conf f", user="alice", share="priv")
    client.must("ls; del f", user="alice", share="priv")
    denied = client.run("ls", user="bob", share="priv")
    assert denied.returncode != 0 and "NT_STATUS_ACCESS_DENIED" in denied.stdout + denied.stderr
    client.must("ls", user="bob")
    users = [leg.users for pair in rig.assert_both_legs_signed() for leg in pair]
    assert ["alice"] in users and ["bob"] in users


def make_tree(root):
    """Directories, an empty file, a name outside ASCII, a file of several messages."""
    (root / "a" / "b").mkdir(parents=True)
    for name, size in (("empty", 0), ("a/grün", 1000), ("a/b/some", 150_000), ("a/b/more", 3_000_000)):
        (root / name).write_bytes(os.urandom(size))


def same_tree(one, other):
    """Names and contents are equal all the way down."""
    compared = filecmp.dircmp(one, other)
    if compared.left_only or compared.right_only or compared.funny_files:
        return False
    _, differ, errors = filecmp.cmpfiles(one, other, compared.common_files, shallow=False)
    return not differ and not errors and all(
        same_tree(os.path.join(one, name), os.path.join(other, name)) for name in compared.common_dirs)


@pytest.fixture
def patient_rig(nas):
    """go-smb2 ends the connection at an interim response. How long the file server takes is not for a
    test to decide, so interim responses are held back as long as the proxy can be told to."""
    with Rig(nas, extra={"limits": {"interim_hold": 10_000}}) as rig:
        yield rig


def test_rclone_copies_a_tree_both_ways(patient_rig, tmp_path):
    rig = patient_rig
    source, back = tmp_path / "source", tmp_path / "back"
    source.mkdir()
    make_tree(source)
    rclone = Rclone(str(tmp_path), rig.address, rig.port)
    for arguments in (("copy", str(source), "nas:data/tree"), ("copy", "nas:data/tree", str(back)),
                      ("check", str(source), "nas:data/tree", "--download")):
        done = rclone.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert same_tree(source, back)
    assert same_tree(source, os.path.join(rig.server.share, "tree"))
    done = rclone.run("purge", "nas:data/tree")
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(os.path.join(rig.server.share, "tree"))
    rig.assert_both_legs_signed()


IMPACKET = {"as it comes": None, "2.0.2": 0x202, "2.1": 0x210, "3.0": 0x300}


@pytest.mark.parametrize("preferred", IMPACKET)
def test_impacket(rig, preferred):
    """Left alone it opens with the SMB1 multi-protocol NEGOTIATE; it sends no MIC."""
    connection = SMBConnection(rig.address, rig.address, sess_port=rig.port,
                               preferredDialect=IMPACKET[preferred], timeout=10)
    connection.login("alice", USERS["alice"])
    data, read, content = os.urandom(200_000), [], []
    connection.createDirectory("data", "dir")
    source = [data[:100_000], data[100_000:], b""]
    connection.putFile("data", "dir\\f", lambda size: source.pop(0))
    connection.getFile("data", "dir\\f", content.append)
    assert b"".join(content) == data
    names = [entry.get_longname() for entry in connection.listPath("data", "dir\\*")]
    assert "f" in names
    connection.rename("data", "dir\\f", "dir\\g")
    tree = connection.connectTree("data")
    file_id = connection.openFile(tree, "dir\\g")
    read.append(connection.readFile(tree, file_id, 0, 100))
    connection.closeFile(tree, file_id)
    assert read[0] == data[:100]
    connection.deleteFile("data", "dir\\g")
    connection.deleteDirectory("data", "dir")
    connection.close()
    rig.proxy.wait_event("mic_absent", user="alice")
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        # Where it can, it encrypts without being asked; upstream nobody asked for that.
        assert client_leg.signed + client_leg.encrypted > 30
        assert upstream_leg.signed > 30 and upstream_leg.encrypted == 0
        if IMPACKET[preferred]:
            assert client_leg.dialect == smb2.DIALECT_NAMES[IMPACKET[preferred]]


def test_many_clients_at_once(rig, tmp_path):
    """Twenty sessions side by side, each with its own file and keys."""
    opened = [rig.established(user) for user in ("alice", "bob") * 10]
    try:
        for number, (_, session) in enumerate(opened):
            file_id = session.create(f"f{number}")
            session.write(file_id, b"%d" % number * 1000)
            assert session.read(file_id, 1000)[:2] == (b"%d" % number * 1000)[:2]
            session.close(file_id)
    finally:
        for client, _ in opened:
            client.__exit__()
    reports = rig.assert_both_legs_signed()
    assert len(reports) == 20
    keys = [key for pair in reports for leg in pair for key in leg.session_keys]
    assert len(keys) == len(set(keys)) == 40


def test_events_tell_who_and_how(rig, tmp_path):
    """The login event names the user, both dialects and both algorithms."""
    rig.smbclient(tmp_path).must("ls", user="bob")
    login = rig.proxy.wait_event("login", user="bob")
    assert login["login"] == "same" and login["verdict"] == "allowed"
    assert login["client_address"].startswith("127.")
    link = rig.proxy.wait_event("link")
    assert link["client_signing"] and link["upstream_signing"]
    assert link["client_dialect"] == link["upstream_dialect"] == "3.1.1"
    rig.proxy.wait_event("tree_connect", user="bob")
    rig.proxy.wait_event("link_ended")
