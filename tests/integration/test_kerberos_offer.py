"""The file server's offer of Kerberos is remembered: somebody on the way takes it out, or it is gone.

It stands in the NEGOTIATE response, before any login (MS-SPNG 2.2.1). Below 3.1.1 nothing protects that.
"""

import struct

import pytest

import smb2
import spnego
from capture import TO_CLIENT
from kerberosrig import KerberosRig
from proxy import command

TOKEN_FIELDS = 120  # of a NEGOTIATE response: offset and length of the security buffer
UNPROTECTED = "3.0.2"
NOBODYS_OID = bytes.fromhex("2a864886f7120102ff")
ALICE = {"name": "steady", "who": ["alice"], "then": "allow", "demand": {"pin": True}}


def make_unknown(token):
    """As long as it was."""
    return token.replace(spnego.OID_MS_KERBEROS, NOBODYS_OID).replace(spnego.OID_KERBEROS, NOBODYS_OID)


def take_off(_):
    """NTLM is all that is left."""
    return spnego.init_token([spnego.OID_NTLMSSP], None)


def cut_out(_):
    """No list at all, which is allowed."""
    return b""


STRIPPED = pytest.mark.parametrize("edit", [make_unknown, take_off, cut_out])


class Stripper:
    """A hook for the relay before the file server: edits what it offers."""

    def __init__(self, edit):
        self.edit = edit

    def __call__(self, _, direction, data):
        if direction != TO_CLIENT or smb2.parse_header(data).command != smb2.NEGOTIATE:
            return None
        at, size = struct.unpack_from("<HH", data, TOKEN_FIELDS)
        token = self.edit(data[at:at + size])
        assert token != data[at:at + size], "the file server offers no Kerberos"
        return [data[:TOKEN_FIELDS + 2] + struct.pack("<H", len(token)) + data[TOKEN_FIELDS + 4:at] +
                token + data[at + size:]]


@pytest.fixture(scope="module")
def server(realm):
    with realm.file_server("offering") as file_server:
        yield file_server


def rig_before(realm, server, *rules, **on_upstream):
    """Users with tickets, and users with passwords."""
    return KerberosRig(realm, server, login=["ticket", "same"], on_upstream=on_upstream,
                       extra={"rules": list(rules)})


def forget(rig):
    """`countersign forget` of the file server, once it has been done."""
    rig.proxy.mark()
    done = command("forget", "--config", rig.proxy.configuration, "--upstream", "recorded")
    assert done.returncode == 0, done.stderr
    rig.proxy.wait_event("memory_forgotten")


def told(rig, verdict):
    """The event of it: Kerberos is missing, and nothing else."""
    event = rig.proxy.wait_event("downgrade", leg="upstream", reason="kerberos", verdict=verdict)
    assert event["remembered"] == event["chosen"] + " kerberos" and event["upstream"] == "recorded"
    assert event["severity"] == "error"


def reset(rig, edit):
    """For the next attempt; with an edit, somebody is on the way."""
    rig.reset()
    rig.upstream_relay.hook = edit and Stripper(edit)


def assert_recorded(rig, client, edit=None):
    """Who has a password logs in all the same, and each time it is told."""
    for _ in range(2):
        reset(rig, edit)
        client.must("ls", user="alice")
        told(rig, "recorded")
        assert rig.proxy.wait_event("login", user="alice")["login"] == "same"
        assert not rig.proxy.seen("login_refused") and not rig.proxy.seen("server_changed")


def assert_pinned(rig, client, edit=None):
    """Nothing but the NEGOTIATE reaches the file server, whoever comes and as often as it is tried."""
    ticket = rig.realm.kinit("alice")
    for login in ({"user": "alice"}, {"ticket": ticket}, {"user": "alice"}):
        reset(rig, edit)
        client.refused(**login)
        told(rig, "refused")
        assert {request.command for request in rig.at_server()} == {smb2.NEGOTIATE}
        assert not rig.proxy.seen("login")


def assert_ruled_out(rig, client, edit=None):
    """Whom the rule means: of that login the file server hears nothing. The others get in."""
    for _ in range(2):
        reset(rig, edit)
        assert "NT_STATUS_ACCESS_DENIED" in client.refused(user="alice")
        told(rig, "recorded")
        refused = rig.proxy.wait_event("rule_refused", user="alice", rule="steady")
        assert refused["reason"] == "pin" and not rig.at_server(smb2.SESSION_SETUP)
        client.must("ls", user="bob")


def as_ever(rig, client):
    """A user without Kerberos logs in, and nothing is told."""
    rig.reset()
    client.must("ls", user="alice")
    client.must("ls", user="alice")
    assert not rig.proxy.seen("downgrade")


def test_passwords_beside_tickets(realm, server, tmp_path):
    """Which login a user comes to says nothing of the file server."""
    with rig_before(realm, server, downgrade="pin") as rig:
        client = rig.smbclient(tmp_path)
        client.must("ls", ticket=realm.kinit("bob"))
        assert rig.proxy.wait_event("login", user="bob")["login"] == "ticket"
        client.must("ls", user="alice")
        client.must("ls", ticket=realm.kinit("bob"))
        assert rig.proxy.wait_event("login_fallback", user="alice")["reason"] == "no_credential"
        assert not rig.proxy.seen("downgrade", leg="upstream")


@STRIPPED
def test_stripped_and_recorded(realm, server, tmp_path, edit):
    with rig_before(realm, server, max_dialect=UNPROTECTED) as rig:
        client = rig.smbclient(tmp_path)
        as_ever(rig, client)
        assert_recorded(rig, client, edit)
        as_ever(rig, client)


def test_stripped_where_the_login_shows_it(realm, server, tmp_path):
    """At 3.1.1 it is told before, and the login after it comes to nothing."""
    with rig_before(realm, server) as rig:
        client = rig.smbclient(tmp_path)
        as_ever(rig, client)
        reset(rig, make_unknown)
        client.refused(user="alice")
        told(rig, "recorded")
        rig.proxy.wait_event("preauth_mismatch", leg="upstream")
        assert not rig.proxy.seen("login")


@STRIPPED
def test_stripped_and_pinned(realm, server, tmp_path, edit):
    with rig_before(realm, server, max_dialect=UNPROTECTED, downgrade="pin") as rig:
        client = rig.smbclient(tmp_path)
        as_ever(rig, client)
        assert_pinned(rig, client, edit)
        rig.proxy.stop()
        rig.proxy.start()
        assert_pinned(rig, client, edit)
        as_ever(rig, client)


@STRIPPED
def test_stripped_and_ruled_out(realm, server, tmp_path, edit):
    with rig_before(realm, server, ALICE, max_dialect=UNPROTECTED) as rig:
        client = rig.smbclient(tmp_path)
        as_ever(rig, client)
        assert_ruled_out(rig, client, edit)
        as_ever(rig, client)


@pytest.mark.parametrize("assert_noticed, rules, on_upstream", [
    (assert_recorded, [], {}),
    (assert_pinned, [], {"downgrade": "pin"}),
    (assert_ruled_out, [ALICE], {}),
], ids=["recorded", "pinned", "ruled out"])
def test_file_server_without_kerberos(realm, tmp_path, assert_noticed, rules, on_upstream):
    """smbd is configured to take passwords alone; what it once could is forgotten on demand, and learnt
    again."""
    host = f"nas{len(realm.hosts)}"
    with realm.file_server(host) as server, rig_before(realm, server, *rules, **on_upstream) as rig:
        client = rig.smbclient(tmp_path)
        with_kerberos = server.extra
        as_ever(rig, client)
        server.restart(extra={})
        assert_noticed(rig, client)
        forget(rig)
        as_ever(rig, client)
        server.restart(extra=with_kerberos)
        as_ever(rig, client)
        server.restart(extra={})
        assert_noticed(rig, client)
