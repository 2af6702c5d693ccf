"""The names by which a client calls us: compared, a mismatch recorded once, and a condition of rules."""

import os

import pytest

import smb2
from front import Front
from namespaces import Host
from rawclient import ALL_ALGORITHMS, Failed, RawClient
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


def test_listener_at_all_addresses():
    """Each address of the host is one of its names, one that it has got since too; no other, and not
    those that everybody calls himself by."""
    with Host("everywhere") as host, host.entered():
        host.must(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"])
        for end in ("eth0", "eth1"):
            host.must(["ip", "link", "set", end, "up"])
        host.must(["ip", "addr", "add", "198.51.100.7/24", "dev", "eth0"])
        host.must(["ip", "addr", "add", "2001:db8::7/64", "dev", "eth0", "nodad"])
        with Front(on_listener={"address": "0.0.0.0"}, host=host) as front:
            def gets_in(target):
                with RawClient("198.51.100.7", front.where[1]) as client:
                    client.negotiate()
                    try:
                        return bool(client.login(target_name=f"cifs/{target}").key)
                    except Failed:
                        return False

            assert gets_in("198.51.100.7") and gets_in("2001:DB8:0::7") and gets_in("[2001:db8::7]:445")
            for other in ("198.51.100.8", "198.51.100.0", "198.51.100.255", "2001:db8::8", "127.0.0.1",
                          "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "224.0.0.1", "ff02::1"):
                assert not gets_in(other), other
                front.proxy.wait_event("target_name_refused", target_name=f"cifs/{other}")
            for family in ("ipv4", "ipv6"):
                host.must(["sysctl", "-w", f"net.{family}.ip_nonlocal_bind=1"])
            assert not gets_in("198.51.100.8") and not gets_in("2001:db8::8")
            host.must(["ip", "addr", "add", "198.51.100.8/24", "dev", "eth0"])
            assert gets_in("198.51.100.8")
