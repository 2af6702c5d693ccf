"""SMB2 encryption (MS-SMB2 2.2.41, 3.1.4.3): messages sealed in a TRANSFORM with a session's keys."""

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from smbcrypto import kdf

AES_128_CCM, AES_128_GCM, AES_256_CCM, AES_256_GCM = 1, 2, 3, 4
CIPHER_NAMES = {AES_128_CCM: "AES-128-CCM", AES_128_GCM: "AES-128-GCM", AES_256_CCM: "AES-256-CCM",
                AES_256_GCM: "AES-256-GCM"}
HEADER = struct.Struct("<4s16s16sIHHQ")


def is_sealed(frame):
    return frame[:4] == b"\xfdSMB"


def cipher_keys(dialect, cipher, session_key, preauth):
    """The keys from client to server and back; None without a cipher. All of a longer session key,
    as Kerberos has, goes into the keys of AES-256 and of nothing else."""
    if not cipher or dialect < 0x300:
        return None
    if cipher not in (AES_256_CCM, AES_256_GCM):
        session_key = (session_key + bytes(16))[:16]
    if dialect < 0x311:
        return (kdf(session_key, b"SMB2AESCCM\0", b"ServerIn \0"),
                kdf(session_key, b"SMB2AESCCM\0", b"ServerOut\0"))
    bits = 256 if cipher in (AES_256_CCM, AES_256_GCM) else 128
    return (kdf(session_key, b"SMBC2SCipherKey\0", preauth, bits),
            kdf(session_key, b"SMBS2CCipherKey\0", preauth, bits))


def _suite(cipher, key):
    """The AEAD and the size of its nonce."""
    if cipher in (AES_128_GCM, AES_256_GCM):
        return AESGCM(key), 12
    return AESCCM(key, tag_length=16), 11


def seal(cipher, key, session_id, plain, nonce=None):
    """One frame around a message or a chain."""
    suite, size = _suite(cipher, key)
    nonce = nonce or os.urandom(size)
    bound = struct.pack("<16sIHHQ", nonce, len(plain), 0, 1, session_id)
    sealed = suite.encrypt(nonce, plain, bound)
    return b"\xfdSMB" + sealed[-16:] + bound + sealed[:-16]


def session_of(frame):
    """The SessionId that the TRANSFORM names."""
    return HEADER.unpack_from(frame)[6]


def nonce_of(cipher, frame):
    return frame[20:20 + _suite(cipher, bytes(32 if cipher > 2 else 16))[1]]


def unseal(cipher, key, frame):
    """What was sealed; ValueError when it does not verify."""
    suite, size = _suite(cipher, key)
    try:
        return suite.decrypt(frame[20:20 + size], frame[52:] + frame[4:20], frame[20:52])
    except InvalidTag:
        raise ValueError("TRANSFORM that does not verify") from None
