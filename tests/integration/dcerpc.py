"""DCE/RPC PDUs as bytes (C706 12.6.4), for the tests' own client."""

import struct
import uuid

REQUEST, RESPONSE, BIND, BIND_ACK, ALTER_CONTEXT, AUTH3 = 0, 2, 11, 12, 14, 16
WHOLE = 0x03  # first and last fragment
NTLMSSP, SPNEGO, KERBEROS = 10, 9, 16
PIPE_TRANSCEIVE = 0x0011C017

SRVSVC = (uuid.UUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), 3)
SAMR = (uuid.UUID("12345778-1234-abcd-ef00-0123456789ac"), 1)
NDR = (uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2)


def pdu(kind, body, token=b"", auth_type=NTLMSSP, flags=WHOLE, big=False, call=1):
    """One PDU; with a token, its verifier of level 6 (privacy)."""
    order = ">" if big else "<"
    if token:
        body += bytes(-len(body) % 4) + struct.pack("<BBBBI", auth_type, 6, 0, 0, 0) + token
    return struct.pack("BBBB", 5, 0, kind, flags) + (b"\0" if big else b"\x10") + bytes(3) + struct.pack(
        order + "HHI", 16 + len(body), len(token), call) + body


def bind(interface=SRVSVC, kind=BIND, **options):
    body = struct.pack("<HHIBBHHBB", 4280, 4280, 0, 1, 0, 0, 0, 1, 0)
    for syntax, version in (interface, NDR):
        body += syntax.bytes_le + struct.pack("<HH", version, 0)
    return pdu(kind, body, **options)


def request(opnum, stub, **options):
    return pdu(REQUEST, struct.pack("<IHH", len(stub), 0, opnum) + stub, **options)


def kind_of(raw):
    return raw[2]
