"""What every test of this directory may ask for."""

from fixtures import domain, module_rig, nas, realm, rig, server

__all__ = ["domain", "module_rig", "nas", "realm", "rig", "server"]
