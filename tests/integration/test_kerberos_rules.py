"""Rules about Kerberos, with tickets: what is demanded, what is left to NTLM, and names of principals."""

import os
import signal

import pytest

import bodies
import kerberos
import keytab
import pac
import smb2
from harness import wait_until
from kerberosrig import KerberosRig
from proxy import UIDS, command
from rawclient import Failed


def ruled(realm, server, *rules, **options):
    """Tickets, and NTLM for those who have none."""
    return KerberosRig(realm, server, login=["ticket", "same"], extra={"rules": list(rules)}, **options)


def by_ticket(rig, realm, client, user="alice", session=None, **initiator):
    """A session of the tests' own client; `session`: one to be renewed."""
    cache = realm.kinit(user)
    cache.must_get(rig.service)
    ticket = kerberos.credential(cache, rig.service)
    return client.login_ticket(kerberos.Initiator(ticket, **initiator), session)


def test_hardened_unc(realm, server, tmp_path):
    """Kerberos with mutual authentication gets in; one-sided Kerberos and NTLM do not, and others are not
    asked for any of it."""
    with ruled(realm, server, {"name": "policies", "to": {"share": ["data"]},
                               "preset": "hardened-unc"}) as rig:
        rig.smbclient(tmp_path).must("put client.conf policy; get policy back", ticket=realm.kinit("alice"))
        assert not rig.proxy.seen("name_mismatch")
        rig.smbclient(tmp_path).refused(user="alice")
        told = rig.proxy.wait_event("rule_refused", reason="kerberos")
        assert (told["rule"], told["mechanism"], told["verdict"]) == ("policies", "ntlm", "refused")
        rig.smbclient(tmp_path).must("ls", user="alice", share="priv")
        rig.reset()
        with rig.raw() as client:
            client.negotiate()
            session = by_ticket(rig, realm, client, flags=kerberos.GSS_FLAGS & ~kerberos.MUTUAL)
            with pytest.raises(Failed) as refused:
                session.tree_connect("data")
            assert refused.value.status == smb2.ACCESS_DENIED
        told = rig.proxy.wait_event("rule_refused", reason="mutual_authentication")
        assert told["mechanism"] == "kerberos"
        assert not rig.at_server(smb2.TREE_CONNECT)


def test_user_by_another_name_of_his_account(realm, server):
    """A domain controller gives a ticket in any of them, and the PAC tells which account it is: rules and
    the log go by that."""
    names = {"alice": "alice", "bob": "bob@MIT.TEST", "carol": "MIT.TEST\\carol"}
    with ruled(realm, server, *[{"name": f"not-{user}", "who": [name], "then": "refuse"}
                                for user, name in names.items()]) as rig:
        entry = next(entry for entry in keytab.read(rig.keys_path) if entry.encryption == kerberos.AES256)
        for user in names:
            info = pac.logon_info(user, 1103, "MIT", "S-1-5-21-1-2-3")
            for client_name in (user, "deputy"):
                rig.proxy.mark()
                with rig.raw() as client:
                    client.negotiate()
                    made = kerberos.make_ticket(entry, f"{client_name}@MIT.TEST", logon_info=info)
                    with pytest.raises(Failed) as refused:
                        client.login_ticket(kerberos.Initiator(made))
                    assert refused.value.status == smb2.ACCESS_DENIED
                told = rig.proxy.wait_event("rule_refused", rule=f"not-{user}")
                assert (told["user"], told["principal"]) == (user, f"{user}@MIT.TEST")


def test_no_ntlm(realm, server, tmp_path):
    """Refused before anything of it reaches the file server; tickets are not concerned."""
    with ruled(realm, server, {"name": "no-ntlm", "preset": "no-ntlm"}) as rig:
        rig.smbclient(tmp_path).must("ls", ticket=realm.kinit("alice"))
        rig.reset()
        rig.smbclient(tmp_path).refused(user="bob")
        assert rig.proxy.wait_event("rule_refused", user="bob")["rule"] == "no-ntlm"
        assert not rig.at_server(smb2.SESSION_SETUP)


def test_principals_and_their_groups(realm, server):
    """A realm belongs to a principal's name; a group of the credentials file can have principals."""
    with ruled(realm, server, {"name": "alice-of-the-realm", "who": ["Alice@mit.test"],
                               "when": {"mechanism": ["kerberos"]}, "then": "allow"},
               {"name": "other-realm", "who": ["bob@ELSEWHERE.TEST", "alice"], "then": "refuse"},
               {"name": "staff", "who": ["@staff"], "to": {"share": ["data"]}, "then": "refuse"}) as rig:
        path = rig.proxy.credentials.path
        done = command("group", "add", "--file", path, "staff", "bob@MIT.TEST")
        assert done.returncode == 0, done.stderr
        os.chown(path, UIDS["keeper"], UIDS["keeper"])
        rig.proxy.process.send_signal(signal.SIGHUP)
        with rig.raw() as client:
            client.negotiate()

            def bob_is_refused():
                try:
                    by_ticket(rig, realm, client, "bob").tree_connect("data")
                except Failed as refused:
                    return refused.status == smb2.ACCESS_DENIED
                return False
            wait_until(bob_is_refused, "the group to be known", 5, 0.1)
            by_ticket(rig, realm, client).tree_connect("data")
            with pytest.raises(Failed):  # by NTLM she is no principal
                client.login("alice")
        assert rig.proxy.wait_event("rule_refused", user="bob")["rule"] == "staff"
        assert rig.proxy.wait_event("rule_refused", user="alice")["rule"] == "other-realm"


def test_renewal_is_judged_by_the_groups_of_now(realm, server):
    """A session goes on for whom it was, and not when a rule is against that by now."""
    with ruled(realm, server, {"name": "gone", "who": ["@gone"], "then": "refuse"}) as rig:
        with rig.raw() as client:
            client.negotiate()
            session = by_ticket(rig, realm, client)
            session.tree_connect("data")
            by_ticket(rig, realm, client, session=session)
            path = rig.proxy.credentials.path
            done = command("group", "add", "--file", path, "gone", "alice@MIT.TEST")
            assert done.returncode == 0, done.stderr
            os.chown(path, UIDS["keeper"], UIDS["keeper"])
            rig.proxy.process.send_signal(signal.SIGHUP)

            def is_refused():
                try:
                    by_ticket(rig, realm, client, session=session)
                except Failed as refused:
                    return refused.status == smb2.ACCESS_DENIED
                return False
            wait_until(is_refused, "the group to be known", 5, 0.1)
            assert session.ask(smb2.TREE_CONNECT, bodies.tree_connect("\\\\files\\data")).status == \
                smb2.USER_SESSION_DELETED
        assert rig.proxy.wait_event("rule_refused", user="alice")["rule"] == "gone"
