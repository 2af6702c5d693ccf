"""smbtorture against one address: which tests it has, and what each of them says.

A suite runs in one process. When that dies or hangs, the test it was in has its result, and each test
that it did not get to runs in a process of its own.
"""

import os
import re
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass

from harness import USERS, run

WORKGROUP = "LABGROUP"
TEST_SECONDS = 60  # the slowest test takes half of that
_RESULTS = {"success": "pass", "failure": "fail", "skip": "skip", "error": "error",
            "xfail": "fail", "uxsuccess": "pass"}
_ENDED = re.compile(rf"({'|'.join(_RESULTS)}): (.*?)( \[)?$")
_PLACE = re.compile(r"([\w-]+\.c:\d+)")


@dataclass
class Result:
    """What became of one test.

    `what` is pass, fail, skip or error; timeout when it did not end, died when smbtorture did, none
    when smbtorture did not run it. `place` is where in smbtorture's source it gave up.
    """

    what: str
    place: str = ""
    text: str = ""
    seconds: float = 0.0


def suite_of(test):
    """The suite (smb2.lock) of a test (smb2.lock.async)."""
    return ".".join(test.split(".")[:2])


def _configuration(directory):
    """A smb.conf that keeps what smbtorture itself writes in `directory`."""
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "smb.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("[global]\n" + "".join(
            f"{kind} = {directory}\n" for kind in
            ("lock directory", "state directory", "cache directory", "private dir", "pid directory")))
    return path


def list_tests(directory):
    """Every test of smb2.*, by suite. smbtorture lists the last part of each name twice."""
    done = run(["smbtorture", "-s", _configuration(directory), "--list"])
    suites = {}
    for line in done.stdout.splitlines():
        parts = line.strip().split(".")
        if parts[0] == "smb2" and len(parts) > 2:
            if parts[-1] == parts[-2]:
                del parts[-1]
            test = ".".join(parts)
            suites.setdefault(suite_of(test), []).append(test)
    assert suites, done.stdout + done.stderr
    return suites


class _Reader:
    """The results in smbtorture's output, line by line as it comes."""

    def __init__(self):
        self.results = {}
        self.running = None
        self._since = 0.0
        self._text = None

    def line(self, text):
        """Takes one line; true when a test began or ended with it."""
        if self._text is not None:
            if text != "]":
                self._text.append(text)
                return False
            self._finish()
            return True
        if text.startswith("test: "):
            self.running, self._since = text[6:].strip(), time.monotonic()
            return True
        ended = _ENDED.match(text)
        if not ended or self.running is None:
            return False
        self.results[self.running] = Result(_RESULTS[ended[1]], seconds=time.monotonic() - self._since)
        self._text = []
        if not ended[3]:
            self._finish()
        return True

    def _finish(self):
        result = self.results[self.running]
        result.text = " ".join(line.strip() for line in self._text)
        place = _PLACE.search(result.text)
        result.place = place[1] if place else ""
        self.running, self._text = None, None

    def interrupted(self, what):
        """The process is gone: so ends the test that was running."""
        if self.running is not None:
            self.results[self.running] = Result(what, seconds=time.monotonic() - self._since)


class Torture:
    """smbtorture with one server, one directory for what it writes, and a log of all it says."""

    def __init__(self, server, share, protocol, directory, options=()):
        self.server, self.share, self.protocol = server, share, protocol
        self.directory, self.options = directory, list(options)
        self.configuration = _configuration(directory)
        self.log = os.path.join(directory, "output.log")

    def _command(self, names):
        user, second = USERS
        return ["smbtorture", "-s", self.configuration, f"//{self.server.address}/{self.share}", "-p",
                str(self.server.port), "-U", f"{WORKGROUP}\\{user}%{USERS[user]}", "-m", self.protocol,
                "--option=client min protocol=SMB2_02", "--use-kerberos=off", "--target=samba3",
                f"--basedir={self.directory}", "--fullname", "--timelimit=3", "--seed=1",
                "--format=subunit", f"--option=torture:user2name={second}",
                f"--option=torture:user2domain={WORKGROUP}",
                f"--option=torture:user2password={USERS[second]}",
                *(f"--option={option}" for option in self.options), *names]

    def _follow(self, process, log):
        """Reads a process to its end. A test that takes too long ends it."""
        reader, rest = _Reader(), b""
        end = time.monotonic() + TEST_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, end - time.monotonic())):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    reader.interrupted("timeout")
                    return reader.results
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    process.wait()
                    reader.interrupted("died")
                    return reader.results
                log.write(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if reader.line(line.decode("utf-8", "replace")):
                        end = time.monotonic() + TEST_SECONDS

    def _run(self, names):
        """The results of one process, by the name of the test."""
        with open(self.log, "ab") as log:
            log.write(f"\n##### {' '.join(names)}\n".encode())
            log.flush()
            process = subprocess.Popen(self._command(names), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=log, start_new_session=True)
            with process:
                return self._follow(process, log)

    def alone(self, test):
        """The result of one test in a process of its own."""
        return self._run([test]).get(test, Result("none"))

    def suite(self, suite, tests):
        """The results of `tests`, of one suite, by the name of the test."""
        results = self._run([suite])
        for test in tests:
            if test not in results:
                results[test] = self.alone(test)
        return {test: results[test] for test in tests}
