"""A listener that takes connections to other hosts, which the system diverts to it (TPROXY)."""

import pytest

import smb2
from front import Front
from namespaces import Host
from nas import Nas
from proxy import BINARY
from rawclient import RawClient
from smbtools import SmbClient
from wire import Disconnected, Failed

PORT = 44500
# The file servers of a segment that nobody has put up: all that goes there is diverted.
NETWORKS = {4: ("198.51.100.9", "198.51.100.10", "10.98.1.1", "10.98.1.2", 24, "0.0.0.0"),
            6: ("2001:db8::9", "2001:db8::10", "fd98:1::1", "fd98:1::2", 64, "::")}
DIVERT = """
table inet countersign {
    chain divert {
        type filter hook prerouting priority mangle; policy accept;
        iifname "eth0" meta nfproto ipv4 tcp dport 445 tproxy ip to :44500 meta mark set 1 accept
        iifname "eth0" meta nfproto ipv6 tcp dport 445 tproxy ip6 to :44500 meta mark set 1 accept
        iifname "eth0" tcp dport { 139, 445 } counter reject with tcp reset
    }
}
"""


@pytest.fixture(scope="module")
def between():
    """(The router on which Countersign is, a client behind it)."""
    with Host("router") as router, Host("client") as client:
        router.must(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
                     str(client.holder.pid)])
        for version, (_, _, own, other, bits, _) in NETWORKS.items():
            ip = ["ip", f"-{version}"]
            nodad = ["nodad"] if version == 6 else []
            for host, address in ((router, own), (client, other)):
                host.must([*ip, "addr", "add", f"{address}/{bits}", "dev", "eth0", *nodad])
                host.must(["ip", "link", "set", "eth0", "up"])
            client.must([*ip, "route", "add", "default", "via", own])
            router.must([*ip, "rule", "add", "fwmark", "1", "lookup", "100"])
            router.must([*ip, "route", "add", "local", "default", "dev", "lo", "table", "100"])
        router.must(["nft", "-f", "-"], input=DIVERT)
        with router.entered(), Nas() as nas:
            yield router, client, nas


def front(router, nas, version, transparent="true"):
    return Front(nas, host=router, on_listener={
        "address": NETWORKS[version][5], "port": PORT, "transparent": transparent,
        "target_name": "required"})


def gets_in(client, address, target):
    """True when a login is taken that was meant for `target`, on a connection to `address`."""
    with client.entered(), RawClient(address, 445) as raw:
        raw.negotiate()
        try:
            session = raw.login(target_name=f"cifs/{target}")
        except Failed as failed:
            assert failed.status == smb2.ACCESS_DENIED
            return False
        session.tree_connect()
        return True


@pytest.mark.parametrize("version", NETWORKS)
def test_original_destination_is_a_name(between, version):
    """… of that connection, and of no other."""
    router, client, nas = between
    one, other, _, source, _, _ = NETWORKS[version]
    with front(router, nas, version) as gateway:
        assert gets_in(client, one, one) and gets_in(client, other, other)
        assert gateway.proxy.wait_event("login")["client_address"] == source
        for address, target in ((one, other), (other, one)):
            assert not gets_in(client, address, target)
            gateway.proxy.wait_event("target_name_refused", target_name=f"cifs/{target}")


def test_smbclient_notices_nothing(between, tmp_path):
    router, client, nas = between
    with front(router, nas, 4):
        smbclient = SmbClient(str(tmp_path), "198.51.100.9", 445, prefix=client.prefix(str(tmp_path)))
        smbclient.must("put client.conf through; ls through", user="alice")


def test_reload(between):
    """It is taken by a reload."""
    router, client, nas = between
    with front(router, nas, 4, "false") as gateway:
        with pytest.raises((Disconnected, OSError)):
            gets_in(client, "198.51.100.9", "198.51.100.9")
        entry, = gateway.proxy.listeners
        for transparent in ("true", "false"):
            entry["transparent"] = transparent
            gateway.proxy.write_configuration()
            assert gateway.proxy.reload() == (0, "countersign: reloaded\n")
            assert gets_in(client, "198.51.100.9", "198.51.100.9") == (transparent == "true")


def test_without_the_right(between):
    """Who may not take other hosts' connections is told what is missing."""
    router, _, nas = between
    with front(router, nas, 4) as gateway:
        gateway.proxy.stop()
        done = router.run(["setpriv", "--bounding-set=-net_admin,-net_raw", BINARY, "run", "--config",
                           gateway.proxy.configuration])
    assert done.returncode == 1 and "0.0.0.0:44500" in done.stderr and "CAP_NET_ADMIN" in done.stderr
