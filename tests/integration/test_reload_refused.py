"""Reloads that cannot be: all stays as it was, whoever asked is told what, where and what to do.

A file that is being read goes on being read. So it is with fifty reloads in a row, and with processes
that end, or do not answer, while they are asked.
"""

import os
import shutil
import signal
import subprocess
import threading

import pytest

import smb2
from harness import USERS, can_connect, free_port, new_address, wait_until
from nas import Nas
from proxy import BINARY, UIDS, Proxy, listener, upstream
from rawclient import Disconnected, Failed, RawClient
from smbtools import SmbClient

NOT_ALICE = {"name": "not-alice", "who": ["alice"], "then": "refuse"}
SIZE = 48 << 20


@pytest.fixture(scope="module")
def nas():
    with Nas() as server:
        pattern = os.urandom(1 << 20)
        with open(os.path.join(server.share, "big"), "wb") as file:
            for _ in range(SIZE >> 20):
                file.write(pattern)
        os.chown(os.path.join(server.share, "big"), server.uids["alice"], -1)
        yield server


@pytest.fixture
def proxy(nas, monkeypatch):
    # A sanitizer keeps what was freed: little of it, so that a leak shows.
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1:thread_local_quarantine_size_kb=16")
    with Proxy([listener()], [upstream(nas)], workers=2) as running:
        running.where = (running.listeners[0]["address"], running.listeners[0]["port"])
        yield running


class Reader:
    """alice reads a file over and over, and every byte of it is right; a context manager."""

    def __init__(self, proxy, nas):
        self.proxy, self.path = proxy, os.path.join(nas.share, "big")
        self.rounds, self.failure = 0, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self):
        self._thread.start()
        self.goes_on()
        return self

    def _read(self):
        try:
            with RawClient(*self.proxy.where, timeout=30) as client, open(self.path, "rb") as truth:
                client.negotiate()
                session = client.login("alice")
                session.tree_connect()
                file = session.create("big", access=0x00120089, disposition=1)
                while not self._stop.is_set():
                    truth.seek(self.rounds * 65536 % SIZE)
                    assert session.read(file, 65536, offset=truth.tell()) == truth.read(65536)
                    self.rounds += 1
        except BaseException as failure:  # pylint: disable=broad-exception-caught
            self.failure = failure

    def goes_on(self):
        before = self.rounds
        wait_until(lambda: self.failure or self.rounds > before + 3, "the reader to go on", 20)
        assert self.failure is None, self.failure

    def __exit__(self, kind, *_):
        self._stop.set()
        self._thread.join(30)
        assert kind or self.failure is None, self.failure


def logs_in(proxy, user="alice"):
    with RawClient(*proxy.where) as client:
        client.negotiate()
        try:
            client.login(user).tree_connect()
        except Failed as failed:
            assert failed.status == smb2.ACCESS_DENIED, failed
            return False
    return True


def descriptors(proxy):
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in [proxy.process.pid, *proxy.children()]}


def resident(pid):
    """Bytes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# What is wrong: a function that makes it so and tells what the answer must say and how to undo it.

def port_taken(proxy, nas):
    proxy.listeners.append(listener("second", address=nas.address, port=nas.port))
    return ["listener second", f"cannot listen on {nas.address}:{nas.port}", "Address already in use",
            "ss -ltnp"]


def port_twice(proxy, _):
    """On all addresses, where the running one has a port of one of them."""
    proxy.listeners[0] = {**proxy.listeners[0], "address": "0.0.0.0"}
    return ["Address already in use", "takes a restart"]


def no_such_address(proxy, _):
    proxy.listeners.append(listener("second", address="127.0.0.1", port=1))
    proxy.listeners[-1]["address"] = "192.0.2.77"
    return ["listener second", "192.0.2.77:1", "this host has no such address"]


def keytab(proxy, mode, owner, content=b"\x05\x02"):
    path = os.path.join(proxy.directory, "keys.keytab")
    if content is not None:
        with open(path, "wb") as file:
            file.write(content)
        os.chown(path, owner, owner)
        os.chmod(path, mode)
    proxy.extra["kerberos"] = {"keytab": path}
    return [f"keytab {path}"]


def keytab_missing(proxy, _):
    return [*keytab(proxy, 0, 0, None), "No such file"]


def keytab_of_another(proxy, _):
    return keytab(proxy, 0o600, UIDS["worker"])


def keytab_for_all(proxy, _):
    return keytab(proxy, 0o644, UIDS["keeper"])


def credentials_malformed(proxy, _):
    with open(proxy.credentials.path, "a", encoding="ascii") as file:
        file.write("user:carol:nonsense\n")
    return [f"{proxy.credentials.path}:3:"]


def credentials_missing(proxy, _):
    os.rename(proxy.credentials.path, proxy.credentials.path + ".away")
    return [proxy.credentials.path, "does not exist; make it"]


def credentials_for_all(proxy, _):
    os.chmod(proxy.credentials.path, 0o644)
    return [proxy.credentials.path]


def credentials_elsewhere(proxy, _):
    proxy.extra["credentials"] = "/nowhere/credentials"
    return ["/nowhere/credentials", "does not exist; make it"]


def log_directory_gone(proxy, _):
    os.rename(os.path.dirname(proxy.audit_file), os.path.join(proxy.directory, "away"))
    return ["audit.file", proxy.audit_file, "No such file", "directory", str(UIDS["recorder"])]


def log_not_writable(proxy, _):
    os.remove(proxy.audit_file)
    os.mkdir(proxy.audit_file)
    return ["audit.file", proxy.audit_file, "Is a directory"]


def name_unknown(proxy, _):
    proxy.upstreams[0] = {**proxy.upstreams[0], "address": "nobody.invalid"}
    return ["nobody.invalid"]


def configuration_gone(proxy, _):
    return [proxy.configuration, "No such file"]


def configuration_no_yaml(proxy, _):
    return [proxy.configuration]


WRONG = [port_taken, port_twice, no_such_address, keytab_missing, keytab_of_another, keytab_for_all,
         credentials_malformed, credentials_missing, credentials_for_all, credentials_elsewhere,
         log_directory_gone, log_not_writable, name_unknown, configuration_gone, configuration_no_yaml]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_all_or_nothing(proxy, nas, wrong):
    """The rules of the same file are good, and are not used either."""
    with Reader(proxy, nas) as reader:
        assert proxy.reload()[0] == 0
        before = descriptors(proxy)
        stands = [dict(entry) for entry in proxy.listeners], [dict(entry) for entry in proxy.upstreams]
        proxy.extra["rules"] = [NOT_ALICE]
        spare = listener("spare", address=new_address())
        proxy.listeners.append(spare)
        words = wrong(proxy, nas)
        proxy.write_configuration()
        if wrong is configuration_gone:
            os.remove(proxy.configuration)
        if wrong is configuration_no_yaml:
            with open(proxy.configuration, "w", encoding="ascii") as file:
                file.write("listeners: [\n")
        for options in ((), ("--apply",)):
            status, said = proxy.reload(*options)
            assert status == 1 and said.startswith("countersign: not reloaded, everything stays"), said
            for word in words:
                assert word in said, said
        assert said.strip().removeprefix("countersign: ") in proxy.stderr()
        logged = proxy.stderr().count("not reloaded")
        proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: proxy.stderr().count("not reloaded") > logged, "SIGHUP to be answered", 15)
        if wrong not in (log_directory_gone, log_not_writable):
            proxy.mark()
            proxy.process.send_signal(signal.SIGHUP)
            assert words[-1] in proxy.wait_event("reload_refused")["text"]
        reader.goes_on()
        assert logs_in(proxy) and not can_connect(spare["address"], spare["port"])
        wait_until(lambda: descriptors(proxy) == before, "no descriptor more than before", 10)
        # And put right, all of it is used.
        away = os.path.join(proxy.directory, "away")
        if wrong is log_directory_gone:
            os.rename(away, os.path.dirname(proxy.audit_file))
        if wrong is log_not_writable:
            os.rmdir(proxy.audit_file)
        if wrong is credentials_missing:
            os.rename(proxy.credentials.path + ".away", proxy.credentials.path)
        if wrong is credentials_malformed:
            with open(proxy.credentials.path, encoding="ascii") as file:
                lines = file.readlines()
            with open(proxy.credentials.path, "w", encoding="ascii") as file:
                file.writelines(lines[:-1])
        os.chmod(proxy.credentials.path, 0o600)
        proxy.listeners[:], proxy.upstreams[:] = [*stands[0], spare], stands[1]
        for name in ("kerberos", "credentials"):
            proxy.extra.pop(name, None)
        proxy.write_configuration()
        status, said = proxy.reload()
        assert status == 0, said
        assert not logs_in(proxy) and can_connect(spare["address"], spare["port"])
        reader.goes_on()
        assert proxy.wait_event("reloaded")


def reload_begun(proxy):
    return subprocess.Popen([BINARY, "reload", "--control", os.path.join(proxy.directory, "control")],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)


def begun_alone(proxy):
    """Two are begun: the one that the other was refused for."""
    both = [reload_begun(proxy), reload_begun(proxy)]
    late = wait_until(lambda: [each for each in both if each.poll() is not None], "one to be refused", 8)[0]
    both.remove(late)
    status, said = ended(late)
    assert status == 1 and "another reload is under way; try again" in said, said
    return both[0]


def ended(process, seconds=40):
    said = process.communicate(timeout=seconds)[0]
    return process.returncode, said


def test_two_at_once(proxy, nas):
    """A child that is slow to answer keeps the second out; the first comes to its end."""
    keeper = proxy.children("keeper")[0]
    with Reader(proxy, nas) as reader:
        os.kill(keeper, signal.SIGSTOP)
        try:
            first = begun_alone(proxy)
            proxy.wait_event("reload_refused")
        finally:
            os.kill(keeper, signal.SIGCONT)
        assert ended(first) == (0, "countersign: reloaded\n")
        reader.goes_on()
        results = [ended(each) for each in [reload_begun(proxy) for _ in range(6)]]
        assert any(status == 0 for status, _ in results), results
        for status, said in results:
            assert status == 0 or "another reload is under way" in said
        assert proxy.reload()[0] == 0


def test_while_a_worker_restarts(proxy, nas):
    """Told to try again, and then it works; the new worker has one configuration, and only one."""
    proxy.may_die = True
    proxy.extra["rules"] = [NOT_ALICE]
    proxy.write_configuration()
    refused = 0
    for round_number in range(30):
        if refused and round_number >= 4:
            break
        before = len(proxy.seen("process_ended"))
        os.kill(proxy.children("worker")[round_number % 2], signal.SIGKILL)
        wait_until(lambda before=before: len(proxy.seen("process_ended")) > before, "the end to be seen")
        status, said = proxy.reload()
        if status:
            assert "being started; try again" in said, said
            refused += 1
        wait_until(lambda: proxy.reload()[0] == 0, "a reload that works", 20, 0.1)
        assert len(proxy.children("worker")) == 2
        for _ in range(8):
            assert not logs_in(proxy) and logs_in(proxy, "bob")
    assert refused, "no reload came while a worker was being started"


@pytest.mark.parametrize("role", ["worker", "keeper", "recorder"])
@pytest.mark.parametrize("how", ["dies", "sleeps"])
def test_process_that_does_not_answer(proxy, nas, role, how):
    """It ends while it is asked, or answers nothing in time: the others forget what was prepared."""
    proxy.may_die = True
    pid = proxy.children(role)[0]
    proxy.extra["rules"] = [NOT_ALICE]
    proxy.write_configuration()
    os.kill(pid, signal.SIGSTOP)
    try:
        asked = begun_alone(proxy)
        if how == "dies":
            os.kill(pid, signal.SIGKILL)
        status, said = ended(asked)
        assert status == 1 and "everything stays as it was" in said
        assert ("a process ended meanwhile" if how == "dies" else "did not answer in time") in said
    finally:
        # A worker that does not answer is killed.
        if how == "sleeps" and role != "worker":
            os.kill(pid, signal.SIGCONT)
    survives = how == "sleeps" and role != "worker"
    wait_until(lambda: (pid in proxy.children(role)) == survives, "the end of who does not answer", 20, 0.2)
    wait_until(lambda: attempt(proxy), "alice to be let in as before", 20, 0.2)
    wait_until(lambda: proxy.reload()[0] == 0, "a reload that works", 20, 0.2)
    assert not logs_in(proxy) and logs_in(proxy, "bob")


def attempt(proxy):
    """A worker that has just been started answers nobody before it has met its peers."""
    try:
        return logs_in(proxy)
    except (AssertionError, Disconnected, Failed, OSError):
        return False


def test_asker_that_goes_away(proxy):
    """Whoever asked is gone before the answer; and one that says nothing keeps nobody waiting."""
    keeper = proxy.children("keeper")[0]
    os.kill(keeper, signal.SIGSTOP)
    try:
        asked = begun_alone(proxy)
        asked.kill()
        asked.communicate()
        proxy.mark()
    finally:
        os.kill(keeper, signal.SIGCONT)
    proxy.wait_event("reloaded")
    assert proxy.reload()[0] == 0


def test_fifty_in_a_row(proxy, nas, tmp_path):
    """Listeners come and go, transfers lose no byte, and there is no more of anything afterwards."""
    client = SmbClient(str(tmp_path), *proxy.where)
    shutil.copy(os.path.join(nas.share, "big"), tmp_path / "out")
    transfers = [subprocess.Popen(
        ["smbclient", "-s", client.configuration, f"//{client.address}/data", "-p", str(client.port),
         "-U", f"LABGROUP\\alice%{USERS['alice']}", "-c", commands], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for commands in ("get big in", "put out sent")]
    spare = listener("spare", address=new_address())
    first, sizes = None, []
    with Reader(proxy, nas) as reader:
        for number in range(50):
            proxy.listeners[1:] = [spare] if number % 2 else []
            spare["port"] = free_port(spare["address"]) if number % 10 == 0 else spare["port"]
            proxy.extra["rules"] = [{**NOT_ALICE, "who": [f"nobody-{number}"]}]
            if number % 7 == 3:
                proxy.extra["otherwise"] = "nonsense"
            proxy.write_configuration()
            status, said = proxy.reload(*(["--apply"] if number % 5 == 0 else []))
            assert status == (1 if number % 7 == 3 else 0), said
            proxy.extra.pop("otherwise", None)
            sizes.append(sum(resident(pid) for pid in [proxy.process.pid, *proxy.children()]))
        reader.goes_on()
        for transfer in transfers:
            said = transfer.communicate(timeout=120)[0]
            assert transfer.returncode == 0 and "NT_STATUS" not in said, said
    with open(os.path.join(nas.share, "big"), "rb") as truth:
        whole = truth.read()
    assert (tmp_path / "in").read_bytes() == whole
    with open(os.path.join(nas.share, "sent"), "rb") as sent:
        assert sent.read() == whole
    proxy.listeners[1:] = []
    proxy.write_configuration()
    for number in range(12):
        assert proxy.reload()[0] == 0
        if number == 1:
            first = descriptors(proxy)
    assert len(proxy.children()) == 4
    assert descriptors(proxy) == first
    assert sizes[-1] - sizes[24] < 4 << 20, [size >> 10 for size in sizes]
