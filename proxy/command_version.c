#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "proxy/subcommand.h"

int command_version(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "usage: countersign version\n");
        return COMMAND_USAGE;
    }
    printf("countersign %s\n%s\nlibevent %s\n", COUNTERSIGN_VERSION,
           OpenSSL_version(OPENSSL_VERSION), event_get_version());
    return COMMAND_OK;
}
