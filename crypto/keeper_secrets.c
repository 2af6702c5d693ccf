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

struct secrets *secrets_read(const char *path)
{
    struct credentials_error error = {.text = "out of memory"};
    struct secrets *secrets = calloc(1, sizeof *secrets);
    if (secrets)
        secrets->credentials = credentials_read(path, geteuid(), &error);
    if (!secrets || !secrets->credentials) {
        complain(path, &error);
        free(secrets);
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
    credentials_free(secrets->credentials);
    free(secrets);
}
