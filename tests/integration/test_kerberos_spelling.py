"""The same user under another spelling, and another user under nearly the same one.

A domain controller gives ALICE a ticket in that spelling, and means alice, whom the PAC's SID tells. In
an MIT realm there is no SID, and Alice is somebody else.
"""

import pytest

import kerberos
import smb2
from harness import USERS
from kerberosrig import DomainRig, KerberosRig
from mitkdc import Realm
from rawclient import Failed

OTHER = "Another.Pw8"


@pytest.fixture(scope="module")
def by_delegation(domain):
    domain.nas.empty_share()
    with DomainRig(domain, ["delegate"]) as rig:
        yield rig


@pytest.fixture(scope="module")
def two_of_a_name():
    """A rig in a realm with alice and Alice."""
    with Realm(delegation=True) as realm:
        realm.add_user("Alice", OTHER)
        with realm.file_server() as server, KerberosRig(realm, server) as rig:
            yield rig


def of_domain(rig, user, *options):
    """A ticket of alice in a spelling of her own, as she gets it from the domain controller."""
    cache = rig.domain.kinit(user, password=rig.domain.users["alice"], options=options)
    cache.must_get(rig.service)
    return kerberos.credential(cache, rig.service)


def of_realm(rig, user, password):
    cache = rig.realm.kinit(user, password)
    cache.must_get(rig.service)
    return kerberos.credential(cache, rig.service)


def begin(client, ticket, **options):
    client.negotiate()
    session = client.login_ticket(kerberos.Initiator(ticket), **options)
    session.tree_connect()
    return session


def works(session):
    session.close(session.create("spelled.txt", disposition=3))


@pytest.mark.parametrize("spelling", ["alice", "ALICE", "Alice"])
def test_domain_user_renews_in_another_spelling(by_delegation, spelling):
    rig = by_delegation
    rig.proxy.mark()
    first, again = of_domain(rig, "alice"), of_domain(rig, spelling)
    assert again.client == f"{spelling}@CORP.TEST", "the controller gives the ticket as it was asked for"
    with rig.raw() as client:
        session = begin(client, first)
        client.login_ticket(kerberos.Initiator(again), session=session)
        works(session)
    assert not rig.proxy.seen("identity_changed")


def test_domain_user_comes_back_in_another_spelling(by_delegation):
    """After a connection that was cut, the session before is his."""
    rig = by_delegation
    rig.proxy.mark()
    with rig.raw() as client:
        before = begin(client, of_domain(rig, "alice")).id
    with rig.raw() as client:
        works(begin(client, of_domain(rig, "ALICE"), previous=before))
    assert not rig.proxy.seen("foreign_session")


def test_another_domain_user_is_another(by_delegation):
    rig = by_delegation
    cache = rig.domain.kinit("carol")
    cache.must_get(rig.service)
    with rig.raw() as client:
        session = begin(client, of_domain(rig, "alice"))
        with pytest.raises(Failed) as refused:
            client.login_ticket(kerberos.Initiator(kerberos.credential(cache, rig.service)),
                                session=session)
        assert refused.value.status == smb2.ACCESS_DENIED
    assert rig.proxy.wait_event("identity_changed")["reason"] == "other_identity"


def test_mit_principals_differ_by_case(two_of_a_name):
    rig = two_of_a_name
    with rig.raw() as client:
        session = begin(client, of_realm(rig, "alice", USERS["alice"]))
        client.login_ticket(kerberos.Initiator(of_realm(rig, "alice", USERS["alice"])), session=session)
        works(session)
        with pytest.raises(Failed) as refused:
            client.login_ticket(kerberos.Initiator(of_realm(rig, "Alice", OTHER)), session=session)
        assert refused.value.status == smb2.ACCESS_DENIED
    assert rig.proxy.wait_event("identity_changed")["reason"] == "other_identity"


def test_previous_session_of_nearly_the_same_principal(two_of_a_name):
    """On this realm's file server both are alice, and so only the proxy can tell."""
    rig = two_of_a_name
    rig.proxy.mark()
    with rig.raw() as other:
        before = begin(other, of_realm(rig, "alice", USERS["alice"]))
        with rig.raw() as client:
            client.negotiate()
            client.login_ticket(kerberos.Initiator(of_realm(rig, "Alice", OTHER)), previous=before.id)
        event = rig.proxy.wait_event("foreign_session")
        assert event["reason"] == "previous_session_of_another"
        works(before)
