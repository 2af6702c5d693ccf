"""Kerberos of both sides (RFC 4120, 4121) for the raw client and the checker, with its knobs.

The ASN.1 and the ciphers are impacket's. Tickets come from credential caches that kinit and kvno wrote,
or are made here with a service's own key, as a KDC would, for what no KDC can be brought to issue.
"""

import datetime
import os
import struct
from dataclasses import dataclass, field

from impacket.krb5 import asn1, crypto
from impacket.krb5.ccache import CCache
from pyasn1.codec.der import decoder, encoder

import pac
import spnego

AES256, AES128, RC4 = 18, 17, 23
MUTUAL, INTEGRITY = 0x2, 0x20
GSS_FLAGS = MUTUAL | 0x4 | 0x8 | INTEGRITY
_AP_REQ, _AP_REP, _ERROR = b"\x01\x00", b"\x02\x00", b"\x03\x00"
_MIC, _ACCEPTOR_SUBKEY, _SENT_BY_ACCEPTOR = b"\x04\x04", 0x4, 0x1
_CHECKSUMS = {AES256: 16, AES128: 15}
_TICKET_USAGE, _AUTHENTICATOR_USAGE, _AP_REP_USAGE = 2, 11, 12
_INITIATOR_MIC, _ACCEPTOR_MIC = 25, 23
_IF_RELEVANT, _PAC = 1, 128  # types of authorization data
_FILLING_TYPE = -77  # of authorization data: nobody's
MUTUAL_REQUIRED = 2  # the bit of ap-options


def _decode(data, spec):
    return decoder.decode(data, asn1Spec=spec)[0]


def _key(encryption_key):
    return crypto.Key(int(encryption_key["keytype"]), bytes(encryption_key["keyvalue"]))


def _seal(key, usage, data):
    return crypto.encrypt(key, usage, data, os.urandom(8 if key.enctype == RC4 else 16))


def _principal(name, realm):
    return "/".join(str(part) for part in name["name-string"]) + f"@{realm}"


def _time(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y%m%d%H%M%SZ")


def now():
    return datetime.datetime.now(datetime.timezone.utc).timestamp()


@dataclass
class Credential:
    """A service ticket and the key that came with it."""

    ticket: bytes  # DER
    key: crypto.Key
    client: str    # as in alice@MIT.TEST

    @property
    def service(self):
        """Whom the ticket itself names."""
        ticket = _decode(self.ticket, asn1.Ticket())
        return _principal(ticket["sname"], ticket["realm"])

    @property
    def encryption(self):
        return int(_decode(self.ticket, asn1.Ticket())["enc-part"]["etype"])


def credential(cache, service):
    """The ticket for a service that a cache (with a `path`) holds."""
    for entry in CCache.loadFile(cache.path).credentials:
        if entry["server"].prettyPrint().decode().split("@")[0] == service.split("@")[0]:
            key = entry["key"]
            return Credential(entry.ticket["data"], crypto.Key(key["keytype"], key["keyvalue"]),
                              entry["client"].prettyPrint().decode())
    raise AssertionError(f"{cache.path} holds no ticket for {service}")


def _set_name(sequence, component, principal, kind=1):
    sequence[component]["name-type"] = kind
    for index, part in enumerate(principal.split("@")[0].split("/")):
        sequence[component]["name-string"][index] = part


def _add_authorization(part, kind, data):
    inner = asn1.AD_IF_RELEVANT()
    inner[0]["ad-type"], inner[0]["ad-data"] = kind, data
    part["authorization-data"][0]["ad-type"] = _IF_RELEVANT
    part["authorization-data"][0]["ad-data"] = encoder.encode(inner)


def make_ticket(entry, client, key_type=AES256, starts=-60, lasts=3600, service=None, filling=0,
                logon_info=None):
    """A ticket as the KDC makes them, with the service's key (keytab.Entry); times are seconds from now
    and from the start. It has no PAC unless it is given `logon_info` (pac.logon_info()); so many bytes
    of `filling` make it as big as one would."""
    part = asn1.EncTicketPart()
    key = crypto.Key(key_type, os.urandom(16 if key_type in (AES128, RC4) else 32))
    part["flags"] = (0,) * 32
    part["key"]["keytype"], part["key"]["keyvalue"] = key.enctype, key.contents
    part["crealm"] = client.split("@")[1]
    _set_name(part, "cname", client)
    part["transited"]["tr-type"], part["transited"]["contents"] = 1, b""
    start = now() + starts
    part["authtime"], part["starttime"], part["endtime"] = _time(start), _time(start), _time(start + lasts)
    if filling:
        part["authorization-data"][0]["ad-type"] = _FILLING_TYPE
        part["authorization-data"][0]["ad-data"] = bytes(filling)
    service_key = crypto.Key(entry.encryption, entry.key)
    if logon_info:
        _add_authorization(part, _PAC, pac.signed(logon_info, client.split("@")[0], int(start), service_key))
    ticket = asn1.Ticket()
    ticket["tkt-vno"], ticket["realm"] = 5, entry.principal.split("@")[1]
    _set_name(ticket, "sname", service or entry.principal, 2)
    ticket["enc-part"]["etype"], ticket["enc-part"]["kvno"] = entry.encryption, entry.kvno
    ticket["enc-part"]["cipher"] = _seal(service_key, _TICKET_USAGE, encoder.encode(part))
    return Credential(encoder.encode(ticket), key, client)


def gss_token(kind, data, mechanism=spnego.OID_KERBEROS):
    """RFC 4121's frame around a Kerberos message."""
    return spnego.tlv(0x60, spnego.tlv(0x06, mechanism) + kind + data)


def gss_content(token):
    """(kind, message) of such a token."""
    inner = spnego.elements(token)[0][1]
    size = 2 + inner[1]
    return inner[size:size + 2], inner[size + 2:]


def mic(key, acceptor, data, sequence, subkey_of_acceptor):
    """A MIC token of RFC 4121, as mechListMIC needs."""
    flags = (_SENT_BY_ACCEPTOR if acceptor else 0) | (_ACCEPTOR_SUBKEY if subkey_of_acceptor else 0)
    header = _MIC + bytes([flags]) + b"\xff" * 5 + struct.pack(">Q", sequence)
    usage = _ACCEPTOR_MIC if acceptor else _INITIATOR_MIC
    return header + crypto.make_checksum(_CHECKSUMS[key.enctype], key, usage, data + header)


@dataclass
class Initiator:
    """The client of one login with a ticket. `skew` shifts its clock by seconds, `flags` are those of
    GSS-API, `subkey` False sends none; `client` is the name it claims."""

    credential: Credential
    skew: float = 0
    flags: int = GSS_FLAGS
    subkey: bool = True
    client: str = None
    session_key: bytes = None
    sequence: int = field(default_factory=lambda: int.from_bytes(os.urandom(4), "big") >> 2)
    last_request: bytes = None
    error: int = None  # of a KRB-ERROR in the place of the AP-REP
    _own_key: crypto.Key = None
    _key: crypto.Key = None
    _of_acceptor: bool = False

    def request(self, mechanism=spnego.OID_KERBEROS):
        """The first token."""
        authenticator = asn1.Authenticator()
        client = self.client or self.credential.client
        moment = now() + self.skew
        authenticator["authenticator-vno"] = 5
        authenticator["crealm"] = client.split("@")[1]
        _set_name(authenticator, "cname", client)
        authenticator["cusec"], authenticator["ctime"] = int(moment % 1 * 1_000_000), _time(moment)
        authenticator["cksum"]["cksumtype"] = 0x8003
        authenticator["cksum"]["checksum"] = struct.pack("<I16xI", 16, self.flags)
        authenticator["seq-number"] = self.sequence
        self._key = self.credential.key
        if self.subkey:
            self._key = self._own_key = crypto.Key(self._key.enctype, os.urandom(len(self._key.contents)))
            authenticator["subkey"]["keytype"] = self._own_key.enctype
            authenticator["subkey"]["keyvalue"] = self._own_key.contents
        self.session_key = self._key.contents
        self.last_request = gss_token(_AP_REQ, self._ap_req(encoder.encode(authenticator)), mechanism)
        return self.last_request

    def _ap_req(self, authenticator):
        request = asn1.AP_REQ()
        request["pvno"], request["msg-type"] = 5, 14
        options = [0] * 32
        options[MUTUAL_REQUIRED] = 1 if self.flags & MUTUAL else 0
        request["ap-options"] = tuple(options)
        ticket = _decode(self.credential.ticket, asn1.Ticket())
        asn1.seq_set(request, "ticket", lambda place: _copy_ticket(ticket, place))
        request["authenticator"]["etype"] = self.credential.key.enctype
        request["authenticator"]["cipher"] = _seal(self.credential.key, _AUTHENTICATOR_USAGE,
                                                   authenticator)
        return encoder.encode(request)

    def take(self, token):
        """The acceptor's answer: AP-REP, or an error that is kept in `error`."""
        kind, data = gss_content(token)
        if kind == _ERROR:
            self.error = int(_decode(data, asn1.KRB_ERROR())["error-code"])
            return
        assert kind == _AP_REP, token.hex()
        reply = _decode(data, asn1.AP_REP())
        part = _decode(crypto.decrypt(self.credential.key, _AP_REP_USAGE,
                                      bytes(reply["enc-part"]["cipher"])), asn1.EncAPRepPart())
        if part["subkey"].hasValue():
            self._key, self._of_acceptor = _key(part["subkey"]), True
        self.session_key = self._key.contents

    def mic(self, data):
        """The client's mechListMIC."""
        return mic(self._key, False, data, self.sequence, self._of_acceptor)


def _copy_ticket(ticket, place):
    place["tkt-vno"], place["realm"] = 5, str(ticket["realm"])
    place["sname"]["name-type"] = int(ticket["sname"]["name-type"])
    for index, part in enumerate(ticket["sname"]["name-string"]):
        place["sname"]["name-string"][index] = str(part)
    for name in ("etype", "kvno"):
        place["enc-part"][name] = int(ticket["enc-part"][name])
    place["enc-part"]["cipher"] = bytes(ticket["enc-part"]["cipher"])
    return place


@dataclass
class Login:
    """What the checker reads out of the tokens of a login by somebody who has the service's keys."""

    client: str
    service: str
    session_key: bytes
    encryption: int


def open_login(request, answer, entries):
    """The login that these two tokens were, None when none of the keytab's entries opens the ticket."""
    data = _decode(gss_content(request)[1], asn1.AP_REQ())
    ticket = data["ticket"]
    sealed = bytes(ticket["enc-part"]["cipher"])
    for entry in entries:
        if entry.encryption != int(ticket["enc-part"]["etype"]):
            continue
        try:
            part = _decode(crypto.decrypt(crypto.Key(entry.encryption, entry.key), _TICKET_USAGE, sealed),
                           asn1.EncTicketPart())
            break
        except crypto.InvalidChecksum:
            continue
    else:
        return None
    key = _key(part["key"])
    authenticator = _decode(crypto.decrypt(key, _AUTHENTICATOR_USAGE,
                                           bytes(data["authenticator"]["cipher"])), asn1.Authenticator())
    final = _key(authenticator["subkey"]) if authenticator["subkey"].hasValue() else key
    if answer is not None:
        reply = _decode(gss_content(answer)[1], asn1.AP_REP())
        reply = _decode(crypto.decrypt(key, _AP_REP_USAGE, bytes(reply["enc-part"]["cipher"])),
                        asn1.EncAPRepPart())
        final = _key(reply["subkey"]) if reply["subkey"].hasValue() else final
    return Login(_principal(part["cname"], part["crealm"]), _principal(ticket["sname"], ticket["realm"]),
                 final.contents, int(ticket["enc-part"]["etype"]))
