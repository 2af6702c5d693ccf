"""The attacks use the peers and recordings of the integration tests."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

# pylint: disable=wrong-import-position
from fixtures import module_rig, nas, realm, rig
from harness import USERS
from kerberosrig import KerberosRig

__all__ = ["module_rig", "nas", "realm", "rig"]


@pytest.fixture(scope="module")
def module_kerberos_rig(realm):  # pylint: disable=redefined-outer-name
    """Both ends can do Kerberos, and the proxy takes NTLM as well."""
    with realm.file_server() as server, KerberosRig(
            realm, server, ["ticket", "same"], on_listener={"mechanisms": ["kerberos", "ntlm"]},
            users={**USERS, realm.principal("alice"): USERS["alice"]}) as arrangement:
        yield arrangement


@pytest.fixture
def kerberos_rig(module_kerberos_rig):
    """The same with nothing left of the test before; unhealthy afterwards is a failure."""
    module_kerberos_rig.reset()
    yield module_kerberos_rig
    module_kerberos_rig.proxy.assert_healthy()
