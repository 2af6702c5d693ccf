"""The MIT realm of the Kerberos tests works by itself: clients, KDC and file server without a proxy."""

import pytest

import kerberos
import keytab
from capture import Relay
from harness import run
from rawclient import RawClient
from verify import check


@pytest.fixture
def client(realm, server, tmp_path):
    return realm.smbclient(tmp_path, server.name, server.port)


def test_ticket_names_the_user_to_the_file_server(realm, server, client):
    for user in ("alice", "bob"):
        client.must(f"put client.conf {user}.txt", ticket=realm.kinit(user))
        assert server.owner(f"{user}.txt") == user


def test_file_server_refuses_tickets_for_others(realm, server, client):
    """Another service's ticket, shown under a name that leads here too."""
    realm.add_service("cifs/other.mit.test", "+no_auth_data_required")
    realm.add_host("other.mit.test", server.address)
    client.address = "other.mit.test"
    assert "NT_STATUS" in client.refused(ticket=realm.kinit("alice"))


def test_keys_roll_and_old_ones_can_be_dropped(realm, tmp_path):
    realm.add_service("cifs/rolling.mit.test")

    def versions():
        path = realm.keytab(str(tmp_path / "keytab"), "cifs/rolling.mit.test")
        listing = run(["klist", "-k", path]).stdout
        return sorted({int(line.split()[0]) for line in listing.splitlines() if "cifs/" in line})

    assert versions() == [1]
    realm.new_key("cifs/rolling.mit.test")
    assert versions() == [1, 2]
    realm.drop_old_keys("cifs/rolling.mit.test")
    assert versions() == [2]
    realm.new_key("cifs/rolling.mit.test", keep_old=False, encryption="rc4-hmac:normal")
    assert versions() == [3]


def delegated(realm, user, service, target, tmp_path, forwardable=True):
    """Constrained delegation by the service, as its own ticket and the user's name ask for it."""
    keytab = realm.keytab(str(tmp_path / "proxy.keytab"), service)
    cache = str(tmp_path / f"cc-{user}")
    own = run(["kinit", "-f", "-k", "-t", keytab, "-c", cache, service], env=realm.environment())
    assert own.returncode == 0, own.stderr
    return run(["kvno", "-k", keytab, "-c", cache, "-U", user, "-P", target], env=realm.environment())


def test_kdc_allows_delegation_to_what_is_listed(realm, server, tmp_path):
    realm.add_service("cifs/proxy.mit.test", "+ok_to_auth_as_delegate")
    realm.add_user("carol", "Carol.Pw3", "-allow_forwardable")
    realm.allow_delegation("cifs/proxy.mit.test", server.service)
    assert delegated(realm, "alice", "cifs/proxy.mit.test", server.service, tmp_path).returncode == 0
    assert delegated(realm, "carol", "cifs/proxy.mit.test", server.service, tmp_path).returncode != 0
    realm.allow_delegation("cifs/proxy.mit.test")
    assert delegated(realm, "alice", "cifs/proxy.mit.test", server.service, tmp_path).returncode != 0


def test_kdc_pauses_stops_and_starts(realm):
    cache = realm.kinit("alice", lifetime=60)
    realm.add_service("cifs/later.mit.test")
    realm.stop()
    assert cache.get("cifs/later.mit.test").returncode != 0
    realm.start()
    cache.must_get("cifs/later.mit.test")


def test_raw_client_logs_in_with_a_ticket(realm, server):
    """The tests' own Kerberos against smbd: tickets of the KDC, and one made with the file server's key."""
    cache = realm.kinit("bob")
    cache.must_get(server.service)
    made = kerberos.make_ticket(keytab.read(server.keytab)[0], realm.principal("bob"))
    for ticket in (kerberos.credential(cache, server.service), made):
        with RawClient(server.address, server.port) as client:
            client.negotiate()
            session = client.login_ticket(kerberos.Initiator(ticket))
            session.tree_connect()
            session.close(session.create("raw.txt", disposition=5))
        assert server.owner("raw.txt") == "bob"
        server.empty_share()


@pytest.mark.parametrize("dialect, cipher", [
    ("2.1", None), ("3.0.2", None), ("3.0.2", "AES-128-CCM"), ("3.1.1", None), ("3.1.1", "AES-128-GCM"),
    ("3.1.1", "AES-256-GCM"), ("3.1.1", "AES-256-CCM")])
def test_checker_follows_logins_with_tickets(realm, server, tmp_path, dialect, cipher):
    """With the service's key it finds what smbclient and smbd agreed on, without it nothing."""
    options = ["--client-protection=sign"]
    if cipher:
        options = ["--client-protection=encrypt", f"--option=client smb3 encryption algorithms={cipher}"]
    with Relay((server.address, server.port)) as relay:
        realm.add_host(server.name, relay.address)
        try:
            client = realm.smbclient(tmp_path, server.name, relay.port, dialect=dialect)
            client.must("put client.conf checked.txt; ls", ticket=realm.kinit("alice"), options=options)
        finally:
            realm.add_host(server.name, server.address)
        relay.wait_ended()
        report = check(relay.connections[-1], {}, keytab.read(server.keytab))
        report.assert_clean(at_least=8)
        assert report.users == ["alice@MIT.TEST"] and bool(report.encrypted) == bool(cipher)
        assert check(relay.connections[-1], {}).problems
