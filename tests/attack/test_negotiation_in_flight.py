"""Somebody on either leg rewrites the negotiation, so as to get less security than both ends can do.

At 3.1.1 the preauthentication hash finds it, below 3.1.1 FSCTL_VALIDATE_NEGOTIATE_INFO does. On the
client leg the client sees it first: one that looks turns away, and the proxy tells of a login that was
abandoned; of one that goes on nothing fits, and the proxy sees it too. An end that is known from before
has besides an event for what it seems to have lost.
"""

import struct

import pytest

import bodies
import smb2
from audit_log import VICTIM, assert_told, of_the_way, told
from capture import TO_CLIENT, TO_SERVER
from in_flight import Edit, cut_context, is_command, replace_dialect
from kerberosclient import initiator
from rawclient import ALL_DIALECTS, BadResponse, Disconnected, Failed
from rig import Rig

REQUEST = (TO_SERVER, is_command(smb2.NEGOTIATE, False))
RESPONSE = (TO_CLIENT, is_command(smb2.NEGOTIATE, True))
SETUP_REQUEST = (TO_SERVER, is_command(smb2.SESSION_SETUP, False))
SETUP_RESPONSE = (TO_CLIENT, is_command(smb2.SESSION_SETUP, True))
CIPHERS = (2, 1)  # AES-128-GCM, AES-128-CCM
LEGACY = [0x202, 0x210, 0x300, 0x302]
# By these is told that keys were derived from another negotiation than ours.
ABANDONED = {"event": "login_abandoned", "verdict": "recorded", "leg": "client", "user": "alice",
             "client_dialect": "3.1.1"}
CLIENT_PREAUTH = {"event": "preauth_mismatch", "leg": "client", "reason": "first_request",
                  "user": "alice", "client_dialect": "3.1.1", "severity": "error"}
UPSTREAM_PREAUTH = {"event": "preauth_mismatch", "reason": "final_response", "user": "alice",
                    "upstream_dialect": "3.1.1", "severity": "error"}


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


def clear_request_capabilities(message):
    """The request offers nothing."""
    struct.pack_into("<I", message, 72, 0)


def change_salt(message):
    """One bit of the whole message that nobody looks at."""
    message[-1] ^= 1


def change_setup_capabilities(message):
    """What a client says there of DFS concerns nobody here."""
    message[68] ^= 1


def change_setup_flags(message):
    """SessionFlags that mean nothing before the last response."""
    message[66] ^= smb2.ENCRYPT_DATA


def end_at(dialect):
    """The offer ends before the first newer dialect: what is left of it is what it was."""
    def edit(message):
        count = struct.unpack_from("<H", message, 66)[0]
        older = [number for number in struct.unpack_from(f"<{count}H", message, 100) if number <= dialect]
        struct.pack_into("<H", message, 66, len(older))
    return edit


def cut_above(dialect):
    """Writes an old dialect in the place of every newer one of the offer."""
    def edit(message):
        count = struct.unpack_from("<H", message, 66)[0]
        for index in range(count):
            if struct.unpack_from("<H", message, 100 + 2 * index)[0] > dialect:
                struct.pack_into("<H", message, 100 + 2 * index, 0x202)
    return edit


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
# What a known end seems to have lost: the first words, the leg, and the reason of the event.
LOST = {("signing algorithms", "client"): "signing", ("ciphers", "client"): "cipher",
        ("signing algorithm", "upstream"): "signing", ("signing algorithms", "upstream"): "signing",
        ("cipher", "upstream"): "cipher", ("ciphers", "upstream"): "cipher"}


def known(rig):
    """An honest login, so that both ends are known for what they can do."""
    with rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        client.login().tree_connect()
    rig.proxy.wait_event("link_ended")


def lost(attack, leg, **fields):
    """The event about a context that a known end has lost by this attack; none for most."""
    reason = LOST.get((attack.partition(" cut")[0], leg))
    return [told("contexts_stripped", "recorded", reason=reason, leg=leg, **fields)] if reason else []


def attack_client_leg(rig, attack):
    """Puts somebody between client and proxy."""
    (direction, wants), edit = UNSEEN[attack]
    rig.client_relay.hook = Edit(direction, wants, edit)
    return rig.client_relay.hook


@pytest.mark.parametrize("before", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("attack", UNSEEN)
def test_client_leg_at_3_1_1(rig, attack, before):
    """The client's key is not ours, so the signed SUCCESS does not verify and the client goes away."""
    if before:
        known(rig)
    hook = attack_client_leg(rig, attack)
    with rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        with pytest.raises(BadResponse):
            client.login()
    hook.assert_done()
    assert_told(rig, told(**ABANDONED), *(lost(attack, "client") if before else []))
    assert "negotiation" in rig.proxy.seen("login_abandoned")[0]["text"]
    assert not rig.upstream_relay.last().messages(TO_SERVER, smb2.TREE_CONNECT)


@pytest.mark.parametrize("attack", ["signing algorithms cut out of the request",
                                    "cipher cut out of the response",
                                    "an older dialect taken out of the request",
                                    "capabilities of the SESSION_SETUP changed"])
def test_smbclient_turns_away(rig, tmp_path, attack):
    """Samba looks as it should: what the proxy sees is that it has gone, and nothing got through."""
    hook = attack_client_leg(rig, attack)
    rig.smbclient(tmp_path).refused(exactly=False)
    hook.assert_done()
    assert_told(rig, told(**ABANDONED))
    assert not rig.at_server(smb2.TREE_CONNECT)


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
    assert_told(rig, told(**CLIENT_PREAUTH, command="TREE_CONNECT"))
    assert not rig.at_server(smb2.TREE_CONNECT)


@pytest.mark.parametrize("command", [smb2.LOGOFF, smb2.ECHO, smb2.SESSION_SETUP],
                         ids=["LOGOFF", "ECHO", "SESSION_SETUP"])
def test_whatever_the_first_request_is(rig, command):
    hook = attack_client_leg(rig, "one bit of padding or salt")
    with rig.raw() as client:
        client.negotiate()
        first_request(client, client.login(careless=True), command)
    hook.assert_done()
    assert_told(rig, told(**CLIENT_PREAUTH, command=smb2.COMMANDS[command]))


def test_first_request_is_encrypted(rig):
    """The keys for that are of the same hash."""
    hook = attack_client_leg(rig, "one bit of padding or salt")
    with rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        session = client.login(careless=True)
        client.send(smb2.TREE_CONNECT, bodies.tree_connect("\\\\x\\data"), session, encrypt=True)
        assert client.ends() and not client.answers
    hook.assert_done()
    assert_told(rig, told(**CLIENT_PREAUTH))


def test_later_request_of_a_session_that_has_signed(rig):
    """From the second request on a wrong signature says nothing of the negotiation."""
    client, session = rig.established()
    with client:
        client.send(smb2.ECHO, bodies.empty(), session, sign_as="flipped")
        assert client.ends() and not client.answers
    assert_told(rig, told("bad_signature", leg="client", reason="wrong_signature", command="ECHO"))


def assert_cut_off(client, session):
    """The client's own question, with what it really offered, ends the connection."""
    client.send(smb2.IOCTL, bodies.ioctl(smb2.FSCTL_VALIDATE_NEGOTIATE_INFO,
                                         bodies.validate_negotiate(*client.offered)), session)
    assert client.ends() and not client.answers


@pytest.mark.parametrize("before", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("dialect", LEGACY)
@pytest.mark.parametrize("edit", [cut_above, end_at], ids=["written over", "left out"])
def test_client_leg_brought_below_3_1_1(rig, edit, dialect, before):
    """Every newer dialect is taken out of the offer; the client's own question brings it to light."""
    if before:
        known(rig)
    hook = rig.client_relay.hook = Edit(*REQUEST, edit(dialect))
    with rig.raw() as client:
        assert client.negotiate().dialect == dialect
        session = client.login()
        session.tree_connect()
        assert_cut_off(client, session)
    hook.assert_done()
    downgrade = [told("downgrade", "recorded", leg="client", reason="dialect")] if before else []
    assert_told(rig, told("validate_mismatch", leg="client", reason="negotiate_changed",
                          user="alice"), *downgrade)


ASKED_BELOW = {"dialect": cut_above(0x300), "SIGNING_REQUIRED": clear_request_mode,
               "capabilities": clear_request_capabilities}


@pytest.mark.parametrize("what", ASKED_BELOW)
def test_client_leg_request_changed_below_3_1_1(rig, what):
    """What the client offered, up to 3.0.2, and what came of it."""
    hook = rig.client_relay.hook = Edit(*REQUEST, ASKED_BELOW[what])
    with rig.raw() as client:
        client.negotiate(LEGACY, security_mode=smb2.SIGNING_ENABLED | smb2.SIGNING_REQUIRED)
        session = client.login()
        session.tree_connect()
        assert_cut_off(client, session)
    hook.assert_done()
    assert_told(rig, told("validate_mismatch", leg="client", reason="negotiate_changed", user="alice"))


@pytest.mark.parametrize("edit", [turn_mode(smb2.SIGNING_REQUIRED), clear_capabilities],
                         ids=["SIGNING_REQUIRED", "capabilities"])
def test_client_leg_answer_changed_below_3_1_1(rig, edit):
    """What really was negotiated is told under signature, so that the client can compare. It is the
    client alone who learns of it: to the proxy it is one that asked and went."""
    hook = rig.client_relay.hook = Edit(*RESPONSE, edit)
    with rig.raw() as client:
        shown = client.negotiate([0x300, 0x302])
        session = client.login()
        session.tree_connect()
        answer = session.must(smb2.IOCTL, bodies.ioctl(
            smb2.FSCTL_VALIDATE_NEGOTIATE_INFO, bodies.validate_negotiate(*client.offered)))
        said = struct.unpack("<I16sHH", bodies.ioctl_output(answer))
        assert (said[0], said[2]) != (shown.capabilities, shown.security_mode)
        assert said[2] == smb2.SIGNING_ENABLED | smb2.SIGNING_REQUIRED
    hook.assert_done()
    assert_told(rig)


def use(rig, **offer):
    """A client that wants its share; refused. The other end of its leg is honest."""
    rig.client_relay.source = VICTIM
    with rig.raw() as client:
        with pytest.raises((Disconnected, Failed)):
            client.negotiate(**offer)
            session = client.login()
            session.tree_connect()


@pytest.mark.parametrize("before", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("attack", UNSEEN)
def test_upstream_leg_at_3_1_1(rig, attack, before):
    """The file server's last SESSION_SETUP response does not verify: no session, and it is told."""
    rig.client_relay.source = VICTIM
    if before:
        known(rig)
    (direction, wants), edit = UNSEEN[attack]
    hook = rig.upstream_relay.hook = Edit(direction, wants, edit)
    use(rig, ciphers=CIPHERS)
    hook.assert_done()
    event = {"event": "upstream_no_signing"} if attack.startswith("SecurityMode") else UPSTREAM_PREAUTH
    fields = dict(client_address=VICTIM, **of_the_way(rig))
    loss = lost(attack, client_address=VICTIM, **of_the_way(rig)) if before else []
    assert_told(rig, told(**event, **fields), *loss)
    assert not rig.upstream_relay.last().messages(TO_SERVER, smb2.TREE_CONNECT)
    assert len(rig.proxy.seen("login")) == before


@pytest.mark.parametrize("attack", ["signing algorithms cut out of the request",
                                    "capabilities of the SESSION_SETUP changed"])
def test_upstream_leg_with_kerberos(kerberos_rig, attack):
    """There the key comes in the very response that does not verify."""
    rig = kerberos_rig
    rig.client_relay.source = VICTIM
    (direction, wants), edit = UNSEEN[attack]
    hook = rig.upstream_relay.hook = Edit(direction, wants, edit)
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises((Disconnected, Failed)):
            client.login_ticket(initiator(rig))
    hook.assert_done()
    assert_told(rig, told(**UPSTREAM_PREAUTH, principal="alice@MIT.TEST", login="ticket",
                          client_address=VICTIM, **of_the_way(rig)))
    assert not rig.proxy.seen("login")


HUNG_UP = ("validate_mismatch", "file_server_hung_up")
OTHER_KEY = ("upstream_bad_signature", "final_response")
BELOW = {
    **{f"offered up to {smb2.DIALECT_NAMES[dialect]}": (REQUEST, cut_above(dialect), HUNG_UP)
       for dialect in LEGACY},
    "3.1.1 taken out of the offer": (REQUEST, replace_dialect(0x311, 0x202), HUNG_UP),
    "dialect of the answer lowered": (RESPONSE, answer_with_dialect(0x210), OTHER_KEY),
}


@pytest.mark.parametrize("attack", BELOW)
def test_upstream_leg_brought_below_3_1_1(rig, attack):
    """Asked under signature, the file server tells, or ends the connection as MS-SMB2 3.3.5.15.12 has
    it; the client never gets its share."""
    way, edit, (event, reason) = BELOW[attack]
    hook = rig.upstream_relay.hook = Edit(*way, edit)
    use(rig)
    hook.assert_done()
    assert_told(rig, told(event, client_address=VICTIM, reason=reason, **of_the_way(rig)))


ANSWERED_BELOW = {
    "dialects offered": (REQUEST, cut_above(0x300), "file_server_hung_up"),
    "SIGNING_REQUIRED of the request": (REQUEST, clear_request_mode, "file_server_hung_up"),
    "capabilities of the request": (REQUEST, clear_request_capabilities, "file_server_hung_up"),
    "SIGNING_REQUIRED of the answer": (RESPONSE, turn_mode(smb2.SIGNING_REQUIRED), "negotiate_changed"),
    "capabilities of the answer": (RESPONSE, clear_capabilities, "negotiate_changed"),
}


@pytest.mark.parametrize("what", ANSWERED_BELOW)
def test_upstream_leg_changed_below_3_1_1(nas, what):
    """The same where 3.0.2 is the best that is offered."""
    way, edit, reason = ANSWERED_BELOW[what]
    with Rig(nas, on_upstream={"max_dialect": "3.0.2"}) as rig:
        hook = rig.upstream_relay.hook = Edit(*way, edit)
        use(rig)
        hook.assert_done()
        assert_told(rig, told("validate_mismatch", client_address=VICTIM, reason=reason,
                              **of_the_way(rig)))


def test_control(rig):
    """The same clients with nobody on the way."""
    for dialects in (ALL_DIALECTS, LEGACY, LEGACY[:2]):
        with rig.raw() as client:
            client.negotiate(dialects, **({"ciphers": CIPHERS} if 0x311 in dialects else {}))
            session = client.login()
            session.tree_connect()
            if 0x311 not in dialects:
                session.must(smb2.IOCTL, bodies.ioctl(smb2.FSCTL_VALIDATE_NEGOTIATE_INFO,
                                                      bodies.validate_negotiate(*client.offered)))
        rig.client_relay.source = f"127.0.14.{len(rig.client_relay.connections)}"  # another client
    assert_told(rig)
    assert len(rig.proxy.seen("login")) == 3
