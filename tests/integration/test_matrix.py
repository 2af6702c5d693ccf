"""Every client dialect with every upstream dialect, and every pair of signing algorithms at 3.1.1.

The file server is limited to one dialect, the client to another: what each leg speaks and how it
signs is its own. Small operations are recorded on both legs and each signature is recomputed; a file
of 200 MiB goes up and comes back beside the recording.
"""

import filecmp
import os

import pytest

import smb2
from capture import Relay
from harness import USERS
from nas import SAMBA_ALGORITHMS, Nas
from proxy import Proxy, listener, upstream
from report import assert_independent
from rig import Rig
from smbtools import SmbClient
from verify import check

BIG = 200 * 1024 * 1024
OPERATIONS = {"TREE_CONNECT", "CREATE", "WRITE", "READ", "CLOSE", "QUERY_DIRECTORY", "QUERY_INFO",
              "SET_INFO", "SESSION_SETUP"}
EXPECTED = {"2.0.2": "HMAC-SHA256", "2.1": "HMAC-SHA256", "3.0": "AES-128-CMAC",
            "3.0.2": "AES-128-CMAC", "3.1.1": "AES-128-GMAC"}


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    """200 MiB that do not compress and do not repeat."""
    path = tmp_path_factory.mktemp("big") / "big"
    with open(path, "wb") as file:
        for _ in range(BIG >> 20):
            file.write(os.urandom(1 << 20))
    yield path
    path.unlink()


def small_operations(client, directory):
    """Put, get and compare, list, rename, make and remove a directory, delete."""
    sizes = (0, 1, 4095, 65536, 65537, 300_001)
    for size in sizes:
        (directory / f"in{size}").write_bytes(os.urandom(size))
    puts = "; ".join(f"put in{size} f{size}; get f{size} out{size}" for size in sizes)
    output = client.must(f"{puts}; ls; rename f65537 renamed; mkdir d; ls; del f*; rmdir d")
    for size in sizes:
        assert (directory / f"in{size}").read_bytes() == (directory / f"out{size}").read_bytes(), size
        assert f"f{size} " in output
    assert "renamed" in output
    left = client.must("ls; del renamed")
    assert "renamed" in left and "f4095" not in left


def round_trip(client, nas, directory, big_file):
    """200 MiB up, compared on the file server's disk, down, compared again."""
    stored, back = os.path.join(nas.share, "big"), directory / "back"
    try:
        client.must(f"put {big_file} big", seconds=120)
        assert filecmp.cmp(big_file, stored, shallow=False)
        client.must("get big back; del big", seconds=120)
        assert filecmp.cmp(big_file, back, shallow=False)
    finally:
        back.unlink(missing_ok=True)
    assert not os.path.exists(stored)


@pytest.fixture(scope="module", params=list(smb2.DIALECTS))
def one_dialect_rig(request):
    """A file server that speaks one dialect only, and the proxy before it."""
    with Nas(min_dialect=request.param, max_dialect=request.param) as nas, Rig(nas) as rig:
        rig.upstream_dialect = request.param
        yield rig


@pytest.mark.parametrize("dialect", smb2.DIALECTS)
def test_dialects(one_dialect_rig, dialect, tmp_path, big_file):
    rig = one_dialect_rig
    rig.reset()
    small_operations(rig.smbclient(tmp_path, dialect=dialect), tmp_path)
    for client_leg, upstream_leg in rig.assert_both_legs_signed():
        assert (client_leg.dialect, client_leg.algorithm) == (dialect, EXPECTED[dialect])
        assert upstream_leg.dialect == rig.upstream_dialect
        assert upstream_leg.algorithm == EXPECTED[rig.upstream_dialect]
        assert client_leg.encrypted == upstream_leg.encrypted == 0
    first = rig.reports()[0]
    assert OPERATIONS <= first[0].commands and OPERATIONS <= first[1].commands
    event = rig.proxy.wait_event("link", listener="recorded")
    assert (event["client_dialect"], event["upstream_dialect"]) == (dialect, rig.upstream_dialect)
    round_trip(rig.smbclient_direct(tmp_path, dialect=dialect), rig.server, tmp_path, big_file)
    rig.proxy.assert_healthy()


class ThreeWays:
    """One file server at 3.1.1; for each algorithm a listener whose upstream leg offers only that
    one, recorded and direct."""

    def __init__(self, nas):
        self.nas = nas
        self.relays = {name: Relay((nas.address, nas.port)) for name in SAMBA_ALGORITHMS}
        self.front = Relay()

    def __enter__(self):
        for relay in (*self.relays.values(), self.front):
            relay.__enter__()
        self.listeners, upstreams = {}, []
        for name, relay in self.relays.items():
            for kind, server in ((name, relay), (f"direct-{name}", self.nas)):
                upstreams.append(upstream(server, kind, signing=[name]))
                self.listeners[kind] = listener(kind, kind, names=[self.front.address])
        self.proxy = Proxy(list(self.listeners.values()), upstreams).__enter__()
        return self

    def __exit__(self, *details):
        self.proxy.__exit__(*details)
        for relay in (*self.relays.values(), self.front):
            relay.__exit__(None, None, None)


@pytest.fixture(scope="module")
def three_ways(nas):
    with ThreeWays(nas) as arrangement:
        yield arrangement


@pytest.mark.parametrize("upstream_algorithm", SAMBA_ALGORITHMS)
@pytest.mark.parametrize("client_algorithm", SAMBA_ALGORITHMS)
def test_algorithms(three_ways, client_algorithm, upstream_algorithm, tmp_path, big_file):
    ways = three_ways
    back = ways.relays[upstream_algorithm]
    ways.proxy.mark()
    ways.front.clear()
    back.clear()
    entry = ways.listeners[upstream_algorithm]
    ways.front.target = (entry["address"], entry["port"])
    only = [f"--option=client smb3 signing algorithms={SAMBA_ALGORITHMS[client_algorithm]}"]
    small_operations(SmbClient(str(tmp_path), ways.front.address, ways.front.port, only), tmp_path)
    for relay in (ways.front, back):
        relay.wait_ended()
    for one, other in zip(ways.front.connections, back.connections, strict=True):
        client_leg, upstream_leg = check(one, USERS), check(other, USERS)
        assert_independent(client_leg, upstream_leg)
        assert client_leg.algorithm == SAMBA_ALGORITHMS[client_algorithm]
        assert upstream_leg.algorithm == SAMBA_ALGORITHMS[upstream_algorithm]
    direct = ways.listeners[f"direct-{upstream_algorithm}"]
    round_trip(SmbClient(str(tmp_path), direct["address"], direct["port"], only), ways.nas, tmp_path,
               big_file)
    ways.proxy.assert_healthy()


def test_listener_preference_decides(tmp_path):
    """At 3.1.1 the listener's order wins over the client's; the file server's wins upstream."""
    with Nas(algorithms=["aes-cmac", "aes-gmac", "hmac-sha256"]) as picky:
        with Rig(picky, on_listener={"signing": ["hmac-sha256", "aes-cmac"]}) as rig:
            rig.smbclient(tmp_path).must("ls")
            for client_leg, upstream_leg in rig.assert_both_legs_signed():
                assert client_leg.algorithm == "HMAC-SHA256"
                assert upstream_leg.algorithm == "AES-128-CMAC"


def test_client_algorithm_outside_the_listener_is_refused(nas, tmp_path):
    """No common algorithm is no session, not a silent AES-CMAC."""
    with Rig(nas, on_listener={"signing": ["aes-gmac"]}) as rig:
        only = ["--option=client smb3 signing algorithms=AES-128-CMAC"]
        rig.smbclient(tmp_path).refused(options=only)
        assert not rig.at_server(smb2.SESSION_SETUP)
