/*
 * The configuration. What is refused is refused with a line of the file and a printable reason;
 * what is taken is complete, and printed as YAML again it says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"
#include "policy/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool fine)
{
    if (!fine)
        abort();
}

static void check_error(const struct config_error *error, const char *text, size_t size)
{
    unsigned lines = 1;
    /* YAML ends a line at CR, NEL, LS and PS too. */
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n' || text[i] == '\r' || (text[i] & 0x80);
    check(error->line <= lines);
    check(error->text[0] != '\0' && memchr(error->text, '\0', sizeof error->text) != NULL);
    for (size_t i = 0; error->text[i]; i++)
        check((unsigned char)error->text[i] >= ' ');
}

static char *print(struct config *config, size_t *size)
{
    char *text = NULL;
    check(cyaml_save_data(&text, size, &config_cyaml, &config_schema, config, 0) == CYAML_OK);
    return text;
}

/* Shares are encrypted only where somebody can. */
static void check_shares(char *const *shares, unsigned count, enum config_encryption encryption,
                         enum config_dialect most)
{
    check(count == 0 || (encryption != CONFIG_ENCRYPTION_OFF && most >= CONFIG_SMB_3_0));
    for (unsigned i = 0; i < count; i++) {
        check(shares[i][0] && !strpbrk(shares[i], "/\\"));
        check(config_share_listed(&shares[i], 1, shares[i]));
        check(!config_share_listed(shares, i, shares[i]));
    }
}

static void check_complete(const struct config *config)
{
    check(config->listeners_count >= 1 && config->listeners_count <= 64);
    check(config->upstreams_count >= 1 && config->upstreams_count <= 64);
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        check(listener->port && listener->signing_count && listener->signing_count <= 3);
        check(listener->min_dialect <= listener->max_dialect);
        check(listener->ciphers_count && listener->ciphers_count <= 4);
        check_shares(listener->encrypted_shares, listener->encrypted_shares_count,
                     listener->encryption, listener->max_dialect);
        check(config_upstream_of(config, listener) != NULL);
        check(plain_printable(listener->name) && listener->name[0]);
    }
    for (unsigned i = 0; i < config->upstreams_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        check(upstream->port && upstream->signing_count && upstream->login_count);
        check(upstream->ciphers_count && upstream->ciphers_count <= 4);
        check_shares(upstream->encrypted_shares, upstream->encrypted_shares_count,
                     upstream->encryption, upstream->max_dialect);
        check(upstream->server_name[0] && upstream->connect_timeout >= 100);
        check(upstream->connections && upstream->connections <= config->limits.connections);
    }
    check(config->credentials && config->netbios_name[0] && config->dns_domain);
    check(config->limits.interim_hold <= 10000);
    check(config->audit.file || config->audit.syslog);
}

static void check_again(struct config *config)
{
    struct config_error error;
    size_t size, again_size;
    char *text = print(config, &size);
    struct config *again = config_parse(text, size, &error);
    check(again != NULL);
    char *again_text = print(again, &again_size);
    check(size == again_size && memcmp(text, again_text, size) == 0);
    config_free(again);
    free(text);
    free(again_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_error error = {.text = ""};
    struct config *config = config_parse((const char *)data, size, &error);
    if (config) {
        check_complete(config);
        if (config->audit.file) /* what is NULL is not printed, and this would get its default */
            check_again(config);
    } else {
        check_error(&error, (const char *)data, size);
    }
    config_free(config);
    return 0;
}
