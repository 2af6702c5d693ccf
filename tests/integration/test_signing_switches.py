"""The truth table of signing: every setting of a client against every setting of a file server.

Each meeting ends in one of two ways: both legs are signed, or there is no session. docs/switches.md
has the same table.
"""

import re

import pytest

import smb2
from capture import TO_CLIENT, TO_SERVER, Relay
from nas import Nas
from proxy import ROOT
from rawclient import Disconnected, Failed
from rig import Rig
from smbtools import SmbClient

SERVER = ("disabled", "auto", "mandatory")
CLIENT = ("off", "if_required", "mandatory")
DIALECTS = ("2.0.2", "2.1", "3.0", "3.1.1")
# SecurityMode of a NEGOTIATE: EnableSecuritySignature and RequireSecuritySignature of Windows.
MODES = {"neither": 0, "enabled": 1, "required": 2, "enabled and required": 3}


@pytest.fixture(scope="module", params=SERVER)
def server_rig(request):
    with Nas(signing=request.param) as nas, Rig(nas) as rig:
        rig.signing = request.param
        yield rig


def outcome(rig, directory, client, dialect):
    """Runs smbclient: "signed" (checked on both legs) or "refused"."""
    rig.reset()
    rig.server.empty_share()
    (directory / "in").write_bytes(b"content")
    done = rig.smbclient(directory).run("put in f; get f out; del f", dialect=dialect,
                                        options=[f"--option=client signing={client}"])
    if done.returncode:
        assert not rig.at_server(smb2.TREE_CONNECT)
        return "refused"
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert client_leg.signed >= 6 and upstream_leg.signed >= 6
    return "signed"


def directly(server, directory, client, dialect):
    """The same without Countersign: "signed" or "unsigned"; by what goes over the wire."""
    (directory / "in").write_bytes(b"content")
    server.empty_share()
    with Relay((server.address, server.port)) as relay:
        SmbClient(str(directory), relay.address, relay.port).must(
            "put in f; del f", dialect=dialect, options=[f"--option=client signing={client}"])
        relay.wait_ended()
        sent = relay.last().messages(TO_SERVER, smb2.WRITE)
        assert sent
        return "signed" if all(message.flags & smb2.SIGNED for message in sent) else "unsigned"


def documented():
    """The table of docs/switches.md: (client, server) → outcome and outcome without Countersign."""
    with open(f"{ROOT}/docs/switches.md", encoding="utf-8") as file:
        rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", file.read(), re.MULTILINE)
    table = {}
    for client, cells in rows:
        if client in CLIENT:
            for server, cell in zip(SERVER, cells.split(" | ")):
                here, without = cell.split("; directly ")
                table[client, server] = here.strip(), without.strip()
    return table


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("client", CLIENT)
def test_truth_table(server_rig, tmp_path, client, dialect):
    here, without = documented()[client, server_rig.signing]
    assert outcome(server_rig, tmp_path, client, dialect) == here == "signed"
    assert directly(server_rig.server, tmp_path, client, dialect) == without


@pytest.mark.parametrize("name", MODES)
def test_security_mode_of_a_client(server_rig, name):
    """SMB2 ignores `enabled`: whoever signs gets in; what it says otherwise is recorded at most."""
    server_rig.reset()
    with server_rig.raw() as client:
        assert client.negotiate(security_mode=MODES[name]).security_mode == 3
        session = client.login()
        session.tree_connect()
    server_rig.proxy.wait_event("link_ended")
    told = server_rig.proxy.seen("client_no_signing")
    assert bool(told) == (name == "neither")
    if told:
        assert (told[0]["windows_event_id"], told[0]["verdict"]) == (3021, "recorded")


def test_client_that_does_not_sign(server_rig):
    """… is refused at its first request, with 3021."""
    server_rig.reset()
    with server_rig.raw() as client:
        client.negotiate(security_mode=0)
        session = client.login()
        with pytest.raises((Disconnected, Failed)):
            session.tree_connect(sign_as="none")
    assert server_rig.proxy.wait_event("unsigned_refused")["windows_event_id"] == 3021
    assert not server_rig.at_server(smb2.TREE_CONNECT)


def test_server_without_signing():
    """31998: a file server whose NEGOTIATE says that it has no signing; here, one made to say so."""
    with Nas() as nas, Rig(nas) as rig:
        def no_signing(_, direction, data):
            if direction == TO_CLIENT and smb2.parse_header(data).command == smb2.NEGOTIATE:
                return [data[:66] + b"\0\0" + data[68:]]
            return None
        rig.upstream_relay.hook = no_signing
        with rig.raw() as client, pytest.raises((Disconnected, Failed)):
            client.negotiate()
        told = rig.proxy.wait_event("upstream_no_signing", verdict="refused")
        assert told["windows_event_id"] == 31998


def test_both_sides_are_asked_to_sign(server_rig):
    """RequireSecuritySignature, on both legs: in every NEGOTIATE of ours."""
    server_rig.reset()
    server_rig.established()[0].__exit__()
    asked = server_rig.at_server(smb2.NEGOTIATE)
    assert asked and all(smb2.parse_negotiate_request(message.raw).security_mode == 3 for message in asked)
    told = [message for connection in server_rig.client_relay.connections
            for message in connection.messages(TO_CLIENT, smb2.NEGOTIATE)]
    assert told and all(smb2.parse_negotiate_response(message.raw).security_mode == 3 for message in told)
