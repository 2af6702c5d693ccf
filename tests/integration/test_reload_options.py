"""Every option of proxy.yaml at a reload: it is used from then on, or the reload is refused and names it.

Of what is used there is something to see from outside that was not so before. A session that was there
before goes on in each case.
"""

import os

import pytest

import bodies
import kerberos
import keytab
import pac
import smb2
from harness import free_port, new_address
from kerberosrig import PROXY_NAME, PROXY_SERVICE
from proxy import Credentials, UIDS
from rawclient import Disconnected, Failed
from reloadplace import Place, shipped_options
from stubserver import CONTENT

TRUST_INCONSISTENT = 0xC000019B  # STATUS_DOMAIN_TRUST_INCONSISTENT
CORP_SID = "S-1-5-21-1-2-3"
GUID = bytes(range(1, 17))


@pytest.fixture(scope="module")
def module_place(realm):
    with realm.file_server() as server, Place(realm, server) as place:
        yield place


@pytest.fixture
def place(module_place):
    yield module_place
    module_place.restore()
    module_place.proxy.assert_healthy()


def takes_a_restart(place):
    """Option → (where it stands, its other value)."""
    extra = place.extra
    users = {role: str(uid) for role, uid in UIDS.items()}

    def user(**changes):
        return lambda: extra.update(users={**users, **changes})

    def part(section, **changes):
        return lambda: extra.update({section: {**extra.get(section, {}), **changes}})

    return {
        "workers": lambda: setattr(place.proxy, "workers", 3),
        "winbind": lambda: extra.update(winbind=True, users={**users, "keeper_groups": []}),
        "users.worker": user(worker="64104"), "users.keeper": user(keeper="64105"),
        "users.recorder": user(recorder="64106"), "users.keeper_groups": user(keeper_groups=["shadow"]),
        "audit.file": part("audit", file=place.proxy.audit_file + ".other"),
        "audit.syslog": part("audit", syslog=True), "audit.fold": part("audit", fold=1),
        "authentication.failures": part("authentication", failures=7),
        "authentication.failures_per_source": part("authentication", failures_per_source=70),
        "authentication.failures_per_user": part("authentication", failures_per_user=70),
        "authentication.delay_max": part("authentication", delay_max=1),
        "state": lambda: extra.update(state=place.proxy.state_file + ".other"),
        "kerberos.config": part("kerberos", config="/etc/krb5.conf"),
        "limits.connections": part("limits", connections=100),
        "limits.memory": part("limits", memory=100),
    }


RESTART = sorted(["workers", "winbind", "users.worker", "users.keeper", "users.recorder",
                  "users.keeper_groups", "audit.file", "audit.syslog", "audit.fold",
                  "authentication.failures", "authentication.failures_per_source",
                  "authentication.failures_per_user", "authentication.delay_max", "state",
                  "kerberos.config", "limits.connections", "limits.memory"])


@pytest.mark.parametrize("option", RESTART)
def test_what_takes_a_restart(place, option):
    """It is named, and nothing else of the file is used either."""
    place.extra["otherwise"] = "refuse"
    takes_a_restart(place)[option]()
    place.proxy.write_configuration()
    place.proxy.mark()
    status, said = place.proxy.reload()
    assert status == 1 and f"`{option}` has changed, which takes a restart" in said
    assert place.proxy.configuration in said and "everything stays as it was" in said
    assert place.proxy.wait_event("reload_refused")["text"] in said
    place.extra["otherwise"] = "allow"
    assert place.login()


# What is seen of each option: with the first value it is not so, with the second it is. "before" is what
# has to be changed besides.

def on_listener(seen, before=None, **change):
    return seen, (lambda place: place.listener.update(change)), before


def on_upstream(seen, before=None, **change):
    return seen, (lambda place: place.upstream.update(change)), before


def on_top(seen, before=None, **change):
    def apply(place):
        for name, value in change.items():
            value = value(place) if callable(value) else value
            place.extra[name] = {**place.extra.get(name, {}), **value} if isinstance(value, dict) else value
    return seen, apply, before


def elsewhere(place):
    place.listener["address"] = new_address()


def other_port(place):
    place.listener["port"] = free_port(place.listener["address"])


def moved(place):
    """Served where it is now, and nobody where it was."""
    first = place.listener_first
    return place.where != first and bool(place.login()) and not place.listens(*first)


def to_twin(**options):
    return lambda place: place.upstream.update(address=place.twin.address, **options)


def delegating(**options):
    return lambda place: place.upstream.update(
        login=["delegate"], **{name: value(place) if callable(value) else value
                               for name, value in options.items()})


def renamed_upstream(place):
    place.upstream["name"] = place.listener["upstream"] = "renamed"


def rc4_ticket(place):
    entry = next(entry for entry in keytab.read(place.keytab) if entry.encryption == kerberos.AES256)
    made = kerberos.make_ticket(entry, "alice@MIT.TEST", key_type=kerberos.RC4)
    initiator, place.initiator = place.initiator, lambda: kerberos.Initiator(made)
    try:
        return bool(place.login(ticket=True))
    finally:
        place.initiator = initiator


def claimed(realm, said=None):
    """A user of another realm is not believed to be of a domain."""
    def seen(place):
        entry = next(entry for entry in keytab.read(place.keytab) if entry.encryption == kerberos.AES256)
        info = said and pac.logon_info("mallory", 1103, *said)
        made = kerberos.make_ticket(entry, f"mallory@{realm}", logon_info=info)
        with place.raw() as client:
            client.negotiate()
            with pytest.raises(Failed) as refused:  # by the file server, if it is believed
                client.login_ticket(kerberos.Initiator(made))
            return refused.value.status == TRUST_INCONSISTENT
    return seen


def domain_of(realm, **more):
    return {"domains": [{"name": "CORP", "realm": realm, **more}]}


def pinned(place):
    """Who offers less than before is refused."""
    old = {"dialects": (0x202, 0x210)}

    def connect(**offer):
        try:
            with place.raw() as client:
                client.guid = GUID
                client.negotiate(**offer)
                return True
        except (Failed, Disconnected):
            return False
    return connect() and not connect(**old)


def pinned_upstream(place):
    place.stub.dialect = 0x311
    whole = bool(place.login())
    place.stub.dialect = 0x210
    try:
        return whole and not place.login()
    finally:
        place.stub.dialect = 0x311


def stub_with(**knobs):
    def apply(place):
        place.use_stub()
        place.upstream["name"] = place.listener["upstream"] = "stub"  # of which nothing is remembered
        for name, value in knobs.items():
            setattr(place.stub, name, value)
    return apply


def second_login_refused(place):
    client, _ = place.established()
    with client:
        try:
            client.login("bob", target_name=f"cifs/{PROXY_NAME}")
        except (Failed, Disconnected):
            return bool(place.proxy.wait_event("limit_reached", reason="sessions_per_connection"))
    return False


def without_alice(place):
    path = place.proxy.credentials.path + ".other"
    if not os.path.exists(path):
        Credentials(path, {"bob": "Bob.Pw2"})
    return path


def strict(place):
    """A session's end that does not verify ends the connection."""
    return place.answer_of_stub(smb2.WRITE, lambda file: bodies.write(file, b"more")) is None


CIPHERS = (2, 4, 1, 3)
REFUSE_ALICE = [{"name": "no", "who": ["alice"], "then": "refuse"}]
TAKEN = {
    "listeners[].name": on_listener(lambda p: p.login()["listener"] == "renamed", name="renamed"),
    "listeners[].address": (moved, elsewhere, None),
    "listeners[].port": (moved, other_port, None),
    "listeners[].upstream": on_listener(lambda p: p.link()["upstream"] == "twin", upstream="twin"),
    "listeners[].names": on_listener(lambda p: p.login(target_name="cifs/files.test"),
                                     names=[PROXY_NAME, "files.test"]),
    "listeners[].min_dialect": on_listener(lambda p: not p.link(dialects=(0x202, 0x300)),
                                           min_dialect="3.1.1"),
    "listeners[].max_dialect": on_listener(lambda p: p.link()["client_dialect"] == "2.1",
                                           max_dialect="2.1"),
    "listeners[].signing": on_listener(lambda p: p.link()["client_signing"] == "HMAC-SHA256",
                                       signing=["hmac-sha256"]),
    "listeners[].posture": on_listener(lambda p: not p.login() and p.login(
        offer={"ciphers": CIPHERS})["encrypts"], posture="encryption"),
    "listeners[].encryption": on_listener(lambda p: not p.login() and p.login(
        offer={"ciphers": CIPHERS})["encrypts"], encryption="required"),
    "listeners[].ciphers": on_listener(
        lambda p: p.link(ciphers=CIPHERS)["client_cipher"] == "AES-256-CCM", ciphers=["aes-256-ccm"]),
    "listeners[].encrypted_shares": on_listener(
        lambda p: p.login(offer={"ciphers": CIPHERS})["encrypts"], encrypted_shares=["DATA"]),
    "listeners[].multi_protocol": on_listener(lambda p: not p.takes_smb1(), multi_protocol="refuse"),
    "listeners[].mic": on_listener(lambda p: not p.login(mic="none"), mic="required"),
    "listeners[].target_name": on_listener(lambda p: not p.login(target_name=None),
                                           target_name="required"),
    "listeners[].mechanisms": on_listener(lambda p: not p.login(), mechanisms=["kerberos"]),
    "listeners[].keytab": (
        lambda p: not p.login(ticket=True),
        lambda p: p.listener.update(keytab=p.wrong_keytab), delegating(service=PROXY_SERVICE + "@MIT.TEST")),
    "listeners[].services": on_listener(
        lambda p: not p.login(ticket=True), before=delegating(service=PROXY_SERVICE + "@MIT.TEST"),
        services=["cifs/elsewhere.mit.test"]),
    "listeners[].downgrade": on_listener(pinned, downgrade="pin"),
    "upstreams[].name": (lambda p: p.link()["upstream"] == "renamed", renamed_upstream, None),
    "upstreams[].address": (lambda p: p.link()["upstream_address"] == p.twin.address, to_twin(), None),
    "upstreams[].port": (
        lambda p: p.link()["upstream_port"] == p.second_relay.port,
        lambda p: p.upstream.update(port=p.second_relay.port), None),
    "upstreams[].server_name": on_upstream(
        lambda p: "another.test".encode("utf-16-le") in p.path_upstream(), server_name="another.test"),
    "upstreams[].login": on_upstream(lambda p: p.login()["login"] == "mapped", login=["mapped"]),
    "upstreams[].service": on_upstream(
        lambda p: p.login(ticket=True), before=delegating(service="cifs/nobody.mit.test@MIT.TEST"),
        service=PROXY_SERVICE + "@MIT.TEST"),
    "upstreams[].keytab": (
        lambda p: p.login(ticket=True), lambda p: p.upstream.update(keytab=p.keytab),
        delegating(service=PROXY_SERVICE + "@MIT.TEST", keytab=lambda p: p.wrong_keytab)),
    "upstreams[].min_dialect": on_upstream(lambda p: not p.link(), before=to_twin(), min_dialect="3.1.1"),
    "upstreams[].max_dialect": on_upstream(lambda p: p.link()["upstream_dialect"] == "2.1",
                                           max_dialect="2.1"),
    "upstreams[].signing": on_upstream(lambda p: p.link()["upstream_signing"] == "HMAC-SHA256",
                                       signing=["hmac-sha256"]),
    "upstreams[].encryption": on_upstream(lambda p: p.sealed_upstream(), encryption="required"),
    "upstreams[].ciphers": on_upstream(lambda p: p.link()["upstream_cipher"] == "AES-256-CCM",
                                       ciphers=["aes-256-ccm"]),
    "upstreams[].encrypted_shares": on_upstream(lambda p: p.sealed_upstream(), encrypted_shares=["data"]),
    "upstreams[].quirks": on_upstream(
        lambda p: p.answer_of_stub(smb2.READ, lambda file: bodies.read(file, 16, 1000)) == smb2.END_OF_FILE,
        before=stub_with(bare_errors={smb2.READ: (smb2.END_OF_FILE, "wrong")}, file_size=len(CONTENT)),
        quirks=["unsigned-end-of-file"]),
    "upstreams[].strict": on_upstream(
        strict, before=stub_with(bare_errors={smb2.WRITE: (smb2.USER_SESSION_DELETED, "echo")}),
        strict=True),
    "upstreams[].downgrade": on_upstream(pinned_upstream, before=stub_with(bare_errors={}),
                                         downgrade="pin"),
    "upstreams[].connect_timeout": on_upstream(lambda p: p.unreachable_after() < 3.8, before=to_twin(
        connect_timeout=4000), connect_timeout=200),
    "upstreams[].connections": on_upstream(
        lambda p: p.reaches_limit("upstream_connections"), connections=1),
    "otherwise": on_top(lambda p: not p.login(), otherwise="refuse"),
    "credentials": on_top(lambda p: not p.login() and p.login("bob"), credentials=without_alice),
    "kerberos.keytab": on_top(
        lambda p: not p.login(ticket=True), before=delegating(
            service=PROXY_SERVICE + "@MIT.TEST", keytab=lambda p: p.keytab),
        kerberos=lambda p: {"keytab": p.wrong_keytab}),
    "kerberos.rc4": on_top(rc4_ticket, before=lambda p: p.upstream.update(login=["transition", "mapped"],
                                                                         service=PROXY_SERVICE + "@MIT.TEST"),
                           kerberos={"rc4": "allow"}),
    "kerberos.domains[].name": on_top(claimed("CORP"), kerberos=domain_of("MIT.TEST")),
    "kerberos.domains[].realm": on_top(
        claimed("CORP"), before=lambda p: p.extra["kerberos"].update(domain_of("CORP")),
        kerberos=domain_of("MIT.TEST")),
    "kerberos.domains[].sid": on_top(
        claimed("EVIL.TEST", ("EVIL", CORP_SID)),
        before=lambda p: p.extra["kerberos"].update(domain_of("MIT.TEST")),
        kerberos=domain_of("MIT.TEST", sid=CORP_SID)),
    "limits.connections_per_source": on_top(
        lambda p: p.reaches_limit("connections_per_source"), limits={"connections_per_source": 1}),
    "limits.login_timeout": on_top(lambda p: p.idle_is_ended(6), limits={"login_timeout": 1000}),
    "limits.sessions_per_connection": on_top(second_login_refused, limits={"sessions_per_connection": 1}),
    "limits.interim_hold": on_top(lambda p: not p.interim_comes(), limits={"interim_hold": 10_000}),
    "netbios_name": on_top(lambda p: p.challenge()[1] == "OTHERNAME", netbios_name="OTHERNAME"),
    "netbios_domain": on_top(lambda p: p.challenge()[2] == "OTHERGROUP", netbios_domain="OTHERGROUP"),
    "dns_name": on_top(lambda p: p.challenge()[3] == "other.example", dns_name="other.example"),
    "dns_domain": on_top(lambda p: p.challenge()[4] == "domain.example", dns_domain="domain.example"),
}
RULES = {f"rules[].{name}" for name in (
    "name", "preset", "who", "from.network", "from.listener", "to.upstream", "to.share", "to.pipe",
    "when.mechanism", "when.dialect", "when.signing", "when.cipher", "when.target_name", "then",
    "demand.encryption", "demand.kerberos", "demand.mutual_authentication", "demand.min_dialect",
    "demand.read_only", "demand.pin", "authenticated_rpc")}
ELSEWHERE = ["listeners[].transparent"]  # test_transparent, which has a network of its own


def test_no_option_is_left_out(place):
    """Each is in one of the tables; rules are one option to a reload, and have tests of their own."""
    assert sorted(takes_a_restart(place)) == RESTART
    assert sorted(shipped_options()) == sorted([*RESTART, *TAKEN, *RULES, *ELSEWHERE])


@pytest.mark.parametrize("option", TAKEN)
def test_what_a_reload_takes(place, option):
    seen, change, before = TAKEN[option]
    place.listener_first = place.where
    client, session = place.established()
    with client:
        name = f"kept-{option.replace('[]', '').replace('.', '-')}"
        file = session.create(name)
        session.write(file, b"through a reload")
        if before:
            before(place)
            place.reload()
        assert not seen(place), "it is so before the reload"
        change(place)
        place.reload()
        assert seen(place)
        assert session.read(file, 16) == b"through a reload"
        session.write(file, b"and on", offset=16)
        session.close(file)


def test_rules_are_taken(place):
    assert place.login()
    place.extra["rules"] = REFUSE_ALICE
    place.reload()
    assert not place.login() and place.login("bob")
