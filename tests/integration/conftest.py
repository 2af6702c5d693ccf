"""What every test of this directory may ask for."""

from fixtures import module_rig, nas, rig

__all__ = ["module_rig", "nas", "rig"]
