#include "policy/config_schema.h"

#include <stdio.h>
#include <string.h>

/* Each option is named like the member that holds it. */
#define TEXT(type, member)                                                                         \
    CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_POINTER_NULL_STR | CYAML_FLAG_OPTIONAL, type,       \
                           member, 0, CYAML_UNLIMITED)
#define NUMBER(type, member) CYAML_FIELD_UINT(#member, CYAML_FLAG_OPTIONAL, type, member)
#define WORD(type, member, words)                                                                  \
    CYAML_FIELD_ENUM(#member, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, type, member, words,        \
                     CYAML_ARRAY_LEN(words))
#define LIST(type, member, entry)                                                                  \
    CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, type, member, &entry,  \
                         0, CYAML_UNLIMITED)
#define PART(type, member, fields)                                                                 \
    CYAML_FIELD_MAPPING(#member, CYAML_FLAG_OPTIONAL, type, member, fields)
#define GROUP(member, fields) PART(struct config, member, fields)

static const cyaml_strval_t dialects[] = {
    {"2.0.2", CONFIG_SMB_2_0_2}, {"2.1", CONFIG_SMB_2_1},     {"3.0", CONFIG_SMB_3_0},
    {"3.0.2", CONFIG_SMB_3_0_2}, {"3.1.1", CONFIG_SMB_3_1_1},
};
static const cyaml_strval_t signings[] = {
    {"aes-gmac", CONFIG_AES_GMAC},
    {"aes-cmac", CONFIG_AES_CMAC},
    {"hmac-sha256", CONFIG_HMAC_SHA256},
};
static const cyaml_strval_t encryptions[] = {
    {"off", CONFIG_ENCRYPTION_OFF},
    {"allowed", CONFIG_ENCRYPTION_ALLOWED},
    {"if-offered", CONFIG_ENCRYPTION_IF_OFFERED},
    {"required", CONFIG_ENCRYPTION_REQUIRED},
};
static const cyaml_strval_t postures[] = {
    {"signing", CONFIG_POSTURE_SIGNING},
    {"encryption-if-offered", CONFIG_POSTURE_IF_OFFERED},
    {"encryption", CONFIG_POSTURE_ENCRYPTION},
};
static const cyaml_strval_t ciphers[] = {
    {"aes-128-gcm", CONFIG_AES_128_GCM},
    {"aes-256-gcm", CONFIG_AES_256_GCM},
    {"aes-128-ccm", CONFIG_AES_128_CCM},
    {"aes-256-ccm", CONFIG_AES_256_CCM},
};
static const cyaml_strval_t logins[] = {
    {"same", CONFIG_LOGIN_SAME},
    {"mapped", CONFIG_LOGIN_MAPPED},
    {"ticket", CONFIG_LOGIN_TICKET},
    {"delegate", CONFIG_LOGIN_DELEGATE},
    {"transition", CONFIG_LOGIN_TRANSITION},
};
static const cyaml_strval_t mechanisms[] = {
    {"kerberos", CONFIG_MECHANISM_KERBEROS},
    {"ntlm", CONFIG_MECHANISM_NTLM},
};
static const cyaml_strval_t quirks[] = {
    {"unsigned-errors", CONFIG_QUIRK_UNSIGNED_ERRORS},
    {"unsigned-end-of-file", CONFIG_QUIRK_UNSIGNED_END_OF_FILE},
    {"unsigned-bad-share", CONFIG_QUIRK_UNSIGNED_BAD_SHARE},
};
static const cyaml_strval_t rc4s[] = {
    {"refuse", CONFIG_RC4_REFUSE},
    {"allow", CONFIG_RC4_ALLOW},
};
static const cyaml_strval_t multi_protocols[] = {
    {"accept", CONFIG_MULTI_PROTOCOL_ACCEPT},
    {"refuse", CONFIG_MULTI_PROTOCOL_REFUSE},
};
static const cyaml_strval_t mics[] = {
    {"announced", CONFIG_MIC_ANNOUNCED},
    {"required", CONFIG_MIC_REQUIRED},
};
static const cyaml_strval_t target_names[] = {
    {"off", CONFIG_TARGET_NAME_OFF},
    {"if-present", CONFIG_TARGET_NAME_IF_PRESENT},
    {"required", CONFIG_TARGET_NAME_REQUIRED},
};
static const cyaml_strval_t presets[] = {
    {"hardened-unc", CONFIG_PRESET_HARDENED_UNC},
    {"no-ntlm", CONFIG_PRESET_NO_NTLM},
    {"encrypt", CONFIG_PRESET_ENCRYPT},
};
static const cyaml_strval_t actions[] = {
    {"allow", CONFIG_ALLOW},
    {"refuse", CONFIG_REFUSE},
    {"audit", CONFIG_AUDIT},
};
static const cyaml_strval_t allow_or_refuse[] = {
    {"allow", CONFIG_ALLOW},
    {"refuse", CONFIG_REFUSE},
};
static const cyaml_strval_t rule_ciphers[] = {
    {"none", CONFIG_CIPHER_NONE},        {"aes-128-gcm", CONFIG_AES_128_GCM},
    {"aes-256-gcm", CONFIG_AES_256_GCM}, {"aes-128-ccm", CONFIG_AES_128_CCM},
    {"aes-256-ccm", CONFIG_AES_256_CCM},
};
static const cyaml_strval_t targets[] = {
    {"given", CONFIG_TARGET_GIVEN},
    {"absent", CONFIG_TARGET_ABSENT},
    {"mismatch", CONFIG_TARGET_MISMATCH},
};
static const cyaml_strval_t downgrades[] = {
    {"record", CONFIG_DOWNGRADE_RECORD},
    {"pin", CONFIG_DOWNGRADE_PIN},
};
/* The library's own booleans take any word for true. */
static const cyaml_strval_t switches[] = {{"true", true}, {"false", false}};

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED)};
static const cyaml_schema_value_t signing_entry = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, enum config_signing, signings, CYAML_ARRAY_LEN(signings))};
static const cyaml_schema_value_t cipher_entry = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, enum config_cipher, ciphers, CYAML_ARRAY_LEN(ciphers))};
static const cyaml_schema_value_t login_entry = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, enum config_login, logins, CYAML_ARRAY_LEN(logins))};
static const cyaml_schema_value_t quirk_entry = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, enum config_quirk, quirks, CYAML_ARRAY_LEN(quirks))};
static const cyaml_schema_value_t mechanism_entry = {CYAML_VALUE_ENUM(
    CYAML_FLAG_STRICT, enum config_mechanism, mechanisms, CYAML_ARRAY_LEN(mechanisms))};

/* Lists of words in rules. */
#define RULE_ENTRY(words)                                                                          \
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, uint32_t, words, CYAML_ARRAY_LEN(words))
static const cyaml_schema_value_t rule_mechanism_entry = {RULE_ENTRY(mechanisms)};
static const cyaml_schema_value_t rule_dialect_entry = {RULE_ENTRY(dialects)};
static const cyaml_schema_value_t rule_signing_entry = {RULE_ENTRY(signings)};
static const cyaml_schema_value_t rule_cipher_entry = {RULE_ENTRY(rule_ciphers)};
static const cyaml_schema_value_t rule_target_entry = {RULE_ENTRY(targets)};

static const cyaml_schema_field_t listener_fields[] = {
    TEXT(struct config_listener, name),
    TEXT(struct config_listener, address),
    NUMBER(struct config_listener, port),
    WORD(struct config_listener, transparent, switches),
    TEXT(struct config_listener, upstream),
    LIST(struct config_listener, names, text_entry),
    WORD(struct config_listener, min_dialect, dialects),
    WORD(struct config_listener, max_dialect, dialects),
    LIST(struct config_listener, signing, signing_entry),
    WORD(struct config_listener, posture, postures),
    WORD(struct config_listener, encryption, encryptions),
    LIST(struct config_listener, ciphers, cipher_entry),
    LIST(struct config_listener, encrypted_shares, text_entry),
    WORD(struct config_listener, multi_protocol, multi_protocols),
    WORD(struct config_listener, mic, mics),
    WORD(struct config_listener, target_name, target_names),
    LIST(struct config_listener, mechanisms, mechanism_entry),
    TEXT(struct config_listener, keytab),
    LIST(struct config_listener, services, text_entry),
    WORD(struct config_listener, downgrade, downgrades),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t upstream_fields[] = {
    TEXT(struct config_upstream, name),
    TEXT(struct config_upstream, address),
    NUMBER(struct config_upstream, port),
    TEXT(struct config_upstream, server_name),
    LIST(struct config_upstream, login, login_entry),
    TEXT(struct config_upstream, service),
    TEXT(struct config_upstream, keytab),
    WORD(struct config_upstream, min_dialect, dialects),
    WORD(struct config_upstream, max_dialect, dialects),
    LIST(struct config_upstream, signing, signing_entry),
    WORD(struct config_upstream, encryption, encryptions),
    LIST(struct config_upstream, ciphers, cipher_entry),
    LIST(struct config_upstream, encrypted_shares, text_entry),
    LIST(struct config_upstream, quirks, quirk_entry),
    WORD(struct config_upstream, strict, switches),
    WORD(struct config_upstream, downgrade, downgrades),
    NUMBER(struct config_upstream, connect_timeout),
    NUMBER(struct config_upstream, connections),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t audit_fields[] = {
    TEXT(struct config_audit, file),
    WORD(struct config_audit, syslog, switches),
    NUMBER(struct config_audit, fold),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t users_fields[] = {
    TEXT(struct config_users, worker),
    TEXT(struct config_users, keeper),
    TEXT(struct config_users, recorder),
    LIST(struct config_users, keeper_groups, text_entry),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t domain_fields[] = {
    TEXT(struct config_domain, name),
    TEXT(struct config_domain, realm),
    TEXT(struct config_domain, sid),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t domain_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_domain, domain_fields)};
static const cyaml_schema_field_t kerberos_fields[] = {
    TEXT(struct config_kerberos, keytab),
    TEXT(struct config_kerberos, config),
    WORD(struct config_kerberos, rc4, rc4s),
    LIST(struct config_kerberos, domains, domain_entry),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t limits_fields[] = {
    NUMBER(struct config_limits, connections),
    NUMBER(struct config_limits, connections_per_source),
    NUMBER(struct config_limits, login_timeout),
    NUMBER(struct config_limits, sessions_per_connection),
    NUMBER(struct config_limits, interim_hold),
    NUMBER(struct config_limits, memory),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t rule_from_fields[] = {
    LIST(struct config_rule_from, network, text_entry),
    LIST(struct config_rule_from, listener, text_entry),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t rule_to_fields[] = {
    LIST(struct config_rule_to, upstream, text_entry),
    LIST(struct config_rule_to, share, text_entry),
    LIST(struct config_rule_to, pipe, text_entry),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t rule_when_fields[] = {
    LIST(struct config_rule_when, mechanism, rule_mechanism_entry),
    LIST(struct config_rule_when, dialect, rule_dialect_entry),
    LIST(struct config_rule_when, signing, rule_signing_entry),
    LIST(struct config_rule_when, cipher, rule_cipher_entry),
    LIST(struct config_rule_when, target_name, rule_target_entry),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t rule_demand_fields[] = {
    WORD(struct config_rule_demand, encryption, switches),
    WORD(struct config_rule_demand, kerberos, switches),
    WORD(struct config_rule_demand, mutual_authentication, switches),
    WORD(struct config_rule_demand, min_dialect, dialects),
    WORD(struct config_rule_demand, read_only, switches),
    WORD(struct config_rule_demand, pin, switches),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t rule_fields[] = {
    TEXT(struct config_rule, name),
    WORD(struct config_rule, preset, presets),
    LIST(struct config_rule, who, text_entry),
    PART(struct config_rule, from, rule_from_fields),
    PART(struct config_rule, to, rule_to_fields),
    PART(struct config_rule, when, rule_when_fields),
    WORD(struct config_rule, then, actions),
    PART(struct config_rule, demand, rule_demand_fields),
    WORD(struct config_rule, authenticated_rpc, allow_or_refuse),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t rule_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_rule, rule_fields)};
static const cyaml_schema_field_t authentication_fields[] = {
    NUMBER(struct config_authentication, failures),
    NUMBER(struct config_authentication, failures_per_source),
    NUMBER(struct config_authentication, failures_per_user),
    NUMBER(struct config_authentication, delay_max),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t listener_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_listener, listener_fields)};
static const cyaml_schema_value_t upstream_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_upstream, upstream_fields)};

static const cyaml_schema_field_t config_fields[] = {
    LIST(struct config, listeners, listener_entry),
    LIST(struct config, upstreams, upstream_entry),
    LIST(struct config, rules, rule_entry),
    WORD(struct config, otherwise, actions),
    TEXT(struct config, credentials),
    GROUP(kerberos, kerberos_fields),
    WORD(struct config, winbind, switches),
    GROUP(audit, audit_fields),
    GROUP(users, users_fields),
    GROUP(limits, limits_fields),
    GROUP(authentication, authentication_fields),
    TEXT(struct config, state),
    NUMBER(struct config, workers),
    TEXT(struct config, netbios_name),
    TEXT(struct config, netbios_domain),
    TEXT(struct config, dns_name),
    TEXT(struct config, dns_domain),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields)};

const cyaml_config_t config_cyaml = {
    .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR, .flags = CYAML_CFG_NO_ALIAS};

const char *config_path_step(const char *path, struct config_step *step)
{
    int used = 0;
    memset(step, 0, sizeof *step);
    if (sscanf(path, "[%9u]%n", &step->index, &used) != 1 || used == 0)
        if (sscanf(path, ".%63[^].[]%n", step->key, &used) != 1)
            if (sscanf(path, "%63[^].[]%n", step->key, &used) != 1)
                return NULL;
    return &path[used];
}

struct config_path config_path_option(const char *where, const char *option)
{
    struct config_path path;
    snprintf(path.text, sizeof path.text, "%s%s%s", where, where[0] ? "." : "", option);
    return path;
}

struct config_path config_path_entry(const char *where, unsigned index)
{
    struct config_path path;
    snprintf(path.text, sizeof path.text, "%s[%u]", where, index);
    return path;
}

static const cyaml_schema_value_t *field_of(const cyaml_schema_value_t *schema, const char *key)
{
    if (schema->type != CYAML_MAPPING)
        return NULL;
    const cyaml_schema_field_t *field = schema->mapping.fields;
    while (field->key && strcmp(field->key, key) != 0)
        field++;
    return field->key ? &field->value : NULL;
}

const cyaml_schema_value_t *config_schema_at(const char *path)
{
    const cyaml_schema_value_t *schema = &config_schema;
    struct config_step step = {.key = ""};
    while (schema && path && *path) {
        path = config_path_step(path, &step);
        if (!path)
            return NULL;
        if (step.key[0])
            schema = field_of(schema, step.key);
        else
            schema = schema->type == CYAML_SEQUENCE ? schema->sequence.entry : NULL;
    }
    return schema;
}

const struct config_range *config_range_of(const char *path)
{
    static const struct {
        const char *group;
        const char *key;
        struct config_range range;
    } ranges[] = {
        {"listeners", "port", {1, 65535}},
        {"upstreams", "port", {1, 65535}},
        {"upstreams", "connect_timeout", {100, 600000}},
        {"upstreams", "connections", {1, 1000000}},
        {"audit", "fold", {0, 3600000}},
        {"authentication", "failures", {1, 10000}},
        {"authentication", "failures_per_source", {1, 1000000}},
        {"authentication", "failures_per_user", {1, 1000000}},
        {"authentication", "delay_max", {0, 3600000}},
        {"limits", "connections", {1, 1000000}},
        {"limits", "connections_per_source", {1, 1000000}},
        {"limits", "login_timeout", {1000, 3600000}},
        {"limits", "sessions_per_connection", {1, 65535}},
        {"limits", "interim_hold", {0, 10000}},
        {"limits", "memory", {16, 1048576}},
        {"workers", "workers", {0, 256}},
    };
    struct config_step step = {.key = ""};
    char group[CONFIG_KEY_MAX] = "";
    for (const char *rest = path; rest && *rest;) {
        rest = config_path_step(rest, &step);
        if (!group[0])
            memcpy(group, step.key, sizeof group);
    }
    for (size_t i = 0; i < CYAML_ARRAY_LEN(ranges); i++)
        if (strcmp(ranges[i].group, group) == 0 && strcmp(ranges[i].key, step.key) == 0)
            return &ranges[i].range;
    return NULL;
}
