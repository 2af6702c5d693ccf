/*
 * Sightings between a worker and the recorder, all little-endian: le64 query, u8 flags, the name
 * and the server's own name (le16 size and text each), the GUID, le16 dialect, signing and cipher,
 * le16 possible dialect, u8 count and le16 each of the possible signing algorithms and ciphers; the
 * rest is a packed event.
 */
#include <string.h>

#include "proxy/memory.h"

enum {
    FLAG_UPSTREAM = 1,
    FLAG_LOGIN = 2,
    FLAG_SIGNING = 4,
    FLAG_KERBEROS = 8,
    FLAG_PIN = 16,
    FLAG_KEEP = 32,
    FLAGS_ALL = 63
};

static void write_name(struct writer *writer, const char *name)
{
    size_t size = strlen(name);
    write_le16(writer, (uint16_t)size);
    write_bytes(writer, name, size);
}

/* Spaces and line ends, which the file has between names, become "_": a file server may call itself
 * anything. */
static bool read_name(struct reader *reader, char name[MEMORY_NAME_MAX])
{
    uint16_t size;
    memset(name, 0, MEMORY_NAME_MAX);
    if (!read_le16(reader, &size) || size >= MEMORY_NAME_MAX || !read_copy(reader, name, size) ||
        strlen(name) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
            name[i] = '_';
    return true;
}

static void write_list(struct writer *writer, const uint16_t *list, unsigned count)
{
    write_u8(writer, (uint8_t)count);
    for (unsigned i = 0; i < count; i++)
        write_le16(writer, list[i]);
}

static bool read_list(struct reader *reader, uint16_t list[MEMORY_LIST_MAX], unsigned *count)
{
    uint8_t size;
    if (!read_u8(reader, &size) || size > MEMORY_LIST_MAX)
        return false;
    for (*count = 0; *count < size; ++*count)
        if (!read_le16(reader, &list[*count]))
            return false;
    return true;
}

void sighting_write(struct writer *writer, uint64_t query, const struct sighting *sighting,
                    struct span packed_event)
{
    const struct spoken *spoken = &sighting->spoken;
    write_le64(writer, query);
    write_u8(writer, (uint8_t)((sighting->upstream ? FLAG_UPSTREAM : 0) |
                               (sighting->login ? FLAG_LOGIN : 0) |
                               (spoken->has_signing ? FLAG_SIGNING : 0) |
                               (spoken->kerberos ? FLAG_KERBEROS : 0) |
                               (sighting->pin ? FLAG_PIN : 0) | (sighting->keep ? FLAG_KEEP : 0)));
    write_name(writer, sighting->name);
    write_name(writer, sighting->server_name);
    write_bytes(writer, sighting->guid, GUID_SIZE);
    write_le16(writer, spoken->dialect);
    write_le16(writer, spoken->signing);
    write_le16(writer, spoken->cipher);
    write_le16(writer, sighting->dialect_possible);
    write_list(writer, sighting->signing_possible, sighting->signing_count);
    write_list(writer, sighting->ciphers_possible, sighting->ciphers_count);
    write_span(writer, packed_event);
}

bool sighting_read(struct span body, uint64_t *query, struct sighting *sighting,
                   struct span *packed_event)
{
    struct reader reader = reader_over_span(body);
    struct spoken *spoken = &sighting->spoken;
    uint8_t flags;
    memset(sighting, 0, sizeof *sighting);
    if (!read_le64(&reader, query) || !read_u8(&reader, &flags) || flags > FLAGS_ALL ||
        !read_name(&reader, sighting->name) || !read_name(&reader, sighting->server_name) ||
        !read_copy(&reader, sighting->guid, GUID_SIZE) || !read_le16(&reader, &spoken->dialect) ||
        !read_le16(&reader, &spoken->signing) || !read_le16(&reader, &spoken->cipher) ||
        !read_le16(&reader, &sighting->dialect_possible) ||
        !read_list(&reader, sighting->signing_possible, &sighting->signing_count) ||
        !read_list(&reader, sighting->ciphers_possible, &sighting->ciphers_count))
        return false;
    sighting->upstream = flags & FLAG_UPSTREAM;
    sighting->login = flags & FLAG_LOGIN;
    sighting->pin = flags & FLAG_PIN;
    sighting->keep = flags & FLAG_KEEP;
    spoken->has_signing = flags & FLAG_SIGNING;
    spoken->kerberos = flags & FLAG_KERBEROS;
    *packed_event = reader_rest(&reader);
    return true;
}
