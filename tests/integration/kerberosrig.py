"""The rig for users with Kerberos tickets, in front of a file server of the MIT realm."""

import keytab
from proxy import UIDS
from rig import Rig

PROXY_SERVICE = "cifs/proxy.mit.test"
PROXY_NAME = "proxy.mit.test"
WINBIND_GROUP = 64110  # of winbindd's privileged pipe


class KerberosRig(Rig):
    """Clients call it by `name`, a name of the realm. `keys_path` is the keytab that the proxy reads.

    login "ticket": the proxy has the file server's key and its name. Other logins: it has an account of
    its own, PROXY_SERVICE, which must be allowed to delegate (see proxy_account())."""

    def __init__(self, realm, server, login=("ticket",), on_listener=None, on_upstream=None,
                 kerberos=None, keytab_name="keeper.keytab", **options):
        ticket = "ticket" in login
        self._before = None  # where the name led to
        self.realm, self.name = realm, server.name if ticket else PROXY_NAME
        self.service = server.service if ticket else PROXY_SERVICE
        self.keys_path = realm.path(keytab_name)
        realm.keytab(self.keys_path, self.service, owner=UIDS["keeper"])
        on_listener = {"services": [self.service], "names": [self.name], **(on_listener or {})}
        on_upstream = {"login": list(login), "server_name": server.name, **(on_upstream or {})}
        if "delegate" in login or "transition" in login:
            on_upstream.setdefault("service", realm.principal(self.service))
        extra = {"kerberos": {"keytab": self.keys_path, "config": realm.krb5_conf, **(kerberos or {})},
                 **options.pop("extra", {})}
        super().__init__(server, on_listener=on_listener, on_upstream=on_upstream, extra=extra,
                         keys=keytab.read(self.keys_path) + keytab.read(server.keytab), **options)

    def __enter__(self):
        super().__enter__()
        self._before = self.realm.hosts.get(self.name)
        self.realm.add_host(self.name, self.address)
        return self

    def __exit__(self, *details):
        if self._before:
            self.realm.add_host(self.name, self._before)
        return super().__exit__(*details)

    def smbclient(self, directory, **options):
        """smbclient through both relays, by the name."""
        return self.realm.smbclient(directory, self.name, self.port, **options)

    def new_keys(self, **options):
        """The service gets a new key at the KDC, and the proxy's keytab is written anew."""
        self.realm.new_key(self.service, **options)
        self.write_keys()

    def write_keys(self):
        """Puts the service's present keys into the proxy's keytab."""
        self.realm.keytab(self.keys_path, self.service, owner=UIDS["keeper"])
        self.keys += keytab.read(self.keys_path)


def proxy_account(realm, *targets):
    """Makes the proxy's own account, which may delegate to these services in any user's name."""
    realm.add_service(PROXY_SERVICE, "+ok_to_auth_as_delegate")
    realm.allow_delegation(PROXY_SERVICE, *targets)


class DomainRig(Rig):
    """The rig on the proxy's host of the domain (addc.Domain), before its member file server.

    login "ticket": the proxy has the file server's key, and clients find it under the file server's
    name. Other logins: it has the account of `keys_path`, and with `winbind` takes domain users by
    password. Nobody is in its own credentials file.
    """

    def __init__(self, domain, login, account="proxy", winbind=False, on_listener=None, on_upstream=None,
                 kerberos=None, **options):
        self.domain = domain
        path, service = {"proxy": (domain.proxy_keytab, domain.service),
                         "powerless": (domain.powerless_keytab, domain.powerless_service),
                         "nas": (domain.nas_keytab, domain.nas_service)}[
                             "nas" if "ticket" in login else account]
        self.service = service
        self.name = service.split("/")[1].split("@")[0]
        self.host = self.name.split(".")[0]
        self.keys_path = domain.path("keeper.keytab")
        keytab.write(self.keys_path, keytab.read(path), UIDS["keeper"])
        on_listener = {"services": [service.split("@")[0]], "names": [self.name], **(on_listener or {})}
        on_upstream = {"login": list(login), "server_name": "nas.corp.test", **(on_upstream or {})}
        if "delegate" in login or "transition" in login:
            on_upstream.setdefault("service", service)
        extra = {"kerberos": {"keytab": self.keys_path, "config": domain.configuration(),
                              **(kerberos or {})}, **options.pop("extra", {})}
        if winbind:
            domain.winbind.let_in(WINBIND_GROUP)
            extra["winbind"] = True
            extra["users"] = {**{role: str(uid) for role, uid in UIDS.items()},
                              "keeper_groups": [str(WINBIND_GROUP)]}
        super().__init__(domain.nas, on_listener=on_listener, on_upstream=on_upstream, extra=extra,
                         keys=keytab.read(path) + keytab.read(domain.nas_keytab), users={},
                         address=domain.proxy.address, host=domain.proxy, **options)

    def __enter__(self):
        with self.domain.proxy.entered():
            super().__enter__()
        self.domain.mislead_client(**{self.host: self.address})
        return self

    def __exit__(self, *details):
        self.domain.mislead_client()
        return super().__exit__(*details)

    def smbclient(self, directory, **options):
        """smbclient on the client's host, through both relays, by the name."""
        return self.domain.smbclient(directory, self.name, self.port, **options)

    def raw(self, **options):
        with self.domain.client.entered():
            return super().raw(**options)

    def reports(self, passwords=None):
        return super().reports(self.domain.users if passwords is None else passwords)
