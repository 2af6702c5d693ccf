"""NTLM relay: a victim logs in to the attacker, who carries the tokens on.

The same attack on the same file server without the proxy succeeds: each test shows that first.
"""

import os
import subprocess
import sys

import pytest

import smb2
from audit_log import assert_nothing_leaked
from harness import end_process, free_port, new_address, scratch_directory, wait_until
from in_flight import zero, zero_av
from nas import Nas
from ntlm import AV_FLAGS
from proxy import Proxy, listener, upstream
from relayer import Relayer
from smbtools import SmbClient

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def victim_server():
    """A file server as they are: signing offered, not required."""
    with Nas(signing="auto") as server:
        yield server


class Front:
    """A proxy with listeners of three degrees of strictness about the target name."""

    def __init__(self, server):
        self.levels = {level: listener(level, target_name=level)
                       for level in ("off", "if-present", "required")}
        self.proxy = Proxy(list(self.levels.values()), [upstream(server)])

    def at(self, level):
        return self.levels[level]["address"], self.levels[level]["port"]


@pytest.fixture(scope="module")
def front(victim_server):
    """Started once; each test has its own part of the log."""
    arrangement = Front(victim_server)
    with arrangement.proxy:
        yield arrangement


@pytest.fixture(autouse=True)
def clean(front, victim_server):
    """No file and no event of the test before."""
    victim_server.empty_share()
    front.proxy.mark()


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


@pytest.mark.parametrize("level", ["if-present", "required"])
def test_target_name_ends_it_at_the_login(front, victim_server, tmp_path, level):
    """The victim meant the attacker, and its proof says so."""
    with Relayer(front.at(level)) as relayer:
        loot = lure(relayer, tmp_path)
        assert loot.login not in (smb2.SUCCESS, smb2.MORE_PROCESSING)
    told = front.proxy.wait_event("target_name_refused", verdict="refused", listener=level,
                                  target_name=f"cifs/{relayer.address}")
    assert told["user"] == "alice" and told["windows_event_id"] == 5168
    assert not front.proxy.seen("login") and not os.listdir(victim_server.share)
    assert_nothing_leaked(front)


def test_without_the_target_name_check_no_share_is_reached(front, victim_server, tmp_path):
    """The last line: the attacker has a session and no key to sign with."""
    with Relayer(front.at("off")) as relayer:
        loot = lure(relayer, tmp_path)
    assert loot.tree_connect is None and not loot.written
    front.proxy.wait_event("unsigned_refused", leg="client", verdict="refused")
    assert not front.proxy.seen("tree_connect") and not os.listdir(victim_server.share)


MIC_EDITS = {"zeroed": zero(72, 16), "version and MIC zeroed": zero(64, 24)}


@pytest.mark.parametrize("edit", MIC_EDITS)
def test_mic_is_missed_when_it_is_dropped(front, tmp_path, edit):
    """CVE-2019-1040: the field is emptied, and the victim's proof still says that there was a MIC."""
    with Relayer(front.at("off"), edit=MIC_EDITS[edit]) as relayer:
        loot = lure(relayer, tmp_path)
        assert loot.login not in (smb2.SUCCESS, smb2.MORE_PROCESSING)
    front.proxy.wait_event("mic_refused", leg="client", verdict="refused", user="alice")
    assert not front.proxy.seen("login")


def test_announcement_of_the_mic_is_under_the_proof(front, tmp_path):
    """Taking the announcement back as well breaks the proof itself."""
    with Relayer(front.at("off"), edit=zero_av(20, AV_FLAGS)) as relayer:
        assert lure(relayer, tmp_path).login == smb2.LOGON_FAILURE
    front.proxy.wait_event("login_refused", reason="wrong_password")


class RealTool:
    """impacket's ntlmrelayx between smbclient and a target."""

    def __init__(self, target, *options):
        self.address = new_address()
        self.port = free_port(self.address)
        self.target, self.options = target, options
        self.process = self.path = None
        self._scratch = scratch_directory("relayx")

    def __enter__(self):
        self.path = os.path.join(self._scratch.__enter__(), "out")
        with open(self.path, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, os.path.join(HERE, "ntlmrelayx.py"), self.address, str(self.port),
                 f"smb://{self.target[0]}:{self.target[1]}", "data", *self.options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(lambda: "READY" in self.output(), "ntlmrelayx to listen", 20)
        return self

    def __exit__(self, *_):
        end_process(self.process)
        self._scratch.__exit__(None, None, None)

    def output(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def lure(self, tmp_path):
        SmbClient(str(tmp_path), self.address, self.port).run("ls", exactly=False, seconds=30)


@pytest.mark.parametrize("options", [(), ("--remove-mic",)], ids=["plain", "remove-mic"])
def test_ntlmrelayx(front, victim_server, tmp_path, options):
    """Without the proxy it writes into the share. With the proxy it reaches none, and where the target
    name counts it does not even log in."""
    with RealTool((victim_server.address, victim_server.port)) as tool:
        tool.lure(tmp_path)
        wait_until(lambda: "WRITTEN" in tool.output(), "ntlmrelayx to win: " + tool.output(), 15)
    assert os.path.exists(os.path.join(victim_server.share, "loot"))
    victim_server.empty_share()
    for level in front.levels:
        front.proxy.mark()
        with RealTool(front.at(level), *options) as tool:
            tool.lure(tmp_path)
            front.proxy.wait_event("link_ended")
            output = tool.output()
        assert "WRITTEN" not in output, output
        assert level == "off" or "LOGGED-IN" not in output, output
        assert not front.proxy.seen("tree_connect") and not os.listdir(victim_server.share)
