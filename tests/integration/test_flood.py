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
from contextlib import ExitStack, contextmanager

import pytest

import smb2
from capture import receive_frame
from front import Front
from harness import wait_until
from memory import MIB, is_sanitized, resident
from rawclient import Failed
from stubserver import CONTENT, FILE_ID

# In less than a minute on two cores; a sanitized build is slower, and what it counts is as exact.
ATTEMPTS = 100000 if not is_sanitized() else 20000
DIALLING = 5000  # of attempts for which the tests' own file server has to be asked
TOGETHER = 64  # connections at a time, far below connections_per_source
ATTACKER = "127.0.9.1"
GROWTH = 16 * MIB
SMB1_NEGOTIATE = b"\xffSMB\x72" + bytes(27) + b"\x00" + struct.pack("<H", 13) + b"\x02NT LM 0.12\x00"


class Flooded(Front):
    """Some workers with folding and the limiter as they are by default."""

    def __init__(self, workers=2, fold=60000, limits=None, **options):
        super().__init__(on_listener={"address": "127.0.0.1"}, workers=workers,
                         extra={"audit": {"fold": fold}, "authentication": {"delay_max": 300000},
                                "limits": limits or {}}, **options)

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
            wait_for_end(connection)
            connection.close()
            made += 1
    return made


def wait_for_end(connection):
    """The proxy's answers, if any, and then its end of the connection."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass  # the same, with what was sent still unread


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


def flood(front, payload, attempts=ATTEMPTS):
    """A flood, with somebody else beside it, that leaves no process much larger than it was: (attempts
    made, logins of somebody else, connections to the file server that the attempts led to)."""
    pids = front.proxy.children("worker") + front.proxy.children("recorder")
    made = attack(front.where, attempts // 10, payload)
    before = [resident(pid) for pid in pids]
    dialled = front.stub.connections
    begun = time.monotonic()
    with somebody_else(front) as done:
        made += attack(front.where, attempts - made, payload)
    assert made == attempts
    assert done[0] > 100 and done[1] > 0
    assert is_sanitized() or time.monotonic() - begun < 60
    for pid, size in zip(pids, before):
        assert is_sanitized() or resident(pid) < size + GROWTH
    logins = done[1] + 1
    return made, logins, front.stub.connections - dialled - logins


def frame(message):
    return struct.pack(">I", len(message)) + message


def test_flood_of_smb1():
    """Messages that are refused as soon as they are read."""
    with Flooded() as front:
        made, logins, dialled = flood(front, frame(SMB1_NEGOTIATE))
        counts, events = front.counters()
        assert dialled == 0  # only what alice herself connected has reached the file server
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
    """Who is let in gets an answer, however long that takes."""
    with socket.create_connection(where, 60, (ATTACKER, 0)) as connection:
        try:
            connection.sendall(offer())
        except ConnectionError:
            return True
        return not is_answered(connection)


def test_flood_from_a_closed_source():
    """Somebody who has guessed too often: connections are ended before they are read."""
    with Flooded() as front:
        guesses, let_in = close_the_source(front)
        made, logins, dialled = flood(front, b"")
        counts, events = front.counters()
        assert dialled == 0
        assert counts["limiter_acted"] == made + 1  # and that which found it closed
        assert counts["login_refused"] == guesses and counts["login"] == logins
        assert counts["link_ended"] == counts["limiter_acted"] + let_in + logins
        for name in ("limiter_acted", "login_refused", "link_ended"):
            number, lines = told(events, name)
            assert number == counts[name] and lines < 100 + logins


def offer():
    """A good NEGOTIATE, for which the file server is asked."""
    body = smb2.negotiate_request_body([0x202, 0x210], smb2.SIGNING_ENABLED, 0, bytes(range(16)))
    return frame(smb2.Header(smb2.NEGOTIATE).pack() + body)


def test_flood_that_reaches_the_file_server():
    """Attempts that are refused only after the file server has been asked, and folded lines that come
    while it goes on."""
    with Flooded(workers=1, fold=1000, limits={"connections_per_source": 16}) as front:
        made, logins, dialled = flood(front, offer() + frame(SMB1_NEGOTIATE), DIALLING)
        meanwhile = [event for event in front.proxy.events() if event["event"] == "smb1_refused"]
        assert len(meanwhile) > 1 and meanwhile[1]["repeats"] > 0
        counts, events = front.counters()
        # Each attempt is one or the other, and of those let in each is a connection at most.
        assert counts["smb1_refused"] + counts["limit_reached"] == made
        assert counts["smb1_refused"] >= dialled > 0
        assert counts["link_ended"] == made + logins
        for name in ("smb1_refused", "limit_reached", "link", "link_ended"):
            assert told(events, name)[0] == counts[name], name
        assert {event["client_address"] for event in events
                if event["event"] == "smb1_refused"} == {ATTACKER}


BOUND = 8
BOUNDS = {"connections_per_source": {"limits": {"connections_per_source": BOUND}},
          "upstream_connections": {"on_upstream": {"connections": BOUND + 1}}}


@pytest.mark.parametrize("reason", BOUNDS)
def test_no_more_connections_to_the_file_server_than_its_bound(reason):
    """Connections that are kept: so many of them lead on to the file server, and no more."""
    with Flooded(workers=1, **BOUNDS[reason]) as front, ExitStack() as stack:
        client, session = front.established()
        stack.enter_context(client)
        held = [stack.enter_context(socket.create_connection(front.where, 30, (ATTACKER, 0)))
                for _ in range(TOGETHER)]
        for connection in held:
            try:
                connection.sendall(offer())
            except ConnectionError:
                pass  # it was beyond the bound
        answered = [connection for connection in held if is_answered(connection)]
        assert len(answered) == BOUND and front.stub.connections == BOUND + 1
        assert session.read(FILE_ID, 100) == CONTENT
        if reason == "connections_per_source":
            other, another = front.established()
            with other:
                assert another.read(FILE_ID, 100) == CONTENT
        counts, events = front.counters()
        refused = [event for event in events if event["event"] == "limit_reached"]
        assert counts["limit_reached"] == told(events, "limit_reached")[0] == TOGETHER - BOUND
        assert {(event["reason"], event["client_address"]) for event in refused} == {(reason, ATTACKER)}


def is_answered(connection):
    """Did the NEGOTIATE succeed? Otherwise the proxy says so, or says nothing, and hangs up."""
    try:
        answer = receive_frame(connection)
    except ConnectionError:
        return False
    return answer is not None and smb2.parse_header(answer).status == smb2.SUCCESS
