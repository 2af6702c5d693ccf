"""Upstream logins by Kerberos for users who came without a ticket: `mapped` with a key or a password of
the account, and `transition`. Whatever they are, the proxy renews them by itself."""

import time
from contextlib import ExitStack

import pytest

import bodies
import kerberos
import keytab
import smb2
from harness import USERS, wait_until
from kerberosrig import KerberosRig, proxy_account
from proxy import UIDS

# smbclient gets itself a ticket with the password where it knows the realm.
BY_NTLM = {"domain": "MIT.TEST", "options": ["--use-kerberos=off"]}
ACCOUNTS = {"scanner": "Scanner.Pw4", "guest": "Guest.Pw5: with a colon"}


@pytest.fixture(scope="module")
def server(realm):
    for account, password in ACCOUNTS.items():
        realm.add_user(account, password)
    with realm.file_server(users={**USERS, **dict.fromkeys(ACCOUNTS)}) as file_server:
        proxy_account(realm, file_server.service)
        yield file_server


def account_keytab(realm, account):
    return realm.keytab(realm.path(f"{account}.keytab"), account, owner=UIDS["keeper"])


def mapped(realm):
    """bob is scanner by its key, everybody else is guest by its password."""
    return {"bob": ("scanner@MIT.TEST", None, "--keytab", account_keytab(realm, "scanner")),
            "*": ("guest@MIT.TEST", ACCOUNTS["guest"], "--kerberos")}


@pytest.fixture(scope="module")
def module_rig(realm, server):
    with KerberosRig(realm, server, ["mapped"], mapped=mapped(realm)) as rig:
        yield rig


@pytest.mark.parametrize("user, account", [("bob", "scanner"), ("alice", "guest")])
def test_mapped_by_kerberos(rig, tmp_path, user, account):
    """NTLM on the client's side, the account's ticket on the other."""
    rig.smbclient(tmp_path).must("put client.conf mapped; ls", user=user)
    assert rig.server.owner("mapped") == account
    event = rig.proxy.wait_event("login", user=user)
    assert (event["login"], event["account"]) == ("mapped", f"{account}@MIT.TEST")
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert (client_leg.users, upstream_leg.users) == ([user], [f"{account}@MIT.TEST"])


def test_user_with_a_ticket_is_mapped_too(rig, realm, tmp_path):
    rig.smbclient(tmp_path).must("put client.conf mapped", ticket=realm.kinit("alice"))
    assert rig.server.owner("mapped") == "guest"
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert (client_leg.users, upstream_leg.users) == (["alice@MIT.TEST"], ["guest@MIT.TEST"])


def test_accounts_new_key(realm, server, tmp_path):
    """Refused with the old one, and the KDC is not asked again for each login; the new one works."""
    with KerberosRig(realm, server, ["mapped"], mapped=mapped(realm)) as rig:
        entries = keytab.read(realm.path("scanner.keytab"))
        wrong = [keytab.Entry(entry.principal, entry.kvno, entry.encryption, bytes(len(entry.key)))
                 for entry in entries]
        keytab.write(realm.path("scanner.keytab"), wrong, UIDS["keeper"])
        client = rig.smbclient(tmp_path)
        client.refused(user="bob")
        first = rig.proxy.wait_event("upstream_login_refused", user="bob")
        assert first["reason"] != "back_off"
        asked = realm.log().count("scanner@MIT.TEST")
        client.refused(user="bob")
        rig.proxy.wait_event("upstream_login_refused", user="bob", reason="back_off")
        assert realm.log().count("scanner@MIT.TEST") == asked
        client.must("ls", user="alice")
        keytab.write(realm.path("scanner.keytab"), entries, UIDS["keeper"])
        wait_until(lambda: client.run("ls", user="bob").returncode == 0, "the new key to be used", 10, 0.2)


def test_transition_of_a_user_whose_entry_has_the_realm(realm, server, tmp_path):
    """The proxy itself vouches for a user that it knows by password, and the KDC lets it."""
    users = {"MIT.TEST\\alice": USERS["alice"], "bob": USERS["bob"]}
    with KerberosRig(realm, server, ["transition"], users=users) as rig:
        rig.smbclient(tmp_path).must("put client.conf vouched", user="alice", **BY_NTLM)
        assert server.owner("vouched") == "alice"
        for client_leg, upstream_leg in rig.assert_both_legs_signed(USERS):
            assert (client_leg.users, upstream_leg.users) == (["alice"], ["alice@MIT.TEST"])
        rig.reset()
        # A local user is nobody in the realm, though the realm has a user of that name.
        rig.smbclient(tmp_path).refused(user="bob")
        assert rig.proxy.wait_event("upstream_login_refused")["reason"] == "no_credential"
        assert not rig.at_server(smb2.SESSION_SETUP)


def test_transition_without_the_right_to(realm, server, tmp_path):
    """Delegation is allowed, but only with tickets that users brought themselves."""
    service = "cifs/proxy.mit.test"
    realm.change(service, "-ok_to_auth_as_delegate")
    try:
        with KerberosRig(realm, server, ["delegate", "transition"],
                         users={"MIT.TEST\\alice": USERS["alice"]}) as rig:
            rig.smbclient(tmp_path).refused(user="alice", **BY_NTLM)
            assert rig.proxy.wait_event("delegation_refused")["reason"] == "not_delegated"
            rig.smbclient(tmp_path).must("ls", ticket=realm.kinit("alice"))
    finally:
        realm.change(service, "+ok_to_auth_as_delegate")


def start(rig, login):
    """A session of the kind, with a tree and an open file: (session, file id)."""
    client = rig.raw()
    client.negotiate()
    if login == "delegate":
        ticket = kerberos.credential(rig.realm.kinit("alice", service=rig.service), rig.service)
        session = client.login_ticket(kerberos.Initiator(ticket))
    elif login == "transition":
        session = client.login("alice", domain="MIT.TEST")
    else:
        session = client.login("bob")
    session.tree_connect()
    return session, session.create(f"{login}.txt", disposition=3)


def test_upstream_is_renewed_unseen(realm, server):
    """Tickets for the file server are short here: the proxy renews its sessions and no client hears of
    it. It does so in the last tenth of a ticket's life, which are four seconds here, for a machine that has
    much else to do."""
    life, logins = 42, ["delegate", "transition", "mapped"]
    realm.change(server.service, "-maxlife", f"{life} seconds")
    users = {"MIT.TEST\\alice": USERS["alice"], "bob": USERS["bob"]}
    try:
        with ExitStack() as stack:
            rigs = [stack.enter_context(KerberosRig(realm, server, [login], users=users,
                                                    mapped=mapped(realm))) for login in logins]
            sessions = [start(rig, login) for rig, login in zip(rigs, logins)]
            before = [len(rig.at_server(smb2.SESSION_SETUP)) for rig in rigs]
            end = time.monotonic() + life + 2
            while time.monotonic() < end:
                for session, file_id in sessions:
                    answer = session.ask(smb2.WRITE, bodies.write(file_id, b"data"))
                    assert answer.status == smb2.SUCCESS
                time.sleep(0.1)
            for session, _ in sessions:
                session.logoff()
                session.client.socket.close()
            for rig, first in zip(rigs, before):
                setups = rig.at_server(smb2.SESSION_SETUP)
                assert len(setups) > first and rig.proxy.seen("session_renewed")
                assert len({message.session_id for message in setups if message.session_id}) == 1
                rig.assert_both_legs_signed(USERS)
    finally:
        realm.change(server.service, "-maxlife", "10 hours")
