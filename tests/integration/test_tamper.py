"""Every command of a session, broken on its way: it ends the connection and goes no further.

From the client: without a signature, with one bit of it changed, with the body changed under it. From
the file server: the same, by a hook in the relay behind the proxy. In each direction the untouched
command is tried too, and passes.
"""

import os

import pytest

import bodies
import smb2
from capture import TO_CLIENT, TO_SERVER
from harness import wait_until
from rawclient import Disconnected
from script import EVERY, Stage, name
from smb2 import RELATED, SIGNED

ALL = pytest.mark.parametrize("command", EVERY, ids=name)
ANSWERED = [command for command in EVERY if command not in (smb2.CANCEL, smb2.CHANGE_NOTIFY)]
OURS = (smb2.ECHO,)  # answered by the proxy or passed on: either is allowed


def requests_of(rig, command):
    return len(rig.at_server(command))


@ALL
def test_untouched_command_passes(rig, command):
    """The counterpart of all that follows."""
    with Stage(rig) as stage:
        before = requests_of(rig, command)
        message_id = stage.send(command, **({"message_id": 0xFFFF} if command == smb2.CANCEL else {}))
        if command in ANSWERED:
            stage.client.answer(message_id)
        if command == smb2.CHANGE_NOTIFY:
            wait_until(lambda: requests_of(rig, command) > before, "the request to reach the server")
        if command != smb2.LOGOFF:
            stage.session.must(smb2.TREE_CONNECT, stage.body(smb2.TREE_CONNECT))
        assert requests_of(rig, command) > before or command in (smb2.CANCEL, *OURS)
    refusals = [event for event in rig.proxy.seen() if event.get("verdict") == "refused"]
    assert not [event for event in refusals if event["event"] in (
        "unsigned_refused", "bad_signature", "upstream_bad_signature", "protocol_error")], refusals


CLIENT_WAYS = {"none": "unsigned_refused", "flipped": "bad_signature", "zero": "bad_signature"}


@ALL
@pytest.mark.parametrize("way", CLIENT_WAYS)
def test_request_without_a_right_signature(rig, command, way):
    with Stage(rig) as stage:
        before = requests_of(rig, command)
        cancel = {"message_id": 0xFFFF} if command == smb2.CANCEL else {}
        stage.send(command, sign_as=way, **cancel)
        assert stage.client.ends()
        assert not stage.client.answers, "it was answered"
        told = rig.proxy.wait_event(CLIENT_WAYS[way], leg="client", user="alice")
        assert told["command"] == name(command) and told["verdict"] == "refused"
        rig.upstream_relay.wait_ended()
        # A session that ends orderly may log off at the file server; nothing else may follow.
        assert requests_of(rig, command) == before or command == smb2.LOGOFF
    with open(os.path.join(rig.server.share, "stage"), "rb") as file:
        assert file.read() == b"0123456789" * 10
    assert not os.path.exists(os.path.join(rig.server.share, "made"))


@pytest.mark.parametrize("way", CLIENT_WAYS)
def test_reauthentication_without_a_right_signature(rig, way):
    """The legs of a new session are not signed; those of a session that exists are."""
    with Stage(rig) as stage:
        with pytest.raises(Disconnected):
            stage.client.login("alice", session=stage.session, setup_sign=way)
        rig.proxy.wait_event(CLIENT_WAYS[way], leg="client")


@pytest.mark.parametrize("dialect", [0x202, 0x210, 0x300, 0x302, 0x311])
@pytest.mark.parametrize("at", [14, 24, 36, 70, -1], ids=lambda at: f"byte {at}")
def test_changed_request_with_the_old_signature(rig, dialect, at):
    """One bit of header, body or data changed by somebody between client and proxy."""
    with Stage(rig, [dialect]) as stage:
        raw = bytearray(stage.client.build(smb2.WRITE, stage.body(smb2.WRITE), stage.session))
        raw[at] ^= 0x01
        stage.client.send_frame(bytes(raw))
        assert stage.client.ends() and not stage.client.answers
        # Another MessageId, here one that was used, matters before anything else about it.
        rig.proxy.wait_event("message_replayed" if at == 24 else "bad_signature", leg="client")
        assert requests_of(rig, smb2.WRITE) == 1


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("way", ["none", "flipped"])
def test_one_bad_element_of_a_compound(rig, part, way):
    """Each element carries a signature of its own; a bad one takes the whole chain with it."""
    with Stage(rig) as stage:
        parts = [[smb2.CREATE, bodies.create("made"), {}],
                 [smb2.WRITE, bodies.write(bodies.NO_FILE, b"abc"), {}],
                 [smb2.CLOSE, bodies.close(bodies.NO_FILE), {}]]
        good = stage.client.compound(parts, stage.session)
        assert [answer.status for answer in good] == [0, 0, 0]
        seen = len(rig.at_server())
        parts[0][1] = bodies.create("tampered")
        parts[part][2]["sign_as"] = way
        with pytest.raises(Disconnected):
            stage.client.compound(parts, stage.session)
        rig.proxy.wait_event(CLIENT_WAYS[way], leg="client")
        rig.upstream_relay.wait_ended()
        assert not [message for message in rig.at_server()[seen:] if message.command != smb2.LOGOFF]
    assert not os.path.exists(os.path.join(rig.server.share, "tampered"))


def unsigned(raw):
    header = smb2.parse_header(raw)
    return smb2.replace_header(raw, flags=header.flags & ~SIGNED, signature=bytes(16))


def flipped(raw):
    return raw[:63] + bytes([raw[63] ^ 0x80]) + raw[64:]


def changed(raw):
    """The Status of an answer, or its last byte, is not what the server signed."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


SERVER_WAYS = {"unsigned": unsigned, "flipped": flipped, "changed": changed}


@pytest.mark.parametrize("command", ANSWERED, ids=name)
@pytest.mark.parametrize("way", SERVER_WAYS)
def test_response_without_a_right_signature(rig, command, way):
    """Somebody sits between proxy and file server: the client sees nothing of it."""
    with Stage(rig) as stage:
        touched = []

        def tamper(connection, direction, data):
            if direction != TO_CLIENT or smb2.parse_header(data).command != command:
                return None
            if smb2.parse_header(data).status == smb2.PENDING:
                return None
            touched.append(data)
            return [SERVER_WAYS[way](data)]

        rig.upstream_relay.hook = tamper
        message_id = stage.send(command)
        if command in OURS:
            try:
                stage.client.answer(message_id)
            except Disconnected:
                pass
            return
        assert stage.client.ends()
        assert not stage.client.answers, "it was answered"
        assert touched
        told = wait_until(lambda: rig.proxy.seen("upstream_bad_signature") or
                          rig.proxy.seen("upstream_no_signing"), "the event")[0]
        assert told["leg"] == "upstream" and told["verdict"] == "refused"
        if way != "unsigned":
            assert told["event"] == "upstream_bad_signature"


@pytest.mark.parametrize("status", [smb2.ACCESS_DENIED, smb2.END_OF_FILE, smb2.FILE_CLOSED,
                                    smb2.INVALID_PARAMETER, 0xC00000C9])
def test_forged_error_is_not_believed(rig, status):
    """An unsigned error with the request's own signature copied, as some servers send."""
    with Stage(rig) as stage:
        copied = {}

        def forge(connection, direction, data):
            header = smb2.parse_header(data)
            if header.command != smb2.READ:
                return None
            if direction == TO_SERVER:
                copied["signature"] = header.signature
                return None
            return [smb2.replace_header(data, status=status, signature=copied["signature"])[:64] +
                    b"\x09\0\0\0\0\0\0\0\0"]

        rig.upstream_relay.hook = forge
        stage.send(smb2.READ)
        assert stage.client.ends() and not stage.client.answers
        rig.proxy.wait_event("upstream_bad_signature")


def test_forged_session_deleted_ends_only_that_session(rig):
    """The one unverifiable status that is acted on, and on nothing but its own session pair."""
    with Stage(rig) as stage:
        other = stage.client.login("bob")
        other.tree_connect()
        forged = []

        def forge(connection, direction, data):
            """One answer in the place of all: a slow file server sends an interim one before its own."""
            header = smb2.parse_header(data)
            if direction != TO_CLIENT or header.command != smb2.READ:
                return None
            forged.append(smb2.replace_header(data, status=smb2.USER_SESSION_DELETED)[:64] +
                          b"\x09\0\0\0\0\0\0\0\0")
            return forged if len(forged) == 1 else []

        rig.upstream_relay.hook = forge
        answer = stage.session.ask(smb2.READ, stage.body(smb2.READ))
        assert answer.status == smb2.USER_SESSION_DELETED
        other.must(smb2.TREE_CONNECT, stage.body(smb2.TREE_CONNECT))
        stage.session.ended = True
        answer = stage.session.ask(smb2.READ, stage.body(smb2.READ))
        assert answer.status == smb2.USER_SESSION_DELETED
        rig.proxy.wait_event("logoff", leg="upstream", user="alice", reason="file_server_unverified")
        rig.proxy.wait_event("upstream_unverified", user="alice", command="READ")
        assert forged


def test_replayed_request_is_not_carried_twice(rig):
    with Stage(rig) as stage:
        raw = stage.client.build(smb2.WRITE, bodies.write(stage.file_id, b"once"), stage.session)
        stage.client.waiting[smb2.parse_header(raw).message_id] = stage.session
        stage.client.send_frame(raw)
        stage.client.answer(smb2.parse_header(raw).message_id)
        before = requests_of(rig, smb2.WRITE)
        stage.client.send_frame(raw)
        assert stage.client.ends()
        assert requests_of(rig, smb2.WRITE) == before


def test_injected_response_that_answers_nothing(rig):
    """Signed by nobody, for a MessageId that nobody used."""
    with Stage(rig) as stage:
        forged = smb2.Header(smb2.READ, 0x77777, stage.session.id, flags=smb2.RESPONSE).pack() + bytes(17)
        rig.upstream_relay.connections[-1].inject(TO_CLIENT, forged)
        assert stage.client.ends() and not stage.client.answers
        rig.proxy.wait_event("link_ended")


def test_related_flag_on_the_first_element(rig):
    """There is nothing that it could be related to (MS-SMB2 3.3.5.2.7.2)."""
    with Stage(rig) as stage:
        message_id = stage.send(smb2.FLUSH, flags=RELATED)
        try:
            assert stage.client.answer(message_id).status == smb2.INVALID_PARAMETER
        except Disconnected:
            pass
        assert requests_of(rig, smb2.FLUSH) == 0
