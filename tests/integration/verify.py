"""The independent checker: were all messages of a recorded connection signed, and signed right?

It starts from the recording, the users' passwords and the services' Kerberos keys alone, computes the
session key (NTLMv2's, or the one inside the ticket), the preauthentication hash and the signing key
anew, and looks at every element of every chain in both directions. Sealed frames are opened with keys
of the same derivation. What MS-SMB2 excuses from signing (NEGOTIATE, the legs of a new session before
its last, interim responses, break notifications) is counted apart and must not carry the SIGNED flag.
"""

import struct
from dataclasses import dataclass, field

import kerberos
import ntlm
import smb2
import spnego
import transform
from capture import TO_SERVER
from report import Report
from smb2 import ALL_ONES, ASYNC, BREAK_ID, PENDING, SIGNED, SUCCESS
from smbcrypto import (ALGORITHM_NAMES, gmac_nonce, preauth_update, signature, signing_algorithm,
                       signing_key)


@dataclass
class Session:
    """A session as the checker follows it; `key` is None until it is established."""

    preauth: bytes
    challenge: bytes = b""
    authenticate: bytes = b""
    ticket_shown: bytes = None  # Kerberos: the GSS-API token with the AP-REQ
    ticket_answer: bytes = None
    key: bytes = None
    cipher_keys: tuple = None  # towards the server, towards the client
    encrypts: bool = False     # the server said that all of the session is encrypted
    encrypted_trees: set = field(default_factory=set)


@dataclass
class Request:
    command: int
    session_id: int
    sealed: bool


class Checker:
    """Follows one connection, frame by frame."""

    def __init__(self, passwords, keys=()):
        self.keys = keys  # keytab.Entry
        self.passwords = {user.lower(): password for user, password in passwords.items()}
        self.report = Report()
        self.dialect = 0
        self.algorithm = None
        self.cipher = 0
        self.sealed = None  # the SessionId of the TRANSFORM that is being looked into
        self.preauth = bytes(64)
        self.sessions = {}
        self.beginning = {}  # MessageId of a first SESSION_SETUP → its session without an id yet
        self.pending = {}
        self.nonces = {}

    def feed(self, direction, data):
        """One frame."""
        if data[:4] == b"\xffSMB":
            return  # the multi-protocol NEGOTIATE: not part of any hash, never signed
        self.sealed = None
        if transform.is_sealed(data):
            data = self._open(direction, data)
            if data is None:
                return
        try:
            messages = smb2.split_chain(data)
        except (ValueError, struct.error) as error:
            self._bad_frame(direction, f"no SMB2: {error}")
            return
        previous = ALL_ONES
        for message in messages:
            if direction == TO_SERVER:
                session_id = previous if message.session_id == ALL_ONES else message.session_id
                previous = session_id
                self._request(message, session_id)
            else:
                self._response(message)

    def _open(self, direction, data):
        """What a TRANSFORM holds, None when it cannot be opened."""
        session = self.sessions.get(transform.session_of(data))
        if session is None or session.cipher_keys is None:
            self._bad_frame(direction, "sealed for a session that has no such key")
            return None
        key = session.cipher_keys[0 if direction == TO_SERVER else 1]
        nonce = (key, transform.nonce_of(self.cipher, data))
        if self.nonces.setdefault(nonce, data) is not data:
            self._bad_frame(direction, "nonce used twice")
            return None
        try:
            plain = transform.unseal(self.cipher, key, data)
        except ValueError as error:
            self._bad_frame(direction, str(error))
            return None
        self.sealed = transform.session_of(data)
        return plain

    def _bad_frame(self, direction, what):
        self.report.bad += 1
        self.report.problems.append(f"frame {direction}: {what}")

    # requests

    def _request(self, message, session_id):
        if message.command == smb2.CANCEL:
            self._must_be_protected(message, session_id)
            return
        if message.message_id in self.pending:
            self._problem(message, "MessageId used twice")
        self.pending[message.message_id] = Request(message.command, session_id, self.sealed is not None)
        if message.command == smb2.NEGOTIATE:
            self._excused(message)
            self.preauth = preauth_update(self.preauth, message.raw)
        elif message.command == smb2.SESSION_SETUP and not self._established(session_id):
            self._session_setup_request(message, session_id)
        else:
            self._must_be_protected(message, session_id)

    def _established(self, session_id):
        session = self.sessions.get(session_id)
        return session is not None and session.key is not None

    def _session_setup_request(self, message, session_id):
        self._excused(message)
        session = self.sessions.get(session_id)
        if session is None:
            session = Session(preauth=self.preauth)
            self.beginning[message.message_id] = session
        session.preauth = preauth_update(session.preauth, message.raw)
        token = smb2.session_setup_token(message.raw, response=False)
        at = token.find(ntlm.SIGNATURE + b"\3\0\0\0")
        if at >= 0:
            session.authenticate = token[at:]
        session.ticket_shown = _ticket(token) or session.ticket_shown

    # responses

    def _response(self, message):
        if message.message_id == BREAK_ID:
            if message.command != smb2.OPLOCK_BREAK:
                self._problem(message, "notification that is not a break")
            self._excused(message)
            return
        request = self.pending.get(message.message_id)
        if request is None or request.command != message.command:
            if self.dialect == 0 and message.command == smb2.NEGOTIATE:
                # The answer to an SMB1 NEGOTIATE: all that there is, or before the hash begins.
                if smb2.parse_negotiate_response(message.raw).dialect == smb2.DIALECTS["2.0.2"]:
                    self._negotiate_response(message)
                return
            self._problem(message, "answers no request")
            return
        if request.sealed and self.sealed is None:
            self.report.bad += 1
            self._problem(message, "answers a sealed request in the open")
        if message.status == PENDING and message.flags & ASYNC:
            self._excused(message)
            return
        del self.pending[message.message_id]
        if message.command == smb2.NEGOTIATE:
            self._negotiate_response(message)
        elif message.command == smb2.SESSION_SETUP and not self._established(request.session_id):
            self._session_setup_response(message)
        else:
            self._must_be_protected(message, request.session_id)
            self._after(message, request.session_id)

    def _after(self, message, session_id):
        """What a verified response changes."""
        if message.status != SUCCESS or session_id not in self.sessions:
            return
        if message.command == smb2.LOGOFF:
            del self.sessions[session_id]
        elif message.command == smb2.TREE_CONNECT:
            if smb2.share_flags(message.raw) & smb2.SHARE_ENCRYPT_DATA:
                self.sessions[session_id].encrypted_trees.add(message.tree_id)

    def _negotiate_response(self, message):
        self._excused(message)
        self.preauth = preauth_update(self.preauth, message.raw)
        if message.status == SUCCESS:
            answer = smb2.parse_negotiate_response(message.raw)
            self.dialect = answer.dialect
            self.algorithm = signing_algorithm(answer.dialect, answer.signing)
            self.report.dialect = smb2.DIALECT_NAMES[answer.dialect]
            self.report.algorithm = ALGORITHM_NAMES[self.algorithm]
            self.cipher = answer.cipher
            self.report.cipher = transform.CIPHER_NAMES.get(answer.cipher, "")

    def _session_setup_response(self, message):
        session = self.beginning.pop(message.message_id, None) or self.sessions.get(message.session_id)
        if session is not None and session.ticket_shown and message.status in (
                SUCCESS, smb2.MORE_PROCESSING):
            token = smb2.session_setup_token(message.raw, response=True)
            session.ticket_answer = _ticket(token) or session.ticket_answer
        if message.status == smb2.MORE_PROCESSING and session is not None:
            self._excused(message)
            self.sessions[message.session_id] = session
            session.preauth = preauth_update(session.preauth, message.raw)
            token = smb2.session_setup_token(message.raw, response=True)
            at = token.find(ntlm.SIGNATURE + b"\2\0\0\0")
            if at >= 0:
                session.challenge = token[at:]
        elif message.status == SUCCESS and session is not None:
            self._establish(message, session)
        else:
            self._excused(message)
            self.sessions.pop(message.session_id, None)

    def _establish(self, message, session):
        if smb2.session_flags(message.raw) & (smb2.GUEST | smb2.NULL_SESSION):
            self._problem(message, "guest or anonymous session")
            return
        user, exported = self._who(session)
        if not exported:
            self._problem(message, f"session for {user!r} whose password or key does not fit")
            return
        self.sessions[message.session_id] = session
        session.key = signing_key(self.dialect, exported, session.preauth)
        session.cipher_keys = transform.cipher_keys(self.dialect, self.cipher, exported, session.preauth)
        self.report.keys.update([session.key, *(session.cipher_keys or ())])
        self.report.session_keys.add(exported)
        self.report.users.append(user)
        session.encrypts = bool(smb2.session_flags(message.raw) & smb2.ENCRYPT_DATA)
        self._must_be_protected(message, message.session_id)

    def _who(self, session):
        """The user and the session key, None when it cannot be had."""
        if session.ticket_shown and not session.authenticate:
            login = kerberos.open_login(session.ticket_shown, session.ticket_answer, self.keys)
            return (login.client, login.session_key) if login else ("of a ticket", None)
        proof = ntlm.Authenticate(session.authenticate)
        password = self.passwords.get(proof.user.lower())
        return proof.user, password and proof.session_key(password, session.challenge[24:32])

    # verdicts

    def _must_be_protected(self, message, session_id):
        session = self.sessions.get(session_id)
        if self.sealed is not None:
            self._is_sealed(message, session_id)
            return
        if session is not None and message.command != smb2.SESSION_SETUP and (
                session.encrypts or message.tree_id in session.encrypted_trees):
            self._problem(message, "not encrypted where everything is")
        if not message.flags & SIGNED:
            self.report.unsigned += 1
            self._problem(message, "unsigned")
            return
        if session is None or session.key is None:
            self.report.bad += 1
            self._problem(message, "signed for a session that does not exist")
            return
        expected = signature(self.algorithm, session.key, message.raw)
        if message.signature != expected:
            self.report.bad += 1
            self._problem(message, "wrong signature")
            return
        # GMAC dies of a nonce used twice with one key: no other message may have this one.
        nonce = (session.key, gmac_nonce(message.header))
        if self.nonces.setdefault(nonce, expected) != expected:
            self.report.bad += 1
            self._problem(message, "nonce used twice")
            return
        self.report.signed += 1
        self.report.commands.add(message.name)

    def _is_sealed(self, message, session_id):
        """Inside a TRANSFORM the tag has proven it; it must be of that session and of no other."""
        if session_id != self.sealed or message.session_id not in (self.sealed, ALL_ONES):
            self.report.bad += 1
            self._problem(message, "inside another session's TRANSFORM")
            return
        self.report.encrypted += 1
        self.report.commands.add(message.name)

    def _excused(self, message):
        self.report.excused += 1
        if message.flags & SIGNED:
            self._problem(message, "carries the SIGNED flag where nothing is signed")

    def _problem(self, message, what):
        way = "response" if message.flags & smb2.RESPONSE else "request"
        self.report.problems.append(
            f"{message.name} {way}, MessageId {message.message_id}, status {message.status:#x}: {what}")


def _is_ticket(token):
    """True for the GSS-API frame of a Kerberos message."""
    if token[:1] != b"\x60":
        return False
    inner = spnego.elements(token)[0][1]
    return inner[2:2 + inner[1]] in (spnego.OID_KERBEROS, spnego.OID_MS_KERBEROS)


def _ticket(token):
    """The Kerberos message in a token, bare or inside SPNEGO; None when there is none."""
    try:
        if token[:1] == b"\x60" and not _is_ticket(token):
            token = spnego.parse_init(token)[2] or b""
        elif token[:1] == b"\xa1":
            token = spnego.parse_response(token)[1] or b""
        return token if _is_ticket(token) else None
    except (ValueError, IndexError, KeyError):
        return None  # some tests send nonsense


def check(connection, passwords, keys=()):
    """The report on one recorded connection (capture.Connection)."""
    checker = Checker(passwords, keys)
    with connection.lock:
        frames = list(connection.frames)
    for frame in frames:
        checker.feed(frame.direction, frame.data)
    return checker.report
