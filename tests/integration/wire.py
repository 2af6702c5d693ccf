"""One SMB2 connection of the tests' own client: frames, MessageIds, signatures, sealing.

`sign_as` of a request is "right", "none" (flag clear, signature zero), "flipped" (one bit of a right
signature changed) or "zero" (flag set, signature zero). Responses of a session are always checked.
"""

import os
import socket
import struct

import smb2
import transform
from capture import receive_frame
from smb2 import ASYNC, PENDING, RELATED, SIGNED, Header
from smbcrypto import is_signed_well, sign


class Disconnected(Exception):
    """The other side ended the connection."""


class BadResponse(AssertionError):
    """A response that had to be signed was not, or not right."""


class Failed(Exception):
    """A response with a status that the caller did not expect."""

    def __init__(self, message):
        super().__init__(f"{message.name}: {message.status:#010x}")
        self.status = message.status


class Wire:
    """One connection, from the address `source` where it matters; a context manager."""

    def __init__(self, address, port, timeout=10, source=None):
        self.address, self.port = address, port
        self.socket = socket.create_connection((address, port), timeout=timeout,
                                               source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.guid = os.urandom(16)
        self.next_id = 0
        self.preauth = bytes(64)
        self.offered = ()
        self.negotiated = None
        self.algorithm = None
        self.sessions = {}      # those that can be sealed, by SessionId
        self.waiting = {}       # MessageId → session of the request
        self.sealed = set()     # MessageIds of requests that were sealed
        self.answers = {}       # MessageId → final response that came before it was asked for
        self.interims = []
        self.notifications = []
        self.credits = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # frames

    def send_frame(self, data):
        try:
            self.socket.sendall(struct.pack(">I", len(data)) + data)
        except OSError as error:
            raise Disconnected(str(error)) from None

    def receive_frame(self):
        data = receive_frame(self.socket)
        if data is None:
            raise Disconnected("end of stream")
        return data

    def ends(self):
        """True when the other side has ended the connection or does so within the timeout. Answers
        that come before are kept in `answers`."""
        while True:
            try:
                self.socket.getpeername()
                head = self.socket.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                return False
            except OSError:
                return True
            if not head:
                return True
            try:
                self._take(self.receive_frame())
            except Disconnected:
                return True

    # messages

    def message_id(self, charge):
        number = self.next_id
        self.next_id += max(charge, 1)
        self.credits -= max(charge, 1)
        return number

    def build(self, command, body, session=None, sign_as="right", tree_id=None, message_id=None,
              session_id=None, flags=0, next_command=0, key=None, async_id=None, credit_charge=None):
        """One request as bytes, signed when its session is established."""
        if session is not None:
            tree_id = session.tree_id if tree_id is None else tree_id
            session_id = session.id if session_id is None else session_id
            key = key or session.key
        if credit_charge is None:
            credit_charge = 1 if self.negotiated and self.negotiated.dialect > 0x202 else 0
        tree = (tree_id or 0) << 32 | 0xFEFF if async_id is None else async_id
        header = Header(command, self.message_id(credit_charge) if message_id is None else message_id,
                        session_id or 0, tree, flags=flags, credits=64, next_command=next_command,
                        credit_charge=credit_charge)
        raw = header.pack() + body
        if next_command:
            raw += bytes(next_command - len(raw))
        if key is None or sign_as == "none":
            return raw
        if sign_as == "zero":
            return smb2.replace_header(raw, flags=flags | SIGNED)
        raw = sign(self.algorithm, key, raw)
        if sign_as == "flipped":
            raw = raw[:55] + bytes([raw[55] ^ 0x10]) + raw[56:]
        return raw

    def send(self, command, body, session=None, encrypt=None, **options):
        """Sends one request, sealed when its session wants that or `encrypt` says so; its MessageId."""
        encrypt = (session is not None and session.encrypts) if encrypt is None else encrypt
        if encrypt:
            options.setdefault("sign_as", "none")
        raw = self.build(command, body, session, **options)
        message_id = smb2.parse_header(raw).message_id
        if command != smb2.CANCEL:
            self.waiting[message_id] = session
        if encrypt:
            self.sealed.add(message_id)
            raw = self.seal(session, raw)
        self.send_frame(raw)
        return message_id

    def seal(self, session, raw):
        """A frame that holds these bytes, with the key of that session."""
        return transform.seal(self.negotiated.cipher, session.cipher_keys[0], session.id, raw)

    def _unseal(self, frame):
        session = self.sessions[transform.session_of(frame)]
        return transform.unseal(self.negotiated.cipher, session.cipher_keys[1], frame)

    def ask(self, command, body, session=None, **options):
        """Sends one request and waits for its final response."""
        return self.answer(self.send(command, body, session, **options))

    def answer(self, message_id):
        """Waits for the final response of a request."""
        while message_id not in self.answers:
            self._take(self.receive_frame())
        return self.answers.pop(message_id)

    def compound(self, parts, session, related=True, owners=None):
        """Sends one frame of several requests, each (command, body) or (command, body, options), sealed
        when the session wants that, and waits for all their responses. `owners` are their sessions when
        it is not always the same."""
        built, ids = b"", []
        sealed = owners is None and session.encrypts
        for index, part in enumerate(parts):
            command, body, options = (*part, {})[:3]
            options = dict(options)
            if sealed:
                options.setdefault("sign_as", "none")
            if related and index:
                options.setdefault("flags", RELATED)
                options.setdefault("session_id", smb2.ALL_ONES)
                options.setdefault("tree_id", 0xFFFFFFFF)
            if index < len(parts) - 1:
                options["next_command"] = (64 + len(body) + 7) & ~7
            owner = owners[index] if owners else session
            raw = self.build(command, body, owner, **options)
            ids.append(smb2.parse_header(raw).message_id)
            self.waiting[ids[-1]] = owner
            built += raw
        if sealed:
            self.sealed.update(ids)
            built = self.seal(session, built)
        self.send_frame(built)
        return [self.answer(message_id) for message_id in ids]

    def notification(self):
        """Waits for the next oplock or lease break."""
        while not self.notifications:
            self._take(self.receive_frame())
        return self.notifications.pop(0)

    def interim(self):
        """Waits for the next interim response."""
        while not self.interims:
            self._take(self.receive_frame())
        return self.interims.pop(0)

    def _take(self, frame):
        sealed = transform.is_sealed(frame)
        if sealed:
            frame = self._unseal(frame)
        for message in smb2.split_chain(frame):
            self.credits += message.credits
            if message.message_id == smb2.BREAK_ID:
                self.notifications.append(message)
                continue
            if message.message_id in self.sealed and not sealed:
                raise BadResponse(f"{message.name} response in the open to a sealed request")
            session = self.waiting.get(message.message_id)
            if message.status == PENDING and message.flags & ASYNC:
                self.interims.append(message)
                continue
            if not sealed:
                self._check_signature(message, session)
            self.answers[message.message_id] = message

    def _check_signature(self, message, session):
        if session is None or session.key is None:
            return
        if session.ended and message.status == smb2.USER_SESSION_DELETED:
            return
        if not is_signed_well(self.algorithm, session.key, message.raw):
            raise BadResponse(f"{message.name} response, status {message.status:#x}")
