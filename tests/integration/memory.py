"""How much memory a process of the proxy has, and whether that number means anything."""

from functools import cache

from proxy import BINARY

MIB = 1 << 20


@cache
def is_sanitized():
    """AddressSanitizer keeps freed memory and its own notes: only gross growth can be seen then."""
    with open(BINARY, "rb") as file:
        return b"__asan_init" in file.read()


def _field(path, name):
    with open(path, encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name + ":"))


def resident(pid):
    """What of it is in memory now, in bytes; pages shared with others count in part."""
    return _field(f"/proc/{pid}/smaps_rollup", "Pss")


def most_resident(pid):
    """The most that ever was."""
    return _field(f"/proc/{pid}/status", "VmHWM")
