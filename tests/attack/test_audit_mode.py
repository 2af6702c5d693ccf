"""Before anything is enforced, the log tells whom it would stop: just those whom it then stops.

The same clients connect twice, to a proxy that lets them in and records, and to one that enforces. All
of them work with the first; the summary of its log names those who do not with the second, and why.
"""

import json
import os
from collections import Counter

import pytest

import keytab
from audit_log import assert_alarms, end
from proxy import UIDS, Proxy, command, listener, upstream
from rawclient import ALL_DIALECTS, Disconnected, Failed, RawClient

OLD, THREE, BARE, NAMELESS, MODERN = (f"127.0.15.{number}" for number in range(1, 6))
CIPHERS = (2, 1)
# What each client offers, and how it logs in.
CLIENTS = {
    OLD: ({"dialects": (0x202, 0x210)}, {}),
    THREE: ({"dialects": (0x300, 0x302), "ciphers": CIPHERS}, {}),
    BARE: ({"dialects": ALL_DIALECTS}, {"mic": "none", "target_name": None}),
    NAMELESS: ({"dialects": ALL_DIALECTS, "ciphers": CIPHERS}, {"target_name": None, "user": "bob"}),
    MODERN: ({"dialects": ALL_DIALECTS, "ciphers": CIPHERS}, {}),
}
EVERYBODY = set(CLIENTS)


def use(where, source):
    """One client's day: did it get all it wanted?"""
    offer, knobs = CLIENTS[source]
    with RawClient(*where, source=source) as client:
        try:
            client.negotiate(**offer)
            session = client.login(**knobs)
            session.tree_connect()
            file_id = session.create(f"of-{source}")
            session.write(file_id, b"something")
            session.close(file_id)
        except (Failed, Disconnected):
            return False
        return True


def day(nas, on_listener=None, **extra):
    """All clients at a proxy with these options: (those who could work, its events, its summary)."""
    entry = listener(**{"encryption": "allowed", **(on_listener or {})})
    where = (entry["address"], entry["port"])
    with Proxy([entry], [upstream(nas)], extra=extra) as proxy:
        worked = {source for source in CLIENTS if use(where, source)}
        events = end(proxy)
        done = command("audit", "--config", proxy.configuration, "--summary", "--json")
        assert done.returncode == 0, done.stderr
        text = command("audit", "--config", proxy.configuration, "--summary").stdout
    return worked, events, json.loads(done.stdout), text


@pytest.fixture(scope="module")
def lenient(nas):
    """Nothing is demanded of anybody, and everybody works."""
    worked, events, summary, text = day(nas)
    assert worked == EVERYBODY
    assert_alarms(events, [])
    return summary, text


@pytest.fixture(scope="module")
def kerberos_options(tmp_path_factory):
    """What a listener that takes only tickets needs; nobody here has one."""
    path = str(tmp_path_factory.mktemp("keys") / "keytab")
    keytab.write(path, [keytab.Entry("cifs/nas.test@TEST", 1, keytab.AES256, os.urandom(32))])
    os.chown(path, UIDS["keeper"], UIDS["keeper"])
    os.chmod(os.path.dirname(path), 0o755)
    return {"on_listener": {"mechanisms": ["kerberos"], "services": ["cifs/nas.test"]},
            "kerberos": {"keytab": path}}


# What is demanded, whom that stops, and by which event.
STRICTER = {
    "min_dialect: 3.0": ({OLD}, "dialect_refused"),
    "min_dialect: 3.1.1": ({OLD, THREE}, "dialect_refused"),
    "encryption: required": ({OLD, BARE}, "unencrypted_refused"),
    "mechanisms: [kerberos]": (EVERYBODY, "ntlm_refused"),
    "mic: required": ({BARE}, "mic_refused"),
    "target_name: required": ({BARE, NAMELESS}, "target_name_refused"),
}


@pytest.mark.parametrize("demand", STRICTER)
def test_level_of_a_listener(nas, lenient, kerberos_options, demand):
    stopped, event = STRICTER[demand]
    summary, text = lenient
    named = {client["client_address"]: client["would_break"].get(demand, 0)
             for client in summary["clients"]}
    assert named == {source: int(source in stopped) for source in CLIENTS}
    total = summary["would_break"][demand]
    assert (total["clients"], total["times"]) == (len(stopped), len(stopped))
    block = text[text.index("\n" + demand):].split("\n\n")[0].splitlines()[2:]
    assert {line.split()[0] for line in block} == stopped
    option, _, value = demand.partition(": ")
    options = kerberos_options if option == "mechanisms" else {"on_listener": {option: value}}
    worked, events, _, _ = day(nas, **options)
    assert EVERYBODY - worked == stopped
    assert_alarms(events, [{"event": event, "verdict": "refused", "client_address": source}
                           for source in stopped])


def enforced(rule):
    """The rule as it will be: a demand is made of those whom it lets in."""
    return {**rule, "then": "allow" if "demand" in rule else "refuse"}


RULES = {
    "network": ({"from": {"network": ["127.0.15.2/31"]}}, {THREE, BARE}, "rule"),
    "user": ({"who": ["bob"]}, {NAMELESS}, "rule"),
    "dialect": ({"when": {"dialect": ["2.0.2", "2.1"]}}, {OLD}, "rule"),
    "target name": ({"when": {"target_name": ["absent"]}}, {BARE, NAMELESS}, "rule"),
    "mechanism": ({"when": {"mechanism": ["ntlm"]}}, EVERYBODY, "rule"),
    "share": ({"to": {"share": ["data"]}, "who": ["alice"]}, EVERYBODY - {NAMELESS}, "rule"),
    "dialect demanded": ({"demand": {"min_dialect": "3.1.1"}}, {OLD, THREE}, "min_dialect"),
    "encryption demanded": ({"demand": {"encryption": True}}, {OLD, BARE}, "encryption"),
    "encryption of a share": ({"to": {"share": ["data"]}, "demand": {"encryption": True}}, {OLD, BARE},
                              "encryption"),
    "Kerberos demanded": ({"demand": {"kerberos": True}}, EVERYBODY, "kerberos"),
    "nothing changed": ({"demand": {"read_only": True}}, EVERYBODY, "read_only"),
}


@pytest.mark.parametrize("case", RULES)
def test_rule(nas, case):
    rule, stopped, reason = RULES[case]
    rule = {"name": "soon", **rule}
    worked, events, summary, text = day(nas, rules=[{**rule, "then": "audit"}])
    assert worked == EVERYBODY
    assert_alarms(events, [])
    told = [event for event in events if event["event"] == "rule_audit"]
    assert {event["client_address"] for event in told} == stopped
    assert {(event["rule"], event["reason"], event["verdict"]) for event in told} == {
        ("soon", reason, "recorded")}
    times = Counter(event["client_address"] for event in told)
    assert summary["audited_rules"] == [{"rule": "soon", "reason": reason, "events": len(told),
                                         "clients": len(stopped), "addresses": times}]
    lines = text[text.index("\nRULE "):].split("\n\n")[0].splitlines()[2:]
    assert lines[0].split() == ["soon", reason, str(len(told)), str(len(stopped))]
    assert {line.split()[0]: int(line.split()[1]) for line in lines[1:]} == times
    worked, events, _, _ = day(nas, rules=[enforced(rule)])
    assert EVERYBODY - worked == stopped
    refused = [event for event in events if event.get("verdict") == "refused"]
    assert {(event["client_address"], event["rule"], event["reason"]) for event in refused} == {
        (source, "soon", reason) for source in stopped}


def test_what_no_rule_lets_in(nas):
    """The same for everybody whom no rule means."""
    rules = [{"name": "alice", "who": ["alice"], "then": "allow"}]
    worked, events, summary, _ = day(nas, rules=rules, otherwise="audit")
    assert worked == EVERYBODY
    assert_alarms(events, [])
    assert [(each["reason"], each["addresses"]) for each in summary["audited_rules"]] == [
        ("no_rule", {NAMELESS: 1})]
    worked, events, _, _ = day(nas, rules=rules, otherwise="refuse")
    assert EVERYBODY - worked == {NAMELESS}
    assert_alarms(events, [{"event": "rule_refused", "reason": "no_rule", "client_address": NAMELESS}])
