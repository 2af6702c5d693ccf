"""Users of a realm that ours trusts, whose KDC says of them what it likes.

Two MIT KDCs: neither filters what a PAC says, so that the file server's own domain can be claimed.
"""

import pytest

import kerberos
import pac
from kerberosrig import PROXY_SERVICE, KerberosRig
from mitkdc import Realm
from rawclient import Failed

CORP, EVIL = "S-1-5-21-1111-2222-3333", "S-1-5-21-6-6-6"
TRUST_INCONSISTENT = 0xC000019B  # STATUS_DOMAIN_TRUST_INCONSISTENT
# What each user's PAC says of him.
USERS = {
    "named": dict(domain="CORP", domain_sid=EVIL),
    "cased": dict(domain="corp", domain_sid=EVIL),
    "numbered": dict(domain="EVIL", domain_sid=CORP, groups=[513, 1200]),
    "nameless": dict(domain="", domain_sid=CORP, groups=[513, 1200]),
    "admin": dict(domain="EVIL", domain_sid=EVIL, extra=[f"{CORP}-512"]),
    "honest": dict(domain="EVIL", domain_sid=EVIL, extra=[f"{CORP}-1200"]),
}
OURS = {"name": "CORP", "realm": "MIT.TEST", "sid": CORP}
THEIRS = {"name": "CORP", "realm": "EVIL.TEST", "sid": CORP}


@pytest.fixture(scope="module")
def home():
    """The realm of the proxy; alice is of its domain."""
    with Realm(delegation=True) as realm:
        realm.add_service(PROXY_SERVICE)
        realm.set_logon_info("alice", pac.logon_info("alice", 1103, "CORP", CORP, extra=[f"{CORP}-512"]))
        yield realm


@pytest.fixture(scope="module")
def evil(home):
    with Realm("EVIL.TEST", delegation=True, users={user: "Evil.Pw6" for user in USERS}) as realm:
        home.trust(realm)
        for user, said in USERS.items():
            realm.set_logon_info(user, pac.logon_info(user, 1103, **said))
        yield realm


@pytest.fixture(scope="module")
def server(home):
    with home.file_server() as file_server:
        yield file_server


def rig_with(home, server, domains, **extra):
    """Users of CORP may log in by their names, and who is in groups of it."""
    names = [f"CORP\\{user}" for user in ("alice", "named", "cased")]
    rules = [{"name": "corp", "who": [*names, f"@{CORP}-512", f"@{CORP}-1200"], "then": "allow"}]
    return KerberosRig(home, server, ["mapped"], mapped={"*": ("alice", server.users["alice"])},
                       kerberos={"domains": domains}, extra={"rules": rules, "otherwise": "refuse", **extra})


def get_in(rig, realm, user):
    """The service ticket's principal, once the proxy has taken it."""
    cache = realm.kinit(user)
    cache.must_get(f"{PROXY_SERVICE}@MIT.TEST")
    ticket = kerberos.credential(cache, PROXY_SERVICE)
    with rig.raw() as client:
        client.negotiate()
        client.login_ticket(kerberos.Initiator(ticket)).tree_connect()
    return ticket.client


def assert_claimed(rig, realm, user):
    rig.proxy.mark()
    with pytest.raises(Failed) as refused:
        get_in(rig, realm, user)
    assert refused.value.status == TRUST_INCONSISTENT
    event = rig.proxy.wait_event("kerberos_refused")
    assert (event["reason"], event["principal"]) == ("domain_claimed", f"{user}@EVIL.TEST")


def test_the_claim_would_be_believed(home, evil, server):
    """Else the tests below proved nothing: where CORP is that realm's, the same tickets get in."""
    with rig_with(home, server, [THEIRS]) as rig:
        for user in USERS:
            assert get_in(rig, evil, user) == f"{user}@EVIL.TEST"


def test_nobody_of_another_realm_is_of_our_domain(home, evil, server):
    with rig_with(home, server, [OURS]) as rig:
        for user in ("named", "cased", "numbered", "nameless", "admin"):
            assert_claimed(rig, evil, user)
        # What a controller of our own domain could have added, and our own users.
        assert get_in(rig, evil, "honest") == "honest@EVIL.TEST"
        assert get_in(rig, home, "alice") == "alice@MIT.TEST"
        assert rig.proxy.wait_event("login", user="alice")["domain"] == "CORP"


def test_our_netbios_domain_is_our_realms(home, evil, server):
    """Without any list."""
    with rig_with(home, server, [], netbios_domain="CORP") as rig:
        for user in ("named", "cased"):
            assert_claimed(rig, evil, user)
        assert get_in(rig, home, "alice") == "alice@MIT.TEST"
