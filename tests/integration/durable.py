"""A durable open as its client keeps it (MS-SMB2 2.2.13.2.3, .4, .11, .12)."""

import os
import struct

import bodies
import smb2
from harness import wait_until
from rawclient import Failed


def chain(*contexts):
    """A list of create contexts: (name, data) each (2.2.13.2)."""
    packed = b""
    for left, (name, data) in enumerate(reversed(contexts)):
        one = smb2.align8(bodies.create_context(name, data))
        packed = struct.pack("<I", len(one) if left else 0) + one[4:] + packed
    return packed


def granted(message):
    """The create contexts of a CREATE response: name → data."""
    at, size = struct.unpack_from("<II", message.raw, 64 + 80)
    found = {}
    while size:
        following, name_at, name_size, _, data_at, data_size = struct.unpack_from("<IHHHHI", message.raw, at)
        found[message.raw[at + name_at:at + name_at + name_size]] = \
            message.raw[at + data_at:at + data_at + data_size]
        if not following:
            break
        at += following
    return found


class Handle:
    """A durable handle as its client knows it: how it was asked for, and its FileId."""

    NAME = "kept"

    def __init__(self, version, oplock):
        self.version, self.lease = version, oplock == "lease"
        self.key, self.create_guid = os.urandom(16), os.urandom(16)
        self.file_id = None

    @property
    def dialects(self):
        return [smb2.DIALECTS["2.1" if self.version == 1 else "3.1.1"]]

    def _lease(self):
        if not self.lease:
            return []
        return [(b"RqLs", struct.pack("<16sIIQ", self.key, 0x7, 0, 0) +
                 (bytes(20) if self.version == 2 else b""))]

    def _create(self, session, context):
        oplock = bodies.OPLOCK_LEASE if self.lease else bodies.OPLOCK_BATCH
        return session.must(smb2.CREATE, bodies.create(
            self.NAME, access=0x0012019F, oplock=oplock, contexts=chain(context, *self._lease())))

    def open(self, session):
        """Opens the file and insists on a handle that is durable."""
        asked = (b"DHnQ", bytes(16)) if self.version == 1 else (
            b"DH2Q", struct.pack("<IIQ16s", 0, 0, 0, self.create_guid))
        answer = self._create(session, asked)
        assert asked[0] in granted(answer), "the file server grants no durable handle"
        self.file_id = bodies.created_file_id(answer)

    def reopen(self, session):
        """Asks for it back; Failed when it is refused."""
        wanted = (b"DHnC", self.file_id) if self.version == 1 else (
            b"DH2C", struct.pack("<16s16sI", self.file_id, self.create_guid, 0))
        answer = self._create(session, wanted)
        self.file_id = bodies.created_file_id(answer)

    def reopen_soon(self, session):
        """The same by a client that did not say which session it had: the file server needs a moment
        to notice that the other connection is gone."""
        def reopened():
            try:
                self.reopen(session)
                return True
            except Failed as failed:
                assert failed.status in (smb2.OBJECT_NAME_NOT_FOUND, smb2.ACCESS_DENIED), failed
                return False
        wait_until(reopened, "the durable handle", step=0.05)
