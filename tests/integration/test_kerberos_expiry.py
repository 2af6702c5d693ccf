"""Sessions end with the ticket they were made with, unless somebody renews them in time.

Towards the client the proxy does as file servers do: NETWORK_SESSION_EXPIRED, signed, until the client
authenticates again. What it renews by itself upstream is in test_kerberos_accounts.py.
"""

import time

import pytest

import bodies
import kerberos
import smb2
from harness import wait_until
from kerberosrig import PROXY_SERVICE, KerberosRig, proxy_account
from rawclient import Failed

EXPIRED = 0xC000035C  # STATUS_NETWORK_SESSION_EXPIRED
SHORT = 6


@pytest.fixture(scope="module")
def server(realm):
    with realm.file_server() as file_server:
        proxy_account(realm, file_server.service)
        yield file_server


@pytest.fixture(scope="module")
def sealed(realm, server):
    """Another file server, which demands encryption."""
    with realm.file_server("sealed", extra={"server smb encrypt": "required"}) as file_server:
        realm.allow_delegation(PROXY_SERVICE, server.service, file_server.service)
        yield file_server


@pytest.fixture(scope="module", params=["ticket", "delegate"])
def module_rig(realm, server, request):
    with KerberosRig(realm, server, [request.param]) as rig:
        yield rig


def initiator(rig, user="alice", lifetime=None):
    cache = rig.realm.kinit(user, lifetime=lifetime)
    cache.must_get(rig.service)
    return kerberos.Initiator(kerberos.credential(cache, rig.service))


def entered(client, proof, **offer):
    """A session with a tree and an open file."""
    client.negotiate(**offer)
    session = client.login_ticket(proof)
    session.tree_connect()
    return session, session.create("open.txt", disposition=3)


def status(session, file_id):
    return session.ask(smb2.WRITE, bodies.write(file_id, b"data")).status


def wait_expired(session, file_id):
    wait_until(lambda: status(session, file_id) == EXPIRED, "the session to expire", SHORT + 10, 0.2)


def test_client_is_told_and_renews(rig):
    """Writes succeed until then, are refused from then on, and succeed again after a renewal; the file
    that was open stays open."""
    with rig.raw() as client:
        session, file_id = entered(client, initiator(rig, lifetime=SHORT))
        assert status(session, file_id) == smb2.SUCCESS
        wait_expired(session, file_id)
        assert status(session, file_id) == EXPIRED
        rig.proxy.wait_event("session_expired", principal="alice@MIT.TEST", leg="client", reason="ticket")
        client.login_ticket(initiator(rig), session)
        assert status(session, file_id) == smb2.SUCCESS
        session.close(file_id)
        session.logoff()
    rig.assert_both_legs_signed()
    assert not rig.proxy.seen("identity_changed")


def test_what_becomes_of_an_expired_session(rig):
    """Nobody else takes it over, and its user may leave it; the connection's other sessions live on."""
    with rig.raw() as client:
        session, file_id = entered(client, initiator(rig, lifetime=SHORT))
        leaving = client.login_ticket(initiator(rig, lifetime=SHORT))
        leaving.tree_connect()
        open_file = leaving.create("leaving.txt", disposition=3)
        other = client.login_ticket(initiator(rig, "bob"))
        other.tree_connect()
        kept = other.create("kept.txt", disposition=3)
        wait_expired(session, file_id)
        wait_expired(leaving, open_file)
        assert status(other, kept) == smb2.SUCCESS
        assert leaving.ask(smb2.CLOSE, bodies.close(open_file)).status == smb2.SUCCESS
        leaving.logoff()
        with pytest.raises(Failed):
            client.login_ticket(initiator(rig, "bob"), session)
        rig.proxy.wait_event("identity_changed", principal="alice@MIT.TEST", claimed="bob@MIT.TEST")
        assert status(session, file_id) != smb2.SUCCESS
        assert status(other, kept) == smb2.SUCCESS


def test_renewal_before_the_end(rig):
    """A client that renews in time never hears of an expiry."""
    with rig.raw() as client:
        session, file_id = entered(client, initiator(rig, lifetime=SHORT))
        client.login_ticket(initiator(rig), session)
        end = time.monotonic() + SHORT + 2
        while time.monotonic() < end:
            assert status(session, file_id) == smb2.SUCCESS
            time.sleep(0.2)


@pytest.mark.parametrize("login", ["ticket", "delegate"])
def test_renewal_of_an_encrypted_session(realm, sealed, login):
    """smbd that demands encryption takes no renewal in the clear, signed or not."""
    with KerberosRig(realm, sealed, [login], keytab_name="keeper-sealed.keytab") as rig, rig.raw() as client:
        session, file_id = entered(client, initiator(rig, lifetime=SHORT), ciphers=(2, 4))
        assert session.encrypts
        wait_expired(session, file_id)
        client.login_ticket(initiator(rig), session)
        assert status(session, file_id) == smb2.SUCCESS
        session.close(file_id)
        session.logoff()
        client.socket.close()
        for client_leg, upstream_leg in rig.assert_both_legs_signed():
            assert client_leg.encrypted and upstream_leg.encrypted
