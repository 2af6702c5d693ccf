"""A file server that lies: SMB2 with a real NTLM acceptor and one knob for each misdeed.

Without knobs it is an honest, tiny server with one file, so that every test of a misdeed has its
counterpart. It keeps all requests and checks that each is signed: `problems` must stay empty.

Knobs
  dialect            the highest it speaks; security_mode of its NEGOTIATE response
  smb1_only          answers everything with an SMB1 message
  closes, silent     the command at which it closes, or from which on it never answers ("accept" too)
  session_flags      of the last SESSION_SETUP response: guest, null, encrypt
  login_status       refuses the login with this status
  last_setup         "right", "unsigned" or "flipped": that response's signature
  list_mic           "right", "wrong" or "missing": SPNEGO's mechListMIC in its last token
  asks_mic           says in its first token that it wants the client's mechListMIC
  mechanism          which it says there that it has chosen
  unsigned, flipped  commands whose responses carry no signature, or one with a bit changed
  twice              commands that are answered twice
  interim            what comes before the answer to a READ: an interim response that is "honest", "twice",
                     "for nobody" (a request never made), "not async", "without id", or too "long"; or a
                     "break" of an oplock, or "lease break", that nobody has
  share_flags, share_capabilities  of every TREE_CONNECT response
  spoil              a function of a whole response before it is signed: what it returns is signed and sent
  bare_errors        command → (status, signature): answered with that error and "zero", "echo" (the
                     request's own), "wrong" or "right" in the place of a signature
  file_size          what a signed QUERY_INFO says of the file
  validate           what VALIDATE_NEGOTIATE_INFO is answered: "right", "mismatch", "unsigned", "denied"
"""

import os
import socket
import struct
import threading
import time
from dataclasses import replace

import bodies
import ntlm
import smb2
import spnego
from capture import receive_frame
from harness import USERS, free_port, new_address
from smb2 import ASYNC, BREAK_ID, PENDING, RESPONSE, SUCCESS, Header
from smbcrypto import is_signed_well, preauth_update, sign, signing_algorithm, signing_key

CONTENT = b"the content of the only file"
FILE_ID = bytes(range(16))
ERROR_BODY = struct.pack("<HBBIB", 9, 0, 0, 0, 0)


class StubServer:
    """A context manager; each connection has a thread."""

    def __init__(self, dialect=0x311, security_mode=3, smb1_only=False, closes=None, silent=None,
                 session_flags=0, login_status=SUCCESS, last_setup="right", unsigned=(), flipped=(),
                 twice=(), interim=None, spoil=None, validate="right", share_flags=0,
                 share_capabilities=0, passwords=None, bare_errors=None, file_size=len(CONTENT),
                 list_mic="right", asks_mic=False, mechanism=spnego.OID_NTLMSSP):
        self.dialect, self.security_mode, self.smb1_only = dialect, security_mode, smb1_only
        self.closes, self.silent = closes, silent
        self.session_flags, self.login_status, self.last_setup = session_flags, login_status, last_setup
        self.unsigned, self.flipped, self.twice = unsigned, flipped, twice
        self.interim, self.validate, self.spoil = interim, validate, spoil or (lambda raw: raw)
        self.share_flags, self.share_capabilities = share_flags, share_capabilities
        self.bare_errors, self.file_size = bare_errors or {}, file_size
        self.list_mic, self.asks_mic, self.mechanism = list_mic, asks_mic, mechanism
        self.passwords = USERS if passwords is None else passwords
        self.address = new_address()
        self.port = free_port(self.address)
        self.guid = os.urandom(16)
        self.requests = []
        self.problems = []
        self.connections = 0
        self._listener = None
        self._sockets = []

    def __enter__(self):
        self._listener = socket.create_server((self.address, self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for end in (self._listener, *self._sockets):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def commands(self):
        """Which commands arrived, in order."""
        return [message.command for message in self.requests]

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            if self.closes != "accept":
                Conversation(self, client).run()
        except OSError:
            pass
        finally:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Conversation:
    """One connection of the stub."""

    def __init__(self, stub, client):
        self.stub, self.client = stub, client
        self.silent = stub.silent == "accept"
        self.preauth = bytes(64)
        self.offer = None
        self.algorithm = None
        self.sessions = {}  # SessionId → key, None while it begins
        self.acceptor = None
        self.setup_preauth = b""

    def run(self):
        while True:
            frame = receive_frame(self.client)
            if frame is None:
                return
            if self.stub.smb1_only:
                self._send(b"\xffSMB\x72" + struct.pack("<I", 0) + b"\x98" + bytes(22) + b"\0\0\0")
                continue
            if not smb2.is_smb2(frame):
                return
            session_id = 0
            for message in smb2.split_chain(frame):
                self.stub.requests.append(message)
                if message.session_id == smb2.ALL_ONES:  # that of the request before
                    message = smb2.Message(replace(message.header, session_id=session_id), message.raw)
                session_id = message.session_id
                self.silent = self.silent or self.stub.silent == message.command
                if self.stub.closes == message.command:
                    return
                if not self.silent:
                    self._handle(message)

    def _handle(self, message):
        if message.command == smb2.NEGOTIATE:
            self._negotiate(message)
        elif message.command == smb2.SESSION_SETUP:
            self._session_setup(message)
        else:
            key = self.sessions.get(message.session_id)
            if key is None or not is_signed_well(self.algorithm, key, message.raw):
                self.stub.problems.append(f"{message.name}: not signed as it must be")
            elif message.command != smb2.CANCEL:
                self._command(message, key)

    # sending

    def _send(self, raw):
        self.client.sendall(struct.pack(">I", len(raw)) + raw)

    def _response(self, request, body, status=SUCCESS, session_id=None, tree=None, flags=0):
        header = Header(request.command, request.message_id,
                        request.session_id if session_id is None else session_id,
                        request.tree if tree is None else tree, status, RESPONSE | flags,
                        credits=max(1, min(request.credits, 64)), credit_charge=request.credit_charge)
        return self.stub.spoil(header.pack() + body)

    def _answer(self, request, key, body=ERROR_BODY, status=SUCCESS, **options):
        """A signed response, or what the knobs make of it."""
        raw = self._response(request, body, status, **options)
        if request.command not in self.stub.unsigned:
            raw = sign(self.algorithm, key, raw)
        if request.command in self.stub.flipped:
            raw = raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]
        for _ in range(2 if request.command in self.stub.twice else 1):
            self._send(raw)

    # the way in

    def _negotiate(self, message):
        offer = self.offer = smb2.parse_negotiate_request(message.raw)
        dialect = max(number for number in offer.dialects if number <= self.stub.dialect)
        algorithm = (offer.signing or [None])[0] if dialect == 0x311 else None
        self.algorithm = signing_algorithm(dialect, algorithm)
        contexts, count = b"", 0
        if dialect == 0x311:
            contexts, count = smb2.negotiate_contexts(
                signing=None if algorithm is None else [algorithm], salt=os.urandom(32))
        token = spnego.init_token([spnego.OID_NTLMSSP], None)
        offset = (64 + 64 + len(token) + 7) & ~7
        now = int((time.time() + 11644473600) * 10**7)
        body = struct.pack("<HHHH16sIIIIQQHHI", 65, self.stub.security_mode, dialect, count,
                           self.stub.guid, self._capabilities(dialect), 1 << 20, 1 << 20, 1 << 20, now, 0,
                           128, len(token), offset if count else 0) + token
        raw = self._response(message, body + (bytes(offset - 128 - len(token)) + contexts if count else b""))
        self.preauth = preauth_update(preauth_update(self.preauth, message.raw), raw)
        self.dialect = dialect
        self._send(raw)

    @staticmethod
    def _capabilities(dialect):
        return 0 if dialect == 0x202 else 0x4  # LARGE_MTU

    def _session_setup(self, message):
        token = smb2.session_setup_token(message.raw, response=False)
        if self.acceptor is None:
            self._challenge(message, token)
            return
        acceptor, self.acceptor = self.acceptor, None
        preauth = preauth_update(self.setup_preauth, message.raw)
        ntlm_token = token if token.startswith(ntlm.SIGNATURE) else spnego.parse_response(token)[1]
        if acceptor.accept(ntlm_token) is None or self.stub.login_status != SUCCESS:
            status = self.stub.login_status or smb2.LOGON_FAILURE
            self._send(self._response(message, ERROR_BODY, status))
            return
        key = signing_key(self.dialect, acceptor.exported_key, preauth)
        self.sessions[message.session_id] = key
        final = spnego.response_token(spnego.ACCEPT_COMPLETED, mic=self._list_mic(acceptor))
        raw = self._response(
            message, struct.pack("<HHHH", 9, self.stub.session_flags, 72, len(final)) + final)
        if self.stub.last_setup != "unsigned":
            raw = sign(self.algorithm, key, raw)
        if self.stub.last_setup == "flipped":
            raw = raw[:50] + bytes([raw[50] ^ 0x80]) + raw[51:]
        self._send(raw)

    def _list_mic(self, acceptor):
        right = ntlm.gss_mic(acceptor.exported_key, False, self.mechanisms)
        wrong = right[:4] + bytes([right[4] ^ 1]) + right[5:]
        return {"right": right, "wrong": wrong, "missing": None}[self.stub.list_mic]

    def _challenge(self, message, token):
        _, self.mechanisms, negotiate = spnego.parse_init(token)
        self.acceptor = ntlm.Server(self.stub.passwords)
        state = spnego.REQUEST_MIC if self.stub.asks_mic else spnego.ACCEPT_INCOMPLETE
        answer = spnego.response_token(state, self.stub.mechanism, self.acceptor.challenge(negotiate))
        session_id = int.from_bytes(os.urandom(7), "little") + 1
        self.sessions[session_id] = None
        raw = self._response(message, struct.pack("<HHHH", 9, 0, 72, len(answer)) + answer,
                             smb2.MORE_PROCESSING, session_id=session_id)
        self.setup_preauth = preauth_update(preauth_update(self.preauth, message.raw), raw)
        self._send(raw)

    # the commands of a session

    def _bare_error(self, message, key):
        status, signature = self.stub.bare_errors[message.command]
        raw = self._response(message, ERROR_BODY, status)
        if signature == "echo":
            raw = smb2.replace_header(raw, flags=RESPONSE | smb2.SIGNED, signature=message.signature)
        elif signature != "zero":
            raw = sign(self.algorithm, key, raw)
        if signature == "wrong":
            raw = raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]
        self._send(raw)

    def _command(self, message, key):
        if message.command in self.stub.bare_errors:
            self._bare_error(message, key)
        elif message.command == smb2.QUERY_INFO:
            info = struct.pack("<QQIBBH", 4096, self.stub.file_size, 1, 0, 0, 0)
            self._answer(message, key, struct.pack("<HHI", 9, 72, len(info)) + info)
        elif message.command == smb2.TREE_CONNECT:
            self._answer(message, key, struct.pack(
                "<HBBIII", 16, 1, 0, self.stub.share_flags, self.stub.share_capabilities, 0x1F01FF),
                         tree=7 << 32)
        elif message.command == smb2.CREATE:
            self._answer(message, key, struct.pack("<HBBI32xQQII16sIIB", 89, 0, 0, 1, 4096, len(CONTENT),
                                                   0x80, 0, FILE_ID, 0, 0, 0)[:-1])
        elif message.command == smb2.READ:
            self._read(message, key)
        elif message.command == smb2.WRITE:
            size = struct.unpack_from("<I", message.raw, 68)[0]
            self._answer(message, key, struct.pack("<HHIIHH", 17, 0, size, 0, 0, 0))
        elif message.command == smb2.CLOSE:
            self._answer(message, key, struct.pack("<HHI32xQQI", 60, 0, 0, 0, 0, 0))
        elif message.command == smb2.IOCTL:
            self._ioctl(message, key)
        elif message.command == smb2.OPLOCK_BREAK:
            self._answer(message, key, message.body)
        elif message.command in (smb2.LOGOFF, smb2.TREE_DISCONNECT, smb2.ECHO, smb2.FLUSH):
            self._answer(message, key, bodies.empty())
        else:
            self._answer(message, key, status=smb2.NOT_SUPPORTED)

    def _read(self, message, key):
        what = self.stub.interim
        final = {}
        if what in ("break", "lease break"):
            body = (struct.pack("<HBBI16s", 24, 0, 0, 0, b"\xee" * 16) if what == "break" else
                    struct.pack("<HHI16sIIIII", 44, 0, 0, b"\xee" * 16, 7, 1, 0, 0, 0))
            self._send(Header(smb2.OPLOCK_BREAK, BREAK_ID, 0, 0, flags=RESPONSE).pack() + body)
        elif what:
            body = ERROR_BODY + (b"and more" if what == "long" else b"")
            tree = 0 if what == "without id" else 0x1234
            interim = self._response(message, body, PENDING, tree=tree,
                                     flags=0 if what == "not async" else ASYNC)
            if what == "for nobody":
                interim = smb2.replace_header(interim, message_id=message.message_id + 1000)
            self._send(interim)
            if what == "twice":
                self._send(smb2.replace_header(interim, tree=tree + 1))
            final = {"tree": tree, "flags": ASYNC} if what in ("honest", "twice") else {}
        self._answer(message, key, self._data(), **final)

    @staticmethod
    def _data():
        return struct.pack("<HBBIII", 17, 80, 0, len(CONTENT), 0, 0) + CONTENT

    def _ioctl(self, message, key):
        code = struct.unpack_from("<I", message.raw, 68)[0]
        if code != smb2.FSCTL_VALIDATE_NEGOTIATE_INFO:
            self._answer(message, key, status=smb2.NOT_SUPPORTED)
            return
        if self.stub.validate == "denied":
            self._answer(message, key, status=smb2.ACCESS_DENIED)
            return
        dialect = 0x202 if self.stub.validate == "mismatch" else self.dialect
        output = struct.pack("<I16sHH", self._capabilities(self.dialect), self.stub.guid,
                             self.stub.security_mode, dialect)
        body = struct.pack("<HHI16sIIIIII", 49, 0, code, bodies.NO_FILE, 112, 0, 112, len(output), 0,
                           0) + output
        if self.stub.validate == "unsigned":
            self._send(self._response(message, body))
        else:
            self._answer(message, key, body)
