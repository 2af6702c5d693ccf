"""The attacks use the peers and recordings of the integration tests, each with a proxy of its own."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

# pylint: disable=wrong-import-position
from audit_log import ATTACKER
from fixtures import nas, realm
from harness import USERS
from kerberosrig import KerberosRig
from rig import Rig

__all__ = ["nas", "realm", "rig"]


@pytest.fixture
def rig(nas):  # pylint: disable=redefined-outer-name
    """Somebody's connection to the file server by way of the attacker and of a proxy that is started
    for this test: its log holds nothing of any other."""
    nas.empty_share()
    with Rig(nas, source=ATTACKER) as arrangement:
        yield arrangement


@pytest.fixture(scope="module")
def kerberos_server(realm):  # pylint: disable=redefined-outer-name
    """A file server that takes tickets."""
    with realm.file_server() as server:
        yield server


@pytest.fixture
def kerberos_rig(realm, kerberos_server):  # pylint: disable=redefined-outer-name
    """The same where both ends can do Kerberos, and the proxy takes NTLM as well."""
    with KerberosRig(realm, kerberos_server, ["ticket", "same"], source=ATTACKER,
                     on_listener={"mechanisms": ["kerberos", "ntlm"]},
                     users={**USERS, realm.principal("alice"): USERS["alice"]}) as arrangement:
        yield arrangement
