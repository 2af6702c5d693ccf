"""Somebody at the file server's address carries the proxy's own login to the proxy's own listener."""

import socket
import struct

import pytest

import bodies
import smb2
import spnego
from audit_log import VICTIM, assert_told, of_the_way, told
from capture import TO_SERVER
from rawclient import Disconnected, Failed, RawClient
from rig import Rig
from smb2 import MORE_PROCESSING
from stubserver import Conversation, StubServer


class Mirror(StubServer):
    """Answers a login with the challenge that `listener` (address, port) gives for it."""

    listener = None
    def _serve(self, client):
        try:
            Mirroring(self, client).run()
        except OSError:
            pass
        finally:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Mirroring(Conversation):
    """One connection of it."""

    def _challenge(self, message, token):
        _, self.mechanisms, negotiate = spnego.parse_init(token)
        with RawClient(*self.stub.listener, source=self.stub.address) as attacker:
            attacker.negotiate()
            given = attacker.ask(smb2.SESSION_SETUP, bodies.session_setup(
                spnego.init_token([spnego.OID_NTLMSSP], negotiate)))
            assert given.status == MORE_PROCESSING
            challenge = spnego.parse_response(smb2.session_setup_token(given.raw, True))[1]
            answer = spnego.response_token(spnego.ACCEPT_INCOMPLETE, spnego.OID_NTLMSSP, challenge)
            raw = self._response(message, struct.pack("<HHHH", 9, 0, 72, len(answer)) + answer,
                                 MORE_PROCESSING, session_id=77)
            self._send(raw)


def test_own_challenge_is_recognised():
    """Before anything that could be carried on is written."""
    with Mirror() as mirror, Rig(mirror, on_listener={"target_name": "off"}, source=VICTIM) as rig:
        mirror.listener = rig.client_relay.target
        with rig.raw() as victim:
            victim.negotiate()
            with pytest.raises((Disconnected, Failed)):
                victim.login("alice")
        assert_told(rig, told("reflection_refused", reason="reflection", user="alice",
                              client_address=VICTIM, **of_the_way(rig)))
        assert not rig.proxy.seen("login")
        assert len(rig.upstream_relay.connections[0].messages(TO_SERVER, smb2.SESSION_SETUP)) == 1
        assert len(rig.proxy.seen("link", client_address=mirror.address)) == 1, "it was not carried"
