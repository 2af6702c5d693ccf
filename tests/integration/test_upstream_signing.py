"""The upstream leg is signed whatever the file server thinks of signing, or it is not there.

With real smbd: signing disabled, auto, mandatory. With the stub: one misdeed each, and the event that
must tell it. The honest stub comes first, so that a refusal is known to be the misdeed's.
"""

import struct
import time

import pytest

import bodies
import smb2
from front import Front
from harness import free_port, new_address, wait_until
from nas import Nas
from proxy import Proxy, listener, upstream
from rawclient import ALL_DIALECTS, Disconnected, Failed, RawClient
from rig import Rig
from stubserver import CONTENT

NOT_SERVED = (Disconnected, Failed)
LEGACY = [number for number in ALL_DIALECTS if number < 0x311]


@pytest.mark.parametrize("signing", ["disabled", "auto", "mandatory"])
def test_smbd_signs_whatever_it_is_told(signing, tmp_path):
    with Nas(signing=signing) as nas, Rig(nas) as rig:
        (tmp_path / "in").write_bytes(b"x" * 100_000)
        rig.smbclient(tmp_path).must("put in f; get f out; ls; del f")
        assert (tmp_path / "out").read_bytes() == b"x" * 100_000
        for _, upstream_leg in rig.assert_both_legs_signed():
            upstream_leg.assert_clean(at_least=20)


def test_smbd_without_a_session_key_for_us_gives_no_session(tmp_path):
    """smbd takes an unknown user as guest: a session without a key is no session here."""
    users = {"carol": "Carol.Pw3", "alice": "Alice.Pw1"}
    with Nas(extra={"map to guest": "Bad User"}, guest=True) as nas, Rig(nas, users=users) as rig:
        rig.smbclient(tmp_path).must("ls")
        rig.proxy.mark()
        rig.smbclient(tmp_path).refused(user="carol", password="Carol.Pw3")
        rig.proxy.wait_event("guest_refused", user="carol", leg="upstream")
        assert not rig.proxy.seen("login", user="carol")


class Stubbed(Front):
    """A stub behind a proxy, and a client of that proxy."""

    def __init__(self, *, limits=None, connect_timeout=10000, **knobs):
        super().__init__(knobs=knobs, on_upstream={"connect_timeout": connect_timeout},
                         extra={"limits": limits} if limits else None)

    def use(self, timeout=10, dialects=ALL_DIALECTS):
        """A whole small session; what it read."""
        with self.raw(timeout=timeout) as client:
            client.negotiate(dialects)
            session = client.login()
            session.tree_connect()
            file_id = session.create("file")
            content = session.read(file_id, 100)
            session.write(file_id, b"more")
            session.close(file_id)
            session.logoff()
            return content


@pytest.mark.parametrize("dialect", ALL_DIALECTS)
def test_honest_stub_is_served(dialect):
    with Stubbed(dialect=dialect) as case:
        assert case.use() == CONTENT
        assert case.stub.problems == []
        if 0x210 <= dialect < 0x311:
            assert smb2.IOCTL in case.stub.commands(), "no VALIDATE_NEGOTIATE_INFO was sent"
        assert not [event for event in case.proxy.events() if event["severity"] in ("warning", "error")]


@pytest.mark.parametrize("hold", [0, 10_000])
def test_interim_responses_are_told_in_words_of_our_own(hold):
    """Held back a moment, and not sent when the answer comes first."""
    with Stubbed(interim="honest", limits={"interim_hold": hold}) as case:
        with case.raw() as client:
            client.negotiate()
            session = client.login()
            session.tree_connect()
            assert session.read(session.create("file"), 100) == CONTENT
            assert len(client.interims) <= (1 if hold == 0 else 0)
            assert all(len(told.raw) == 64 + 9 for told in client.interims)
        assert not case.proxy.seen("upstream_forged")


BEFORE_A_SESSION = {
    "security mode without signing": (dict(security_mode=0), "upstream_no_signing", {}),
    "last response unsigned": (dict(last_setup="unsigned"), "upstream_no_signing", {}),
    "last response with a bit changed": (dict(last_setup="flipped"), "preauth_mismatch",
                                         {"reason": "final_response"}),
    "last response with a bit changed, 3.0.2": (dict(last_setup="flipped", dialect=0x302),
                                                "upstream_bad_signature", {"reason": "final_response"}),
    "guest": (dict(session_flags=smb2.GUEST), "guest_refused", {}),
    "guest, unsigned": (dict(session_flags=smb2.GUEST, last_setup="unsigned"), "guest_refused", {}),
    "anonymous": (dict(session_flags=smb2.NULL_SESSION), "guest_refused", {}),
    "encryption demanded": (dict(session_flags=smb2.ENCRYPT_DATA), "upstream_encryption", {}),
    "SMB1 only": (dict(smb1_only=True), "upstream_smb1_only", {}),
    "login refused": (dict(login_status=smb2.LOGON_FAILURE), "upstream_login_refused",
                      {"status": "0xc000006d"}),
    "closes at once": (dict(closes="accept"), "upstream_refused", {}),
    "closes at NEGOTIATE": (dict(closes=smb2.NEGOTIATE), "upstream_refused", {}),
    "never answers": (dict(silent="accept"), "upstream_unreachable", {}),
}


@pytest.mark.parametrize("case", BEFORE_A_SESSION)
def test_no_session_with_such_a_server(case):
    knobs, event, fields = BEFORE_A_SESSION[case]
    # The deadline is waited for by one of them only.
    deadline = {"connect_timeout": 2000} if knobs.get("silent") else {}
    with Stubbed(**knobs, **deadline) as stubbed:
        with pytest.raises(NOT_SERVED) as refused:
            stubbed.use()
        if isinstance(refused.value, Failed):
            # LOGON_FAILURE would make a client forget a password that is right.
            assert refused.value.status != smb2.LOGON_FAILURE
        told = stubbed.proxy.wait_event(event, **fields)
        assert told["verdict"] == "refused"
        assert smb2.TREE_CONNECT not in stubbed.stub.commands()
        assert not stubbed.proxy.seen("login")


def test_login_that_is_never_answered_ends_at_the_deadline():
    with Stubbed(silent=smb2.SESSION_SETUP, limits={"login_timeout": 2000}) as case:
        begun = time.monotonic()
        with pytest.raises(NOT_SERVED):
            case.use(timeout=15)
        assert 1 < time.monotonic() - begun < 14
        case.proxy.wait_event("link_ended")


@pytest.mark.parametrize("dialect", LEGACY[1:])
@pytest.mark.parametrize("answer", ["mismatch", "unsigned"])
def test_validate_negotiate_that_does_not_fit(dialect, answer):
    """Below 3.1.1 the file server's own answer must prove the negotiation before the client gets its
    tree."""
    with Stubbed(dialect=dialect, validate=answer) as case:
        with pytest.raises(NOT_SERVED):
            case.use()
        event = {"mismatch": "validate_mismatch", "unsigned": "upstream_bad_signature"}[answer]
        case.proxy.wait_event(event, leg="upstream", verdict="refused")
        assert smb2.CREATE not in case.stub.commands()


def wait_for_one_of(proxy, *names):
    """The first events of any of these names."""
    return wait_until(lambda: [event for event in proxy.seen() if event["event"] in names],
                      f"one of {names}")


ONE_RESPONSE = [smb2.TREE_CONNECT, smb2.CREATE, smb2.READ, smb2.WRITE, smb2.CLOSE, smb2.LOGOFF]


@pytest.mark.parametrize("command", ONE_RESPONSE, ids=lambda number: smb2.COMMANDS[number])
@pytest.mark.parametrize("knob", ["unsigned", "flipped"])
def test_response_that_does_not_verify_is_not_passed_on(knob, command):
    with Stubbed(**{knob: (command,)}) as case:
        with pytest.raises(Disconnected):
            case.use()
        told = wait_for_one_of(case.proxy, "upstream_no_signing", "upstream_bad_signature")[0]
        assert told["verdict"] == "refused" and told["leg"] == "upstream"
        if knob == "flipped":
            assert told["event"] == "upstream_bad_signature"


def test_response_that_comes_twice_is_passed_on_once():
    """No MessageId is signed twice; the second answer ends the upstream leg."""
    with Stubbed(twice=(smb2.CREATE,)) as case:
        with case.raw() as client:
            client.negotiate()
            session = client.login()
            session.tree_connect()
            answer = client.answer(client.send(smb2.CREATE, bodies.create("file"), session))
            assert answer.status == smb2.SUCCESS
            assert client.ends()
            assert answer.message_id not in client.answers
        case.proxy.wait_event("link_ended")


FORGED = ["for nobody", "not async", "without id", "twice", "long", "break", "lease break"]


@pytest.mark.parametrize("interim", FORGED)
def test_forged_interims_and_breaks_do_not_reach_the_client(interim):
    """They are not signed: they may say no more than that a request of ours takes its time, or name an
    open of ours."""
    with Stubbed(interim=interim) as case:
        with case.raw(timeout=20) as client:
            client.negotiate()
            session = client.login()
            session.tree_connect()
            file_id = session.create("file")
            try:
                assert session.read(file_id, 100) == CONTENT
            except Disconnected:
                pass
            assert client.notifications == []
            assert len(client.interims) <= (1 if interim == "twice" else 0)
        case.proxy.wait_event("upstream_forged", leg="upstream")


def test_shares_show_nothing_that_is_not_carried():
    """DFS, clusters and redirection would lead clients past the proxy, or promise what it cannot keep."""
    with Stubbed(share_flags=0x3 | 0x800, share_capabilities=0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x100) as case:
        with case.raw() as client:
            client.negotiate()
            answer = client.login().tree_connect()
            flags, capabilities = struct.unpack_from("<II", answer.raw, 68)
            assert flags & 0x3 == 0 and capabilities == 0
            assert flags & 0x800, "an innocent flag was lost"  # ACCESS_BASED_DIRECTORY_ENUM


def test_file_server_that_speaks_only_smb1_is_told_apart():
    with Nas(min_dialect="NT1", max_dialect="NT1") as nas, Rig(nas) as rig:
        with pytest.raises(NOT_SERVED):
            rig.established()
        wait_for_one_of(rig.proxy, "upstream_smb1_only", "upstream_refused", "upstream_unreachable")


def test_nobody_there_is_told_within_the_deadline():
    """A port that refuses, and one that takes connections and says nothing."""
    class Nobody:
        address = new_address()
        port = free_port(address)

    entry = listener()
    with Proxy([entry], [upstream(Nobody, connect_timeout=9000)]) as proxy:
        begun = time.monotonic()
        with RawClient(entry["address"], entry["port"]) as client:
            with pytest.raises(NOT_SERVED):
                client.negotiate()
        assert time.monotonic() - begun < 8
        proxy.wait_event("upstream_unreachable", leg="upstream")
