"""Somebody between client and proxy changes the NTLM messages of an honest client's login.

What passes untouched is shown by the control; so each refusal comes of the one thing that was changed.
A client that sends no MIC shows what holds without one.
"""

import pytest

import bodies
import ntlm
import smb2
import spnego
from audit_log import ATTACKER, VICTIM, assert_told, told
from capture import TO_CLIENT, TO_SERVER
from harness import USERS
from in_flight import (AUTHENTICATE_MESSAGE, CHALLENGE_MESSAGE, NEGOTIATE_MESSAGE, Edit,
                       bare_setup_edit, change_av, clear_flags, drop_mic, flip, has_ntlm, hide_av,
                       ntlm_edit, zero, zero_av)
from rawclient import Disconnected, Failed, RawClient
from rig import Rig

REFUSED = (Disconnected, Failed)
CHALLENGE_PAIRS, AUTHENTICATE_PAIRS = 40, 20
NEGOTIATE = (TO_SERVER, NEGOTIATE_MESSAGE)
CHALLENGE = (TO_CLIENT, CHALLENGE_MESSAGE)
AUTHENTICATE = (TO_SERVER, AUTHENTICATE_MESSAGE)
WITHOUT_MIC = {"mic": "none"}

# What is changed (where, edit), the client's own knobs, and the event that tells it with its reason.
ATTACKS = {
    "MIC zeroed": (AUTHENTICATE, zero(72, 16), {}, "mic_refused", "mic_wrong"),
    "MIC changed": (AUTHENTICATE, flip(72), {}, "mic_refused", "mic_wrong"),
    "MIC changed in its last bit": (AUTHENTICATE, flip(87), {}, "mic_refused", "mic_wrong"),
    "MIC not announced any more":
        (AUTHENTICATE, zero_av(AUTHENTICATE_PAIRS, ntlm.AV_FLAGS), {}, "login_refused",
         "wrong_password"),
    "client's offer of signing taken out":
        (NEGOTIATE, clear_flags(12, ntlm.SIGN | ntlm.ALWAYS_SIGN), {}, "mic_refused", "mic_wrong"),
    "signing cleared in the AUTHENTICATE":
        (AUTHENTICATE, clear_flags(60, ntlm.SIGN), {}, "login_refused", "flags"),
    "signing cleared, without a MIC":
        (AUTHENTICATE, clear_flags(60, ntlm.SIGN), WITHOUT_MIC, "login_refused", "flags"),
    "key exchange cleared in the AUTHENTICATE":
        (AUTHENTICATE, clear_flags(60, ntlm.KEY_EXCHANGE), {}, "login_refused", "flags"),
    "key exchange cleared, without a MIC":
        (AUTHENTICATE, clear_flags(60, ntlm.KEY_EXCHANGE), WITHOUT_MIC, "login_refused", "flags"),
    "version cleared in the AUTHENTICATE":
        (AUTHENTICATE, zero(64, 8), {}, "mic_refused", "mic_wrong"),
    "target name changed":
        (AUTHENTICATE, change_av(AUTHENTICATE_PAIRS, ntlm.AV_TARGET_NAME), {}, "login_refused",
         "wrong_password"),
    "target name taken out, without a MIC":
        (AUTHENTICATE, hide_av(AUTHENTICATE_PAIRS, ntlm.AV_TARGET_NAME), WITHOUT_MIC,
         "login_refused", "wrong_password"),
    "other NetBIOS name shown to the client":
        (CHALLENGE, change_av(CHALLENGE_PAIRS, ntlm.AV_NB_COMPUTER), {}, "login_refused",
         "av_pairs"),
    "other NetBIOS name shown, without a MIC":
        (CHALLENGE, change_av(CHALLENGE_PAIRS, ntlm.AV_NB_COMPUTER), WITHOUT_MIC, "login_refused",
         "av_pairs"),
    "other domain shown to the client":
        (CHALLENGE, change_av(CHALLENGE_PAIRS, ntlm.AV_NB_DOMAIN), {}, "login_refused", "av_pairs"),
    "other time shown to the client":
        (CHALLENGE, change_av(CHALLENGE_PAIRS, ntlm.AV_TIMESTAMP), {}, "login_refused", "stale"),
    "other time shown, without a MIC":
        (CHALLENGE, change_av(CHALLENGE_PAIRS, ntlm.AV_TIMESTAMP), WITHOUT_MIC, "login_refused",
         "stale"),
    "no time shown, so that no MIC is sent":
        (CHALLENGE, hide_av(CHALLENGE_PAIRS, ntlm.AV_TIMESTAMP), WITHOUT_MIC, "login_refused",
         "av_pairs"),
    "other challenge shown to the client":
        (CHALLENGE, flip(24), {}, "login_refused", "wrong_password"),
    "signing not granted to the client":
        (CHALLENGE, clear_flags(20, ntlm.SIGN), {}, "login_refused", "flags"),
    "signing not granted, without a MIC":
        (CHALLENGE, clear_flags(20, ntlm.SIGN), WITHOUT_MIC, "login_refused", "flags"),
}


def login(rig, **knobs):
    """The honest client's login through whatever is on the way."""
    with rig.raw() as client:
        client.negotiate()
        return client.login(**knobs)


@pytest.mark.parametrize("knobs", [{}, WITHOUT_MIC, {"raw": True}], ids=["MIC", "no MIC", "bare"])
def test_control(rig, knobs):
    """The same ways with nothing changed."""
    assert login(rig, **knobs).key
    rig.proxy.wait_event("login", user="alice")
    # It says nothing after its login, as whoever only tries a login.
    assert_told(rig, told("login_abandoned", "recorded", leg="client"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_changed_in_flight(rig, attack):
    (direction, kind), edit, knobs, event, reason = ATTACKS[attack]
    hook = rig.client_relay.hook = Edit(direction, has_ntlm(kind), ntlm_edit(kind, edit))
    with pytest.raises(REFUSED):
        login(rig, **knobs)
    hook.assert_done()
    assert_told(rig, told(event, leg="client", reason=reason, user="alice"))
    assert not rig.proxy.seen("login")
    assert not rig.at_server(smb2.SESSION_SETUP), "the file server was asked"


# The same with a login that is not inside SPNEGO: what is behind the NTLM message may move.
BARE = {"MIC and version dropped": (drop_mic, "mic_missing"),
        "other session key put in": (flip(-1), "mic_wrong")}


@pytest.mark.parametrize("attack", BARE)
def test_changed_in_flight_bare(rig, attack):
    """The encrypted session key, the last thing in the AUTHENTICATE, is under the MIC."""
    edit, reason = BARE[attack]
    hook = rig.client_relay.hook = Edit(TO_SERVER, has_ntlm(AUTHENTICATE_MESSAGE),
                                        bare_setup_edit(edit))
    with pytest.raises(REFUSED):
        login(rig, raw=True)
    hook.assert_done()
    assert_told(rig, told("mic_refused", leg="client", reason=reason, user="alice"))
    assert not rig.proxy.seen("login") and not rig.at_server(smb2.SESSION_SETUP)


REQUIRED = {"MIC": ({"mic": "required"}, WITHOUT_MIC, "mic_refused", "mic_missing"),
            "target name": ({"target_name": "required"}, {"target_name": None},
                            "target_name_refused", "target_name_missing")}


@pytest.mark.parametrize("what", REQUIRED)
def test_missing_where_it_is_required(nas, what):
    """A client that never sends it, at a listener that insists; one that does gets in."""
    on_listener, knobs, event, reason = REQUIRED[what]
    with Rig(nas, on_listener=on_listener, source=ATTACKER) as rig:
        with pytest.raises(REFUSED):
            login(rig, **knobs)
        assert not rig.at_server(smb2.SESSION_SETUP)
        assert login(rig).key
        rig.proxy.wait_event("login")
        assert_told(rig, told(event, leg="client", reason=reason, user="alice"),
                    told("login_abandoned", "recorded"))


@pytest.mark.parametrize("mic", ["right", "none"])
def test_target_name_of_another_server(rig, mic):
    """All of it is as the victim wrote it, who meant somebody else."""
    with pytest.raises(REFUSED):
        login(rig, target_name="cifs/elsewhere.example", mic=mic)
    assert_told(rig, told("target_name_refused", leg="client", reason="target_name_wrong",
                          user="alice", target_name="cifs/elsewhere.example", windows_event_id=5168))
    assert not rig.at_server(smb2.SESSION_SETUP)


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


def beside(rig):
    """A connection of the attacker's own, past the victim's."""
    return RawClient(*rig.client_relay.target, source=ATTACKER)


WRONG_PROOF = told("login_refused", leg="client", user="alice", reason="wrong_password")


def test_replayed_authenticate(rig):
    """A recorded AUTHENTICATE answers no challenge but its own."""
    rig.client_relay.source = VICTIM
    with rig.raw() as victim:
        victim.negotiate()
        session_id, recorded = authenticate_for(rig, victim)
        assert answer_with(victim, session_id, recorded) == smb2.SUCCESS
        rig.proxy.wait_event("login", client_address=VICTIM)
    with beside(rig) as attacker:
        attacker.negotiate()
        session_id, _ = authenticate_for(rig, attacker)
        assert answer_with(attacker, session_id, recorded) == smb2.LOGON_FAILURE
    assert_told(rig, WRONG_PROOF,
                told("login_abandoned", "recorded", client_address=VICTIM),  # it goes at once
                secrets={"token": recorded})
    assert len(rig.proxy.seen("login")) == 1


def test_answer_to_a_challenge_of_another_connection(rig):
    """While both are open: a challenge belongs to the connection that it was sent on."""
    rig.client_relay.source = VICTIM
    with rig.raw() as victim, beside(rig) as attacker:
        victim.negotiate()
        attacker.negotiate()
        _, stolen = authenticate_for(rig, victim)
        session_id, _ = authenticate_for(rig, attacker)
        assert answer_with(attacker, session_id, stolen) == smb2.LOGON_FAILURE
    assert_told(rig, WRONG_PROOF, secrets={"token": stolen})
    assert not rig.proxy.seen("login")


def test_answer_to_an_old_challenge(rig):
    """On the same connection too: each attempt has a challenge of its own."""
    with rig.raw() as client:
        client.negotiate()
        _, old = authenticate_for(rig, client)
        session_id, _ = authenticate_for(rig, client)
        assert answer_with(client, session_id, old) == smb2.LOGON_FAILURE
    assert_told(rig, WRONG_PROOF, secrets={"token": old})
    assert not rig.proxy.seen("login")


def test_challenge_is_answered_once(rig):
    """After a wrong answer the right one comes too late."""
    with rig.raw() as client:
        client.negotiate()
        session_id, token = authenticate_for(rig, client)
        assert answer_with(client, session_id, token[:-1] + bytes([token[-1] ^ 1])) != smb2.SUCCESS
        assert answer_with(client, session_id, token) == smb2.USER_SESSION_DELETED
    assert_told(rig, told("mic_refused", leg="client", user="alice", reason="mic_wrong"),
                secrets={"token": token})
    assert not rig.proxy.seen("login")
