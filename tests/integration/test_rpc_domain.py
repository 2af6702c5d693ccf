"""Secrets and trusts of a domain controller: encrypted with the session's key, they are refused here,
and at the controller itself they work. What is beside them in the same pipe goes on."""

from types import SimpleNamespace

import pytest
from samba.dcerpc import lsa

import sambarpc
from addc import ADMINISTRATOR, DOMAIN
from rig import Rig
from sambarpc import MAXIMUM_ALLOWED, SID, NTSTATUSError

USER, PASSWORD = ADMINISTRATOR.split("%")
ACCESS_DENIED, UNKNOWN_REVISION = 0xC0000022, 0xC0000058


@pytest.fixture(scope="module")
def rig(domain):
    """Before the controller. Nobody puts it there; but what it does with such calls no member does."""
    host = domain.controller.host
    with domain.proxy.entered(), Rig(SimpleNamespace(address=host.address, port=445), host=domain.proxy,
                                     address=domain.proxy.address, users={USER: PASSWORD}) as arrangement:
        yield arrangement


class Policy:
    """A pipe to lsarpc with the policy open."""

    def __init__(self, address, port):
        self.pipe = sambarpc.connect(lsa.lsarpc, address, port, user=USER, password=PASSWORD, domain=DOMAIN)
        self.key = self.pipe.session_key
        self.handle = sambarpc.open_policy(self.pipe)

    def answers(self):
        """An ordinary call in the same pipe."""
        return self.pipe.QueryInfoPolicy(self.handle, lsa.LSA_POLICY_INFO_DOMAIN).name.string == DOMAIN

    def query(self, secret):
        return self.pipe.QuerySecret(secret, lsa.DATA_BUF_PTR(), None, None, None)[0].buf

    def create_trust(self, passwords):
        return self.pipe.CreateTrustedDomainEx2(self.handle, sambarpc.trusted_domain(), passwords,
                                                MAXIMUM_ALLOWED)


@pytest.fixture
def direct(rig):
    return Policy(rig.server.address, rig.server.port)


@pytest.fixture
def through(rig):
    rig.proxy.mark()
    return Policy(*rig.direct)


def status_of(call, *arguments):
    with pytest.raises(NTSTATUSError) as failed:
        call(*arguments)
    return failed.value.args[0] & 0xFFFFFFFF


def assert_refused(rig, policy, reason, call, *arguments):
    rig.proxy.mark()
    assert status_of(call, *arguments) == ACCESS_DENIED
    assert rig.proxy.wait_event("rpc_call_refused", pipe="lsarpc")["reason"] == reason
    assert policy.answers()


def test_secrets(rig, direct, through):
    at_dc = direct.pipe.CreateSecret(direct.handle, sambarpc.name("G$countersign"), MAXIMUM_ALLOWED)
    secret = through.pipe.OpenSecret(through.handle, sambarpc.name("G$countersign"), MAXIMUM_ALLOWED)
    try:
        direct.pipe.SetSecret(at_dc, sambarpc.encrypted_secret(direct.key, "as it was"), None)
        assert sambarpc.decrypted_secret(direct.key, direct.query(at_dc)) == "as it was"
        # What another key makes of it is noticed by its revision only.
        other = sambarpc.encrypted_secret(bytes(16), "something")
        assert status_of(direct.pipe.SetSecret, at_dc, other, None) == UNKNOWN_REVISION
        value = sambarpc.encrypted_secret(through.key, "something")
        assert_refused(rig, through, "secret", through.pipe.SetSecret, secret, value, None)
        assert_refused(rig, through, "secret", through.pipe.SetSecret, secret, None, value)
        assert_refused(rig, through, "secret", through.query, secret)
        assert sambarpc.decrypted_secret(direct.key, direct.query(at_dc)) == "as it was"
    finally:
        through.pipe.DeleteObject(secret)
    assert not status_of(direct.query, at_dc) == 0


def test_trusts(rig, direct, through):
    assert_refused(rig, through, "trust", through.create_trust, sambarpc.trust_passwords(through.key))
    trust = direct.create_trust(sambarpc.trust_passwords(direct.key))
    try:
        internal = lsa.LSA_TRUSTED_DOMAIN_INFO_AUTH_INFO_INTERNAL
        direct.pipe.SetInformationTrustedDomain(trust, internal, sambarpc.trust_passwords(direct.key))
        seen = through.pipe.OpenTrustedDomain(through.handle, SID, MAXIMUM_ALLOWED)
        assert_refused(rig, through, "trust", through.pipe.SetInformationTrustedDomain, seen, internal,
                       sambarpc.trust_passwords(through.key))
        name = sambarpc.name("other.test")
        for level in (lsa.LSA_TRUSTED_DOMAIN_INFO_PASSWORD, internal):
            for call, *which in ((through.pipe.QueryTrustedDomainInfo, seen),
                                 (through.pipe.QueryTrustedDomainInfoBySid, through.handle, SID),
                                 (through.pipe.QueryTrustedDomainInfoByName, through.handle, name)):
                assert_refused(rig, through, "trust", call, *which, level)
        # What has no passwords works, and so do passwords that nothing encrypts.
        rig.proxy.mark()
        level = lsa.LSA_TRUSTED_DOMAIN_INFO_INFO_EX
        for told in (through.pipe.QueryTrustedDomainInfo(seen, level),
                     through.pipe.QueryTrustedDomainInfoBySid(through.handle, SID, level),
                     through.pipe.QueryTrustedDomainInfoByName(through.handle, name, level)):
            assert told.netbios_name.string == "OTHER"
        through.pipe.SetInformationTrustedDomain(seen, lsa.LSA_TRUSTED_DOMAIN_INFO_AUTH_INFO,
                                                 sambarpc.open_trust_passwords())
        assert not rig.proxy.seen("rpc_call_refused")
    finally:
        direct.pipe.DeleteObject(trust)


def test_trust_by_the_older_call(rig, through):
    """Its passwords are not encrypted."""
    trust = through.pipe.CreateTrustedDomainEx(through.handle, sambarpc.trusted_domain(),
                                               sambarpc.open_trust_passwords(), MAXIMUM_ALLOWED)
    through.pipe.DeleteObject(trust)
    assert not rig.proxy.seen("rpc_call_refused")
