"""Groups that the PAC of a domain user's ticket lists: in rules, and when there are many of them."""

import pytest

import kerberos
from kerberosrig import DomainRig
from rawclient import Failed

ACCESS_DENIED = 0xC0000022
MANY = 900  # Windows gives nobody more than 1015
RULES = [{"name": "engineers", "who": ["@CORP\\engineering"], "then": "refuse"},
         {"name": "many", "who": ["@CORP\\crowd 899"], "then": "allow"},
         {"name": "finance", "who": ["@CORP\\finance"], "then": "allow"}]


@pytest.fixture(scope="module")
def crowded(domain):
    """The domain with a user who is in many groups."""
    accounts = domain.controller.accounts
    domain.users["marge"] = "Marge.Pw7"
    accounts.database.transaction_start()
    accounts.add_user("marge", domain.users["marge"])
    for number in range(MANY):
        accounts.add_group(f"crowd {number}", "marge")
    accounts.database.transaction_commit()
    yield domain
    del domain.users["marge"]


@pytest.fixture(scope="module")
def rig(crowded):
    with DomainRig(crowded, ["delegate", "transition"], winbind=True,
                   extra={"rules": RULES, "otherwise": "refuse"}) as rules:
        yield rules


def try_ticket(rig, user, *options):
    cache = rig.domain.kinit(user)
    cache.must_get(rig.service, *options)
    return kerberos.credential(cache, rig.service)


def get_in(rig, ticket):
    with rig.raw() as client:
        client.negotiate()
        client.login_ticket(kerberos.Initiator(ticket)).tree_connect()


def test_groups_of_the_ticket_count_in_rules(rig):
    get_in(rig, try_ticket(rig, "alice"))
    with pytest.raises(Failed) as refused:
        get_in(rig, try_ticket(rig, "carol"))
    assert refused.value.status == ACCESS_DENIED
    assert rig.proxy.wait_event("rule_refused", user="carol")["rule"] == "engineers"


def test_user_in_many_groups(rig):
    ticket = try_ticket(rig, "marge")
    get_in(rig, ticket)
    assert rig.proxy.wait_event("login", user="marge")["login"] == "delegate"


@pytest.mark.parametrize("who", ["@CORP\\engineering", "CORP\\carol"])
def test_ticket_without_a_pac(crowded, who):
    """A client may ask for one, so that nobody knows its groups and domain: that gets it past no rule."""
    rule = {"name": "engineers", "who": [who], "then": "refuse"}
    mapped = {"*": ("CORP\\carol", crowded.users["carol"])}
    with DomainRig(crowded, ["mapped"], account="proxy", winbind=True, mapped=mapped,
                   extra={"rules": [rule]}) as rig:
        get_in(rig, try_ticket(rig, "alice"))
        cache = crowded.kinit("carol", options=["--no-request-pac"])
        cache.must_get(rig.service)
        with pytest.raises(Failed) as refused:
            get_in(rig, kerberos.credential(cache, rig.service))
        assert refused.value.status == ACCESS_DENIED
        assert rig.proxy.wait_event("kerberos_refused", user="carol")["reason"] == "pac_missing"
