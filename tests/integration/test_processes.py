"""Workers, keeper, recorder and file server come and go; what goes with them and what does not."""

import os
import signal
import time

import pytest

import bodies
import smb2
from front import Front
from harness import is_alive, wait_until
from nas import Nas
from rawclient import Disconnected, Failed, RawClient
from rig import Rig

REFUSED = (Disconnected, Failed)


class Setting(Front):
    """A proxy with `workers` workers straight before the file server."""

    def __init__(self, nas, workers=2, **on_upstream):
        super().__init__(nas, on_upstream=on_upstream, workers=workers)

    def __enter__(self):
        super().__enter__()
        self.proxy.may_die = True
        return self

    def session(self, guid=None, user="alice"):
        """A new connection with a session and a tree: (client, session, number of its worker)."""
        before = len(self.proxy.seen("link"))
        client = self.raw()
        client.guid = guid or client.guid
        client.negotiate()
        session = client.login(user)
        session.tree_connect()
        events = wait_until(lambda: self.proxy.seen("link")[before:], "the link's event")
        return client, session, int(events[-1]["worker"])

    def on_both_workers(self):
        """One session on each of two workers."""
        found = {}
        for _ in range(40):
            client, session, worker = self.session()
            if worker in found:
                client.__exit__()
            else:
                found[worker] = (client, session)
            if len(found) == 2:
                return found
        raise AssertionError(f"40 connections, all on worker {list(found)}")

    def logs_in(self):
        """True when a new session can be had now."""
        try:
            client, session, _ = self.session()
        except (*REFUSED, TimeoutError, OSError):
            return False
        session.must(smb2.ECHO, bodies.empty())
        client.__exit__()
        return True


def works(session):
    session.close(session.create("f"))


@pytest.fixture
def setting(nas):
    with Setting(nas) as arrangement:
        yield arrangement


def test_killed_worker_costs_only_its_own_links(setting):
    proxy = setting.proxy
    sessions = setting.on_both_workers()
    pids = proxy.children("worker")
    assert len(pids) == 2
    os.kill(pids[0], signal.SIGKILL)
    ended = wait_until(lambda: [number for number, (client, _) in sessions.items()
                                if connection_is_gone(client)], "links of the killed worker to end", 5)
    assert len(ended) == 1
    (living,) = [pair for number, pair in sessions.items() if number not in ended]
    works(living[1])
    proxy.wait_event("process_ended")
    wait_until(lambda: len(proxy.children("worker")) == 2, "a new worker", 5)
    # Both serve: the new one at once, on the sockets that stayed open.
    assert all(setting.logs_in() for _ in range(8))
    assert len(setting.on_both_workers()) == 2
    works(living[1])


def connection_is_gone(client):
    """Without waiting: the peer has closed."""
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        client.socket.settimeout(10)


def test_killed_keeper_costs_no_session(setting):
    proxy = setting.proxy
    client, session, _ = setting.session()
    (keeper,) = proxy.children("keeper")
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not is_alive(keeper), "the keeper to die", 5)
    works(session)
    wait_until(setting.logs_in, "logins to work again", 10, 0.1)
    works(session)
    assert proxy.children("keeper") != [keeper]
    proxy.wait_event("process_ended")
    client.__exit__()


def test_killed_recorder_costs_no_session_and_logging_goes_on(setting):
    proxy = setting.proxy
    client, session, _ = setting.session()
    (recorder,) = proxy.children("recorder")
    os.kill(recorder, signal.SIGKILL)
    wait_until(lambda: proxy.children("recorder") not in ([], [recorder]), "a new recorder", 5)
    works(session)

    def recorded_again():
        before = len(proxy.seen("login"))
        assert setting.logs_in()
        return len(proxy.seen("login")) > before

    wait_until(recorded_again, "events to be written again", 10, 0.1)
    client.__exit__()


def test_killed_supervisor_leaves_no_orphans(nas):
    with Setting(nas) as setting:
        children = setting.proxy.children()
        assert len(children) == 4
        setting.proxy.process.kill()
        setting.proxy.process.wait()
        setting.proxy.stopped = True
        wait_until(lambda: not any(is_alive(pid) for pid in children), "the children to end", 10)


def test_processes_have_given_up_root(setting):
    """Each role its own uid, no capability, no new privileges."""
    seen = {}
    for role in ("worker", "keeper", "recorder"):
        for pid in setting.proxy.children(role):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            uids, gids = set(status["Uid"].split()), set(status["Gid"].split())
            assert len(uids) == 1 and len(gids) == 1 and uids != {"0"} and gids != {"0"}, (role, status)
            assert status["Groups"].strip() in ("", *gids), role
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, role
            assert status["NoNewPrivs"] == "1", role
            seen.setdefault(role, set()).update(uids)
    assert len(set.union(*seen.values())) == 3


def test_one_client_guid_is_one_worker(setting):
    """Leases of one client may be broken on any of its connections: they live together."""
    for guid in (os.urandom(16), os.urandom(16), os.urandom(16)):
        opened = [setting.session(guid) for _ in range(6)]
        for client, session, _ in opened:
            works(session)
        assert len({worker for _, _, worker in opened}) == 1
        for client, _, _ in opened:
            client.__exit__()
    assert len(setting.on_both_workers()) == 2, "the test proves nothing"


def test_file_server_down():
    """Refused within the deadline, told, and served again when it is back."""
    with Nas() as server, Rig(server, on_upstream={"connect_timeout": 9000}) as rig:
        client, session = rig.established()
        with client:
            server.stop()
            assert client.ends()
        rig.upstream_relay.target = ("127.0.0.1", 1)
        begun = time.monotonic()
        with RawClient(*rig.direct) as client, pytest.raises(REFUSED):
            client.negotiate()
        assert time.monotonic() - begun < 8
        rig.proxy.wait_event("upstream_unreachable", leg="upstream")
        server.start()
        with RawClient(*rig.direct) as client:
            client.negotiate()
            works_after = client.login()
            works_after.tree_connect()
            works(works_after)


def test_log_is_opened_again_after_rotation(setting):
    proxy = setting.proxy
    setting.session()[0].__exit__()
    old = proxy.audit_file + ".1"
    os.rename(proxy.audit_file, old)
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(proxy.audit_file), "the new log", 5)
    proxy.mark()
    assert setting.logs_in()
    proxy.wait_event("login")
    assert proxy.events(old)


def test_new_user_after_reload(setting):
    proxy = setting.proxy
    with setting.raw() as client:
        client.negotiate()
        with pytest.raises(Failed):
            client.login("bob", password="Another.Pw9")
    proxy.credentials.add("BOB2", "x")
    proxy.credentials.add("bob", "Another.Pw9")
    proxy.process.send_signal(signal.SIGHUP)

    def refused_by_the_file_server():
        # Our own proof is right now; the file server knows another password.
        with setting.raw() as client:
            client.negotiate()
            try:
                client.login("bob", password="Another.Pw9")
            except Failed as refused:
                return refused.status != smb2.LOGON_FAILURE
        return False

    wait_until(refused_by_the_file_server, "the new password to be known", 5, 0.1)
    proxy.wait_event("upstream_login_refused", user="bob")


def test_counters_and_clean_end(nas):
    """SIGUSR1 writes the counters, SIGTERM ends everything with live links."""
    with Setting(nas) as setting:
        proxy = setting.proxy
        client, _, _ = setting.session()
        proxy.mark()
        proxy.process.send_signal(signal.SIGUSR1)
        assert proxy.wait_event("counters")["counts"]["login"] >= 1
        proxy.stop()
        assert client.ends()
        assert not proxy.seen("process_ended")
        assert proxy.seen("link_ended") and proxy.seen("counters")
