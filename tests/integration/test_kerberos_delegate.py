"""The login `delegate` in a plain MIT realm: the KDC decides for whom the proxy may act, and where."""

import pytest

import kerberos
import keytab
import smb2
from harness import wait_until
from kerberosrig import PROXY_SERVICE, KerberosRig, proxy_account
from mitkdc import Realm
from proxy import UIDS
from rawclient import Failed


@pytest.fixture(scope="module")
def server(realm):
    with realm.file_server() as file_server:
        proxy_account(realm, file_server.service)
        yield file_server


@pytest.fixture(scope="module")
def module_rig(realm, server):
    with KerberosRig(realm, server, ["delegate"]) as rig:
        yield rig


@pytest.fixture
def fresh_rig(realm, server):
    """A proxy that has no tickets yet."""
    with KerberosRig(realm, server, ["delegate"]) as rig:
        yield rig


def refused(rig, cache):
    """The status of a login that must fail upstream before the file server hears of it."""
    cache.must_get(rig.service)
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises(Failed) as answer:
            client.login_ticket(kerberos.Initiator(kerberos.credential(cache, rig.service)))
    assert not rig.at_server(smb2.SESSION_SETUP) and not rig.proxy.seen("login")
    return answer.value.status


@pytest.mark.parametrize("dialect", ["2.0.2", "3.0", "3.1.1"])
def test_file_server_sees_the_user(rig, realm, tmp_path, dialect):
    client = rig.smbclient(tmp_path, dialect=dialect)
    for user in ("alice", "bob"):
        client.must(f"put client.conf {user}; ls", ticket=realm.kinit(user))
        assert rig.server.owner(user) == user
        event = rig.proxy.wait_event("login", user=user)
        assert (event["mechanism"], event["login"]) == ("kerberos", "delegate")
    users = [(client_leg.users, upstream_leg.users)
             for client_leg, upstream_leg in rig.assert_both_legs_signed()]
    assert (["alice@MIT.TEST"],) * 2 in users and (["bob@MIT.TEST"],) * 2 in users


def test_clients_own_ticket_never_goes_upstream(rig, realm, tmp_path):
    """What the file server gets is a ticket for the file server."""
    rig.smbclient(tmp_path).must("ls", ticket=realm.kinit("alice"))
    own = keytab.read(rig.keys_path)
    rig.keys, everything = [entry for entry in rig.keys if entry not in own], rig.keys
    try:
        for client_leg, upstream_leg in rig.reports():
            assert client_leg.problems and not upstream_leg.problems
    finally:
        rig.keys = everything


def test_user_whose_tickets_may_not_be_forwarded(fresh_rig, realm):
    """What Active Directory calls sensitive."""
    rig = fresh_rig
    realm.change("bob", "-allow_forwardable")
    try:
        assert refused(rig, realm.kinit("bob", forwardable=False)) == smb2.ACCESS_DENIED
    finally:
        realm.change("bob", "+allow_forwardable")
    assert rig.proxy.wait_event("delegation_refused", user="bob")["reason"] == "not_delegated"


def test_ticket_that_is_not_forwardable(fresh_rig, realm):
    """The user may be delegated, but did not ask for such a ticket."""
    assert refused(fresh_rig, realm.kinit("alice", forwardable=False)) == smb2.ACCESS_DENIED
    event = fresh_rig.proxy.wait_event("delegation_refused", user="alice")
    assert event["reason"] == "not_delegated"


def test_right_to_delegate_taken_away_and_given_back(fresh_rig, realm, server, tmp_path):
    rig = fresh_rig
    realm.allow_delegation(PROXY_SERVICE)
    try:
        assert refused(rig, realm.kinit("alice")) == smb2.ACCESS_DENIED
        assert rig.proxy.wait_event("delegation_refused")["reason"] == "not_delegated"
    finally:
        realm.allow_delegation(PROXY_SERVICE, server.service)
    rig.smbclient(tmp_path).must("ls", ticket=realm.kinit("alice"))


def test_file_server_that_the_kdc_does_not_know(realm, server):
    with KerberosRig(realm, server, ["delegate"], on_upstream={"server_name": "nowhere.mit.test"}) as rig:
        refused(rig, realm.kinit("alice"))
        reason = rig.proxy.wait_event("upstream_login_refused")["reason"]
        assert reason in ("target_unknown", "not_delegated")


def test_kdc_that_is_down(fresh_rig, realm, tmp_path):
    """The login fails with its reason; the next one works when the KDC is back."""
    rig = fresh_rig
    cache = realm.kinit("alice")
    cache.must_get(rig.service)
    realm.stop()
    try:
        refused(rig, cache)
        assert rig.proxy.wait_event("kdc_unreachable")["reason"] == "kdc_unreachable"
    finally:
        realm.start()
    client = rig.smbclient(tmp_path)
    wait_until(lambda: client.run("ls", ticket=cache).returncode == 0, "logins to work again", 30, 0.5)


@pytest.mark.parametrize("datagrams", [True, False])
@pytest.mark.parametrize("address", [None, "[::1]"])
def test_ways_to_the_kdc(tmp_path, datagrams, address):
    """By streams alone, and by IPv6: the keeper's system calls are limited."""
    with Realm(delegation=True, datagrams=datagrams) as realm, realm.file_server() as server:
        proxy_account(realm, server.service)
        config = realm.configuration("way.conf", kdc=address and f"{address}:{realm.port}")
        with KerberosRig(realm, server, ["delegate"], kerberos={"config": config}) as rig:
            cache = realm.kinit("alice")
            cache.must_get(rig.service)
            rig.smbclient(tmp_path).must("put client.conf way", ticket=cache)
            assert rig.proxy.wait_event("login", user="alice")["login"] == "delegate"
            rig.proxy.assert_healthy()


def test_tickets_got_before_outlive_the_kdc(fresh_rig, realm, tmp_path):
    """A user that is known to the file server already gets in while the KDC is down."""
    rig = fresh_rig
    cache = realm.kinit("alice")
    rig.smbclient(tmp_path).must("ls", ticket=cache)
    realm.stop()
    try:
        rig.smbclient(tmp_path).must("put client.conf cached", ticket=cache)
    finally:
        realm.start()
    assert rig.server.owner("cached") == "alice"


def test_key_of_our_own_account_is_wrong_upstream(realm, server):
    """The keytab's listener part is right, the account's newest key at the KDC is another."""
    right = keytab.read(realm.keytab(realm.path("right.keytab"), PROXY_SERVICE))
    wrong = [keytab.Entry(entry.principal, entry.kvno, entry.encryption, bytes(len(entry.key)))
             for entry in right]
    path = keytab.write(realm.path("wrong.keytab"), wrong, UIDS["keeper"])
    with KerberosRig(realm, server, ["delegate"], on_upstream={"keytab": path}) as rig:
        refused(rig, realm.kinit("alice"))
        assert rig.proxy.wait_event("upstream_login_refused")["reason"] == "service_key"


def test_keys_roll_over(rig, realm, tmp_path):
    """Old tickets and our own new key, at once and without a restart."""
    old = realm.kinit("alice")
    old.must_get(rig.service)
    rig.new_keys()
    for cache in (old, realm.kinit("alice"), realm.kinit("bob")):
        rig.smbclient(tmp_path).must("ls", ticket=cache)
    rig.assert_both_legs_signed()
