"""Fixtures: a file server and a proxy per module, clean recordings per test."""

import pytest

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
