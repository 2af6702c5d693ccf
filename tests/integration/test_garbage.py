"""Nonsense from both sides, some of it properly signed: nobody dies of it and nobody else notices.

Every case is made from a seed, so that a failure can be had again. Bytes that are refused before the
login cost nothing to send; what an authenticated client or a real file server signs goes as deep as
any message does.
"""

import random
import struct

import pytest

import bodies
import ntlm
import rawclient
import smb2
import spnego
from harness import wait_until
from proxy import Proxy, listener, upstream
from rawclient import ALL_DIALECTS, BadResponse, Disconnected, Failed, NtlmLogin, RawClient
from script import EVERY, Stage
from smbcrypto import sign
from stubserver import StubServer

SEEDS = pytest.mark.parametrize("seed", range(6))
EXPECTED = (Disconnected, Failed, BadResponse, TimeoutError, ValueError, struct.error, IndexError,
            KeyError, UnicodeDecodeError)


def spoiled(chance, data, first=0):
    """The bytes with something about them wrong: from `first` on."""
    data = bytearray(data)
    if len(data) <= first:
        return bytes(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        way = chance.randrange(6)
        at = chance.randrange(first, len(data)) if len(data) > first else first
        if way == 0 and len(data) > at:
            data[at] ^= 1 << chance.randrange(8)
        elif way == 1 and len(data) > at:
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
        elif way == 2 and len(data) - at >= 2:
            data[at:at + 2] = struct.pack("<H", chance.choice((0, 1, 7, 8, 63, 64, 65, 0x7FFF, 0xFFFF)))
        elif way == 3 and len(data) - at >= 4:
            data[at:at + 4] = struct.pack("<I", chance.choice((0, 1, 64, 0x10000, 0x7FFFFFFF,
                                                                 0xFFFFFFF8)))
        elif way == 4:
            del data[at:]
        else:
            data += chance.randbytes(chance.choice((1, 8, 100)))
    return bytes(data)


@pytest.fixture
def bystander(rig):
    """Another user's session, which must not notice anything."""
    client, session = rig.established("bob")
    with client:
        yield session
        session.close(session.create("still here", options=bodies.DELETE_ON_CLOSE))


def first_frames(client):
    """Good frames of the time before a session, to be spoiled."""
    hello = ntlm.Client("alice", "Alice.Pw1").negotiate()
    yield client.build(smb2.NEGOTIATE, client.negotiate_body())
    yield smb2.smb1_negotiate(["NT LM 0.12", "SMB 2.002", "SMB 2.???"])
    for token in (hello, spnego.init_token([spnego.OID_KERBEROS, spnego.OID_NTLMSSP], hello)):
        yield client.build(smb2.SESSION_SETUP, bodies.session_setup(token))


@SEEDS
def test_before_the_login(rig, bystander, seed):
    chance = random.Random(seed)
    for _ in range(60):
        with rig.raw(timeout=2) as client:
            frames = list(first_frames(client))
            try:
                if chance.random() < 0.5:
                    client.next_id = 0
                    client.negotiate()
                    client.send_frame(spoiled(chance, frames[chance.choice((2, 3))]))
                else:
                    client.send_frame(spoiled(chance, frames[chance.choice((0, 0, 1))]))
                if chance.random() < 0.2:
                    client.socket.sendall(chance.randbytes(chance.randrange(1, 300)))
            except EXPECTED:
                pass


@SEEDS
def test_in_the_middle_of_a_login(rig, bystander, seed, monkeypatch):
    """The AUTHENTICATE and its SPNEGO wrapping, spoiled."""
    chance = random.Random(seed)

    class Spoiled(NtlmLogin):
        """What comes after the first token is not what it should be."""

        def next(self, answer):
            return spoiled(chance, super().next(answer))

    monkeypatch.setattr(rawclient, "NtlmLogin", Spoiled)
    for _ in range(40):
        with rig.raw(timeout=5) as client:
            try:
                client.negotiate()
                client.login(raw=chance.random() < 0.5)
            except EXPECTED:
                pass
    assert {event["event"] for event in rig.proxy.seen()} & {"login_refused", "mic_refused"}


@pytest.mark.parametrize("length", [0, 1, 3, 4, 63, 64, 0x10000, 0x14000, 0xFF0001, 0xFFFFFF])
@pytest.mark.parametrize("established", [False, True])
def test_frame_lengths_that_lie(rig, bystander, length, established):
    """A frame longer than its state allows is refused by its length, not by reading it all."""
    with RawClient(*rig.direct, timeout=20) as client:
        if established:
            client.negotiate()
            client.login()
        client.socket.sendall(struct.pack(">I", length) + b"\xfeSMB" + bytes(60))
        most = 0xFF0000 if established else 0x12000
        if length < 64 or length > most:
            assert client.ends() and not client.answers
            rig.proxy.wait_event("link_ended", listener="direct")


@SEEDS
def test_signed_requests(rig, bystander, seed):
    """An authenticated client: headers (but for what finds its session) and bodies, rightly signed."""
    chance = random.Random(seed)
    stage = None
    for _ in range(60):
        try:
            stage = stage or Stage(rig, [chance.choice(ALL_DIALECTS)])
            client, session = stage.client, stage.session
            client.socket.settimeout(2)
            raw = client.build(chance.choice(EVERY), stage.body(chance.choice(EVERY)), session)
            whole = spoiled(chance, raw, first=64 if chance.random() < 0.7 else 4)
            if len(whole) < 64:
                continue
            if chance.random() < 0.8:
                whole = (whole[:4] + raw[4:6] + whole[6:24] + raw[24:32] + whole[32:40] + raw[40:48] +
                         whole[48:])
            client.send_frame(sign(client.algorithm, session.key, whole))
            session.ask(smb2.ECHO, bodies.empty())
        except EXPECTED:
            stage = close(stage)
    close(stage)


def close(stage):
    if stage is not None:
        stage.__exit__()


@SEEDS
def test_signed_chains(rig, bystander, seed):
    """NextCommand and the related flag at random, each part signed as it stands."""
    chance = random.Random(seed)
    for _ in range(25):
        try:
            with Stage(rig) as stage:
                client, session = stage.client, stage.session
                client.socket.settimeout(2)
                chain = b""
                for _ in range(chance.randrange(1, 8)):
                    command = chance.choice([number for number in EVERY if number != smb2.CANCEL])
                    body = stage.body(command)
                    size = (64 + len(body) + 7) & ~7
                    flags = smb2.RELATED if chance.random() < 0.5 else 0
                    chain += client.build(command, body, session, flags=flags, next_command=size)
                if chance.random() < 0.5:
                    chain += client.build(smb2.ECHO, bodies.empty(), session)
                client.send_frame(chain)
                session.ask(smb2.ECHO, bodies.empty())
        except EXPECTED:
            pass


@SEEDS
def test_file_server_that_answers_nonsense(seed):
    """Each response spoiled and then signed, at each dialect and each stage of a session."""
    chance = random.Random(seed)
    honest_for = [0]

    def spoil(raw):
        honest_for[0] -= 1
        if honest_for[0] >= 0 or chance.random() < 0.5:
            return raw
        return (spoiled(chance, raw, first=chance.choice((64, 64, 6))) + bytes(64))[:max(64, len(raw))]

    with StubServer(spoil=spoil) as stub:
        entry = listener()
        with Proxy([entry], [upstream(stub, connect_timeout=1000)],
                   extra={"limits": {"login_timeout": 1000}}) as proxy:
            for _ in range(60):
                honest_for[0] = chance.choice((0, 1, 2, 3, 3, 4, 5, 6))
                stub.dialect = chance.choice(ALL_DIALECTS)
                one_session(entry)
            stub.spoil = lambda raw: raw
            stub.dialect = 0x311
            # A spoiled challenge makes a login that the stub refuses: alice's credential may rest now.
            wait_until(lambda: one_session(entry, "bob"), "bob to be served", 30)
            proxy.assert_healthy()


def one_session(entry, user="alice"):
    """True when all of a small session went well."""
    try:
        with RawClient(entry["address"], entry["port"], timeout=2) as client:
            client.negotiate()
            session = client.login(user)
            session.tree_connect()
            file_id = session.create("file")
            session.read(file_id, 100)
            session.write(file_id, b"more")
            session.ask(smb2.IOCTL, bodies.ioctl(0x00144064, file_id=file_id))
            session.close(file_id)
            session.logoff()
            return True
    except EXPECTED:
        return False
