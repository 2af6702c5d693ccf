"""The domain that the proxy's host has joined, as winbind tells it, against what tickets of other realms say.

A controller of the domain would filter such tickets; they are made here with the service's key, as the KDC
of an MIT realm would pass them on that has the service and trusts the other one.
"""

import pytest

import kerberos
import keytab
import pac
from kerberosrig import DomainRig
from rawclient import Failed

TRUST_INCONSISTENT = 0xC000019B  # STATUS_DOMAIN_TRUST_INCONSISTENT
EVIL = "S-1-5-21-6-6-6"


@pytest.fixture(scope="module")
def corp(domain):
    """The domain's SID."""
    return domain.controller.accounts.sid("alice").rpartition("-")[0]


def with_domain(domain, winbind):
    mapped = {"*": ("CORP\\alice", domain.users["alice"])}
    return DomainRig(domain, ["mapped"], winbind=winbind, mapped=mapped)


def made(rig, client, *said, **more):
    key = next(entry for entry in keytab.read(rig.keys_path) if entry.encryption == kerberos.AES256)
    info = pac.logon_info("mallory", 1103, *said, **more) if said else None
    return kerberos.make_ticket(key, client, logon_info=info)


def status(rig, ticket):
    with rig.raw() as client:
        client.negotiate()
        try:
            client.login_ticket(kerberos.Initiator(ticket))
        except Failed as refused:
            return refused.status
    return 0


def claims(rig, corp):
    """Each way to be of the joined domain without being of its realm."""
    mallory = "mallory@EVIL.TEST"
    return {
        "name": made(rig, mallory, "CORP", EVIL),
        "spelling": made(rig, mallory, "cOrP", EVIL),
        "sid": made(rig, mallory, "EVIL", corp),
        "group": made(rig, mallory, "EVIL", EVIL, extra=[f"{corp}-512"]),
        "realm": made(rig, "mallory@CORP"),
    }


def test_winbinds_domain_is_of_its_realm(domain, corp):
    with with_domain(domain, True) as rig:
        for what, ticket in claims(rig, corp).items():
            rig.proxy.mark()
            assert status(rig, ticket) == TRUST_INCONSISTENT, what
            assert rig.proxy.wait_event("kerberos_refused")["reason"] == "domain_claimed"
        assert status(rig, made(rig, "mallory@EVIL.TEST", "EVIL", EVIL, extra=[f"{corp}-1200"])) == 0
        assert status(rig, made(rig, "alice@CORP.TEST", "CORP", corp, extra=[f"{corp}-512"])) == 0


def test_without_winbind_nobody_tells(domain, corp):
    """Else the test above proved nothing; kerberos.domains is there for this."""
    with with_domain(domain, False) as rig:
        for what, ticket in claims(rig, corp).items():
            assert status(rig, ticket) == 0, what
