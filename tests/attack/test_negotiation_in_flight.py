"""Somebody on either leg rewrites the negotiation, so as to get less security than both ends can do.

At 3.1.1 the preauthentication hash finds it, below 3.1.1 FSCTL_VALIDATE_NEGOTIATE_INFO does. On the
client leg the client sees it first: one that looks turns away, and the proxy tells of a login that was
abandoned; of one that goes on nothing fits, and the proxy sees it too.
"""

import struct

import pytest

import bodies
import smb2
from audit_log import assert_told
from capture import TO_CLIENT, TO_SERVER
from in_flight import Edit, cut_context, is_command, replace_dialect
from kerberosclient import initiator
from rawclient import ALL_DIALECTS, BadResponse, Disconnected, Failed

REQUEST = (TO_SERVER, is_command(smb2.NEGOTIATE, False))
RESPONSE = (TO_CLIENT, is_command(smb2.NEGOTIATE, True))
SETUP_REQUEST = (TO_SERVER, is_command(smb2.SESSION_SETUP, False))
SETUP_RESPONSE = (TO_CLIENT, is_command(smb2.SESSION_SETUP, True))
CIPHERS = (2, 1)  # AES-128-GCM, AES-128-CCM


def turn_mode(bits):
    """Turns bits of the SecurityMode of a NEGOTIATE response over."""
    def edit(message):
        value = struct.unpack_from("<H", message, 66)[0]
        struct.pack_into("<H", message, 66, value ^ bits)
    return edit


def clear_mode(message):
    """The server does not even sign."""
    struct.pack_into("<H", message, 66, 0)


def clear_request_mode(message):
    """The client says that it cannot even sign."""
    struct.pack_into("<H", message, 68, 0)


def answer_with_dialect(dialect):
    """The response names another dialect than was chosen."""
    def edit(message):
        struct.pack_into("<H", message, 68, dialect)
    return edit


def clear_capabilities(message):
    """The response offers nothing."""
    struct.pack_into("<I", message, 88, 0)


def change_salt(message):
    """One bit of the whole message that nobody looks at."""
    message[-1] ^= 1


def change_setup_capabilities(message):
    """What a client says there of DFS concerns nobody here."""
    message[68] ^= 1


def change_setup_flags(message):
    """SessionFlags that mean nothing before the last response."""
    message[66] ^= smb2.ENCRYPT_DATA


UNSEEN = {
    "signing algorithms cut out of the request": (REQUEST, cut_context(smb2.CONTEXT_SIGNING)),
    "signing algorithm cut out of the response": (RESPONSE, cut_context(smb2.CONTEXT_SIGNING)),
    "ciphers cut out of the request": (REQUEST, cut_context(smb2.CONTEXT_ENCRYPTION)),
    "cipher cut out of the response": (RESPONSE, cut_context(smb2.CONTEXT_ENCRYPTION)),
    "an older dialect taken out of the request": (REQUEST, replace_dialect(0x302, 0x300)),
    "client's security mode cleared": (REQUEST, clear_request_mode),
    "SIGNING_REQUIRED turned over in the response": (RESPONSE, turn_mode(smb2.SIGNING_REQUIRED)),
    "SecurityMode cleared in the response": (RESPONSE, clear_mode),
    "capabilities cleared in the response": (RESPONSE, clear_capabilities),
    "one bit of padding or salt": (REQUEST, change_salt),
    "capabilities of the SESSION_SETUP changed": (SETUP_REQUEST, change_setup_capabilities),
    "flags of its first answer changed": (SETUP_RESPONSE, change_setup_flags),
}


def attack_client_leg(rig, attack):
    """Puts somebody between client and proxy."""
    (direction, wants), edit = UNSEEN[attack]
    rig.client_relay.hook = Edit(direction, wants, edit)
    return rig.client_relay.hook


@pytest.mark.parametrize("attack", UNSEEN)
def test_client_leg_at_3_1_1(rig, attack):
    """The client's key is not ours, so the signed SUCCESS does not verify and the client goes away."""
    hook = attack_client_leg(rig, attack)
    with rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        with pytest.raises(BadResponse):
            client.login()
    hook.assert_done()
    told = rig.proxy.wait_event("login_abandoned", user="alice", client_dialect="3.1.1")
    assert told["client_address"] == rig.client_relay.last().source
    assert "negotiation" in told["text"]
    assert not rig.proxy.seen(verdict="refused")
    assert not rig.at_server(smb2.TREE_CONNECT)


@pytest.mark.parametrize("attack", ["signing algorithms cut out of the request",
                                    "cipher cut out of the response",
                                    "an older dialect taken out of the request",
                                    "capabilities of the SESSION_SETUP changed"])
def test_smbclient_turns_away(rig, tmp_path, attack):
    """Samba looks as it should: what the proxy sees is that it has gone, and nothing got through."""
    hook = attack_client_leg(rig, attack)
    rig.smbclient(tmp_path).refused(exactly=False)
    hook.assert_done()
    rig.proxy.wait_event("login_abandoned", user="alice", client_dialect="3.1.1")
    assert not rig.at_server(smb2.TREE_CONNECT)
    assert not rig.proxy.seen(verdict="refused")


def first_request(client, session, command):
    """The first that a client sends with its key."""
    if command == smb2.SESSION_SETUP:
        with pytest.raises(Disconnected):
            client.login(session=session)
        return
    body = bodies.tree_connect("\\\\x\\data") if command == smb2.TREE_CONNECT else bodies.empty()
    client.send(command, body, session)
    assert client.ends() and not client.answers


@pytest.mark.parametrize("attack", UNSEEN)
def test_client_leg_at_3_1_1_and_the_client_goes_on(rig, attack):
    """It does not look at the last response: then its first request does not fit here."""
    hook = attack_client_leg(rig, attack)
    with rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        first_request(client, client.login(careless=True), smb2.TREE_CONNECT)
    hook.assert_done()
    told = assert_told(rig, "preauth_mismatch", leg="client", reason="first_request", user="alice",
                       command="TREE_CONNECT", client_dialect="3.1.1")
    assert told["severity"] == "error"
    assert not rig.at_server(smb2.TREE_CONNECT) and not rig.proxy.seen("login_abandoned")


@pytest.mark.parametrize("command", [smb2.LOGOFF, smb2.ECHO, smb2.SESSION_SETUP],
                         ids=["LOGOFF", "ECHO", "SESSION_SETUP"])
def test_whatever_the_first_request_is(rig, command):
    hook = attack_client_leg(rig, "one bit of padding or salt")
    with rig.raw() as client:
        client.negotiate()
        first_request(client, client.login(careless=True), command)
    hook.assert_done()
    assert_told(rig, "preauth_mismatch", leg="client", reason="first_request", user="alice",
                command=smb2.COMMANDS[command])


def test_first_request_is_encrypted(rig):
    """The keys for that are of the same hash."""
    hook = attack_client_leg(rig, "one bit of padding or salt")
    with rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        session = client.login(careless=True)
        client.send(smb2.TREE_CONNECT, bodies.tree_connect("\\\\x\\data"), session, encrypt=True)
        assert client.ends() and not client.answers
    hook.assert_done()
    assert_told(rig, "preauth_mismatch", leg="client", reason="first_request", user="alice")


def test_later_request_of_a_session_that_has_signed(rig):
    """From the second request on a wrong signature says nothing of the negotiation."""
    client, session = rig.established()
    with client:
        client.send(smb2.ECHO, bodies.empty(), session, sign_as="flipped")
        assert client.ends() and not client.answers
    assert_told(rig, "bad_signature", leg="client", reason="wrong_signature", command="ECHO")


@pytest.mark.parametrize("dialect", [0x210, 0x300, 0x302])
def test_client_leg_brought_below_3_1_1(rig, dialect):
    """Every newer dialect is taken out of the offer; the client's own question brings it to light."""
    def cut(message):
        count = struct.unpack_from("<H", message, 66)[0]
        for index in range(count):
            if struct.unpack_from("<H", message, 100 + 2 * index)[0] > dialect:
                struct.pack_into("<H", message, 100 + 2 * index, 0x202)
    hook = rig.client_relay.hook = Edit(*REQUEST, cut)
    with rig.raw() as client:
        assert client.negotiate().dialect == dialect
        session = client.login()
        session.tree_connect()
        client.send(smb2.IOCTL, bodies.ioctl(smb2.FSCTL_VALIDATE_NEGOTIATE_INFO,
                                             bodies.validate_negotiate(*client.offered)), session)
        assert client.ends() and not client.answers
    hook.assert_done()
    assert_told(rig, "validate_mismatch", leg="client")


@pytest.mark.parametrize("edit", [turn_mode(smb2.SIGNING_REQUIRED), clear_capabilities],
                         ids=["SIGNING_REQUIRED", "capabilities"])
def test_client_leg_answer_changed_below_3_1_1(rig, edit):
    """What really was negotiated is told under signature, so that the client can compare."""
    hook = rig.client_relay.hook = Edit(*RESPONSE, edit)
    with rig.raw() as client:
        shown = client.negotiate([0x300, 0x302])
        session = client.login()
        session.tree_connect()
        answer = session.must(smb2.IOCTL, bodies.ioctl(
            smb2.FSCTL_VALIDATE_NEGOTIATE_INFO, bodies.validate_negotiate(*client.offered)))
        told = struct.unpack("<I16sHH", bodies.ioctl_output(answer))
        assert (told[0], told[2]) != (shown.capabilities, shown.security_mode)
        assert told[2] == smb2.SIGNING_ENABLED | smb2.SIGNING_REQUIRED
    hook.assert_done()


@pytest.mark.parametrize("attack", UNSEEN)
def test_upstream_leg_at_3_1_1(rig, attack):
    """The file server's last SESSION_SETUP response does not verify: no session, and it is told."""
    (direction, wants), edit = UNSEEN[attack]
    hook = rig.upstream_relay.hook = Edit(direction, wants, edit)
    with rig.raw() as client:
        with pytest.raises((Disconnected, Failed)):
            client.negotiate(ciphers=CIPHERS)
            client.login()
    hook.assert_done()
    if attack.startswith("SecurityMode"):
        expected = {"event": "upstream_no_signing"}
    else:
        expected = {"event": "preauth_mismatch", "reason": "final_response", "user": "alice",
                    "severity": "error", "upstream_dialect": "3.1.1"}
    told = rig.proxy.wait_event(expected.pop("event"), leg="upstream", verdict="refused", **expected)
    assert told["upstream_address"] == rig.upstream_relay.address
    assert {seen["event"] for seen in rig.proxy.seen(verdict="refused")} == {told["event"]}
    assert not rig.proxy.seen("login")
    assert not rig.at_server(smb2.TREE_CONNECT)


@pytest.mark.parametrize("attack", ["signing algorithms cut out of the request",
                                    "capabilities of the SESSION_SETUP changed"])
def test_upstream_leg_with_kerberos(kerberos_rig, attack):
    """There the key comes in the very response that does not verify."""
    (direction, wants), edit = UNSEEN[attack]
    hook = kerberos_rig.upstream_relay.hook = Edit(direction, wants, edit)
    with kerberos_rig.raw() as client:
        client.negotiate()
        with pytest.raises((Disconnected, Failed)):
            client.login_ticket(initiator(kerberos_rig))
    hook.assert_done()
    kerberos_rig.proxy.wait_event("preauth_mismatch", leg="upstream", reason="final_response",
                                  verdict="refused", principal="alice@MIT.TEST", login="ticket")
    refused = kerberos_rig.proxy.seen(verdict="refused")
    assert {seen["event"] for seen in refused} == {"preauth_mismatch"}
    assert not kerberos_rig.proxy.seen("login")


@pytest.mark.parametrize("cut, reason", [(smb2.CONTEXT_SIGNING, "signing"),
                                         (smb2.CONTEXT_ENCRYPTION, "cipher")])
def test_contexts_that_the_file_server_once_sent(rig, cut, reason):
    """What was cut out is told by name as well: it was there in the connection before."""
    with rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        client.login()
    rig.proxy.mark()
    hook = rig.upstream_relay.hook = Edit(*RESPONSE, cut_context(cut))
    with rig.raw() as client, pytest.raises((Disconnected, Failed)):
        client.negotiate(ciphers=CIPHERS)
        client.login()
    hook.assert_done()
    told = rig.proxy.wait_event("contexts_stripped", leg="upstream", reason=reason, verdict="recorded")
    assert told["upstream_address"] == rig.upstream_relay.address
    rig.proxy.wait_event("preauth_mismatch", leg="upstream", verdict="refused")


BELOW = {
    "3.1.1 taken out of the offer": ((REQUEST, replace_dialect(0x311, 0x202)), "validate_mismatch",
                                     {"reason": "file_server_hung_up"}),
    "dialect of the answer lowered": ((RESPONSE, answer_with_dialect(0x210)),
                                      "upstream_bad_signature", {"reason": "final_response"}),
}


@pytest.mark.parametrize("attack", BELOW)
def test_upstream_leg_brought_below_3_1_1(rig, attack):
    """Asked under signature, the file server tells, or ends the connection as MS-SMB2 3.3.5.15.12 has
    it; the client never gets its share."""
    ((direction, wants), edit), event, fields = BELOW[attack]
    hook = rig.upstream_relay.hook = Edit(direction, wants, edit)
    with rig.raw() as client:
        with pytest.raises((Disconnected, Failed)):
            client.negotiate()
            session = client.login()
            session.tree_connect()
    hook.assert_done()
    told = rig.proxy.wait_event(event, leg="upstream", verdict="refused", **fields)
    assert told["upstream_address"] == rig.upstream_relay.address
    assert {seen["event"] for seen in rig.proxy.seen(verdict="refused")} == {event}


def test_control(rig):
    """The same clients with nobody on the way."""
    for dialects in (ALL_DIALECTS, [0x300, 0x302]):
        with rig.raw() as client:
            client.negotiate(dialects, **({"ciphers": CIPHERS} if 0x311 in dialects else {}))
            session = client.login()
            session.tree_connect()
    assert len(rig.proxy.seen("login")) == 2 and not rig.proxy.seen("login_abandoned")
