"""Rules: who gets in from where, to what, and under which demands.

Each refusal is tried by somebody whom the rule means and by somebody whom it does not. Nothing of a
refused login, share or pipe may reach the file server.
"""

import os
import signal

import pytest

import bodies
import smb2
from harness import USERS, wait_until
from nas import Nas
from proxy import UIDS, command
from rawclient import Disconnected, Failed, RawClient
from rig import Rig

CIPHERS = (2, 1)


def ruled(nas, *rules, **options):
    """A rig with these rules; `otherwise` and the like are further top-level options."""
    on_listener = options.pop("on_listener", None)
    return Rig(nas, on_listener=on_listener, extra={"rules": list(rules), **options})


def refused_login(rig, user="alice", **negotiate):
    """A login that is refused with ACCESS_DENIED, of which the file server hears nothing."""
    rig.reset()
    with rig.raw() as client:
        client.negotiate(**negotiate)
        with pytest.raises(Failed) as refused:
            client.login(user)
        assert refused.value.status == smb2.ACCESS_DENIED
    told = rig.proxy.wait_event("rule_refused", user=user, verdict="refused")
    assert not rig.at_server(smb2.SESSION_SETUP)
    assert not rig.proxy.seen("login", user=user)
    return told


def refused_share(rig, session, share):
    """A share that is refused; the file server does not hear of it."""
    before = len(rig.at_server(smb2.TREE_CONNECT))
    with pytest.raises(Failed) as refused:
        session.tree_connect(share)
    assert refused.value.status == smb2.ACCESS_DENIED
    assert len(rig.at_server(smb2.TREE_CONNECT)) == before
    return rig.proxy.wait_event("rule_refused", share=f"\\\\{rig.address}\\{share}")


def test_users(nas):
    with ruled(nas, {"name": "not-bob", "who": ["Bob"], "then": "refuse"}) as rig:
        told = refused_login(rig, "bob")
        assert (told["rule"], told["reason"]) == ("not-bob", "rule")
        client, session = rig.established("alice")
        with client:
            session.close(session.create("f"))
            # On the same connection too, where somebody else is in already.
            with pytest.raises(Failed):
                client.login("bob")
            session.close(session.create("f"))


def test_smbclient_is_told_why(nas, tmp_path):
    with ruled(nas, {"name": "not-bob", "who": ["bob"], "then": "refuse"}) as rig:
        rig.smbclient(tmp_path).must("ls", user="alice")
        assert "NT_STATUS_ACCESS_DENIED" in rig.smbclient(tmp_path).refused(user="bob")


def test_networks_and_listeners(nas):
    """The relay connects from 127.0.0.1; the listener that is not recorded has another name."""
    with ruled(nas, {"name": "home", "who": ["alice"], "from": {"network": ["127.0.0.0/8"]},
                     "then": "allow"},
               {"name": "other-network", "who": ["bob"], "from": {"network": ["192.0.2.0/24"]},
                "then": "allow"},
               {"name": "side-door", "from": {"listener": ["direct"]}, "then": "allow"},
               {"name": "nobody-else", "then": "refuse"}) as rig:
        rig.established("alice")[0].__exit__()
        assert refused_login(rig, "bob")["rule"] == "nobody-else"
        with RawClient(*rig.direct) as client:
            client.negotiate()
            client.login("bob")


def test_groups(nas):
    """Groups of the credentials file: bob is in it after a reload, and not before."""
    with ruled(nas, {"name": "staff", "who": ["@Staff"], "then": "refuse"}) as rig:
        rig.established("bob")[0].__exit__()
        path = rig.proxy.credentials.path
        done = command("group", "add", "--file", path, "staff", "bob")
        assert done.returncode == 0, done.stderr
        os.chown(path, UIDS["keeper"], UIDS["keeper"])
        rig.proxy.process.send_signal(signal.SIGHUP)

        def is_refused():
            with rig.raw() as client:
                client.negotiate()
                try:
                    client.login("bob")
                except Failed as refused:
                    return refused.status == smb2.ACCESS_DENIED
            return False
        wait_until(is_refused, "the group to be known", 5, 0.1)
        assert refused_login(rig, "bob")["rule"] == "staff"
        rig.established("alice")[0].__exit__()


def test_ntlm_with_exceptions(nas):
    """`no-ntlm` in one line, and who is excepted stands before it."""
    with ruled(nas, {"name": "scanner", "who": ["bob"], "then": "allow"},
               {"name": "no-ntlm", "preset": "no-ntlm"}) as rig:
        assert refused_login(rig, "alice")["rule"] == "no-ntlm"
        rig.established("bob")[0].__exit__()


def test_hardened_unc_needs_kerberos(nas):
    with ruled(nas, {"name": "policies", "to": {"share": ["PRIV"]}, "preset": "hardened-unc"}) as rig:
        client, session = rig.established("alice")
        with client:
            told = refused_share(rig, session, "priv")
            assert (told["rule"], told["reason"]) == ("policies", "kerberos")


def test_shares_by_any_spelling_and_server_name(nas):
    """By every name that the server has, and however the share is spelled."""
    with ruled(nas, {"name": "secret", "who": ["alice"], "to": {"share": ["Priv"]},
                     "then": "refuse"}) as rig:
        client, session = rig.established("alice")
        with client:
            for share in ("priv", "PRIV", "pRiV"):
                refused_share(rig, session, share)
            for host in ("proxy.test", "PROXY", "NAS", "127.0.0.1", "nas.example.com"):
                with pytest.raises(Failed):
                    session.tree_connect("priv", host=host)
            # A NUL would end the name for some file servers, and not for the rules.
            with pytest.raises(Failed) as refused:
                session.tree_connect("priv\0x")
            assert refused.value.status == smb2.BAD_NETWORK_NAME
            # Some file servers pass over what is not seen, and take ligatures and accents apart.
            before = len(rig.at_server(smb2.TREE_CONNECT))
            for share in ("pri\u00adv", "priv\u200b", "\ufeffpriv", "pri\u0301v", "oﬃce"):
                with pytest.raises(Failed) as refused:
                    session.tree_connect(share)
                assert refused.value.status == smb2.BAD_NETWORK_NAME
            assert len(rig.at_server(smb2.TREE_CONNECT)) == before
            session.tree_connect("data")
            session.close(session.create("f"))
        client, session = rig.established("bob")
        client.__exit__()


def test_a_share_in_a_chain_of_its_own(nas):
    """A CREATE behind its TREE_CONNECT has no tree yet that a verdict could be bound to."""
    with ruled(nas, {"name": "frozen", "to": {"share": ["data"]}, "then": "allow",
                     "demand": {"read_only": True}}) as rig, rig.raw() as client:
        client.negotiate()
        session = client.login()
        path = f"\\\\{rig.address}\\data"
        answers = client.compound(
            [(smb2.TREE_CONNECT, bodies.tree_connect(path)), (smb2.CREATE, bodies.create("chained"))],
            session)
        assert answers[1].status != smb2.SUCCESS
        assert not rig.at_server(smb2.CREATE)
        # The verdict on another tree, which the TREE_CONNECT names, is not that on its own.
        session.tree_connect("priv")
        answers = client.compound(
            [(smb2.TREE_CONNECT, bodies.tree_connect(path)), (smb2.CREATE, bodies.create("chained"))],
            session)
        assert answers[1].status != smb2.SUCCESS
        assert not rig.at_server(smb2.CREATE)


def test_login_waits_for_the_share_that_is_open(nas):
    """Everything but one share is refused: the login is not."""
    with ruled(nas, {"name": "public", "to": {"share": ["data"]}, "then": "allow"},
               otherwise="refuse") as rig:
        client, session = rig.established("alice")
        with client:
            assert refused_share(rig, session, "priv")["reason"] == "no_rule"
            refused_share(rig, session, "IPC$")
    with ruled(nas, {"name": "public", "who": ["bob"], "to": {"share": ["data"]}, "then": "allow"},
               otherwise="refuse") as rig:
        assert refused_login(rig, "alice")["reason"] == "no_rule"


def test_demands_of_a_login(nas):
    with ruled(nas, {"name": "modern", "who": ["alice"], "then": "allow",
                     "demand": {"min_dialect": "3.0"}},
               {"name": "sealed", "preset": "encrypt"}) as rig:
        assert refused_login(rig, "alice", dialects=[0x210])["reason"] == "min_dialect"
        rig.established("alice", dialects=[0x300])[0].__exit__()
        assert refused_login(rig, "bob")["reason"] == "encryption"
        with rig.raw() as client:
            client.negotiate(ciphers=CIPHERS)
            assert not client.login("alice").encrypts
            session = client.login("bob")
            assert session.encrypts
            session.tree_connect()
            # What is only signed is refused where it is demanded.
            client.send(smb2.CREATE, bodies.create("open"), session, encrypt=False)
            answer = client.answer(max(client.waiting))
            assert answer.status == smb2.ACCESS_DENIED
        rig.proxy.wait_event("unencrypted_refused", user="bob")


def test_demands_of_a_share(nas):
    with ruled(nas, {"name": "sealed", "to": {"share": ["data"]}, "then": "allow",
                     "demand": {"encryption": True}}) as rig:
        client, session = rig.established("alice", share="priv")
        with client:
            assert refused_share(rig, session, "data")["reason"] == "encryption"
        with rig.raw() as client:
            client.negotiate(ciphers=CIPHERS)
            session = client.login()
            answer = session.tree_connect()
            assert smb2.share_flags(answer.raw) & smb2.SHARE_ENCRYPT_DATA
            session.close(session.create("f"))
            client.send(smb2.CREATE, bodies.create("open"), session, encrypt=False)
            assert client.answer(max(client.waiting)).status == smb2.ACCESS_DENIED


def test_conditions_of_the_session(nas):
    """Dialect, signing algorithm, cipher, target name: each refuses the one and not the other."""
    cases = [({"dialect": ["2.1", "2.0.2"]}, {"dialects": [0x210]}, {"dialects": [0x300]}, {}),
             ({"signing": ["aes-cmac"]}, {"signing": (1,)}, {"signing": (2,)}, {}),
             ({"cipher": ["none"]}, {}, {"ciphers": CIPHERS}, {}),
             ({"target_name": ["absent"]}, {}, {}, {"target_name": None})]
    for when, refused, taken, knobs in cases:
        with ruled(nas, {"name": "r", "when": when, "then": "refuse"}) as rig:
            with rig.raw() as client:
                client.negotiate(**refused)
                with pytest.raises(Failed):
                    client.login("alice", **knobs)
            rig.proxy.wait_event("rule_refused", rule="r")
            with rig.raw() as client:
                client.negotiate(**taken)
                client.login("alice")


def test_audit_lets_through_and_tells(nas):
    """The same clients work; what would have been refused is told once, with its reason."""
    with ruled(nas, {"name": "no-data", "who": ["bob"], "to": {"share": ["data"]}, "then": "audit"},
               {"name": "no-ntlm-soon", "who": ["alice"], "preset": "no-ntlm", "then": "audit"},
               {"name": "sealed-soon", "preset": "encrypt", "then": "audit"}) as rig:
        client, session = rig.established("alice")
        with client:
            session.close(session.create("f"))
            session.tree_connect("priv")
        told = rig.proxy.wait_event("rule_audit", user="alice")
        assert (told["rule"], told["reason"], told["verdict"]) == ("no-ntlm-soon", "rule", "recorded")
        client, session = rig.established("bob")
        with client:
            session.close(session.create("g"))
        share = rig.proxy.wait_event("rule_audit", user="bob", rule="no-data")
        assert share["share"].endswith("\\data")
        login = rig.proxy.wait_event("rule_audit", user="bob", rule="sealed-soon")
        assert login["reason"] == "encryption" and "share" not in login
        rig.client_relay.wait_ended()
        rig.proxy.wait_event("link_ended")
        assert len(rig.proxy.seen("rule_audit", user="alice")) == 1
        assert len(rig.proxy.seen("rule_audit", user="bob")) == 2
        assert not rig.proxy.seen("rule_refused")
        # Whoever meets the demand is not told of.
        rig.reset()
        with rig.raw() as client:
            client.negotiate(ciphers=CIPHERS)
            client.login("bob")
        rig.proxy.wait_event("link_ended")
        assert not rig.proxy.seen("rule_audit")


def test_renewal_keeps_the_verdict(nas):
    with ruled(nas, {"name": "frozen", "to": {"share": ["data"]}, "then": "allow",
                     "demand": {"read_only": True}}) as rig:
        client, session = rig.established("alice")
        with client:
            client.login("alice", session=session)
            assert session.ask(smb2.CREATE, bodies.create("f")).status == smb2.ACCESS_DENIED


def test_renewal_into_a_group_that_has_to_encrypt(nas):
    """The session is not encrypted, and cannot become so: it ends, and the next one is."""
    with ruled(nas, {"name": "sealed", "who": ["@staff"], "then": "allow",
                     "demand": {"encryption": True}}) as rig, rig.raw() as client:
        client.negotiate(ciphers=CIPHERS)
        sessions = {user: client.login(user) for user in ("alice", "bob")}
        path = rig.proxy.credentials.path
        done = command("group", "add", "--file", path, "staff", "bob")
        assert done.returncode == 0, done.stderr
        os.chown(path, UIDS["keeper"], UIDS["keeper"])
        assert rig.proxy.reload()[0] == 0
        client.login("alice", session=sessions["alice"])
        with pytest.raises(Failed) as refused:
            client.login("bob", session=sessions["bob"])
        assert refused.value.status == smb2.ACCESS_DENIED
        told = rig.proxy.wait_event("rule_refused", user="bob", verdict="refused")
        assert (told["rule"], told["reason"]) == ("sealed", "encryption")
        assert client.login("bob").encrypts
        sessions["alice"].must(smb2.ECHO, bodies.empty())


POSTURES = {"signing": (False, True), "encryption-if-offered": (True, True), "encryption": (True, False)}


@pytest.mark.parametrize("posture", POSTURES)
def test_postures(nas, posture):
    """One word: whether those who can are encrypted, and whether those who cannot get in."""
    encrypts, takes_unable = POSTURES[posture]
    with Rig(nas, on_listener={"posture": posture}) as rig:
        with rig.raw() as able:
            able.negotiate(ciphers=CIPHERS)
            assert able.login().encrypts == encrypts
        with rig.raw() as unable:
            try:
                unable.negotiate([0x210])
                unable.login()
                assert takes_unable
            except (Disconnected, Failed):
                assert not takes_unable
        if posture == "encryption-if-offered":
            told = rig.proxy.wait_event("client_no_encryption", verdict="recorded")
            assert told["windows_event_id"] == 3022
        if not takes_unable:
            assert rig.proxy.wait_event("unencrypted_refused")["windows_event_id"] == 3022


def test_server_that_cannot_encrypt_is_told(nas):
    """31999: where the upstream would encrypt if it could; and not where it can."""
    with Rig(nas, on_upstream={"encryption": "if-offered"}) as rig:
        rig.established()[0].__exit__()
        rig.proxy.wait_event("link_ended")
        assert not rig.proxy.seen("upstream_no_encryption")
    with Nas(max_dialect="2.1") as old, Rig(old, on_upstream={"encryption": "if-offered"}) as rig:
        rig.established()[0].__exit__()
        told = rig.proxy.wait_event("upstream_no_encryption", verdict="recorded", leg="upstream")
        assert told["windows_event_id"] == 31999


def test_check_tells_what_is_wrong(nas, tmp_path):
    """A rule that is never reached stops the start, with its line; groups that nobody can tell are a
    warning."""
    with ruled(nas, {"name": "a", "who": ["@staff"], "then": "allow"}) as rig:
        done = command("check", "--offline", "--config", rig.proxy._path("proxy.yaml"))
        assert "@staff" in done.stdout and "warning" in done.stdout, done.stdout
        bad = tmp_path / "bad.yaml"
        with open(rig.proxy._path("proxy.yaml"), encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith("rules:")]
        bad.write_text("".join(lines) + "rules:\n- {name: all, then: allow}\n"
                       "- {name: never, who: [x], then: refuse}\n", encoding="utf-8")
        done = command("check", "--offline", "--config", str(bad))
        assert done.returncode == 1
        assert f"{bad}:{len(lines) + 3}: rules[1]: is never reached" in done.stderr, done.stderr


def test_users_not_meant_are_not_disturbed(nas, tmp_path):
    """Rules for others change nothing: whole sessions of smbclient, both legs signed."""
    with ruled(nas, {"name": "x", "who": ["nobody"], "then": "refuse"},
               {"name": "y", "to": {"share": ["other"]}, "then": "refuse"}) as rig:
        (tmp_path / "in").write_bytes(b"rules")
        rig.smbclient(tmp_path).must("put in own; get own out; ls; rename own moved; del moved")
        assert (tmp_path / "out").read_bytes() == b"rules"
        rig.assert_both_legs_signed(USERS)
