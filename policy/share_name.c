#include "policy/share_name.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "policy/plain.h"

/* Accents, ligatures of Latin and Armenian letters, and what Unicode calls default ignorable. */
static const struct {
    uint32_t first, last;
} unclear[] = {
    {0x00ad, 0x00ad}, {0x0300, 0x036f},   {0x061c, 0x061c},   {0x115f, 0x1160},   {0x17b4, 0x17b5},
    {0x180b, 0x180f}, {0x200b, 0x200f},   {0x202a, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},
    {0xfb00, 0xfb06}, {0xfb13, 0xfb17},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_clear(uint32_t character)
{
    for (size_t i = 0; i < sizeof unclear / sizeof unclear[0]; i++)
        if (character >= unclear[i].first && character <= unclear[i].last)
            return false;
    return true;
}

bool share_name_is_clear(const char *name)
{
    size_t size = strlen(name);
    for (size_t at = 0; at < size;) {
        uint32_t character;
        size_t count = plain_take(&name[at], size - at, &character);
        if (count == 0 || !is_clear(character))
            return false;
        at += count;
    }
    return true;
}

/* The start of a name up to its first sharp s, small or capital, in bytes; that one's bytes go to
 * `sharp`, 0 when there is none. */
static size_t before_sharp(const char *name, size_t *sharp)
{
    const char *small = strstr(name, "\xc3\x9f"), *capital = strstr(name, "\xe1\xba\x9e");
    bool is_small = small && (!capital || small < capital);
    *sharp = is_small ? 2 : capital ? 3 : 0;
    return is_small ? (size_t)(small - name) : capital ? (size_t)(capital - name) : strlen(name);
}

/* Writes a sharp s as two; false when there is no room. */
static bool write_out(const char *name, char *to, size_t size)
{
    size_t used = 0, sharp;
    do {
        size_t count = before_sharp(name, &sharp);
        if (used + count + 3 > size)
            return false;
        memcpy(&to[used], name, count);
        used += count;
        if (sharp) {
            memcpy(&to[used], "ss", 2);
            used += 2;
        }
        name = &name[count + sharp];
    } while (sharp);
    to[used] = '\0';
    return true;
}

bool share_name_same(const char *a, const char *b)
{
    enum { SIZE = 2048 };
    char one[SIZE], other[SIZE];
    return plain_same(a, b) ||
           (write_out(a, one, SIZE) && write_out(b, other, SIZE) && plain_same(one, other));
}
