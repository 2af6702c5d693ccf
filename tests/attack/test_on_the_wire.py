"""Attackers who talk to the proxy themselves, with what they saw of somebody else's session.

Each has exactly one event, with the attacker's address, and the file server hears nothing of it.
"""

import socket
import struct

import pytest

import bodies
import smb2
from audit_log import assert_nothing_leaked, assert_told
from capture import TO_SERVER, receive_frame
from harness import run
from nas import Nas
from proxy import Proxy, listener, upstream
from rawclient import ALL_DIALECTS, Disconnected, Failed, RawClient

SIGNED_WRONG = {"unsigned": ("none", "unsigned_refused"), "bit-flipped": ("flipped", "bad_signature"),
                "signature zeroed": ("zero", "bad_signature")}


@pytest.mark.parametrize("dialect", ALL_DIALECTS)
@pytest.mark.parametrize("way", SIGNED_WRONG)
def test_tree_connect_without_a_right_signature(rig, dialect, way):
    """At 3.1.1 the TREE_CONNECT is what must be signed even where nothing else is; here it always is.
    There nobody can tell a first signature that was changed from one with keys of another negotiation."""
    sign_as, event = SIGNED_WRONG[way]
    if dialect == 0x311 and way == "bit-flipped":
        event = "preauth_mismatch"
    with rig.raw() as client:
        client.negotiate([dialect])
        session = client.login()
        client.send(smb2.TREE_CONNECT, bodies.tree_connect(f"\\\\{rig.address}\\data"), session,
                    sign_as=sign_as)
        assert client.ends() and not client.answers
    assert_told(rig, event, leg="client", user="alice")
    assert not rig.at_server(smb2.TREE_CONNECT)


def test_session_of_somebody_else(rig):
    """A SessionId seen on the wire is worth nothing on another connection."""
    client, session = rig.established()
    with client, rig.raw(timeout=3) as thief:
        thief.negotiate()
        thief.send_frame(thief.build(smb2.TREE_CONNECT, bodies.tree_connect("\\\\x\\data"), session))
        assert thief.ends() or all(
            answer.status == smb2.USER_SESSION_DELETED for answer in thief.answers.values())
        told = rig.proxy.wait_event("foreign_session", leg="client")
        assert told["client_address"] == rig.client_relay.last().source
        assert not rig.upstream_relay.connections[-1].messages(TO_SERVER, smb2.TREE_CONNECT)
        session.must(smb2.ECHO, bodies.empty())
    assert_nothing_leaked(rig)


def test_signed_request_sent_again(rig):
    """The same bytes once more, on their own connection: the MessageId is used up."""
    client, session = rig.established()
    with client:
        request = client.build(smb2.CREATE, bodies.create("once", disposition=bodies.CREATE_NEW), session)
        client.waiting[smb2.parse_header(request).message_id] = session
        client.send_frame(request)
        assert client.answer(smb2.parse_header(request).message_id).status == smb2.SUCCESS
        client.send_frame(request)
        assert client.ends()
    assert_told(rig, "message_replayed", leg="client")
    assert len(rig.at_server(smb2.CREATE)) == 1


def test_signed_request_sent_on_another_connection(rig):
    """A recorded conversation, replayed from its start: every login has keys of its own."""
    client, session = rig.established()
    with client:
        session.create("recorded")
    recorded = [frame.data for frame in rig.client_relay.last().frames if frame.direction == TO_SERVER]
    rig.proxy.wait_event("link_ended")
    rig.reset()
    with socket.create_connection((rig.address, rig.port), timeout=5) as attacker:
        for frame in recorded:
            try:
                attacker.sendall(struct.pack(">I", len(frame)) + frame)
                answer = receive_frame(attacker)
            except OSError:
                break
            if answer is None:
                break
            header = smb2.parse_header(answer)
            assert header.status != smb2.SUCCESS or header.command == smb2.NEGOTIATE
    assert_told(rig, "foreign_session", leg="client")
    assert not rig.proxy.seen("login") and not rig.at_server(smb2.CREATE)
    assert_nothing_leaked(rig)


def test_smb1(rig):
    """The last dialect of SMB1 alone: no answer at all."""
    with rig.raw() as client:
        client.send_frame(smb2.smb1_negotiate(["NT LM 0.12"]))
        assert client.ends()
    told = assert_told(rig, "smb1_refused", leg="client")
    assert told["windows_event_id"] == 3000


def test_dialect_below_the_minimum(nas):
    """Whoever can do no better stays outside, before the file server's users are at stake."""
    entry = listener(min_dialect="3.1.1")
    with Proxy([entry], [upstream(nas)]) as proxy:
        with socket.create_connection((entry["address"], entry["port"]), timeout=5) as client:
            body = smb2.negotiate_request_body([0x202, 0x210, 0x300, 0x302], 1, 0, bytes(range(16)))
            raw = smb2.Header(smb2.NEGOTIATE).pack() + body
            client.sendall(struct.pack(">I", len(raw)) + raw)
            told = proxy.wait_event("dialect_refused", leg="client", verdict="refused")
            assert told["client_address"] == client.getsockname()[0]


def test_guest_by_the_file_server():
    """A file server that lets anybody in as guest does not let him in here."""
    with Nas(guest=True, extra={"map to guest": "Bad User"}) as server:
        entry = listener()
        users = {"alice": "Alice.Pw1", "carol": "Carol.Pw3"}
        with Proxy([entry], [upstream(server)], users=users) as proxy:

            with RawClient(entry["address"], entry["port"]) as client:
                client.negotiate()
                with pytest.raises((Disconnected, Failed)):
                    client.login("carol", "Carol.Pw3")
                told = proxy.wait_event("guest_refused", leg="upstream", user="carol")
                assert told["windows_event_id"] == 31017
                assert told["client_address"] == client.socket.getsockname()[0]


@pytest.fixture(scope="module")
def on_port_445(nas):
    """Where nmap looks for SMB."""
    entry = listener(port=445)
    with Proxy([entry], [upstream(nas)]) as proxy:
        yield entry["address"], proxy


def test_nmap_sees_signing_required_and_no_smb1(on_port_445):
    address, _ = on_port_445
    done = run(["nmap", "-Pn", "-n", "-p", "445", "--script", "smb2-security-mode,smb-protocols",
                address], 120)
    assert done.returncode == 0, done.stderr
    assert "Message signing enabled and required" in done.stdout, done.stdout
    assert "NT LM 0.12" not in done.stdout and "SMBv1" not in done.stdout, done.stdout
    assert "302" in done.stdout and "311" in done.stdout, done.stdout
