/*
 * A configuration that has every option.
 */
#ifndef COUNTERSIGN_TESTS_CONFIG_EVERYTHING_H
#define COUNTERSIGN_TESTS_CONFIG_EVERYTHING_H

#include "tests/unit/config_text.h"

/* Each option, with another value than its default. */
static const char everything[] =
    "listeners:\n"
    "- {name: a, address: 192.0.2.1, port: 4450, transparent: true, upstream: two,\n"
    "   names: [x, \"2001:db8::1\"],\n"
    "   min_dialect: 2.1, max_dialect: 3.0, signing: [hmac-sha256, aes-cmac],\n"
    "   encryption: required, ciphers: [aes-256-ccm, aes-128-ccm], encrypted_shares: [Pay roll, "
    "b],\n"
    "   posture: encryption, multi_protocol: refuse, mic: required, target_name: required,\n"
    "   mechanisms: [ntlm, kerberos], keytab: /a.keytab, services: [cifs/x, host/y.example.com],\n"
    "   downgrade: pin}\n"
    "- {name: b, address: \"::\", upstream: one, target_name: off, min_dialect: 3.0.2,\n"
    "   encryption: if-offered}\n"
    "upstreams:\n"
    "- {name: two, address: \"2001:db8::2\", port: 1445, server_name: NAS,\n"
    "   login: [mapped, same, transition, delegate, ticket], service: cifs/p.d@D, keytab: /t,\n"
    "   min_dialect: 3.0, max_dialect: 3.0.2, signing: [aes-cmac], connect_timeout: 100,\n"
    "   connections: 8, quirks: [unsigned-bad-share, unsigned-errors], strict: true,\n"
    "   downgrade: pin,\n"
    "   encryption: if-offered, ciphers: [aes-256-gcm], encrypted_shares: [secret]}\n"
    "- {name: one, address: nas.example.com, encryption: off, ciphers: [aes-128-gcm]}\n"
    "rules:\n"
    "- {name: r, preset: encrypt, who: [x, '@g'], from: {network: [10.0.0.0/8], listener: [a, "
    "b]},\n"
    "   to: {upstream: [one], share: [s, t]}, when: {mechanism: [kerberos], dialect: [3.1.1, "
    "3.0],\n"
    "   signing: [aes-gmac, hmac-sha256], cipher: [none, aes-128-ccm], target_name: [absent]},\n"
    "   then: audit, demand: {kerberos: true, mutual_authentication: true, min_dialect: 3.0.2,\n"
    "   encryption: true, read_only: true, pin: true}}\n"
    "- {name: p, to: {pipe: [spoolss]}, then: allow, authenticated_rpc: allow}\n"
    "otherwise: refuse\n"
    "credentials: /c\n"
    "kerberos: {keytab: /k, config: /krb5.conf, rc4: allow,\n"
    "  domains: [{name: CORP, realm: CORP.EXAMPLE.COM, sid: S-1-5-21-1-2-3}]}\n"
    "winbind: true\n"
    "audit: {file: ~, syslog: true, fold: 0}\n"
    "authentication: {failures: 1, failures_per_source: 2, failures_per_user: 3, delay_max: 4}\n"
    "state: /s\n"
    "users: {worker: \"1001\", keeper: k, recorder: r, keeper_groups: [wbpriv, \"117\"]}\n"
    "limits: {connections: 10, connections_per_source: 9, login_timeout: 1000,\n"
    "  sessions_per_connection: 1, interim_hold: 0, memory: 16}\n"
    "workers: 3\n"
    "netbios_name: N\nnetbios_domain: D\ndns_name: n.d\ndns_domain: e\n";

#endif
