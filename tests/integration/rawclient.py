"""The tests' own SMB2 client: every message under control, none of it retried or repaired.

`sign` of a message is "right", "none" (flag clear, signature zero), "flipped" (one bit of a right
signature changed) or "zero" (flag set, signature zero). Responses of a session are always checked.
"""

import os
import socket
import struct
from dataclasses import dataclass

import bodies
import ntlm
import smb2
import spnego
from capture import receive_frame
from harness import USERS
from smb2 import ASYNC, PENDING, RELATED, SIGNED, SUCCESS, Header
from smbcrypto import (AES_CMAC, AES_GMAC, HMAC_SHA256, is_signed_well, preauth_update, sign,
                       signing_algorithm, signing_key)

ALL_DIALECTS = tuple(smb2.DIALECTS.values())
ALL_ALGORITHMS = (AES_GMAC, AES_CMAC, HMAC_SHA256)


class Disconnected(Exception):
    """The other side ended the connection."""


class BadResponse(AssertionError):
    """A response that had to be signed was not, or not right."""


class Failed(Exception):
    """A response with a status that the caller did not expect."""

    def __init__(self, message):
        super().__init__(f"{message.name}: {message.status:#010x}")
        self.status = message.status


@dataclass
class Session:
    """A session of a RawClient; `key` is None until it is established. When it has `ended` there is
    no key on the other side any more, and USER_SESSION_DELETED may come unsigned."""

    client: "RawClient"
    id: int = 0
    key: bytes = None
    flags: int = 0
    tree_id: int = 0
    ended: bool = False

    def ask(self, command, body, **options):
        """A request of this session and its final response, whatever the status."""
        return self.client.ask(command, body, session=self, **options)

    def must(self, command, body, **options):
        """The same, and only success will do."""
        answer = self.ask(command, body, **options)
        if answer.status != SUCCESS:
            raise Failed(answer)
        return answer

    def tree_connect(self, share="data", host=None, **options):
        path = f"\\\\{host or self.client.address}\\{share}"
        answer = self.must(smb2.TREE_CONNECT, bodies.tree_connect(path), **options)
        self.tree_id = answer.tree_id
        return answer

    def create(self, name, **options):
        return bodies.created_file_id(self.must(smb2.CREATE, bodies.create(name, **options)))

    def write(self, file_id, data, offset=0, **options):
        return self.must(smb2.WRITE, bodies.write(file_id, data, offset), **options)

    def read(self, file_id, size, offset=0, **options):
        return bodies.read_data(self.must(smb2.READ, bodies.read(file_id, size, offset), **options))

    def close(self, file_id, **options):
        return self.must(smb2.CLOSE, bodies.close(file_id), **options)

    def logoff(self, **options):
        answer = self.must(smb2.LOGOFF, bodies.empty(), **options)
        self.ended = True
        return answer


class RawClient:
    """One connection; a context manager."""

    def __init__(self, address, port, timeout=10):
        self.address, self.port = address, port
        self.socket = socket.create_connection((address, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.guid = os.urandom(16)
        self.next_id = 0
        self.preauth = bytes(64)
        self.offered = ()
        self.negotiated = None
        self.algorithm = None
        self.waiting = {}       # MessageId → session of the request
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

    def send(self, command, body, session=None, **options):
        """Sends one request; its MessageId."""
        raw = self.build(command, body, session, **options)
        message_id = smb2.parse_header(raw).message_id
        if command != smb2.CANCEL:
            self.waiting[message_id] = session
        self.send_frame(raw)
        return message_id

    def ask(self, command, body, session=None, **options):
        """Sends one request and waits for its final response."""
        return self.answer(self.send(command, body, session, **options))

    def answer(self, message_id):
        """Waits for the final response of a request."""
        while message_id not in self.answers:
            self._take(self.receive_frame())
        return self.answers.pop(message_id)

    def compound(self, parts, session, related=True, owners=None):
        """Sends one frame of several requests, each (command, body) or (command, body, options), and
        waits for all their responses. `owners` are their sessions when it is not always the same."""
        built, ids = b"", []
        for index, part in enumerate(parts):
            command, body, options = (*part, {})[:3]
            options = dict(options)
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
        for message in smb2.split_chain(frame):
            self.credits += message.credits
            if message.message_id == smb2.BREAK_ID:
                self.notifications.append(message)
                continue
            session = self.waiting.get(message.message_id)
            if message.status == PENDING and message.flags & ASYNC:
                self.interims.append(message)
                continue
            self._check_signature(message, session)
            self.answers[message.message_id] = message

    def _check_signature(self, message, session):
        if session is None or session.key is None:
            return
        if session.ended and message.status == smb2.USER_SESSION_DELETED:
            return
        if not is_signed_well(self.algorithm, session.key, message.raw):
            raise BadResponse(f"{message.name} response, status {message.status:#x}")

    # the ways in

    def negotiate_body(self, dialects=ALL_DIALECTS, signing=ALL_ALGORITHMS, security_mode=1,
                       capabilities=0x7, contexts=None):
        """A NEGOTIATE request's body; remembers what it offers."""
        self.offered = (capabilities, self.guid, security_mode, tuple(dialects))
        if contexts is None and 0x311 in dialects:
            contexts = smb2.negotiate_contexts(signing=signing, salt=os.urandom(32))
        guid = self.guid if max(dialects, default=0) > 0x202 else bytes(16)
        return smb2.negotiate_request_body(dialects, security_mode, capabilities, guid, contexts)

    def negotiate(self, dialects=ALL_DIALECTS, **options):
        """NEGOTIATE; the parsed response."""
        request = self.build(smb2.NEGOTIATE, self.negotiate_body(dialects, **options))
        self.send_frame(request)
        response = self.receive_frame()
        if smb2.parse_header(response).status != SUCCESS:
            raise Failed(smb2.Message(smb2.parse_header(response), response))
        self.preauth = preauth_update(preauth_update(bytes(64), request), response)
        self.negotiated = smb2.parse_negotiate_response(response)
        self.algorithm = signing_algorithm(self.negotiated.dialect, self.negotiated.signing)
        self.credits += smb2.parse_header(response).credits
        return self.negotiated

    def login(self, user="alice", password=None, session=None, raw=False, mechanisms=None,
              list_mic=True, setup_sign="right", **knobs):
        """A new session, or with `session` a re-authentication of that one; `knobs` are those of
        ntlm.Client. `raw` speaks NTLMSSP without SPNEGO; `list_mic` False leaves SPNEGO's out.
        Raises Failed with the status of a refusal."""
        password = USERS.get(user, "") if password is None else password
        again = session is not None
        session = session or Session(self)
        knobs.setdefault("target_name", f"cifs/{self.address}")
        client = ntlm.Client(user, password, **knobs)
        mechanisms = mechanisms or [spnego.OID_NTLMSSP]
        preauth = self.preauth
        token = client.negotiate() if raw else spnego.init_token(mechanisms, client.negotiate())
        for step in range(3):
            request = self.build(smb2.SESSION_SETUP, bodies.session_setup(token), session,
                                 sign_as=setup_sign, tree_id=0)
            preauth = preauth_update(preauth, request)
            message_id = smb2.parse_header(request).message_id
            self.waiting[message_id] = session if again else None
            self.send_frame(request)
            answer = self.answer(message_id)
            if answer.status != smb2.MORE_PROCESSING:
                break
            session.id = answer.session_id
            preauth = preauth_update(preauth, answer.raw)
            token = self._next_token(client, smb2.session_setup_token(answer.raw, True), raw,
                                     mechanisms, list_mic)
        if answer.status != SUCCESS:
            raise Failed(answer)
        session.flags = smb2.session_flags(answer.raw)
        if not again and not session.flags & (smb2.GUEST | smb2.NULL_SESSION):
            key = signing_key(self.negotiated.dialect, client.exported_key, preauth)
            if not is_signed_well(self.algorithm, key, answer.raw):
                raise BadResponse("final SESSION_SETUP response")
            session.key = key
        return session

    @staticmethod
    def _next_token(client, answer, raw, mechanisms, list_mic):
        challenge = answer if raw else spnego.parse_response(answer)[1]
        if not challenge:
            return spnego.response_token(token=client.negotiate())
        authenticate = client.authenticate(challenge)
        if raw:
            return authenticate
        proof = ntlm.gss_mic(client.exported_key, True, spnego.mech_type_list(mechanisms))
        return spnego.response_token(token=authenticate, mic=proof if list_mic else None)
