"""Somebody takes Kerberos off the list of mechanisms, or what confirms that list.

SPNEGO's mechListMIC is the one thing over the list that does not depend on the dialect (RFC 4178 5). On
the upstream leg, where Countersign lists one mechanism alone, it is the answer that takes another one.
"""

import pytest

import smb2
import spnego
from audit_log import VICTIM, assert_told, of_the_way, told
from capture import TO_CLIENT, TO_SERVER
from in_flight import (AUTHENTICATE_MESSAGE, CHALLENGE_MESSAGE, Edit, has_ntlm, is_command, token_edit)
from kerberosclient import initiator
from rawclient import Disconnected, Failed
from rig import Rig
from stubserver import StubServer

REFUSED = (Disconnected, Failed)
BOTH = [spnego.OID_KERBEROS, spnego.OID_NTLMSSP]
NOBODYS_OID = bytes.fromhex("2a864886f7120102ff")[:len(spnego.OID_KERBEROS)]
DIALECTS = pytest.mark.parametrize("dialect", [0x210, 0x311], ids=hex)

FIRST = is_command(smb2.SESSION_SETUP, False)
LAST = has_ntlm(AUTHENTICATE_MESSAGE)


def make_kerberos_unknown(token):
    """The list keeps its length, and what was first in it nobody knows."""
    return token.replace(spnego.OID_MS_KERBEROS, NOBODYS_OID).replace(spnego.OID_KERBEROS, NOBODYS_OID)


def take_kerberos_off(_):
    """NTLM is all that is left, and looks like the first choice."""
    return spnego.init_token([spnego.OID_NTLMSSP], None)


def turn_the_list_over(token):
    """Kerberos is still there, behind NTLM."""
    return spnego.init_token(list(reversed(spnego.parse_init(token)[0])), None)


def flip_the_mic(token):
    """One bit of the checksum in it."""
    state, inner, mic = spnego.parse_response(token)
    assert mic, "the client sends none"
    return spnego.response_token(state, token=inner, mic=mic[:5] + bytes([mic[5] ^ 1]) + mic[6:])


def cut_the_mic_off(token):
    """As if the client had never had one."""
    state, inner, mic = spnego.parse_response(token)
    assert mic, "the client sends none"
    return spnego.response_token(state, token=inner)


ATTACKS = {
    "Kerberos made unknown": (FIRST, make_kerberos_unknown, "mech_list_mic_wrong"),
    "Kerberos taken off": (FIRST, take_kerberos_off, "mech_list_mic_wrong"),
    "list turned over": (FIRST, turn_the_list_over, "mech_list_mic_wrong"),
    "mechListMIC changed": (LAST, flip_the_mic, "mech_list_mic_wrong"),
    "mechListMIC cut off": (LAST, cut_the_mic_off, "mech_list_mic_missing"),
}


def assert_refused(rig, reason, **fields):
    """Exactly that event, with the attacker's address, and not a word to the file server."""
    assert_told(rig, told("mechanism_downgraded", leg="client", reason=reason, severity="error",
                          status="0xc0000022", **fields))
    assert not rig.at_server(smb2.SESSION_SETUP) and not rig.proxy.seen("login")


@DIALECTS
@pytest.mark.parametrize("attack", ATTACKS)
def test_client_leg(rig, attack, dialect):
    """An honest client that would rather take Kerberos, and takes NTLM when that is what it is given."""
    wants, edit, reason = ATTACKS[attack]
    hook = rig.client_relay.hook = Edit(TO_SERVER, wants, token_edit(edit))
    with rig.raw() as client:
        client.negotiate([dialect])
        with pytest.raises(REFUSED):
            client.login(mechanisms=BOTH)
    hook.assert_done()
    assert_refused(rig, reason, mechanism="ntlm", user="alice")


@DIALECTS
def test_control(rig, dialect):
    """The same client with nobody on the way: here NTLM alone is taken, and the list says so."""
    with rig.raw() as client:
        client.negotiate([dialect])
        client.login(mechanisms=BOTH).tree_connect()
    assert_told(rig)


def test_smbclient(rig, tmp_path):
    """Samba confirms its list also where NTLM was all that is in it."""
    hook = rig.client_relay.hook = Edit(TO_SERVER, LAST, token_edit(flip_the_mic))
    assert "ACCESS_DENIED" in rig.smbclient(tmp_path).refused(exactly=False)
    hook.assert_done()
    assert_refused(rig, "mech_list_mic_wrong", user="alice")


@pytest.mark.parametrize("attack", ["Kerberos made unknown", "Kerberos taken off", "list turned over"])
def test_both_ends_can_do_kerberos(kerberos_rig, attack):
    """What the attack is for: a login by NTLM, which could be relayed or guessed at."""
    wants, edit, reason = ATTACKS[attack]
    hook = kerberos_rig.client_relay.hook = Edit(TO_SERVER, wants, token_edit(edit))
    with kerberos_rig.raw() as client:
        client.negotiate()
        with pytest.raises(REFUSED):
            client.login(mechanisms=BOTH)
    hook.assert_done()
    assert_refused(kerberos_rig, reason, mechanism="ntlm", user="alice")


def smbclient_with_either(rig, directory):
    """smbclient with a password that is good for Kerberos and for NTLM."""
    return rig.smbclient(directory).run("ls", exactly=False, domain=rig.realm.name,
                                        options=["--use-kerberos=desired"])


@pytest.mark.parametrize("attack", ["Kerberos made unknown", "Kerberos taken off"])
def test_smbclient_falls_back_to_ntlm(kerberos_rig, tmp_path, attack):
    """Which it does without a word; its mechListMIC is over the list that it sent."""
    wants, edit, reason = ATTACKS[attack]
    hook = kerberos_rig.client_relay.hook = Edit(TO_SERVER, wants, token_edit(edit))
    assert "ACCESS_DENIED" in smbclient_with_either(kerberos_rig, tmp_path).stdout
    hook.assert_done()
    assert_refused(kerberos_rig, reason, mechanism="ntlm")
    assert kerberos_rig.proxy.seen("mechanism_downgraded")[0]["user"].startswith("alice")


def test_kerberos_with_nobody_on_the_way(kerberos_rig, tmp_path):
    """With the same list, and smbclient with the same password."""
    with kerberos_rig.raw() as client:
        client.negotiate()
        client.login_ticket(initiator(kerberos_rig), mechanisms=BOTH).tree_connect()
    assert kerberos_rig.proxy.wait_event("login")["mechanism"] == "kerberos"
    kerberos_rig.proxy.mark()
    assert smbclient_with_either(kerberos_rig, tmp_path).returncode == 0
    assert kerberos_rig.proxy.wait_event("login")["mechanism"] == "kerberos"


# The upstream leg.

@DIALECTS
def test_other_mechanism_chosen_on_the_way_to_the_file_server(rig, dialect):
    """smbd took NTLM, which was all that it was offered; the answer says Kerberos."""
    rig.client_relay.source = VICTIM

    def choose(token):
        state, inner, _ = spnego.parse_response(token)
        return spnego.response_token(state, spnego.OID_KERBEROS, inner)
    hook = rig.upstream_relay.hook = Edit(TO_CLIENT, has_ntlm(CHALLENGE_MESSAGE), token_edit(choose))
    with rig.raw() as client:
        client.negotiate([dialect])
        with pytest.raises(REFUSED):
            client.login()
    hook.assert_done()
    assert_told(rig, told("mechanism_downgraded", reason="other_mechanism", user="alice",
                          client_address=VICTIM, **of_the_way(rig)))
    assert not rig.proxy.seen("login")


LIARS = {
    "mechListMIC wrong": (dict(list_mic="wrong"), "mech_list_mic_wrong"),
    "mechListMIC asked for and not given": (dict(list_mic="missing", asks_mic=True),
                                            "mech_list_mic_missing"),
    "other mechanism": (dict(mechanism=spnego.OID_KERBEROS), "other_mechanism"),
    "none, and none asked for": (dict(list_mic="missing"), None),
    "asked for and given": (dict(asks_mic=True), None),
}


@pytest.mark.parametrize("liar", LIARS)
def test_file_server_that_knows_the_key(liar):
    """Its signature is right, so that nothing but its token tells."""
    knobs, reason = LIARS[liar]
    with StubServer(**knobs) as stub, Rig(stub, source=VICTIM) as rig:
        with rig.raw() as client:
            client.negotiate()
            if reason is None:
                client.login().tree_connect()
            else:
                with pytest.raises(REFUSED):
                    client.login()
        fields = dict(client_address=VICTIM, user="alice", **of_the_way(rig))
        assert_told(rig, *[told("mechanism_downgraded", reason=reason, **fields)] * bool(reason))
        assert (smb2.TREE_CONNECT in stub.commands()) == (reason is None)
        assert len(rig.proxy.seen("login")) == (reason is None)
