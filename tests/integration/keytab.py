"""Keytab files (MIT's format, version 0x502), read and written entry by entry."""

import os
import struct
from dataclasses import dataclass

AES256, AES128, RC4 = 18, 17, 23
_VERSION = b"\x05\x02"
_NT_PRINCIPAL = 1


@dataclass(frozen=True)
class Entry:
    """One key of one principal, whose name is as in "cifs/nas.mit.test@MIT.TEST"."""

    principal: str
    kvno: int
    encryption: int
    key: bytes


def _counted(data, at):
    size = struct.unpack_from(">H", data, at)[0]
    return data[at + 2:at + 2 + size], at + 2 + size


def _parse(data):
    count = struct.unpack_from(">H", data)[0]
    realm, at = _counted(data, 2)
    parts = []
    for _ in range(count):
        part, at = _counted(data, at)
        parts.append(part.decode())
    kvno, encryption = data[at + 8], struct.unpack_from(">H", data, at + 9)[0]
    key, at = _counted(data, at + 11)
    if len(data) - at >= 4:
        kvno = struct.unpack_from(">I", data, at)[0] or kvno
    return Entry(f"{'/'.join(parts)}@{realm.decode()}", kvno, encryption, key)


def read(path):
    """Every entry of a keytab."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:2] == _VERSION, path
    entries, at = [], 2
    while at + 4 <= len(data):
        size = struct.unpack_from(">i", data, at)[0]
        at += 4
        if size > 0:
            entries.append(_parse(data[at:at + size]))
        at += abs(size)  # a negative size is a hole
    return entries


def _format(entry):
    name, _, realm = entry.principal.rpartition("@")
    parts = name.split("/")
    data = struct.pack(">H", len(parts))
    for part in (realm, *parts):
        data += struct.pack(">H", len(part)) + part.encode()
    data += struct.pack(">IIBHH", _NT_PRINCIPAL, 0, entry.kvno & 0xFF, entry.encryption, len(entry.key))
    data += entry.key + struct.pack(">I", entry.kvno)
    return struct.pack(">i", len(data)) + data


def write(path, entries, owner=0):
    """A keytab with these entries, in the place of the one that may be there."""
    new = f"{path}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_VERSION + b"".join(map(_format, entries)))
    os.chown(new, owner, owner)
    os.rename(new, path)
    return path
