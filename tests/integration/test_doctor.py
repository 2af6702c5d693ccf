"""`countersign doctor` finds what people get wrong with names, keys, clocks and rights, and says what
to do about it. Each mistake is made on purpose, beside an arrangement in which nothing is wrong.
"""

import json
import os

import pytest

from harness import free_port, new_address, run
from mitkdc import Realm
from proxy import BINARY, UIDS

SERVICE = "cifs/files.mit.test"


class Arrangement:
    """A realm, a file server in it, and a configuration of a proxy that delegates to it."""

    def __init__(self, directory):
        self.realm = Realm(delegation=True)
        self.directory = directory

    def __enter__(self):
        self.realm.__enter__()
        try:
            self.nas = self.realm.file_server()
            self.nas.__enter__()
            self._name_services()
        except BaseException:
            self.realm.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *details):
        self.nas.__exit__(*details)
        self.realm.__exit__(*details)

    def _name_services(self):
        self.address = new_address()
        self.realm.add_host("files.mit.test", self.address)
        self.realm.add_service(SERVICE, "+ok_to_auth_as_delegate")
        self.realm.add_service("cifs/other.mit.test")
        self.realm.allow_delegation(SERVICE, self.nas.service)
        self.keytab = os.path.join(self.directory, "keytab")
        self.export(SERVICE)
        self.options = {
            "listeners": [{"name": "lan", "address": self.address, "port": free_port(self.address),
                           "upstream": "nas", "names": ["files.mit.test"]}],
            "upstreams": [{"name": "nas", "address": self.nas.address, "port": self.nas.port,
                           "server_name": self.nas.name, "login": ["delegate"],
                           "service": self.realm.principal(SERVICE)}],
            "kerberos": {"keytab": self.keytab, "config": self.realm.krb5_conf},
            "audit": {"file": os.path.join(self.directory, "audit.json")},
            "users": {role: str(uid) for role, uid in UIDS.items()}}

    def export(self, *services):
        """The keytab, with the keys that these services have now."""
        if os.path.exists(self.keytab):
            os.unlink(self.keytab)
        self.realm.keytab(self.keytab, *services, owner=UIDS["keeper"])
        os.chmod(self.keytab, 0o600)

    def doctor(self, *arguments, preload=None, **changes):
        """Runs it; (exit status, what it says). `changes` replace options of the configuration."""
        path = os.path.join(self.directory, "proxy.yaml")
        with open(path, "w", encoding="ascii") as file:
            for key, value in {**self.options, **changes}.items():
                file.write(f"{key}: {json.dumps(value)}\n")
        # The realm's hosts file in the place of this host's: AddressSanitizer takes no nss_wrapper.
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        done = run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                    self.realm.path("hosts"), BINARY, "doctor", "--config", path, *arguments], 60,
                   env=dict(os.environ, **(preload or {})))
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    def finds(self, *words, arguments=(), **options):
        """There is a problem, and a line that begins with PROBLEM has all these words."""
        status, output = self.doctor(*arguments, **options)
        problems = [line for line in output.splitlines() if line.startswith("  PROBLEM: ")]
        assert status == 1 and any(all(word in line for word in words) for line in problems), output


@pytest.fixture(scope="module")
def arrangement(tmp_path_factory):
    """Made once; a test that breaks something mends it."""
    directory = tmp_path_factory.mktemp("doctor")
    os.chmod(directory.parent, 0o755)
    os.chmod(directory, 0o755)
    with Arrangement(str(directory)) as made:
        yield made


def test_nothing_is_wrong(arrangement):
    status, output = arrangement.doctor("--user", "alice")
    assert status == 0 and "PROBLEM" not in output, output
    for said in (f"a ticket for {SERVICE} can be had and opened", "the clock agrees with the KDC's",
                 "the name files.mit.test leads here",
                 f"it can act for alice at {arrangement.nas.service}", "dialects: 2.0.2"):
        assert said in output, output
    assert "--user NAME" in arrangement.doctor()[1]
    assert arrangement.doctor("--user", "MIT\\alice")[0] == 0


def test_keytab_is_not_there(arrangement):
    missing = {**arrangement.options["kerberos"], "keytab": "/nowhere/keytab"}
    arrangement.finds("no keytab /nowhere/keytab", "export one", kerberos=missing)


def test_keytab_is_for_everybody(arrangement):
    os.chmod(arrangement.keytab, 0o644)
    arrangement.finds(arrangement.keytab, "chmod")
    os.chmod(arrangement.keytab, 0o600)


def test_keytab_of_another_service(arrangement):
    arrangement.export("cifs/other.mit.test")
    arrangement.finds("has no key for", SERVICE, "export the key")
    arrangement.export(SERVICE)


def test_keytab_that_is_none(arrangement):
    with open(arrangement.keytab, "wb") as file:
        file.write(b"no keytab at all")
    arrangement.finds("is no keytab", "export it again")
    arrangement.export(SERVICE)


def test_name_that_the_kdc_does_not_know(arrangement):
    listeners = [{**arrangement.options["listeners"][0], "names": ["shares.mit.test"]}]
    arrangement.realm.add_host("shares.mit.test", arrangement.address)
    arrangement.finds("does not know cifs/shares.mit.test", "setspn", listeners=listeners)


def test_password_was_changed(arrangement):
    arrangement.realm.new_key(SERVICE, keep_old=False)
    arrangement.finds("another key", "export the keytab again")
    arrangement.export(SERVICE)
    assert arrangement.doctor()[0] == 0


def test_delegation_is_not_allowed(arrangement):
    arrangement.realm.allow_delegation(SERVICE)
    arrangement.finds("may not act for alice", "msDS-AllowedToDelegateTo",
                      arguments=("--user", "alice"))
    arrangement.realm.allow_delegation(SERVICE, arrangement.nas.service)


def test_account_may_not_ask_for_any_protocol(arrangement):
    arrangement.realm.change(SERVICE, "-ok_to_auth_as_delegate")
    arrangement.finds("may not act for alice", "TrustedToAuthForDelegation",
                      arguments=("--user", "alice"))
    arrangement.realm.change(SERVICE, "+ok_to_auth_as_delegate")


def test_user_is_unknown(arrangement):
    arrangement.finds("no ticket in the name of mallory", "a user of the domain",
                      arguments=("--user", "mallory"))


def test_file_server_is_unknown_to_the_kdc(arrangement):
    upstreams = [{**arrangement.options["upstreams"][0], "server_name": "store.mit.test"}]
    arrangement.finds("does not know cifs/store.mit.test", "server_name", upstreams=upstreams)


def test_name_leads_past_the_proxy(arrangement):
    arrangement.realm.add_host("files.mit.test", arrangement.nas.address)
    arrangement.finds("the name files.mit.test leads to", "go past Countersign", "DNS")
    arrangement.realm.add_host("files.mit.test", arrangement.address)


def test_kdc_is_down(arrangement):
    arrangement.realm.stop()
    arrangement.finds("no KDC answers", "port 88")
    arrangement.realm.start()


def test_file_server_is_down(arrangement):
    upstreams = [{**arrangement.options["upstreams"][0], "port": free_port(arrangement.nas.address)}]
    arrangement.finds("cannot connect", "start the file server", upstreams=upstreams)


def test_winbind_is_not_there(arrangement):
    arrangement.finds("winbindd does not answer", winbind=True)


def test_clock_is_wrong(arrangement):
    """This host is an hour ahead of the KDC."""
    library = "/usr/$LIB/faketime/libfaketime.so.1"
    arrangement.finds("clock", "chrony", preload={
        "LD_PRELOAD": library, "FAKETIME": "+3600s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "ASAN_OPTIONS": "verify_asan_link_order=0"})


