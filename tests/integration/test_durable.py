"""Durable handles: a connection is cut, the client comes back, and what it had open is still open.

The file server knows one owner of a handle: who logged in there. Where several people are mapped to
one account that is not enough, and whose handle it is has to be known here.
"""

import os
import uuid

import pytest

import bodies
import smb2
from durable import Handle
from harness import USERS, DeadlinePassed, wait_until
from nas import Nas
from rawclient import Failed
from rig import Rig

# What smbd needs to grant durable handles at all.
DURABLE_SHARE = {"kernel oplocks": "no", "kernel share modes": "no", "posix locking": "no",
                 "durable handles": "yes"}
QUIET = {"kernel oplocks": "no", "kernel change notify": "no"}
KINDS = [(version, oplock) for version in (1, 2) for oplock in ("batch", "lease")]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"v{kind[0]}-{kind[1]}")


@pytest.fixture(scope="module")
def nas():
    with Nas(extra=QUIET, share_options=DURABLE_SHARE) as server:
        yield server


@pytest.fixture(scope="module")
def module_rig(nas):
    with Rig(nas, workers=3) as arrangement:
        yield arrangement


@pytest.fixture(scope="module")
def mapped_rig(nas):
    """For the file server, everybody is alice."""
    account = ("alice", USERS["alice"])
    with Rig(nas, users=USERS, mapped={"alice": account, "bob": account}, workers=2,
             on_upstream={"login": ["mapped"]}) as arrangement:
        yield arrangement


@pytest.fixture
def shared_account(mapped_rig):
    mapped_rig.reset()
    mapped_rig.server.empty_share()
    yield mapped_rig
    mapped_rig.proxy.assert_healthy()


def connect(rig, handle, user="alice", guid=None, previous=0):
    """A new connection with a session and a tree: (client, session)."""
    client = rig.raw()
    client.guid = guid or client.guid
    client.negotiate(dialects=handle.dialects)
    session = client.login(user, previous=previous)
    session.tree_connect()
    return client, session


def event_guid(client):
    """The client's ClientGuid as events spell it."""
    return str(uuid.UUID(bytes_le=client.guid))


def worker_of(rig, client):
    return rig.proxy.wait_event("link", client_guid=event_guid(client))["worker"]


def restart(proxy):
    """What its processes knew is gone."""
    proxy.stop()
    before = proxy.stderr().count("countersign: ready")
    proxy.start()
    wait_until(lambda: proxy.stderr().count("countersign: ready") > before, "countersign to be ready")


def cut(rig):
    """The client's connection breaks: neither LOGOFF nor CLOSE were sent."""
    rig.client_relay.last().close()


def use_again(session, handle):
    """What was written is there, and more can be written through the same handle."""
    assert session.read(handle.file_id, 6) == b"before"
    session.write(handle.file_id, b"after.", 6)
    assert session.read(handle.file_id, 12) == b"beforeafter."
    session.close(handle.file_id)


def content(rig):
    with open(os.path.join(rig.server.share, Handle.NAME), "rb") as file:
        return file.read()


@pytest.mark.parametrize("previous", [True, False], ids=["previous session", "no previous session"])
@each_kind
def test_handle_outlives_the_connection(rig, kind, previous):
    handle = Handle(*kind)
    first, old = connect(rig, handle)
    with first:
        handle.open(old)
        old.write(handle.file_id, b"before")
        cut(rig)
        second, new = connect(rig, handle, guid=first.guid, previous=old.id if previous else 0)
        with second:
            if previous:
                handle.reopen(new)
            else:
                handle.reopen_soon(new)
            use_again(new, handle)
            new.logoff()
    assert content(rig) == b"beforeafter."
    rig.assert_both_legs_signed()
    assert not rig.proxy.seen("foreign_session")


@each_kind
def test_old_connection_hangs(rig, kind):
    """Nobody said that it is gone; the previous session's id is what makes room."""
    handle = Handle(*kind)
    first, old = connect(rig, handle)
    with first:
        handle.open(old)
        old.write(handle.file_id, b"before")
        second, new = connect(rig, handle, guid=first.guid, previous=old.id)
        with second:
            handle.reopen(new)
            use_again(new, handle)
    assert content(rig) == b"beforeafter."


@pytest.mark.parametrize("version", [1, 2])
def test_reconnect_lands_on_another_worker(rig, version):
    """A client that has a new ClientGuid after its crash; not with a lease, which is the guid's."""
    handle = Handle(version, "batch")
    first, old = connect(rig, handle)
    handle.open(old)
    old.write(handle.file_id, b"before")
    here = worker_of(rig, first)
    cut(rig)
    for _ in range(30):
        second, new = connect(rig, handle, previous=old.id)
        if worker_of(rig, second) != here:
            break
        # The next one takes the place of this, as this one took that of the first.
        old = new
        cut(rig)
    else:
        raise DeadlinePassed("no connection came to another worker")
    with first, second:
        handle.reopen_soon(new)
        use_again(new, handle)
    assert content(rig) == b"beforeafter."


def test_same_guid_comes_to_the_same_worker(rig):
    handle = Handle(2, "lease")
    first, old = connect(rig, handle)
    handle.open(old)
    for _ in range(6):
        cut(rig)
        rig.proxy.wait_event("link_ended")
        second, new = connect(rig, handle, guid=first.guid, previous=old.id)
        handle.reopen(new)
        old = new
    links = wait_until(lambda: rig.proxy.seen("link", client_guid=event_guid(first))[6:] and
                       rig.proxy.seen("link", client_guid=event_guid(first)), "all links")
    assert len(links) == 7 and len({link["worker"] for link in links}) == 1
    with first, second:
        new.close(handle.file_id)


@each_kind
def test_previous_session_of_another_is_left_alone(rig, kind):
    handle = Handle(*kind)
    first, old = connect(rig, handle)
    with first:
        handle.open(old)
        old.write(handle.file_id, b"before")
        other, bob = connect(rig, handle, "bob", previous=old.id)
        with other:
            told = rig.proxy.wait_event("foreign_session", user="bob")
            assert told["reason"] == "previous_session_of_another" and told["leg"] == "client"
            old.must(smb2.ECHO, bodies.empty())
            use_again(old, handle)
            with pytest.raises(Failed):
                handle.reopen(bob)
    assert len(rig.proxy.seen("foreign_session")) == 1


@each_kind
def test_shared_account_knows_whose_handle_it_is(shared_account, kind):
    rig, handle = shared_account, Handle(*kind)
    first, old = connect(rig, handle)
    with first:
        handle.open(old)
        old.write(handle.file_id, b"before")
        cut(rig)
        rig.proxy.wait_event("link_ended")
        # bob knows all that there is to know, the ClientGuid too; for the file server he is alice.
        other, bob = connect(rig, handle, "bob", guid=first.guid)
        with other:
            with pytest.raises(Failed) as refused:
                handle.reopen(bob)
            assert refused.value.status == smb2.OBJECT_NAME_NOT_FOUND
            told = rig.proxy.wait_event("foreign_session", user="bob")
            assert told["reason"] == "durable_handle_of_another" and told["verdict"] == "refused"
            bob.must(smb2.ECHO, bodies.empty())
        # A lease is a ClientGuid's; without one alice may come back with another, to any worker.
        second, new = connect(rig, handle, guid=first.guid if handle.lease else None, previous=old.id)
        with second:
            handle.reopen_soon(new)
            use_again(new, handle)
    assert content(rig) == b"beforeafter."
    assert not rig.proxy.seen("foreign_session", user="alice")


def test_shared_account_and_a_handle_that_was_closed(shared_account):
    """It takes no room any more from those that are open."""
    rig, handle = shared_account, Handle(2, "batch")
    first, old = connect(rig, handle)
    with first:
        handle.open(old)
        old.close(handle.file_id)
        other, bob = connect(rig, handle, "bob", guid=first.guid)
        with other:
            with pytest.raises(Failed) as refused:
                handle.reopen(bob)
            assert refused.value.status == smb2.OBJECT_NAME_NOT_FOUND
            rig.proxy.wait_event("foreign_session", user="bob", reason="durable_handle_unknown")


@each_kind
def test_shared_account_and_a_handle_nobody_knows(shared_account, kind):
    """The file server still has it, but who opened it is forgotten: nobody gets it."""
    rig, handle = shared_account, Handle(*kind)
    first, old = connect(rig, handle)
    with first:
        handle.open(old)
        cut(rig)
        rig.proxy.wait_event("link_ended")
    restart(rig.proxy)
    second, new = connect(rig, handle, guid=first.guid)
    with second:
        with pytest.raises(Failed) as refused:
            handle.reopen(new)
        assert refused.value.status == smb2.OBJECT_NAME_NOT_FOUND
        told = rig.proxy.wait_event("foreign_session", user="alice")
        assert told["reason"] == "durable_handle_unknown" and told["verdict"] == "refused"
        new.must(smb2.ECHO, bodies.empty())
