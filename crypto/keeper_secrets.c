#include "crypto/keeper_secrets.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void complain(const char *path, const struct credentials_error *error)
{
    if (error->line)
        (void)fprintf(stderr, "countersign: keeper: %s:%u: %s\n", path, error->line, error->text);
    else
        (void)fprintf(stderr, "countersign: keeper: %s: %s\n", path, error->text);
}

MUST_USE static bool read_all(const struct keeper_settings *settings, struct domain *domain,
                              struct secrets *secrets)
{
    static const struct span nothing;
    struct credentials_error error;
    const char *path = settings->credentials;
    secrets->credentials =
        path ? credentials_read(path, geteuid(), &error) : credentials_parse(nothing, &error);
    if (!secrets->credentials) {
        complain(path ? path : "credentials", &error);
        return false;
    }
    if (settings->groups_count == 0)
        return true;
    secrets->groups =
        groups_new(settings->groups, settings->groups_count, secrets->credentials, domain);
    if (!secrets->groups)
        (void)fputs("countersign: keeper: no memory for groups\n", stderr);
    return secrets->groups != NULL;
}

static void free_secrets(struct secrets *secrets)
{
    groups_free(secrets->groups);
    credentials_free(secrets->credentials);
    free(secrets);
}

struct secrets *secrets_read(const struct keeper_settings *settings, struct domain *domain)
{
    struct secrets *secrets = calloc(1, sizeof *secrets);
    if (!secrets) {
        (void)fputs("countersign: keeper: out of memory\n", stderr);
        return NULL;
    }
    if (!read_all(settings, domain, secrets)) {
        free_secrets(secrets);
        return NULL;
    }
    secrets->holders = 1;
    return secrets;
}

struct secrets *secrets_hold(struct secrets *secrets)
{
    secrets->holders++;
    return secrets;
}

void secrets_release(struct secrets *secrets)
{
    if (!secrets || --secrets->holders)
        return;
    free_secrets(secrets);
}
