"""`countersign audit`: the log of real clients, read back."""

import gzip
import json
import os
import shutil

import pytest

from nas import Nas
from proxy import Proxy, command, listener, upstream
from rawclient import ALL_DIALECTS, Failed, RawClient
from smbtools import SmbClient

OLD, BARE, GUESSER, MODERN = "127.0.9.1", "127.0.9.2", "127.0.9.3", "127.0.9.4"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A proxy that clients of several kinds have used, stopped again; its directory stays."""
    with Nas() as nas:
        entry = listener(address="127.0.0.1", encryption="allowed")
        with Proxy([entry], [upstream(nas)]) as proxy:
            where = (entry["address"], entry["port"])
            use(where, OLD, dialects=(0x202, 0x210))
            use(where, MODERN, dialects=ALL_DIALECTS, ciphers=(2,))
            use(where, MODERN, dialects=ALL_DIALECTS, ciphers=(2,))
            use(where, BARE, mic="none", target_name=None)
            for _ in range(3):
                with RawClient(*where, source=GUESSER) as client:
                    client.negotiate()
                    with pytest.raises(Failed):
                        client.login("bob", "wrong")
            SmbClient(str(tmp_path_factory.mktemp("client")), *where).must("ls")
            proxy.stop()
            yield proxy


def use(where, source, mic="right", target_name="cifs/127.0.0.1", **offer):
    with RawClient(*where, source=source) as client:
        client.negotiate(**offer)
        client.login("alice", mic=mic, target_name=target_name).tree_connect()


def audit(site, *arguments, status=0):
    done = command("audit", "--config", os.path.join(site.directory, "proxy.yaml"), *arguments)
    assert done.returncode == status, done.stderr
    return done


def audited(site, *arguments):
    """The events, by --json."""
    return [json.loads(line) for line in audit(site, "--json", *arguments).stdout.splitlines()]


def test_everything_comes_back(site):
    assert audited(site) == site.events()
    lines = audit(site).stdout.splitlines()
    assert len(lines) == 1 + len(site.events()) and lines[0].startswith("TIME (UTC)")
    assert any("login_refused" in line and GUESSER in line and "wrong_password" in line
               for line in lines)


def test_filters(site):
    assert len(audited(site, "--event", "login_refused")) == 3
    assert {event["event"] for event in audited(site, "--event", "login", "--event", "logoff")} <= \
        {"login", "logoff"}
    from_old = audited(site, "--client", OLD)
    assert from_old and {event["client_address"] for event in from_old} == {OLD}
    assert len(audited(site, "--client", "127.0.9.0/24")) > len(from_old)
    assert {event["user"] for event in audited(site, "--user", "BOB")} == {"bob"}
    assert {event["severity"] for event in audited(site, "--severity", "warning")} <= \
        {"warning", "error"}
    assert audited(site, "--since", "1h") == site.events()
    assert not audited(site, "--until", "1h") and not audited(site, "--since", "2999-01-01")
    moment = site.events()[5]["time"]
    assert len(audited(site, "--since", moment)) + len(audited(site, "--until", moment)) == \
        len(site.events())


def test_cef(site):
    lines = audit(site, "--cef", "--event", "login_refused").stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("CEF:0|Countersign|Countersign|") and line.count("|") == 7
        assert f" src={GUESSER} " in line and " suser=bob " in line and " externalId=551 " in line


def clients(summary):
    return {client["client_address"]: client for client in summary["clients"]}


def test_summary(site):
    summary = json.loads(audit(site, "--summary", "--json").stdout)
    who = clients(summary)
    old, modern, bare, smbclient = (who[OLD], who[MODERN], who[BARE], who["127.0.0.1"])
    assert old["client_dialect"] == "2.1" and old["would_break"] == {
        "min_dialect: 3.0": 1, "min_dialect: 3.1.1": 1, "encryption: required": 1,
        "mechanisms: [kerberos]": 1}
    assert modern["client_dialect"] == "3.1.1" and modern["client_cipher"] == "AES-128-GCM"
    assert modern["would_break"] == {"mechanisms: [kerberos]": 2} and modern["logins"] == 2
    assert bare["would_break"] == {"encryption: required": 1, "mechanisms: [kerberos]": 1,
                                   "mic: required": 1, "target_name: required": 1}
    assert who[GUESSER]["refused"] == 3 and who[GUESSER]["logins"] == 0
    assert smbclient["client_cipher"] and "mic: required" not in smbclient["would_break"]
    assert summary["would_break"]["min_dialect: 3.1.1"] == {
        "clients": 1, "times": 1, "windows_switch": "Smb2DialectMin"}
    assert summary["windows_switches"]["AuditClientSpnSupport"] == {
        "windows_event_id": 3024, "events": 1, "clients": 1, "addresses": {BARE: 1}}
    assert summary["damaged"] == 0 and summary["lines"] == len(site.events())
    text = audit(site, "--summary").stdout
    assert "min_dialect: 3.1.1       1 of 5 clients, 1 connections (Windows: Smb2DialectMin)" in text
    assert any(line.split()[:3] == [OLD, "2.1", "HMAC-SHA256"] for line in text.splitlines())


def test_what_a_rule_would_have_refused(site, tmp_path):
    """Events of rules that only record, as the policy engine writes them."""
    log = tmp_path / "log"
    line = {"time": "2024-05-06T07:08:09.000000Z", "event": "rule_audit", "verdict": "recorded",
            "rule": "no-ntlm", "reason": "rule", "client_address": "192.0.2.1"}
    other = dict(line, client_address="192.0.2.2", repeats=4)
    another = dict(line, rule="encrypt", reason="encryption")
    log.write_text("".join(json.dumps(each) + "\n" for each in (line, line, other, another)))
    summary = json.loads(audit(site, "--summary", "--json", str(log)).stdout)
    assert summary["audited_rules"] == [
        {"rule": "no-ntlm", "reason": "rule", "events": 6, "clients": 2,
         "addresses": {"192.0.2.1": 2, "192.0.2.2": 4}},
        {"rule": "encrypt", "reason": "encryption", "events": 1, "clients": 1,
         "addresses": {"192.0.2.1": 1}}]
    assert "no-ntlm" in audit(site, "--summary", str(log)).stdout


def test_clients_that_a_rule_would_stop(tmp_path):
    """Rules that only record: everybody works, and the summary tells who would not, and why."""
    rules = [{"name": "no-ntlm-soon", "who": ["alice"], "preset": "no-ntlm", "then": "audit"},
             {"name": "sealed-soon", "who": ["bob"], "preset": "encrypt", "then": "audit"}]
    with Nas() as nas:
        entry = listener(address="127.0.0.1")
        with Proxy([entry], [upstream(nas)], extra={"rules": rules}) as proxy:
            where = (entry["address"], entry["port"])
            SmbClient(str(tmp_path), *where).must("put /etc/hostname name; ls", user="alice")
            for source in (OLD, OLD, BARE):
                with RawClient(*where, source=source) as client:
                    client.negotiate((0x202, 0x210))
                    client.login("bob").tree_connect()
            proxy.stop()
            assert not proxy.seen("rule_refused")
            summary = json.loads(audit(proxy, "--summary", "--json").stdout)
    told = {(each["rule"], each["reason"]): each for each in summary["audited_rules"]}
    assert told["sealed-soon", "encryption"]["clients"] == 2
    assert told["sealed-soon", "encryption"]["events"] == 3
    assert [rule for rule, _ in told].count("no-ntlm-soon") == 1
    who = clients(summary)
    assert who["127.0.0.1"]["would_break"].get("mechanisms: [kerberos]") == 1
    assert who[OLD]["would_break"]["encryption: required"] == 2


def test_rotated_and_damaged(site, tmp_path):
    """Rotated files are read with it, compressed or not; damaged lines are counted."""
    log = site.audit_file
    shutil.copy(log, tmp_path / "whole")
    events = site.events()
    try:
        shutil.move(log, log + ".1")
        with open(log + ".1", "rb") as plain, gzip.open(log + ".2.gz", "wb") as packed:
            packed.write(plain.read())
        with open(log, "w", encoding="utf-8") as file:
            file.write("{\"time\": \"cut sho\n" + json.dumps(events[0]) + "\nnot JSON\n")
        done = audit(site, "--json")
        assert [json.loads(line) for line in done.stdout.splitlines()] == events + events + events[:1]
        assert "2 damaged lines" in done.stderr
        assert "2 damaged." in audit(site, "--summary").stdout
    finally:
        for path in (log, log + ".1", log + ".2.gz"):
            if os.path.exists(path):
                os.remove(path)
        shutil.copy(tmp_path / "whole", log)


def test_standard_input(site):
    with open(site.audit_file, encoding="utf-8") as log:
        done = command("audit", "--json", "-", input=log.read())
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(site.events())


def test_what_cannot_be_done(site):
    assert "No such file" in audit(site, "/nowhere/log", status=1).stderr
    for arguments in (["--since", "soon"], ["--client", "here"], ["--severity", "bad"],
                      ["--json", "--cef"], ["--unknown"]):
        assert command("audit", *arguments).returncode == 2
    assert command("audit", "--config", "/nowhere/proxy.yaml").returncode == 1
    assert "--summary" in command("audit", "--help").stdout
