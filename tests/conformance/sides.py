"""The sides of a comparison: smbtorture at a file server, and at Countersign before its twins."""

import os
from collections import namedtuple
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from nas import GROUP, SAMBA_DIALECTS, UIDS, Nas, option_lines
from proxy import Proxy, listener, upstream
from torture import Torture, suite_of

Address = namedtuple("Address", "address port")

SNAPSHOT = "@GMT-2015.10.31-19.40.30"

_GLOBAL = {"server multi channel support": "no", "kernel change notify": "no"}

# A share as smbtorture expects it of Windows: attributes, streams and ACLs beside the file system,
# which would refuse large ones and count them in the size on disk.
_WINDOWS_LIKE = {
    "read only": "no", "create mask": "0777", "directory mask": "0777",
    "vfs objects": "acl_xattr xattr_tdb streams_depot", "store dos attributes": "yes",
    "ea support": "yes", "map archive": "no", "map hidden": "no", "map system": "no",
    "map readonly": "no", "dos filemode": "yes", "strict rename": "yes", "kernel oplocks": "no",
    "kernel share modes": "no", "posix locking": "no", "hide files": "/hidefile/",
    "strict sync": "yes"}

# What some suites want to be otherwise, each in a share of its own.
_SHARES = {
    "tmp": {},
    "noperm": {},
    "inotify": {"kernel change notify": "yes"},
    "oplocks": {"kernel oplocks": "yes", "vfs objects": "acl_xattr xattr_tdb streams_xattr"},
    "locks": {"posix locking": "yes"},
    "streamless": {"vfs objects": "acl_xattr xattr_tdb"},
    "snapshots": {"vfs objects": "shadow_copy2 acl_xattr xattr_tdb",
                  "shadow:snapdir": ".snapshots"},
}
_SHARE_OF = {"smb2.notify-inotify": "inotify",
             "smb2.kernel-oplocks": "oplocks", "smb2.samba3misc": "locks",
             "smb2.create_no_streams": "streamless", "smb2.twrp": "snapshots"}


@dataclass(frozen=True)
class Mode:
    """What the file servers speak at most, and the client with them. To Countersign the client speaks
    3.1.1 in every mode, so that what the file server lacks is not hidden by the client."""

    name: str
    dialect: str

    @property
    def direct_protocol(self):
        """smbtorture's word for the dialect."""
        return SAMBA_DIALECTS[self.dialect]

    @property
    def proxied_protocol(self):
        """What smbtorture speaks to Countersign."""
        return SAMBA_DIALECTS["3.1.1"]

    @property
    def client_speaks_more(self):
        """Does it speak more to Countersign than to the file server alone?"""
        return self.direct_protocol != self.proxied_protocol


MODES = (Mode("SMB3_11", "3.1.1"), Mode("upstream SMB2_10", "2.1"), Mode("upstream SMB2_02", "2.0.2"))


class TortureNas(Nas):
    """smbd with the shares that smbtorture needs."""

    def __init__(self, dialect):
        super().__init__(max_dialect=dialect, signing="mandatory", extra=_GLOBAL)

    def share_directory(self, share):
        """Where the files of a share are."""
        return os.path.join(self.directory, "share", share)

    def _prepare(self):
        super()._prepare()
        text = ""
        for share, options in _SHARES.items():
            path = self.share_directory(share)
            os.makedirs(path)
            os.chown(path, UIDS["alice"], GROUP)
            os.chmod(path, 0o2775)
            text += f"[{share}]\n" + option_lines({**_WINDOWS_LIKE, "path": path,
                                                   "shadow:mountpoint": path, **options})
        os.chmod(self.share_directory("noperm"), 0)
        self._write_snapshot()
        with open(os.path.join(self.directory, "smb.conf"), "a", encoding="utf-8") as file:
            file.write(text)

    def _write_snapshot(self):
        """What smb2.twrp finds in the past: a file."""
        snapshot = os.path.join(self.share_directory("snapshots"), ".snapshots", SNAPSHOT)
        os.makedirs(snapshot)
        path = os.path.join(snapshot, "file")
        with open(path, "w", encoding="ascii") as file:
            file.write("as it was\n")
        os.chown(path, UIDS["alice"], GROUP)


class Side:
    """smbtorture at one address; what it writes goes to `directory`."""

    def __init__(self, nas, server, protocol, directory):
        self.nas, self.server, self.protocol, self.directory = nas, server, protocol, directory

    def _torture(self, suite):
        share = _SHARE_OF.get(suite, "tmp")
        options = [f"torture:localdir={self.nas.share_directory(share)}", "torture:twrp_file=file",
                   f"torture:twrp_snapshot={SNAPSHOT}", "torture:maxopenfiles=2000"]
        return Torture(self.server, share, self.protocol, self.directory, options)

    def suite(self, suite, tests):
        """The results of these tests of one suite, by name."""
        return self._torture(suite).suite(suite, tests)

    def alone(self, test):
        """The result of one test in a process of its own."""
        return self._torture(suite_of(test)).alone(test)


Sides = namedtuple("Sides", "direct proxied limited")


@contextmanager
def _behind(mode, protocol, directory):
    """A fresh file server behind Countersign, and a client of it."""
    with ExitStack() as stack:
        nas = stack.enter_context(TortureNas(mode.dialect))
        proxy = stack.enter_context(Proxy([listener()], [upstream(nas)]))
        front = Address(proxy.listeners[0]["address"], proxy.listeners[0]["port"])
        yield Side(nas, front, protocol, directory)
        proxy.assert_healthy()


@contextmanager
def all_sides(mode, directory):
    """The direct side, the proxied one, and one whose client speaks to Countersign what the file server
    speaks: None where every client does."""
    with ExitStack() as stack:
        alone = stack.enter_context(TortureNas(mode.dialect))
        sides = [stack.enter_context(_behind(mode, protocol, os.path.join(directory, name)))
                 for name, protocol in (("proxied", mode.proxied_protocol),
                                        ("limited", mode.direct_protocol))
                 if name == "proxied" or mode.client_speaks_more]
        direct = Side(alone, alone, mode.direct_protocol, os.path.join(directory, "direct"))
        yield Sides(direct, sides[0], sides[1] if mode.client_speaks_more else None)
