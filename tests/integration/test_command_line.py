"""What an administrator types: check, user, version, and what a wrong answer says."""

import os

import pytest

from nas import Nas
from ntlm import nt_hash
from proxy import UIDS, command
from stubserver import StubServer

GOOD = """listeners:
  - name: lan
    address: 127.0.0.1
    port: 4450
    upstream: nas
upstreams:
  - name: nas
    address: {address}
    port: {port}
    login: [same]
credentials: {credentials}
audit:
  file: {directory}/audit.json
users: {{worker: "64101", keeper: "64102", recorder: "64103"}}
"""

# What is changed in GOOD, and the line that the complaint must name.
BAD = {
    "unknown key": ("    port: 4450\n", "    port: 4450\n    colour: red\n", 5, "colour"),
    "port that is no number": ("port: 4450", "port: many", 4, "port"),
    "port 0": ("port: 4450", "port: 0", 4, "port"),
    "port out of range": ("port: 4450", "port: 70000", 4, "port"),
    "address that is none": ("address: 127.0.0.1", "address: everywhere", 3, "address"),
    "upstream that is not there": ("upstream: nas", "upstream: san", 5, "san"),
    "unknown login": ("login: [same]", "login: [kerberos]", 10, "login"),
    "empty login": ("login: [same]", "login: []", 10, "login"),
    "login twice": ("login: [same]", "login: [same, same]", 10, "login"),
    "unknown dialect": ("upstream: nas\n", "upstream: nas\n    min_dialect: 1.0\n", 6, "min_dialect"),
    "dialects the wrong way round": (
        "upstream: nas\n", "upstream: nas\n    min_dialect: 3.1.1\n    max_dialect: 2.1\n", 6, "dialect"),
    "unknown algorithm": ("upstream: nas\n", "upstream: nas\n    signing: [md5]\n", 6, "signing"),
    "not YAML": ("upstreams:\n", "upstreams: [\n", None, ""),
    "negative number": ("credentials:", "workers: -1\ncredentials:", 11, "workers"),
}


@pytest.fixture(scope="module")
def server():
    with Nas() as nas:
        yield nas


class Site:
    """A directory with a configuration and a credentials file."""

    def __init__(self, path, server):
        os.chmod(path, 0o755)
        self.directory, self.server = path, server
        self.credentials = path / "credentials"
        self.configuration = path / "proxy.yaml"
        self.text = GOOD.format(address=server.address, port=server.port, directory=path,
                                credentials=self.credentials)
        self.write(self.text)
        self.user("add", "alice", input="Alice.Pw1\n")

    def write(self, text):
        self.configuration.write_text(text)

    def user(self, verb, *arguments, status=0, **options):
        done = command("user", verb, "--config", str(self.configuration), *arguments, **options)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def check(self, *arguments):
        done = command("check", "--config", str(self.configuration), *arguments)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def site(tmp_path, server):
    # pytest's own directories are closed to other users; only the command line runs here, as root.
    return Site(tmp_path, server)


def test_good_configuration(site):
    status, output = site.check("--offline")
    assert status == 0, output


def test_state_directory(site):
    state = site.directory / "state"
    site.write(site.text + f"state: {state}/memory\n")
    status, output = site.check("--offline")
    assert status == 0 and "nothing is remembered over a restart" in output
    state.mkdir()
    assert "does not belong to users.recorder" in site.check("--offline")[1]
    os.chown(state, UIDS["recorder"], UIDS["recorder"])
    assert "over a restart" not in site.check("--offline")[1]


@pytest.mark.parametrize("case", BAD)
def test_bad_configuration_names_the_line(site, case):
    before, after, line, word = BAD[case]
    assert before in site.text
    site.write(site.text.replace(before, after, 1))
    status, output = site.check("--offline")
    assert status == 1, output
    assert str(site.configuration) in output
    if line is not None:
        assert f"proxy.yaml:{line}:" in output, output
    assert word in output
    done = command("run", "--config", str(site.configuration))
    assert done.returncode == 1 and (line is None or f":{line}:" in done.stderr), done.stderr


def test_configuration_that_is_not_there():
    for verb in ("check", "run"):
        done = command(verb, "--config", "/nonexistent/proxy.yaml")
        assert done.returncode == 1 and "/nonexistent/proxy.yaml" in done.stderr + done.stdout


def test_check_tells_what_the_file_server_offers(site):
    status, output = site.check()
    assert status == 0, output
    for word in ("3.1.1", "2.0.2", "GMAC", "CMAC", "HMAC"):
        assert word in output, output
    assert "not required" in output or "enabled" in output, output


@pytest.mark.parametrize("knobs", [dict(security_mode=0), dict(smb1_only=True), dict(closes="accept"),
                                   dict(silent="accept")], ids=str)
def test_check_of_a_file_server_that_cannot_be_used(tmp_path, knobs):
    with StubServer(**knobs) as stub:
        status, output = Site(tmp_path, stub).check()
        assert status == 1 and "nas" in output, output


def test_check_of_a_file_server_that_is_down(site, server):
    site.write(site.text.replace(f"port: {server.port}", "port: 1"))
    status, output = site.check()
    assert status == 1 and server.address in output, output


@pytest.mark.parametrize("uid, mode, word", [
    (None, None, "No such file"), (UIDS["worker"], 0o600, "belongs to user"),
    (UIDS["keeper"], 0o644, "by others than the keeper"), (0, 0o600, "cannot be read by the keeper")])
def test_keytab_that_cannot_be_used(site, uid, mode, word):
    keytab = site.configuration.parent / "keytab"
    if mode is not None:
        keytab.write_bytes(b"\x05\x02")
        keytab.chmod(mode)
        os.chown(keytab, uid, UIDS["keeper"])
    site.write(site.text + f"kerberos: {{keytab: {keytab}}}\n")
    status, output = site.check("--offline")
    assert status == 1 and f"{keytab} " in output and word in output, output
    done = command("run", "--config", str(site.configuration))
    assert done.returncode == 1 and word in done.stderr, done.stderr


def test_keytab_that_can_be_used(site):
    keytab = site.configuration.parent / "keytab"
    keytab.write_bytes(b"\x05\x02")
    keytab.chmod(0o600)
    os.chown(keytab, UIDS["keeper"], UIDS["keeper"])
    site.write(site.text + f"kerberos: {{keytab: {keytab}}}\n")
    status, output = site.check("--offline")
    assert status == 0 and f"keytab: {keytab}" in output, output


def test_groups_of_the_keeper_that_are_not_there(site):
    assert "users: {" in site.text
    site.write(site.text.replace("users: {", "users: {keeper_groups: [no-such-group-here], ", 1))
    status, output = site.check("--offline")
    assert status == 1 and "no group no-such-group-here" in output, output
    done = command("run", "--config", str(site.configuration))
    assert done.returncode == 1 and "no group no-such-group-here" in done.stderr, done.stderr


def test_credentials_that_others_may_read(site):
    site.credentials.chmod(0o644)
    status, output = site.check("--offline")
    assert status == 1 and "credentials" in output, output


def test_users_come_and_go(site):
    hash_of_bob = nt_hash("Bob.Pw2").hex()
    site.user("add", "bob", input="Bob.Pw2\n")
    text = site.credentials.read_text()
    assert hash_of_bob in text.lower() and "Bob.Pw2" not in text
    assert site.credentials.stat().st_mode & 0o777 == 0o600
    assert site.credentials.stat().st_uid == UIDS["keeper"]
    listing = site.user("list")
    assert "alice" in listing and "bob" in listing
    assert hash_of_bob not in listing.lower()
    site.user("add", "bob", input="Another.Pw\n")
    assert site.credentials.read_text().count("bob") == 1
    assert nt_hash("Another.Pw").hex() in site.credentials.read_text().lower()
    site.user("remove", "bob")
    assert "bob" not in site.user("list")
    site.user("remove", "bob", status=1)
    assert "alice" in site.user("list")


def test_mapped_accounts(site):
    site.user("add", "--mapped", "LABGROUP\\service", "carol", input="Service.Pw\n")
    site.user("add", "--mapped", "fallback", "*", input="Fallback.Pw\n")
    listing = site.user("list")
    assert "carol" in listing and "service" in listing and "fallback" in listing
    site.user("remove", "--mapped", "carol")
    assert "carol" not in site.user("list")


def test_import_from_smbpasswd(site, tmp_path):
    """What `pdbedit -L -w` writes; disabled accounts and machines stay out, and it says so."""
    good = nt_hash("Dora.Pw4").hex().upper()
    lines = (f"dora:1001:{'X' * 32}:{good}:[U          ]:LCT-6543210F:\n"
             f"eve:1002:{'X' * 32}:{good}:[DU         ]:LCT-6543210F:\n"
             f"pc$:1003:{'X' * 32}:{good}:[W          ]:LCT-6543210F:\n")
    (tmp_path / "smbpasswd").write_text(lines)
    output = site.user("import", str(tmp_path / "smbpasswd"))
    assert "eve" in output and "pc$" in output
    assert good not in output and good.lower() not in output
    listing = site.user("list")
    assert "dora" in listing and "eve" not in listing and "pc$" not in listing


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "x" * 600])
def test_names_that_would_break_the_file(site, name):
    before = site.credentials.read_text()
    done = command("user", "add", "--config", str(site.configuration), name, input="p\n")
    assert done.returncode in (1, 2) and done.stderr
    assert site.credentials.read_text() == before


def test_usage():
    for arguments in ((), ("nonsense",), ("run", "--nonsense"), ("check", "--config"), ("user",)):
        done = command(*arguments)
        assert done.returncode == 2 and done.stderr, arguments
    for arguments in (("--help",), ("run", "--help"), ("check", "--help"), ("user", "--help"),
                      ("user", "add", "--help"), ("version",)):
        done = command(*arguments)
        assert done.returncode == 0 and done.stdout, arguments
