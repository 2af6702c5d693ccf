"""Somebody between proxy and file server changes what the file server says, anywhere, at random.

A client gets what the file server said, or nothing: never anything else under a right signature, and
never anything under a wrong one.
"""

import random
import struct

import pytest

import bodies
import smb2
from capture import TO_CLIENT
from rawclient import ALL_DIALECTS, Disconnected, Failed
from smb2 import END_OF_FILE

CONTENT = bytes(range(256)) * 40


class Spoiler:
    """Changes one of the next frames of the file server, as it changes in a recording."""

    def __init__(self, chance):
        self.chance = chance
        self.countdown = chance.randrange(14)
        self.last = b""
        self.spoiled = False

    def __call__(self, _, direction, data):
        if direction != TO_CLIENT or self.spoiled:
            return None
        self.countdown -= 1
        if self.countdown >= 0:
            self.last = data
            return None
        self.spoiled = True
        return self.chance.choice((self.flip, self.cut, self.grow, self.twice, self.older,
                                   self.number))(data)

    def flip(self, data):
        changed = bytearray(data)
        for _ in range(self.chance.randrange(1, 5)):
            changed[self.chance.randrange(len(changed))] ^= 1 << self.chance.randrange(8)
        return [bytes(changed)]

    def cut(self, data):
        return [data[:self.chance.randrange(1, len(data))]]

    def grow(self, data):
        return [data + self.chance.randbytes(self.chance.randrange(1, 40))]

    def twice(self, data):
        return [data, data]

    def older(self, data):
        return [self.last or data, data]

    def number(self, data):
        """A field of the header, or a length behind it."""
        changed = bytearray(data)
        at = self.chance.choice((6, 8, 12, 14, 16, 20, 24, 32, 36, 40, 64, 66, 68, 72, 76))
        if at + 4 <= len(changed):
            struct.pack_into("<I", changed, at, self.chance.choice((0, 1, 0x7F, 0xFFFF, 0xFFFFFFFF)))
        return [bytes(changed)]


def use(rig, dialect):
    """A small session; fails when an answer that verifies is not the truth."""
    with rig.raw(timeout=4) as client:
        client.negotiate([dialect])
        session = client.login()
        session.tree_connect()
        file_id = session.create("truth")
        for offset in (0, 1000, 5000):
            assert session.read(file_id, 3000, offset) == CONTENT[offset:offset + 3000]
        answer = session.ask(smb2.READ, bodies.read(file_id, 100, len(CONTENT)))
        assert answer.status == END_OF_FILE
        size = struct.unpack_from("<Q", session.must(smb2.QUERY_INFO, bodies.query_info(
            file_id, bodies.FILE_STANDARD_INFORMATION)).raw, 64 + 8 + 8)[0]
        assert size == len(CONTENT)
        session.close(file_id)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_changed_gets_through(rig, seed):
    chance = random.Random(seed)
    with rig.raw() as client:
        client.negotiate()
        session = client.login()
        session.tree_connect()
        session.write(session.create("truth"), CONTENT)
    spoiled = 0
    for _ in range(40):
        spoiler = rig.upstream_relay.hook = Spoiler(chance)
        try:
            use(rig, chance.choice(ALL_DIALECTS))
        except (Disconnected, Failed, TimeoutError):
            pass
        spoiled += spoiler.spoiled
        rig.upstream_relay.hook = None
    assert spoiled >= 30
    use(rig, 0x311)
