"""Groups that the PAC of a domain user's ticket lists: in rules, and when there are many of them."""

import os

import pytest

import kerberos
from kerberosrig import DomainRig
from proxy import UIDS, command
from rawclient import Failed

ACCESS_DENIED = 0xC0000022
MANY = 900  # Windows gives nobody more than 1015
TOO_MANY = 1030
TOO_MANY_CONTEXT_IDS = 0xC000015A
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
    domain.users["maud"] = "Maud.Pw8"
    accounts.add_user("maud", domain.users["maud"])
    for number in range(TOO_MANY):
        accounts.add_group(f"crowd {number}", "maud", *(["marge"] if number < MANY else []))
    accounts.database.transaction_commit()
    yield domain
    del domain.users["marge"], domain.users["maud"]


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


def test_user_in_too_many_groups(rig):
    """As Windows says it, and the event says what it is."""
    rig.proxy.mark()
    with pytest.raises(Failed) as refused:
        get_in(rig, try_ticket(rig, "maud"))
    assert refused.value.status == TOO_MANY_CONTEXT_IDS
    assert rig.proxy.wait_event("kerberos_refused", user="maud")["reason"] == "too_many_groups"


def test_user_in_too_many_groups_by_password(rig):
    rig.proxy.mark()
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises(Failed) as refused:
            client.login("maud", rig.domain.users["maud"], domain="CORP")
    assert refused.value.status == TOO_MANY_CONTEXT_IDS
    assert rig.proxy.wait_event("login_refused", user="maud")["reason"] == "too_many_groups"


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


def without_pac(domain, user, service):
    cache = domain.kinit(user, options=["--no-request-pac"])
    cache.must_get(service)
    return kerberos.credential(cache, service)


def test_ticket_without_a_pac_when_a_rule_is_applied(crowded):
    """Nobody knows whether the rule that is new is about her; of whom it is known, the rule says."""
    rule = {"name": "not-carol", "who": ["CORP\\carol"], "then": "refuse"}
    mapped = {"*": ("CORP\\bob", crowded.users["bob"])}
    with DomainRig(crowded, ["mapped"], mapped=mapped, extra={"rules": []}) as rig:
        with rig.raw() as hidden, rig.raw() as known:
            hidden.negotiate()
            session = hidden.login_ticket(kerberos.Initiator(without_pac(crowded, "carol", rig.service)))
            session.tree_connect()
            known.negotiate()
            other = known.login_ticket(kerberos.Initiator(try_ticket(rig, "alice")))
            other.tree_connect()
            rig.proxy.extra["rules"] = [rule]
            rig.proxy.write_configuration()
            assert rig.proxy.reload("--apply")[0] == 0
            assert rig.proxy.wait_event("session_rejudged", user="carol")["reason"] == "pac_missing"
            with pytest.raises(Failed):
                session.tree_connect()
            other.tree_connect()
            assert len(rig.proxy.seen("session_rejudged")) == 1


def test_ticket_without_a_pac_gets_no_other_account(crowded):
    """alice is mapped to an account of her own, and everybody else to another one."""
    account = ("CORP\\bob", crowded.users["bob"])
    mapped = {"CORP\\alice": account, "*": ("CORP\\carol", crowded.users["carol"])}
    with DomainRig(crowded, ["mapped", "transition"], mapped=mapped) as rig:
        get_in(rig, try_ticket(rig, "alice"))
        assert rig.proxy.wait_event("login", user="alice")["account"] == "CORP\\bob"
        rig.proxy.mark()
        with pytest.raises(Failed) as refused:
            get_in(rig, without_pac(crowded, "alice", rig.service))
        assert refused.value.status == ACCESS_DENIED
        assert rig.proxy.wait_event("upstream_login_refused", user="alice")["reason"] == "pac_missing"
        # Written with the realm as well, she is herself either way.
        rig.proxy.credentials.add("CORP.TEST\\alice", account[1], "--mapped", account[0])
        assert rig.proxy.reload()[0] == 0
        get_in(rig, without_pac(crowded, "alice", rig.service))
        assert rig.proxy.wait_event("login", user="alice")["account"] == "CORP\\bob"


def test_ticket_without_a_pac_gets_past_no_local_group(crowded):
    """The group is one of the credentials file, and has CORP\\carol."""
    rule = {"name": "staff", "who": ["@staff"], "then": "refuse"}
    mapped = {"*": ("CORP\\bob", crowded.users["bob"])}
    with DomainRig(crowded, ["mapped"], mapped=mapped, extra={"rules": []}) as rig:
        path = rig.proxy.credentials.path
        assert command("group", "add", "--file", path, "staff", "CORP\\carol").returncode == 0
        os.chown(path, UIDS["keeper"], UIDS["keeper"])
        rig.proxy.extra["rules"] = [rule]
        rig.proxy.write_configuration()
        assert rig.proxy.reload()[0] == 0
        with pytest.raises(Failed):
            get_in(rig, try_ticket(rig, "carol"))
        assert rig.proxy.wait_event("rule_refused", user="carol")["rule"] == "staff"
        with pytest.raises(Failed):
            get_in(rig, without_pac(crowded, "carol", rig.service))
        assert rig.proxy.wait_event("kerberos_refused", user="carol")["reason"] == "pac_missing"
        get_in(rig, without_pac(crowded, "alice", rig.service))
