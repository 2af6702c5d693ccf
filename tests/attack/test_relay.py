"""NTLM relay: a victim logs in to the attacker, who carries the tokens on.

The same attack on the same file server without the proxy succeeds: each test shows that first.
"""

import os
import subprocess
import sys

import pytest

import leaks
import smb2
from audit_log import assert_log, told
from capture import Relay
from harness import USERS, end_process, free_port, new_address, scratch_directory, wait_until
from in_flight import clear_flags, zero, zero_av
from nas import Nas
from ntlm import ALWAYS_SIGN, AV_FLAGS, KEY_EXCHANGE, SIGN
from proxy import Proxy, listener, upstream
from relayer import Relayer
from smbtools import SmbClient

HERE = os.path.dirname(os.path.abspath(__file__))
LEVELS = ("off", "if-present", "required")
LET_IN = (smb2.SUCCESS, smb2.MORE_PROCESSING)


@pytest.fixture(scope="module")
def victim_server():
    """A file server as they are: signing offered, not required."""
    with Nas(signing="auto") as server:
        yield server


@pytest.fixture(autouse=True)
def clean(victim_server):
    """No file of the test before."""
    victim_server.empty_share()


class Front:
    """A proxy with one listener, of one degree of strictness about the target name: a context manager."""

    def __init__(self, server, level, **options):
        self.entry = listener(level, target_name=level, **options)
        self.where = (self.entry["address"], self.entry["port"])
        self.proxy = Proxy([self.entry], [upstream(server)])

    def __enter__(self):
        self.proxy.__enter__()
        return self

    def __exit__(self, *details):
        return self.proxy.__exit__(*details)

    def judge(self, attacker, frames, event, **fields):
        """Ends the proxy: the log tells this of this attacker, and nothing else."""
        secrets = leaks.of_frames(frames, USERS)
        assert any("session key" in name for name in secrets), "the recording is not whole"
        assert_log(self.proxy, [told(event, client_address=attacker, leg="client", user="alice",
                                     **fields)], secrets)
        assert not self.proxy.seen("tree_connect")


def lure(relayer, tmp_path, commands="ls"):
    """Has smbclient log in to the attacker, as somebody does who follows a link; what was got."""
    SmbClient(str(tmp_path), relayer.address, relayer.port, dialect="2.1").run(commands)
    wait_until(lambda: relayer.loot and relayer.loot[-1].login is not None, "a relayed login", 10)
    return relayer.loot[-1]


def test_succeeds_without_the_proxy(victim_server, tmp_path):
    with Relayer((victim_server.address, victim_server.port)) as relayer:
        loot = lure(relayer, tmp_path)
        wait_until(lambda: loot.written, "the attacker to write its file", 10)
    assert os.path.exists(os.path.join(victim_server.share, "loot"))


@pytest.mark.parametrize("dialect", [0x202, 0x210, 0x300, 0x302])
@pytest.mark.parametrize("level", ["if-present", "required"])
def test_target_name_ends_it_at_the_login(victim_server, tmp_path, level, dialect):
    """The victim meant the attacker, and its proof says so. All flags are as the victim set them: it is
    the name alone that is wrong."""
    with Front(victim_server, level) as front:
        with Relayer(front.where, dialect=dialect) as relayer:
            loot = lure(relayer, tmp_path)
            assert loot.login not in LET_IN
        kept = SIGN | KEY_EXCHANGE
        assert loot.ntlm_flags & kept == kept
        front.judge(relayer.address, loot.frames, "target_name_refused", listener=level,
                    reason="target_name_wrong", target_name=f"cifs/{relayer.address}",
                    windows_event_id=5168)
        assert not front.proxy.seen("login")
    assert not os.listdir(victim_server.share)


def test_login_goes_on_where_the_attacker_has_one_of_our_names(victim_server, tmp_path):
    """The same with its name among ours: so it was the name, and nothing else, that was refused."""
    with Relayer(("127.0.0.1", 0)) as relayer:
        with Front(victim_server, "required", names=[relayer.address]) as front:
            relayer.target = front.where
            loot = lure(relayer, tmp_path)
            assert loot.login == smb2.SUCCESS and loot.tree_connect is None
            front.judge(relayer.address, loot.frames, "unsigned_refused", command="TREE_CONNECT")


def test_without_the_target_name_check_no_share_is_reached(victim_server, tmp_path):
    """The last line: the attacker has a session and no key to sign with."""
    with Front(victim_server, "off") as front:
        with Relayer(front.where) as relayer:
            loot = lure(relayer, tmp_path)
        assert loot.login == smb2.SUCCESS and loot.tree_connect is None and not loot.written
        front.judge(relayer.address, loot.frames, "unsigned_refused", command="TREE_CONNECT",
                    reason="unsigned")
    assert not os.listdir(victim_server.share)


NO_SIGNING = clear_flags(60, SIGN | ALWAYS_SIGN | KEY_EXCHANGE)
MIC_EDITS = {"zeroed": (zero(72, 16), "mic_refused", "mic_wrong"),
             "version and MIC zeroed": (zero(64, 24), "mic_refused", "mic_wrong"),
             "flags of signing cleared": (NO_SIGNING, "login_refused", "flags")}


@pytest.mark.parametrize("edit", MIC_EDITS)
def test_mic_is_missed_when_it_is_dropped(victim_server, tmp_path, edit):
    """CVE-2019-1040: the field is emptied, and the victim's proof still says that there was a MIC."""
    change, event, reason = MIC_EDITS[edit]
    with Front(victim_server, "off") as front:
        with Relayer(front.where, edit=change) as relayer:
            loot = lure(relayer, tmp_path)
            assert loot.login not in LET_IN
        front.judge(relayer.address, loot.frames, event, reason=reason)
        assert not front.proxy.seen("login")


def test_announcement_of_the_mic_is_under_the_proof(victim_server, tmp_path):
    """Taking the announcement back as well breaks the proof itself."""
    with Front(victim_server, "off") as front:
        with Relayer(front.where, edit=zero_av(20, AV_FLAGS)) as relayer:
            loot = lure(relayer, tmp_path)
            assert loot.login == smb2.LOGON_FAILURE
        front.judge(relayer.address, loot.frames, "login_refused", reason="wrong_password")


class RealTool:
    """impacket's ntlmrelayx between smbclient and a target. What it says to the target is recorded, and
    comes from its own address."""

    def __init__(self, target, *options):
        self.address = new_address()
        self.port = free_port(self.address)
        self.recorder = Relay(target, source=self.address)
        self.options = options
        self.process = self.path = None
        self._scratch = scratch_directory("relayx")

    def __enter__(self):
        self.recorder.__enter__()
        self.path = os.path.join(self._scratch.__enter__(), "out")
        with open(self.path, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, os.path.join(HERE, "ntlmrelayx.py"), self.address, str(self.port),
                 f"smb://{self.recorder.address}:{self.recorder.port}", "data", *self.options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(lambda: "READY" in self.output(), "ntlmrelayx to listen", 60)
        return self

    def __exit__(self, *_):
        end_process(self.process)
        self.recorder.__exit__(None, None, None)
        self._scratch.__exit__(None, None, None)

    def output(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def lure(self, tmp_path):
        SmbClient(str(tmp_path), self.address, self.port).run("ls", exactly=False, seconds=30)

    def frames(self):
        """Of all connections to the target."""
        return [frame.data for connection in self.recorder.connections for frame in connection.frames]

    def steps(self):
        """How far it came: the commands that the target answered, each with its status."""
        return [(message.command, message.status) for connection in self.recorder.connections
                for message in connection.messages() if message.flags & smb2.RESPONSE]


# The options, and the event with its reason where the target name does not count.
REAL = {"plain": ((), "unsigned_refused", "unsigned"),
        "remove-mic": (("--remove-mic",), "mic_refused", "mic_missing")}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("how", REAL)
def test_ntlmrelayx(victim_server, tmp_path, how, level):
    """Without the proxy it writes into the share. With the proxy it reaches none, and where the target
    name counts it does not even log in."""
    options, event, reason = REAL[how]
    if level != "off":
        event, reason = "target_name_refused", "target_name_wrong"
    with RealTool((victim_server.address, victim_server.port)) as tool:
        tool.lure(tmp_path)
        wait_until(lambda: "WRITTEN" in tool.output(), "ntlmrelayx to win: " + tool.output(), 40)
    assert os.path.exists(os.path.join(victim_server.share, "loot"))
    victim_server.empty_share()
    with Front(victim_server, level) as front:
        with RealTool(front.where, *options) as tool:
            tool.lure(tmp_path)
            front.proxy.wait_event("link_ended")
            output, steps = tool.output(), tool.steps()
        assert "WRITTEN" not in output, output
        assert (smb2.SESSION_SETUP, smb2.MORE_PROCESSING) in steps, "it did not try"
        if event != "unsigned_refused":
            assert "LOGGED-IN" not in output and (smb2.SESSION_SETUP, smb2.SUCCESS) not in steps
        front.judge(tool.address, tool.frames(), event, reason=reason)
    assert not os.listdir(victim_server.share)
