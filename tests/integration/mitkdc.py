"""A real MIT KDC with a realm of its own on a loopback address, and a file server that takes its tickets.

No domain, no DNS: smbclient finds the services' names through nss_wrapper, and the proxy needs a
krb5.conf only. Nothing outside the realm's own directory is read or written.
"""

import glob
import os
import signal
import tempfile

from ccache import Ccache
from daemon import Daemon
from harness import USERS, run
from nas import Nas
from smbtools import SmbClient

_DB2 = "/usr/lib/*/krb5/plugins/kdb/db2.so"
_CLIENT = """[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true
{options}[realms]
    {realm} = {{
        kdc = {kdc}
    }}
[domain_realm]
    .{domain} = {realm}
"""
_KDC = """[kdcdefaults]
    kdc_listen = {datagrams}
    kdc_tcp_listen = {address}:{port} [::1]:{port}
[realms]
    {realm} = {{
        database_module = tests
        key_stash_file = {directory}/stash
        max_life = 10h
        max_renewable_life = 7d
    }}
[dbmodules]
    db_module_dir = {directory}/modules
    tests = {{
        db_library = {library}
        database_name = {directory}/principal
    }}
"""


class Realm(Daemon):
    """One krb5kdc; a context manager. With `delegation` it answers constrained delegation; without
    `datagrams` it takes streams alone."""

    def __init__(self, name="MIT.TEST", delegation=False, users=None, datagrams=True):
        super().__init__("realm")
        self.name, self.domain, self.delegation = name, name.lower(), delegation
        self.datagrams = datagrams
        self.users = dict(USERS if users is None else users)
        self.hosts = {}

    def path(self, *parts):
        """A file of the realm's own."""
        return self._path(*parts)

    def _prepare(self):
        os.mkdir(self.path("modules"))
        library = "delegation" if self.delegation else "db2"
        self._module(library)
        datagrams = f"{self.address}:{self.port} [::1]:{self.port}" if self.datagrams else '""'
        self._write("kdc.conf", _KDC.format(**self._values(), library=library, datagrams=datagrams))
        self.krb5_conf = self.configuration("krb5.conf")
        self.add_host("localhost", "127.0.0.1")
        self._admin(["kdb5_util", "-r", self.name, "-P", "master", "create", "-s"])
        for user, password in self.users.items():
            self.add_user(user, password)

    def _module(self, library):
        """db2 itself, or the module that wraps it."""
        db2 = glob.glob(_DB2)
        assert db2, f"no {_DB2}: is krb5-kdc installed?"
        to = self.path("modules", f"{library}.so")
        if not self.delegation:
            os.symlink(db2[0], to)
            return
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kdb_delegation.c")
        done = run(["cc", "-std=c11", "-D_GNU_SOURCE", f'-DDB2_MODULE="{db2[0]}"', "-shared", "-fPIC",
                    "-o", to, source])
        assert done.returncode == 0, done.stderr

    def _values(self):
        return {"realm": self.name, "domain": self.domain, "address": self.address, "port": self.port,
                "directory": self.directory}

    def configuration(self, name, kdc=None, **options):
        """Writes a krb5.conf with further [libdefaults], such as clockskew; its path. `kdc` is where
        the KDC is found: it listens on the port of [::1] too."""
        lines = "".join(f"    {key} = {value}\n" for key, value in options.items())
        self._write(name, _CLIENT.format(**self._values(), options=lines,
                                         kdc=kdc or f"{self.address}:{self.port}"))
        return self.path(name)

    def environment(self, **more):
        """For programs that speak Kerberos, and that look up names by the realm's hosts file."""
        names = {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_HOSTS": self.path("hosts")}
        return dict(os.environ, KRB5_CONFIG=self.krb5_conf, KRB5CCNAME=f"FILE:{self.path('none')}",
                    KRB5_KTNAME=f"FILE:{self.path('none')}", KRB5RCACHENAME="none:", **names, **more)

    def add_host(self, name, address):
        """Tells the clients a name; changing it later is allowed."""
        self.hosts[name] = address
        self._write("hosts", "".join(f"{where} {host}\n" for host, where in self.hosts.items()))

    # the KDC

    def start(self):
        """Starts the KDC and waits until it listens."""
        self._launch(["krb5kdc", "-n", "-r", self.name], "kdc.log",
                     self.environment(KRB5_KDC_PROFILE=self.path("kdc.conf")))

    def stop(self):
        if self.process is not None:
            self.resume()
        super().stop()

    def pause(self):
        """The KDC takes requests and answers none, until resume()."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    # principals

    def _admin(self, command, **options):
        environment = self.environment(KRB5_KDC_PROFILE=self.path("kdc.conf"))
        done = run(command, env=environment, **options)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def admin(self, *arguments):
        """One command of kadmin.local, on the database itself; its output."""
        return self._admin(["kadmin.local", "-r", self.name, *arguments])

    def add_users(self, users):
        """Many at once: name → password."""
        commands = "".join(f"addprinc -pw {password} {user}\n" for user, password in users.items())
        self._admin(["kadmin.local", "-r", self.name], input=commands)
        self.users.update(users)

    def principal(self, name):
        return name if "@" in name else f"{name}@{self.name}"

    def add_user(self, user, password, *options):
        self.admin("addprinc", *options, "-pw", password, user)

    def add_service(self, service, *options, encryption=None):
        """A principal with a random key; `encryption` lists its types, such as "rc4-hmac:normal"."""
        types = ["-e", encryption] if encryption else []
        self.admin("addprinc", *options, *types, "-randkey", service)

    def change(self, principal, *options):
        """modprinc: "-allow_forwardable", "-maxlife", "10 seconds" …"""
        self.admin("modprinc", *options, principal)

    def allow_delegation(self, service, *targets):
        """Whom `service` may ask tickets for in a user's name; none takes the right away."""
        assert self.delegation, "the realm was made without"
        if targets:
            self.admin("setstr", service, "delegate_to", " ".join(map(self.principal, targets)))
        else:
            self.admin("delstr", service, "delegate_to")

    def new_key(self, principal, keep_old=True, encryption=None):
        """A new random key with the next kvno. The KDC uses it at once."""
        self.admin("cpw", "-randkey", *(["-keepold"] if keep_old else []),
                   *(["-e", encryption] if encryption else []), principal)

    def drop_old_keys(self, principal):
        self.admin("purgekeys", principal)

    def keytab(self, path, *principals, owner=0):
        """Writes all present keys of these principals, in one step if the file is there already."""
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            new = os.path.join(directory, "keytab")
            self.admin("ktadd", "-q", "-norandkey", "-k", new, *principals)
            os.chown(new, owner, owner)
            os.rename(new, path)
        return path

    # other realms

    def trust(self, other):
        """Users of the other realm get tickets here; the other realm's clients find this KDC."""
        name = f"krbtgt/{self.name}@{other.name}"
        for realm in (self, other):
            realm.admin("addprinc", "-e", "aes256-cts", "-pw", "Trust.Pw9", name)
        with open(other.krb5_conf, "a", encoding="ascii") as file:
            file.write(f"[realms]\n    {self.name} = {{\n        kdc = {self.address}:{self.port}\n    }}\n"
                       f"[domain_realm]\n    .{self.domain} = {self.name}\n"
                       f"[capaths]\n    {other.name} = {{\n        {self.name} = .\n    }}\n")

    def set_logon_info(self, user, logon_info):
        """What the PAC of a user's tickets says (bytes of MS-PAC 2.5). For realms with delegation."""
        self.admin("setstr", user, "logon_info", logon_info.hex())

    # users

    def kinit(self, user, password=None, ccache=None, forwardable=True, lifetime=None,
              service=None):
        """Logs a user in; `lifetime` is in seconds. With `service` all there is in the end is a ticket
        for that."""
        cache = Ccache(ccache or self.path(f"cc-{user}-{os.urandom(4).hex()}"),
                       lambda command: run(command, env=self.environment()))
        options = ["-f" if forwardable else "-F", *(["-l", f"{lifetime}s"] if lifetime else []),
                   *(["-S", service] if service else [])]
        done = run(["kinit", *options, "-c", cache.name, self.principal(user)],
                   input=(self.users[user] if password is None else password) + "\n",
                   env=self.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return cache

    def smbclient(self, directory, name, port, **options):
        """smbclient for one of the realm's hosts."""
        return SmbClient(str(directory), name, port, environment=self.environment(), **options)

    # file servers

    def file_server(self, host="nas", **options):
        """An smbd (not started) that takes this realm's tickets for cifs/host.domain.

        A standalone smbd refuses tickets with a PAC, therefore the KDC puts none into its tickets.
        """
        name = f"{host}.{self.domain}"
        service = f"cifs/{name}"
        self.add_service(service, "+no_auth_data_required")
        keytab = self.keytab(self.path(f"{host}.keytab"), service)
        extra = {"realm": self.name, "kerberos method": "dedicated keytab",
                 "dedicated keytab file": f"FILE:{keytab}", **options.pop("extra", {})}
        server = Nas(extra=extra, environment={"KRB5_CONFIG": self.krb5_conf}, **options)
        self.add_host(name, server.address)
        server.name, server.service, server.keytab = name, service, keytab
        return server
