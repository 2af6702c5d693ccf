/* Identifiers from any bytes and any text: what is taken comes back the same from the other form.
 */
#include "crypto/sid.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_both_ways(const struct sid *sid)
{
    char text[SID_TEXT_MAX];
    struct sid again, longer;
    require(sid_text(sid, text, sizeof text));
    require(sid_parse(text, &again) && sid_equal(sid, &again));
    require(sid_read((struct span){sid->bytes, sid->size}, &again) && sid_equal(sid, &again));
    require(sid_append(sid, 513, &longer) == (sid->size < SID_SIZE_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sid sid;
    char *text = malloc(size + 1);
    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (sid_read((struct span){data, size}, &sid))
        check_both_ways(&sid);
    if (sid_parse(text, &sid))
        check_both_ways(&sid);
    free(text);
    return 0;
}
