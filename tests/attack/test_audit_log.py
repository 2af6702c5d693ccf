"""The helpers that judge the log find what they are there to find."""

import base64
import json
import os

import pytest

import leaks
from audit_log import (ATTACKER, VICTIM, assert_alarms, assert_no_secret, assert_told, secrets_of,
                       told)
from rawclient import Failed

REFUSED = told("mic_refused", leg="client")
LOG = [{"event": "link", "severity": "info", "verdict": "allowed"},
       {"event": "mic_refused", "severity": "error", "verdict": "refused", "leg": "client",
        "client_address": ATTACKER},
       {"event": "link_ended", "severity": "info"}]
WRONG = {
    "nothing": [],
    "another event": [told("bad_signature", leg="client")],
    "another address": [told("mic_refused", leg="client", client_address=VICTIM)],
    "another leg": [told("mic_refused", leg="upstream")],
    "one that is not there": [REFUSED, told("login_refused")],
    "the same twice": [REFUSED, REFUSED],
}


def test_exactly_what_is_expected():
    assert_alarms(LOG, [REFUSED])


@pytest.mark.parametrize("expected", WRONG)
def test_anything_else_is_found(expected):
    with pytest.raises(AssertionError):
        assert_alarms(LOG, WRONG[expected])


def test_what_is_not_loud_but_refused_is_an_alarm():
    quiet = {"event": "binding_refused", "severity": "notice", "verdict": "refused"}
    with pytest.raises(AssertionError):
        assert_alarms([*LOG, quiet], [REFUSED])


SECRET = os.urandom(16)
FORMS = {
    "hex": SECRET.hex(),
    "upper case": SECRET.hex().upper(),
    "with colons": SECRET.hex(":"),
    "with spaces": SECRET.hex(" "),
    "as C has it": ", ".join(f"0x{byte:02x}" for byte in SECRET),
    "escaped": "".join(f"\\x{byte:02x}" for byte in SECRET),
    "the other way round": SECRET[::-1].hex(),
    **{f"base64 after {before} bytes": base64.b64encode(b"x" * before + SECRET + b"yz").decode()
       for before in range(4)},
    "base64 for addresses": base64.urlsafe_b64encode(SECRET).decode(),
    "base64 in JSON": base64.b64encode(SECRET).decode().replace("/", "\\/"),
}


@pytest.mark.parametrize("form", FORMS)
def test_secret_is_found(form):
    line = json.dumps({"event": "login", "text": "of alice"})
    assert leaks.find(line + FORMS[form] + line, {"key": SECRET}) == ["key"]
    assert not leaks.find(line, {"key": SECRET})


@pytest.mark.parametrize("text", ["Alice.Pw1", json.dumps("Alice.Pw1\0"), "\0".join("Alice.Pw1"),
                                  json.dumps("\0".join("Alice.Pw1")), b"Alice.Pw1".hex(),
                                  base64.b64encode("Alice.Pw1".encode("utf-16-le")).decode()])
def test_password_is_found(text):
    assert leaks.find(f"user alice, {text}", leaks.of_passwords({"alice": "Alice.Pw1"}))


def test_secrets_are_known_and_looked_for(rig):
    """Each kind of secret of a real login, of both legs, is one that would be found in this log."""
    with rig.raw() as client:
        client.negotiate()
        client.login()
        known = list(client.sessions.values())[0].key
        with pytest.raises(Failed):
            client.login("bob", "wrong password")
    told_ones = told("login_refused"), told("login_abandoned", "recorded")
    assert_told(rig, *told_ones)
    found = secrets_of(rig)
    kinds = {"proof", "NT response", "encrypted key", "MIC", "NTLMv2 hash", "base key", "session key"}
    for side in ("client", "upstream"):
        assert kinds <= {name.partition(": ")[2].partition(" of login")[0]
                         for name in found if name.startswith(side)}
    assert known in found.values()
    for name, secret in found.items():
        with open(rig.proxy.audit_file, "a", encoding="utf-8") as log:
            log.write(json.dumps({"text": secret.hex()}) + "\n")
        with pytest.raises(AssertionError, match=name.partition(" of login")[0]):
            assert_no_secret(rig.proxy, {name: secret})
