"""The attacks use the peers and recordings of the integration tests, each with a proxy of its own."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

# pylint: disable=wrong-import-position
from audit_log import ATTACKER
from fixtures import nas, realm
from rig import Rig

__all__ = ["nas", "realm", "rig"]


@pytest.fixture
def rig(nas):  # pylint: disable=redefined-outer-name
    """Somebody's connection to the file server by way of the attacker and of a proxy that is started
    for this test: its log holds nothing of any other."""
    nas.empty_share()
    with Rig(nas, source=ATTACKER) as arrangement:
        yield arrangement
