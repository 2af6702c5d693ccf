"""NTLM of both sides (MS-NLMP), with a knob for each way of getting it wrong."""

import hashlib
import hmac
import os
import struct
import time

from Cryptodome.Cipher import ARC4, DES
from Cryptodome.Hash import MD4

UNICODE, REQUEST_TARGET, SIGN, SEAL, NTLM = 0x1, 0x4, 0x10, 0x20, 0x200
ANONYMOUS, ALWAYS_SIGN, TARGET_TYPE_SERVER = 0x800, 0x8000, 0x20000
EXTENDED_SECURITY, TARGET_INFO, VERSION = 0x80000, 0x800000, 0x2000000
KEY_128, KEY_EXCHANGE, KEY_56 = 0x20000000, 0x40000000, 0x80000000
CLIENT_FLAGS = (UNICODE | REQUEST_TARGET | SIGN | NTLM | ALWAYS_SIGN | EXTENDED_SECURITY | TARGET_INFO |
                VERSION | KEY_128 | KEY_EXCHANGE | KEY_56)

AV_NB_COMPUTER, AV_NB_DOMAIN, AV_DNS_COMPUTER, AV_DNS_DOMAIN = 1, 2, 3, 4
AV_FLAGS, AV_TIMESTAMP, AV_TARGET_NAME, AV_CHANNEL_BINDINGS = 6, 7, 9, 10
FLAG_MIC = 0x2

SIGNATURE = b"NTLMSSP\0"
VERSION_BYTES = bytes.fromhex("0601b11d0000000f")


def utf16(text):
    return text.encode("utf-16-le")


def nt_hash(password):
    return MD4.new(utf16(password)).digest()


def hmac_md5(key, data):
    return hmac.new(key, data, hashlib.md5).digest()


def ntowf_v2(password, user, domain):
    return hmac_md5(nt_hash(password), utf16(user.upper() + domain))


def rc4(key, data):
    return ARC4.new(key).encrypt(data)


def pack_av(pairs):
    packed = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in pairs)
    return packed + bytes(4)


def parse_av(data):
    pairs, at = [], 0
    while True:
        kind, size = struct.unpack_from("<HH", data, at)
        if kind == 0:
            return pairs
        pairs.append((kind, data[at + 4:at + 4 + size]))
        at += 4 + size


def field(data, at):
    """The payload that a security buffer's length and offset name."""
    size, _, offset = struct.unpack_from("<HHI", data, at)
    if offset + size > len(data):
        raise ValueError("NTLM field outside its message")
    return data[offset:offset + size]


def des_response(key16, challenge):
    """DESL (MS-NLMP 6): the 24-byte response of NTLMv1."""
    key21 = key16 + bytes(5)
    response = b""
    for part in range(0, 21, 7):
        bits = int.from_bytes(key21[part:part + 7], "big")
        key8 = bytes(((bits >> (49 - 7 * index)) & 0x7F) << 1 for index in range(8))
        response += DES.new(key8, DES.MODE_ECB).encrypt(challenge)
    return response


def gss_mic(exported_key, from_client, data):
    """GSS_GetMIC with sequence number 0, extended session security and key exchange (3.4.4.2)."""
    way = b"client-to-server" if from_client else b"server-to-client"
    sign_key = hashlib.md5(exported_key + b"session key to " + way +
                           b" signing key magic constant\0").digest()
    seal_key = hashlib.md5(exported_key + b"session key to " + way +
                           b" sealing key magic constant\0").digest()
    checksum = hmac_md5(sign_key, bytes(4) + data)[:8]
    return struct.pack("<I", 1) + rc4(seal_key, checksum) + bytes(4)


class Authenticate:
    """What an AUTHENTICATE says."""

    def __init__(self, raw):
        if raw[:8] != SIGNATURE or raw[8:12] != b"\3\0\0\0":
            raise ValueError("not an AUTHENTICATE")
        self.raw = raw
        self.lm_response = field(raw, 12)
        self.nt_response = field(raw, 20)
        self.domain = field(raw, 28).decode("utf-16-le")
        self.user = field(raw, 36).decode("utf-16-le")
        self.encrypted_key = field(raw, 52)
        self.flags = struct.unpack_from("<I", raw, 60)[0]

    def av_pairs(self):
        """The pairs of the NTLMv2 client challenge."""
        return dict(parse_av(self.nt_response[16 + 28:]))

    def session_key(self, password, server_challenge):
        """ExportedSessionKey when the NTProofStr is right for this password, else None."""
        if len(self.nt_response) < 44:
            return None
        response_key = ntowf_v2(password, self.user, self.domain)
        proof = hmac_md5(response_key, server_challenge + self.nt_response[16:])
        if proof != self.nt_response[:16]:
            return None
        base_key = hmac_md5(response_key, proof)
        return rc4(base_key, self.encrypted_key) if self.flags & KEY_EXCHANGE else base_key

    def mic_is_right(self, exported_key, negotiate, challenge):
        zeroed = self.raw[:72] + bytes(16) + self.raw[88:]
        return self.raw[72:88] == hmac_md5(exported_key, negotiate + challenge + zeroed)


class Client:
    """The initiator. Knobs: `mic` is "right", "wrong" (announced and false), "missing" (announced and
    zero) or "none" (not announced); `version` is "v2", "v1", "v1-extended" or "lm"; `target_name` None
    sends none; `pairs` is a function on the list of AV pairs; `flags` are offered, and of those granted
    the AUTHENTICATE leaves `dropped_flags` out."""

    def __init__(self, user, password, domain="", target_name=None, mic="right", version="v2",
                 anonymous=False, flags=CLIENT_FLAGS, dropped_flags=0, pairs=None, workstation="TESTS"):
        self.user, self.password, self.domain = user, password, domain
        self.target_name, self.mic, self.version = target_name, mic, version
        self.anonymous, self.pairs, self.workstation = anonymous, pairs, workstation
        self.flags, self.dropped_flags = flags, dropped_flags
        self.exported_key = None
        self.negotiate_message = self.challenge_message = b""

    def negotiate(self):
        self.negotiate_message = (SIGNATURE + struct.pack("<II", 1, self.flags) + bytes(16) +
                                  VERSION_BYTES)
        return self.negotiate_message

    def authenticate(self, challenge):
        self.challenge_message = challenge
        server_challenge = challenge[24:32]
        flags = struct.unpack_from("<I", challenge, 20)[0] & self.flags & ~self.dropped_flags
        if self.anonymous:
            lm, nt, base_key, flags = b"\0", b"", bytes(16), flags | ANONYMOUS
        elif self.version == "v2":
            lm, nt, base_key = self._response_v2(server_challenge, parse_av(field(challenge, 40)))
        else:
            lm, nt, base_key, flags = self._response_v1(server_challenge, flags)
        if flags & KEY_EXCHANGE:
            self.exported_key = os.urandom(16)
            encrypted = rc4(base_key, self.exported_key)
        else:
            self.exported_key, encrypted = base_key, b""
        return self._pack(flags, lm, nt, encrypted)

    def _response_v2(self, server_challenge, pairs):
        pairs = [pair for pair in pairs if pair[0] not in (AV_FLAGS, AV_TARGET_NAME)]
        stamp = dict(pairs).get(AV_TIMESTAMP)
        if self.mic != "none":
            pairs.append((AV_FLAGS, struct.pack("<I", FLAG_MIC)))
        pairs.append((AV_CHANNEL_BINDINGS, bytes(16)))
        if self.target_name is not None:
            pairs.append((AV_TARGET_NAME, utf16(self.target_name)))
        if self.pairs is not None:
            pairs = self.pairs(pairs)
        now = struct.pack("<Q", int((time.time() + 11644473600) * 10**7))
        blob = (b"\1\1" + bytes(6) + (stamp or now) + os.urandom(8) + bytes(4) + pack_av(pairs) + bytes(4))
        response_key = ntowf_v2(self.password, self.user, self.domain)
        proof = hmac_md5(response_key, server_challenge + blob)
        return bytes(24), proof + blob, hmac_md5(response_key, proof)

    def _response_v1(self, server_challenge, flags):
        hashed, nonce = nt_hash(self.password), os.urandom(8)
        if self.version == "lm":
            return des_response(hashed, server_challenge), b"", hashed, flags
        if self.version == "v1-extended":
            mixed = hashlib.md5(server_challenge + nonce).digest()[:8]
            base = MD4.new(hashed).digest()
            key = hmac_md5(base, server_challenge + nonce)
            return nonce + bytes(16), des_response(hashed, mixed), key, flags
        response = des_response(hashed, server_challenge)
        return response, response, MD4.new(hashed).digest(), flags & ~EXTENDED_SECURITY

    def _pack(self, flags, lm, nt, encrypted):
        payloads = [lm, nt, utf16(self.domain), utf16("" if self.anonymous else self.user),
                    utf16(self.workstation), encrypted]
        # The order in the payload is free; the order of the fields is not.
        fields, offset = b"", 88
        for payload in payloads:
            fields += struct.pack("<HHI", len(payload), len(payload), offset)
            offset += len(payload)
        head = SIGNATURE + struct.pack("<I", 3) + fields + struct.pack("<I", flags) + VERSION_BYTES
        message = head + bytes(16) + b"".join(payloads)
        if self.mic in ("right", "wrong"):
            mic = hmac_md5(self.exported_key,
                           self.negotiate_message + self.challenge_message + message)
            if self.mic == "wrong":
                mic = bytes([mic[0] ^ 1]) + mic[1:]
            message = head + mic + b"".join(payloads)
        return message


class Server:
    """The acceptor of the stub server, with the passwords of its users."""

    def __init__(self, passwords, name="STUB"):
        self.passwords, self.name = passwords, name
        self.challenge_bytes = os.urandom(8)
        self.negotiate_message = self.challenge_message = b""
        self.exported_key = None

    def challenge(self, negotiate):
        self.negotiate_message = negotiate
        asked = struct.unpack_from("<I", negotiate, 12)[0]
        flags = (asked & (SIGN | SEAL | KEY_128 | KEY_EXCHANGE | KEY_56 | ALWAYS_SIGN)) | (
            UNICODE | NTLM | EXTENDED_SECURITY | TARGET_INFO | TARGET_TYPE_SERVER | REQUEST_TARGET | VERSION)
        stamp = struct.pack("<Q", int((time.time() + 11644473600) * 10**7))
        info = pack_av([(AV_NB_DOMAIN, utf16(self.name)), (AV_NB_COMPUTER, utf16(self.name)),
                        (AV_DNS_DOMAIN, b""), (AV_DNS_COMPUTER, utf16(self.name.lower())),
                        (AV_TIMESTAMP, stamp)])
        name = utf16(self.name)
        self.challenge_message = (
            SIGNATURE + struct.pack("<IHHII", 2, len(name), len(name), 56, flags) +
            self.challenge_bytes + bytes(8) +
            struct.pack("<HHI", len(info), len(info), 56 + len(name)) + VERSION_BYTES + name + info)
        return self.challenge_message

    def accept(self, raw):
        """The AUTHENTICATE when it is good, else None."""
        message = Authenticate(raw)
        password = self.passwords.get(message.user.lower())
        if password is None:
            return None
        self.exported_key = message.session_key(password, self.challenge_bytes)
        if self.exported_key is None:
            return None
        announced = struct.unpack("<I", message.av_pairs().get(AV_FLAGS, bytes(4)))[0] & FLAG_MIC
        if announced and not message.mic_is_right(self.exported_key, self.negotiate_message,
                                                  self.challenge_message):
            return None
        return message
