/* What a PAC says of a user: no more groups than there are bytes for, each a valid one. */
#include "crypto/pac.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pac pac;
    bool good = pac_read((struct span){data, size}, &pac) == PAC_READ;
    must(good || (pac.sids.count == 0 && !pac.sids.at && !*pac.domain));
    must(pac.sids.count <= SIDS_MAX && pac.sids.count <= size / 8);
    must(memchr(pac.domain, '\0', sizeof pac.domain) != NULL);
    for (size_t i = 0; i < pac.sids.count; i++) {
        char text[SID_TEXT_MAX];
        struct sid again;
        must(sid_text(&pac.sids.at[i], text, sizeof text));
        must(sid_parse(text, &again) && sid_equal(&again, &pac.sids.at[i]));
    }
    pac_free(&pac);
    return 0;
}
