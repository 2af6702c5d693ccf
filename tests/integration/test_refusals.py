"""What must not get in, and the event that tells it: one test for each way of asking for less.

Every refused attempt has its accepted twin in test_control, so that a refusal here is known to come
from the one thing that differs.
"""

import os
import struct

import pytest

import bodies
import ntlm
import smb2
import spnego
from capture import TO_SERVER
from rawclient import ALL_DIALECTS, Disconnected, Failed
from rig import Rig

REFUSED = (Disconnected, Failed)
LEGACY = [number for number in ALL_DIALECTS if 0x202 < number < 0x311]


def attempt(rig, dialects=ALL_DIALECTS, **login):
    """One login by the tests' own client; raises when it is refused."""
    with rig.raw() as client:
        client.negotiate(dialects)
        return client.login(**login)


def untrusted(pairs):
    """MsvAvFlags says that the target name is from a source that the client does not trust."""
    return [(kind, struct.pack("<I", ntlm.FLAG_MIC | 0x4) if kind == ntlm.AV_FLAGS else value)
            for kind, value in pairs]


@pytest.mark.parametrize("knobs, reason", [
    ({"target_name": None}, "absent"), ({"target_name": ""}, "empty"), ({"pairs": untrusted}, "untrusted"),
    ({"target_name": "", "pairs": untrusted}, "empty")])
def test_login_without_a_target_name(rig, knobs, reason):
    """Allowed by default, and told in which way there is none."""
    assert attempt(rig, **knobs).key
    told = rig.proxy.wait_event("target_name_absent", reason=reason, verdict="recorded", user="alice")
    assert (told["windows_event_id"], told["windows_channel"]) == (3024, "SMBServer/Audit")
    assert "target_name" not in told and told["client_address"] == rig.client_relay.last().source


@pytest.mark.parametrize("knobs", [{}, {"raw": True}, {"mic": "none"}, {"target_name": None},
                                   {"raw": True, "mic": "none", "target_name": None},
                                   {"mechanisms": [spnego.OID_NTLMSSP]}, {"domain": "ANY"},
                                   {"user": "ALICE", "password": "Alice.Pw1"}])
def test_control(rig, knobs):
    """The honest client, and the shapes in which real ones differ from it."""
    assert attempt(rig, **knobs).key
    rig.proxy.wait_event("login")
    if knobs.get("mic") == "none":
        assert rig.proxy.wait_event("mic_absent")["verdict"] == "recorded"
    if "target_name" in knobs:
        assert rig.proxy.wait_event("target_name_absent")["verdict"] == "recorded"


LOGINS = {
    "wrong password": (dict(password="wrong"), "login_refused", {"reason": "wrong_password"}),
    "no password": (dict(password=""), "login_refused", {"reason": "wrong_password"}),
    "unknown user": (dict(user="mallory", password="x"), "login_refused", {"reason": "unknown_user"}),
    "anonymous": (dict(user="", password="", anonymous=True), "anonymous_refused", {}),
    "guest": (dict(user="guest", password=""), "guest_login_refused", {"reason": "guest"}),
    "Guest with a password": (dict(user="Guest", password="x"), "guest_login_refused",
                              {"windows_event_id": 551}),
    "NTLMv1": (dict(version="v1", mic="none"), "ntlmv1_refused", {}),
    "NTLMv1, extended": (dict(version="v1-extended", mic="none"), "ntlmv1_refused", {}),
    "LM only": (dict(version="lm", mic="none"), "ntlmv1_refused", {}),
    "MIC wrong": (dict(mic="wrong"), "mic_refused", {}),
    "MIC announced and missing": (dict(mic="missing"), "mic_refused", {}),
    "MIC wrong, raw": (dict(mic="wrong", raw=True), "mic_refused", {}),
    "other server": (dict(target_name="cifs/other.example"), "target_name_refused",
                     {"windows_event_id": 5168, "target_name": "cifs/other.example"}),
    "other service": (dict(target_name="http/PROXY"), "target_name_refused", {}),
    "signing dropped under way": (dict(dropped_flags=ntlm.SIGN), "login_refused", {"reason": "flags"}),
    "key exchange dropped under way": (dict(dropped_flags=ntlm.KEY_EXCHANGE), "login_refused",
                                       {"reason": "flags"}),
    "no extended session security": (dict(flags=ntlm.CLIENT_FLAGS & ~ntlm.EXTENDED_SECURITY),
                                     "login_refused", {}),
    "changed AV pair": (dict(pairs=lambda pairs: [
        (kind, ntlm.utf16("NAS") if kind == ntlm.AV_NB_COMPUTER else value) for kind, value in pairs]),
        "login_refused", {}),
    "AV pair left out": (dict(pairs=lambda pairs: [
        pair for pair in pairs if pair[0] != ntlm.AV_NB_COMPUTER]), "login_refused", {}),
    "old timestamp": (dict(pairs=lambda pairs: [
        (kind, bytes(8) if kind == ntlm.AV_TIMESTAMP else value) for kind, value in pairs]),
        "login_refused", {}),
    "bound to a TLS channel": (dict(pairs=lambda pairs: [
        (kind, b"\x55" * 16 if kind == ntlm.AV_CHANNEL_BINDINGS else value) for kind, value in pairs]),
        "login_refused", {}),
}


@pytest.mark.parametrize("case", LOGINS)
def test_login_refused(rig, case):
    knobs, event, fields = LOGINS[case]
    with pytest.raises(REFUSED) as refused:
        attempt(rig, **knobs)
    told = rig.proxy.wait_event(event, leg="client", verdict="refused", **fields)
    if knobs.get("user", "alice") and not knobs.get("anonymous"):
        assert told["user"] == knobs.get("user", "alice")
    if fields.get("reason") in ("wrong_password", "unknown_user", "guest"):
        assert refused.value.status == smb2.LOGON_FAILURE
    assert not rig.at_server(smb2.SESSION_SETUP), "the file server was asked"
    assert not rig.proxy.seen("login")


def test_mech_list_mic_is_required_when_the_choice_was_not_optimistic(rig):
    """Kerberos first in the list, NTLM chosen: only the MIC over the list proves that nobody moved it."""
    mechanisms = [spnego.OID_KERBEROS, spnego.OID_NTLMSSP]

    def login(client, **knobs):
        return client.login(mechanisms=mechanisms, **knobs)

    with rig.raw() as client:
        client.negotiate()
        with pytest.raises(REFUSED):
            login(client, list_mic=False)
    rig.proxy.wait_event("mechanism_downgraded", leg="client", reason="mech_list_mic_missing")
    with rig.raw() as client:
        client.negotiate()
        assert login(client).key


def test_smbclient_with_only_smb1(rig, tmp_path):
    rig.smbclient(tmp_path).refused(dialect="NT1")
    told = rig.proxy.wait_event("smb1_refused", leg="client")
    assert told["windows_event_id"] == 3000 and "NT LM 0.12" in told["offered"]
    assert not rig.at_server()


def test_smbclient_anonymous_and_guest(rig, tmp_path):
    rig.smbclient(tmp_path).refused(user="guest", password="")
    rig.proxy.wait_event("guest_login_refused", user="guest")
    rig.smbclient(tmp_path).refused(user="")
    rig.proxy.wait_event("anonymous_refused")


def test_smbclient_with_ntlmv1(rig, tmp_path):
    rig.smbclient(tmp_path).refused(options=["--option=client ntlmv2 auth=no",
                                             "--option=client lanman auth=no"])
    rig.proxy.wait_event("ntlmv1_refused", user="alice")


def test_smbclient_with_wrong_password(rig, tmp_path):
    output = rig.smbclient(tmp_path).refused(password="wrong")
    assert "NT_STATUS_LOGON_FAILURE" in output
    rig.proxy.wait_event("login_refused", reason="wrong_password", user="alice")


SMB1_OFFERS = {"no SMB2": (["PC NETWORK PROGRAM 1.0", "NT LM 0.12"], False),
               "2.002": (["NT LM 0.12", "SMB 2.002"], 0x202),
               "2.???": (["NT LM 0.12", "SMB 2.002", "SMB 2.???"], 0x2FF)}


@pytest.mark.parametrize("offer", SMB1_OFFERS)
def test_smb1_negotiate_is_only_a_way_into_smb2(rig, offer):
    names, dialect = SMB1_OFFERS[offer]
    with rig.raw() as client:
        client.send_frame(smb2.smb1_negotiate(names))
        if not dialect:
            assert client.ends() and not client.answers
            rig.proxy.wait_event("smb1_refused")
            return
        answer = smb2.parse_negotiate_response(client.receive_frame())
        assert answer.dialect == dialect
        assert answer.security_mode == smb2.SIGNING_ENABLED | smb2.SIGNING_REQUIRED


def test_hardened_listener(nas, tmp_path):
    """Everything that a listener can be told to insist on."""
    hard = {"min_dialect": "3.1.1", "multi_protocol": "refuse", "mic": "required",
            "target_name": "required", "signing": ["aes-gmac"]}
    with Rig(nas, on_listener=hard) as rig:
        rig.smbclient(tmp_path).must("ls")
        rig.proxy.mark()
        for knobs, event in (({"mic": "none"}, "mic_refused"),
                             ({"target_name": None}, "target_name_refused")):
            with pytest.raises(REFUSED):
                attempt(rig, **knobs)
            rig.proxy.wait_event(event)
        with pytest.raises(REFUSED):
            attempt(rig, dialects=[0x202, 0x210, 0x300, 0x302])
        rig.proxy.wait_event("dialect_refused")
        with rig.raw() as client:
            client.send_frame(smb2.smb1_negotiate(["NT LM 0.12", "SMB 2.???"]))
            assert client.ends() and not client.answers
        rig.proxy.wait_event("smb1_refused")
        with rig.raw() as client:
            with pytest.raises(REFUSED):
                client.negotiate(signing=[1])
        rig.proxy.wait_event("negotiate_refused")


BROKEN_NEGOTIATES = {
    "no dialects": (dict(dialects=[]), smb2.INVALID_PARAMETER),
    "no known dialect": (dict(dialects=[0x222]), smb2.NOT_SUPPORTED),
    "no preauth": (dict(contexts=smb2.negotiate_contexts(preauth=False, signing=[2])),
                   smb2.INVALID_PARAMETER),
    "two preauths": (dict(contexts=smb2.negotiate_contexts(
        signing=[2], extra=[(1, struct.pack("<HHH", 1, 32, 1) + bytes(32))])), smb2.INVALID_PARAMETER),
    "no SHA-512": (dict(contexts=smb2.negotiate_contexts(
        preauth=False, extra=[(1, struct.pack("<HHH", 1, 32, 9) + bytes(32))])), 0xC05D0000),
    "context beyond the end": (dict(contexts=(struct.pack("<HHI", 1, 500, 0) + bytes(38), 1)),
                               smb2.INVALID_PARAMETER),
}


@pytest.mark.parametrize("case", BROKEN_NEGOTIATES)
def test_negotiate_refused(rig, case):
    knobs, status = BROKEN_NEGOTIATES[case]
    with rig.raw() as client:
        with pytest.raises(Failed) as refused:
            client.negotiate(**knobs)
        assert refused.value.status == status
    names = [event["event"] for event in rig.proxy.seen()]
    assert {"negotiate_refused", "dialect_refused"} & set(names) or rig.proxy.wait_event(
        "dialect_refused" if status == smb2.NOT_SUPPORTED else "negotiate_refused")
    assert not rig.at_server()


def test_server_demands_signing_of_everybody(rig):
    with rig.raw() as client:
        answer = client.negotiate(security_mode=0)
        assert answer.security_mode == smb2.SIGNING_ENABLED | smb2.SIGNING_REQUIRED
        unwanted = 0x8 | 0x10 | 0x20 | 0x40  # multichannel, persistent handles, leases, encryption
        assert not answer.capabilities & unwanted


def test_unsigned_client_is_disconnected(rig):
    client, session = rig.established()
    with client:
        before = len(rig.at_server())
        client.send(smb2.CREATE, bodies.create("f"), session, sign_as="none")
        assert client.ends() and not client.answers
        told = rig.proxy.wait_event("unsigned_refused", leg="client", user="alice")
        assert told["verdict"] == "refused"
        assert len(rig.at_server()) <= before + 1 and not rig.at_server(smb2.CREATE)
    assert not os.path.exists(os.path.join(rig.server.share, "f"))


@pytest.mark.parametrize("dialect", LEGACY)
def test_validate_negotiate_info(rig, dialect):
    """Answered from what was really negotiated; what does not fit ends the connection without a word."""
    with rig.raw() as client:
        client.negotiate([number for number in ALL_DIALECTS if number <= dialect])
        session = client.login()
        session.tree_connect()
        good = bodies.validate_negotiate(*client.offered)
        answer = session.must(smb2.IOCTL, bodies.ioctl(smb2.FSCTL_VALIDATE_NEGOTIATE_INFO, good))
        capabilities, guid, mode, chosen = struct.unpack("<I16sHH", bodies.ioctl_output(answer))
        assert (capabilities, guid, mode, chosen) == (
            client.negotiated.capabilities, client.negotiated.guid, 3, dialect)
        offered = list(client.offered)
        offered[3] = offered[3][:-1]
        client.send(smb2.IOCTL, bodies.ioctl(smb2.FSCTL_VALIDATE_NEGOTIATE_INFO,
                                             bodies.validate_negotiate(*offered)), session)
        assert client.ends() and not client.answers
    rig.proxy.wait_event("validate_mismatch", leg="client")


@pytest.mark.parametrize("code", [smb2.FSCTL_QUERY_NETWORK_INTERFACE_INFO, smb2.FSCTL_DFS_GET_REFERRALS])
def test_ways_around_the_proxy_are_not_shown(rig, code):
    client, session = rig.established(share="IPC$")
    with client:
        path = struct.pack("<H", 4) + "\\nas\\data\0".encode("utf-16-le")
        data = path if code == smb2.FSCTL_DFS_GET_REFERRALS else b""
        answer = session.ask(smb2.IOCTL, bodies.ioctl(code, data))
        assert answer.status >= 0xC0000000
        assert rig.server.address.encode() not in answer.raw
        reason = "network_interfaces" if code == smb2.FSCTL_QUERY_NETWORK_INTERFACE_INFO else "dfs_referral"
        told = rig.proxy.wait_event("bypass_refused", leg="client", reason=reason, verdict="refused",
                                    user="alice")
        assert told["client_address"] == rig.client_relay.last().source
        for request in rig.at_server(smb2.IOCTL):
            assert struct.unpack_from("<I", request.raw, 68)[0] != code


@pytest.mark.parametrize("of_nobody", [False, True], ids=["a session", "SessionId 0"])
def test_another_channel_is_refused(rig, of_nobody):
    client, session = rig.established()
    with client, rig.raw() as second:
        second.guid = client.guid
        second.negotiate()
        second.algorithm = client.algorithm
        token = spnego.init_token([spnego.OID_NTLMSSP], ntlm.Client("alice", "Alice.Pw1").negotiate())
        raw = second.build(smb2.SESSION_SETUP, bodies.session_setup(token, flags=1), session, tree_id=0,
                           session_id=0 if of_nobody else None)
        second.waiting[smb2.parse_header(raw).message_id] = None
        second.send_frame(raw)
        answer = second.answer(smb2.parse_header(raw).message_id)
        assert answer.status == (smb2.INVALID_PARAMETER if of_nobody else smb2.REQUEST_NOT_ACCEPTED)
        rig.proxy.wait_event("binding_refused")
        session.must(smb2.ECHO, bodies.empty())


def test_session_of_another_connection_is_unknown(rig):
    client, session = rig.established()
    with client, rig.raw() as thief:
        thief.negotiate()
        thief.socket.settimeout(2)
        thief.send_frame(thief.build(smb2.TREE_CONNECT, bodies.tree_connect("\\\\x\\data"), session))
        assert thief.ends() or all(
            answer.status == smb2.USER_SESSION_DELETED for answer in thief.answers.values())
        assert len(rig.upstream_relay.connections[-1].messages(TO_SERVER, smb2.TREE_CONNECT)) == 0
        session.must(smb2.ECHO, bodies.empty())


def test_reauthentication_renews_and_never_changes_who_it_is(rig):
    client, session = rig.established()
    with client:
        client.login("alice", session=session)
        session.must(smb2.ECHO, bodies.empty())
        with pytest.raises(REFUSED):
            client.login("bob", session=session)
        told = rig.proxy.wait_event("identity_changed", leg="client", reason="other_identity")
        assert (told["user"], told["claimed"], told["verdict"]) == ("alice", "bob", "refused")


@pytest.mark.parametrize("user, domain, claimed", [("bob", "", "bob"), ("bob", "CORP", "CORP\\bob"),
                                                   ("x" * 200, "D", "D\\" + "x" * 200),
                                                   ('"\n\u202e', "", '"\ufffd\ufffd'),
                                                   ('x\u2028{"event": "login"}\u2029', "",
                                                    'x\ufffd{"event": "login"}\ufffd')])
def test_reauthentication_as_somebody_without_a_proof(rig, user, domain, claimed):
    """Both are told: whose session it is, and whose it was to become; escaped like every text, and
    without the controls in it."""
    client, session = rig.established()
    with client, pytest.raises(REFUSED):
        client.login(user, password="wrong", domain=domain, session=session)
    told = rig.proxy.wait_event("login_refused", leg="client", verdict="refused")
    assert (told["user"], told["claimed"]) == ("alice", claimed)


def test_name_that_is_claimed_is_bounded(rig):
    """The longest that is read at all: nobody fills the log with it."""
    client, session = rig.established()
    with client, pytest.raises(REFUSED):
        client.login("u" * 511, password="wrong", domain="d" * 511, session=session)
    told = rig.proxy.wait_event("login_refused", leg="client", verdict="refused")
    assert told["user"] == "alice" and told["claimed"] == "d" * 511 + "\\" + "u" * 511


def test_login_abandoned(rig):
    """SUCCESS and then silence: what only the client could see made it turn away."""
    attempt(rig)
    rig.proxy.wait_event("login_abandoned", user="alice")
