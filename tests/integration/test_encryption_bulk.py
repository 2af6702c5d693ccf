"""Two hundred mebibytes there and back, for every cipher on either leg and on both."""

import hashlib
import os

import pytest

from rig import Rig

MIB = 1 << 20
CIPHERS = {"aes-128-ccm": "AES-128-CCM", "aes-128-gcm": "AES-128-GCM", "aes-256-ccm": "AES-256-CCM",
           "aes-256-gcm": "AES-256-GCM"}
LEGS = {"client leg": ("required", "off"), "upstream leg": ("off", "required"),
        "both": ("required", "required")}


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    """A file and its digest; no two blocks alike."""
    path = tmp_path_factory.mktemp("bulk") / "big"
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(200):
            block = os.urandom(MIB)
            digest.update(block)
            file.write(block)
    yield path, digest.hexdigest()
    path.unlink()


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("cipher", CIPHERS)
def test_round_trip(nas, tmp_path, big_file, cipher, legs):
    """Which leg is encrypted, and with what, is seen in a small session that is recorded."""
    path, digest = big_file
    at_client, at_upstream = LEGS[legs]
    options = [{"encryption": level, **({"ciphers": [cipher]} if level == "required" else {})}
               for level in (at_client, at_upstream)]
    with Rig(nas, on_listener=options[0], on_upstream=options[1]) as rig:
        rig.smbclient(tmp_path).must("ls")
        for client_leg, upstream_leg in rig.assert_both_legs_signed():
            for leg, level in ((client_leg, at_client), (upstream_leg, at_upstream)):
                assert leg.cipher == (CIPHERS[cipher] if level == "required" else "")
                assert bool(leg.encrypted) == (level == "required")
        rig.smbclient_direct(tmp_path).must(f"put {path} big; get big back; del big", seconds=240)
        back = tmp_path / "back"
        assert back.stat().st_size == 200 * MIB and digest_of(back) == digest
        back.unlink()
        assert not rig.proxy.seen("bad_signature") and not rig.proxy.seen("upstream_bad_signature")
