"""The domain of the Kerberos tests works by itself: clients, controller and file server without a proxy."""

import pytest


@pytest.fixture
def client(domain, tmp_path):
    return domain.smbclient(tmp_path)


def test_ticket_names_the_user_to_the_file_server(domain, client):
    for user in domain.users:
        client.must(f"put client.conf {user}-ticket", ticket=domain.kinit(user))
        assert domain.nas.owner(f"{user}-ticket") == user


def test_password_names_the_user_to_the_file_server(domain, client):
    client.must("put client.conf carol-password", user="carol", password="Carol.Pw3", domain="CORP")
    assert domain.nas.owner("carol-password") == "carol"


def kvno(domain, keytab, service, user, target, tmp_path):
    """Delegation with protocol transition by a service account."""
    cache = str(tmp_path / f"cc-{user}")
    domain.proxy.must(["kinit", "-f", "-k", "-t", keytab, "-c", cache, service])
    return domain.proxy.run(["kvno", "-k", keytab, "-c", cache, "-U", user, "-P", target])


def test_controller_delegates_as_the_accounts_say(domain, tmp_path):
    done = kvno(domain, domain.proxy_keytab, domain.service, "alice", domain.nas_service, tmp_path)
    assert done.returncode == 0, done.stderr
    for keytab, service, user in ((domain.proxy_keytab, domain.service, "bob"),
                                  (domain.powerless_keytab, domain.powerless_service, "alice")):
        assert kvno(domain, keytab, service, user, domain.nas_service, tmp_path).returncode != 0


def test_winbind_on_the_proxys_host_knows_the_users(domain):
    assert domain.proxy.must(["wbinfo", "-a", "CORP\\carol%Carol.Pw3"])
    assert domain.proxy.run(["wbinfo", "-a", "CORP\\carol%wrong"]).returncode != 0
    assert domain.controller.accounts.sid("finance").startswith("S-1-5-21-")
