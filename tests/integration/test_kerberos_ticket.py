"""Users with Kerberos tickets in front of a file server whose key the proxy has: the login `ticket`.

The realm is a plain MIT KDC: no domain, no winbind. smbclient, KDC and smbd are the real ones; the
checker opens the recorded tickets with the service's key and verifies every signature of both legs.
"""

import os

import pytest

import kerberos
import keytab
import spnego
from harness import run
from kerberosrig import KerberosRig


@pytest.fixture(scope="module")
def module_rig(realm, server):
    with KerberosRig(realm, server) as rig:
        yield rig


@pytest.fixture
def ticket(realm, rig):
    """alice's ticket for the service."""
    cache = realm.kinit("alice")
    cache.must_get(rig.service)
    return kerberos.credential(cache, rig.service)


@pytest.mark.parametrize("dialect", ["2.0.2", "2.1", "3.0", "3.0.2", "3.1.1"])
def test_file_server_sees_the_user(rig, realm, tmp_path, dialect):
    """Both legs signed with keys of their own; the file server's files belong to who the ticket names."""
    (tmp_path / "in").write_bytes(os.urandom(70_000))
    client = rig.smbclient(tmp_path, dialect=dialect)
    for user in ("alice", "bob"):
        client.must(f"put in {user}; get {user} out; ls", ticket=realm.kinit(user))
        assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
        assert rig.server.owner(user) == user
        event = rig.proxy.wait_event("login", user=user)
        assert (event["mechanism"], event["login"]) == ("kerberos", "ticket")
        assert event["domain"] == "MIT.TEST"
    users = [leg.users for pair in rig.assert_both_legs_signed() for leg in pair]
    assert users.count(["alice@MIT.TEST"]) == users.count(["bob@MIT.TEST"]) == 2, users
    assert not rig.proxy.seen("login_fallback")


@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-256-CCM", "AES-128-GCM"])
def test_both_legs_encrypted(realm, server, tmp_path, cipher):
    """A ticket's key has 32 bytes, and AES-256 uses all of them, as nothing else does."""
    required = {"encryption": "required", "ciphers": [cipher.lower()]}
    with KerberosRig(realm, server, on_listener=required, on_upstream=required) as rig:
        rig.smbclient(tmp_path).must("put client.conf sealed; get sealed back", ticket=realm.kinit("alice"))
        for client_leg, upstream_leg in rig.assert_both_legs_signed():
            assert client_leg.cipher == upstream_leg.cipher == cipher
            assert client_leg.encrypted > 8 and upstream_leg.encrypted > 8


def test_no_kdc_is_needed_once_the_client_has_its_ticket(rig, realm, tmp_path):
    cache = realm.kinit("alice")
    cache.must_get(rig.service)
    realm.stop()
    try:
        rig.smbclient(tmp_path).must("put client.conf alone", ticket=cache)
    finally:
        realm.start()
    assert rig.server.owner("alone") == "alice"
    rig.assert_both_legs_signed()


def test_both_users_on_one_connection(rig, realm):
    """Each session has the keys of its own ticket, and files of its own user."""
    with rig.raw() as client:
        client.negotiate()
        for user in ("alice", "bob", "alice"):
            cache = realm.kinit(user)
            cache.must_get(rig.service)
            session = client.login_ticket(kerberos.Initiator(kerberos.credential(cache, rig.service)))
            session.tree_connect()
            session.close(session.create(f"{user}.txt", disposition=3))
            assert rig.server.owner(f"{user}.txt") == user
    rig.assert_both_legs_signed()


WINDOWS = [spnego.OID_MS_KERBEROS, spnego.OID_KERBEROS, spnego.OID_NTLMSSP]


@pytest.mark.parametrize("options", [
    {}, {"raw": True}, {"mechanisms": WINDOWS},
    {"mechanisms": [spnego.OID_KERBEROS, spnego.OID_NTLMSSP]}],
    ids=["spnego", "bare", "windows", "with_ntlm"])
@pytest.mark.parametrize("initiator", [
    {}, {"flags": kerberos.GSS_FLAGS & ~kerberos.MUTUAL}, {"subkey": False}],
    ids=["plain", "not_mutual", "no_subkey"])
def test_ways_to_show_a_ticket(rig, ticket, options, initiator):
    """In SPNEGO, bare, as Windows lists its mechanisms; with and without an answer to check."""
    with rig.raw() as client:
        client.negotiate()
        session = client.login_ticket(kerberos.Initiator(ticket, **initiator), **options)
        session.tree_connect()
        session.close(session.create("way.txt", disposition=5))
    assert rig.server.owner("way.txt") == "alice"
    rig.assert_both_legs_signed()


@pytest.mark.parametrize("size", [20_000, 48_000, 64_000])
def test_tickets_of_users_in_many_groups(rig, size):
    """A PAC grows with its groups; 48000 bytes is what Windows makes at most by default."""
    entry = next(entry for entry in keytab.read(rig.keys_path) if entry.encryption == kerberos.AES256)
    ticket = kerberos.make_ticket(entry, "alice@MIT.TEST", filling=size)
    with rig.raw() as client:
        client.negotiate()
        tree = client.login_ticket(kerberos.Initiator(ticket)).tree_connect()
        assert rig.proxy.wait_event("login", user="alice")["login"] == "ticket"
        assert tree


def test_ntlm_user_takes_the_next_login(realm, server, tmp_path):
    """Who comes without a ticket cannot be logged in with one: `same` is tried, and an event says so."""
    with KerberosRig(realm, server, login=["ticket", "same"]) as rig:
        rig.smbclient(tmp_path).must("put client.conf fallen", user="bob")
        event = rig.proxy.wait_event("login_fallback", user="bob")
        assert event["login"] == "same"
        assert server.owner("fallen") == "bob"
        rig.smbclient(tmp_path).must("put client.conf straight", ticket=realm.kinit("alice"))
        assert rig.proxy.wait_event("login", user="alice")["login"] == "ticket"
        rig.assert_both_legs_signed()


def test_listener_for_kerberos_alone(realm, server, tmp_path):
    """NTLM is not on offer there, and refused when it is tried all the same."""
    with KerberosRig(realm, server, login=["ticket", "same"],
                     on_listener={"mechanisms": ["kerberos"]}) as rig:
        rig.smbclient(tmp_path).refused(user="bob")
        assert rig.proxy.wait_event("ntlm_refused")["reason"] == "ntlm"
        rig.smbclient(tmp_path).must("ls", ticket=realm.kinit("alice"))
        hint = rig.client_relay.connections[-1]
        assert all(spnego.OID_NTLMSSP not in frame.data for frame in hint.frames[1:2])


def test_keys_roll_over_under_traffic(rig, realm, tmp_path):
    """Old tickets work as long as their key is there, new ones at once; nothing is restarted."""
    old = realm.kinit("alice")
    old.must_get(rig.service)
    with rig.raw() as client:
        client.negotiate()
        session = client.login_ticket(kerberos.Initiator(kerberos.credential(old, rig.service)))
        session.tree_connect()
        file_id = session.create("rolling", disposition=5)
        rig.new_keys()
        realm.keytab(rig.server.keytab, rig.service)
        new = realm.kinit("alice")
        new.must_get(rig.service)
        versions = {entry.kvno for entry in keytab.read(rig.keys_path)}
        assert len(versions) == 2
        for cache in (old, new):
            rig.smbclient(tmp_path).must("put client.conf rolled", ticket=cache)
        session.write(file_id, b"still here")
        realm.drop_old_keys(rig.service)
        rig.write_keys()
        rig.smbclient(tmp_path).refused(ticket=old)
        assert rig.proxy.wait_event("kerberos_refused")["reason"] == "ticket_key"
        rig.smbclient(tmp_path).must("put client.conf rolled", ticket=new)
        session.write(file_id, b"still here")
        session.close(file_id)


def test_tickets_are_shown_with_authenticators_of_our_own(rig, realm, tmp_path):
    """The file server gets the client's ticket and nothing else of what the client sent."""
    cache = realm.kinit("alice")
    rig.smbclient(tmp_path).must("ls", ticket=cache)
    (client_leg, upstream_leg), = rig.reports()
    assert client_leg.session_keys.isdisjoint(upstream_leg.session_keys)
    assert run(["klist", "-c", cache.path]).stdout.count(rig.service) == 1
