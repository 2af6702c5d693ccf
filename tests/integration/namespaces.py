"""Hosts of a small network of their own: each a network and a mount namespace, joined by a bridge.

No name and no address of them is seen outside, so any number of runs may go on at once. A namespace
lives as long as the process that holds it, which ends with the tests whatever becomes of them.
"""

import ctypes
import os
import shlex
import subprocess
from contextlib import contextmanager

from harness import DeadlinePassed, can_connect, end_process, run, wait_until

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _enter_network(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


class Host:
    """The namespaces of one host. `over` says which file or directory appears in the place of which:
    path → what is mounted there. `environment` is added to that of every command."""

    def __init__(self, name, over=None, environment=None):
        self.name, self.over = name, dict(over or {})
        self.environment = dict(os.environ, **(environment or {}))
        self.address = None
        self.holder = None
        self._daemons = []

    def __enter__(self):
        mounts = [shlex.join(["mount", "--bind", source, place]) for place, source in self.over.items()]
        # cat ends when the pipe does: when this process ends.
        script = " && ".join([*mounts, "ip link set lo up", "echo ready", "exec cat"])
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ready = self.holder.stdout.readline()
        if ready != b"ready\n":
            self.__exit__(None, None, None)
            raise AssertionError(f"no namespaces for {self.name}: root is needed")
        return self

    def __exit__(self, *_):
        for daemon in reversed(self._daemons):
            end_process(daemon)
        self.holder.stdin.close()
        self.holder.stdout.close()
        end_process(self.holder)

    def prefix(self, directory="/"):
        """A command that runs the command after it on this host, in a working directory."""
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", f"--wd={directory}"]

    @contextmanager
    def entered(self):
        """Sockets and threads that this thread makes meanwhile belong to this host's network."""
        home = f"/proc/self/task/{_thread_id()}/ns/net"
        descriptor = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter_network(f"/proc/{self.holder.pid}/ns/net")
            try:
                yield self
            finally:
                _enter_network(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)

    def run(self, command, seconds=60, **options):
        """Runs a program on this host to its end."""
        options["env"] = dict(self.environment, **options.pop("environment", {}))
        return run([*self.prefix(), *command], seconds, **options)

    def must(self, command, seconds=60, **options):
        """The output of a program that must succeed."""
        done = self.run(command, seconds, **options)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, command, log, environment=None):
        """Starts a daemon in the foreground; it is ended with the host, or by end()."""
        with open(log, "ab") as output:
            daemon = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self.prefix(), *command], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, env=dict(self.environment, **(environment or {})))
        self._daemons.append(daemon)
        return daemon

    def end(self, daemon):
        self._daemons.remove(daemon)
        end_process(daemon)

    def wait_port(self, address, port, daemon, seconds=180):
        """Waits until somebody listens there, as seen from this host, or the daemon has ended."""
        def listening():
            with self.entered():
                return can_connect(address, port)
        wait_until(lambda: daemon.poll() is not None or listening(), f"{address}:{port} to listen",
                   seconds, 0.05)
        if daemon.poll() is not None:
            raise DeadlinePassed(f"the daemon for {address}:{port} ended: {daemon.returncode}")


def _thread_id():
    return _libc.gettid()


class Network:
    """A bridge in a namespace of its own; a context manager. Hosts are joined to it by attach()."""

    def __init__(self, prefix="10.99.7"):
        self.prefix = prefix
        self.switch = Host("switch")

    def __enter__(self):
        self.switch.__enter__()
        self.switch.must(["ip", "link", "add", "bridge0", "type", "bridge"])
        self.switch.must(["ip", "link", "set", "bridge0", "up"])
        return self

    def __exit__(self, *details):
        self.switch.__exit__(*details)

    def attach(self, host, last):
        """Gives a running host the address `prefix`.`last` on the interface eth0."""
        port = f"port{last}"
        self.switch.must(["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
                          str(host.holder.pid)])
        self.switch.must(["ip", "link", "set", port, "master", "bridge0", "up"])
        host.must(["ip", "addr", "add", f"{self.prefix}.{last}/24", "dev", "eth0"])
        host.must(["ip", "link", "set", "eth0", "up"])
        host.address = f"{self.prefix}.{last}"
