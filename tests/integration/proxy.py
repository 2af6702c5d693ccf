"""Countersign itself under test: `countersign run` with a configuration of its own.

The audit log is read as a client of it would: JSON lines, an event waited for by name and fields,
each wait with a deadline. Whoever stops the proxy asserts that it ended cleanly.
"""

import json
import os
import signal
import subprocess

from harness import (USERS, DeadlinePassed, children_of, free_port, is_alive, new_address, run, sleeps,
                     scratch_directory, wait_until)

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BINARY = os.path.abspath(os.environ.get("COUNTERSIGN",
                                        os.path.join(ROOT, "build/release/countersign")))
UIDS = {"worker": 64101, "keeper": 64102, "recorder": 64103}
SANITIZERS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer")


def command(*arguments, seconds=30, **options):
    """Runs one subcommand of countersign to its end."""
    return run([BINARY, *arguments], seconds, **options)


class Credentials:
    """A credentials file made with `countersign user add`, as an administrator makes it."""

    def __init__(self, path, users, mapped=None):
        self.path = path
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb"):
            os.chown(path, UIDS["keeper"], UIDS["keeper"])
        for name, password in users.items():
            self.add(name, password)
        for name, (account, password, *how) in (mapped or {}).items():
            self.add(name, password, "--mapped", account, *how)

    def add(self, name, password, *options):
        """One entry. With a keytab among the options there is no password."""
        done = command("user", "add", "--file", self.path, *options, name, input=f"{password or ''}\n")
        assert done.returncode == 0, done.stdout + done.stderr
        os.chown(self.path, UIDS["keeper"], UIDS["keeper"])
        assert os.stat(self.path).st_mode & 0o77 == 0


def listener(name="lan", upstream="nas", **options):
    """One entry under `listeners`, on an address of its own unless it is given."""
    entry = {"name": name, "upstream": upstream}
    entry["address"] = options.pop("address", None) or new_address()
    entry["port"] = options.pop("port", None) or free_port(entry["address"])
    return dict(entry, **options)


def upstream(server, name="nas", **options):
    """One entry under `upstreams` for whatever has an address and a port."""
    return dict({"name": name, "address": server.address, "port": server.port, "login": ["same"]},
                **options)


class Proxy:
    """One running Countersign; a context manager. `extra` are further top-level options.

    `host` (namespaces.Host) is where it runs, this machine itself when there is none.
    """

    def __init__(self, listeners, upstreams, users=None, mapped=None, workers=1, extra=None, host=None):
        self.listeners, self.upstreams = listeners, upstreams
        self.users = USERS if users is None else users
        self.mapped, self.workers, self.extra = mapped, workers, extra or {}
        self.host = host
        self.process = None
        self.credentials = None
        self.stopped = False
        self.may_die = False  # a test that kills children says so
        self._scratch = scratch_directory("proxy")
        self._marked = 0

    # life

    def __enter__(self):
        assert os.access(BINARY, os.X_OK), f"{BINARY} is not there: build it first"
        assert os.geteuid() == 0, "the proxy is started as root, to change to its users"
        self.directory = self._scratch.__enter__()
        try:
            self._write_files()
            self.start()
        except BaseException:
            self.kill()
            self._scratch.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
            else:
                self.kill()
        finally:
            self.kill()
            self._scratch.__exit__(None, None, None)

    def _path(self, name):
        return os.path.join(self.directory, name)

    @property
    def configuration(self):
        return self._path("proxy.yaml")

    @property
    def audit_file(self):
        return self._path("audit/audit.json")

    @property
    def state_file(self):
        return self._path("state/memory")

    def _write_files(self):
        for name in ("audit", "state"):
            os.makedirs(self._path(name))
            os.chown(self._path(name), UIDS["recorder"], UIDS["recorder"])
        self.credentials = Credentials(self._path("credentials"), self.users, self.mapped)
        self.write_configuration()

    def write_configuration(self):
        """JSON is YAML: each top-level option on a line."""
        options = {"listeners": self.listeners, "upstreams": self.upstreams,
                   "credentials": self.credentials.path,
                   "users": {role: str(uid) for role, uid in UIDS.items()},
                   "workers": self.workers, "netbios_name": "PROXY", "dns_name": "proxy.test"}
        options["state"] = self.state_file
        options.update(self.extra)
        # Most tests want each event by itself, and attempt more than an honest user would.
        options["audit"] = {"file": self.audit_file, "syslog": False, "fold": 0,
                            **self.extra.get("audit", {})}
        options["authentication"] = {"delay_max": 0, **options.get("authentication", {})}
        # The peers here take an interim response at once, and many tests wait for one.
        options["limits"] = {"interim_hold": 50, **options.get("limits", {})}
        with open(self.configuration, "w", encoding="utf-8") as file:
            for key, value in options.items():
                file.write(f"{key}: {json.dumps(value)}\n")

    def start(self):
        """Starts it and waits until it is ready."""
        self.stopped = False
        before = self.stderr().count("countersign: ready")
        prefix = self.host.prefix() if self.host else []
        with open(self._path("stderr"), "ab") as output:
            self.process = subprocess.Popen(
                [*prefix, BINARY, "run", "--config", self.configuration,
                 "--control", self._path("control")],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(lambda: self.process.poll() is not None or
                   self.stderr().count("countersign: ready") > before, "countersign to be ready", 20)
        assert self.process.poll() is None, self.stderr()

    def reload(self, *options):
        """`countersign reload`: its exit status and what it says."""
        run = subprocess.run([BINARY, "reload", "--control", self._path("control"), *options],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                             check=False)
        return run.returncode, run.stdout + run.stderr

    def stop(self):
        """Asks it to end and asserts that it did so cleanly and left nobody behind."""
        if self.stopped:
            return
        children = self.children()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise DeadlinePassed("countersign did not end after SIGTERM\n" + self.stderr()) from None
        self.stopped = True
        left = [pid for pid in children if is_alive(pid)]
        assert status == 0, f"exit status {status}\n{self.stderr()}"
        assert not left, f"children left behind: {left}"
        self.assert_healthy()

    def kill(self):
        """Whatever happened: nothing of it stays."""
        if self.process is not None and not self.stopped:
            children = self.children()
            self.process.kill()
            self.process.wait()
            for pid in children:
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.stopped = True

    def assert_healthy(self):
        """No sanitizer spoke and no child died that was not killed by a test."""
        for word in SANITIZERS:
            assert word not in self.stderr(), self.stderr()[-8000:]
        died = [event for event in self.events() if event["event"] == "process_ended"]
        assert self.may_die or not died, f"{died}\n{self.stderr()[-4000:]}"
        if not self.stopped:
            assert self.process.poll() is None, self.stderr()[-4000:]

    # processes

    def children(self, role=None):
        """The pids of its processes; of one role ("worker", "keeper", "recorder") by their names."""
        found = []
        for pid in children_of(self.process.pid):
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    name = file.read()
            except OSError:
                continue
            if role is None or role in name:
                found.append(pid)
        return sorted(found)

    def stderr(self):
        """All it has written to standard error so far."""
        try:
            with open(self._path("stderr"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    # the audit log

    def events(self, path=None):
        """Every event so far; an incomplete last line is left out, anything but JSON is an error."""
        try:
            with open(path or self.audit_file, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def mark(self):
        """Later calls of wait_event() and seen() look at events of what happens from here on."""
        self._settle()
        self._marked = len(self.events())

    def _settle(self):
        """Waits until what has been done is in the log: no process is at work, and the recorder has
        twice been through all that the others sent. One that is ill, or busy, is not waited for."""
        if self.process is None or self.process.poll() is not None or not self.children("recorder"):
            return
        try:
            wait_until(lambda: all(sleeps(pid) for pid in self.children()), "no more work", 1)
            for _ in range(2):
                written = len(self._counters())
                os.kill(self.process.pid, signal.SIGUSR1)
                wait_until(lambda: len(self._counters()) > written, "the recorder", 1, 0.002)
        except DeadlinePassed:
            pass

    def _counters(self):
        return self._since(0, "counters")

    def seen(self, name=None, **fields):
        """The events since the mark, of one name and with these fields: all that there are by now."""
        self._settle()
        return self._since(self._marked, name, fields)

    def _since(self, begin, name=None, fields=()):
        """Without a name, all but the counters, which _settle() asks for."""
        return [event for event in self.events()[begin:]
                if (event["event"] == name if name else event["event"] != "counters")
                and all(str(event.get(key)) == str(value) for key, value in dict(fields).items())]

    def wait_event(self, name, seconds=10, **fields):
        """The first such event since the mark, waited for until the deadline."""
        try:
            return wait_until(lambda: self._since(self._marked, name, fields),
                              f"event {name} {fields}", seconds, 0.02)[0]
        except DeadlinePassed as passed:
            since = "\n".join(json.dumps(event) for event in self._since(self._marked))
            raise DeadlinePassed(f"{passed}; events since the mark:\n{since}\n"
                                 f"{self.stderr()[-2000:]}") from None
