"""A real smbd as the file server behind the proxy, and nothing of it outside its own directory."""

import os
import shutil
import signal

from daemon import Daemon, end_rpc_daemon
from harness import USERS, run

SAMBA_DIALECTS = {"2.0.2": "SMB2_02", "2.1": "SMB2_10", "3.0": "SMB3_00", "3.0.2": "SMB3_02",
                  "3.1.1": "SMB3_11", "NT1": "NT1"}
SAMBA_ALGORITHMS = {"hmac-sha256": "HMAC-SHA256", "aes-cmac": "AES-128-CMAC",
                    "aes-gmac": "AES-128-GMAC"}
UIDS = {"alice": 61001, "bob": 61002}
GROUP = 61000

_GLOBAL = """[global]
    server role = standalone server
    netbios name = NAS
    workgroup = LABGROUP
    security = user
    restrict anonymous = 2
    disable netbios = yes
    smb ports = {port}
    interfaces = {address}/8
    bind interfaces only = yes
    server min protocol = {min_protocol}
    server max protocol = {max_protocol}
    server signing = {signing}
    private dir = {directory}/private
    lock directory = {directory}/lock
    state directory = {directory}/state
    cache directory = {directory}/cache
    pid directory = {directory}/pid
    ncalrpc dir = {directory}/ncalrpc
    winbindd socket directory = {directory}/winbindd
    passdb backend = tdbsam:{directory}/private/passdb.tdb
    usershare path = {directory}/usershares
    log file = {directory}/log/%m.log
    log level = 1
    load printers = no
    printing = bsd
    printcap name = /dev/null
    disable spoolss = yes
    dns proxy = no
    name resolve order = host
"""
_SHARES = """[data]
    path = {directory}/share/data
    read only = no
    guest ok = {guest}
{share_options}[priv]
    path = {directory}/share/priv
    read only = no
    valid users = alice
"""


def option_lines(options):
    """Lines for smb.conf."""
    return "".join(f"    {key} = {value}\n" for key, value in options.items())


class Nas(Daemon):
    """One smbd on an address of its own; a context manager.

    `extra` and `share_options` are dictionaries of further options of [global] and of the share.
    `guest=True` opens the share to guests too. `users` are its accounts: name → password, None for
    those that come with tickets only.
    `environment` are variables for smbd, such as KRB5_CONFIG.
    """

    def __init__(self, min_dialect="2.0.2", max_dialect="3.1.1", signing="auto", algorithms=None,
                 extra=None, share_options=None, guest=False, address=None, port=None, users=None,
                 environment=None):
        super().__init__("nas", address, port)
        self.options = {"min_protocol": SAMBA_DIALECTS[min_dialect],
                        "max_protocol": SAMBA_DIALECTS[max_dialect], "signing": signing,
                        "guest": "yes" if guest else "no",
                        "share_options": option_lines(share_options or {})}
        self.extra = dict(extra or {})
        if algorithms:
            self.extra["server smb3 signing algorithms"] = " ".join(
                SAMBA_ALGORITHMS[name] for name in algorithms)
        self.users = dict(USERS if users is None else users)
        self.uids = {name: UIDS.get(name, 61010 + index) for index, name in enumerate(self.users)}
        self.variables = dict(environment or {})

    @property
    def share(self):
        """The directory behind //NAS/data."""
        return os.path.join(self.directory, "share/data")

    def _prepare(self):
        for name in ("private lock state cache pid ncalrpc winbindd log usershares share share/data "
                     "share/priv").split():
            os.makedirs(self._path(name), mode=0o755)
        os.chmod(self._path("private"), 0o700)
        for name, mode in (("share/data", 0o2775), ("share/priv", 0o700)):
            os.chown(self._path(name), UIDS["alice"], GROUP)
            os.chmod(self._path(name), mode)
        accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n"
        for user, uid in self.uids.items():
            accounts += f"{user}:x:{uid}:{GROUP}::/nonexistent:/bin/false\n"
        self._write("passwd", accounts)
        self._write("group", f"root:x:0:\nnogroup:x:65534:\nlabusers:x:{GROUP}:{','.join(self.uids)}\n")
        self._write_configuration()
        for user, password in self.users.items():
            if password is None:
                continue
            done = run(["smbpasswd", "-c", self._path("smb.conf"), "-s", "-a", user],
                       input=f"{password}\n{password}\n", env=self._environment())
            assert done.returncode == 0, done.stderr

    def _write_configuration(self):
        values = dict(self.options, directory=self.directory, address=self.address, port=self.port)
        self._write("smb.conf", _GLOBAL.format(**values) + option_lines(self.extra) +
                    _SHARES.format(**values))

    def restart(self, max_dialect=None, extra=None):
        """The same file server, configured to speak no more than that dialect, or with these options
        of [global] in place of those it had."""
        self.stop()
        if max_dialect:
            self.options["max_protocol"] = SAMBA_DIALECTS[max_dialect]
        self.extra = self.extra if extra is None else dict(extra)
        self._write_configuration()
        self.start()

    def tool(self, name, *arguments):
        """Runs one of Samba's own programs on this file server's databases, to its end."""
        return run([name, "-s", self._path("smb.conf"), *arguments], env=self._environment())

    def _environment(self):
        """smbd finds alice and bob through nss_wrapper: no account of this machine is touched."""
        return dict(os.environ, LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_PASSWD=self._path("passwd"),
                    NSS_WRAPPER_GROUP=self._path("group"), **self.variables)

    def start(self):
        """Starts smbd and waits until it accepts connections."""
        # In the foreground it makes a process group of its own; told not to, it would end ours.
        # In the foreground it makes a process group of its own; told not to, it would end ours.
        self._launch(["smbd", "-F", "-l", self._path("log"), "-s", self._path("smb.conf")], "log/smbd.out",
                     self._environment())

    def stop(self):
        """Ends smbd and the RPC daemon that it started, each by its pid."""
        super().stop()
        end_rpc_daemon(self.directory)

    def freeze(self):
        """smbd keeps its socket and answers nobody; its children too. Ended by thaw()."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def owner(self, name):
        """The user whose file //NAS/data/name is: who smbd took its creator for."""
        uid = os.stat(os.path.join(self.share, name)).st_uid
        return next(user for user, known in self.uids.items() if known == uid)

    def empty_share(self):
        """Removes what earlier tests left in //NAS/data."""
        for name in os.listdir(self.share):
            path = os.path.join(self.share, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
