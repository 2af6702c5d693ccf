#include "crypto/nt_hash.h"

#include "crypto/legacy.h"
#include "crypto/text.h"

#include <openssl/crypto.h>
#include <string.h>

bool nt_hash_of_password(const char *utf8, uint8_t hash[16])
{
    uint8_t utf16[2 * PASSWORD_MAX];
    struct writer writer = writer_over(utf16, sizeof utf16);
    bool good = strnlen(utf8, PASSWORD_MAX + 1) <= PASSWORD_MAX &&
                text_write_utf16(&writer, utf8, false) && writer_done(&writer) &&
                legacy_md4(writer_span(&writer), hash);
    OPENSSL_cleanse(utf16, sizeof utf16);
    return good;
}
