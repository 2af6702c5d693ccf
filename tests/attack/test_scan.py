"""What a scanner sees: nmap's scripts, on a file server as it may be and on the proxy before one."""

from audit_log import assert_log, told
from harness import run
from nas import Nas
from proxy import Proxy, listener, upstream

SCRIPTS = "smb2-security-mode,smb-protocols"
SMB1_MARKS = ("NT LM 0.12", "SMBv1")
NMAP = "127.0.0.1"  # its scripts connect from there


def scan(address):
    """What nmap says of the SMB port of an address: (the modes of signing, the dialects)."""
    done = run(["nmap", "-Pn", "-n", "-p", "445", "--script", SCRIPTS, address], 120)
    assert done.returncode == 0, done.stderr
    lines = [line.strip("|_ ") for line in done.stdout.splitlines() if line.startswith("|")]
    assert "dialects:" in lines and "smb2-security-mode:" in lines, done.stdout
    return ([line for line in lines if "signing" in line],
            [line for line in lines if line.isdigit() or any(mark in line for mark in SMB1_MARKS)])


def test_file_server_alone():
    """The scripts tell SMB1, and signing that is not required, where there are."""
    with Nas(port=445, min_dialect="NT1") as nas:
        signing, dialects = scan(nas.address)
    assert signing == ["Message signing enabled but not required"]
    assert [line for line in dialects if any(mark in line for mark in SMB1_MARKS)]


def test_signing_required_and_no_smb1(nas):
    entry = listener(port=445)
    with Proxy([entry], [upstream(nas)]) as proxy:
        signing, dialects = scan(entry["address"])
        assert signing == ["Message signing enabled and required"]
        assert sorted(set(dialects)) == ["202", "210", "300", "302", "311"]
        # It asks for SMB1 first, then offers one dialect after the other, as nobody does who can more.
        assert_log(proxy, [told("smb1_refused", client_address=NMAP, leg="client"),
                           *[told("downgrade", "recorded", client_address=NMAP, offered=dialect)
                             for dialect in ("2.0.2", "2.1", "3.0", "3.0.2")]], {})
