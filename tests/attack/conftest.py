"""The attacks use the peers and recordings of the integration tests."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

# pylint: disable=wrong-import-position
from fixtures import module_rig, nas, realm, rig

__all__ = ["module_rig", "nas", "realm", "rig"]
