"""The accounts of a Samba domain, written straight into the domain controller's database."""

import os

import ldb
import samba.dckeytab  # noqa: F401 pylint: disable=unused-import # gives Net its export_keytab
from samba.auth import system_session
from samba.net import Net
from samba.param import LoadParm
from samba.samdb import SamDB

AES_ONLY = "24"
_TRUSTED_FOR_DELEGATION_BY_PROTOCOL = 0x1000000
_SENSITIVE = 0x100000


class Directory:
    """Users, groups and service accounts of the domain whose smb.conf is given."""

    def __init__(self, configuration, domain, realm):
        self.domain, self.realm = domain, realm
        self.parameters = LoadParm(filename_for_non_global_lp=configuration)
        self.database = SamDB(os.path.join(self.parameters.get("private dir"), "sam.ldb"),
                              session_info=system_session(self.parameters), lp=self.parameters)

    def _one(self, account):
        found = self.database.search(expression=f"(sAMAccountName={ldb.binary_encode(account)})",
                                     attrs=["userAccountControl", "objectSid"])
        assert len(found) == 1, account
        return found[0]

    def _replace(self, account, **attributes):
        message = ldb.Message(self._one(account).dn)
        for name, value in attributes.items():
            message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
        self.database.modify(message)

    def _control(self, account, bit, on):
        flags = int(str(self._one(account)["userAccountControl"]))
        self._replace(account, userAccountControl=str(flags | bit if on else flags & ~bit))

    def set_policy(self):
        """Passwords may be changed at any time and never expire."""
        self.database.set_minPwdAge("0")
        self.database.set_maxPwdAge("0")

    def add_user(self, name, password, sensitive=False):
        """A user; a `sensitive` one may not be delegated."""
        self.database.newuser(name, password)
        if sensitive:
            self._control(name, _SENSITIVE, True)

    def change(self, account, **attributes):
        """Sets attributes of a user or group; a value of None takes one away."""
        self._replace(account, **{name: [] if value is None else value
                                  for name, value in attributes.items()})

    def number(self, account, attribute):
        """A numeric attribute, 0 when it is not there."""
        found = self.database.search(base=self._one(account).dn, attrs=[attribute])
        return int(str(found[0].get(attribute, "0")))

    def lock_out_after(self, wrong_passwords):
        """Locks accounts for as long as the tests run; 0: never."""
        domain = self.database.get_default_basedn()
        message = ldb.Message(domain)
        for name, value in (("lockoutThreshold", str(wrong_passwords)),
                            ("lockoutDuration", str(-10**7 * 3600)),
                            ("lockOutObservationWindow", str(-10**7 * 3600))):
            message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
        self.database.modify(message)

    def set_password(self, name, password):
        self.database.setpassword(f"(sAMAccountName={ldb.binary_encode(name)})", password)

    def remove_user(self, name):
        self.database.deleteuser(name)

    def disable(self, name):
        self.database.disable_account(f"(sAMAccountName={ldb.binary_encode(name)})")

    def enable(self, name):
        self.database.enable_account(f"(sAMAccountName={ldb.binary_encode(name)})")

    def add_group(self, name, *members):
        self.database.newgroup(name)
        self.database.add_remove_group_members(name, list(members), add_members_operation=True)

    def sid(self, account):
        """The SID of a user or group, as text."""
        sid = self._one(account)["objectSid"][0]
        return str(self.database.schema_format_value("objectSid", sid), "ascii")

    def add_service_account(self, name, password, *services):
        """An account with these services, AES keys only.

        The first service is its userPrincipalName too: with that the account can get a ticket under
        the name of the service, which MIT's library needs to delegate. The password comes last: the
        name is part of what keys are made of.
        """
        self.database.newuser(name, password)
        self._replace(name, userPrincipalName=f"{services[0]}@{self.realm}",
                      servicePrincipalName=list(services),
                      **{"msDS-SupportedEncryptionTypes": AES_ONLY})
        self.set_password(name, password)

    def allow_delegation(self, account, *services, any_protocol=True):
        """The services that `account` may get tickets for in a user's name, none to take that away.
        With `any_protocol` also for users that it authenticated without Kerberos."""
        self._replace(account, **{"msDS-AllowedToDelegateTo": list(services)})
        self._control(account, _TRUSTED_FOR_DELEGATION_BY_PROTOCOL, any_protocol)

    def export_keytab(self, path, principal):
        """Adds all keys of one account, under this name, to a keytab."""
        Net(None, self.parameters).export_keytab(keytab=path, principal=principal)
