"""Keys and signatures of SMB2 (MS-SMB2 3.1.4.1, 3.1.4.2, 3.3.5.4), written for the tests.

Shares no code and no library with the proxy's C: what the two agree on, they agree on by the
specification.
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from smb2 import CANCEL, RESPONSE, SIGNED, parse_header, replace_header

HMAC_SHA256, AES_CMAC, AES_GMAC = 0, 1, 2
ALGORITHM_NAMES = {HMAC_SHA256: "HMAC-SHA256", AES_CMAC: "AES-128-CMAC", AES_GMAC: "AES-128-GMAC"}


def kdf(key, label, context, bits=128):
    """SP 800-108 in counter mode with HMAC-SHA256, one block."""
    data = struct.pack(">I", 1) + label + b"\0" + context + struct.pack(">I", bits)
    return hmac.new(key, data, hashlib.sha256).digest()[:bits // 8]


def preauth_update(value, message):
    """The next preauthentication integrity hash value."""
    return hashlib.sha512(value + message).digest()


def signing_key(dialect, session_key, preauth):
    """The key that signs a session's messages; `preauth` matters at 3.1.1 only."""
    session_key = (session_key + bytes(16))[:16]
    if dialect < 0x300:
        return session_key
    if dialect < 0x311:
        return kdf(session_key, b"SMB2AESCMAC\0", b"SmbSign\0")
    return kdf(session_key, b"SMBSigningKey\0", preauth)


def signing_algorithm(dialect, negotiated):
    """Which algorithm signs: fixed below 3.1.1, there the negotiated one or AES-CMAC."""
    if dialect < 0x300:
        return HMAC_SHA256
    if dialect < 0x311 or negotiated is None:
        return AES_CMAC
    return negotiated


def gmac_nonce(header):
    """MessageId, then who sends it, then whether it is a CANCEL."""
    bits = (1 if header.flags & RESPONSE else 0) | (2 if header.command == CANCEL else 0)
    return struct.pack("<QI", header.message_id, bits)


def signature(algorithm, key, message):
    """The signature that the message must carry, whatever it carries now."""
    zeroed = message[:48] + bytes(16) + message[64:]
    if algorithm == HMAC_SHA256:
        return hmac.new(key, zeroed, hashlib.sha256).digest()[:16]
    if algorithm == AES_CMAC:
        mac = CMAC(algorithms.AES(key))
        mac.update(zeroed)
        return mac.finalize()
    return AESGCM(key).encrypt(gmac_nonce(parse_header(message)), b"", zeroed)


def sign(algorithm, key, message):
    """The message with the SIGNED flag and its signature."""
    message = replace_header(message, flags=parse_header(message).flags | SIGNED)
    return message[:48] + signature(algorithm, key, message) + message[64:]


def is_signed_well(algorithm, key, message):
    """True when the flag is set and the signature is right."""
    return bool(parse_header(message).flags & SIGNED) and message[48:64] == signature(
        algorithm, key, message)
