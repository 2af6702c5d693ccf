"""Deadlines, endpoints and processes: what every fixture needs and nothing more.

Nothing here sleeps for a fixed time: a wait is a condition and a deadline, and a deadline that
passes is a failure that says what was waited for.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager

USERS = {"alice": "Alice.Pw1", "bob": "Bob.Pw2"}


class DeadlinePassed(AssertionError):
    """Something that should have happened did not happen in time."""


def wait_until(condition, what, seconds=10.0, step=0.01):
    """Calls `condition` until its value is true and returns that value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise DeadlinePassed(f"waited {seconds:g} s for {what}")
        time.sleep(step)


def new_address():
    """A loopback address that no other fixture, and hardly another run, uses."""
    chance = random.SystemRandom()
    return f"127.{chance.randrange(64, 255)}.{chance.randrange(1, 255)}.{chance.randrange(1, 255)}"


def free_port(address):
    """A TCP port that is free on `address`, which is used by one fixture only."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def can_connect(address, port):
    """True when somebody accepts TCP connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def scratch_directory(prefix):
    """A temporary directory that processes of other users may pass through."""
    path = tempfile.mkdtemp(prefix=f"countersign-{prefix}-")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def run(command, seconds=60, **options):
    """Runs a program to its end, or fails at the deadline; output is captured as text."""
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if "input" in options:
        del options["stdin"]
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", timeout=seconds, check=False, **options)
    except subprocess.TimeoutExpired as passed:
        raise DeadlinePassed(f"{command[0]} did not end within {seconds} s: {passed.stdout} "
                             f"{passed.stderr}") from None


def state_of(pid):
    """A letter as in proc(5), "Z" also when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def is_alive(pid):
    """True while the process exists and is not a zombie."""
    return state_of(pid) != "Z"


def sleeps(pid):
    """True while its main thread waits for something."""
    return state_of(pid) in "SZ"


def children_of(pid):
    """The pids of a process's children."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(entry))
    return found


def end_process(process, seconds=15):
    """Asks a child to end, makes it end at the deadline; its exit status, None when it was made to."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
    return process.returncode


def end_pid(pid, seconds=10):
    """Ends a process that is not a child of ours."""
    try:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + seconds
        while is_alive(pid) and time.monotonic() < end:
            time.sleep(0.01)
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
