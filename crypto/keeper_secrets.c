#include "crypto/keeper_secrets.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct problem {
    char *text;
    size_t size;
};

static void complain(const struct problem *problem, const char *path,
                     const struct credentials_error *error)
{
    if (error->line)
        (void)snprintf(problem->text, problem->size, "%s:%u: %s", path, error->line, error->text);
    else
        (void)snprintf(problem->text, problem->size, "%s: %s", path, error->text);
}

MUST_USE static bool read_all(const struct keeper_settings *settings, const char *path,
                              struct domain *domain, struct secrets *secrets,
                              const struct problem *problem)
{
    static const struct span nothing;
    struct credentials_error error;
    secrets->credentials =
        path ? credentials_read(path, geteuid(), &error) : credentials_parse(nothing, &error);
    if (!secrets->credentials) {
        complain(problem, path ? path : "credentials", &error);
        return false;
    }
    if (settings->groups_count == 0)
        return true;
    secrets->groups =
        groups_new(settings->groups, settings->groups_count, secrets->credentials, domain);
    if (!secrets->groups)
        (void)snprintf(problem->text, problem->size, "no memory for groups");
    return secrets->groups != NULL;
}

static void free_secrets(struct secrets *secrets)
{
    groups_free(secrets->groups);
    credentials_free(secrets->credentials);
    free(secrets);
}

struct secrets *secrets_read(const struct keeper_settings *settings, const char *path,
                             struct domain *domain, char *text, size_t size)
{
    const struct problem problem = {text, size};
    struct secrets *secrets = calloc(1, sizeof *secrets);
    if (!secrets) {
        (void)snprintf(text, size, "out of memory");
        return NULL;
    }
    if (!read_all(settings, path, domain, secrets, &problem)) {
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
