"""Encryption: each leg by its own rule, and what the file server demands holds on both.

Recorded frames are opened by the checker with keys of its own making. A message that is only signed
has no place where encryption is required, nor has one user's message in another's TRANSFORM.
"""

import os
import struct

import pytest

import bodies
import smb2
import transform
from capture import TO_CLIENT, TO_SERVER
from harness import USERS, wait_until
from nas import Nas
from rawclient import ALL_DIALECTS, Disconnected, Failed
from report import assert_independent
from rig import Rig
from smbcrypto import sign
from verify import Checker

ENCRYPTING = ["3.0", "3.0.2", "3.1.1"]
CIPHERS = {"aes-128-ccm": "AES-128-CCM", "aes-128-gcm": "AES-128-GCM", "aes-256-ccm": "AES-256-CCM",
           "aes-256-gcm": "AES-256-GCM"}
ALL_CIPHERS = (2, 4, 1, 3)
REFUSED = (Disconnected, Failed)
OPERATIONS = "put in f; get f out; ls; rename f g; del g"


def operate(rig, directory, **options):
    """Small operations; the reports of both legs of each link."""
    (directory / "in").write_bytes(os.urandom(150_000))
    rig.smbclient(directory).must(OPERATIONS, **options)
    assert (directory / "in").read_bytes() == (directory / "out").read_bytes()
    return rig.assert_both_legs_signed()


def all_encrypted(leg):
    """Everything after the login's own messages."""
    return leg.encrypted >= 20 and "TREE_CONNECT" in leg.commands and leg.signed <= 1


@pytest.mark.parametrize("dialect", ENCRYPTING)
def test_client_that_wants_it_encrypts_its_own_leg(rig, tmp_path, dialect):
    for client_leg, upstream_leg in operate(rig, tmp_path, dialect=dialect,
                                            options=["--client-protection=encrypt"]):
        assert all_encrypted(client_leg)
        assert upstream_leg.encrypted == 0 and upstream_leg.signed >= 20


@pytest.fixture(scope="module", params=CIPHERS)
def one_cipher_rig(request, nas):
    """Encryption required on both legs, one cipher upstream."""
    with Rig(nas, on_listener={"encryption": "required"},
             on_upstream={"encryption": "required", "ciphers": [request.param]}) as rig:
        rig.upstream_cipher = CIPHERS[request.param]
        yield rig


@pytest.mark.parametrize("cipher", CIPHERS.values())
def test_every_pair_of_ciphers(one_cipher_rig, tmp_path, cipher):
    rig = one_cipher_rig
    rig.reset()
    only = f"--option=client smb3 encryption algorithms={cipher}"
    for client_leg, upstream_leg in operate(rig, tmp_path, options=[only]):
        assert all_encrypted(client_leg) and all_encrypted(upstream_leg)
        assert (client_leg.cipher, upstream_leg.cipher) == (cipher, rig.upstream_cipher)


@pytest.mark.parametrize("dialect", ENCRYPTING)
def test_session_encryption_that_the_file_server_demands(tmp_path, dialect):
    """Not weakened on the client leg; a client that cannot is refused."""
    with Nas(max_dialect=dialect, extra={"smb encrypt": "required"}) as nas, Rig(nas) as rig:
        for client_leg, upstream_leg in operate(rig, tmp_path):
            assert all_encrypted(client_leg) and all_encrypted(upstream_leg)
        rig.reset()
        rig.smbclient(tmp_path).refused(dialect="2.1")
        rig.proxy.wait_event("unencrypted_refused", leg="client", reason="client_cannot_encrypt",
                             verdict="refused", user="alice")
        assert not rig.proxy.seen("upstream_encryption")
        assert not rig.at_server(smb2.TREE_CONNECT)


def test_share_encryption_that_the_file_server_demands(tmp_path):
    with Nas(share_options={"smb encrypt": "required"}) as nas, Rig(nas) as rig:
        for client_leg, upstream_leg in operate(rig, tmp_path):
            assert client_leg.encrypted >= 15 and upstream_leg.encrypted >= 15
        rig.reset()
        rig.smbclient(tmp_path).must("ls", share="priv")
        for client_leg, upstream_leg in rig.assert_both_legs_signed():
            assert client_leg.encrypted == upstream_leg.encrypted == 0
        client, session = rig.established(dialects=[0x210], share="priv")
        with client, pytest.raises(REFUSED):
            session.tree_connect("data")
        rig.proxy.wait_event("unencrypted_refused", share=f"\\\\{rig.address}\\data")
        rig.proxy.mark()
        # One that can, but sends a request that is only signed.
        client = rig.raw()
        with client:
            client.negotiate(ciphers=ALL_CIPHERS)
            session = client.login()
            session.tree_connect()
            assert session.encrypts
            session.close(session.create("sealed"))
            client.send(smb2.CREATE, bodies.create("open"), session, encrypt=False)
            with pytest.raises(REFUSED):
                answer = client.answer(max(client.waiting))
                raise Failed(answer) if answer.status else AssertionError("it was carried out")
        rig.proxy.wait_event("unencrypted_refused", leg="client")
        assert not os.path.exists(os.path.join(nas.share, "open"))


@pytest.mark.parametrize("level", ["off", "allowed", "if-offered", "required"])
def test_levels_of_a_listener(nas, level):
    with Rig(nas, on_listener={"encryption": level}) as rig:
        with rig.raw() as able:
            able.negotiate(ciphers=ALL_CIPHERS)
            assert bool(able.negotiated.cipher) == (level != "off")
            session = able.login()
            assert session.encrypts == (level in ("if-offered", "required"))
            session.tree_connect()
            session.close(session.create("f"))
        for dialects in (ALL_DIALECTS, [0x300], [0x210], [0x202]):
            with rig.raw() as unable:
                try:
                    unable.negotiate(dialects)
                    session = unable.login()
                    session.tree_connect()
                    assert level != "required"
                except REFUSED:
                    assert level == "required", dialects
                    rig.proxy.wait_event("unencrypted_refused", leg="client")


@pytest.mark.parametrize("level", ["off", "if-offered", "required"])
def test_levels_of_an_upstream(tmp_path, level):
    with Nas(max_dialect="2.1") as old, Rig(old, on_upstream={"encryption": level}) as rig:
        if level == "required":
            with pytest.raises(REFUSED):
                rig.established()
            rig.proxy.wait_event("upstream_encryption", verdict="refused")
        else:
            operate(rig, tmp_path)
    with Nas() as new, Rig(new, on_upstream={"encryption": level}) as rig:
        for client_leg, upstream_leg in operate(rig, tmp_path):
            assert client_leg.encrypted == 0
            assert bool(upstream_leg.encrypted) == (level != "off")


def test_shares_that_clients_encrypt(nas, tmp_path):
    """By the listener's own rule; who cannot is refused, and the file server does not keep the tree."""
    with Rig(nas, on_listener={"encrypted_shares": ["DATA"]}) as rig:
        for client_leg, upstream_leg in operate(rig, tmp_path):
            assert client_leg.encrypted >= 15 and upstream_leg.encrypted == 0
        rig.reset()
        rig.smbclient(tmp_path).must("ls", share="priv")
        assert not any(leg.encrypted for legs in rig.assert_both_legs_signed() for leg in legs)
        rig.reset()
        client, session = rig.established(dialects=[0x210], share="priv")
        with client:
            with pytest.raises(REFUSED):
                session.tree_connect("data")
            rig.proxy.wait_event("unencrypted_refused", leg="client", reason="share")
            wait_until(lambda: rig.at_server(smb2.TREE_DISCONNECT), "the tree to be given back")
            session.tree_connect("priv")
            session.close(session.create("f"))


def test_shares_that_we_encrypt_upstream(nas, tmp_path):
    with Rig(nas, on_upstream={"encrypted_shares": ["Data"]}) as rig:
        for client_leg, upstream_leg in operate(rig, tmp_path):
            assert client_leg.encrypted == 0 and upstream_leg.encrypted >= 15
        rig.reset()
        rig.smbclient(tmp_path).must("ls", share="priv")
        assert not any(leg.encrypted for legs in rig.assert_both_legs_signed() for leg in legs)


@pytest.fixture
def sealed_pair(rig):
    """alice and bob on one connection, both of whose messages are sealed."""
    client = rig.raw()
    with client:
        client.negotiate(ciphers=ALL_CIPHERS)
        alice, bob = client.login("alice"), client.login("bob")
        alice.encrypts = bob.encrypts = True
        alice.tree_connect()
        bob.tree_connect()
        yield client, alice, bob


def expect_end(rig, client):
    before = len(rig.at_server())
    assert client.ends() and not client.answers
    wait_until(lambda: [event for event in rig.proxy.seen() if event.get("verdict") == "refused"],
               "an event that tells it")
    assert not [message for message in rig.at_server()[before:] if message.command != smb2.LOGOFF]


@pytest.mark.parametrize("at", [4, 19, 20, 36, 40, 44, 52, 60, -1], ids=lambda at: f"byte {at}")
def test_changed_transform(rig, sealed_pair, at):
    """One bit of tag, nonce, size, SessionId or text."""
    client, alice, _ = sealed_pair
    frame = bytearray(client.seal(alice, client.build(smb2.CREATE, bodies.create("made"), alice,
                                                      sign_as="none")))
    frame[at] ^= 0x10
    client.send_frame(bytes(frame))
    assert client.ends() and not client.answers
    rig.proxy.wait_event("link_ended")
    assert not rig.at_server(smb2.CREATE)


def test_message_of_another_user_inside_a_transform(rig, sealed_pair):
    """Else whoever has a session could act as anybody else on the connection."""
    client, alice, bob = sealed_pair
    inner = client.build(smb2.CREATE, bodies.create("as bob"), bob, sign_as="none")
    client.send_frame(client.seal(alice, inner))
    expect_end(rig, client)
    assert not os.path.exists(os.path.join(rig.server.share, "as bob"))


def test_chain_of_two_users_inside_a_transform(rig, sealed_pair):
    client, alice, bob = sealed_pair
    body = bodies.create("first")
    first = client.build(smb2.CREATE, body, alice, sign_as="none", next_command=(64 + len(body) + 7) & ~7)
    second = client.build(smb2.CREATE, bodies.create("as bob"), bob, sign_as="none")
    client.send_frame(client.seal(alice, first + second))
    expect_end(rig, client)
    assert not os.path.exists(os.path.join(rig.server.share, "as bob"))


def test_sealed_request_of_a_session_that_has_ended(rig, sealed_pair):
    """It was on its way. Its user is told so, sealed, and the others on the connection stay."""
    client, alice, bob = sealed_pair
    alice.logoff()
    before = len(rig.at_server())
    for command, body in ((smb2.ECHO, bodies.empty()), (smb2.CREATE, bodies.create("late"))):
        answer = alice.ask(command, body)
        assert answer.status == smb2.USER_SESSION_DELETED and answer.session_id == alice.id
    answers = client.compound([(smb2.CREATE, bodies.create("late")),
                               (smb2.CLOSE, bodies.close(bodies.NO_FILE))], alice)
    assert [answer.status for answer in answers] == [smb2.USER_SESSION_DELETED] * 2
    assert len(rig.at_server()) == before
    bob.close(bob.create("still here"))
    # The key is good for nothing else.
    client.send_frame(client.seal(alice, client.build(smb2.CREATE, bodies.create("late"), bob)))
    expect_end(rig, client)
    assert not os.path.exists(os.path.join(rig.server.share, "late"))


def test_changed_transform_of_a_session_that_has_ended(rig, sealed_pair):
    """A guess at it ends the connection like any other, and nothing more."""
    client, alice, _ = sealed_pair
    alice.logoff()
    frame = bytearray(client.seal(alice, client.build(smb2.ECHO, bodies.empty(), alice, sign_as="none")))
    frame[-1] ^= 0x10
    client.send_frame(bytes(frame))
    expect_end(rig, client)
    rig.proxy.wait_event("bad_signature", leg="client", reason="decryption_failed")
    rig.proxy.assert_healthy()


def test_transform_inside_a_transform(rig, sealed_pair):
    client, alice, _ = sealed_pair
    inner = client.seal(alice, client.build(smb2.ECHO, bodies.empty(), alice, sign_as="none"))
    client.send_frame(client.seal(alice, inner))
    expect_end(rig, client)


def test_transform_of_a_session_that_does_not_exist(rig, sealed_pair):
    client, alice, _ = sealed_pair
    raw = client.build(smb2.ECHO, bodies.empty(), alice, sign_as="none")
    client.send_frame(transform.seal(client.negotiated.cipher, alice.cipher_keys[0], alice.id + 1, raw))
    assert client.ends() and not client.answers


def test_transform_on_a_connection_without_a_cipher(rig):
    client, session = rig.established()
    with client:
        raw = client.build(smb2.ECHO, bodies.empty(), session, sign_as="none")
        client.send_frame(transform.seal(2, bytes(16), session.id, raw))
        assert client.ends() and not client.answers
        rig.proxy.wait_event("bad_signature", leg="client", reason="transform_without_session")


def test_answer_to_a_sealed_request_is_sealed(rig, sealed_pair):
    """Even where nothing demands encryption; the raw client would complain. Signed ones stay signed."""
    client, alice, bob = sealed_pair
    alice.close(alice.create("sealed", options=bodies.DELETE_ON_CLOSE))
    answer = bob.ask(smb2.ECHO, bodies.empty(), encrypt=False, sign_as="right")
    assert answer.flags & smb2.SIGNED
    failing = alice.ask(smb2.CREATE, bodies.create("absent", disposition=bodies.OPEN))
    assert failing.status == smb2.OBJECT_NAME_NOT_FOUND
    directory = alice.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                             access=bodies.READ_ACCESS)
    waiting = client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), alice)
    client.interim()
    client.send(smb2.CANCEL, bodies.empty(), alice, message_id=waiting)
    client.answer(waiting)
    client.__exit__()
    for client_leg, upstream_leg in rig.reports():
        assert_independent(client_leg, upstream_leg)


@pytest.mark.parametrize("way", ["changed", "in the open", "signed, even rightly"])
def test_sealed_response_tampered_with(nas, way):
    """Between proxy and file server: a bit of the sealed frame, or an answer that is not sealed."""
    with Rig(nas, on_upstream={"encryption": "required"}) as rig:
        client, session = rig.established()
        with client:
            file_id = session.create("f")
            upstream = rig.upstream_relay.connections[-1]
            checker = Checker(USERS)
            for frame in list(upstream.frames):
                checker.feed(frame.direction, frame.data)
            ((session_id, known),) = checker.sessions.items()

            def tamper(connection, direction, data):
                if direction != TO_CLIENT:
                    return None
                if way == "changed":
                    return [data[:-1] + bytes([data[-1] ^ 1])]
                # So far each frame was one message of one credit.
                number = sum(frame.direction == TO_SERVER for frame in connection.frames) - 1
                forged = smb2.Header(smb2.READ, number, session_id, status=smb2.END_OF_FILE,
                                     flags=smb2.RESPONSE).pack() + struct.pack("<HBBIB", 9, 0, 0, 0, 0)
                return [forged if way == "in the open" else sign(checker.algorithm, known.key, forged)]

            rig.upstream_relay.hook = tamper
            client.send(smb2.READ, bodies.read(file_id, 10), session)
            assert client.ends() and not client.answers
            rig.proxy.wait_event("upstream_bad_signature", leg="upstream", verdict="refused",
                                 **({} if way == "changed" else {"reason": "unencrypted"}))
