"""A Samba domain: controller, member file server, the proxy's host and a client's, each in a
namespace of its own.

Making it takes some ten seconds: one per test session, started when the first test asks for it. All
state is in a directory that goes with it.
"""

import os
import signal
from contextlib import ExitStack

import keytab
from ccache import Ccache
from directory import Directory
from harness import children_of, scratch_directory
from member import Member
from namespaces import Host, Network
from smbtools import SmbClient

REALM, DOMAIN, DNS = "CORP.TEST", "CORP", "corp.test"
ADMINISTRATOR = "Administrator%Adm.Pw123"
USERS = {"alice": "Alice.Pw1", "bob": "Bob.Pw2", "carol": "Carol.Pw3"}
LAST = {"dc1": 1, "nas": 2, "proxy": 3, "client": 4}

_SMB_CONF = """[global]
    server role = active directory domain controller
    netbios name = DC1
    realm = {realm}
    workgroup = {domain}
    interfaces = lo eth0
    bind interfaces only = yes
    private dir = {directory}/private
    lock directory = {directory}
    state directory = {directory}/state
    cache directory = {directory}/cache
    binddns dir = {directory}/bind-dns
    pid directory = {directory}/pid
    ncalrpc dir = {directory}/ncalrpc
    ntp signd socket directory = {directory}/ntp_signd
    log file = {directory}/log/samba.log
    log level = 1 auth_audit:3
    server services = s3fs, rpc, ldap, cldap, kdc, winbindd, dns
    tls enabled = no
    load printers = no
    disable spoolss = yes
[sysvol]
    path = {directory}/state/sysvol
    read only = no
"""
_KRB5_CONF = """[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true
{options}[realms]
    {realm} = {{
        kdc = {controller}
    }}
[domain_realm]
    .{dns} = {realm}
    {dns} = {realm}
"""


class Controller:
    """The domain controller's daemon and its directory."""

    def __init__(self, host, directory):
        self.host, self.directory = host, directory
        self.daemon = None
        self.accounts = None

    def provision(self):
        """Makes the domain; the daemon is not needed for that."""
        self.host.must(["samba-tool", "domain", "provision", f"--realm={REALM}", f"--domain={DOMAIN}",
                        "--server-role=dc", "--dns-backend=SAMBA_INTERNAL", "--host-name=dc1",
                        f"--adminpass={ADMINISTRATOR.split('%')[1]}", f"--host-ip={self.host.address}",
                        f"--targetdir={self.directory}", "--option=interfaces = lo eth0",
                        "--option=bind interfaces only = yes"], 300)
        for name in ("pid", "ncalrpc", "log"):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        # What provision wrote has parts of this machine's own smb.conf in it.
        with open(self.configuration, "w", encoding="ascii") as file:
            file.write(_SMB_CONF.format(realm=REALM, domain=DOMAIN, directory=self.directory))
        self.accounts = Directory(self.configuration, DOMAIN, REALM)

    @property
    def configuration(self):
        return os.path.join(self.directory, "etc/smb.conf")

    def start(self):
        """Starts it and waits until LDAP, KDC, DNS and SMB listen."""
        self.daemon = self.host.start(["samba", "-F", "-M", "single", "-s", self.configuration],
                                      os.path.join(self.directory, "log/samba.out"))
        for port in (389, 88, 53, 445):
            self.host.wait_port(self.host.address, port, self.daemon)

    def stop(self):
        self.resume()
        self.host.end(self.daemon)

    def _everybody(self):
        pids, found = [self.daemon.pid], []
        while pids:
            pid = pids.pop()
            found.append(pid)
            pids += children_of(pid)
        return found

    def pause(self):
        """The controller takes requests and answers none, until resume()."""
        for pid in self._everybody():
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in reversed(self._everybody()):
            os.kill(pid, signal.SIGCONT)


class Domain:
    """The whole arrangement; a context manager.

    controller.accounts: its users and groups. nas: the member file server (member.Member). proxy: the
    host for Countersign, joined for winbind. client: one that knows nothing but Kerberos.
    proxy_keytab holds the AES keys of svc-proxy, which may delegate to the NAS in any user's name;
    powerless_keytab those of svc-powerless, which may not; nas_keytab the file server's own, under
    the name that clients ask tickets for.
    """

    service = f"cifs/proxy.{DNS}@{REALM}"
    powerless_service = f"cifs/powerless.{DNS}@{REALM}"
    nas_service = f"cifs/nas.{DNS}@{REALM}"
    users = USERS

    def __init__(self):
        self._stack = ExitStack()
        self.directory = None

    def __enter__(self):
        enter = self._stack.enter_context
        try:
            self.directory = enter(scratch_directory("domain"))
            self.network = enter(Network())
            self.hosts = {name: self._host(name) for name in LAST}
            self.controller = Controller(self.hosts["dc1"], self.path("dc"))
            self.controller.provision()
            self._add_accounts()
            self.controller.start()
            self.nas = enter(Member(self.hosts["nas"], self.path("nas"), "NAS", file_server=True))
            self.proxy = self.hosts["proxy"]
            self.winbind = enter(Member(self.proxy, self.path("proxy"), "PROXYM"))
            self.client = self.hosts["client"]
            self._export_keytabs()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def _write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        return self.path(name)

    def configuration(self, name="krb5.conf", **options):
        """Writes a krb5.conf with further [libdefaults], such as clockskew; its path."""
        lines = "".join(f"    {key} = {value}\n" for key, value in options.items())
        return self._write(name, _KRB5_CONF.format(
            realm=REALM, dns=DNS, controller=f"{self.network.prefix}.{LAST['dc1']}", options=lines))

    def _host(self, name):
        """A host with its own view of names, accounts and Kerberos."""
        prefix = self.network.prefix
        with open("/etc/nsswitch.conf", encoding="ascii") as file:
            lines = [line for line in file if line.split(":")[0] not in ("passwd", "group", "hosts")]
        hosts = self._write_hosts(name)
        resolver = self._write("resolv.conf", f"search {DNS}\nnameserver {prefix}.{LAST['dc1']}\n"
                                              "options timeout:1 attempts:2\n")
        switch = self._write("nsswitch.conf", "".join(lines) + "passwd: files winbind\n"
                             "group: files winbind\nhosts: files dns\n")
        for place in (f"run-{name}", f"log-{name}"):
            os.mkdir(self.path(place))
        os.makedirs("/run/samba", exist_ok=True)
        host = Host(name, over={
            "/etc/hosts": hosts, "/etc/resolv.conf": resolver, "/etc/nsswitch.conf": switch,
            "/run/samba": self.path(f"run-{name}"), "/var/log/samba": self.path(f"log-{name}"),
        }, environment={
            "KRB5_CONFIG": self.configuration(), "KRB5CCNAME": f"FILE:{self.path('none')}",
            "KRB5_KTNAME": f"FILE:{self.path(name + '-machine.keytab')}", "KRB5RCACHENAME": "none:"})
        self._stack.enter_context(host)
        self.network.attach(host, LAST[name])
        return host

    def _write_hosts(self, name, **others):
        """What a host takes the names of the network for."""
        addresses = {host: f"{self.network.prefix}.{last}" for host, last in LAST.items()}
        addresses.update(others)
        # In its place: what is mounted is this very file.
        return self._write(f"hosts-{name}", "127.0.0.1 localhost\n" + "".join(
            f"{address} {host}.{DNS} {host}\n" for host, address in addresses.items()))

    def mislead_client(self, **others):
        """Gives the client's host other addresses for names (nas="10.99.7.3"); none: the right ones."""
        self._write_hosts("client", **others)

    def _add_accounts(self):
        accounts = self.controller.accounts
        accounts.set_policy()
        for user, password in USERS.items():
            accounts.add_user(user, password, sensitive=user == "bob")
        accounts.add_group("finance", "alice")
        accounts.add_group("engineering", "carol", "bob")
        accounts.add_service_account("svc-proxy", "Svc.Pw4", f"cifs/proxy.{DNS}", f"host/proxy.{DNS}")
        accounts.add_service_account("svc-powerless", "Svc.Pw5", f"cifs/powerless.{DNS}")
        accounts.allow_delegation("svc-proxy", f"cifs/nas.{DNS}")

    def _export_keytabs(self):
        self.proxy_keytab = self.export("proxy.keytab", self.service)
        self.powerless_keytab = self.export("powerless.keytab", self.powerless_service)
        self.nas_keytab = self.export("nas.keytab", self.nas_service, account="NAS$")

    def export(self, name, service, account=None, owner=0, types=(keytab.AES256, keytab.AES128)):
        """Writes the keys of a service's account, under the service's name; the keytab's path."""
        raw = self.path(f"raw-{os.urandom(4).hex()}.keytab")
        self.controller.accounts.export_keytab(raw, account or service.split("@")[0])
        entries = [keytab.Entry(service, entry.kvno, entry.encryption, entry.key)
                   for entry in keytab.read(raw) if entry.encryption in types]
        os.unlink(raw)
        assert entries, f"no keys for {service}"
        return keytab.write(self.path(name), entries, owner)

    def smbclient(self, directory, name="nas.corp.test", port=445, host=None, **options):
        """smbclient on the client's host, or on another."""
        host = host or self.client
        return SmbClient(str(directory), name, port, environment=host.environment,
                         prefix=host.prefix(directory), **options)

    # users

    def kinit(self, user, forwardable=True, lifetime=None, host=None, options=(), password=None):
        """Logs a user in on the client's host; the credential cache's path is for any host. `options`
        are further ones of kinit."""
        path = self.path(f"cc-{user}-{os.urandom(4).hex()}")
        options = [*options, "-f" if forwardable else "-F", *(["-l", f"{lifetime}s"] if lifetime else [])]
        (host or self.client).must(["kinit", *options, "-c", path, f"{user}@{REALM}"],
                                   input=(password or USERS[user]) + "\n")
        return Ccache(path, self.client.run)
