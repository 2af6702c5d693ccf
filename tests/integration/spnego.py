"""As much of SPNEGO (RFC 4178, MS-SPNG) as NTLM inside SMB2 needs: DER in short functions."""

OID_SPNEGO = bytes.fromhex("2b0601050502")
OID_NTLMSSP = bytes.fromhex("2b06010401823702020a")
OID_KERBEROS = bytes.fromhex("2a864886f712010202")
OID_MS_KERBEROS = bytes.fromhex("2a864882f712010202")  # the same, with a slip that stayed

ACCEPT_COMPLETED, ACCEPT_INCOMPLETE, REJECT, REQUEST_MIC = range(4)


def tlv(tag, data):
    """One DER element."""
    size = len(data)
    if size < 0x80:
        length = bytes([size])
    elif size < 0x100:
        length = bytes([0x81, size])
    else:
        length = bytes([0x82, size >> 8, size & 0xFF])
    return bytes([tag]) + length + data


def elements(data):
    """The (tag, content) pairs of a constructed element's content."""
    found, at = [], 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at:at + count], "big")
            at += count
        if at + size > len(data):
            raise ValueError("DER element beyond its parent")
        found.append((tag, data[at:at + size]))
        at += size
    return found


def mech_type_list(mechanisms):
    """The DER of MechTypeList, over which the mechListMIC goes."""
    return tlv(0x30, b"".join(tlv(0x06, oid) for oid in mechanisms))


def init_token(mechanisms, mech_token):
    """NegTokenInit in its GSS-API frame."""
    fields = tlv(0xA0, mech_type_list(mechanisms))
    if mech_token is not None:
        fields += tlv(0xA2, tlv(0x04, mech_token))
    return tlv(0x60, tlv(0x06, OID_SPNEGO) + tlv(0xA0, tlv(0x30, fields)))


def response_token(state=None, mechanism=None, token=None, mic=None):
    """NegTokenResp with the fields that are given."""
    fields = b""
    if state is not None:
        fields += tlv(0xA0, tlv(0x0A, bytes([state])))
    if mechanism is not None:
        fields += tlv(0xA1, tlv(0x06, mechanism))
    if token is not None:
        fields += tlv(0xA2, tlv(0x04, token))
    if mic is not None:
        fields += tlv(0xA3, tlv(0x04, mic))
    return tlv(0xA1, tlv(0x30, fields))


def parse_init(token):
    """(mechanisms, DER of MechTypeList, mechToken or None) of a NegTokenInit."""
    frame = dict(elements(elements(token)[0][1]))
    fields = dict(elements(elements(frame[0xA0])[0][1]))
    mechanism_list = fields[0xA0]
    mechanisms = [content for _, content in elements(elements(mechanism_list)[0][1])]
    mech_token = elements(fields[0xA2])[0][1] if 0xA2 in fields else None
    return mechanisms, mechanism_list, mech_token


def parse_response(token):
    """(state, token, mic), each None when absent, of a NegTokenResp."""
    fields = dict(elements(elements(elements(token)[0][1])[0][1]))
    state = elements(fields[0xA0])[0][1][0] if 0xA0 in fields else None
    mech_token = elements(fields[0xA2])[0][1] if 0xA2 in fields else None
    mic = elements(fields[0xA3])[0][1] if 0xA3 in fields else None
    return state, mech_token, mic
