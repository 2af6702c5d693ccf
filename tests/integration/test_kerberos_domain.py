"""Users of a Samba domain in front of a member server: `ticket`, `delegate`, `transition`.

Domain controller, file server and winbind are Samba's own, each on a host of its own. Who the user is
to the file server, its own files and its own status say; the checker opens the tickets of both legs
with the services' keys.
"""

import pytest

import kerberos
import keytab
import smb2
from harness import wait_until
from kerberosrig import DomainRig
from rawclient import Failed

NO_LOGON_SERVERS = 0xC000005E


@pytest.fixture(scope="module")
def by_ticket(domain):
    with DomainRig(domain, ["ticket"]) as rig:
        yield rig


@pytest.fixture(scope="module")
def by_delegation(domain):
    with DomainRig(domain, ["delegate", "transition"], winbind=True) as rig:
        yield rig


@pytest.fixture(autouse=True)
def clean(domain):
    domain.nas.empty_share()


def log_in(rig, directory, user, password, name):
    """smbclient with a password, or a ticket when there is none, writes a file."""
    client = rig.smbclient(directory)
    if password:
        client.must(f"put client.conf {name}; ls", user=user, password=rig.domain.users[user], domain="CORP")
    else:
        client.must(f"put client.conf {name}; ls", ticket=rig.domain.kinit(user))


@pytest.mark.parametrize("user", ["alice", "bob", "carol"])
def test_ticket(by_ticket, tmp_path, user):
    """Also for users that may not be delegated: nothing is."""
    rig = by_ticket
    rig.reset()
    log_in(rig, tmp_path, user, False, "by-ticket")
    assert rig.server.owner("by-ticket") == user
    event = rig.proxy.wait_event("login", user=user)
    assert (event["mechanism"], event["login"], event["domain"]) == ("kerberos", "ticket", "CORP")
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert client_leg.users == upstream_leg.users == [f"{user}@CORP.TEST"]


@pytest.mark.parametrize("password, mechanism, login", [
    (False, "kerberos", "delegate"), (True, "ntlm", "transition")])
@pytest.mark.parametrize("user", ["alice", "carol"])
def test_delegation(by_delegation, tmp_path, user, password, mechanism, login):
    """With a ticket of the proxy's own service, and with NTLM through winbind: the user upstream."""
    rig = by_delegation
    rig.reset()
    log_in(rig, tmp_path, user, password, "delegated")
    assert rig.server.owner("delegated") == user
    event = rig.proxy.wait_event("login")
    assert (event["user"].lower(), event["mechanism"], event["login"]) == (user, mechanism, login)
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert upstream_leg.users == [f"{user}@CORP.TEST"]
        assert client_leg.users == [user if password else f"{user}@CORP.TEST"]


def test_file_servers_status_names_the_user(by_delegation):
    rig = by_delegation
    rig.reset()
    cache = rig.domain.kinit("carol")
    cache.must_get(rig.service)
    with rig.raw() as client:
        client.negotiate()
        client.login_ticket(kerberos.Initiator(kerberos.credential(cache, rig.service))).tree_connect()
        assert "carol" in " ".join(rig.server.sessions())


@pytest.mark.parametrize("password", [False, True], ids=["delegate", "transition"])
def test_both_legs_encrypted(domain, tmp_path, password):
    required = {"encryption": "required", "ciphers": ["aes-256-gcm"]}
    with DomainRig(domain, ["delegate", "transition"], winbind=True, on_listener=required,
                   on_upstream=required) as rig:
        log_in(rig, tmp_path, "carol", password, "sealed")
        for client_leg, upstream_leg in rig.assert_both_legs_signed():
            assert client_leg.cipher == upstream_leg.cipher == "AES-256-GCM"
            assert client_leg.encrypted and upstream_leg.encrypted


def test_wrong_password(by_delegation, tmp_path):
    rig = by_delegation
    rig.reset()
    output = rig.smbclient(tmp_path).refused(user="carol", password="wrong", domain="CORP")
    assert "NT_STATUS_LOGON_FAILURE" in output
    assert rig.proxy.wait_event("login_refused", user="carol")["mechanism"] == "ntlm"
    assert not rig.at_server(smb2.SESSION_SETUP)


def test_disabled_account(by_delegation, tmp_path):
    """The controller's own words reach the user, once the password was right."""
    rig = by_delegation
    rig.reset()
    accounts = rig.domain.controller.accounts
    accounts.disable("carol")
    try:
        output = rig.smbclient(tmp_path).refused(user="carol", password="Carol.Pw3", domain="CORP")
    finally:
        accounts.enable("carol")
    assert "NT_STATUS_ACCOUNT_DISABLED" in output
    assert rig.proxy.wait_event("login_refused")["reason"] == "domain"


@pytest.mark.parametrize("password", [False, True], ids=["delegate", "transition"])
def test_user_that_may_not_be_delegated(by_delegation, tmp_path, password):
    """bob is sensitive: nobody may act for him, and he is not let in as anybody else."""
    rig = by_delegation
    rig.reset()
    with pytest.raises(AssertionError):
        log_in(rig, tmp_path, "bob", password, "sensitive")
    event = rig.proxy.wait_event("delegation_refused")
    assert event["reason"] == "not_delegated" and event["user"].lower() == "bob"
    assert not rig.at_server(smb2.SESSION_SETUP) and not rig.proxy.seen("login")


@pytest.mark.parametrize("login", ["delegate", "transition"])
def test_account_without_the_right_to_delegate(domain, tmp_path, login):
    with DomainRig(domain, [login], account="powerless", winbind=True) as rig:
        with pytest.raises(AssertionError):
            log_in(rig, tmp_path, "alice", login == "transition", "powerless")
        event = rig.proxy.wait_event("delegation_refused")
        assert event["reason"] == "not_delegated"


def test_ticket_for_the_host_service_of_the_same_account(by_delegation):
    """The controller gives tickets for all services of the account; only one of them is ours."""
    rig = by_delegation
    rig.reset()
    cache = rig.domain.kinit("alice")
    cache.must_get("host/proxy.corp.test")
    ticket = kerberos.credential(cache, "host/proxy.corp.test")
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises(Failed):
            client.login_ticket(kerberos.Initiator(ticket))
    assert rig.proxy.wait_event("kerberos_refused")["reason"] == "ticket_service"


def test_controller_that_does_not_answer(domain, tmp_path):
    """A login that needs it fails by itself, within its own time; all is well when it is back. The
    connection is there before, for the file server depends on the controller too."""
    with DomainRig(domain, ["delegate"]) as rig:
        cache = domain.kinit("alice")
        cache.must_get(rig.service)
        with rig.raw(timeout=60) as client:
            client.negotiate()
            domain.controller.pause()
            try:
                with pytest.raises(Failed) as refused:
                    client.login_ticket(kerberos.Initiator(kerberos.credential(cache, rig.service)))
                rig.proxy.wait_event("kdc_unreachable")
            finally:
                domain.controller.resume()
        assert refused.value.status == NO_LOGON_SERVERS
        client = rig.smbclient(tmp_path)
        wait_until(lambda: client.run("ls", ticket=cache).returncode == 0, "logins to work again", 60, 0.5)


def test_wrong_key_of_our_own_account(domain, tmp_path):
    """The account's password was changed at the controller, and the keytab stayed as it was."""
    with DomainRig(domain, ["transition"], winbind=True) as rig:
        wrong = [keytab.Entry(entry.principal, entry.kvno, entry.encryption, bytes(len(entry.key)))
                 for entry in keytab.read(rig.keys_path)]
        keytab.write(rig.keys_path, wrong, 64102)
        with pytest.raises(AssertionError):
            log_in(rig, tmp_path, "alice", True, "wrong-key")
        assert rig.proxy.wait_event("upstream_login_refused")["reason"] == "service_key"
