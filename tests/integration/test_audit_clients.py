"""The table for the change meeting: `countersign audit` after real clients of different abilities.

Each client comes from an address of its own. What the summary says of it is compared with what it can do,
and with what happens to it when the stricter rule is really in force.
"""

import gzip
import ipaddress
import itertools
import json
import os
import re
import subprocess
import time

import pytest
from impacket import ntlm as impacket_ntlm
from impacket.smbconnection import SMBConnection

from capture import Relay
from harness import USERS, run
from kerberosrig import KerberosRig
from nas import Nas
from proxy import BINARY, ROOT, command
from rawclient import ALL_DIALECTS, Failed, RawClient
from rig import Rig
from smbtools import Rclone, SmbClient

SANITIZED = "asan" in BINARY
DIALECTS = {"127.0.9.11": "2.0.2", "127.0.9.12": "2.1", "127.0.9.13": "3.0", "127.0.9.14": "3.1.1"}
TICKET, BARE, RCLONE, BOTH, GUESSER = (f"127.0.9.{number}" for number in (15, 16, 17, 18, 19))


class Site:
    """The realm's file server behind a proxy, and a relay for each client that has its address."""

    def __init__(self, rig):
        self.rig, self.relays = rig, []

    def way(self, source):
        relay = Relay(self.rig.client_relay.target, source, source)
        self.relays.append(relay)
        return relay.__enter__()

    def smbclient(self, source, directory, **options):
        way = self.way(source)
        return SmbClient(str(directory), way.address, way.port, **options)


def impacket(way, user="alice"):
    """Without the name of the server that the login is for, as it was before impacket 0.9.23."""
    impacket_ntlm.TEST_CASE = True
    try:
        client = SMBConnection(way.address, way.address, sess_port=way.port)
        client.login(user, USERS[user])
        client.listPath("data", "*")
        client.close()
    finally:
        impacket_ntlm.TEST_CASE = False


def smbclient_by_ticket(site, realm, source, directory):
    way = site.way(source)
    before = realm.hosts.get(site.rig.name)
    realm.add_host(site.rig.name, way.address)
    realm.smbclient(directory, site.rig.name, way.port).must("ls", ticket=realm.kinit("alice"))
    realm.add_host(site.rig.name, before)


@pytest.fixture(scope="module")
def site(realm, tmp_path_factory):
    names = [*DIALECTS, TICKET, BARE, RCLONE, BOTH, GUESSER, f"nas.{realm.domain}"]
    with realm.file_server() as server, KerberosRig(realm, server, login=["ticket", "same"],
                                                    on_listener={"names": names},
                                                    extra={"limits": {"interim_hold": 10_000}}) as rig:
        site = Site(rig)
        for source, dialect in DIALECTS.items():
            client = site.smbclient(source, tmp_path_factory.mktemp("client"), dialect=dialect)
            for _ in range(2):
                client.must("ls")
        smbclient_by_ticket(site, realm, TICKET, tmp_path_factory.mktemp("ticket"))
        smbclient_by_ticket(site, realm, BOTH, tmp_path_factory.mktemp("both"))
        site.smbclient(BOTH, tmp_path_factory.mktemp("password")).must("ls", user="bob")
        impacket(site.way(BARE))
        way = site.way(RCLONE)
        rclone = Rclone(str(tmp_path_factory.mktemp("rclone")), way.address, way.port).run("lsd", "nas:data")
        assert rclone.returncode == 0, rclone.stderr
        with RawClient(*rig.client_relay.target, source=GUESSER) as client:
            client.negotiate()
            with pytest.raises(Failed):
                client.login("bob", "wrong", target_name=f"cifs/{BARE}")
        for relay in site.relays:
            relay.wait_ended()
            relay.__exit__(None, None, None)
        rig.proxy.stop()
        site.events = rig.proxy.events()
        site.log = rig.proxy.audit_file
        yield site


def audit(site, *arguments, log=None):
    done = command("audit", *arguments, str(log or site.log), seconds=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def summary(site, *arguments, **options):
    return json.loads(audit(site, "--summary", "--json", *arguments, **options))


def who(found):
    return {client["client_address"]: client for client in found["clients"]}


def test_what_each_client_can_do(site):
    found = who(summary(site))
    for source, dialect in DIALECTS.items():
        client = found[source]
        assert client["client_dialect"] == dialect and client["ntlm"] == client["logins"] >= 2
        assert (client["mic"], client["target_name"]) == ("yes", "yes") and client["kerberos"] == 0
        assert bool(client["client_cipher"]) == (dialect >= "3.0")
        assert client["client_signing"] == {"2": "HMAC-SHA256", "3.0": "AES-128-CMAC",
                                            "3.1.1": "AES-128-GMAC"}[dialect if dialect > "3" else "2"]
    assert (found[TICKET]["kerberos"], found[TICKET]["ntlm"]) == (found[TICKET]["logins"], 0)
    assert (found[TICKET]["mic"], found[TICKET]["target_name"]) == ("-", "yes")
    assert found[BOTH]["kerberos"] and found[BOTH]["ntlm"]
    assert (found[BARE]["mic"], found[BARE]["target_name"]) == ("no", "no")
    assert found[RCLONE]["mic"] == "yes" and found[RCLONE]["logins"]
    assert found[GUESSER]["refused"] == 1 and found[GUESSER]["logins"] == 0


def test_counts_are_those_of_the_events(site):
    """Every number again, from the events themselves."""
    found = who(summary(site))
    for source, client in found.items():
        here = [event for event in site.events if event.get("client_address") == source]

        def count(name, here=here, **fields):
            return sum(event["event"] == name and all(event.get(key) == value
                                                      for key, value in fields.items()) for event in here)
        links = [event for event in here if event["event"] == "link"]
        assert client["connections"] == len(links)
        assert client["logins"] == count("login")
        assert client["refused"] == sum(event.get("verdict") == "refused" for event in here)
        assert client["would_break"] == {name: number for name, number in {
            "min_dialect: 3.0": sum(link["client_dialect"] < "3" for link in links
                                    if "3." not in link.get("offered", "")),
            "min_dialect: 3.1.1": sum("3.1.1" not in link["client_dialect"] + link.get("offered", "")
                                      for link in links),
            "encryption: required": sum(not link.get("client_cipher") for link in links),
            "mechanisms: [kerberos]": count("login", mechanism="ntlm"),
            "mic: required": count("mic_absent"),
            "target_name: required": count("target_name_absent")}.items() if number}


def test_who_breaks_does_break(site, realm, tmp_path):
    """Under each stricter rule, the clients of the table are refused, and no others."""
    rig = site.rig
    said = who(summary(site))
    stricter = {"min_dialect: 3.0": {"min_dialect": "3.0"}, "min_dialect: 3.1.1": {"min_dialect": "3.1.1"},
                "encryption: required": {"encryption": "required"},
                "mechanisms: [kerberos]": {"mechanisms": ["kerberos"]},
                "mic: required": {"mic": "required"}, "target_name: required": {"target_name": "required"}}
    first = dict(rig.proxy.listeners[0])
    rig.proxy.start()
    try:
        for name, change in stricter.items():
            rig.proxy.listeners[0].clear()
            rig.proxy.listeners[0].update(first, **change)
            rig.proxy.write_configuration()
            status, told = rig.proxy.reload()
            assert status == 0, told
            for source, dialect in DIALECTS.items():
                done = site.smbclient(source, tmp_path, dialect=dialect).run("ls")
                assert (done.returncode != 0) == (name in said[source]["would_break"]), (name, dialect)
            if name in said[BARE]["would_break"]:
                with pytest.raises(Exception):
                    impacket(site.way(BARE))
            else:
                impacket(site.way(BARE))
            smbclient_by_ticket(site, realm, TICKET, tmp_path)
    finally:
        for relay in site.relays[len(DIALECTS):]:
            relay.__exit__(None, None, None)
        rig.proxy.listeners[0].clear()
        rig.proxy.listeners[0].update(first)
        rig.proxy.stop()
        with open(site.log, "w", encoding="utf-8") as log:
            log.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in site.events)


def test_table_as_text(site):
    text = audit(site, "--summary")
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("127.")}
    assert rows["127.0.9.12"][1:7] == ["2.1", "HMAC-SHA256", "-", "ntlm", "yes", "yes"]
    assert rows["127.0.9.14"][1:4] == ["3.1.1", "AES-128-GMAC", "AES-128-GCM"]
    assert rows[TICKET][4:7] == ["kerberos", "-", "yes"] and rows[BOTH][4] == "both"
    found = summary(site)
    for rule, counts in found["would_break"].items():
        kind = "connections" if rule.startswith(("min_dialect", "encryption")) else "logins"
        windows = f" (Windows: {counts['windows_switch']})" if rule != "mic: required" else ""
        assert re.search(rf"^{re.escape(rule)} +{counts['clients']} of {len(found['clients'])} clients, "
                         rf"{counts['times']} {kind}{re.escape(windows)}$", text, re.MULTILINE), rule
    for switch, told in found["windows_switches"].items():
        assert re.search(rf"^{re.escape(switch)} +{told.get('windows_event_id', '-')} +{told['events']} "
                         rf"+{len(told['addresses'])}$", text, re.MULTILINE), switch


def documented(section):
    with open(os.path.join(ROOT, "docs", section), encoding="utf-8") as file:
        return file.read()


def test_windows_switches(site, tmp_path):
    """Each of them counts the events that docs/events.md gives the same Windows event, by who it was."""
    names = summary(site)["windows_switches"]
    assert names["AuditClientSpnSupport"]["addresses"].keys() == {BARE, RCLONE}
    sections = documented("events.md").split("\n### ")[1:]
    numbered = {section.split("`")[1]: int(number.group(1)) for section in sections
                if (number := re.search(r"Windows event: (\d+) in", section))}
    for name, told in names.items():
        assert re.search(rf"^\|.*\b{name.split()[0]}\b.*\|", documented("switches.md"), re.MULTILINE), name
        number = told.get("windows_event_id")
        if number is None:
            continue
        events = sorted(kind for kind, other in numbered.items() if other == number)
        log = write(tmp_path / name, *[event(kind, client_address="192.0.2.7", upstream_address="192.0.2.8",
                                             repeats=3) for kind in events])
        found = json.loads(audit(site, "--summary", "--json", log=log))["windows_switches"][name]
        who = "192.0.2.8" if "file_servers" in found else "192.0.2.7"
        assert found["addresses"] == {who: 3 * len(events)} and found["events"] == 3 * len(events), name


def cef(line):
    """Header fields and extension of a line, taken apart as the format says."""
    assert line.startswith("CEF:0|")
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    pairs = re.findall(r"(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)", parts[7])
    undo = {"\\\\": "\\", "\\=": "=", "\\|": "|", "\\n": "\n", "\\r": "\r"}
    return [re.sub(r"\\[\\|]", lambda match: undo[match.group()], part) for part in parts[1:7]], {
        key: re.sub(r"\\[\\=nr]", lambda match: undo[match.group()], value) for key, value in pairs}


def test_table_as_cef(site):
    """A line for each client, with its number of connections and what would break it."""
    found = who(summary(site))
    lines = [cef(line) for line in audit(site, "--summary", "--cef").splitlines()]
    assert len(lines) == len(found)
    for head, fields in lines:
        client = found[fields["src"]]
        assert head[:2] == ["Countersign", "Countersign"] and head[3] == "client_summary"
        assert fields["cnt"] == str(client["connections"]) and fields["cn1"] == str(client["logins"])
        assert fields["cs1"] == (client["client_dialect"] or "-") and fields["cs5"] == client["target_name"]
        assert fields["msg"] == (", ".join(f"{name} ({number})" for name, number
                                           in client["would_break"].items()) or "-")


# Filters.

def chosen(site, *arguments, **options):
    return [json.loads(line) for line in audit(site, "--json", *arguments, **options).splitlines()]


def agrees(site, names, client, user, between):
    """One choice of filters, against the same choice in another language."""
    times = [each["time"] for each in site.events]
    since, until = (times[index] if index is not None else None for index in between)
    arguments = [part for name in names for part in ("--event", name)]
    for option, value in (("--client", client), ("--user", user), ("--since", since), ("--until", until)):
        arguments += [option, value] if value else []
    network = client and ipaddress.ip_network(client)
    wanted = [each for each in site.events
              if (not names or each["event"] in names)
              and (not network or ("client_address" in each
                                   and ipaddress.ip_address(each["client_address"]) in network))
              and (not user or each.get("user", "").lower() == user.lower())
              and (not since or each["time"] >= since) and (not until or each["time"] < until)]
    assert chosen(site, *arguments) == wanted, arguments
    return bool(wanted)


def test_filters_agree(site):
    found = [agrees(site, *filters) for filters in itertools.product(
        ((), ("login",), ("login", "link", "login_refused")),
        (None, BARE, "127.0.9.8/29", "127.0.9.16/30", "192.0.2.0/24"),
        (None, "ALICE", "nobody"), ((None, None), (4, None), (None, -9), (5, -5)))]
    assert 20 < sum(found) < len(found) - 20


def test_filters_apply_to_the_summary(site):
    found = who(summary(site, "--client", "127.0.9.12/31"))
    assert set(found) == {"127.0.9.12", "127.0.9.13"}
    assert who(summary(site, "--event", "link"))[TICKET]["logins"] == 0
    assert set(who(summary(site, "--user", "bob"))) >= {BOTH, GUESSER}
    assert not summary(site, "--since", "2999-01-01")["clients"]


# Logs that no run of ours brings.

def write(path, *events):
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n"
                            for each in events))
    return path


def event(name, **fields):
    return {"time": "2024-05-06T07:08:09.000000Z", "event": name, "severity": "info",
            "client_address": "192.0.2.1", **fields}


def test_folded_lines_count_for_all_they_stand_for(site, tmp_path):
    """Connections, logins, refusals and what would have been refused."""
    old = {"client_dialect": "2.1", "client_signing": "HMAC-SHA256"}
    log = write(tmp_path / "log",
                event("link", **old), event("link", repeats=9, **old),
                event("link", repeats=100),  # of which not even the dialect is the same
                event("login", mechanism="ntlm", verdict="allowed"),
                event("login", mechanism="ntlm", verdict="allowed", repeats=6),
                event("login", mechanism="kerberos", repeats=2),
                event("mic_absent", repeats=6), event("mic_absent"),
                event("login_refused", verdict="refused", repeats=40),
                event("rule_audit", verdict="recorded", rule="soon", reason="encryption", repeats=5))
    found = summary(site, log=log)
    assert found["clients"][0] == {
        "client_address": "192.0.2.1", "client_dialect": "2.1", "client_signing": "HMAC-SHA256",
        "client_cipher": "", "mic": "no", "target_name": "yes", "last_seen": "2024-05-06T07:08:09.000000Z",
        "connections": 110, "logins": 9, "kerberos": 2, "ntlm": 7, "refused": 40,
        "would_break": {"min_dialect: 3.0": 10, "min_dialect: 3.1.1": 10, "encryption: required": 10,
                        "mechanisms: [kerberos]": 7, "mic: required": 7}}
    assert found["audited_rules"] == [{"rule": "soon", "reason": "encryption", "events": 5, "clients": 1,
                                       "addresses": {"192.0.2.1": 5}}]
    assert " 40 more: refused" in audit(site, log=log)
    assert "cnt=40 " in audit(site, "--cef", "--event", "login_refused", log=log)


def test_cef_of_hostile_names(site, tmp_path):
    """What a client calls itself ends no field, no line, and begins no event."""
    name = "a|b=c\\d\ne\rf CEF:0|x| src=6.6.6.6 \x07"
    log = write(tmp_path / "log", event("login_refused", user=name, verdict="refused", share=name,
                                        rule=name, workstation="ü"))
    lines = audit(site, "--cef", log=log).split("\n")
    assert len(lines) == 2 and lines[1] == "" and "\r" not in lines[0]
    head, fields = cef(lines[0])
    assert head[3] == "login_refused" and fields["src"] == "192.0.2.1"
    clean = name.replace("\x07", "?")
    assert fields["suser"] == fields["filePath"] == fields["flexString1"] == clean
    assert fields["shost"] == "ü" and " a|b\\=c\\\\d\\ne\\rf" in lines[0].replace("suser=", "suser= ")
    head, _ = cef(audit(site, "--cef", log=write(tmp_path / "other", event("a|b\\c"))).rstrip("\n"))
    assert head[3] == "a|b\\c"
    text = audit(site, log=log)
    assert len(text.splitlines()) == 2 and "\x07" not in text


def test_cef_of_who_a_session_tried_to_become(site, tmp_path):
    log = write(tmp_path / "log", event("identity_changed", user="alice", claimed="CORP\\bob"))
    _, fields = cef(audit(site, "--cef", log=log).rstrip("\n"))
    assert (fields["suser"], fields["flexString2Label"], fields["flexString2"]) == ("alice", "claimed", "CORP\\bob")


def test_damaged_lines(site, tmp_path):
    whole = json.dumps(event("login", user="alice"))
    log = write(tmp_path / "log", whole, whole[:40], "", "[1]", "null", '{"event": "login"}', "\0\0\0",
                "x" * 300_000, whole + whole, "[" * 5000, whole)
    done = command("audit", "--json", str(log))
    assert done.returncode == 0 and done.stdout == 2 * (whole.replace(": ", ":").replace(", ", ",") + "\n")
    assert "8 damaged lines passed over" in done.stderr
    found = summary(site, log=log)
    assert (found["lines"], found["damaged"]) == (2, 8)


def test_several_files_in_their_order(site, tmp_path):
    one, two = (write(tmp_path / name, event("login", user=name)) for name in ("one", "two"))
    packed = tmp_path / "three.gz"
    with gzip.open(packed, "wt") as file:
        file.write(json.dumps(event("login", user="three")) + "\n")
    done = command("audit", "--json", str(two), str(packed), "/nowhere/log", str(one))
    assert [json.loads(line)["user"] for line in done.stdout.splitlines()] == ["two", "three", "one"]
    assert done.returncode == 1 and "/nowhere/log" in done.stderr
    packed.write_bytes(packed.read_bytes()[:-12])
    done = command("audit", "--json", str(packed))
    assert done.returncode == 1 and str(packed) in done.stderr


def within(memory, *arguments):
    """What it says, and the seconds; it gets no more memory than this (a sanitizer needs it all)."""
    began = time.monotonic()
    limit = [] if SANITIZED else ["prlimit", f"--data={memory}"]
    done = run([*limit, BINARY, "audit", *arguments], 120)
    assert done.returncode == 0, done.stderr
    return done.stdout, time.monotonic() - began


def test_a_million_lines(tmp_path):
    """From more clients than are told one by one, in memory that does not grow with the lines. (Fewer
    where a sanitizer makes everything slow.)"""
    lines = 200_000 if SANITIZED else 1_000_000
    log = tmp_path / "huge"
    line = ('{"time":"2024-05-06T07:08:09.%06dZ","event":"%s","severity":"info","verdict":"refused",'
            '"client_address":"%s","client_dialect":"2.1","rule":"r%d","user":"user%d","mechanism":"ntlm"}\n')
    names = ("link", "login", "rule_audit", "login_refused")
    with open(log, "w", encoding="ascii") as file:
        for number in range(lines):
            address = ipaddress.ip_address(0x0A000000 + number % 200_000)
            file.write(line % (number, names[number % 4], address, number % 1200, number))
    said, seconds = within(400 << 20, "--summary", "--json", str(log))
    assert seconds < 60
    found = json.loads(said)
    assert (found["lines"], found["damaged"]) == (lines, 0)
    assert len(found["clients"]) == 65536 and found["beyond"] > 0 and len(found["audited_rules"]) == 256
    said, seconds = within(8 << 20, "--event", "login", "--client", "10.0.0.0/20", "--json", str(log))
    assert seconds < 60
    assert len(said.splitlines()) == lines // 200_000 * 1024


def test_while_it_is_written():
    """A log that grows meanwhile has no damaged line, and never fewer than before."""
    with Nas() as server, Rig(server) as rig:
        counted = []
        for number in range(12):
            with RawClient(*rig.direct) as client:
                client.negotiate(ALL_DIALECTS[:1 + number % 5])
                client.login("alice").tree_connect()
                before = len(rig.proxy.events())
                running = [subprocess.Popen([BINARY, "audit", "--summary", "--json", rig.proxy.audit_file],
                                            stdout=subprocess.PIPE, text=True) for _ in range(2)]
                for _ in range(20):
                    with pytest.raises(Failed):
                        client.login("bob", "wrong")
                for each in running:
                    found = json.loads(each.communicate(timeout=60)[0])
                    assert found["damaged"] == 0 and found["lines"] >= before
                    counted.append(found["lines"])
        assert len(set(counted)) > 5
