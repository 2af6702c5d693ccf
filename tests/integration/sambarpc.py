"""Samba's own DCE/RPC client: calls with parameters that it lays out and encrypts."""

import contextlib
import hashlib
import io
import os
import random
import struct

from impacket import crypto
from impacket.dcerpc.v5 import scmr
from samba import NTSTATUSError, WERRORError, arcfour_encrypt
from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.dcerpc import drsblobs, lsa, misc, samr, security, wkssvc
from samba.ndr import ndr_pack, ndr_pack_in
from samba.param import LoadParm

from harness import USERS

__all__ = ["NTSTATUSError", "WERRORError"]

MAXIMUM_ALLOWED = 0x02000000
HANDLE = misc.policy_handle("11111111-2222-3333-4444-555555555555", 0)
SID = security.dom_sid("S-1-5-21-1-2-3")


def connect(interface, address, port, user="alice", password=None, options="", domain="LABGROUP"):
    """A bound pipe, as lsa.lsarpc; `options` are those of a binding, as "bigendian"."""
    parameters = LoadParm()
    parameters.set("smb ports", str(port))
    parameters.set("client ipc min protocol", "SMB2_10")
    who = Credentials()
    who.guess(parameters)
    who.set_username(user)
    who.set_password(USERS[user] if password is None else password)
    who.set_domain(domain)
    who.set_kerberos_state(DONT_USE_KERBEROS)
    return interface(f"ncacn_np:{address}[{options}]", parameters, who)


def name(text):
    string = lsa.String()
    string.string = text
    return string


def buffer(data):
    value = lsa.DATA_BUF()
    value.length = value.size = len(data)
    value.data = list(data)
    return value


def open_policy(pipe):
    attributes = lsa.ObjectAttribute()
    attributes.sec_qos = lsa.QosInfo()
    return pipe.OpenPolicy2("", attributes, MAXIMUM_ALLOWED)


def open_user(pipe, user, domain="NAS"):
    """(domain's handle, user's handle)."""
    server = pipe.Connect2(None, MAXIMUM_ALLOWED)
    accounts = pipe.OpenDomain(server, MAXIMUM_ALLOWED, pipe.LookupDomain(server, name(domain)))
    numbers, _ = pipe.LookupNames(accounts, [name(user)])
    return accounts, pipe.OpenUser(accounts, MAXIMUM_ALLOWED, numbers.ids[0])


def all_information(fields, nt_hash=None):
    """UserAllInformation of these fields."""
    information = samr.UserInfo21()
    information.fields_present = fields
    information.full_name.string = "Bob"
    if nt_hash:
        hashed = lsa.BinaryString()
        hashed.length = hashed.size = 16
        hashed.array = list(struct.unpack("<8H", nt_hash))
        information.nt_owf_password = hashed
        information.nt_password_set = 1
    return information


def joining_password(key, password):
    """MS-WKST 2.2.5.18."""
    data = password.encode("utf-16-le")
    clear = os.urandom(512 - len(data)) + data + struct.pack("<I", len(data))
    confounder = os.urandom(8)
    value = wkssvc.PasswordBuffer()
    value.data = list(confounder + arcfour_encrypt(hashlib.md5(key + confounder).digest(), clear))
    return value


def _secret(transform, key, data):
    """MS-LSAD 5.1.2, by impacket, which talks about it on standard output."""
    with contextlib.redirect_stdout(io.StringIO()):
        return transform(key, data)


def encrypted_secret(key, text):
    return buffer(_secret(crypto.encryptSecret, key, text.encode("utf-16-le")))


def decrypted_secret(key, value):
    return _secret(crypto.decryptSecret, key, bytes(value.data[:value.length])).decode("utf-16-le")


def _clear_password(password):
    clear = drsblobs.AuthInfoClear()
    clear.password = list(password.encode("utf-16-le"))
    clear.size = len(clear.password)
    return clear


def open_trust_passwords(password="Trust.Pw1"):
    """MS-LSAD 2.2.7.11: the same as they are, not encrypted."""
    information = lsa.TrustDomainInfoBuffer()
    information.AuthType = lsa.TRUST_AUTH_TYPE_CLEAR
    information.data = lsa.DATA_BUF2()
    information.data.data = list(password.encode("utf-16-le"))
    information.data.size = len(information.data.data)
    value = lsa.TrustDomainInfoAuthInfo()
    value.incoming_count = value.outgoing_count = 1
    value.incoming_current_auth_info = value.outgoing_current_auth_info = information
    return value


def trust_passwords(key, password="Trust.Pw1"):
    """MS-LSAD 2.2.7.16."""
    information = drsblobs.AuthenticationInformation()
    information.AuthType, information.AuthInfo = lsa.TRUST_AUTH_TYPE_CLEAR, _clear_password(password)
    array = drsblobs.AuthenticationInformationArray()
    array.count, array.array = 1, [information]
    both = drsblobs.trustAuthInOutBlob()
    both.count, both.current = 1, array
    passwords = drsblobs.trustDomainPasswords()
    passwords.confounder = [random.randrange(256) for _ in range(512)]
    passwords.outgoing = passwords.incoming = both
    value = lsa.TrustDomainInfoAuthInfoInternal()
    value.auth_blob = lsa.DATA_BUF2()
    encrypted = arcfour_encrypt(key, ndr_pack(passwords))
    value.auth_blob.size, value.auth_blob.data = len(encrypted), list(encrypted)
    return value


def trusted_domain():
    information = lsa.TrustDomainInfoInfoEx()
    information.domain_name.string, information.netbios_name.string = "other.test", "OTHER"
    information.sid = SID
    information.trust_direction, information.trust_type = 3, lsa.LSA_TRUST_TYPE_UPLEVEL
    return information


class Call:
    """One call and its parameters, laid out by Samba in any of `forms`: (big-endian, NDR64)."""

    forms = ((False, False), (True, False), (False, True), (True, True))

    def __init__(self, call, **parameters):
        self.opnum = call.opnum()
        self._call = call()
        self.name = call.__name__
        for key, value in parameters.items():
            setattr(self._call, "in_" + key, value)

    def stub(self, big=False, wide=False):
        return ndr_pack_in(self._call, bigendian=big, ndr64=wide)


def samr_calls():
    """Each level of each call that needs the key; and those beside them that do not."""
    information = {18: samr.UserInfo18(), 21: all_information(samr.SAMR_FIELD_NT_PASSWORD_PRESENT),
                   23: samr.UserInfo23(), 24: samr.UserInfo24(), 25: samr.UserInfo25(), 26: samr.UserInfo26()}
    setting = [Call(call, user_handle=HANDLE, level=level, info=value)
               for call in (samr.SetUserInfo, samr.SetUserInfo2) for level, value in information.items()]
    asking = [Call(call, user_handle=HANDLE, level=18) for call in (samr.QueryUserInfo, samr.QueryUserInfo2)]
    named = all_information(samr.SAMR_FIELD_FULL_NAME)
    without = [Call(samr.SetUserInfo2, user_handle=HANDLE, level=21, info=named),
               Call(samr.QueryUserInfo, user_handle=HANDLE, level=21)]
    return setting + asking, without


def lsa_calls():
    sealed = trust_passwords(bytes(16))
    internal = lsa.TrustDomainInfoFullInfoInternal()
    internal.auth_info = sealed
    information = {4: lsa.TrustDomainInfoPassword(), 9: sealed, 10: internal}
    value = buffer(bytes(24))
    calls = [Call(lsa.SetSecret, sec_handle=HANDLE, new_val=value, old_val=None),
             Call(lsa.SetSecret, sec_handle=HANDLE, new_val=None, old_val=value),
             Call(lsa.QuerySecret, sec_handle=HANDLE, new_val=lsa.DATA_BUF_PTR(), new_mtime=None,
                  old_val=None, old_mtime=None),
             Call(lsa.StorePrivateData, handle=HANDLE, name=name("G$some"), val=value),
             Call(lsa.RetrievePrivateData, handle=HANDLE, name=name("G$some"), val=None),
             Call(lsa.CreateTrustedDomainEx2, policy_handle=HANDLE, info=trusted_domain(),
                  auth_info_internal=sealed, access_mask=MAXIMUM_ALLOWED)]
    for level, content in information.items():
        calls += [
            Call(lsa.QueryTrustedDomainInfo, trustdom_handle=HANDLE, level=level),
            Call(lsa.QueryTrustedDomainInfoBySid, handle=HANDLE, dom_sid=SID, level=level),
            Call(lsa.QueryTrustedDomainInfoByName, handle=HANDLE, trusted_domain=name("odd"), level=level),
            Call(lsa.SetInformationTrustedDomain, trustdom_handle=HANDLE, level=level, info=content),
            Call(lsa.SetTrustedDomainInfo, handle=HANDLE, dom_sid=SID, level=level, info=content),
            Call(lsa.SetTrustedDomainInfoByName, handle=HANDLE, trusted_domain=name("odd"), level=level,
                 info=content)]
    without = [Call(lsa.SetSecret, sec_handle=HANDLE, new_val=None, old_val=None),
               Call(lsa.QueryTrustedDomainInfoBySid, handle=HANDLE, dom_sid=SID, level=6),
               Call(lsa.QueryTrustedDomainInfoByName, handle=HANDLE, trusted_domain=name("even"), level=6)]
    return calls, without


def wkssvc_calls():
    password = joining_password(bytes(16), "some")
    first = {"server_name": "\\\\nas", "Account": "CORP\\someone", "Reserved": 0}
    some = {"encrypted_password": password, "EncryptedPassword": password}
    none = {"encrypted_password": None, "EncryptedPassword": None}

    def calls(given):
        joining, renaming = given["encrypted_password"], given["EncryptedPassword"]
        return [
            Call(wkssvc.NetrJoinDomain2, server_name="x", domain_name="CORP", account_ou=None,
                 admin_account="CORP\\a", encrypted_password=joining, join_flags=3),
            Call(wkssvc.NetrUnjoinDomain2, server_name="x", account="CORP\\ab", encrypted_password=joining,
                 unjoin_flags=0),
            Call(wkssvc.NetrRenameMachineInDomain2, server_name=None, NewMachineName="NEW", Account="a",
                 EncryptedPassword=renaming, RenameOptions=0),
            Call(wkssvc.NetrValidateName2, server_name="x", name="NEW", Account=None,
                 EncryptedPassword=renaming, name_type=1),
            Call(wkssvc.NetrGetJoinableOus2, server_name="x", domain_name="CORP", Account=None,
                 EncryptedPassword=renaming, num_ous=0),
            Call(wkssvc.NetrAddAlternateComputerName, NewAlternateMachineName="OTHER",
                 EncryptedPassword=renaming, **first),
            Call(wkssvc.NetrRemoveAlternateComputerName, AlternateMachineNameToRemove="OTHER",
                 EncryptedPassword=renaming, **first),
            Call(wkssvc.NetrSetPrimaryComputername, primary_name="OTHER",
                 EncryptedPassword=renaming, **first)]

    return calls(some), calls(none)


class ServiceCall:
    """A call of the service manager, laid out by impacket: Samba knows these for the names' sake only."""

    forms = ((False, False), (False, True))

    def __init__(self, call, **parameters):
        self.opnum, self.name = call.opnum, call.__name__
        self._call, self._parameters = call, parameters

    def stub(self, _=False, wide=False):
        call = self._call(isNDR64=wide)
        for key, value in self._parameters.items():
            call[key] = value
        return call.getData()


def svcctl_calls():
    def calls(password):
        account = {"lpServiceStartName": ".\\abc\0", "lpPassword": password,
                   "dwPwSize": 0 if password == scmr.NULL else len(password), "dwServiceType": 16,
                   "dwStartType": 3, "dwErrorControl": 0, "lpdwTagId": scmr.NULL}
        new = {"hSCManager": bytes(20), "lpServiceName": "some\0", "lpDisplayName": scmr.NULL,
               "dwDesiredAccess": 0, "lpBinaryPathName": "c:\\x.exe\0", "lpLoadOrderGroup": "a\0",
               "lpDependencies": b"abc", "dwDependSize": 3, **account}
        return [ServiceCall(scmr.RCreateServiceW, **new), ServiceCall(scmr.RCreateServiceWOW64W, **new),
                ServiceCall(scmr.RChangeServiceConfigW, hService=bytes(20), lpBinaryPathName=scmr.NULL,
                            lpLoadOrderGroup=scmr.NULL, lpDependencies=scmr.NULL, dwDependSize=0,
                            lpDisplayName=scmr.NULL, **account)]

    return calls(b"12345"), calls(scmr.NULL)
