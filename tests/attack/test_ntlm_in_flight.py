"""Somebody between client and proxy changes the NTLM messages of an honest client's login.

What passes untouched is shown by the control; so each refusal comes of the one thing that was changed.
"""

import pytest

import bodies
import ntlm
import smb2
import spnego
from audit_log import assert_nothing_leaked, assert_told
from capture import TO_CLIENT, TO_SERVER
from harness import USERS
from in_flight import (AUTHENTICATE_MESSAGE, CHALLENGE_MESSAGE, NEGOTIATE_MESSAGE, Edit, change_av,
                       clear_flags, flip, has_ntlm, ntlm_edit, zero, zero_av)
from rawclient import Disconnected, Failed

REFUSED = (Disconnected, Failed)
CHALLENGE_PAIRS, AUTHENTICATE_PAIRS = 40, 20

# What is changed (direction, NTLM message, edit), the event that tells it, and its fields.
ATTACKS = {
    "MIC zeroed": ((TO_SERVER, AUTHENTICATE_MESSAGE, zero(72, 16)), "mic_refused", {}),
    "MIC changed": ((TO_SERVER, AUTHENTICATE_MESSAGE, flip(72)), "mic_refused", {}),
    "MIC not announced any more":
        ((TO_SERVER, AUTHENTICATE_MESSAGE, zero_av(AUTHENTICATE_PAIRS, ntlm.AV_FLAGS)),
         "login_refused", {"reason": "wrong_password"}),
    "client's offer of signing taken out":
        ((TO_SERVER, NEGOTIATE_MESSAGE, clear_flags(12, ntlm.SIGN | ntlm.ALWAYS_SIGN)),
         "mic_refused", {}),
    "signing cleared in the AUTHENTICATE":
        ((TO_SERVER, AUTHENTICATE_MESSAGE, clear_flags(60, ntlm.SIGN)),
         "login_refused", {"reason": "flags"}),
    "key exchange cleared in the AUTHENTICATE":
        ((TO_SERVER, AUTHENTICATE_MESSAGE, clear_flags(60, ntlm.KEY_EXCHANGE)),
         "login_refused", {"reason": "flags"}),
    "version cleared in the AUTHENTICATE":
        ((TO_SERVER, AUTHENTICATE_MESSAGE, zero(64, 8)), "mic_refused", {}),
    "target name changed":
        ((TO_SERVER, AUTHENTICATE_MESSAGE, change_av(AUTHENTICATE_PAIRS, ntlm.AV_TARGET_NAME)),
         "login_refused", {"reason": "wrong_password"}),
    "other NetBIOS name shown to the client":
        ((TO_CLIENT, CHALLENGE_MESSAGE, change_av(CHALLENGE_PAIRS, ntlm.AV_NB_COMPUTER)),
         "login_refused", {"reason": "av_pairs"}),
    "other domain shown to the client":
        ((TO_CLIENT, CHALLENGE_MESSAGE, change_av(CHALLENGE_PAIRS, ntlm.AV_NB_DOMAIN)),
         "login_refused", {"reason": "av_pairs"}),
    "other time shown to the client":
        ((TO_CLIENT, CHALLENGE_MESSAGE, change_av(CHALLENGE_PAIRS, ntlm.AV_TIMESTAMP)),
         "login_refused", {"reason": "stale"}),
    "other challenge shown to the client":
        ((TO_CLIENT, CHALLENGE_MESSAGE, flip(24)), "login_refused", {"reason": "wrong_password"}),
    "signing not granted to the client":
        ((TO_CLIENT, CHALLENGE_MESSAGE, clear_flags(20, ntlm.SIGN)),
         "login_refused", {"reason": "flags"}),
}


def login(rig, **knobs):
    """The honest client's login through whatever is on the way."""
    with rig.raw() as client:
        client.negotiate()
        return client.login(**knobs)


def test_control(rig):
    """The same way with nothing changed."""
    assert login(rig).key
    rig.proxy.wait_event("login", user="alice")


@pytest.mark.parametrize("attack", ATTACKS)
def test_changed_in_flight(rig, attack):
    (direction, kind, edit), event, fields = ATTACKS[attack]
    hook = rig.client_relay.hook = Edit(direction, has_ntlm(kind), ntlm_edit(kind, edit))
    with pytest.raises(REFUSED):
        login(rig)
    hook.assert_done()
    assert_told(rig, event, leg="client", **fields)
    assert not rig.proxy.seen("login")
    assert not rig.at_server(smb2.SESSION_SETUP), "the file server was asked"


def test_other_session_key_put_in(rig):
    """The encrypted session key, the last thing in a bare AUTHENTICATE, is under the MIC."""
    hook = rig.client_relay.hook = Edit(TO_SERVER, has_ntlm(AUTHENTICATE_MESSAGE), flip(-1))
    with pytest.raises(REFUSED):
        login(rig, raw=True)
    hook.assert_done()
    assert_told(rig, "mic_refused", leg="client")


def authenticate_for(rig, client):
    """Has an honest client answer this connection's challenge: (SessionId, the token it sends)."""
    victim = ntlm.Client("alice", USERS["alice"], target_name=f"cifs/{rig.address}")
    token = spnego.init_token([spnego.OID_NTLMSSP], victim.negotiate())
    answer = client.ask(smb2.SESSION_SETUP, bodies.session_setup(token))
    assert answer.status == smb2.MORE_PROCESSING
    challenge = spnego.parse_response(smb2.session_setup_token(answer.raw, True))[1]
    return answer.session_id, spnego.response_token(token=victim.authenticate(challenge))


def answer_with(client, session_id, token):
    """Sends an AUTHENTICATE; the status that it gets."""
    return client.ask(smb2.SESSION_SETUP, bodies.session_setup(token), session_id=session_id).status


def test_replayed_authenticate(rig):
    """A recorded AUTHENTICATE answers no challenge but its own."""
    with rig.raw() as victim:
        victim.negotiate()
        session_id, recorded = authenticate_for(rig, victim)
        assert answer_with(victim, session_id, recorded) == smb2.SUCCESS
    with rig.raw() as attacker:
        attacker.negotiate()
        session_id, _ = authenticate_for(rig, attacker)
        assert answer_with(attacker, session_id, recorded) == smb2.LOGON_FAILURE
    rig.proxy.wait_event("login_refused", user="alice", reason="wrong_password")
    assert len(rig.proxy.seen("login")) == 1
    assert_nothing_leaked(rig, [recorded])


def test_answer_to_a_challenge_of_another_connection(rig):
    """While both are open: a challenge belongs to the connection that it was sent on."""
    with rig.raw() as victim, rig.raw() as attacker:
        victim.negotiate()
        attacker.negotiate()
        _, stolen = authenticate_for(rig, victim)
        session_id, _ = authenticate_for(rig, attacker)
        assert answer_with(attacker, session_id, stolen) == smb2.LOGON_FAILURE
    rig.proxy.wait_event("login_refused", user="alice", reason="wrong_password")
    assert not rig.proxy.seen("login")


def test_challenge_is_answered_once(rig):
    """After a wrong answer the right one comes too late."""
    with rig.raw() as client:
        client.negotiate()
        session_id, token = authenticate_for(rig, client)
        assert answer_with(client, session_id, token[:-1] + bytes([token[-1] ^ 1])) != smb2.SUCCESS
        assert answer_with(client, session_id, token) == smb2.USER_SESSION_DELETED
    assert not rig.proxy.seen("login")
