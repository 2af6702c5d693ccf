"""What goes through as it is, asked of smbd directly and through the proxy: the answers are the same.

And what does not go through, since it would lead around the proxy.
"""

import os
import select
import struct
from collections import Counter

import pytest

import bodies
import dcerpc
import smb2
from capture import TO_CLIENT
from harness import wait_until
from nas import Nas
from rawclient import RawClient
from rig import Rig
from smbcrypto import signing_algorithm
from smb2 import ASYNC, BREAK_ID, RELATED

CANCELLED = 0xC0000120
READ_WRITE = 0x0012019F
QUIET = {"kernel oplocks": "no", "kernel change notify": "no"}
LARGE = struct.pack("<QQ", 0, 1 << 20)
RESUME_KEY, COPYCHUNK, COPYCHUNK_WRITE = 0x00140078, 0x001440F2, 0x001480F2
REPARSE = struct.pack("<IHH", 0xA000000C, 4, 0) + b"\0\0\0\0"
# Codes and their inputs, for a file, in this order.
FSCTLS = {
    "SET_SPARSE": (0x000900C4, b"\1"), "QUERY_ALLOCATED_RANGES": (0x000940CF, LARGE),
    "SET_ZERO_DATA": (0x000980C8, struct.pack("<QQ", 10, 20)), "GET_COMPRESSION": (0x0009003C, b""),
    "SET_COMPRESSION": (0x0009C040, b"\0\0"), "SRV_REQUEST_RESUME_KEY": (RESUME_KEY, b""),
    "SRV_ENUMERATE_SNAPSHOTS": (0x00144064, b""), "GET_REPARSE_POINT": (0x000900A8, b""),
    "SET_REPARSE_POINT": (0x000900A4, REPARSE), "DELETE_REPARSE_POINT": (0x000900AC, REPARSE[:8]),
    "CREATE_OR_GET_OBJECT_ID": (0x000900C0, b""), "FILE_LEVEL_TRIM": (0x00098208, LARGE),
    "OFFLOAD_READ": (0x00094264, struct.pack("<IIIIQQ", 32, 0, 0, 0, 0, 1 << 16)),
    "OFFLOAD_WRITE": (0x00098268, struct.pack("<IIQQQ", 544, 0, 0, 1 << 16, 0) + bytes(512)),
    "DUPLICATE_EXTENTS": (0x00098344, bytes(40)), "QUERY_FILE_REGIONS": (0x00090284, b""),
    "GET_INTEGRITY_INFORMATION": (0x0009027C, b""), "QUERY_SPARING_INFO": (0x00090138, b""),
    "LMR_REQUEST_RESILIENCY": (0x001401D4, struct.pack("<II", 60000, 0)),
    "SRV_READ_HASH": (0x001441BB, bytes(32)), "PIPE_PEEK": (0x0011400C, b""),
    "STORAGE_QOS_CONTROL": (0x00090350, bytes(24)), "of nobody": (0x000F8FF4, b"what is this?")}
UNLIKE = ("SRV_REQUEST_RESUME_KEY", "CREATE_OR_GET_OBJECT_ID")  # each open has its own


@pytest.fixture(scope="module")
def nas():
    with Nas(extra=QUIET, share_options={"kernel share modes": "no", "posix locking": "no"}) as server:
        yield server


def entered(client, share="data", **options):
    client.negotiate(**options)
    session = client.login()
    session.tree_connect(share)
    return session


@pytest.fixture
def both(rig):
    """Sessions of alice: (at the file server itself, through the proxy)."""
    with RawClient(rig.server.address, rig.server.port) as direct, rig.raw() as proxied:
        yield entered(direct), entered(proxied)


@pytest.mark.parametrize("name", FSCTLS)
def test_control_codes(rig, both, name):
    code, data = FSCTLS[name]
    told = []
    for number, session in enumerate(both):
        file_id = session.create(f"f{number}")
        session.write(file_id, bytes(100))
        body = bodies.ioctl(code, data, file_id, max_output=65536)
        answer = session.ask(smb2.IOCTL, body)
        output = bodies.ioctl_output(answer) if answer.status == smb2.SUCCESS else b""
        told.append((answer.status, len(output) if name in UNLIKE else output))
        if number:
            asked, = rig.at_server(smb2.IOCTL)
            assert asked.body == body
    assert told[0] == told[1]


@pytest.mark.parametrize("code", [COPYCHUNK, COPYCHUNK_WRITE])
def test_copying_at_the_file_server(rig, both, code):
    content = os.urandom(300_000)
    _, session = both
    source, target = session.create("source"), session.create("target")
    for at in range(0, len(content), 60_000):
        session.write(source, content[at:at + 60_000], at)
    key = bodies.ioctl_output(session.must(smb2.IOCTL, bodies.ioctl(RESUME_KEY, b"", source)))[:24]
    request = key + struct.pack("<II", 1, 0) + struct.pack("<QQII", 0, 0, len(content), 0)
    answer = session.must(smb2.IOCTL, bodies.ioctl(code, request, target, max_output=12))
    assert struct.unpack("<III", bodies.ioctl_output(answer)) == (1, 0, len(content))
    with open(os.path.join(rig.server.share, "target"), "rb") as file:
        assert file.read() == content


@pytest.mark.parametrize("code", [0x00060194, 0x000601B0, 0x001401FC],
                         ids=["DFS_GET_REFERRALS", "DFS_GET_REFERRALS_EX", "QUERY_NETWORK_INTERFACE_INFO"])
@pytest.mark.parametrize("share", ["data", "IPC$"])
def test_control_codes_that_lead_around(rig, code, share):
    client, session = rig.established(share=share)
    path = "\\nas\\data\0".encode("utf-16-le")
    referral = struct.pack("<H", 4) + path
    if code == 0x000601B0:
        referral = struct.pack("<HHIH", 4, 0, 2 + len(path), len(path)) + path
    with client:
        answer = session.ask(smb2.IOCTL, bodies.ioctl(code, b"" if code == 0x001401FC else referral))
        assert answer.status >= 0xC0000000
        # Nor in a chain, behind something that is allowed.
        _, answer = client.compound([(smb2.CREATE, bodies.create("" if share == "data" else "srvsvc",
                                                                 access=0x12019F if share != "data" else
                                                                 bodies.READ_ACCESS,
                                                                 disposition=bodies.OPEN)),
                                     (smb2.IOCTL, bodies.ioctl(code, referral))], session)
        assert answer.status >= 0xC0000000
        session.must(smb2.ECHO, bodies.empty())
    assert not rig.at_server(smb2.IOCTL)
    told = wait_until(lambda: rig.proxy.seen("bypass_refused")[1:] and rig.proxy.seen("bypass_refused"),
                      "both events")
    assert len(told) == 2 and {event["user"] for event in told} == {"alice"}


# Pipes that wait.

@pytest.fixture
def pipe(rig):
    client, session = rig.established(share="IPC$")
    with client:
        yield client, session, session.create("srvsvc", access=READ_WRITE, disposition=bodies.OPEN)


def test_pipe_that_waits(rig, pipe):
    """A READ that is there before what it reads."""
    client, session, file_id = pipe
    waiting = client.send(smb2.READ, bodies.read(file_id, 4280), session)
    assert client.interim().message_id == waiting
    session.write(file_id, dcerpc.bind())
    answer = client.answer(waiting)
    assert answer.status == smb2.SUCCESS and answer.flags & ASYNC
    assert dcerpc.kind_of(bodies.read_data(answer)) == dcerpc.BIND_ACK
    # It goes on as it is used: a call and its answer, in one.
    called = session.must(smb2.IOCTL, bodies.ioctl(dcerpc.PIPE_TRANSCEIVE, dcerpc.request(
        21, bytes(4) + struct.pack("<I", 100)), file_id))
    assert dcerpc.kind_of(bodies.ioctl_output(called)) in (dcerpc.RESPONSE, 3)


@pytest.mark.parametrize("by", ["MessageId", "AsyncId"])
def test_pipe_that_is_not_waited_for(rig, pipe, by):
    """smbd hears of it, and lets the READ wait all the same, also directly: what wakes it still does."""
    client, session, file_id = pipe
    waiting = client.send(smb2.READ, bodies.read(file_id, 4280), session)
    how = {"flags": ASYNC, "async_id": client.interim().tree} if by == "AsyncId" else {}
    client.send(smb2.CANCEL, bodies.empty(), session, message_id=waiting, **how)
    session.must(smb2.ECHO, bodies.empty())
    wait_until(lambda: rig.at_server(smb2.CANCEL), "the CANCEL to arrive")
    session.write(file_id, dcerpc.bind())
    answer = client.answer(waiting)
    assert answer.status in (smb2.SUCCESS, CANCELLED)


# Chains.

def chained(session, *parts):
    """One frame of (command, body, options): statuses, of those that are answered."""
    client, frame, ids = session.client, b"", []
    for left, (command, body, options) in reversed(list(enumerate(reversed(parts)))):
        options = dict(options)
        room = options.pop("room", 0)
        if left:
            options.setdefault("next_command", (64 + len(body) + 7 & ~7) + room)
        raw = client.build(command, body, session, **options)
        ids.append(smb2.parse_header(raw).message_id)
        client.waiting[ids[-1]] = session
        frame += raw
    client.send_frame(frame)
    return [client.answer(message_id).status for message_id in ids]


FOLLOWS = {"flags": RELATED, "session_id": smb2.ALL_ONES, "tree_id": 0xFFFFFFFF}
OPENING = {"access": READ_WRITE, "disposition": bodies.OPEN}
CHAINS = {
    "related": [(smb2.CREATE, bodies.create("f", **OPENING), {}),
                (smb2.WRITE, bodies.write(bodies.NO_FILE, b"odd"), FOLLOWS),
                (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS)],
    "much room between": [(smb2.CREATE, bodies.create("f", **OPENING), {"room": 80}),
                          (smb2.WRITE, bodies.write(bodies.NO_FILE, b"odd"), {**FOLLOWS, "room": 8}),
                          (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS)],
    "first fails": [(smb2.CREATE, bodies.create("absent", **OPENING), {}),
                    (smb2.WRITE, bodies.write(bodies.NO_FILE, b"odd"), FOLLOWS),
                    (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS)],
    "second fails": [(smb2.CREATE, bodies.create("f", **OPENING), {}),
                     (smb2.READ, bodies.read(bodies.NO_FILE, 10, 1 << 40), FOLLOWS),
                     (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS)],
    "unrelated": [(smb2.CREATE, bodies.create("f", **OPENING), {}),
                  (smb2.CREATE, bodies.create("absent", **OPENING), {}),
                  (smb2.CREATE, bodies.create("f", **OPENING), {})],
    "related behind unrelated": [(smb2.CREATE, bodies.create("f", **OPENING), {}),
                                 (smb2.CREATE, bodies.create("f", **OPENING), {}),
                                 (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS)],
    "unrelated behind related": [(smb2.CREATE, bodies.create("f", **OPENING), {}),
                                 (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS),
                                 (smb2.CREATE, bodies.create("f", **OPENING), {})],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("dialects", [[0x202], [0x311]], ids=["2.0.2", "3.1.1"])
def test_chains(rig, name, dialects):
    told = []
    for client in (RawClient(rig.server.address, rig.server.port), rig.raw()):
        with client:
            session = entered(client, dialects=dialects)
            session.close(session.create("f"))
            told.append(chained(session, *CHAINS[name]))
    assert told[0] == told[1]


def test_chain_related_to_nothing(rig):
    """smbd says the same, with the request's own signature."""
    client, session = rig.established()
    with client:
        statuses = chained(session, (smb2.CREATE, bodies.create("f"), {"flags": RELATED}),
                           (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS))
        assert statuses == [smb2.INVALID_PARAMETER] * 2 and not rig.at_server(smb2.CREATE)


def test_long_chain(rig):
    """As long as smbtorture's longest, and longer: each answered, in one frame upstream."""
    client, session = rig.established()
    with client:
        file_id = session.create("f")
        while client.credits < 120:
            session.must(smb2.FLUSH, bodies.flush(file_id))
        session.write(file_id, b"0123456789" * 12)
        many = [(smb2.READ, bodies.read(file_id, 1, at), {}) for at in range(100)]
        before = len(rig.upstream_relay.last().frames)
        assert chained(session, *many) == [smb2.SUCCESS] * 100
        frame = rig.upstream_relay.last().frames[before]
        assert [message.command for message in frame.messages()] == [smb2.READ] * 100
        for message in frame.messages()[:-1]:
            assert message.next_command == len(message.raw) and message.next_command % 8 == 0


@pytest.mark.parametrize("ends_by", ["a change", "MessageId", "AsyncId"])
def test_chain_whose_last_request_waits(rig, ends_by):
    """It leaves the chain: the others are answered at once."""
    client, session = rig.established()
    with client:
        open_it = bodies.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                                access=bodies.READ_ACCESS)
        first = client.build(smb2.CREATE, open_it, session, next_command=64 + len(open_it) + 7 & ~7)
        second = client.build(smb2.CHANGE_NOTIFY, bodies.change_notify(bodies.NO_FILE), session, **FOLLOWS)
        created, waiting = (smb2.parse_header(raw).message_id for raw in (first, second))
        client.waiting.update({created: session, waiting: session})
        client.send_frame(first + second)
        assert client.answer(created).status == smb2.SUCCESS
        told = client.interim()
        assert told.message_id == waiting and told.session_id == session.id
        if ends_by == "a change":
            session.close(session.create("appeared"))
            assert "appeared".encode("utf-16-le") in client.answer(waiting).raw
        else:
            how = {"flags": ASYNC, "async_id": told.tree} if ends_by == "AsyncId" else {}
            client.send(smb2.CANCEL, bodies.empty(), session, message_id=waiting, **how)
            assert client.answer(waiting).status == CANCELLED


@pytest.mark.parametrize("next_command", [4, 60, 68, 8 * 1000, 0xFFFFFFF8, 128 + 24])
def test_malformed_chain(rig, next_command):
    """Not a multiple of 8, or not to where another message is: the connection ends, with nothing done."""
    client, session = rig.established()
    with client:
        made = client.build(smb2.CREATE, bodies.create("made"), session)
        # Where it says 68, there is a whole message.
        first = client.build(smb2.ECHO, bodies.empty(), session, next_command=next_command
                             if next_command == 68 else 72)
        client.send_frame(smb2.replace_header(first, next_command=next_command) + made)
        assert client.ends() and not client.answers
        rig.proxy.wait_event("protocol_error", leg="client", reason="broken_chain")
    assert not rig.at_server(smb2.CREATE)


# Leases of one client on several connections.

@pytest.mark.parametrize("newest, same", [("2.0.2", False), ("2.1", True)])
def test_client_guid_at_the_file_server(nas, newest, same):
    """The client's own, since leases are known by it; a client that speaks 2.0.2 has none, whatever it
    wrote, and each of its connections is in any worker."""
    with Rig(nas, on_listener={"max_dialect": newest}) as rig, rig.raw() as first, rig.raw() as second:
        second.guid = first.guid
        for client in (first, second):
            client.negotiate([0x202, 0x210])
        told = [message.raw[76:92] for message in rig.at_server(smb2.NEGOTIATE)]
        assert len(told) == 2 and bytes(16) not in told
        assert set(told) == {first.guid} if same else len({*told, first.guid}) == 3


def test_leases_of_one_client_on_several_connections(nas):
    """smbd, for which they are one client with channels, tells of each break on which it likes: the
    client hears of it there, as often as smbd says it, and can acknowledge it on any. When that
    connection ends soon after, smbd may say it once more on another, of a lease that is still had."""
    nas.empty_share()
    with Rig(nas, workers=3) as rig, rig.raw() as other:
        clients, sessions = [rig.raw() for _ in range(4)], []
        for client in clients:
            client.guid = clients[0].guid
            sessions.append(entered(client, capabilities=0x7))
        keys = [os.urandom(16) for _ in clients]
        for number, session in enumerate(sessions):
            session.create(f"f{number}", access=READ_WRITE, oplock=bodies.OPLOCK_LEASE,
                           contexts=bodies.lease_context(keys[number]))
            os.chmod(os.path.join(nas.share, f"f{number}"), 0o666)
        other.negotiate()
        bob = other.login("bob")
        bob.tree_connect()
        for number in (2, 0, 3, 1):
            waiting = other.send(smb2.CREATE, bodies.create(f"f{number}", access=READ_WRITE), bob)
            ready, _, _ = select.select([client.socket for client in clients], [], [], 10)
            told, = [client.notification() for client in clients if client.socket in ready]
            assert told.body[8:24] == keys[number]
            sessions[number].must(smb2.OPLOCK_BREAK, bodies.lease_acknowledge(keys[number], told.body[28]))
            assert other.answer(waiting).status == smb2.SUCCESS
        for session in sessions:
            session.must(smb2.ECHO, bodies.empty())
        assert not any(client.notifications for client in clients)
        for client, session in zip(clients, sessions):
            session.must(smb2.ECHO, bodies.empty())
            client.__exit__()
        again = [message.body for client in clients for message in client.notifications]
        told = [message.body for connection in rig.upstream_relay.connections
                for message in connection.messages(TO_CLIENT, smb2.OPLOCK_BREAK)
                if message.header.message_id == BREAK_ID]
        assert not Counter(again) - (Counter(told) - Counter(set(told)))
        assert not rig.proxy.seen("upstream_forged")


# The server's own name.

HOSTS = ["NAS", "nas", "PROXY", "proxy.test", "Proxy.TEST.", "127.0.0.1", "192.0.2.77", "::1",
         "fe80--1.ipv6-literal.net", "x" * 200, "x"]


@pytest.fixture(scope="module")
def named_rig(nas):
    with Rig(nas, on_upstream={"server_name": "files.inside.example.com"}) as rig:
        yield rig


@pytest.mark.parametrize("behind", ["nothing", "something related", "something else"])
@pytest.mark.parametrize("host", HOSTS)
def test_file_server_reads_its_own_name(named_rig, host, behind):
    """Whatever name the client uses, longer or shorter, alone or at the head of a chain."""
    rig = named_rig
    rig.reset()
    rig.server.empty_share()
    with rig.raw() as client:
        client.negotiate()
        session = client.login()
        connects = (smb2.TREE_CONNECT, bodies.tree_connect(f"\\\\{host}\\Data"), {"tree_id": 0})
        if behind == "nothing":
            session.tree_connect("Data", host=host)
        elif behind == "something related":
            statuses = chained(session, connects, (smb2.CREATE, bodies.create("f"), FOLLOWS),
                               (smb2.CLOSE, bodies.close(bodies.NO_FILE), FOLLOWS))
            assert statuses == [smb2.SUCCESS] * 3
        else:
            session.tree_connect("data")
            file_id = session.create("f")
            assert chained(session, connects, (smb2.FLUSH, bodies.flush(file_id), {})) == [smb2.SUCCESS] * 2
    request = rig.at_server(smb2.TREE_CONNECT)[-1]
    offset, size = struct.unpack_from("<HH", request.raw, 68)
    assert request.raw[offset:offset + size].decode("utf-16-le") == "\\\\files.inside.example.com\\Data"
    assert os.path.exists(os.path.join(rig.server.share, "f")) == (behind != "nothing")
    rig.assert_both_legs_signed()


# The ways in.

def log_in(client, dialect):
    """What follows an answer to an SMB1 NEGOTIATE: (session, the answer)."""
    answer = smb2.parse_negotiate_response(client.receive_frame())
    assert answer.dialect == dialect
    client.next_id, client.credits = 1, 1
    if dialect == smb2.WILDCARD:
        return client.negotiate()
    client.negotiated, client.algorithm = answer, signing_algorithm(dialect, None)
    return answer


@pytest.mark.parametrize("names,dialect,chosen", [
    (["NT LM 0.12", "SMB 2.002"], 0x202, 0x202), (["SMB 2.???"], smb2.WILDCARD, 0x311),
    (["NT LM 0.12", "SMB 2.002", "SMB 2.???"], smb2.WILDCARD, 0x311)])
def test_smb1_negotiate_leads_to_a_session(rig, names, dialect, chosen):
    with rig.raw() as client:
        client.send_frame(smb2.smb1_negotiate(names))
        log_in(client, dialect)
        assert client.negotiated.dialect == chosen
        session = client.login()
        session.tree_connect()
        session.close(session.create("f"))
    rig.assert_both_legs_signed()


def test_smb1_negotiate_before_the_way_to_another_worker(nas):
    """Whose connection it is shows only in the NEGOTIATE that follows."""
    with Rig(nas, workers=3) as rig:
        for _ in range(12):
            with rig.raw() as client:
                client.send_frame(smb2.smb1_negotiate(["SMB 2.???"]))
                log_in(client, smb2.WILDCARD)
                client.login().tree_connect()
        links = wait_until(lambda: rig.proxy.seen("link")[11:] and rig.proxy.seen("link"), "all links")
        assert len(links) == 12 and len({event["worker"] for event in links}) > 1


@pytest.mark.parametrize("name", ["SMB 2.002", "SMB 2.???"])
def test_smb1_negotiate_by_policy(nas, name):
    with Rig(nas, on_listener={"multi_protocol": "refuse"}) as rig, rig.raw() as client:
        client.send_frame(smb2.smb1_negotiate([name]))
        assert client.ends() and not client.answers
        told = rig.proxy.wait_event("smb1_refused", reason="multi_protocol")
        assert told["offered"] == name and not rig.at_server()


@pytest.mark.parametrize("options,reason", [
    ({"min_dialect": "2.1"}, "dialect_below_minimum"),
    ({"encryption": "required"}, "client_cannot_encrypt")])
def test_smb1_negotiate_for_less_than_is_wanted(nas, options, reason):
    """2.0.2 is all that it could be then. What leaves the choice open is another matter."""
    with Rig(nas, on_listener=options) as rig:
        with rig.raw() as client:
            client.send_frame(smb2.smb1_negotiate(["SMB 2.002"]))
            assert client.ends() and not client.answers
            rig.proxy.wait_event("smb1_refused", reason=reason)
        assert not rig.at_server()
        with rig.raw() as client:
            client.send_frame(smb2.smb1_negotiate(["SMB 2.002", "SMB 2.???"]))
            assert smb2.parse_negotiate_response(client.receive_frame()).dialect == smb2.WILDCARD


def test_smb1_negotiate_comes_again(rig):
    with rig.raw() as client:
        client.send_frame(smb2.smb1_negotiate(["SMB 2.???"]))
        client.receive_frame()
        client.send_frame(smb2.smb1_negotiate(["SMB 2.???"]))
        assert client.ends()
    rig.proxy.wait_event("smb1_refused")


@pytest.mark.parametrize("with_session", [True, False])
def test_second_negotiate(rig, with_session):
    """Nobody negotiates twice: a connection that is asked to ends (MS-SMB2 3.3.5.4)."""
    with rig.raw() as client:
        client.negotiate()
        session = client.login() if with_session else None
        before = len(rig.at_server())
        client.send(smb2.NEGOTIATE, client.negotiate_body(), session)
        assert client.ends() and not client.answers
        assert not [message for message in rig.at_server()[before:] if message.command != smb2.LOGOFF]
    rig.proxy.wait_event("link_ended")


def test_contexts_that_nobody_knows(rig):
    """Ignored, before and behind those that matter, and never sent on; the name is written down."""
    extra = [(0x7777, os.urandom(19)), (5, "Files.Example.Com".encode("utf-16-le")), (3, bytes(10)),
             (7, struct.pack("<HHII", 1, 0, 0, 0)), (0x100, os.urandom(3))]
    contexts = smb2.negotiate_contexts(signing=[2, 1], salt=os.urandom(32), extra=extra)
    with rig.raw() as client:
        client.negotiate(contexts=contexts)
        assert client.negotiated.dialect == 0x311 and client.negotiated.signing == 2
        client.login().tree_connect()
    told = rig.proxy.wait_event("link")
    assert told["target_name"] == "Files.Example.Com"
    offer, = rig.at_server(smb2.NEGOTIATE)
    offset, count = struct.unpack_from("<IH", offer.raw, 64 + 28)
    assert not {0x7777, 3, 7, 0x100} & set(smb2.parse_contexts(offer.raw, offset, count))


def test_negotiate_without_contexts(rig):
    """Below 3.1.1 there are none."""
    for dialects in ([0x202], [0x202, 0x210], [0x210, 0x300, 0x302]):
        with rig.raw() as client:
            client.negotiate(dialects=dialects)
            assert client.negotiated.dialect == dialects[-1]
            client.login().tree_connect()


# Encryption that the file server demands, where the client leg has none.

@pytest.mark.parametrize("extra,share", [({"smb encrypt": "required"}, {}), ({}, {"smb encrypt": "required"})],
                         ids=["session", "share"])
@pytest.mark.parametrize("legs", [({"encryption": "off"}, {}), ({}, {"encryption": "off"}),
                                  ({"encryption": "off"}, {"encryption": "off"})],
                         ids=["client leg off", "upstream leg off", "both off"])
def test_demand_is_not_weakened(tmp_path, extra, share, legs):
    on_listener, on_upstream = legs
    with Nas(extra=extra, share_options=share) as nas, \
            Rig(nas, on_listener=on_listener, on_upstream=on_upstream) as rig:
        with open(os.path.join(nas.share, "f"), "wb") as file:
            file.write(b"not for everybody")
        output = rig.smbclient(tmp_path).refused(options=["--client-protection=sign"])
        assert "ACCESS_DENIED" in output
        if not on_upstream:
            rig.proxy.wait_event("unencrypted_refused", leg="client", verdict="refused")
        else:  # smbd itself lets nobody in who cannot
            rig.proxy.wait_event("tree_connect" if share else "upstream_login_refused", verdict="refused")
        assert bool(rig.proxy.seen("login")) == bool(share)
        if share:  # the other share is as good as ever
            rig.smbclient(tmp_path).must("ls", share="priv")
        assert not rig.at_server(smb2.READ)
