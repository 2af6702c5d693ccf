"""Request bodies of SMB2 as bytes (MS-SMB2 2.2.5 to 2.2.39), for the tests' own client."""

import struct

from smb2 import align8

NO_FILE = b"\xff" * 16  # "the file of the request before" in a related chain

READ_ACCESS = 0x00120089
ALL_ACCESS = 0x001F01FF
OPEN, CREATE_NEW, OPEN_IF, OVERWRITE_IF = 1, 2, 3, 5
DIRECTORY_FILE, DELETE_ON_CLOSE = 0x1, 0x1000
SHARE_ALL = 7
OPLOCK_NONE, OPLOCK_LEVEL_2, OPLOCK_BATCH, OPLOCK_LEASE = 0, 0x1, 0x9, 0xFF

INFO_FILE = 1
FILE_BASIC_INFORMATION, FILE_STANDARD_INFORMATION = 4, 5
FILE_RENAME_INFORMATION, FILE_END_OF_FILE_INFORMATION = 10, 20
FILE_NAMES_INFORMATION = 12


def session_setup(token, flags=0, security_mode=1, previous=0):
    return struct.pack("<HBBIIHHQ", 25, flags, security_mode, 0, 0, 64 + 24, len(token), previous) + token


def tree_connect(path):
    name = path.encode("utf-16-le")
    return struct.pack("<HHHH", 9, 0, 64 + 8, len(name)) + name


def create(name, access=ALL_ACCESS, disposition=OPEN_IF, options=0, oplock=OPLOCK_NONE,
           share=SHARE_ALL, contexts=b""):
    text = name.encode("utf-16-le")
    padded = align8(text) or bytes(8)
    fixed = struct.pack("<HBBIQQIIIIIHHII", 57, 0, oplock, 2, 0, 0, access, 0, share, disposition,
                        options, 64 + 56, len(text), 64 + 56 + len(padded) if contexts else 0,
                        len(contexts))
    return fixed + padded + contexts


def create_context(name, data):
    """One create context, alone in its list (2.2.13.2)."""
    return struct.pack("<IHHHHI", 0, 16, len(name), 0, 24, len(data)) + name + bytes(4) + data


def lease_context(key, state=0x7):
    """A request for a lease, version 1 (2.2.13.2.8)."""
    return create_context(b"RqLs", struct.pack("<16sIIQ", key, state, 0, 0))


def close(file_id):
    return struct.pack("<HHI", 24, 0, 0) + file_id


def flush(file_id):
    return struct.pack("<HHI", 24, 0, 0) + file_id


def read(file_id, size, offset=0):
    return struct.pack("<HBBIQ16sIIIHHB", 49, 0x50, 0, size, offset, file_id, 0, 0, 0, 0, 0, 0)


def write(file_id, data, offset=0):
    return struct.pack("<HHIQ16sIIHHI", 49, 64 + 48, len(data), offset, file_id, 0, 0, 0, 0, 0) + data


def lock(file_id, offset=0, size=1, flags=0x12):
    """An exclusive lock that fails at once, or with flags 0x4 an unlock, 0x2 one that waits."""
    return struct.pack("<HHI16sQQII", 48, 1, 0, file_id, offset, size, flags, 0)


def ioctl(code, data=b"", file_id=NO_FILE, max_output=4096):
    return struct.pack("<HHI16sIIIIIIII", 57, 0, code, file_id, 64 + 56, len(data), 0, 64 + 56, 0,
                       max_output, 1, 0) + data


def validate_negotiate(capabilities, guid, security_mode, dialects):
    """The input of FSCTL_VALIDATE_NEGOTIATE_INFO."""
    return struct.pack(f"<I16sHH{len(dialects)}H", capabilities, guid, security_mode, len(dialects),
                       *dialects)


def query_directory(file_id, pattern="*", info=FILE_NAMES_INFORMATION, size=65536):
    name = pattern.encode("utf-16-le")
    return struct.pack("<HBBI16sHHI", 33, info, 0x01, 0, file_id, 64 + 32, len(name), size) + name


def change_notify(file_id, size=4096, what=0x17):
    return struct.pack("<HHI16sII", 32, 0, size, file_id, what, 0)


def query_info(file_id, info=FILE_STANDARD_INFORMATION, size=4096):
    return struct.pack("<HBBIHHIII16s", 41, INFO_FILE, info, size, 0, 0, 0, 0, 0, file_id)


def set_info(file_id, info, data):
    return struct.pack("<HBBIHHI16s", 33, INFO_FILE, info, len(data), 64 + 32, 0, 0, file_id) + data


def oplock_acknowledge(file_id, level=OPLOCK_NONE):
    return struct.pack("<HBBI16s", 24, level, 0, 0, file_id)


def lease_acknowledge(key, state):
    return struct.pack("<HHI16sIQ", 36, 0, 0, key, state, 0)


def empty():
    """LOGOFF, TREE_DISCONNECT, ECHO and CANCEL."""
    return struct.pack("<HH", 4, 0)


def created_file_id(message):
    """The FileId in a CREATE response."""
    return message.raw[64 + 64:64 + 80]


def read_data(message):
    """The data in a READ response."""
    offset, size = message.raw[66], struct.unpack_from("<I", message.raw, 68)[0]
    return message.raw[offset:offset + size]


def ioctl_output(message):
    """The output in an IOCTL response."""
    offset, size = struct.unpack_from("<II", message.raw, 64 + 32)
    return message.raw[offset:offset + size]
