"""Named pipes: which can be opened, and that nobody logs in inside of them.

A login in an RPC bind would reach the file server past every check of this one. It is tried in WRITE and
in FSCTL_PIPE_TRANSCEIVE, cut at every place, behind other PDUs, and before the pipe's CREATE is answered.
"""

import shutil
import struct

import pytest

import bodies
import dcerpc
import smb2
from dcerpc import PIPE_TRANSCEIVE
from harness import USERS, run
from nas import Nas
from rig import Rig
from smb2 import ACCESS_DENIED, SUCCESS
from smbtools import RpcClient, SmbClient

ORDINARY = ("srvsvc", "wkssvc", "lsarpc", "samr")
TOKEN = b"NTLMSSP\0" + struct.pack("<II", 1, 0xE2088297) + bytes(16)


def opened(rig, pipe="srvsvc", user="alice"):
    """A raw client with that pipe open: (client, session, FileId)."""
    client, session = rig.established(user, share="IPC$")
    return client, session, session.create(pipe, access=0x12019F, disposition=bodies.OPEN)


def transceive(session, file_id, data):
    return session.ask(smb2.IOCTL, bodies.ioctl(PIPE_TRANSCEIVE, data, file_id))


def assert_bind_refused(rig, **fields):
    told = rig.proxy.wait_event("rpc_bind_refused", verdict="refused", **fields)
    assert told["user"] == "alice" and told["reason"] == "authenticated_rpc"


def written(rig):
    """What has reached the pipes of the file server."""
    return len(rig.at_server(smb2.WRITE)) + len(rig.at_server(smb2.IOCTL))


@pytest.mark.parametrize("pipe", ORDINARY)
def test_ordinary_pipes_in_every_spelling(rig, pipe):
    """What the file server makes of a spelling is its own business."""
    client, session = rig.established(share="IPC$")
    with client:
        session.close(session.create(pipe, access=0x12019F, disposition=bodies.OPEN))
        for name in (pipe.upper(), "\\" + pipe, "\\PIPE\\" + pipe):
            body = bodies.create(name, access=0x12019F, disposition=bodies.OPEN)
            assert session.ask(smb2.CREATE, body).status in (SUCCESS, smb2.OBJECT_NAME_NOT_FOUND), name
    assert len(rig.at_server(smb2.CREATE)) == 4


def test_other_pipes(rig):
    client, session = rig.established(share="IPC$")
    with client:
        for pipe in ("spoolss", "winreg", "SVCCTL", "netlogon", "epmapper", "srvsvc2", "\\PIPE\\winreg",
                     "srvsvc\\x", "samr:x", "srvsvc\0", "", "x" * 2000):
            body = bodies.create(pipe, access=0x12019F, disposition=bodies.OPEN)
            assert session.ask(smb2.CREATE, body).status == ACCESS_DENIED, pipe
    rig.proxy.wait_event("pipe_refused", pipe="spoolss", user="alice", reason="pipe")
    rig.proxy.wait_event("pipe_refused", reason="name")
    assert not rig.at_server(smb2.CREATE)


def test_pipe_in_a_chain_with_its_share(rig):
    """Also where its TREE_CONNECT names a tree that there is: it is not the one of what follows."""
    with rig.raw() as client:
        client.negotiate()
        session = client.login()
        for _ in range(2):
            answers = client.compound(
                [(smb2.TREE_CONNECT, bodies.tree_connect(f"\\\\{rig.address}\\IPC$")),
                 (smb2.CREATE, bodies.create("winreg", access=0x12019F, disposition=bodies.OPEN))], session)
            assert answers[1].status != SUCCESS and not rig.at_server(smb2.CREATE)
            session.tree_connect("data")


def test_pipe_in_a_chain_with_a_share_of_another_name():
    """Some servers have a second one; that it has pipes is known when it is connected."""
    with Nas(extra={"enable asu support": "yes"}) as nas, Rig(nas) as rig, rig.raw() as client:
        client.negotiate()
        session = client.login()
        opening = bodies.create("winreg", access=0x12019F, disposition=bodies.OPEN)
        answers = client.compound([(smb2.TREE_CONNECT, bodies.tree_connect(f"\\\\{rig.address}\\ADMIN$")),
                                   (smb2.CREATE, opening)], session)
        assert answers[0].status == SUCCESS and answers[1].status != SUCCESS
        session.tree_connect("ADMIN$")
        assert session.ask(smb2.CREATE, opening).status == ACCESS_DENIED
        rig.proxy.wait_event("pipe_refused", pipe="winreg")
        assert not rig.at_server(smb2.CREATE)
        session.close(session.create("srvsvc", access=0x12019F, disposition=bodies.OPEN))


def test_pipes_by_rule(nas):
    with Rig(nas, extra={"rules": [
            {"name": "printing", "who": ["alice"], "to": {"pipe": ["spoolss"]}, "then": "allow"},
            {"name": "no-samr", "to": {"pipe": ["samr"]}, "then": "refuse"},
            {"name": "look", "who": ["bob"], "to": {"pipe": ["*"]}, "then": "audit"}]}) as rig:
        client, session, file_id = opened(rig, "spoolss")
        with client:
            session.close(file_id)
            body = bodies.create("samr", access=0x12019F, disposition=bodies.OPEN)
            assert session.ask(smb2.CREATE, body).status == ACCESS_DENIED
            told = rig.proxy.wait_event("rule_refused", pipe="samr")
            assert told["rule"] == "no-samr"
            body = bodies.create("winreg", access=0x12019F, disposition=bodies.OPEN)
            assert session.ask(smb2.CREATE, body).status == ACCESS_DENIED
        client, session, file_id = opened(rig, "winreg", "bob")
        with client:
            session.close(file_id)
        told = rig.proxy.wait_event("rule_audit", pipe="winreg", user="bob")
        assert (told["rule"], told["verdict"]) == ("look", "recorded")


def test_pipe_that_has_to_be_encrypted(nas):
    """A client learns at the share that it has to, so all of IPC$ is; for whom the rule means."""
    with Rig(nas, extra={"rules": [
            {"name": "operators", "who": ["alice"], "to": {"pipe": ["winreg"]}, "then": "allow",
             "demand": {"encryption": True}}]}) as rig:
        opening = bodies.create("winreg", access=0x12019F, disposition=bodies.OPEN)
        with rig.raw() as able:
            able.negotiate(ciphers=(2, 1))
            session = able.login()
            answer = session.tree_connect("IPC$")
            assert smb2.share_flags(answer.raw) & smb2.SHARE_ENCRYPT_DATA
            session.close(bodies.created_file_id(session.must(smb2.CREATE, opening)))
            able.send(smb2.CREATE, opening, session, encrypt=False)
            assert able.answer(max(able.waiting)).status == ACCESS_DENIED
            bob = able.login("bob")
            assert not smb2.share_flags(bob.tree_connect("IPC$").raw) & smb2.SHARE_ENCRYPT_DATA
        client, session = rig.established(share="IPC$")
        with client:
            assert session.ask(smb2.CREATE, opening).status == ACCESS_DENIED
            assert rig.proxy.wait_event("rule_refused", pipe="winreg")["reason"] == "encryption"
            session.close(session.create("srvsvc", access=0x12019F, disposition=bodies.OPEN))


def test_login_inside_a_pipe(rig):
    """By every mechanism, in every PDU that can carry one, by both ways of writing."""
    client, session, file_id = opened(rig)
    with client:
        for kind in (dcerpc.BIND, dcerpc.ALTER_CONTEXT, dcerpc.AUTH3, dcerpc.REQUEST):
            for auth in (dcerpc.NTLMSSP, dcerpc.SPNEGO, dcerpc.KERBEROS):
                for big in (False, True):
                    data = dcerpc.bind(kind=kind, token=TOKEN, auth_type=auth, big=big)
                    answer = session.ask(smb2.WRITE, bodies.write(file_id, data))
                    assert answer.status == ACCESS_DENIED
                    assert transceive(session, file_id, data).status == ACCESS_DENIED
        assert written(rig) == 0
        # The pipe itself still works.
        answer = transceive(session, file_id, dcerpc.bind())
        assert answer.status == SUCCESS
        assert dcerpc.kind_of(bodies.ioctl_output(answer)) == dcerpc.BIND_ACK
        session.close(file_id)
    assert_bind_refused(rig, pipe="srvsvc", command="WRITE")
    assert_bind_refused(rig, pipe="srvsvc", command="IOCTL")


def test_login_behind_and_across(rig):
    """Behind a PDU without one, cut at each place, and where the two ends could disagree."""
    harmless = dcerpc.bind()
    login = dcerpc.bind(token=TOKEN)
    client, session, file_id = opened(rig)
    with client:
        for data in (harmless + login, login + harmless, harmless * 3 + login):
            assert session.ask(smb2.WRITE, bodies.write(file_id, data)).status == ACCESS_DENIED
        session.close(file_id)
        for cut in range(1, 17):
            file_id = session.create("srvsvc", access=0x12019F, disposition=bodies.OPEN)
            statuses = [session.ask(smb2.WRITE, bodies.write(file_id, part)).status
                        for part in (login[:cut], login[cut:])]
            assert ACCESS_DENIED in statuses, cut
            session.close(file_id)
        # A PDU that says it is longer than it is: its rest is no hiding place.
        file_id = session.create("srvsvc", access=0x12019F, disposition=bodies.OPEN)
        long = harmless[:8] + struct.pack("<H", 0xFFFF) + harmless[10:]
        session.ask(smb2.WRITE, bodies.write(file_id, long))
        assert session.ask(smb2.WRITE, bodies.write(file_id, login)).status == ACCESS_DENIED
        session.close(file_id)
    assert_bind_refused(rig)


def test_login_in_pieces(rig):
    """Where in a PDU the file server stands would depend on what it took of the writes before: it does
    not take a WRITE whose data begins later than it must."""
    login = dcerpc.bind(token=TOKEN)
    endless = dcerpc.pdu(dcerpc.AUTH3, bytes(8))[:8] + struct.pack("<H", 0xF000) + bytes(14)
    client, session, file_id = opened(rig)
    with client:
        shifted = bytearray(bodies.write(file_id, bytes(8) + endless))
        struct.pack_into("<HI", shifted, 2, 64 + 48 + 8, len(endless))
        statuses = [session.ask(smb2.WRITE, bytes(shifted)).status]
        statuses += [session.ask(smb2.WRITE, bodies.write(file_id, part)).status
                     for part in (login[:10], login[10:])]
        assert SUCCESS not in statuses and written(rig) == 0
        # And one PDU behind the other it goes on.
        assert transceive(session, file_id, dcerpc.bind()).status == SUCCESS
    assert rig.proxy.wait_event("rpc_bind_refused")["reason"] == "no_dcerpc"


def test_login_in_a_chain(rig):
    """Before the CREATE has been answered, the pipe is known by its tree only."""
    client, session = rig.established(share="IPC$")
    create = bodies.create("srvsvc", access=0x12019F, disposition=bodies.OPEN)
    with client:
        for command, body in ((smb2.WRITE, bodies.write(bodies.NO_FILE, dcerpc.bind(token=TOKEN))),
                              (smb2.WRITE, bodies.write(bodies.NO_FILE, dcerpc.bind(token=TOKEN)[:12])),
                              (smb2.IOCTL, bodies.ioctl(PIPE_TRANSCEIVE, dcerpc.bind(token=TOKEN)))):
            answers = client.compound([(smb2.CREATE, create), (command, body)], session)
            assert [answer.status for answer in answers] == [SUCCESS, ACCESS_DENIED]
        answers = client.compound(
            [(smb2.CREATE, create), (smb2.IOCTL, bodies.ioctl(PIPE_TRANSCEIVE, dcerpc.bind()))], session)
        assert [answer.status for answer in answers] == [SUCCESS, SUCCESS]


def test_login_in_another_tree(rig):
    """The pipe's FileId in a request of a share of files."""
    client, session, file_id = opened(rig)
    with client:
        session.tree_connect("data")
        for command, body in ((smb2.WRITE, bodies.write(file_id, dcerpc.bind(token=TOKEN))),
                              (smb2.IOCTL, bodies.ioctl(PIPE_TRANSCEIVE, dcerpc.bind(token=TOKEN), file_id))):
            assert session.ask(command, body).status == ACCESS_DENIED
    assert_bind_refused(rig)


def test_login_in_a_chain_of_another_tree(rig):
    """The pipe is named by the request before, which is a harmless one of a share of files."""
    client, session, file_id = opened(rig)
    with client:
        session.tree_connect("data")
        login = dcerpc.bind(token=TOKEN)
        for command, body in ((smb2.WRITE, bodies.write(bodies.NO_FILE, login)),
                              (smb2.IOCTL, bodies.ioctl(PIPE_TRANSCEIVE, login))):
            answers = client.compound([(smb2.FLUSH, bodies.flush(file_id)), (command, body)], session)
            assert answers[1].status == ACCESS_DENIED
        answers = client.compound([(smb2.FLUSH, bodies.flush(file_id)), (smb2.READ, bodies.read(bodies.NO_FILE, 1)),
                                   (smb2.WRITE, bodies.write(bodies.NO_FILE, login))], session)
        assert answers[2].status == ACCESS_DENIED and written(rig) == 0
    assert_bind_refused(rig, pipe="srvsvc", command="WRITE")


def test_what_is_no_rpc(rig):
    client, session, file_id = opened(rig)
    with client:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\4\0\0\0" + bytes(80), dcerpc.bind()[:8] + b"\x0f\0" + bytes(9)):
            assert session.ask(smb2.WRITE, bodies.write(file_id, data)).status == ACCESS_DENIED
        for code in (0x119FF8, 0x11DFFF, 0x110004):
            assert session.ask(smb2.IOCTL, bodies.ioctl(code, b"x", file_id)).status == smb2.NOT_SUPPORTED
        # Data that would lie outside of the message.
        body = bytearray(bodies.write(file_id, dcerpc.bind()))
        struct.pack_into("<I", body, 4, 70000)
        assert session.ask(smb2.WRITE, bytes(body)).status == smb2.INVALID_PARAMETER
        assert written(rig) == 0
    rig.proxy.wait_event("rpc_bind_refused", reason="no_dcerpc")


def test_calls_of_several_fragments(rig):
    """They are not disturbed."""
    client, session, file_id = opened(rig)
    with client:
        session.must(smb2.WRITE, bodies.write(file_id, dcerpc.bind()))
        assert dcerpc.kind_of(session.read(file_id, 4096)) == dcerpc.BIND_ACK
        stub = struct.pack("<II", 0, 101)  # NetrServerGetInfo, of which more is given than it takes
        first = dcerpc.request(21, stub + bytes(2000), flags=1, call=2)
        last = dcerpc.request(21, bytes(100), flags=2, call=2)
        for data in (first, last):
            session.must(smb2.WRITE, bodies.write(file_id, data))
        assert len(session.read(file_id, 4096)) >= 24
        session.close(file_id)
    assert not rig.proxy.seen("rpc_bind_refused")


def test_clients_as_they_are(rig, tmp_path):
    """Ordinary calls of rpcclient and smbclient: shares, names, users."""
    rpc = rig.rpcclient(tmp_path)
    assert "netname: data" in rpc.must("netshareenum")
    assert "netname: IPC$" in rpc.must("netshareenumall")
    assert "NAS" in rpc.must("srvinfo")
    assert "alice S-1-5-21" in rpc.must("lookupnames alice")
    assert "BUILTIN" in rpc.must("lookupsids S-1-5-32-544")
    assert "user:[alice]" in rpc.must("enumdomusers")
    assert "LABGROUP" in rpc.must("lsaquery")
    client = rig.smbclient(tmp_path)
    done = run(["smbclient", "-s", client.configuration, "-L", client.address, "-p", str(client.port),
                "-U", f"alice%{USERS['alice']}"])
    assert done.returncode == 0 and "data" in done.stdout, done.stdout + done.stderr
    rig.assert_both_legs_signed()
    assert not rig.proxy.seen("rpc_bind_refused") and not rig.proxy.seen("pipe_refused")


@pytest.mark.parametrize("binding", ["[sign]", "[seal]", "[sign,ntlm]", "[seal,spnego]"])
def test_rpcclient_with_authentication(rig, tmp_path, binding):
    """It works directly at the file server, and not through here."""
    direct = RpcClient(SmbClient(str(tmp_path), rig.server.address, rig.server.port))
    assert "NAS" in direct.must("srvinfo", binding=binding)
    rig.rpcclient(tmp_path).fails("srvinfo", binding=binding)
    assert_bind_refused(rig, pipe="srvsvc")


def test_authentication_by_rule(nas, tmp_path):
    with Rig(nas, extra={"rules": [
            {"name": "admin", "who": ["alice"], "to": {"pipe": ["srvsvc"]}, "then": "allow",
             "authenticated_rpc": "allow"},
            {"name": "look", "who": ["bob"], "to": {"pipe": ["srvsvc"]}, "then": "audit"}]}) as rig:
        for binding in ("[sign]", "[seal]"):
            assert "NAS" in rig.rpcclient(tmp_path).must("srvinfo", binding=binding)
        assert not rig.proxy.seen("rpc_bind_refused")
        rig.rpcclient(tmp_path).fails("enumdomusers", binding="[sign]")
        assert_bind_refused(rig, pipe="samr")
        rig.rpcclient(tmp_path).must("srvinfo", binding="[sign]", user="bob")
        told = rig.proxy.wait_event("rule_audit", user="bob", reason="authenticated_rpc")
        assert (told["pipe"], told["rule"], told["verdict"]) == ("srvsvc", "look", "recorded")


@pytest.fixture(scope="module")
def operator_rig():
    """alice may set other users' passwords on the file server."""
    with Nas(extra={"acl allow execute always": "yes"}) as nas:
        granted = nas.tool("net", "sam", "rights", "grant", "NAS\\alice", "SeAddUsersPrivilege")
        assert granted.returncode == 0, granted.stderr
        with Rig(nas) as rig:
            yield rig


@pytest.mark.parametrize("call", ["setuserinfo2 bob 18", "setuserinfo2 bob 23", "setuserinfo2 bob 24",
                                  "setuserinfo bob 25", "setuserinfo2 bob 26"])
def test_passwords_under_the_session_key(operator_rig, tmp_path, call):
    """The two legs have different keys: refused here, before the file server stores something else.
    Directly they work, and bob's password is then what was set."""
    rig = operator_rig
    rig.reset()
    direct = RpcClient(SmbClient(str(tmp_path), rig.server.address, rig.server.port))
    direct.must(f"setuserinfo2 bob 24 {USERS['bob']}")
    rig.rpcclient(tmp_path).fails(f"{call} New.Pw99")
    told = rig.proxy.wait_event("rpc_call_refused", pipe="samr", user="alice")
    assert (told["reason"], told["verdict"]) == ("user_password", "refused")
    rig.smbclient(tmp_path).must("ls", user="bob")
    direct.must(f"{call} New.Pw99")
    at_nas = SmbClient(str(tmp_path), rig.server.address, rig.server.port)
    at_nas.must("ls", user="bob", password="New.Pw99")


def own_password_calls():
    """rpcclient's; the newest came with Samba 4.17."""
    with open(shutil.which("rpcclient"), "rb") as program:
        has_newest = b"chgpasswd4" in program.read()
    return ["chgpasswd2", "chgpasswd3"] + (["chgpasswd4"] if has_newest else [])


@pytest.mark.parametrize("call", own_password_calls())
def test_users_change_their_own_password(tmp_path, call):
    """That needs no session key: encrypted with the old password, it goes through."""
    with Nas(extra={"min password length": "1"}) as nas, Rig(nas) as rig:
        rig.rpcclient(tmp_path).must(f"{call} alice {USERS['alice']} New.Pw1234")
        at_nas = SmbClient(str(tmp_path), nas.address, nas.port)
        at_nas.must("ls", password="New.Pw1234")
        assert not rig.proxy.seen("rpc_call_refused")
