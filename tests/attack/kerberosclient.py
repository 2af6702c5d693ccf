"""The client of the attacks that has a ticket."""

import kerberos


def initiator(rig, user="alice"):
    """With a fresh ticket of the realm's for the rig's service."""
    cache = rig.realm.kinit(user)
    cache.must_get(rig.service)
    return kerberos.Initiator(kerberos.credential(cache, rig.service))
