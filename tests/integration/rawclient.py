"""The tests' own SMB2 client: every message under control, none of it retried or repaired."""

import os
from dataclasses import dataclass

import bodies
import kerberos
import ntlm
import smb2
import spnego
import transform
from harness import USERS
from smb2 import SUCCESS
from smbcrypto import (AES_CMAC, AES_GMAC, HMAC_SHA256, is_signed_well, preauth_update,
                       signing_algorithm, signing_key)
from wire import BadResponse, Disconnected, Failed, Wire

__all__ = ["ALL_ALGORITHMS", "ALL_DIALECTS", "BadResponse", "Disconnected", "Failed", "RawClient",
           "Session"]

ALL_DIALECTS = tuple(smb2.DIALECTS.values())
ALL_ALGORITHMS = (AES_GMAC, AES_CMAC, HMAC_SHA256)


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
    cipher_keys: tuple = None
    encrypts: bool = False  # the server wants the session, or the share, encrypted

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
        self.encrypts = self.encrypts or bool(smb2.share_flags(answer.raw) & smb2.SHARE_ENCRYPT_DATA)
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


class RawClient(Wire):
    """A connection with the ways in: NEGOTIATE and login."""

    def negotiate_body(self, dialects=ALL_DIALECTS, signing=ALL_ALGORITHMS, security_mode=1,
                       capabilities=0x7, contexts=None, ciphers=()):
        """A NEGOTIATE request's body; remembers what it offers."""
        if ciphers:
            capabilities |= smb2.CAP_ENCRYPTION
        self.offered = (capabilities, self.guid, security_mode, tuple(dialects))
        if contexts is None and 0x311 in dialects:
            contexts = smb2.negotiate_contexts(signing=signing, ciphers=ciphers,
                                               salt=os.urandom(32))
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
              list_mic=True, setup_sign="right", previous=0, careless=False, **knobs):
        """A new session, or with `session` a re-authentication of that one; `knobs` are those of
        ntlm.Client. `raw` speaks NTLMSSP without SPNEGO; `list_mic` False leaves SPNEGO's out;
        `previous` is the SessionId of a session that this one takes the place of; a `careless` client
        goes on after a last response whose signature is wrong.
        Raises Failed with the status of a refusal."""
        password = USERS.get(user, "") if password is None else password
        knobs.setdefault("target_name", f"cifs/{self.address}")
        way = NtlmLogin(ntlm.Client(user, password, **knobs), mechanisms or [spnego.OID_NTLMSSP], raw,
                        list_mic)
        return self._log_in(way, session, setup_sign, previous, careless)

    def login_by(self, client):
        """The same, raw, by something with the methods of ntlm.Client."""
        return self._log_in(NtlmLogin(client, [spnego.OID_NTLMSSP], True, False), None, "right", 0)

    def login_ticket(self, initiator, session=None, raw=False, mechanisms=None, setup_sign="right",
                     previous=0):
        """The same with Kerberos: `initiator` is a kerberos.Initiator, or the GSS-API token of one
        (bytes) to be sent once more."""
        way = KerberosLogin(initiator, mechanisms or [spnego.OID_KERBEROS], raw)
        return self._log_in(way, session, setup_sign, previous)

    def _log_in(self, way, session, setup_sign, previous, careless=False):
        again = session is not None
        session = session or Session(self)
        preauth = self.preauth
        token = way.first()
        for _ in range(3):
            request = self.build(smb2.SESSION_SETUP, bodies.session_setup(token, previous=previous),
                                 session, sign_as=setup_sign, tree_id=0)
            preauth = preauth_update(preauth, request)
            message_id = smb2.parse_header(request).message_id
            self.waiting[message_id] = session if again else None
            self.send_frame(request)
            answer = self.answer(message_id)
            if answer.status != smb2.MORE_PROCESSING:
                break
            session.id = answer.session_id
            preauth = preauth_update(preauth, answer.raw)
            token = way.next(smb2.session_setup_token(answer.raw, True))
        if answer.status != SUCCESS:
            raise Failed(answer)
        session.flags = smb2.session_flags(answer.raw)
        if not again and not session.flags & (smb2.GUEST | smb2.NULL_SESSION):
            session.id = answer.session_id
            self._establish(session, way.finish(smb2.session_setup_token(answer.raw, True)), preauth,
                            None if careless else answer)
        return session

    def _establish(self, session, session_key, preauth, answer):
        key = signing_key(self.negotiated.dialect, session_key, preauth)
        if answer and not is_signed_well(self.algorithm, key, answer.raw):
            raise BadResponse("final SESSION_SETUP response")
        session.key = key
        session.cipher_keys = transform.cipher_keys(self.negotiated.dialect, self.negotiated.cipher,
                                                    session_key, preauth)
        session.encrypts = bool(session.flags & smb2.ENCRYPT_DATA)
        self.sessions[session.id] = session


@dataclass
class NtlmLogin:
    """The tokens of an NTLM login."""

    client: ntlm.Client
    mechanisms: list
    raw: bool
    list_mic: bool

    def first(self):
        token = self.client.negotiate()
        return token if self.raw else spnego.init_token(self.mechanisms, token)

    def next(self, answer):
        challenge = answer if self.raw else spnego.parse_response(answer)[1]
        if not challenge:
            return spnego.response_token(token=self.client.negotiate())
        authenticate = self.client.authenticate(challenge)
        if self.raw:
            return authenticate
        proof = ntlm.gss_mic(self.client.exported_key, True, spnego.mech_type_list(self.mechanisms))
        return spnego.response_token(token=authenticate, mic=proof if self.list_mic else None)

    def finish(self, _):
        return self.client.exported_key


@dataclass
class KerberosLogin:
    """The tokens of a login with a ticket."""

    initiator: kerberos.Initiator
    mechanisms: list
    raw: bool

    def first(self):
        token = self.initiator if isinstance(self.initiator, bytes) else self.initiator.request()
        return token if self.raw else spnego.init_token(self.mechanisms, token)

    def _take(self, answer):
        token = answer if self.raw or not answer else spnego.parse_response(answer)[1]
        assert not isinstance(self.initiator, bytes), "a login with a token of another was let in"
        if token:
            self.initiator.take(token)

    def next(self, answer):
        """The optimistic token was for another mechanism, or a MIC is wanted."""
        state, token, _ = spnego.parse_response(answer)
        if not token and state != spnego.ACCEPT_COMPLETED:
            return spnego.response_token(token=self.initiator.request())
        self._take(answer)
        return spnego.response_token(mic=self.initiator.mic(spnego.mech_type_list(self.mechanisms)))

    def finish(self, answer):
        self._take(answer)
        return self.initiator.session_key
