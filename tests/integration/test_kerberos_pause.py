"""Many logins at once while the KDC answers nobody: whoever is in keeps working, all others end cleanly."""

import threading
import time
from collections import Counter

import pytest

import kerberos
from harness import USERS, wait_until
from kerberosrig import KerberosRig, proxy_account
from mitkdc import Realm
from rawclient import Disconnected, Failed

USERS_COUNT = 200
PAUSE = 10
NO_LOGON_SERVERS = 0xC000005E


def names():
    return [f"user{number:03d}" for number in range(USERS_COUNT)]


@pytest.fixture(scope="module")
def crowd():
    """A realm with as many users as logins, since a ticket that is there already asks no KDC."""
    with Realm(delegation=True) as realm:
        realm.add_users({name: "Secret.Pw1" for name in names()})
        yield realm


@pytest.fixture(scope="module")
def arrangement(crowd):
    with crowd.file_server(users={**USERS, **dict.fromkeys(names())}) as server:
        proxy_account(crowd, server.service)
        with KerberosRig(crowd, server, ["delegate"], on_upstream={"connect_timeout": 30000}) as rig:
            yield rig


class Attempt(threading.Thread):
    """One user's login and first write; `outcome` is what became of it. It is connected before it is
    started, so that the logins come together and not as fast as smbd can fork."""

    def __init__(self, rig, credential, name):
        super().__init__(daemon=True)
        self.rig, self.credential, self.user = rig, credential, name
        self.outcome = None
        self.client = rig.raw_direct(timeout=120)
        self.client.negotiate()

    def run(self):
        try:
            with self.client as client:
                session = client.login_ticket(kerberos.Initiator(self.credential))
                session.tree_connect()
                session.close(session.create(f"{self.user}.txt", disposition=5))
            self.outcome = "in"
        except Failed as failed:
            self.outcome = failed.status
        except (Disconnected, TimeoutError) as error:
            self.outcome = repr(error)


def credentials(realm, service):
    """A service ticket for each user, fetched before the KDC stops answering."""
    found = []
    for name in names():
        found.append(kerberos.credential(realm.kinit(name, service=service), service))
    return found


def keep_moving(session, file_id, until):
    """Writes and reads until a moment; the longest that one round took."""
    longest, offset = 0, 0
    while time.monotonic() < until:
        began = time.monotonic()
        session.write(file_id, b"%08d" % offset, offset * 8)
        assert session.read(file_id, 8, offset * 8) == b"%08d" % offset
        longest, offset = max(longest, time.monotonic() - began), offset + 1
        time.sleep(0.02)
    assert offset > 50
    return longest


def gets_in(attempt):
    """Tries once more, here and now."""
    again = Attempt(attempt.rig, attempt.credential, attempt.user)
    again.run()
    return again.outcome == "in"


def test_paused_kdc(crowd, arrangement):
    rig = arrangement
    held = credentials(crowd, rig.service)
    alice = crowd.kinit("alice")
    alice.must_get(rig.service)
    with rig.raw(timeout=30) as client:
        client.negotiate()
        session = client.login_ticket(kerberos.Initiator(kerberos.credential(alice, rig.service)))
        session.tree_connect()
        file_id = session.create("moving", disposition=5)
        attempts = [Attempt(rig, credential, name) for credential, name in zip(held, names())]
        crowd.pause()
        try:
            for attempt in attempts:
                attempt.start()
            longest = keep_moving(session, file_id, time.monotonic() + PAUSE)
            assert all(attempt.outcome != "in" for attempt in attempts), "somebody needed no KDC"
        finally:
            crowd.resume()
        assert longest < PAUSE / 2, f"an established session waited {longest:.1f} s"
        for attempt in attempts:
            wait_until(lambda one=attempt: one.outcome is not None, "a login to end", 90)
        session.close(file_id)
    refusals = Counter((event["event"], event.get("reason")) for event in rig.proxy.seen()
                       if event["event"] not in ("link", "login", "tree_connect"))
    assert {attempt.outcome for attempt in attempts} <= {"in", NO_LOGON_SERVERS}, refusals
    # Whoever was turned away gets in now, once the proxy dares to ask the KDC again.
    for attempt in attempts:
        if attempt.outcome != "in":
            wait_until(lambda one=attempt: gets_in(one), f"{attempt.user} to get in", 30, 0.5)
        assert rig.server.owner(f"{attempt.user}.txt") == attempt.user
    rig.proxy.assert_healthy()
