"""Calls in named pipes that are encrypted with the session's key, of which the two legs have one each.

Each is sent in every form that a client may give it, laid out by Samba and impacket: none reaches the
file server, and pipe and session go on. What the main ones do at the file server itself is shown beside.
"""

import pytest
from impacket.dcerpc.v5 import lsad, transport
from impacket.smbconnection import SessionError, SMBConnection
from samba.dcerpc import samr, wkssvc

import bodies
import dcerpc
import ntlm
import sambarpc
import smb2
from dcerpc import LSARPC, NDR, NDR64, PIPE_TRANSCEIVE, SAMR, SRVSVC, SVCCTL, WKSSVC
from harness import USERS, wait_until
from nas import Nas
from rig import Rig
from sambarpc import NTSTATUSError, WERRORError, connect
from smb2 import ACCESS_DENIED, SUCCESS
from smbtools import SmbClient

FAULT_ACCESS_DENIED = 5
NT_ACCESS_DENIED = 0xC0000022
DC_NOT_FOUND, NOT_JOINED, INVALID_PASSWORD, INVALID_PARAMETER = 2453, 2692, 86, 87

# interface → its pipe, its calls, and an opnum that needs nothing but a handle
INTERFACES = {"samr": (SAMR, sambarpc.samr_calls, 6), "lsarpc": (LSARPC, sambarpc.lsa_calls, 11),
              "wkssvc": (WKSSVC, sambarpc.wkssvc_calls, 0), "svcctl": (SVCCTL, sambarpc.svcctl_calls, 6)}
# Opnums without parameters of which anything depends, and that neither Samba nor impacket knows.
LATER = {"lsarpc": (129, 136, 137, 139, 140, 141)}


@pytest.fixture(scope="module")
def nas():
    """alice may set passwords and join the file server to a domain."""
    with Nas(extra={"acl allow execute always": "yes"}) as server:
        for privilege in ("SeAddUsersPrivilege", "SeMachineAccountPrivilege"):
            granted = server.tool("net", "sam", "rights", "grant", "NAS\\alice", privilege)
            assert granted.returncode == 0, granted.stderr
        yield server


@pytest.fixture(scope="module")
def module_rig(nas):
    with Rig(nas, extra={"rules": [
            {"name": "services", "to": {"pipe": ["svcctl"]}, "then": "allow"},
            {"name": "logins", "who": ["bob"], "to": {"pipe": ["samr"]}, "then": "allow",
             "authenticated_rpc": "allow"}]}) as arrangement:
        yield arrangement


def bob_may_in(rig, directory, password=USERS["bob"]):
    """Whether bob's password on the file server is this one."""
    at_nas = SmbClient(str(directory), rig.server.address, rig.server.port)
    return at_nas.run("ls", user="bob", password=password).returncode == 0


class Pipe:
    """A pipe of the tests' own client, bound as Windows binds: NDR is number 0, NDR64 number 1."""

    def __init__(self, rig, pipe, interface, user="alice"):
        self.rig = rig
        self.client, self.session = rig.established(user, share="IPC$")
        self.file_id = self.session.create(pipe, access=0x12019F, disposition=bodies.OPEN)
        if interface:
            answer = self.transceive(dcerpc.bind(contexts=[(0, interface, [NDR]), (1, interface, [NDR64])]))
            assert dcerpc.kind_of(bodies.ioctl_output(answer)) == dcerpc.BIND_ACK

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.__exit__()

    def transceive(self, data):
        return self.session.ask(smb2.IOCTL, bodies.ioctl(PIPE_TRANSCEIVE, data, self.file_id))

    def write(self, data):
        return self.session.ask(smb2.WRITE, bodies.write(self.file_id, data)).status

    def reached(self):
        """How much has reached the pipe at the file server."""
        return len(self.rig.at_server(smb2.WRITE)) + len(self.rig.at_server(smb2.IOCTL))

    def must_refuse(self, data, whole=True):
        """Refused by both ways; nothing of it reaches the file server. Two events."""
        before = self.reached()
        answer = self.transceive(data)
        if whole:
            assert answer.status == SUCCESS
            assert dcerpc.fault_status(bodies.ioctl_output(answer)) == FAULT_ACCESS_DENIED
        else:
            assert answer.status == ACCESS_DENIED
        assert self.write(data) == ACCESS_DENIED
        assert self.reached() == before

    def must_answer(self, opnum, stub=bytes(64)):
        """The file server answers a call in this pipe, whatever it says."""
        answer = self.transceive(dcerpc.request(opnum, stub))
        assert answer.status == SUCCESS
        raw = bodies.ioctl_output(answer)
        assert dcerpc.kind_of(raw) == dcerpc.RESPONSE or dcerpc.fault_status(raw) != FAULT_ACCESS_DENIED
        return raw


def reason_of(pipe, call):
    if pipe == "lsarpc":
        return "trust" if "Trust" in call.name else "secret"
    return {"samr": "user_password", "wkssvc": "domain_membership", "svcctl": "service_password"}[pipe]


def assert_told(rig, pipe, reasons):
    """Of each reason in the list two events, one for each way; and no others."""
    rig.proxy.wait_event("rpc_call_refused", command="WRITE", reason=reasons[-1])
    wait_until(lambda: len(rig.proxy.seen("rpc_call_refused")) >= 2 * len(reasons), "all events")
    told = rig.proxy.seen("rpc_call_refused", pipe=pipe, user="alice", verdict="refused")
    for command in ("IOCTL", "WRITE"):
        assert [event["reason"] for event in told if event["command"] == command] == reasons


@pytest.mark.parametrize("pipe", INTERFACES)
def test_each_call_in_each_form(rig, pipe):
    interface, calls, harmless = INTERFACES[pipe]
    needing, _ = calls()
    reasons = []
    with Pipe(rig, pipe, interface) as opened:
        for call in needing:
            for big, wide in call.forms:
                stub, form = call.stub(big, wide), {"context": int(wide), "big": big}
                opened.must_refuse(dcerpc.request(call.opnum, stub, **form))
                opened.must_refuse(dcerpc.request(call.opnum, stub, with_object=True, **form))
                opened.must_refuse(dcerpc.request(call.opnum, stub, flags=dcerpc.FIRST, **form), whole=False)
                reasons += 3 * [reason_of(pipe, call)]
        opened.must_answer(harmless)
        for opnum in LATER.get(pipe, ()):
            for context in (0, 1):
                opened.must_refuse(dcerpc.request(opnum, bytes(40), context=context))
                reasons.append("trust" if opnum == 129 else "secret")
        opened.must_answer(harmless)
    assert_told(rig, pipe, reasons)


@pytest.mark.parametrize("pipe", INTERFACES)
def test_calls_beside_them(rig, pipe):
    """The same calls without anything that is encrypted reach the file server."""
    interface, calls, _ = INTERFACES[pipe]
    _, harmless = calls()
    with Pipe(rig, pipe, interface) as opened:
        for call in harmless:
            opened.must_answer(call.opnum, call.stub())
            before = opened.reached()
            for big, wide in call.forms:
                opened.write(dcerpc.request(call.opnum, call.stub(big, wide), context=int(wide), big=big))
            assert opened.reached() == before + len(call.forms)
            opened.client.__exit__()
            opened.__init__(rig, pipe, interface)
    assert not rig.proxy.seen("rpc_call_refused")


def a_samr_call(context=0):
    needing, _ = sambarpc.samr_calls()
    return dcerpc.request(needing[0].opnum, needing[0].stub(), context=context)


def test_the_interface_is_what_was_bound(rig):
    """Not what the pipe is called, and not what its number was last given to."""
    with Pipe(rig, "lsarpc", SAMR) as opened:
        opened.must_refuse(a_samr_call())
    with Pipe(rig, "samr", None) as opened:
        opened.transceive(dcerpc.bind(contexts=[(7, LSARPC, [NDR])]))
        before = opened.reached()
        opened.write(a_samr_call(7))  # an opnum that means something else there
        assert opened.reached() == before + 1
    with Pipe(rig, "samr", SAMR) as opened:
        for interface in (SRVSVC, LSARPC):
            alter = dcerpc.bind(kind=dcerpc.ALTER_CONTEXT, contexts=[(0, interface, [NDR])])
            assert opened.transceive(alter).status == SUCCESS
            opened.must_refuse(a_samr_call())


def test_what_does_not_come_in_one_piece(rig):
    """A bind or a call that is cut, too many contexts, and a bind before the pipe is known."""
    bind, call = dcerpc.bind(contexts=[(0, SAMR, [NDR])]), a_samr_call()
    create = bodies.create("samr", access=0x12019F, disposition=bodies.OPEN)
    with Pipe(rig, "samr", None) as opened:
        assert opened.write(bind[:40]) == ACCESS_DENIED
        assert opened.transceive(bind).status == SUCCESS
        assert opened.write(call[:30]) == ACCESS_DENIED
        assert opened.write(dcerpc.bind(kind=dcerpc.ALTER_CONTEXT, contexts=[
            (number, SAMR, [NDR]) for number in range(40)])) == ACCESS_DENIED
        opened.must_answer(6)
        wait_until(lambda: len(rig.proxy.seen("rpc_call_refused", reason="unclear")) >= 3, "three events")
        assert len(rig.proxy.seen("rpc_call_refused", reason="unclear")) == 3
        answers = opened.client.compound(
            [(smb2.CREATE, create), (smb2.WRITE, bodies.write(bodies.NO_FILE, bind))], opened.session)
        assert [answer.status for answer in answers] == [SUCCESS, ACCESS_DENIED]
        answers = opened.client.compound(
            [(smb2.CREATE, create), (smb2.IOCTL, bodies.ioctl(PIPE_TRANSCEIVE, call))], opened.session)
        assert [answer.status for answer in answers] == [SUCCESS, ACCESS_DENIED]


def refused_by_fault(call, *arguments):
    with pytest.raises(NTSTATUSError) as failed:
        call(*arguments)
    assert failed.value.args[0] & 0xFFFFFFFF == NT_ACCESS_DENIED


@pytest.mark.parametrize("options", ["", "bigendian"])
def test_hashes_by_samba(rig, tmp_path, options):
    """UserAllInformation with a hash carries no checksum: directly it is set, and through two keys
    something else would be."""
    hashed = bytes([1]) * 16
    direct = connect(samr.samr, rig.server.address, rig.server.port, options=options)
    through = connect(samr.samr, *rig.direct, options=options)
    accounts, bob = sambarpc.open_user(through, "bob")
    for call in (through.SetUserInfo, through.SetUserInfo2):
        refused_by_fault(call, bob, 21, sambarpc.all_information(samr.SAMR_FIELD_NT_PASSWORD_PRESENT, hashed))
        rig.proxy.wait_event("rpc_call_refused", reason="user_password", pipe="samr", command="IOCTL")
        assert bob_may_in(rig, tmp_path)
    # Neither pipe nor session minds.
    through.SetUserInfo(bob, 21, sambarpc.all_information(samr.SAMR_FIELD_FULL_NAME))
    assert through.QueryUserInfo(bob, 21).full_name.string == "Bob"
    assert {user.name.string for user in through.EnumDomainUsers(accounts, 0, 0, 100)[1].entries} >= {"bob"}
    _, bob = sambarpc.open_user(direct, "bob")
    direct.SetUserInfo2(bob, 21, sambarpc.all_information(samr.SAMR_FIELD_NT_PASSWORD_PRESENT, hashed))
    try:
        assert not bob_may_in(rig, tmp_path)
    finally:
        of_bob = ntlm.nt_hash(USERS["bob"]).hex().upper()
        restored = rig.server.tool("pdbedit", "-u", "bob", "--set-nt-hash", of_bob)
        assert restored.returncode == 0, restored.stderr
    assert bob_may_in(rig, tmp_path)


@pytest.mark.parametrize("options", ["", "bigendian"])
def test_joining_by_samba(rig, options):
    """Directly the file server decrypts the password and goes on to look for the domain."""
    direct = connect(wkssvc.wkssvc, rig.server.address, rig.server.port, options=options)
    through = connect(wkssvc.wkssvc, *rig.direct, options=options)

    def joins(pipe, password):
        return pipe.NetrJoinDomain2, "x", "NOWHERE", None, "NOWHERE\\adm", password, 3

    def leaves(pipe, password):
        return pipe.NetrUnjoinDomain2, "x", "NOWHERE\\adm", password, 0

    for call, found in ((joins, DC_NOT_FOUND), (leaves, NOT_JOINED)):
        for pipe, key, code in ((direct, direct.session_key, found), (direct, bytes(16), INVALID_PASSWORD)):
            with pytest.raises(WERRORError) as failed:
                method, *arguments = call(pipe, sambarpc.joining_password(key, "Adm.Pw1"))
                method(*arguments)
            assert failed.value.args[0] == code
        refused_by_fault(*call(through, sambarpc.joining_password(through.session_key, "Adm.Pw1")))
        assert rig.proxy.wait_event("rpc_call_refused", pipe="wkssvc")["reason"] == "domain_membership"
        # Without a password it is the file server that says no; and the pipe goes on.
        with pytest.raises(WERRORError) as failed:
            method, *arguments = call(through, None)
            method(*arguments)
        assert failed.value.args[0] == INVALID_PARAMETER
        assert through.NetWkstaGetInfo("x", 100).server_name == "NAS"


def test_private_data_by_impacket(rig):
    """It writes and reads where others transceive: the WRITE is refused, and the pipe works."""
    connection = SMBConnection(rig.address, rig.address, sess_port=rig.port)
    connection.login("alice", USERS["alice"])
    pipe = transport.SMBTransport(rig.address, rig.port, filename="lsarpc",
                                  smb_connection=connection).get_dce_rpc()
    pipe.connect()
    pipe.bind(lsad.MSRPC_UUID_LSAD)
    policy = lsad.hLsarOpenPolicy2(pipe, lsad.POLICY_VIEW_LOCAL_INFORMATION)["PolicyHandle"]
    for call in (lambda: lsad.hLsarStorePrivateData(pipe, policy, "G$some", bytes(24)),
                 lambda: lsad.hLsarRetrievePrivateData(pipe, policy, "G$some")):
        with pytest.raises(SessionError) as failed:
            call()
        assert failed.value.getErrorCode() == NT_ACCESS_DENIED
        told = lsad.hLsarQueryInformationPolicy(
            pipe, policy, lsad.POLICY_INFORMATION_CLASS.PolicyAccountDomainInformation)
        assert told["PolicyInformation"]["PolicyAccountDomainInfo"]["DomainName"] == "NAS"
    wait_until(lambda: len(rig.proxy.seen("rpc_call_refused", reason="secret", command="WRITE")) == 2,
               "two events")
    connection.close()


def test_calls_inside_a_login(nas, tmp_path):
    """They have that login's key. Outside of one the rule that allows logins does not help."""
    with Rig(nas, extra={"rules": [{"name": "admin", "to": {"pipe": ["samr"]}, "then": "allow",
                                    "authenticated_rpc": "allow"}]}) as rig:
        rpc = rig.rpcclient(tmp_path)
        rpc.fails("setuserinfo2 bob 24 New.Pw99")
        assert rig.proxy.wait_event("rpc_call_refused")["reason"] == "user_password"
        assert bob_may_in(rig, tmp_path)
        rig.reset()
        for binding in ("[seal]", "[sign]"):
            rpc.must("setuserinfo2 bob 18 New.Pw99", binding=binding)
            assert bob_may_in(rig, tmp_path, "New.Pw99")
            rpc.must(f"setuserinfo2 bob 24 {USERS['bob']}", binding=binding)
            assert bob_may_in(rig, tmp_path)
        assert not rig.proxy.seen("rpc_call_refused")


def test_only_a_login_changes_the_key(rig):
    """Where the rule allows logins: what is none does not let a call pass, and a login does."""
    token = b"NTLMSSP\0" + bytes(32)
    with Pipe(rig, "samr", SAMR, user="bob") as opened:
        before = opened.reached()
        opened.write(b"no DCE/RPC at all")
        assert opened.reached() == before + 1
        assert opened.write(a_samr_call()) == ACCESS_DENIED
        assert rig.proxy.wait_event("rpc_call_refused", user="bob")["reason"] == "user_password"
        opened.write(dcerpc.bind(kind=dcerpc.ALTER_CONTEXT, interface=SAMR, token=token))
        opened.write(a_samr_call())
        assert opened.reached() == before + 3
    assert not rig.proxy.seen("rpc_bind_refused")


def test_ordinary_calls(rig, tmp_path):
    rpc = rig.rpcclient(tmp_path)
    rpc.must("wkssvc_wkstagetinfo")
    assert "bob" in rpc.must("queryuser bob")
    assert "netname: data" in rpc.must("netshareenum")
    assert "S-1-5-21" in rpc.must("lookupnames bob")
    assert not rig.proxy.seen("rpc_call_refused")
