"""A flood of refused attempts from one source: the log stays small and exact, others are served.

The numbers of attempts are what the test itself counted: each connection was made, and ended by the
proxy.
"""

import os
import signal
import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest

from front import Front
from harness import wait_until
from memory import MIB, is_sanitized, resident
from rawclient import Failed
from stubserver import CONTENT, FILE_ID

# Within a minute on two cores; a sanitized build is slower, and what it counts is as exact.
ATTEMPTS = 100000 if not is_sanitized() else 20000
TOGETHER = 64  # connections at a time, far below connections_per_source
ATTACKER = "127.0.9.1"
GROWTH = 16 * MIB
SMB1_NEGOTIATE = b"\xffSMB\x72" + bytes(27) + b"\x00" + struct.pack("<H", 13) + b"\x02NT LM 0.12\x00"


class Flooded(Front):
    """Two workers with folding and the limiter as they are by default."""

    def __init__(self):
        super().__init__(on_listener={"address": "127.0.0.1"}, workers=2,
                         extra={"audit": {"fold": 60000}, "authentication": {"delay_max": 300000}})

    def counters(self):
        """The `counters` of a clean stop, and all events."""
        self.proxy.stop()
        events = self.proxy.events()
        assert events[-1]["event"] == "counters" and events[-1]["lost"] == 0
        return events[-1]["counts"], events


def attack(where, attempts, payload):
    """So many connections, each with `payload`, until the proxy has ended each; how many."""
    made = 0
    while made < attempts:
        batch = []
        for _ in range(min(TOGETHER, attempts - made)):
            batch.append(socket.create_connection(where, 30, (ATTACKER, 0)))
            try:
                batch[-1].sendall(payload)
            except ConnectionError:
                pass  # it has ended it already
        for connection in batch:
            try:
                assert connection.recv(1) == b""
            except ConnectionError:
                pass  # the same, with what was sent still unread
            connection.close()
            made += 1
    return made


@contextmanager
def somebody_else(front):
    """alice works all the while, on a connection of her own and on new ones; how often she did."""
    client, session = front.established()
    done, stop, failures = [0, 0], threading.Event(), []

    def work():
        try:
            while not stop.is_set():
                assert session.read(FILE_ID, 100) == CONTENT
                done[0] += 1
                if done[0] % 50 == 0:
                    other, another = front.established()
                    with other:
                        assert another.read(FILE_ID, 100) == CONTENT
                    done[1] += 1
        except Exception as failure:  # told by the test, not by a thread
            failures.append(failure)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(30)
        client.__exit__()
    assert not failures, failures


def told(events, name):
    """How many events of a kind the log's lines stand for, and in how many lines."""
    lines = [event for event in events if event["event"] == name]
    return sum(event.get("repeats", 1) for event in lines), len(lines)


def flood(front, payload):
    """A flood, with somebody else beside it: how many attempts, and how much the processes grew."""
    pids = front.proxy.children("worker") + front.proxy.children("recorder")
    attack(front.where, 1000, payload)
    before = [resident(pid) for pid in pids]
    dialled = front.stub.connections
    begun = time.monotonic()
    with somebody_else(front) as done:
        made = attack(front.where, ATTEMPTS - 1000, payload)
    assert done[0] > 100 and done[1] > 0
    # Only what alice herself connected has reached the file server.
    assert front.stub.connections == dialled + 1 + done[1]
    assert is_sanitized() or time.monotonic() - begun < 120
    for pid, size in zip(pids, before):
        assert is_sanitized() or resident(pid) < size + GROWTH
    return made + 1000, done[1] + 1


def test_flood_of_smb1():
    """Messages that are refused as soon as they are read."""
    with Flooded() as front:
        made, logins = flood(front, struct.pack(">I", len(SMB1_NEGOTIATE)) + SMB1_NEGOTIATE)
        counts, events = front.counters()
        assert counts["smb1_refused"] == made
        assert counts["link_ended"] == made + logins
        assert counts["login"] == logins
        number, lines = told(events, "smb1_refused")
        assert number == made and lines < 10
        number, lines = told(events, "link_ended")
        assert number == made + logins and lines < 300 + logins
        first = next(event for event in events if event["event"] == "smb1_refused")
        assert first["client_address"] == ATTACKER and "repeats" not in first


def close_the_source(front):
    """More guesses than are free, at names of their own, before the recorder hears of the first: so
    the delay is a long one at once. How many connections of the attacker have been let in, by then."""
    guesses = 70
    recorder, = front.proxy.children("recorder")
    os.kill(recorder, signal.SIGSTOP)
    try:
        for number in range(guesses):
            with front.raw(source=ATTACKER) as client:
                client.negotiate()
                with pytest.raises(Failed):
                    client.login(f"name{number}", "wrong")
    finally:
        os.kill(recorder, signal.SIGCONT)
    looks = []
    wait_until(lambda: looks.append(is_closed(front.where)) or looks[-1], "the source to be closed", 10)
    return guesses, guesses + looks.count(False)


def is_closed(where):
    with socket.create_connection(where, 10, (ATTACKER, 0)) as connection:
        connection.settimeout(0.2)
        try:
            return connection.recv(1) == b""
        except TimeoutError:
            return False


def test_flood_from_a_closed_source():
    """Somebody who has guessed too often: connections are ended before they are read."""
    with Flooded() as front:
        guesses, let_in = close_the_source(front)
        made, logins = flood(front, b"")
        counts, events = front.counters()
        assert counts["limiter_acted"] == made + 1  # and that which found it closed
        assert counts["login_refused"] == guesses and counts["login"] == logins
        assert counts["link_ended"] == counts["limiter_acted"] + let_in + logins
        for name in ("limiter_acted", "login_refused", "link_ended"):
            number, lines = told(events, name)
            assert number == counts[name] and lines < 100 + logins
