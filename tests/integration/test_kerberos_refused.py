"""What is wrong with a ticket is refused, with an event that says what, and nothing reaches the file server.

Tickets that no KDC can be brought to issue are made with the service's own key, as a KDC would.
"""

import os
import signal

import pytest

import kerberos
import keytab
import smb2
from harness import wait_until
from kerberosrig import KerberosRig
from proxy import UIDS
from rawclient import Failed

RC4_SERVICE = "cifs/old.mit.test"
OTHER_SERVICE = "cifs/other.mit.test"
HOST_SERVICE = "host/nas.mit.test"
HOUR = 3600
NO_LOGON_SERVERS = 0xC000005E
TIME_DIFFERENCE = 0xC0000133  # STATUS_TIME_DIFFERENCE_AT_DC


@pytest.fixture(scope="module")
def server(realm):
    realm.add_service(RC4_SERVICE, "+no_auth_data_required", encryption="rc4-hmac:normal")
    realm.add_service(OTHER_SERVICE)
    with realm.file_server() as file_server:
        yield file_server


@pytest.fixture(scope="module")
def module_rig(realm, server):
    with KerberosRig(realm, server, on_listener={"services": [server.service, RC4_SERVICE]}) as rig:
        rig.good = keytab.read(rig.keys_path) + keytab.read(
            realm.keytab(realm.path("old.keytab"), RC4_SERVICE))
        yield rig


@pytest.fixture(autouse=True)
def right_keys(rig):
    keytab.write(rig.keys_path, rig.good, UIDS["keeper"])


def service_key(rig, encryption=kerberos.AES256):
    return next(entry for entry in rig.good if entry.encryption == encryption)


def fetched(realm, service, user="alice"):
    cache = realm.kinit(user)
    cache.must_get(service)
    return kerberos.credential(cache, service)


def made(rig, **options):
    return kerberos.make_ticket(service_key(rig), "alice@MIT.TEST", **options)


def refusal(rig, initiator):
    """The status that a login is refused with, on a connection of its own."""
    with rig.raw() as client:
        client.negotiate()
        with pytest.raises(Failed) as refused:
            client.login_ticket(initiator)
    assert not rig.at_server(smb2.SESSION_SETUP), "the file server heard of it"
    return refused.value.status


def assert_refused(rig, initiator, reason, event="kerberos_refused", status=smb2.LOGON_FAILURE):
    assert refusal(rig, initiator) == status
    found = rig.proxy.wait_event(event)
    assert (found["reason"], found["mechanism"]) == (reason, "kerberos")
    assert not rig.proxy.seen("login")


def test_good_ticket_passes(rig, realm):
    """What the others differ from."""
    for ticket in (made(rig), fetched(realm, rig.service)):
        with rig.raw() as client:
            client.negotiate()
            client.login_ticket(kerberos.Initiator(ticket)).tree_connect()


def test_ticket_for_another_service_of_the_same_account(rig):
    """One account has one key for all of its names: only the name in the ticket tells them apart."""
    ticket = kerberos.make_ticket(service_key(rig), "alice@MIT.TEST", service=HOST_SERVICE)
    assert_refused(rig, kerberos.Initiator(ticket), "ticket_service", status=smb2.ACCESS_DENIED)


def test_ticket_for_a_service_of_another_account(rig, realm):
    assert_refused(rig, kerberos.Initiator(fetched(realm, OTHER_SERVICE)), "ticket_service",
                   status=smb2.ACCESS_DENIED)


def test_ticket_with_our_name_and_another_accounts_key(rig, realm):
    """As a KDC of somebody else's would make it."""
    entry = service_key(rig)
    foreign = keytab.Entry(entry.principal, entry.kvno, entry.encryption, os.urandom(32))
    assert_refused(rig, kerberos.Initiator(kerberos.make_ticket(foreign, "alice@MIT.TEST")),
                   "ticket_key")


def test_replayed_request(rig, realm):
    """The very same AP-REQ on another connection, after the login that it was made for."""
    initiator = kerberos.Initiator(fetched(realm, rig.service))
    with rig.raw() as client:
        client.negotiate()
        client.login_ticket(initiator).tree_connect()
    rig.reset()
    assert_refused(rig, initiator.last_request, "replay")


def test_ticket_of_rc4(rig, realm):
    ticket = fetched(realm, RC4_SERVICE)
    assert ticket.encryption == kerberos.RC4
    assert_refused(rig, kerberos.Initiator(ticket), "encryption_type", "rc4_refused")


def test_session_key_of_rc4(rig):
    initiator = kerberos.Initiator(made(rig, key_type=kerberos.RC4))
    assert_refused(rig, initiator, "encryption_type", "rc4_refused")


def test_expired_ticket(rig):
    assert_refused(rig, kerberos.Initiator(made(rig, starts=-2 * HOUR, lasts=HOUR)), "ticket_expired")


def test_ticket_that_is_not_valid_yet(rig):
    assert_refused(rig, kerberos.Initiator(made(rig, starts=HOUR)), "ticket_expired")


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_clock_of_the_client(rig, realm, skew):
    assert_refused(rig, kerberos.Initiator(made(rig, starts=-2 * HOUR, lasts=4 * HOUR), skew=skew),
                   "clock_skew", status=TIME_DIFFERENCE)


def test_client_that_claims_another_name_than_its_ticket(rig, realm):
    initiator = kerberos.Initiator(fetched(realm, rig.service), client="bob@MIT.TEST")
    assert_refused(rig, initiator, "kerberos")


def test_keytab_with_other_keys(rig, realm):
    """As after a new password of the account that nobody told the proxy."""
    wrong = [keytab.Entry(entry.principal, entry.kvno, entry.encryption, os.urandom(len(entry.key)))
             for entry in rig.good]
    keytab.write(rig.keys_path, wrong, UIDS["keeper"])
    assert_refused(rig, kerberos.Initiator(fetched(realm, rig.service)), "ticket_key")


def test_keytab_of_another_version(rig, realm):
    newer = [keytab.Entry(entry.principal, entry.kvno + 7, entry.encryption, os.urandom(len(entry.key)))
             for entry in rig.good]
    keytab.write(rig.keys_path, newer, UIDS["keeper"])
    assert_refused(rig, kerberos.Initiator(fetched(realm, rig.service)), "ticket_key")


def test_no_keytab_any_more(rig, realm):
    os.unlink(rig.keys_path)
    assert_refused(rig, kerberos.Initiator(fetched(realm, rig.service)), "keytab",
                   status=NO_LOGON_SERVERS)


@pytest.mark.parametrize("cut", [1, 10, 60, 200, -1])
def test_cut_tokens(rig, realm, cut):
    """Refused like any nonsense, and the next login on a new connection works."""
    token = kerberos.Initiator(fetched(realm, rig.service)).request()
    assert refusal(rig, token[:cut]) in (smb2.LOGON_FAILURE, smb2.INVALID_PARAMETER)
    test_good_ticket_passes(rig, realm)


def test_rc4_where_it_is_allowed(realm, server):
    """The switch is what refused it before."""
    with KerberosRig(realm, server, on_listener={"services": [server.service, RC4_SERVICE]},
                     kerberos={"rc4": "allow"}, keytab_name="rc4.keytab") as rig:
        rig.good = keytab.read(rig.keys_path)
        with rig.raw() as client:
            client.negotiate()
            client.login_ticket(kerberos.Initiator(made(rig, key_type=kerberos.RC4))).tree_connect()


def test_replay_after_the_keeper_died(realm, server):
    """What was seen is remembered by its successor."""
    with KerberosRig(realm, server, keytab_name="crash.keytab") as rig:
        rig.proxy.may_die = True
        initiator = kerberos.Initiator(fetched(realm, rig.service))
        with rig.raw() as client:
            client.negotiate()
            client.login_ticket(initiator).tree_connect()
        rig.reset()
        keeper, = rig.proxy.children("keeper")
        os.kill(keeper, signal.SIGKILL)
        rig.proxy.wait_event("process_ended")
        wait_until(lambda: rig.proxy.children("keeper") not in ([], [keeper]), "a new keeper")
        assert_refused(rig, initiator.last_request, "replay")
        with rig.raw() as client:
            client.negotiate()
            client.login_ticket(kerberos.Initiator(fetched(realm, rig.service))).tree_connect()
