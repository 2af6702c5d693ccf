"""SMB2 messages as data: the header, chains, NEGOTIATE (MS-SMB2 2.2.1, 2.2.3, 2.2.4).

Shared by the tests' own client, server and checker. It knows how messages look and nothing of
what they must be.
"""

import struct
from dataclasses import dataclass, replace

NEGOTIATE, SESSION_SETUP, LOGOFF, TREE_CONNECT, TREE_DISCONNECT, CREATE, CLOSE, FLUSH, READ, WRITE, \
    LOCK, IOCTL, CANCEL, ECHO, QUERY_DIRECTORY, CHANGE_NOTIFY, QUERY_INFO, SET_INFO, \
    OPLOCK_BREAK = range(19)
COMMANDS = ("NEGOTIATE SESSION_SETUP LOGOFF TREE_CONNECT TREE_DISCONNECT CREATE CLOSE FLUSH READ WRITE "
            "LOCK IOCTL CANCEL ECHO QUERY_DIRECTORY CHANGE_NOTIFY QUERY_INFO SET_INFO "
            "OPLOCK_BREAK").split()

RESPONSE = 0x1  # SERVER_TO_REDIR
ASYNC = 0x2
RELATED = 0x4
SIGNED = 0x8

SUCCESS = 0x0
PENDING = 0x103
NO_MORE_FILES = 0x80000006
INVALID_PARAMETER = 0xC000000D
NO_SUCH_FILE = 0xC000000F
END_OF_FILE = 0xC0000011
MORE_PROCESSING = 0xC0000016
ACCESS_DENIED = 0xC0000022
OBJECT_NAME_NOT_FOUND = 0xC0000034
LOGON_FAILURE = 0xC000006D
NOT_SUPPORTED = 0xC00000BB
BAD_NETWORK_NAME = 0xC00000CC
REQUEST_NOT_ACCEPTED = 0xC00000D0
FILE_CLOSED = 0xC0000128
USER_SESSION_DELETED = 0xC0000203

SIGNING_ENABLED, SIGNING_REQUIRED = 1, 2
GUEST, NULL_SESSION, ENCRYPT_DATA = 1, 2, 4  # SessionFlags of a SESSION_SETUP response
BREAK_ID = ALL_ONES = 0xFFFFFFFFFFFFFFFF

DIALECTS = {"2.0.2": 0x202, "2.1": 0x210, "3.0": 0x300, "3.0.2": 0x302, "3.1.1": 0x311}
DIALECT_NAMES = {number: name for name, number in DIALECTS.items()}
WILDCARD = 0x2FF

CAP_LEASING, CAP_LARGE_MTU, CAP_ENCRYPTION = 0x2, 0x4, 0x40
SHARE_ENCRYPT_DATA = 0x8000
CONTEXT_PREAUTH, CONTEXT_ENCRYPTION, CONTEXT_SIGNING = 1, 2, 8
FSCTL_VALIDATE_NEGOTIATE_INFO = 0x140204
FSCTL_QUERY_NETWORK_INTERFACE_INFO = 0x1401FC
FSCTL_DFS_GET_REFERRALS = 0x60194

HEADER = struct.Struct("<4sHHIHHIIQQQ16s")


@dataclass
class Header:
    """The 64 bytes before every body. `tree` is TreeId << 32 | ProcessId, or the AsyncId."""

    command: int
    message_id: int = 0
    session_id: int = 0
    tree: int = 0
    status: int = 0
    flags: int = 0
    credits: int = 1
    credit_charge: int = 0
    next_command: int = 0
    signature: bytes = bytes(16)

    def pack(self):
        return HEADER.pack(b"\xfeSMB", 64, self.credit_charge, self.status, self.command, self.credits,
                           self.flags, self.next_command, self.message_id, self.tree, self.session_id,
                           self.signature)

    @property
    def tree_id(self):
        return self.tree >> 32

    @property
    def name(self):
        return COMMANDS[self.command] if self.command < len(COMMANDS) else f"command {self.command}"


@dataclass
class Message:
    """One message of a chain: its header and its bytes from header to padding."""

    header: Header
    raw: bytes

    @property
    def body(self):
        return self.raw[64:]

    def __getattr__(self, name):
        return getattr(object.__getattribute__(self, "header"), name)


def parse_header(raw):
    fields = HEADER.unpack_from(raw)
    if fields[0] != b"\xfeSMB" or fields[1] != 64:
        raise ValueError(f"not an SMB2 header: {raw[:8].hex()}")
    return Header(credit_charge=fields[2], status=fields[3], command=fields[4], credits=fields[5],
                  flags=fields[6], next_command=fields[7], message_id=fields[8], tree=fields[9],
                  session_id=fields[10], signature=fields[11])


def is_smb2(frame):
    return frame[:4] == b"\xfeSMB"


def split_chain(frame):
    """The messages of a frame, each with the padding up to the next."""
    messages = []
    while True:
        header = parse_header(frame)
        size = header.next_command or len(frame)
        if header.next_command and (size % 8 or size < 64 or len(frame) - size < 64):
            raise ValueError(f"NextCommand {size} in a frame of {len(frame)}")
        messages.append(Message(header, frame[:size]))
        if not header.next_command:
            return messages
        frame = frame[size:]


def replace_header(raw, **changes):
    """The message with some header fields changed."""
    return replace(parse_header(raw), **changes).pack() + raw[64:]


def align8(data):
    return data + bytes(-len(data) % 8)


def negotiate_contexts(preauth=True, signing=None, ciphers=None, salt=bytes(32), extra=()):
    """The negotiate contexts of 3.1.1, each padded but the last (2.2.3.1)."""
    contexts = []
    if preauth:
        contexts.append((CONTEXT_PREAUTH, struct.pack("<HHH", 1, len(salt), 1) + salt))
    if ciphers:
        packed = struct.pack(f"<H{len(ciphers)}H", len(ciphers), *ciphers)
        contexts.append((CONTEXT_ENCRYPTION, packed))
    if signing is not None:
        contexts.append((CONTEXT_SIGNING, struct.pack(f"<H{len(signing)}H", len(signing), *signing)))
    contexts.extend(extra)
    packed = b""
    for kind, data in contexts:
        packed = align8(packed) + struct.pack("<HHI", kind, len(data), 0) + data
    return packed, len(contexts)


def negotiate_request_body(dialects, security_mode, capabilities, guid, contexts=None):
    """2.2.3; `contexts` is what negotiate_contexts() returned."""
    fixed = struct.pack("<HHHHI16s", 36, len(dialects), security_mode, 0, capabilities, guid)
    array = struct.pack(f"<{len(dialects)}H", *dialects)
    if contexts is None:
        return fixed + bytes(8) + array
    start = 64 + 36 + len(array)
    padding = bytes(-start % 8)
    return fixed + struct.pack("<IHH", start + len(padding), contexts[1], 0) + array + padding + contexts[0]


def parse_contexts(raw, offset, count):
    """A dictionary of context type to data; a type that comes twice is an error."""
    found = {}
    for _ in range(count):
        kind, size, _ = struct.unpack_from("<HHI", raw, offset)
        if kind in found:
            raise ValueError(f"context {kind} comes twice")
        found[kind] = raw[offset + 8:offset + 8 + size]
        offset = (offset + 8 + size + 7) & ~7
    return found


@dataclass
class NegotiateRequest:
    dialects: list
    security_mode: int
    capabilities: int
    guid: bytes
    signing: list


def parse_negotiate_request(raw):
    _, count, mode, _, capabilities, guid, offset, contexts_count, _ = struct.unpack_from(
        "<HHHHI16sIHH", raw, 64)
    dialects = list(struct.unpack_from(f"<{count}H", raw, 100))
    signing = []
    if 0x311 in dialects:
        contexts = parse_contexts(raw, offset, contexts_count)
        if CONTEXT_SIGNING in contexts:
            data = contexts[CONTEXT_SIGNING]
            signing = list(struct.unpack_from(f"<{struct.unpack_from('<H', data)[0]}H", data, 2))
    return NegotiateRequest(dialects, mode, capabilities, guid, signing)


@dataclass
class NegotiateResponse:
    dialect: int
    security_mode: int
    capabilities: int
    guid: bytes
    token: bytes
    signing: int  # algorithm id of the SIGNING context; None when there is none
    cipher: int  # of the ENCRYPTION context, or AES-128-CCM for the capability of 3.0; 0 for none
    sizes: tuple  # MaxTransactSize, MaxReadSize, MaxWriteSize


def parse_negotiate_response(raw):
    _, mode, dialect, count, guid, capabilities, transact, read, write = struct.unpack_from(
        "<HHHH16sIIII", raw, 64)
    token_at, token_size, offset = struct.unpack_from("<HHI", raw, 64 + 56)
    signing, cipher = None, 1 if 0x300 <= dialect < 0x311 and capabilities & CAP_ENCRYPTION else 0
    if dialect == 0x311:
        contexts = parse_contexts(raw, offset, count)
        if CONTEXT_SIGNING in contexts:
            signing = struct.unpack_from("<HH", contexts[CONTEXT_SIGNING])[1]
        if CONTEXT_ENCRYPTION in contexts:
            cipher = struct.unpack_from("<HH", contexts[CONTEXT_ENCRYPTION])[1]
    return NegotiateResponse(dialect, mode, capabilities, guid, raw[token_at:token_at + token_size],
                             signing, cipher, (transact, read, write))


def session_setup_token(raw, response):
    """The security buffer of a SESSION_SETUP request or response (2.2.5, 2.2.6)."""
    offset, size = struct.unpack_from("<HH", raw, 64 + (4 if response else 12))
    return raw[offset:offset + size]


def share_flags(raw):
    """ShareFlags of a TREE_CONNECT response."""
    return struct.unpack_from("<I", raw, 68)[0]


def session_flags(raw):
    """SessionFlags of a SESSION_SETUP response."""
    return struct.unpack_from("<H", raw, 66)[0]


def smb1_negotiate(dialects):
    """An SMB1 NEGOTIATE frame that offers these dialect strings."""
    names = b"".join(b"\2" + name.encode() + b"\0" for name in dialects)
    header = b"\xffSMB\x72" + bytes(4) + b"\x18" + b"\x53\xc8" + bytes(12) + struct.pack(
        "<HHHH", 0xFFFF, 0xFEFF, 0, 0)
    return header + b"\0" + struct.pack("<H", len(names)) + names
