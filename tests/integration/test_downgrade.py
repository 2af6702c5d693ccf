"""What an end once could is remembered, and less is noticed: with clients and servers that change."""

import os
import signal
from contextlib import ExitStack

import pytest

import smb2
from harness import wait_until
from kerberosrig import KerberosRig
from nas import Nas
from proxy import UIDS, Proxy, command, listener, upstream
from rawclient import Disconnected, Failed, RawClient
from smbcrypto import AES_CMAC
from smbtools import SmbClient
from stubserver import StubServer

GUID = bytes(range(1, 17))
GUID_TEXT = "04030201-0605-0807-090a-0b0c0d0e0f10"
AES_256_GCM = 4


class Front:
    """A proxy with a memory in front of an honest file server; a context manager."""

    def __init__(self, client="record", server="record", workers=1, stub=None):
        self.client, self.server, self.workers, self.stub = client, server, workers, stub

    def __enter__(self):
        with ExitStack() as stack:
            self.stub = stack.enter_context(self.stub or StubServer())
            entry = listener(address="127.0.0.1", downgrade=self.client)
            self.where = (entry["address"], entry["port"])
            self.proxy = stack.enter_context(Proxy(
                [entry], [upstream(self.stub, downgrade=self.server)], workers=self.workers))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details):
        return self._stack.__exit__(*details)

    def negotiate(self, guid=GUID, source="127.0.9.1", login=False, **offer):
        """One connection with an offer."""
        with RawClient(*self.where, source=source) as client:
            client.guid = guid
            client.negotiate(**offer)
            if login:
                client.login("alice").tree_connect()

    def forget(self, *what):
        done = command("forget", "--config", os.path.join(self.proxy.directory, "proxy.yaml"), *what)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def state(self):
        with open(self.proxy.state_file, encoding="utf-8") as file:
            return file.read()


OLD = {"dialects": (0x202, 0x210, 0x300)}


def test_client_that_offers_less():
    with Front() as front:
        front.negotiate(ciphers=(AES_256_GCM,))
        front.negotiate(ciphers=(AES_256_GCM,))
        assert not front.proxy.seen("downgrade")
        front.negotiate(login=True, **OLD)  # served all the same
        event = front.proxy.wait_event("downgrade", leg="client", reason="dialect", verdict="recorded")
        assert event["client_guid"] == GUID_TEXT and event["client_address"] == "127.0.9.1"
        assert event["offered"] == "3.0"
        assert event["remembered"] == "3.1.1 AES-128-GMAC AES-256-GCM"
        front.negotiate(signing=(AES_CMAC,), ciphers=(AES_256_GCM,))
        front.proxy.wait_event("downgrade", reason="signing")
        front.negotiate()
        front.proxy.wait_event("contexts_stripped", reason="cipher", leg="client")
        front.negotiate(signing=None, ciphers=(AES_256_GCM,))
        front.proxy.wait_event("contexts_stripped", reason="signing", leg="client")


def test_real_client_is_known_by_its_address(tmp_path):
    """smbclient has a new GUID each time."""
    with Nas() as nas:
        entry = listener(address="127.0.0.1")
        with Proxy([entry], [upstream(nas)]) as proxy:
            client = SmbClient(str(tmp_path), entry["address"], entry["port"])
            client.must("ls")
            client.must("ls")
            assert not proxy.seen("downgrade")
            client.must("ls", dialect="2.1")
            event = proxy.wait_event("downgrade", reason="dialect", offered="2.1")
            assert event["remembered"].startswith("3.1.1")


@pytest.mark.parametrize("workers", [1, 2])
def test_pinned_client_is_refused_until_it_is_forgotten(workers):
    with Front(client="pin", workers=workers) as front:
        front.negotiate(login=True)
        dialled = front.stub.connections
        for _ in range(4):
            with pytest.raises(Failed) as refused:
                front.negotiate(**OLD)
            assert refused.value.status == smb2.ACCESS_DENIED
        assert front.stub.connections == dialled
        front.proxy.wait_event("downgrade", reason="dialect", verdict="refused")
        front.negotiate(login=True)  # as before: let in
        front.negotiate(guid=bytes(range(2, 18)), source="127.0.9.2", login=True, **OLD)  # another
        front.forget("--client", GUID_TEXT)
        with pytest.raises(Failed):
            front.negotiate(**OLD)  # its address is remembered still
        front.forget("--client", "127.0.9.1")
        front.negotiate(login=True, **OLD)
        front.proxy.wait_event("memory_forgotten")


def test_pinned_client_that_used_kerberos(realm, tmp_path):
    """A password where there was a ticket: refused before the file server hears of it."""
    with realm.file_server() as server, KerberosRig(
            realm, server, login=["ticket", "same"], on_listener={"downgrade": "pin"}) as rig:
        client = rig.smbclient(tmp_path)
        client.must("ls", user="alice")
        client.must("ls", ticket=realm.kinit("alice"))
        for _ in range(2):
            rig.reset()
            assert "NT_STATUS_ACCESS_DENIED" in client.refused(user="bob")
            rig.proxy.wait_event("downgrade", reason="kerberos", user="bob", verdict="refused")
            assert not rig.at_server(smb2.SESSION_SETUP)
        client.must("ls", ticket=realm.kinit("alice"))


def test_restart_remembers():
    with Front(client="pin") as front:
        front.negotiate()
        front.proxy.stop()
        assert "guid " + GUID_TEXT + " 0311" in front.state()
        assert os.stat(front.proxy.state_file).st_mode & 0o777 == 0o600
        front.proxy.start()
        with pytest.raises(Failed):
            front.negotiate(**OLD)


def test_saved_while_it_runs():
    """What is learnt survives a crash of everything."""
    with Front(client="pin") as front:
        front.negotiate()
        wait_until(lambda: os.path.exists(front.proxy.state_file) and GUID_TEXT in front.state(),
                   "the state file", 15)
        front.proxy.kill()
        front.proxy.start()
        with pytest.raises(Failed):
            front.negotiate(**OLD)


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied", "a directory"])
def test_damaged_file_is_set_aside(damage):
    with Front(client="pin") as front:
        front.negotiate()
        front.proxy.stop()
        path, text = front.proxy.state_file, front.state()
        if damage == "a directory":
            os.remove(path)
            os.mkdir(path)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write({"cut": text[:-20], "changed": text.replace("0311", "0302", 1),
                            "emptied": ""}[damage])
        front.proxy.start()
        front.proxy.wait_event("memory_damaged", reason="state")
        assert "learnt anew" in front.proxy.stderr()
        front.negotiate(login=True, **OLD)
        front.proxy.stop()
        if damage == "a directory":
            os.rmdir(path)
        else:
            assert os.path.exists(path + ".damaged")
            assert GUID_TEXT + " 0300" in front.state()


def test_state_directory_that_is_not_there():
    """The service runs, and says so."""
    with StubServer() as stub:
        entry = listener()
        with Proxy([entry], [upstream(stub)], extra={"state": "/nowhere/at/all/state"}) as proxy:
            log_in(entry)
            proxy.stop()
            assert "/nowhere/at/all/state cannot be written" in proxy.stderr()


def test_file_server_that_answers_with_less():
    with Front() as front:
        front.negotiate(login=True)
        assert not front.proxy.seen("downgrade")
        front.stub.dialect = 0x302
        front.negotiate(login=True)
        event = front.proxy.wait_event("downgrade", leg="upstream", reason="dialect",
                                       verdict="recorded")
        assert event["chosen"] == "3.0.2" and event["remembered"].startswith("3.1.1")
        assert event["upstream"] == "nas"


def test_pinned_file_server_gets_no_login():
    with Front(server="pin") as front:
        front.negotiate(login=True)
        front.stub.dialect = 0x210
        front.stub.requests.clear()
        with pytest.raises((Failed, Disconnected)):
            front.negotiate(login=True)
        front.proxy.wait_event("downgrade", leg="upstream", verdict="refused")
        assert {request.command for request in front.stub.requests} == {smb2.NEGOTIATE}
        front.forget("--upstream", "nas")
        front.negotiate(login=True)


def test_another_machine_answers():
    with Front() as front:
        front.negotiate(login=True)
        before = front.stub.guid
        front.stub.guid = bytes(reversed(before))
        front.negotiate(login=True)
        event = front.proxy.wait_event("server_changed", reason="guid", upstream="nas")
        assert event["remembered"] != event["chosen"]
        front.proxy.mark()
        front.negotiate(login=True)
        assert not front.proxy.seen("server_changed")


def log_in(entry):
    with RawClient(entry["address"], entry["port"]) as client:
        client.negotiate()
        client.login("alice")


def test_another_name_answers():
    with Nas(extra={"netbios name": "FIRST"}) as first, Nas(extra={"netbios name": "SECOND"}) as second:
        entry = listener()
        with Proxy([entry], [upstream(first)]) as proxy:
            log_in(entry)
            proxy.stop()
            proxy.upstreams = [upstream(second)]
            proxy.write_configuration()
            proxy.start()
            log_in(entry)
            event = proxy.wait_event("server_changed", reason="name")
            assert event["remembered"].lower().startswith("first,")
            assert event["chosen"].lower().startswith("second,")
            proxy.wait_event("server_changed", reason="guid")


def test_without_a_recorder_nothing_pinned_gets_in():
    with Front(client="pin") as front:
        front.proxy.may_die = True
        front.negotiate()
        before = front.proxy.children("recorder")[0]
        os.kill(before, signal.SIGSTOP)
        try:
            with RawClient(*front.where, source="127.0.9.1") as client:
                client.guid = GUID
                client.send_frame(client.build(smb2.NEGOTIATE, client.negotiate_body()))
                client.socket.settimeout(0.5)
                with pytest.raises((TimeoutError, Disconnected)):
                    client.receive_frame()
                os.kill(before, signal.SIGKILL)
                client.socket.settimeout(10)
                assert smb2.parse_header(client.receive_frame()).status == smb2.ACCESS_DENIED
        finally:
            if before in front.proxy.children("recorder"):
                os.kill(before, signal.SIGCONT)
        # Nobody was there to write the event of it: it is counted, and that is told.
        front.proxy.wait_event("events_lost", reason="channel_full", lost=2)
        wait_until(lambda: _gets_in(front), "the client to be let in", 10)
        front.proxy.stop()
        counts = front.proxy.events()[-1]["counts"]
        assert counts["limit_reached"] == 1 and counts["events_lost"] == 1


def _gets_in(front):
    try:
        front.negotiate()
        return True
    except (Failed, Disconnected):
        return False


def test_command_line():
    with Front() as front:
        path = os.path.join(front.proxy.directory, "proxy.yaml")
        for arguments in (["--client", "here"], ["--upstream", "other"]):
            done = command("forget", "--config", path, *arguments)
            assert done.returncode == 1 and "countersign forget" in done.stderr
        for arguments in ([], ["--all", "--client", "192.0.2.1"], ["--all", "more"]):
            assert command("forget", "--config", path, *arguments).returncode == 2
        front.negotiate()
        assert "forgotten" in front.forget("--all")
        front.proxy.wait_event("memory_forgotten", text="all: 3 forgotten")
        front.proxy.stop()
        assert "when it starts" in front.forget("--upstream", "nas")
        assert os.stat(front.proxy.state_file + ".forget").st_uid == UIDS["recorder"]
        front.proxy.start()
        front.proxy.wait_event("memory_forgotten", text="nas: 0 forgotten")
