"""No password, hash or key leaves the process that must hold it: not into a log, not into another.

The passwords, the NT hashes and, from the recordings, every session and signing key of a run with
good and bad logins are looked for in all that the proxy wrote, and in the memory of its processes.
"""

import base64
import re

import pytest

import bodies
import smb2
from harness import USERS
from ntlm import ntowf_v2, nt_hash
from rawclient import Disconnected, Failed
from rig import Rig
from verify import Checker

WRONG = "Not.The.Pw7"


def spellings(secret):
    """How bytes might be written down by mistake."""
    return {secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret),
            secret.hex(" ").encode(), secret.hex(":").encode(), secret}


@pytest.fixture(scope="module")
def busy_rig(nas):
    """A proxy that has seen good logins, bad ones, re-authentication and tampering; its keys."""
    mapped = {"dora": ("bob", USERS["bob"])}
    users = dict(USERS, dora="Dora.Pw4")
    with Rig(nas, users=users, mapped=mapped, on_upstream={"login": ["mapped", "same"]}) as rig:
        client, session = rig.established("alice")
        session.close(session.create("f"))
        client.login("alice", session=session)
        session.logoff()
        with client:
            for attempt in (dict(password=WRONG), dict(user="nobody", password=WRONG),
                            dict(version="v1", mic="none"), dict(mic="wrong"),
                            dict(target_name="cifs/elsewhere")):
                with rig.raw() as other:
                    other.negotiate()
                    with pytest.raises((Failed, Disconnected)):
                        other.login(**attempt)
        broken, session = rig.established("bob")
        with broken:
            broken.send(smb2.ECHO, bodies.empty(), session, sign_as="flipped")
            assert broken.ends()
        rig.keys = set()
        for client_leg, upstream_leg in rig.reports(users):
            for leg in (client_leg, upstream_leg):
                rig.keys |= leg.keys | leg.session_keys
        rig.kept, rig.kept_session = rig.established("alice")
        with rig.kept:
            yield rig


def secrets(rig):
    found = {f"key {key.hex()}": key for key in rig.keys}
    for user, password in {**rig.proxy.users, "wrong": WRONG}.items():
        found[f"password of {user}"] = password.encode()
        found[f"password of {user}, UTF-16"] = password.encode("utf-16-le")
        found[f"NT hash of {user}"] = nt_hash(password)
        found[f"NTLMv2 key of {user}"] = ntowf_v2(password, user, "")
    return found


def test_nothing_secret_is_written(busy_rig):
    rig = busy_rig
    assert len(rig.keys) >= 4
    rig.proxy.wait_event("bad_signature")
    with open(rig.proxy.audit_file, "rb") as file:
        written = file.read()
    written += rig.proxy.stderr().encode()
    assert b"alice" in written and b"wrong_password" in written
    for what, secret in secrets(rig).items():
        for spelling in spellings(secret):
            assert spelling not in written, what


def test_nothing_secret_is_in_command_lines_or_environments(busy_rig):
    for pid in (busy_rig.proxy.process.pid, *busy_rig.proxy.children()):
        shown = b""
        for name in ("cmdline", "environ", "comm"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                shown += file.read()
        for what, secret in secrets(busy_rig).items():
            assert secret not in shown, what


def memory_of(pid):
    """All readable memory of a process."""
    parts = []
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not area or "[v" in line:
                continue
            begin, end = (int(text, 16) for text in area.groups())
            if end - begin > 1 << 28:
                continue  # address space that a sanitizer reserves
            try:
                memory.seek(begin)
                parts.append(memory.read(end - begin))
            except (OSError, OverflowError, ValueError):
                continue
    return b"".join(parts)


def test_only_the_keeper_holds_long_term_secrets(busy_rig):
    """And nobody but a worker the keys of sessions; ended sessions leave none behind."""
    proxy = busy_rig.proxy
    hashes = {user: nt_hash(password) for user, password in proxy.users.items()}
    (keeper,) = proxy.children("keeper")
    held = memory_of(keeper)
    assert all(secret in held for secret in hashes.values()), "the search finds nothing: it proves nothing"
    others = [proxy.process.pid, *(pid for pid in proxy.children() if pid != keeper)]
    for pid in others:
        held = memory_of(pid)
        for user, secret in hashes.items():
            assert secret not in held, f"NT hash of {user} in process {pid}"
            assert ntowf_v2(proxy.users[user], user, "") not in held
            assert secret.hex().encode() not in held.lower()
    for pid in (proxy.process.pid, *proxy.children()):
        held = memory_of(pid)
        for key in busy_rig.keys:
            assert key not in held, f"key of an ended session in process {pid}"
    busy_rig.kept_session.must(smb2.ECHO, bodies.empty())


@pytest.mark.parametrize("end", ["logoff", "disconnect"])
@pytest.mark.parametrize("dialect", [0x210, 0x302, 0x311])
def test_key_lives_in_its_worker_and_dies_with_its_session(busy_rig, dialect, end):
    """Looked for while the session lives, where it must be found, and right after its end."""
    rig = busy_rig
    rig.proxy.mark()
    (worker,) = rig.proxy.children("worker")
    client, session = rig.established(dialects=[dialect])
    checker = Checker(USERS)
    for frame in list(rig.client_relay.connections[-1].frames):
        checker.feed(frame.direction, frame.data)
    (exported,) = checker.report.session_keys
    assert session.key in memory_of(worker), "the search finds nothing: it proves nothing"
    for pid in (rig.proxy.process.pid, *rig.proxy.children()):
        if pid != worker:
            assert session.key not in memory_of(pid), pid
    if end == "logoff":
        session.logoff()
    client.__exit__()
    rig.proxy.wait_event("link_ended")
    for pid in (rig.proxy.process.pid, *rig.proxy.children()):
        held = memory_of(pid)
        assert session.key not in held and exported not in held, pid
