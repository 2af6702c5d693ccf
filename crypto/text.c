#include "crypto/text.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wctype.h>

enum { REPLACEMENT = 0xfffd, NO_CHARACTER = 0x110000 };

/* One character of UTF-16LE; NO_CHARACTER for an unpaired surrogate or a lone last byte. */
static uint32_t take_utf16(struct reader *reader)
{
    uint16_t unit, low;
    if (!read_le16(reader, &unit)) {
        reader->at = reader->end;
        return NO_CHARACTER;
    }
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    struct reader ahead = *reader;
    if (unit > 0xdbff || !read_le16(&ahead, &low) || low < 0xdc00 || low > 0xdfff)
        return NO_CHARACTER;
    *reader = ahead;
    return 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

/* Encodes one character; the number of bytes, at most 4. */
static size_t encode_utf8(uint32_t character, uint8_t out[4])
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    if (character < 0x800) {
        out[0] = (uint8_t)(0xc0 | character >> 6);
        out[1] = (uint8_t)(0x80 | (character & 0x3f));
        return 2;
    }
    if (character < 0x10000) {
        out[0] = (uint8_t)(0xe0 | character >> 12);
        out[1] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (character & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | character >> 18);
    out[1] = (uint8_t)(0x80 | (character >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (character & 0x3f));
    return 4;
}

/* True when all of it was valid and fitted; what fitted is in `to` either way. */
static bool convert(struct span utf16, char *to, size_t size)
{
    struct reader reader = reader_over_span(utf16);
    size_t used = 0;
    bool clean = true;
    while (reader_left(&reader)) {
        uint8_t bytes[4];
        uint32_t character = take_utf16(&reader);
        if (character == NO_CHARACTER || character < 0x20 || character == 0x7f) {
            clean = false;
            character = REPLACEMENT;
        }
        size_t count = encode_utf8(character, bytes);
        if (used + count + 1 > size) {
            clean = false;
            break;
        }
        memcpy(to + used, bytes, count);
        used += count;
    }
    to[used] = '\0';
    return clean;
}

void text_from_utf16(struct span utf16, char *to, size_t size)
{
    (void)convert(utf16, to, size);
}

bool text_from_utf16_strict(struct span utf16, char *to, size_t size)
{
    return convert(utf16, to, size);
}

/* One character of UTF-8, shortest form only; NO_CHARACTER when invalid. */
static uint32_t take_utf8(struct reader *reader)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint8_t first, next;
    if (!read_u8(reader, &first))
        return NO_CHARACTER;
    if (first < 0x80)
        return first;
    unsigned more = first >= 0xf0 && first < 0xf8 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    if (more == 0 || first >= 0xf8)
        return NO_CHARACTER;
    uint32_t character = first & (0x3fu >> more);
    for (unsigned i = 0; i < more; i++) {
        if (!read_u8(reader, &next) || (next & 0xc0) != 0x80)
            return NO_CHARACTER;
        character = character << 6 | (next & 0x3f);
    }
    bool surrogate = character >= 0xd800 && character <= 0xdfff;
    return character < least[more] || surrogate || character > 0x10ffff ? NO_CHARACTER : character;
}

static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void make_unicode(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* Windows' upper-casing is one character to one character within the first plane. */
static uint32_t to_upper(uint32_t character)
{
    pthread_once(&unicode_once, make_unicode);
    if (character < 0x80 || !unicode)
        return character >= 'a' && character <= 'z' ? character - 32 : character;
    uint32_t upper = (uint32_t)towupper_l((wint_t)character, unicode);
    /* Unicode makes ASCII of the dotless i and the long s, Windows does not: a name that only looks
     * like another would become it. */
    return character < 0x10000 && upper < 0x10000 && upper >= 0x80 ? upper : character;
}

bool text_write_utf16(struct writer *writer, const char *utf8, bool upper)
{
    struct reader reader = reader_over(utf8, strlen(utf8));
    while (reader_left(&reader)) {
        uint32_t character = take_utf8(&reader);
        if (character == NO_CHARACTER)
            return false;
        if (upper)
            character = to_upper(character);
        if (character < 0x10000) {
            write_le16(writer, (uint16_t)character);
        } else {
            write_le16(writer, (uint16_t)(0xd800 + ((character - 0x10000) >> 10)));
            write_le16(writer, (uint16_t)(0xdc00 + ((character - 0x10000) & 0x3ff)));
        }
    }
    return true;
}

bool text_same_name(const char *a, const char *b)
{
    struct reader left = reader_over(a, strlen(a));
    struct reader right = reader_over(b, strlen(b));
    while (reader_left(&left) && reader_left(&right)) {
        uint32_t x = take_utf8(&left), y = take_utf8(&right);
        if (x == NO_CHARACTER || y == NO_CHARACTER || to_upper(x) != to_upper(y))
            return false;
    }
    return reader_left(&left) == 0 && reader_left(&right) == 0;
}
