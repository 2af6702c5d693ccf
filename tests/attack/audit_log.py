"""What the audit log must say of an attack, and what it must not."""

import ntlm
from harness import USERS


def attacker(rig):
    """Who the proxy's client leg talked to: the relay before it."""
    return rig.client_relay.last().source


def assert_told(rig, event, **fields):
    """One refusal, of exactly this kind, with the attacker's address; the event."""
    told = rig.proxy.wait_event(event, verdict="refused", **fields)
    assert told["client_address"] == attacker(rig)
    kinds = {seen["event"] for seen in rig.proxy.seen() if seen.get("verdict") == "refused"}
    assert kinds == {event}
    assert_nothing_leaked(rig)
    return told


def assert_nothing_leaked(rig, secrets=()):
    """No password, hash or token in it, whatever was refused."""
    with open(rig.proxy.audit_file, encoding="utf-8") as file:
        text = file.read()
    for password in USERS.values():
        assert password not in text
        assert ntlm.nt_hash(password).hex() not in text.lower()
    for secret in secrets:
        assert secret.hex() not in text.lower()
