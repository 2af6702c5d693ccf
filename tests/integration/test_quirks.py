"""File servers that sign badly: nothing of it is believed, but what a named quirk tolerates.

Each case is tried without the quirk, where the connection must end, with it, and with what lies just
beyond it.
"""

import pytest

import bodies
import smb2
from front import Front
from rawclient import Disconnected, Failed
from stubserver import CONTENT

NETWORK_NAME_DELETED = 0xC00000C9
ERRORS = (NETWORK_NAME_DELETED, smb2.FILE_CLOSED, smb2.INVALID_PARAMETER)


class Quirky(Front):
    """A stub with knobs behind a proxy whose upstream has these options."""

    def __init__(self, options=None, **knobs):
        super().__init__(knobs=knobs, on_upstream=options)

    def opened(self):
        """A client with a file open: (client, session, FileId)."""
        client, session = self.established()
        return client, session, session.create("file")


def ask(front, command, body):
    """The status that a client gets; None when its connection is ended."""
    client, session, file_id = front.opened()
    with client:
        try:
            status = session.ask(command, body(file_id)).status
            session.must(smb2.ECHO, bodies.empty())
            return status
        except Disconnected:
            return None


def read(file_id):
    return bodies.read(file_id, 100, offset=len(CONTENT))


@pytest.mark.parametrize("signature", ["zero", "echo"])
@pytest.mark.parametrize("status", ERRORS, ids=hex)
def test_unsigned_errors(status, signature):
    knobs = {"bare_errors": {smb2.WRITE: (status, signature)}}

    def write(file_id):
        return bodies.write(file_id, b"more")

    with Quirky(**knobs) as front:
        assert ask(front, smb2.WRITE, write) is None
        front.proxy.wait_event("upstream_bad_signature", command="WRITE")
        assert not front.proxy.seen("quirk_used")
    with Quirky({"quirks": ["unsigned-errors"]}, **knobs) as front:
        assert ask(front, smb2.WRITE, write) == status
        told = front.proxy.wait_event("quirk_used", reason="unsigned_errors", command="WRITE")
        assert told["status"] == f"{status:#010x}" and told["verdict"] == "recorded"
        assert not front.proxy.seen("upstream_bad_signature")


@pytest.mark.parametrize("beyond", [(NETWORK_NAME_DELETED, "wrong"), (smb2.ACCESS_DENIED, "zero"),
                                    (smb2.END_OF_FILE, "echo")],
                         ids=["other signature", "other status", "end of file"])
def test_nothing_beyond_unsigned_errors(beyond):
    with Quirky({"quirks": ["unsigned-errors"]}, bare_errors={smb2.WRITE: beyond}) as front:
        assert ask(front, smb2.WRITE, lambda file_id: bodies.write(file_id, b"more")) is None
        front.proxy.wait_event("upstream_bad_signature", verdict="refused")


def test_success_is_never_believed():
    with Quirky({"quirks": ["unsigned-errors", "unsigned-end-of-file", "unsigned-bad-share"]},
               flipped=(smb2.READ,)) as front:
        assert ask(front, smb2.READ, read) is None
        front.proxy.wait_event("upstream_bad_signature", command="READ")


@pytest.mark.parametrize("signature", ["zero", "wrong"])
def test_end_of_file_is_confirmed(signature):
    knobs = {"bare_errors": {smb2.READ: (smb2.END_OF_FILE, signature)}}
    with Quirky(**knobs) as front:
        assert ask(front, smb2.READ, read) is None
        front.proxy.wait_event("upstream_bad_signature", command="READ")
    with Quirky({"quirks": ["unsigned-end-of-file"]}, **knobs) as front:
        assert ask(front, smb2.READ, read) == smb2.END_OF_FILE
        front.proxy.wait_event("quirk_used", reason="unsigned_end_of_file")
        assert smb2.QUERY_INFO in front.stub.commands() and not front.stub.problems


@pytest.mark.parametrize("knobs", [{"file_size": len(CONTENT) + 1}, {"flipped": (smb2.QUERY_INFO,)},
                                   {"unsigned": (smb2.QUERY_INFO,)}],
                         ids=["longer file", "confirmation wrong", "confirmation unsigned"])
def test_end_of_file_that_is_not_confirmed(knobs):
    """Somebody who forges an end of file cuts nobody's file short."""
    with Quirky({"quirks": ["unsigned-end-of-file"]},
               bare_errors={smb2.READ: (smb2.END_OF_FILE, "wrong")}, **knobs) as front:
        assert ask(front, smb2.READ, read) is None
        front.proxy.wait_event("upstream_bad_signature", verdict="refused")


def test_bad_share():
    knobs = {"bare_errors": {smb2.TREE_CONNECT: (smb2.BAD_NETWORK_NAME, "wrong")}}

    def connect(front):
        with front.raw() as client:
            client.negotiate()
            session = client.login()
            try:
                session.tree_connect("nothing")
            except Failed as failed:
                return failed.status
            except Disconnected:
                return None
        return smb2.SUCCESS

    with Quirky(**knobs) as front:
        assert connect(front) is None
    with Quirky({"quirks": ["unsigned-bad-share"]}, **knobs) as front:
        assert connect(front) == smb2.BAD_NETWORK_NAME
        front.proxy.wait_event("quirk_used", reason="unsigned_bad_share", command="TREE_CONNECT")


@pytest.mark.parametrize("strict", [False, True])
def test_strict(strict):
    """The end of a session that does not verify ends the session; with `strict` the connection."""
    with Quirky({"strict": strict},
               bare_errors={smb2.WRITE: (smb2.USER_SESSION_DELETED, "echo")}) as front:
        client, session, file_id = front.opened()
        with client:
            client.send(smb2.WRITE, bodies.write(file_id, b"more"), session)
            if strict:
                assert client.ends() and not client.answers
                front.proxy.wait_event("upstream_bad_signature", command="WRITE")
            else:
                session.ended = True
                assert client.answer(max(client.waiting)).status == smb2.USER_SESSION_DELETED
                front.proxy.wait_event("upstream_unverified")
                assert client.login("alice").key, "the connection goes on"
