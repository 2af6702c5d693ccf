"""What waits and what comes unasked, where one leg or both are encrypted, for whichever reason.

Only responses have to be encrypted: smbd sends breaks in the open, in encrypted sessions too.
"""

import os

import pytest

import bodies
import smb2
import transform
from capture import TO_SERVER
from nas import Nas
from rig import Rig
from smb2 import ASYNC

CANCELLED = 0xC0000120
ALL_CIPHERS = (2, 4, 1, 3)
READ_WRITE = 0x0012019F
QUIET = {"kernel oplocks": "no", "kernel change notify": "no"}
REQUIRED, OFF, ON_DATA = {"encryption": "required"}, {"encryption": "off"}, {"encrypted_shares": ["data"]}
# Options of the file server, of its share, of the listener and of the upstream.
WHY = {"the file server demands it": ({"smb encrypt": "required"}, {}, {}, {}),
       "its share demands it": ({}, {"smb encrypt": "required"}, {}, {}),
       "client leg": ({}, {}, REQUIRED, OFF),
       "upstream leg": ({}, {}, OFF, REQUIRED),
       "both": ({}, {}, REQUIRED, REQUIRED),
       "share on client leg": ({}, {}, ON_DATA, OFF),
       "share on upstream leg": ({}, {}, OFF, ON_DATA),
       "share on both": ({}, {}, ON_DATA, ON_DATA)}


@pytest.fixture(scope="module", params=WHY)
def sealed_rig(request):
    extra, share, on_listener, on_upstream = WHY[request.param]
    with Nas(extra={**QUIET, **extra}, share_options=share) as nas, \
            Rig(nas, on_listener=on_listener, on_upstream=on_upstream) as rig:
        rig.seals_client = not request.param.endswith("upstream leg")
        rig.seals_upstream = not request.param.endswith("client leg")
        yield rig


def enter(rig, user):
    client = rig.raw()
    client.negotiate(ciphers=ALL_CIPHERS)
    session = client.login(user)
    session.tree_connect()
    assert session.encrypts == rig.seals_client
    return client, session


@pytest.fixture
def pair(sealed_rig):
    """Two users on two connections, and a file that both may write."""
    rig = sealed_rig
    rig.reset()
    rig.server.empty_share()
    path = os.path.join(rig.server.share, "f")
    with open(path, "wb") as file:
        file.write(b"0123456789")
    os.chmod(path, 0o666)
    alice, bob = enter(rig, "alice"), enter(rig, "bob")
    with alice[0], bob[0]:
        yield rig, alice, bob
    rig.assert_both_legs_signed()
    rig.proxy.assert_healthy()
    assert not [event for event in rig.proxy.seen() if event["severity"] in ("warning", "error")]


@pytest.mark.parametrize("by", ["MessageId", "AsyncId"])
def test_wait_is_cancelled(pair, by):
    _, (_, alice), (client, bob) = pair
    of_alice, of_bob = alice.create("f", access=READ_WRITE), bob.create("f", access=READ_WRITE)
    alice.must(smb2.LOCK, bodies.lock(of_alice))
    waiting = client.send(smb2.LOCK, bodies.lock(of_bob, flags=0x2), bob)
    told = client.interim()
    how = {"flags": ASYNC, "async_id": told.tree} if by == "AsyncId" else {}
    client.send(smb2.CANCEL, bodies.empty(), bob, message_id=waiting, **how)
    assert client.answer(waiting).status == CANCELLED


def test_change_is_notified(pair):
    _, (client, alice), _ = pair
    directory = alice.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                             access=bodies.READ_ACCESS)
    waiting = client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), alice)
    assert client.interim().message_id == waiting
    alice.close(alice.create("appeared"))
    assert "appeared".encode("utf-16-le") in client.answer(waiting).raw


@pytest.mark.parametrize("with_lease", [False, True], ids=["oplock", "lease"])
def test_break(pair, with_lease):
    _, (client, alice), (other, bob) = pair
    key = os.urandom(16)
    how = {"oplock": bodies.OPLOCK_LEASE, "contexts": bodies.lease_context(key)} if with_lease else {
        "oplock": bodies.OPLOCK_BATCH}
    file_id = alice.create("f", access=READ_WRITE, **how)
    waiting = other.send(smb2.CREATE, bodies.create("f", access=READ_WRITE), bob)
    told = client.notification()
    assert told.body[8:24] == (key if with_lease else file_id)
    alice.must(smb2.OPLOCK_BREAK, bodies.lease_acknowledge(key, told.body[28]) if with_lease
               else bodies.oplock_acknowledge(file_id, told.body[2]))
    assert other.answer(waiting).status == smb2.SUCCESS
    assert not other.notifications and not client.notifications


@pytest.mark.parametrize("related", [True, False], ids=["related", "unrelated"])
def test_chain_is_one_transform(pair, related):
    """There and back; each member padded, the last one not."""
    rig, (client, alice), _ = pair
    file_id = alice.create("f", access=READ_WRITE)
    before = len(rig.upstream_relay.connections[0].frames)
    if related:
        parts = [(smb2.CREATE, bodies.create("fgh")), (smb2.WRITE, bodies.write(bodies.NO_FILE, b"odd")),
                 (smb2.READ, bodies.read(bodies.NO_FILE, 3)), (smb2.CLOSE, bodies.close(bodies.NO_FILE))]
    else:
        parts = [(smb2.WRITE, bodies.write(file_id, b"odd")), (smb2.READ, bodies.read(file_id, 3))]
    answers = client.compound(parts, alice, related=related)
    assert [answer.status for answer in answers] == [smb2.SUCCESS] * len(parts)
    assert bodies.read_data(answers[2 if related else 1]) == b"odd"
    sent = [frame.data for frame in rig.upstream_relay.connections[0].frames[before:]
            if frame.direction == TO_SERVER]
    assert len(sent) == 1 and transform.is_sealed(sent[0]) == rig.seals_upstream
    failing = client.compound([(smb2.CREATE, bodies.create("absent", disposition=bodies.OPEN)),
                               (smb2.READ, bodies.read(bodies.NO_FILE, 3))], alice)
    assert [answer.status for answer in failing] == [smb2.OBJECT_NAME_NOT_FOUND] * 2
