"""The names by which a client calls us: compared, a mismatch recorded once, and a condition of rules."""

import os

import pytest

import smb2
from rawclient import ALL_ALGORITHMS, Failed
from rig import Rig

CONTEXT_NETNAME = 5
NAMES = ["files.example.com", "alias.example.com", "files"]


@pytest.fixture(scope="module")
def named_rig(nas):
    with Rig(nas, on_listener={"names": NAMES}) as rig:
        yield rig


def calls(rig, netname, target, server):
    """One session that calls us by these names (None: not at all); its mismatches."""
    rig.reset()
    extra = [(CONTEXT_NETNAME, netname.encode("utf-16-le"))] if netname else []
    with rig.raw() as client:
        client.negotiate(contexts=smb2.negotiate_contexts(signing=ALL_ALGORITHMS, salt=os.urandom(32),
                                                          extra=extra))
        session = client.login(target_name=target and f"cifs/{target}")
        for _ in range(2):
            session.tree_connect(host=server)
    rig.proxy.wait_event("link_ended")
    return rig.proxy.seen("name_mismatch")


@pytest.mark.parametrize("names", [
    ("files.example.com", "files.example.com", "files.example.com"),
    ("FILES", "files.example.com", "Files.Example.Com."),
    (None, "files.example.com:445", "files"),
    ("files.example.com", None, "FILES.EXAMPLE.COM"),
    (None, None, "whatever.example.com")])
def test_names_that_fit(named_rig, names):
    assert calls(named_rig, *names) == []


@pytest.mark.parametrize("names,reason", [
    (("alias.example.com", "files.example.com", "alias.example.com"), "target_name"),
    (("files.example.com", "files.example.com", "alias.example.com"), "tree_path"),
    ((None, "files.example.com", "192.0.2.1"), "tree_path"),
    (("files.example.com", None, "other.example.com"), "tree_path")])
def test_names_that_do_not_fit(named_rig, names, reason):
    """Recorded once, and nobody is refused."""
    told = calls(named_rig, *names)
    assert [(event["reason"], event["verdict"]) for event in told] == [(reason, "recorded")]
    assert told[0].get("netname") == names[0]
    assert told[0].get("target_name") == (names[1] and f"cifs/{names[1]}")
    assert told[0]["user"] == "alice"


def test_smbclient_fits(named_rig, tmp_path):
    named_rig.reset()
    named_rig.smbclient(tmp_path).must("ls")
    named_rig.proxy.wait_event("link_ended")
    assert not named_rig.proxy.seen("name_mismatch")


def test_a_rule_of_it(nas):
    rule = {"name": "one-name", "when": {"target_name": ["mismatch"]}, "then": "refuse"}
    with Rig(nas, on_listener={"names": NAMES}, extra={"rules": [rule]}) as rig:
        assert calls(rig, NAMES[0], NAMES[0], NAMES[0]) == []
        with pytest.raises(Failed) as refused:  # at the login
            calls(rig, NAMES[1], NAMES[0], NAMES[0])
        assert refused.value.status == smb2.ACCESS_DENIED
        rig.proxy.wait_event("rule_refused", rule="one-name")
        assert not rig.at_server(smb2.SESSION_SETUP)
        with pytest.raises(Failed):  # at the share
            calls(rig, NAMES[0], NAMES[0], NAMES[1])
        rig.proxy.wait_event("name_mismatch", reason="tree_path")
        rig.proxy.wait_event("rule_refused", rule="one-name")
        assert not rig.at_server(smb2.TREE_CONNECT)
