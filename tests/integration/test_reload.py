"""A reload: everything is read, and either all of it is used or nothing; connections go on."""

import os
import signal
import struct
import threading

import pytest
from samba.dcerpc import srvsvc

import bodies
import dcerpc
import sambarpc
import smb2
from capture import TO_CLIENT
from harness import wait_until
from proxy import UIDS, command, listener
from rawclient import Disconnected, Failed, RawClient
from rig import Rig


NOTIFY_CLEANUP = 0x10B


@pytest.fixture
def rig(nas):
    with Rig(nas, workers=2) as arrangement:
        yield arrangement


def rules(rig, *listed):
    """Writes a configuration with these rules, whatever else it says."""
    rig.proxy.extra["rules"] = list(listed)
    rig.proxy.write_configuration()


def reloads(rig, *options):
    status, said = rig.proxy.reload(*options)
    assert status == 0, said
    return said


def refused(rig, *words):
    status, said = rig.proxy.reload()
    assert status == 1 and "everything stays as it was" in said, said
    for word in words:
        assert word in said, said
    assert rig.proxy.wait_event("reload_refused")["text"] in said
    return said


def works(session, name="f"):
    """Writes and reads on a session that is up."""
    file = session.create(name)
    session.write(file, b"through a reload")
    assert session.read(file, 16) == b"through a reload"
    session.close(file)


def logs_in(address, user="alice"):
    with RawClient(*address) as client:
        client.negotiate()
        try:
            client.login(user)
        except Failed as failed:
            assert failed.status == smb2.ACCESS_DENIED, failed
            return False
    return True


NOT_ALICE = {"name": "not-alice", "who": ["alice"], "then": "refuse"}


def test_rule_for_new_sessions_only(rig):
    """The session that is up keeps its verdict, on a connection that nobody broke."""
    client, session = rig.established()
    with client:
        rules(rig, NOT_ALICE)
        assert "reloaded" in reloads(rig)
        rig.proxy.wait_event("reloaded")
        works(session)
        session.tree_connect("priv")
        assert not logs_in(rig.direct) and logs_in(rig.direct, "bob")
        # A new session on the old connection lives by the rules of its connection.
        client.login("alice")
        works(session)
    assert not rig.proxy.seen("session_rejudged")


def test_rule_applied(rig):
    """--apply ends what the new rules refuse, by a signed answer, and nothing else."""
    alice, session = rig.established()
    bob, bobs = rig.established("bob")
    with alice, bob:
        rules(rig, NOT_ALICE)
        reloads(rig, "--apply")
        ended = rig.proxy.wait_event("session_rejudged")
        assert (ended["user"], ended["reason"], ended["verdict"]) == ("alice", "login", "refused")
        assert rig.proxy.wait_event("rule_refused", user="alice")["rule"] == "not-alice"
        with pytest.raises(Failed) as failed:
            session.create("f")
        assert failed.value.status == smb2.USER_SESSION_DELETED
        works(bobs, "g")
        # And what comes later on the connection that stays is judged by them too.
        with pytest.raises(Failed) as failed:
            bob.login("alice")
        assert failed.value.status == smb2.ACCESS_DENIED
        assert len(rig.proxy.seen("session_rejudged")) == 1


def waiting_session(client, user):
    """A session that waits for a change: it, and the MessageId of what waits."""
    session = client.login(user)
    session.tree_connect()
    directory = session.create("", options=bodies.DIRECTORY_FILE, disposition=bodies.OPEN,
                               access=bodies.READ_ACCESS)
    waits = client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), session)
    client.interim()
    return session, waits


def test_many_encrypted_sessions_end_at_once(nas):
    """Their late answers, and what their clients ask still, end nobody else's session."""
    encrypted = {"encryption": "required"}
    with Rig(nas, encrypted, encrypted) as rig, rig.raw_direct() as client:
        client.negotiate(ciphers=(2,))
        bobs = client.login("bob")
        bobs.tree_connect()
        waiting = [waiting_session(client, "alice") for _ in range(40)]
        rules(rig, NOT_ALICE)
        reloads(rig, "--apply")
        for _, waits in waiting:
            assert client.answer(waits).status == NOTIFY_CLEANUP
        works(bobs, "of bob")
        for session, _ in waiting:
            assert session.ask(smb2.ECHO, bodies.empty()).status == smb2.USER_SESSION_DELETED
        works(bobs, "of bob")
        rig.proxy.assert_healthy()
        assert not rig.proxy.seen("bad_signature") and not rig.proxy.seen("foreign_session")


def test_share_applied(rig):
    """A share that the session is connected to counts, and one that it is not does not."""
    alice, session = rig.established(share="priv")
    bob, bobs = rig.established("bob", share="data")
    with alice, bob:
        rules(rig, {"name": "no-priv", "to": {"share": ["priv"]}, "then": "refuse"})
        reloads(rig, "--apply")
        assert rig.proxy.wait_event("session_rejudged")["reason"] == "share"
        with pytest.raises(Failed) as failed:
            session.create("f")
        assert failed.value.status == smb2.USER_SESSION_DELETED
        works(bobs, "g")
        with pytest.raises(Failed):
            bobs.tree_connect("priv")


def pipe_rule(user, then="allow", **more):
    return {"name": f"{then}-{user}", "who": [user], "to": {"pipe": ["spoolss", "srvsvc"]}, "then": then,
            **more}


def opened_pipe(rig, user, pipe="srvsvc"):
    """(client, session, FileId) of a pipe that is open and bound."""
    client, session = rig.established(user, share="IPC$")
    file_id = session.create(pipe, access=0x12019F, disposition=bodies.OPEN)
    assert says(session, file_id, dcerpc.bind()) == dcerpc.BIND_ACK
    return client, session, file_id


def says(session, file_id, data):
    """What the file server answers in the pipe."""
    answer = session.must(smb2.IOCTL, bodies.ioctl(dcerpc.PIPE_TRANSCEIVE, data, file_id))
    return dcerpc.kind_of(bodies.ioctl_output(answer))


def goes_on(session, file_id):
    return says(session, file_id, dcerpc.request(28, bytes(4))) == dcerpc.RESPONSE  # NetrRemoteTOD


def is_over(session, file_id):
    with pytest.raises(Failed) as failed:
        says(session, file_id, dcerpc.request(28, bytes(4)))
    return failed.value.status == smb2.USER_SESSION_DELETED


def test_open_pipe_applied(rig):
    """A pipe that the new rules do not open ends its session; one that they open goes on, and so
    does a session without one."""
    alice, session, file_id = opened_pipe(rig, "alice")
    bob, bobs, bobs_file = opened_pipe(rig, "bob")
    other, without = rig.established("alice", share="IPC$")
    with alice, bob, other:
        rules(rig, pipe_rule("alice", "refuse"), pipe_rule("bob"))
        reloads(rig)
        assert goes_on(session, file_id) and not rig.proxy.seen("session_rejudged")
        reloads(rig, "--apply")
        ended = rig.proxy.wait_event("session_rejudged")
        assert (ended["user"], ended["reason"], ended["pipe"]) == ("alice", "pipe", "srvsvc")
        assert rig.proxy.wait_event("rule_refused", pipe="srvsvc")["rule"] == "refuse-alice"
        assert is_over(session, file_id)
        assert goes_on(bobs, bobs_file)
        with pytest.raises(Failed) as failed:
            without.create("srvsvc", access=0x12019F, disposition=bodies.OPEN)
        assert failed.value.status == smb2.ACCESS_DENIED
        without.close(without.create("lsarpc", access=0x12019F, disposition=bodies.OPEN))
        assert len(rig.proxy.seen("session_rejudged")) == 1


def test_pipe_without_its_rule_applied(rig):
    """No rule opens it any more."""
    rules(rig, {"name": "look", "to": {"pipe": ["winreg"]}, "then": "allow"})
    reloads(rig)
    client, session = rig.established(share="IPC$")
    with client:
        file_id = session.create("winreg", access=0x12019F, disposition=bodies.OPEN)
        rules(rig)
        reloads(rig, "--apply")
        assert rig.proxy.wait_event("session_rejudged", pipe="winreg")["reason"] == "pipe"
        assert rig.proxy.wait_event("pipe_refused")["pipe"] == "winreg"
        assert is_over(session, file_id)


def test_logins_in_a_pipe_applied(rig):
    """Who has logged in inside of a pipe, and may not any more, is ended; who only might have goes
    on, and may not from then on."""
    logins = {"authenticated_rpc": "allow"}
    token = b"NTLMSSP\0" + struct.pack("<II", 1, 0xE2088297) + bytes(16)
    login = dcerpc.bind(kind=dcerpc.ALTER_CONTEXT, token=token)
    rules(rig, pipe_rule("alice", **logins), pipe_rule("bob", **logins))
    reloads(rig)
    alice, session, file_id = opened_pipe(rig, "alice")
    bob, bobs, bobs_file = opened_pipe(rig, "bob")
    with alice, bob:
        session.must(smb2.WRITE, bodies.write(file_id, login))
        rules(rig, pipe_rule("alice", **logins), pipe_rule("bob"))
        reloads(rig, "--apply")
        rig.proxy.wait_event("reloaded")
        assert bobs.ask(smb2.WRITE, bodies.write(bobs_file, login)).status == smb2.ACCESS_DENIED
        assert rig.proxy.wait_event("rpc_bind_refused", user="bob")["rule"] == "allow-bob"
        assert goes_on(bobs, bobs_file)
        session.must(smb2.WRITE, bodies.write(file_id, login))
        rules(rig, pipe_rule("alice"), pipe_rule("bob"))
        reloads(rig, "--apply")
        assert rig.proxy.wait_event("session_rejudged")["user"] == "alice"
        assert is_over(session, file_id) and goes_on(bobs, bobs_file)
        assert len(rig.proxy.seen("session_rejudged", reason="pipe")) == 1


def test_pipe_of_a_real_client_applied(rig):
    """Samba's client keeps its pipe open over the reload: its next call fails, and at once."""
    alice = sambarpc.connect(srvsvc.srvsvc, *rig.direct)
    bob = sambarpc.connect(srvsvc.srvsvc, *rig.direct, user="bob")
    for pipe in (alice, bob):
        assert pipe.NetSrvGetInfo("x", 101).server_name == "NAS"
    rules(rig, pipe_rule("alice", "refuse"))
    reloads(rig, "--apply")
    assert rig.proxy.wait_event("session_rejudged", user="alice")["pipe"] == "srvsvc"
    for _ in range(2):
        with pytest.raises(sambarpc.NTSTATUSError):
            alice.NetSrvGetInfo("x", 101)
    assert bob.NetSrvGetInfo("x", 101).server_name == "NAS"


@pytest.mark.parametrize("command", [smb2.CREATE, smb2.TREE_CONNECT])
def test_what_is_on_its_way_applied(rig, command):
    """The file server has not answered when the new rules come: they count."""
    client, session = rig.established(share="IPC$")
    body = {smb2.CREATE: bodies.create("srvsvc", access=0x12019F, disposition=bodies.OPEN),
            smb2.TREE_CONNECT: bodies.tree_connect(f"\\\\{rig.address}\\priv")}[command]
    go_on = threading.Event()
    with client:
        rig.upstream_relay.hook = lambda connection, direction, data: (
            go_on.wait(30) and None if direction == TO_CLIENT else None)
        try:
            message_id = client.send(command, body, session)
            wait_until(lambda: len(rig.at_server(command)) > (command == smb2.TREE_CONNECT), "the request")
            rules(rig, pipe_rule("alice", "refuse"),
                  {"name": "no-priv", "to": {"share": ["priv"]}, "then": "refuse"})
            reloads(rig, "--apply")
            reason = "pipe" if command == smb2.CREATE else "share"
            assert rig.proxy.wait_event("session_rejudged")["reason"] == reason
        finally:
            go_on.set()
        assert client.answer(message_id).status == smb2.USER_SESSION_DELETED


def test_known_groups_applied(nas):
    """Groups have other numbers in the new rules, and mean the same people."""
    def rule(group, then):
        return {"name": group, "who": [f"@{group}"], "then": then}

    with Rig(nas, extra={"rules": [rule("guests", "audit"), rule("staff", "audit")]}) as rig:
        path = rig.proxy.credentials.path
        for group, user in (("staff", "alice"), ("guests", "bob")):
            assert command("group", "add", "--file", path, group, user).returncode == 0
        os.chown(path, UIDS["keeper"], UIDS["keeper"])
        reloads(rig)
        alice, session = rig.established()
        bob, bobs = rig.established("bob")
        with alice, bob:
            rules(rig, rule("staff", "refuse"), rule("guests", "audit"))
            reloads(rig, "--apply")
            assert rig.proxy.wait_event("session_rejudged")["user"] == "alice"
            with pytest.raises(Failed):
                session.create("f")
            works(bobs, "g")
            assert len(rig.proxy.seen("session_rejudged")) == 1


def test_unknown_group_applied(rig):
    """Of a group that no rule named before, nobody knows whether the user is in it."""
    client, session = rig.established()
    with client:
        rules(rig, {"name": "staff", "who": ["@staff"], "then": "refuse"})
        reloads(rig, "--apply")
        assert rig.proxy.wait_event("session_rejudged")["reason"] == "group_not_known"
    rig.established()[0].__exit__()


def test_broken_file_changes_nothing(rig):
    client, session = rig.established()
    with client:
        rules(rig, {**NOT_ALICE, "then": "never"})
        text = open(rig.proxy.configuration, encoding="utf-8").read()
        line = 1 + text[:text.index("rules:")].count("\n")
        refused(rig, f"{rig.proxy.configuration}:{line}: rules[0].then")
        works(session)
        assert logs_in(rig.direct)
    # SIGHUP says the same in the log.
    rig.proxy.mark()
    rig.proxy.process.send_signal(signal.SIGHUP)
    assert "rules[0].then" in rig.proxy.wait_event("reload_refused")["text"]


def test_broken_credentials_change_nothing(rig):
    """The rules are good, the credentials are not: neither is used."""
    path = rig.proxy.credentials.path
    good = open(path, encoding="utf-8").read()
    with open(path, "a", encoding="utf-8") as file:
        file.write("nonsense\n")
    rules(rig, NOT_ALICE)
    refused(rig, f"{path}:{good.count(chr(10)) + 1}:")
    assert logs_in(rig.direct)
    with open(path, "w", encoding="utf-8") as file:
        file.write(good)
    reloads(rig)
    assert not logs_in(rig.direct)


def test_what_takes_a_restart_is_refused(rig):
    rig.proxy.workers = 3
    rules(rig, NOT_ALICE)
    refused(rig, "`workers` has changed, which takes a restart")
    assert logs_in(rig.direct)


def test_user_is_added(rig):
    assert rig.proxy.reload()[0] == 0
    rig.proxy.credentials.add("bob", "Another.Pw9")
    reloads(rig)
    with RawClient(*rig.direct) as client:
        client.negotiate()
        with pytest.raises(Failed):
            client.login("bob")
    rig.proxy.wait_event("login_refused", user="bob")


def test_listener_comes_and_goes(rig):
    """A new one serves, one that is gone refuses; who came through it goes on."""
    extra = listener("third", "direct")
    rig.proxy.listeners.insert(0, extra)
    rig.proxy.write_configuration()
    reloads(rig)
    third = (extra["address"], extra["port"])
    assert str(third[1]) in rig.proxy.wait_event("listener_up", listener="third")["text"]
    with RawClient(*third) as client:
        client.negotiate()
        session = client.login("alice")
        session.tree_connect("data")
        rig.proxy.listeners.remove(extra)
        rig.proxy.write_configuration()
        reloads(rig)
        with pytest.raises(OSError):
            RawClient(*third).__enter__()
        works(session)
        assert logs_in(rig.direct)
        reloads(rig, "--apply")
        assert rig.proxy.wait_event("session_rejudged")["reason"] == "listener"
        assert client.ends()


def test_listener_that_cannot_listen(rig):
    """Its port is taken: nothing changes."""
    rig.proxy.listeners.append({**listener("third", "direct"), "port": rig.upstream_relay.port,
                                "address": rig.upstream_relay.address})
    rules(rig, NOT_ALICE)
    refused(rig, "listener third: cannot listen on")
    assert logs_in(rig.direct)


def test_processes_started_later_use_it(rig):
    """A worker and a keeper that are started again have the new configuration."""
    rig.proxy.may_die = True
    rules(rig, NOT_ALICE)
    reloads(rig)
    for role in ("worker", "keeper"):
        for pid in rig.proxy.children(role):
            os.kill(pid, signal.SIGKILL)

        def answers():
            try:
                return logs_in(rig.direct, "bob")
            except (AssertionError, OSError, EOFError, Failed, Disconnected):
                return False
        wait_until(answers, f"the {role}s to be back", 20, 0.2)
        wait_until(lambda: not logs_in(rig.direct), "alice to be refused", 10, 0.2)
    rules(rig)
    reloads(rig)
    assert logs_in(rig.direct)


def test_keeper_started_later_knows_older_links(rig):
    """A keeper that is started again in the middle of three generations serves the links of all."""
    rig.proxy.may_die = True
    links = [rig.established()]
    for number in range(2):
        rules(rig, {"name": f"rule-{number}", "who": ["nobody"], "then": "refuse"})
        reloads(rig)
        links.append(rig.established())
    before = rig.proxy.children("keeper")
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def answers():
        try:
            return rig.proxy.children("keeper") not in ([], before) and logs_in(rig.direct, "bob")
        except (AssertionError, OSError, EOFError, Failed, Disconnected):
            return False
    wait_until(answers, "the keeper to be back", 20, 0.2)
    for client, session in links:
        works(session)
        fresh = client.login("bob")
        fresh.tree_connect()
        works(fresh, "of-bob")
    assert not rig.proxy.seen("login_refused", reason="internal")
    # It knows no more of them than it must: once they are gone, a reload forgets them.
    for client, _ in links:
        client.__exit__()
    reloads(rig)
    assert logs_in(rig.direct)


def test_while_fifty_work(rig):
    """Nobody notices ten reloads, some of which are refused."""
    failures, done, stop = [], [], threading.Event()

    def work(number):
        try:
            with RawClient(*rig.direct) as client:
                client.negotiate()
                session = client.login("bob" if number % 2 else "alice")
                session.tree_connect("data")
                while not stop.is_set():
                    works(session, f"reload-{number}")
                    done.append(number)
        except Exception as failure:  # every kind of it is a failure of the test
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: failures or len(set(done)) == 50, "fifty to work", 60)
        for number in range(10):
            rules(rig, *([{**NOT_ALICE, "then": "never"}] if number % 3 == 2 else [NOT_ALICE]))
            assert rig.proxy.reload()[0] == (1 if number % 3 == 2 else 0)
        before = len(done)
        wait_until(lambda: failures or len(set(done[before:])) == 50, "fifty to go on", 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not failures, failures[:3]
