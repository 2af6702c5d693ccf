"""Failed logins are delayed, and nobody else: with real clients, over two workers."""

import os
import signal

import pytest

from front import Front
from harness import wait_until
from rawclient import Disconnected, Failed
from smbtools import SmbClient

LOGON_FAILURE = 0xC000006D
LOCKED_OUT = 0xC0000234
FAILURES = 3


class Limited(Front):
    """Two workers in front of an honest file server, with a limiter of its own."""

    def __init__(self, workers=2, **authentication):
        super().__init__(on_listener={"address": "127.0.0.1"}, workers=workers, extra={
            "authentication": {"failures": FAILURES, "delay_max": 300000, **authentication}})

    def attempt(self, user, password=None, source="127.0.0.1"):
        """A login on a connection of its own from a source: None, or the status of the refusal."""
        with self.raw(source=source) as client:
            client.negotiate()
            try:
                client.login(user, password)
            except Failed as failed:
                return failed.status
            return None

    def fail(self, user, times, source="127.0.0.1"):
        """Wrong passwords, each refused as such; the next comes after the recorder has heard of it."""
        for _ in range(times):
            assert self.attempt(user, "wrong", source) == LOGON_FAILURE

    def fail_long(self, user, source):
        """So many before the recorder hears of the first that the delay is one of minutes."""
        recorder, = self.proxy.children("recorder")
        os.kill(recorder, signal.SIGSTOP)
        try:
            self.fail(user, FAILURES + 9, source)
        finally:
            os.kill(recorder, signal.SIGCONT)
        self.wait_limited(user, source)

    def wait_limited(self, user, source):
        """Until the workers know of it."""
        wait_until(lambda: self.attempt(user, "wrong", source) == LOCKED_OUT, "the delay", 20)


@pytest.fixture
def front():
    with Limited() as arrangement:
        yield arrangement


def test_one_pair_waits_and_nobody_else(front):
    front.fail("alice", FAILURES, "127.0.9.1")
    front.wait_limited("alice", "127.0.9.1")
    # Right or wrong is not told while the delay lasts.
    assert front.attempt("alice", None, "127.0.9.1") in (LOCKED_OUT, None)
    event = front.proxy.wait_event("limiter_acted", reason="user_from_source", user="alice")
    assert event["client_address"] == "127.0.9.1" and event["verdict"] == "refused"
    # Another user from there, the same user from elsewhere: at once.
    assert front.attempt("bob", None, "127.0.9.1") is None
    assert front.attempt("alice", None, "127.0.9.2") is None


def test_right_password_gets_in_after_the_delay(front):
    front.fail("alice", FAILURES, "127.0.9.1")
    front.wait_limited("alice", "127.0.9.1")
    wait_until(lambda: front.attempt("alice", None, "127.0.9.1") is None, "the delay to end", 60, 0.2)
    # And the failures before it are forgiven.
    front.fail("alice", FAILURES - 1, "127.0.9.1")
    assert front.attempt("alice", None, "127.0.9.1") is None


def test_limited_attempt_ends_the_connection(front):
    front.fail("alice", FAILURES, "127.0.9.1")
    front.wait_limited("alice", "127.0.9.1")
    with front.raw(source="127.0.9.1") as client:
        client.negotiate()
        # A delay may just have ended: then it is a wrong password once more, and a longer delay.
        wait_until(lambda: status_of_login(client) == LOCKED_OUT, "the refusal", 30)
        with pytest.raises(Disconnected):
            client.login("bob")
    front.proxy.wait_event("link_ended", reason="limit")


def status_of_login(client):
    with pytest.raises(Failed) as refused:
        client.login("alice", "wrong")
    return refused.value.status


def test_source_is_closed_before_the_file_server_is_dialled():
    """Names that nobody has: after so many, no connection from there is read, and none is dialled."""
    with Limited(failures_per_source=10) as front:
        for number in range(10):
            front.fail(f"name{number}", 1, "127.0.9.1")

        def is_closed():
            dialled = front.stub.connections
            try:
                front.attempt("name99", "wrong", "127.0.9.1")
            except (Disconnected, OSError):
                assert front.stub.connections == dialled
                return True
            return False

        wait_until(is_closed, "the source to be closed", 30)
        front.proxy.wait_event("limiter_acted", reason="source", client_address="127.0.9.1")
        assert front.attempt("alice", None, "127.0.9.2") is None


def test_neighbour_behind_the_same_nat_is_not_locked_out():
    """Who has logged in from a source goes on, whatever another one does there."""
    with Limited(failures_per_source=10) as front:
        assert front.attempt("alice", None, "127.0.9.1") is None
        for number in range(40):
            assert front.attempt(f"name{number}", "wrong", "127.0.9.1") in (LOGON_FAILURE, LOCKED_OUT)
        front.proxy.wait_event("limiter_acted", reason="source")
        assert front.attempt("alice", None, "127.0.9.1") is None


def test_real_client_is_told_something_else_than_wrong_password(front, tmp_path):
    client = SmbClient(str(tmp_path), *front.where)
    front.fail_long("alice", "127.0.0.1")
    answer = client.run("exit", password="wrong")
    assert "NT_STATUS_ACCOUNT_LOCKED_OUT" in answer.stdout + answer.stderr


def test_delays_survive_a_worker(front):
    """A worker that was started again is told of what is in force."""
    front.proxy.may_die = True
    front.fail_long("alice", "127.0.9.1")
    before = front.proxy.children("worker")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(front.proxy.children("worker")) - set(before)) == 2,
               "two new workers", 30)

    def answered():
        try:
            return front.attempt("alice", None, "127.0.9.1") or "in"
        except (Disconnected, OSError):
            return None

    assert wait_until(answered, "an answer", 30) == LOCKED_OUT
