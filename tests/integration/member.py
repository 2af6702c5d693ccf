"""A Samba member server of the tests' domain: winbind, and a file server where one is wanted."""

import os

from daemon import end_rpc_daemon
from harness import wait_until

_SMB_CONF = """[global]
    server role = member server
    security = ads
    realm = CORP.TEST
    workgroup = CORP
    netbios name = {name}
    disable netbios = yes
    smb ports = 445
    interfaces = {address}/24
    bind interfaces only = yes
    server signing = auto
    ntlm auth = ntlmv2-only
    kerberos method = secrets and keytab
    machine password timeout = 0
    map to guest = never
    winbind use default domain = yes
    winbind request timeout = 15
    idmap config * : backend = autorid
    idmap config * : range = 1000000-1999999
    private dir = {directory}/private
    lock directory = {directory}/lock
    state directory = {directory}/state
    cache directory = {directory}/cache
    pid directory = {directory}/pid
    ncalrpc dir = {directory}/ncalrpc
    log file = {directory}/log/%m.log
    log level = 1 auth_audit:3
    load printers = no
    disable spoolss = yes
[data]
    path = {directory}/share
    read only = no
    guest ok = no
"""


class Member:
    """A joined host with winbindd running, and smbd with `file_server`; a context manager."""

    def __init__(self, host, directory, name, file_server=False):
        self.host, self.directory, self.name = host, directory, name
        self.file_server = file_server
        self.port = 445
        self.smbd = self.winbindd = None

    @property
    def address(self):
        return self.host.address

    @property
    def share(self):
        """The directory behind //NAS/data."""
        return self._path("share")

    @property
    def configuration(self):
        return self._path("smb.conf")

    def _path(self, *parts):
        return os.path.join(self.directory, *parts)

    def __enter__(self):
        for name in "private lock state cache pid ncalrpc log share".split():
            os.makedirs(self._path(name))
        os.chmod(self.share, 0o1777)
        with open(self.configuration, "w", encoding="ascii") as file:
            file.write(_SMB_CONF.format(name=self.name, address=self.address, directory=self.directory))
        # A domain controller that listens is not one that can be asked for all of it.
        wait_until(self._joins, "the domain controller to take in a member", 180, 1)
        self.start_winbind()
        if self.file_server:
            self.start()
        return self

    def __exit__(self, *_):
        end_rpc_daemon(self.directory)

    def _joins(self):
        done = self.host.run(["net", "ads", "join", "-s", self.configuration, "--no-dns-updates", "-U",
                              "Administrator%Adm.Pw123"], 180)
        with open(self._path("log/join.out"), "a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        return done.returncode == 0

    def start_winbind(self, trusted=True):
        """Starts winbindd and waits until it reaches the domain controller, or without a trust until
        it answers at all."""
        self.winbindd = self._daemon("winbindd")
        question = "--ping-dc" if trusted else "--ping"
        wait_until(lambda: self.winbindd.poll() is not None or
                   self.host.run(["wbinfo", question]).returncode == 0, "winbindd", 180, 0.1)
        assert self.winbindd.poll() is None, self.log("winbindd")

    def stop_winbind(self):
        self.host.end(self.winbindd)
        self.winbindd = None

    def start(self):
        """Starts smbd and waits until it listens."""
        self.smbd = self._daemon("smbd")
        self.host.wait_port(self.address, self.port, self.smbd)

    def stop(self):
        self.host.end(self.smbd)
        end_rpc_daemon(self.directory)

    def _daemon(self, program):
        return self.host.start([program, "-F", "-l", self._path("log"), "-s", self.configuration],
                               self._path(f"log/{program}.out"))

    def log(self, program="smbd"):
        with open(self._path(f"log/{program}.out"), encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def let_in(self, group):
        """Opens winbindd's privileged pipe to a group, as Debian's winbindd_priv is."""
        place = self._path("state/winbindd_privileged")
        os.chown(place, 0, group)
        os.chmod(place, 0o750)

    def owner(self, name):
        """The user whose file //NAS/data/name is: who smbd took its creator for."""
        uid = os.stat(os.path.join(self.share, name)).st_uid
        return self.host.must(["wbinfo", f"--uid-info={uid}"]).split(":")[0]

    def sessions(self):
        """The users of smbd's sessions, as smbstatus tells."""
        listing = self.host.must(["smbstatus", "-s", self.configuration, "--processes"])
        rows = listing.split("-----\n")[-1].strip().splitlines()
        return [row.split()[1] for row in rows if row.strip()]

    def empty_share(self):
        """Removes what earlier tests left in //NAS/data."""
        for name in os.listdir(self.share):
            os.unlink(os.path.join(self.share, name))
