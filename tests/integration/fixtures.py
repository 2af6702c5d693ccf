"""Fixtures: a file server and a proxy per module, clean recordings per test."""

import pytest

from mitkdc import Realm
from nas import Nas
from rig import Rig


@pytest.fixture(scope="module")
def nas():
    """smbd as it comes: every dialect, signing offered and not required."""
    with Nas() as server:
        yield server


@pytest.fixture(scope="module")
def module_rig(nas):
    """The proxy in front of `nas`, with defaults."""
    with Rig(nas) as arrangement:
        yield arrangement


@pytest.fixture
def rig(module_rig):
    """The module's rig, with nothing left of the test before; unhealthy afterwards is a failure."""
    module_rig.reset()
    module_rig.server.empty_share()
    yield module_rig
    module_rig.proxy.assert_healthy()


@pytest.fixture(scope="session")
def domain():
    """A Samba domain with all its hosts: some ten seconds, once, and only when a test asks for it."""
    from addc import Domain  # pylint: disable=import-outside-toplevel
    with Domain() as everything:
        yield everything


@pytest.fixture(scope="module")
def realm():
    """A plain MIT KDC, without any domain, that answers constrained delegation too."""
    with Realm(delegation=True) as kdc:
        yield kdc


@pytest.fixture(scope="module")
def server(realm):
    """A file server that takes the realm's tickets."""
    with realm.file_server() as file_server:
        yield file_server
