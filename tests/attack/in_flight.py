"""What somebody on the way does to messages: edits of frames."""

import struct

import ntlm
import smb2

NEGOTIATE_MESSAGE, CHALLENGE_MESSAGE, AUTHENTICATE_MESSAGE = 1, 2, 3


class Untouched(AssertionError):
    """The attack found nothing to do: the test would have shown nothing."""


class Edit:
    """A hook for a relay: applies `edit` (changes a bytearray) to the first frame of one direction
    that `wants` takes. `assert_done` fails when there was none."""

    def __init__(self, direction, wants, edit):
        self.direction, self.wants, self.edit = direction, wants, edit
        self.done = False

    def __call__(self, _, direction, data):
        if self.done or direction != self.direction or not self.wants(data):
            return None
        changed = bytearray(data)
        self.edit(changed)
        self.done = bytes(changed) != data
        return [bytes(changed)]

    def assert_done(self):
        if not self.done:
            raise Untouched("no frame to attack came by")


def is_command(command, response):
    """Takes frames that begin with this command, as request or response."""
    def wants(data):
        if not smb2.is_smb2(data):
            return False
        header = smb2.parse_header(data)
        return header.command == command and bool(header.flags & smb2.RESPONSE) == response
    return wants


def has_ntlm(kind):
    """Takes frames that carry this NTLM message."""
    return lambda data: ntlm.SIGNATURE + struct.pack("<I", kind) in data


def ntlm_edit(kind, edit):
    """An edit of the NTLM message inside a frame."""
    def apply(data):
        at = bytes(data).index(ntlm.SIGNATURE + struct.pack("<I", kind))
        message = bytearray(data[at:])
        edit(message)
        data[at:] = message
    return apply


def token_edit(edit):
    """An edit of the token in a SESSION_SETUP: a function of the token that gives another one."""
    def apply(data):
        response = bool(smb2.parse_header(bytes(data)).flags & smb2.RESPONSE)
        fields = 64 + (4 if response else 12)
        offset = struct.unpack_from("<H", data, fields)[0]
        token = edit(smb2.session_setup_token(bytes(data), response))
        struct.pack_into("<H", data, fields + 2, len(token))
        data[offset:] = token
    return apply


def clear_flags(offset, flags):
    """Takes flags out of the 32 bits at an offset."""
    def edit(message):
        value = struct.unpack_from("<I", message, offset)[0]
        struct.pack_into("<I", message, offset, value & ~flags)
    return edit


def flip(offset):
    """Changes one bit."""
    def edit(message):
        message[offset] ^= 1
    return edit


def zero(offset, size):
    """Overwrites with zeros."""
    def edit(message):
        message[offset:offset + size] = bytes(size)
    return edit


def av_value(message, fields_at, kind):
    """Where the value of an AV pair stands: (offset, size). `fields_at` is the offset of the security
    buffer that holds the pairs; in an AUTHENTICATE they are behind 44 bytes of the response."""
    size, _, offset = struct.unpack_from("<HHI", message, fields_at)
    at, end = offset, offset + size
    if fields_at == 20:
        at += 16 + 28
    while at + 4 <= end:
        found, length = struct.unpack_from("<HH", message, at)
        if found == kind:
            return at + 4, length
        at += 4 + length
    raise Untouched(f"no AV pair {kind}")


def change_av(fields_at, kind):
    """Changes the first byte of an AV pair's value."""
    def edit(message):
        at, _ = av_value(message, fields_at, kind)
        message[at] ^= 1
    return edit


def zero_av(fields_at, kind):
    """Makes an AV pair's value all zeros."""
    def edit(message):
        at, size = av_value(message, fields_at, kind)
        message[at:at + size] = bytes(size)
    return edit


def hide_av(fields_at, kind):
    """Makes an AV pair one that nobody knows, which is as good as cutting it out."""
    def edit(message):
        at, _ = av_value(message, fields_at, kind)
        struct.pack_into("<H", message, at - 4, 0x7FF0)
    return edit


def drop_mic(message):
    """Takes Version and MIC out of an AUTHENTICATE: the payload follows the flags, as old clients
    write it."""
    for at in range(12, 60, 8):
        offset = struct.unpack_from("<I", message, at + 4)[0]
        struct.pack_into("<I", message, at + 4, offset - 24)
    del message[64:88]


def bare_setup_edit(edit):
    """An edit of the NTLM message that a SESSION_SETUP request carries without SPNEGO; the message's
    length may change."""
    def apply(data):
        at, size = struct.unpack_from("<HH", data, 64 + 12)
        assert at + size == len(data) and bytes(data[at:at + 8]) == ntlm.SIGNATURE
        message = bytearray(data[at:])
        edit(message)
        data[at:] = message
        struct.pack_into("<H", data, 64 + 14, len(message))
    return apply


def cut_context(kind):
    """Turns a negotiate context into one that nobody knows, which is as good as cutting it out."""
    def edit(message):
        data = bytes(message)
        if smb2.parse_header(data).flags & smb2.RESPONSE:
            count, at = struct.unpack_from("<H", data, 70)[0], struct.unpack_from("<I", data, 124)[0]
        else:
            at, count = struct.unpack_from("<IH", data, 92)
        for _ in range(count):
            found, size = struct.unpack_from("<HH", data, at)
            if found == kind:
                struct.pack_into("<H", message, at, 0x7FF0)
                return
            at = (at + 8 + size + 7) & ~7
        raise Untouched(f"no negotiate context {kind}")
    return edit


def replace_dialect(old, new):
    """Puts another dialect in the place of one that is offered."""
    def edit(message):
        count = struct.unpack_from("<H", message, 66)[0]
        for index in range(count):
            if struct.unpack_from("<H", message, 100 + 2 * index)[0] == old:
                struct.pack_into("<H", message, 100 + 2 * index, new)
                return
        raise Untouched(f"{old:#x} was not offered")
    return edit
