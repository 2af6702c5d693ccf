"""Attackers who talk to the proxy themselves, with what they saw of somebody else's session.

Each has exactly one event, with the attacker's address, and the file server hears nothing of it.
"""

import pytest

import bodies
import smb2
from audit_log import ATTACKER, VICTIM, assert_told, of_the_way, told
from capture import TO_SERVER
from nas import Nas
from rawclient import ALL_DIALECTS, BadResponse, Disconnected, Failed, RawClient
from rig import Rig
from stubserver import StubServer

SIGNED_WRONG = {"unsigned": ("none", "unsigned_refused", "unsigned"),
                "bit-flipped": ("flipped", "bad_signature", "wrong_signature"),
                "signature zeroed": ("zero", "bad_signature", "wrong_signature")}
COMMANDS = {"TREE_CONNECT": lambda rig, session: (smb2.TREE_CONNECT, bodies.tree_connect(
                f"\\\\{rig.address}\\data")),
            "CREATE": lambda rig, session: (smb2.CREATE, bodies.create("loot"))}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("dialect", ALL_DIALECTS)
@pytest.mark.parametrize("way", SIGNED_WRONG)
def test_request_without_a_right_signature(rig, dialect, way, command):
    """At 3.1.1 the TREE_CONNECT is what must be signed even where nothing else is; here it always is.
    There nobody can tell a first signature that was changed from one with keys of another negotiation."""
    sign_as, event, reason = SIGNED_WRONG[way]
    if dialect == 0x311 and sign_as == "flipped" and command == "TREE_CONNECT":
        event, reason = "preauth_mismatch", "first_request"
    with rig.raw() as client:
        client.negotiate([dialect])
        session = client.login()
        if command != "TREE_CONNECT":
            session.tree_connect()
        client.send(*COMMANDS[command](rig, session), session, sign_as=sign_as)
        assert client.ends() and not client.answers
    assert_told(rig, told(event, leg="client", user="alice", reason=reason, command=command))
    assert not rig.at_server(COMMANDS[command](rig, session)[0])


def beside(rig, **options):
    """A connection of the attacker's own; the victim's comes from elsewhere."""
    return RawClient(*rig.client_relay.target, source=ATTACKER, **options)


@pytest.mark.parametrize("dialect", ALL_DIALECTS)
def test_session_of_somebody_else(rig, dialect):
    """A SessionId seen on the wire is worth nothing on another connection, even to one who has the
    key."""
    rig.client_relay.source = VICTIM
    client, session = rig.established(dialects=[dialect])
    with client, beside(rig) as thief:
        thief.negotiate([dialect])
        raw = thief.build(smb2.TREE_CONNECT, bodies.tree_connect("\\\\x\\data"), session)
        thief.send_frame(raw)
        answer = smb2.parse_header(thief.receive_frame())
        assert answer.status == smb2.USER_SESSION_DELETED
        session.must(smb2.ECHO, bodies.empty())
    assert_told(rig, told("foreign_session", leg="client", reason="not_of_this_connection",
                          session=f"{session.id:#018x}"))
    assert len(rig.at_server(smb2.TREE_CONNECT)) == 1


def test_signed_request_sent_again(rig):
    """The same bytes once more, on their own connection: the MessageId is used up."""
    client, session = rig.established()
    with client:
        request = client.build(smb2.CREATE, bodies.create("once", disposition=bodies.CREATE_NEW), session)
        client.waiting[smb2.parse_header(request).message_id] = session
        client.send_frame(request)
        assert client.answer(smb2.parse_header(request).message_id).status == smb2.SUCCESS
        client.send_frame(request)
        assert client.ends()
    assert_told(rig, told("message_replayed", leg="client", reason="message_id_used"))
    assert len(rig.at_server(smb2.CREATE)) == 1


def test_signed_request_sent_again_later(rig):
    """After many others."""
    client, session = rig.established()
    with client:
        request = client.build(smb2.CREATE, bodies.create("once"), session)
        client.waiting[smb2.parse_header(request).message_id] = session
        client.send_frame(request)
        client.answer(smb2.parse_header(request).message_id)
        for _ in range(300):
            session.must(smb2.TREE_CONNECT, bodies.tree_connect(f"\\\\{rig.address}\\data"))
        client.send_frame(request)
        assert client.ends()
    assert_told(rig, told("message_replayed", leg="client", reason="message_id_used"))
    assert len(rig.at_server(smb2.CREATE)) == 1


def replay(attacker, recorded):
    """Sends frames as they were recorded, each after the answer to the one before; the answers."""
    answers = []
    for frame in recorded:
        try:
            attacker.send_frame(frame)
            answers.append(smb2.parse_header(attacker.receive_frame()))
        except Disconnected:
            break
    return answers


@pytest.mark.parametrize("dialect", ALL_DIALECTS)
def test_signed_request_sent_on_another_connection(rig, dialect):
    """A recorded conversation, replayed from its start while the victim is still there: a session is of
    one connection, and every login has keys of its own."""
    rig.client_relay.source = VICTIM
    client, session = rig.established(dialects=[dialect])
    with client, beside(rig) as attacker:
        session.create("recorded")
        frames = list(rig.client_relay.last().frames)
        answers = replay(attacker, [frame.data for frame in frames if frame.direction == TO_SERVER])
        session.must(smb2.ECHO, bodies.empty())
    assert [(answer.command, answer.status) for answer in answers[:2]] == [
        (smb2.NEGOTIATE, smb2.SUCCESS), (smb2.SESSION_SETUP, smb2.MORE_PROCESSING)]
    assert len(answers) == 5 and {answer.status for answer in answers[2:]} == {smb2.USER_SESSION_DELETED}
    # Its AUTHENTICATE, its TREE_CONNECT and its CREATE all name a session that is not here.
    assert_told(rig, *[told("foreign_session", leg="client", reason="not_of_this_connection")] * 3)
    assert len(rig.proxy.seen("login")) == 1 and len(rig.at_server(smb2.CREATE)) == 1


SMB1 = {"the last dialect of SMB1": (["NT LM 0.12"], {}, "smb1"),
        "a way into SMB2 that is shut": (["NT LM 0.12", "SMB 2.002"], {"min_dialect": "2.1"},
                                         "dialect_below_minimum"),
        "any way into SMB2 shut": (["NT LM 0.12", "SMB 2.???"], {"multi_protocol": "refuse"},
                                   "multi_protocol")}


@pytest.mark.parametrize("offer", SMB1)
def test_smb1(nas, offer):
    """No answer at all."""
    names, on_listener, reason = SMB1[offer]
    with Rig(nas, on_listener=on_listener, source=ATTACKER) as rig:
        with rig.raw() as client:
            client.send_frame(smb2.smb1_negotiate(names))
            assert client.ends() and not rig.client_relay.last().messages()
        assert_told(rig, told("smb1_refused", leg="client", reason=reason, offered=",".join(names),
                              windows_event_id=3000))
        assert not rig.upstream_relay.connections


def test_smb1_after_smb2(rig):
    """Nor in the middle of a session."""
    client, _ = rig.established()
    with client:
        client.send_frame(smb2.smb1_negotiate(["NT LM 0.12"]))
        assert client.ends() and not client.answers
    assert_told(rig, told("smb1_refused", leg="client", reason="smb1_after_negotiate", user=None))


@pytest.mark.parametrize("minimum", ["2.1", "3.0", "3.0.2", "3.1.1"])
def test_dialect_below_the_minimum(nas, minimum):
    """Whoever can do no better stays outside, before the file server's users are at stake."""
    below = [number for number in ALL_DIALECTS if number < smb2.DIALECTS[minimum]]
    with Rig(nas, on_listener={"min_dialect": minimum}, source=ATTACKER) as rig:
        with rig.raw() as client:
            with pytest.raises(Failed) as refused:
                client.negotiate(below)
            assert refused.value.status == smb2.NOT_SUPPORTED
        assert not rig.upstream_relay.connections
        with rig.raw() as client:
            client.negotiate(below + [smb2.DIALECTS[minimum]])
        assert_told(rig, told("dialect_refused", leg="client", reason="no_common_dialect",
                              offered=",".join(smb2.DIALECT_NAMES[number] for number in below)))


def of_server(rig, event, **fields):
    """What is expected of an alarm about the file server itself, which is where the relay is."""
    return told(event, client_address=VICTIM, **of_the_way(rig), **fields)


def refused_at(rig, user="alice", password=None):
    """A login that comes to nothing."""
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises((Disconnected, Failed)):
            client.login(user, password)


def test_guest_by_the_file_server():
    """A file server that lets anybody in as guest does not let him in here."""
    users = {"alice": "Alice.Pw1", "carol": "Carol.Pw3"}
    with Nas(guest=True, extra={"map to guest": "Bad User"}) as server:
        with Rig(server, source=VICTIM, users=users) as rig:
            refused_at(rig, "carol", "Carol.Pw3")
            assert_told(rig, of_server(rig, "guest_refused", reason="upstream_guest", user="carol",
                                       windows_event_id=31017), passwords=users)
            assert not rig.proxy.seen("login") and not rig.at_server(smb2.TREE_CONNECT)


BAD_SUCCESS = {
    "guest": (dict(session_flags=smb2.GUEST), "guest_refused", "upstream_guest"),
    "guest, unsigned": (dict(session_flags=smb2.GUEST, last_setup="unsigned"), "guest_refused",
                        "upstream_guest"),
    "anonymous": (dict(session_flags=smb2.NULL_SESSION), "guest_refused", "upstream_anonymous"),
    "unsigned": (dict(last_setup="unsigned"), "upstream_no_signing", "final_response_unsigned"),
    "bit-flipped": (dict(last_setup="flipped"), "preauth_mismatch", "final_response"),
    "bit-flipped, below 3.1.1": (dict(last_setup="flipped", dialect=0x302), "upstream_bad_signature",
                                 "final_response"),
    "no signing": (dict(security_mode=0), "upstream_no_signing", "signing_not_offered"),
}


@pytest.mark.parametrize("how", BAD_SUCCESS)
def test_success_of_the_file_server_that_is_none(how):
    """One who does all else right, the signature of a guest's session included."""
    knobs, event, reason = BAD_SUCCESS[how]
    with StubServer(**knobs) as server, Rig(server, source=VICTIM) as rig:
        with pytest.raises((Disconnected, Failed)):
            rig.established()
        assert_told(rig, of_server(rig, event, reason=reason))
        assert not rig.proxy.seen("login") and smb2.TREE_CONNECT not in server.commands()


@pytest.mark.parametrize("knobs", [{"unsigned": (smb2.CREATE,)}, {"flipped": (smb2.CREATE,)}],
                         ids=["unsigned", "bit-flipped"])
def test_answer_of_the_file_server_without_a_right_signature(knobs):
    """It never reaches the client."""
    with StubServer(**knobs) as server, Rig(server, source=VICTIM) as rig:
        client, session = rig.established()
        with client:
            client.send(smb2.CREATE, bodies.create("file"), session)
            assert client.ends() and not client.answers
        reason = "unsigned" if "unsigned" in knobs else "wrong_signature"
        assert_told(rig, of_server(rig, "upstream_bad_signature", reason=reason, user="alice",
                                   command="CREATE"))


@pytest.mark.parametrize("command", [smb2.SESSION_SETUP, smb2.TREE_CONNECT, smb2.CREATE],
                         ids=lambda number: smb2.COMMANDS[number])
def test_answer_to_the_client_changed(rig, command):
    """What the proxy signed is what the client believes; nobody else may say it."""
    def edit(_, direction, data):
        if direction == TO_SERVER or not smb2.is_smb2(data):
            return None
        header = smb2.parse_header(data)
        if header.command != command or header.status != smb2.SUCCESS:
            return None
        return [data[:-1] + bytes([data[-1] ^ 1])]
    rig.client_relay.hook = edit
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises(BadResponse):
            session = client.login()
            session.tree_connect()
            session.create("file")
    # Who has shown the key and goes away may do so; a changed SUCCESS costs the client its session.
    first = command == smb2.SESSION_SETUP
    assert_told(rig, *[told("login_abandoned", "recorded", leg="client", user="alice")] * first)


def test_logoff_after_a_refused_login(rig):
    """The id of a login that came to nothing on this very connection is not somebody else's: some
    clients log off then, and that is no attack."""
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises(Failed):
            client.login(password="wrong")
        session_id = int(rig.proxy.wait_event("login_refused")["session"], 16)
        answer = client.ask(smb2.LOGOFF, bodies.empty(), session_id=session_id)
        assert answer.status == smb2.USER_SESSION_DELETED
    assert_told(rig, told("login_refused", leg="client", user="alice", reason="wrong_password"))


def test_session_that_never_was(rig):
    """An id that is merely guessed."""
    with rig.raw() as client:
        client.negotiate()
        answer = client.ask(smb2.TREE_CONNECT, bodies.tree_connect("\\\\x\\data"), session_id=0x1234)
        assert answer.status == smb2.USER_SESSION_DELETED
    assert_told(rig, told("foreign_session", leg="client", session=f"{0x1234:#018x}"))
