"""Somebody at the file server's address carries the proxy's own login to the proxy's own listener."""

import socket
import struct

import pytest

import bodies
import smb2
import spnego
from proxy import Proxy, listener, upstream
from rawclient import Disconnected, Failed, RawClient
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
        with RawClient(*self.stub.listener) as attacker:
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
    entry = listener(target_name="off")
    with Mirror() as mirror:
        mirror.listener = (entry["address"], entry["port"])
        with Proxy([entry], [upstream(mirror)]) as proxy:
            with RawClient(*mirror.listener) as victim:
                victim.negotiate()
                with pytest.raises((Disconnected, Failed)):
                    victim.login("alice")
            told = proxy.wait_event("reflection_refused", leg="upstream", verdict="refused",
                                    user="alice")
            assert told["upstream_address"] == mirror.address and not proxy.seen("login")
            assert len([request for request in mirror.requests
                        if request.command == smb2.SESSION_SETUP]) == 1
            with open(proxy.audit_file, encoding="utf-8") as file:
                assert "Alice.Pw1" not in file.read()
