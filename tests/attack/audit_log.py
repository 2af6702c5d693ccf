"""What the audit log must say of an attack: exactly that, of exactly him, and no secret.

Each attack has a run of the proxy of its own, which is ended before its log is looked at: then
nothing can still come, and its `counters` must be those of the lines.
"""

import json

import leaks
from harness import USERS, wait_until

# Who attacks; everybody else here connects from 127.0.0.1, or from VICTIM where both do.
ATTACKER, VICTIM = "127.0.13.13", "127.0.14.14"
LOUD = ("warning", "error")
ESTABLISHED, SYN_RECEIVED, CLOSE_WAIT = "01", "03", "08"


def _connected(entry):
    """How many connections the proxy has at a listener, those it has not heard of included."""
    octets = bytes(reversed([int(octet) for octet in entry["address"].split(".")]))
    local = f"{octets.hex().upper()}:{entry['port']:04X}"
    with open("/proc/net/tcp", encoding="ascii") as file:
        fields = [line.split() for line in file]
    return sum(field[1] == local and field[3] in (ESTABLISHED, SYN_RECEIVED, CLOSE_WAIT)
               for field in fields)


def end(proxy):
    """Ends the run when its last client has gone; all its events. The counters must agree."""
    wait_until(lambda: not sum(map(_connected, proxy.listeners)), "the last client to go")
    proxy.stop()
    events = proxy.events()
    counters = events[-1]
    assert counters["event"] == "counters" and counters["lost"] == counters["folded"] == 0, counters
    lines = {}
    for event in events[:-1]:
        assert "repeats" not in event and "lost_before" not in event, event
        lines[event["event"]] = lines.get(event["event"], 0) + 1
    assert counters["counts"] == lines
    return events


def alarms(events):
    """Those that tell of an attack: severe, or with something refused."""
    return [event for event in events
            if event["severity"] in LOUD or event.get("verdict") == "refused"]


def assert_alarms(events, expected):
    """Each of `expected` (dictionaries of fields) once, and no other alarm."""
    left, seen = list(expected), "\n".join(json.dumps(event) for event in alarms(events))
    for event in alarms(events):
        match = [fields for fields in left
                 if all(event.get(name) == value for name, value in fields.items())]
        assert match, f"not expected: {json.dumps(event)}\nof\n{seen}\nexpected: {expected}"
        left.remove(match[0])
    assert not left, f"not there: {left}\nof\n{seen}"


def assert_no_secret(proxy, secrets):
    """In nothing that the proxy writes."""
    texts = {"standard error": proxy.stderr()}
    for name, path in (("audit log", proxy.audit_file), ("state", proxy.state_file)):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                texts[name] = file.read()
        except FileNotFoundError:
            assert name == "state"
    secrets = {**leaks.of_passwords(proxy.users), **secrets}
    for name, text in texts.items():
        leaked = leaks.find(text, secrets)
        assert not leaked, f"{name}: {leaked}"


def assert_log(proxy, expected, secrets):
    """Ends the run: the alarms of its log are those expected, and it tells no secret."""
    for fields in expected:
        proxy.wait_event(**{"name" if key == "event" else key: value for key, value in fields.items()})
    events = end(proxy)
    assert_alarms(events, expected)
    assert_no_secret(proxy, secrets)
    return events


def told(event, verdict="refused", client_address=ATTACKER, **fields):
    """What is expected of one alarm."""
    return {"event": event, "verdict": verdict, "client_address": client_address, **fields}


def of_the_way(rig):
    """Fields of an alarm about somebody between proxy and file server: his is the address there, and
    the client is whoever just then came."""
    return {"leg": "upstream", "upstream_address": rig.upstream_relay.address,
            "upstream_port": rig.upstream_relay.port}


def secrets_of(rig, passwords=None):
    """Every secret of all that was recorded on both legs."""
    found = {}
    for side, relay in (("client", rig.client_relay), ("upstream", rig.upstream_relay)):
        for number, connection in enumerate(relay.connections):
            for name, value in leaks.of_connection(connection, passwords or USERS,
                                                    rig.keys).items():
                found[f"{side} {number}: {name}"] = value
    return found


def assert_told(rig, *expected, secrets=None, passwords=None):
    """Ends the rig's proxy: its whole log has these alarms (see `told`), and no secret of anything that
    was recorded or is in `secrets`."""
    found = {**secrets_of(rig, passwords), **(secrets or {})}
    return assert_log(rig.proxy, list(expected), found)
