#include "policy/plain.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wctype.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* The size that the first byte announces; 0 when no character begins with it. */
static size_t announced(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t plain_take(const char *bytes, size_t size, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (size == 0)
        return 0;
    uint8_t first = (uint8_t)bytes[0];
    size_t count = announced(first);
    if (count == 0 || count > size)
        return 0;
    uint32_t value = count == 1 ? first : first & (0x7fu >> count);
    for (size_t i = 1; i < count; i++) {
        uint8_t next = (uint8_t)bytes[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3f);
    }
    if (value < least[count] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *character = value;
    return count;
}

size_t plain_cut(const char *text, size_t limit)
{
    size_t length = strlen(text);
    if (length <= limit)
        return length;
    /* A character that the cut would split begins at most three bytes before it. */
    for (size_t back = 1; back < 4 && back <= limit; back++) {
        uint32_t character;
        size_t count = plain_take(&text[limit - back], length - (limit - back), &character);
        if (count > back)
            return limit - back;
        if (count)
            break;
    }
    return limit;
}

/* Some readers end a line at these two, and terminals show what is behind the others backwards. */
static bool misleads(uint32_t character)
{
    return (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069);
}

void plain_clean(const char *text, size_t size, char *to)
{
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        uint32_t character = 0;
        size_t count = plain_take(&text[at], size - at, &character);
        bool shown = count && !(character >= 0x7f && character <= 0x9f) && !misleads(character);
        size_t copied = shown ? count : sizeof replacement - 1;
        memcpy(&to[used], shown ? &text[at] : replacement, copied);
        used += copied;
        at += count ? count : 1;
    }
    to[used] = '\0';
}

/* Zero-width characters, line separators, and the embeddings and overrides of bidirectional text.
 */
static bool invisible(uint32_t character)
{
    return (character >= 0x200b && character <= 0x200f) ||
           (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
}

bool plain_printable(const char *text)
{
    size_t size = strlen(text);
    for (size_t at = 0; at < size;) {
        uint32_t character;
        size_t count = plain_take(&text[at], size - at, &character);
        if (count == 0 || character < 0x20 || (character >= 0x7f && character <= 0x9f) ||
            invisible(character))
            return false;
        at += count;
    }
    return true;
}

static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void make_unicode(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* Up and then down, so that letters with two small or two capital forms become one. */
static uint32_t fold(uint32_t character)
{
    pthread_once(&unicode_once, make_unicode);
    if (unicode)
        return (uint32_t)towlower_l(towupper_l((wint_t)character, unicode), unicode);
    return character >= 'A' && character <= 'Z' ? character + ('a' - 'A') : character;
}

/* The next character, folded, or the next byte where there is none. */
static uint32_t take_folded(const char **text)
{
    const uint32_t beyond = 0x110000;
    uint32_t character;
    size_t count = plain_take(*text, strnlen(*text, 4), &character);
    uint32_t folded = count ? fold(character) : beyond + (uint8_t)(*text)[0];
    *text = &(*text)[count ? count : 1];
    return folded;
}

bool plain_same(const char *a, const char *b)
{
    while (*a && *b)
        if (take_folded(&a) != take_folded(&b))
            return false;
    return *a == *b;
}

bool plain_number(const char *text, uint64_t *value)
{
    uint64_t number = 0;
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}
