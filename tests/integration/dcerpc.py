"""DCE/RPC PDUs as bytes (C706 12.6.4), for the tests' own client."""

import struct
import uuid

REQUEST, RESPONSE, FAULT, BIND, BIND_ACK, ALTER_CONTEXT, AUTH3 = 0, 2, 3, 11, 12, 14, 16
WHOLE = 0x03  # first and last fragment
FIRST, LAST, OBJECT = 0x01, 0x02, 0x80
NTLMSSP, SPNEGO, KERBEROS = 10, 9, 16
PIPE_TRANSCEIVE = 0x0011C017

SRVSVC = (uuid.UUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), 3)
SAMR = (uuid.UUID("12345778-1234-abcd-ef00-0123456789ac"), 1)
LSARPC = (uuid.UUID("12345778-1234-abcd-ef00-0123456789ab"), 0)
WKSSVC = (uuid.UUID("6bffd098-a112-3610-9833-46c3f87e345a"), 1)
SVCCTL = (uuid.UUID("367abb81-9844-35f1-ad32-98f038001003"), 2)
NDR = (uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2)
NDR64 = (uuid.UUID("71710533-beba-4937-8319-b5dbef9ccc36"), 1)


def pdu(kind, body, token=b"", auth_type=NTLMSSP, flags=WHOLE, big=False, call=1):
    """One PDU; with a token, its verifier of level 6 (privacy)."""
    order = ">" if big else "<"
    if token:
        body += bytes(-len(body) % 4) + struct.pack("<BBBBI", auth_type, 6, 0, 0, 0) + token
    return struct.pack("BBBB", 5, 0, kind, flags) + (b"\0" if big else b"\x10") + bytes(3) + struct.pack(
        order + "HHI", 16 + len(body), len(token), call) + body


def bind(interface=SRVSVC, kind=BIND, contexts=None, big=False, **options):
    """A bind of one interface in NDR, or of `contexts`: (number, interface, its transfer syntaxes)."""
    order = ">" if big else "<"
    contexts = [(0, interface, [NDR])] if contexts is None else contexts
    body = struct.pack(order + "HHIBBH", 4280, 4280, 0, len(contexts), 0, 0)
    for number, abstract, transfers in contexts:
        body += struct.pack(order + "HBB", number, len(transfers), 0)
        for syntax, version in (abstract, *transfers):
            body += (syntax.bytes if big else syntax.bytes_le) + struct.pack(order + "I", version)
    return pdu(kind, body, big=big, **options)


def request(opnum, stub, context=0, with_object=False, flags=WHOLE, big=False, **options):
    head = struct.pack((">" if big else "<") + "IHH", len(stub), context, opnum)
    if with_object:
        head, flags = head + bytes(range(16)), flags | OBJECT
    return pdu(REQUEST, head + stub, flags=flags, big=big, **options)


def fault_status(raw):
    """The status of a fault of the little-endian kind."""
    assert kind_of(raw) == FAULT and len(raw) == 32
    return struct.unpack_from("<I", raw, 24)[0]


def kind_of(raw):
    return raw[2]
