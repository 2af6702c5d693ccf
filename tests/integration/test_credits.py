"""Credits and sizes: both ends grant as they like, and neither is asked for more than it takes.

A client that does not read, and a file server that does not, hold up themselves and fill no memory.
"""

import os
import threading

import pytest

import bodies
import smb2
from harness import wait_until
from memory import MIB, is_sanitized, most_resident
from nas import Nas
from rawclient import RawClient
from rig import Rig
from stubserver import CONTENT, FILE_ID, Conversation, StubServer

READ_WRITE, QUERY_RANGES = 0x0012019F, 0x940CF
WINDOW = 8192  # as many MessageIds the proxy lets be open


def granting(credits):
    """A file server that grants so many credits with each answer."""
    return StubServer(spoil=lambda raw: smb2.replace_header(raw, credits=credits))


def talking(conversation):
    """A file server whose connections are of that class."""
    class Server(StubServer):
        def _serve(self, client):
            try:
                conversation(self, client).run()
            except OSError:
                pass
    return Server()


def read_many(session, file_id, count, size=100, **options):
    """Sends `count` READs before it takes any answer: their contents."""
    asked = [session.client.send(smb2.READ, bodies.read(file_id, size), session, **options)
             for _ in range(count)]
    return [bodies.read_data(session.client.answer(message_id)) for message_id in asked]


def earn(session, credits):
    """Asks for credits until there are so many, with requests that the file server sees."""
    for _ in range(400):
        if session.client.credits >= credits:
            return
        session.ask(smb2.FLUSH, bodies.flush(bodies.NO_FILE))
    assert session.client.credits >= credits


@pytest.mark.parametrize("credits", [1, 2, 3, 8192])
def test_file_server_grants_few_or_many(credits):
    """The client gets no more than there are, and is never without any."""
    with granting(credits) as server, Rig(server) as rig:
        client, session = rig.established()
        with client:
            for _ in range(20):
                assert 1 <= client.credits <= WINDOW
                many = min(client.credits, 200)
                assert read_many(session, FILE_ID, many) == [CONTENT] * many
            assert client.credits == 1 if credits == 1 else client.credits > 1
            second = client.login("bob")
            second.tree_connect()
            for one in (session, second) * 10:
                assert one.read(FILE_ID, 100) == CONTENT
            session.logoff()
            assert second.read(FILE_ID, 100) == CONTENT
        assert not server.problems
        ids = [message.message_id for message in server.requests]
        assert sorted(ids) == list(range(len(ids)))


def test_smbd_with_two_credits(tmp_path):
    content = os.urandom(3 * MIB)
    (tmp_path / "big").write_bytes(content)
    with Nas(extra={"smb2 max credits": "2"}) as server, Rig(server) as rig:
        for dialect in ("2.0.2", "3.1.1"):
            smbclient = rig.smbclient(tmp_path, dialect=dialect)
            smbclient.must("put big; get big back; mkdir d; cd d; put big; ls; rm big; cd ..; rmdir d")
            smbclient.must("rm big")
            assert (tmp_path / "back").read_bytes() == content
        rig.assert_both_legs_signed()


def first_outside(client):
    """The first MessageId that was not granted."""
    return client.next_id + client.credits


@pytest.mark.parametrize("message_id, charge", [
    (first_outside, 1), (lambda client: first_outside(client) + WINDOW, 1), (lambda client: 2**63, 1),
    (lambda client: first_outside(client) - 1, 2), (lambda client: client.next_id, 65535)])
def test_message_id_that_was_not_granted(rig, message_id, charge):
    client, session = rig.established()
    with client:
        session.must(smb2.ECHO, bodies.empty())
        client.send(smb2.ECHO, bodies.empty(), session, message_id=message_id(client), credit_charge=charge)
        assert client.ends()
    assert rig.proxy.wait_event("protocol_error")["reason"] == "message_id"


@pytest.mark.parametrize("message_id", [lambda client: client.next_id - 1, lambda client: 0])
def test_message_id_that_was_used(rig, message_id):
    client, session = rig.established()
    with client:
        session.must(smb2.ECHO, bodies.empty())
        client.send(smb2.ECHO, bodies.empty(), session, message_id=message_id(client))
        assert client.ends()
    assert rig.proxy.wait_event("message_replayed")["verdict"] == "refused"


def test_recorded_message_that_comes_again(rig):
    """Byte for byte, signature and all: it is not carried out a second time."""
    client, session = rig.established()
    with client:
        file_id = session.create("f")
        recorded = client.build(smb2.CLOSE, bodies.close(file_id), session)
        client.waiting[smb2.parse_header(recorded).message_id] = session
        client.send_frame(recorded)
        assert client.answer(smb2.parse_header(recorded).message_id).status == smb2.SUCCESS
        client.send_frame(recorded)
        assert client.ends()
    rig.proxy.wait_event("message_replayed", reason="message_id_used")
    assert len(rig.at_server(smb2.CLOSE)) == 1


def test_last_granted_message_id_may_be_used(rig):
    """And all before it, in any order."""
    client, session = rig.established()
    with client:
        last = first_outside(client)
        ids = list(range(client.next_id, last))[::-1]
        for message_id in ids:
            client.send(smb2.ECHO, bodies.empty(), session, message_id=message_id)
        assert {client.answer(message_id).status for message_id in ids} == {smb2.SUCCESS}
    assert not rig.proxy.seen("protocol_error")


def test_window_does_not_grow_without_end(rig):
    """A client that only collects gets no more than the window, and can use what it got."""
    client, session = rig.established()
    with client:
        earn(session, 2000)
        for _ in range(150):
            session.ask(smb2.FLUSH, bodies.flush(bodies.NO_FILE))
        assert client.credits <= WINDOW
        file_id = session.create("f")
        session.write(file_id, CONTENT)
        assert read_many(session, file_id, 1000) == [CONTENT] * 1000


LARGE_REQUESTS = {
    "read": (smb2.READ, lambda file_id: bodies.read(file_id, MIB)),
    "write": (smb2.WRITE, lambda file_id: bodies.write(file_id, bytes(MIB))),
    "ioctl": (smb2.IOCTL, lambda file_id: bodies.ioctl(QUERY_RANGES, bytes(16), file_id,
                                                       max_output=MIB)),
    "ioctl input": (smb2.IOCTL, lambda file_id: bodies.ioctl(QUERY_RANGES, bytes(MIB), file_id)),
    "query_directory": (smb2.QUERY_DIRECTORY, lambda file_id: bodies.query_directory(file_id, size=MIB)),
    "change_notify": (smb2.CHANGE_NOTIFY, lambda file_id: bodies.change_notify(file_id, size=MIB)),
    "query_info": (smb2.QUERY_INFO, lambda file_id: bodies.query_info(file_id, size=MIB)),
    "set_info": (smb2.SET_INFO, lambda file_id: bodies.set_info(file_id, 0, bytes(MIB))),
}


@pytest.mark.parametrize("charge", [0, 1, 15])
@pytest.mark.parametrize("name", LARGE_REQUESTS)
def test_charge_that_is_too_small(rig, name, charge):
    """Refused here, whatever the file server would say to it; the connection goes on."""
    command, body = LARGE_REQUESTS[name]
    client, session = rig.established()
    with client:
        file_id = session.create("f")
        earn(session, 40)
        answer = session.ask(command, body(file_id), credit_charge=charge)
        assert answer.status == smb2.INVALID_PARAMETER
        assert not rig.at_server(command)
        session.ask(command, body(file_id), credit_charge=16)
        sent, = rig.at_server(command)
        assert sent.credit_charge == 16


def one_large_transfer(rig, **how):
    """Writes and reads back as much at once as was negotiated: how much that was."""
    with RawClient(*rig.direct, timeout=30) as client:
        client.negotiate(**how)
        _, most_read, most_write = client.negotiated.sizes
        assert most_read == most_write
        session = client.login()
        session.tree_connect()
        data, charge = os.urandom(most_read), (most_read - 1) // 65536 + 1
        cost = {} if client.negotiated.dialect == 0x202 else {"credit_charge": charge}
        earn(session, 2 * charge + 4)
        file_id = session.create("large")
        session.write(file_id, data, **cost)
        assert session.read(file_id, most_read, **cost) == data
        session.close(file_id)
        with open(os.path.join(rig.server.share, "large"), "rb") as file:
            assert file.read() == data
    return most_read


@pytest.mark.parametrize("how, size", [
    ({}, 8 * MIB), ({"dialects": [0x210]}, 8 * MIB), ({"dialects": [0x202]}, 65536)],
                         ids=["3.1.1", "2.1", "2.0.2"])
def test_large_transfers_where_the_file_server_can(rig, how, size):
    assert one_large_transfer(rig, **how) == size


class Small(Conversation):
    """A file server of 3.1.1 without LARGE_MTU."""

    @staticmethod
    def _capabilities(dialect):
        return 0


@pytest.mark.parametrize("how, count", [("read", 15), ("write", 15), ("read", 2), ("write", 2)])
def test_chain_as_long_as_a_frame_can_be(rig, how, count):
    """Fifteen mebibytes in one frame, or fourteen in two requests of seven."""
    size = 15 * MIB // count if count > 2 else 7 * MIB
    charge = size // 65536
    data = os.urandom(size)
    with RawClient(*rig.direct, timeout=60) as client:
        client.negotiate()
        session = client.login()
        session.tree_connect()
        earn(session, charge * (count + 2))
        file_id = session.create("f")
        session.write(file_id, data, credit_charge=charge)
        part = (smb2.READ, bodies.read(file_id, size)) if how == "read" else (
            smb2.WRITE, bodies.write(file_id, data))
        answers = client.compound([(*part, {"credit_charge": charge})] * count, session, related=False)
        assert [answer.status for answer in answers] == [smb2.SUCCESS] * count
        if how == "read":
            assert all(bodies.read_data(answer) == data for answer in answers)
        assert session.read(file_id, 100) == data[:100]
    assert not rig.proxy.seen("protocol_error")


def test_file_server_without_large_mtu():
    with talking(Small) as server, Rig(server) as rig, rig.raw() as client:
        negotiated = client.negotiate()
        assert negotiated.sizes == (65536,) * 3 and not negotiated.capabilities & smb2.CAP_LARGE_MTU
        session = client.login()
        session.tree_connect()
        assert session.read(FILE_ID, 65536) == CONTENT


def test_large_transfers_where_the_file_server_cannot():
    with Nas(max_dialect="2.0.2") as server, Rig(server) as rig:
        for how in ({}, {"dialects": [0x210]}):
            assert one_large_transfer(rig, **how) == 65536


def most_allowed(before):
    return before + (600 if is_sanitized() else 48) * MIB


def test_client_that_does_not_read(rig):
    """It asks for half a gigabyte: it is read no further, the file server neither, nothing piles up;
    when it reads at last, everything comes."""
    content = os.urandom(8 * MIB)
    path = os.path.join(rig.server.share, "f")
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o666)
    worker, = rig.proxy.children("worker")
    one_large_transfer(rig)
    with RawClient(*rig.direct, timeout=60) as client:
        client.negotiate()
        session = client.login()
        session.tree_connect()
        file_id = session.create("f", access=READ_WRITE, disposition=bodies.OPEN)
        earn(session, WINDOW - 256)
        before = most_resident(worker)
        asked = [client.send(smb2.READ, bodies.read(file_id, 8 * MIB), session, credit_charge=128)
                 for _ in range(60)]
        with RawClient(*rig.direct) as other:  # others are served meanwhile
            other.negotiate()
            of_other = other.login("bob")
            for _ in range(200):
                of_other.must(smb2.ECHO, bodies.empty())
        wait_until(lambda: settled(worker), "what was asked for to have piled up", 20, 0.3)
        assert most_resident(worker) < most_allowed(before)
        for message_id in asked:
            assert bodies.read_data(client.answer(message_id)) == content
        session.close(file_id)
        assert most_resident(worker) < most_allowed(before)


_last = {}


def settled(pid):
    """True when the process has used no time since the last call."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        now = file.read().rpartition(")")[2].split()[11:13]
    before, _last[pid] = _last.get(pid), now
    return before == now


class Dozing(Conversation):
    """Reads nothing more from its first WRITE on until it is woken."""

    awake = threading.Event()

    def _handle(self, message):
        if message.command == smb2.WRITE:
            assert self.awake.wait(60)
        super()._handle(message)


def test_file_server_that_does_not_read():
    """The client is read no further: it is the one who waits."""
    with talking(Dozing) as server, Rig(server) as rig, RawClient(*rig.direct, timeout=60) as client:
        client.negotiate()
        session = client.login()
        session.tree_connect()
        earn(session, 2200)
        worker, = rig.proxy.children("worker")
        before = most_resident(worker)
        data, asked = bytes(MIB), []

        def send_all():
            for _ in range(120):
                asked.append(client.send(smb2.WRITE, bodies.write(FILE_ID, data), session, credit_charge=16))

        sender = threading.Thread(target=send_all, daemon=True)
        sender.start()
        wait_until(lambda: settled(worker), "the worker to have taken what it takes", 20, 0.3)
        assert sender.is_alive() and len(asked) < 100
        assert most_resident(worker) < most_allowed(before)
        Dozing.awake.set()
        sender.join(60)
        assert {client.answer(message_id).status for message_id in asked} == {smb2.SUCCESS}
        assert len(asked) == 120
        assert most_resident(worker) < most_allowed(before)
        assert not server.problems
