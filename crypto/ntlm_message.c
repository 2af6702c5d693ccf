#include "crypto/ntlm_message.h"

#include <time.h>

/* Sizes of the fixed parts. Version is optional for readers: it is written always. */
enum {
    VERSION_SIZE = 8,
    NEGOTIATE_FIXED = 32 + VERSION_SIZE,
    CHALLENGE_LEAST = 48,
    CHALLENGE_FIXED = CHALLENGE_LEAST + VERSION_SIZE,
    AUTHENTICATE_LEAST = 64,
    AUTHENTICATE_FIXED = AUTHENTICATE_LEAST + VERSION_SIZE + NTLM_MIC_SIZE,
};

static const uint8_t signature[8] = "NTLMSSP";

/* Windows 7's number and revision 15, which everybody knows (MS-NLMP 2.2.2.10). */
static const uint8_t version[VERSION_SIZE] = {6, 1, 0, 0, 0, 0, 0, 15};

static bool read_type(struct reader *reader, uint32_t *type)
{
    struct span start;
    return read_span(reader, sizeof signature, &start) &&
           span_equal(start, (struct span){signature, sizeof signature}) && read_le32(reader, type);
}

bool ntlm_message_type(struct span message, uint32_t *type)
{
    struct reader reader = reader_over_span(message);
    return read_type(&reader, type);
}

static bool read_head(struct reader *reader, struct span message, size_t limit, enum ntlm_type want)
{
    uint32_t type;
    *reader = reader_over_span(message);
    return message.size <= limit && read_type(reader, &type) && type == (uint32_t)want;
}

/* Length, allocated length and offset of a field in the payload. The offset of an empty field means
 * nothing: clients leave anything there. `first` becomes the lowest offset seen. */
static bool read_field(struct reader *reader, struct span message, size_t least, size_t *first,
                       struct span *field)
{
    uint16_t size, allocated;
    uint32_t offset;
    if (!read_le16(reader, &size) || !read_le16(reader, &allocated) || !read_le32(reader, &offset))
        return false;
    if (size == 0) {
        *field = (struct span){NULL, 0};
        return true;
    }
    if (offset < least || !span_slice(message, offset, size, field))
        return false;
    if (offset < *first)
        *first = offset;
    return true;
}

bool ntlm_negotiate_read(struct span message, struct ntlm_negotiate *negotiate)
{
    struct reader reader;
    return read_head(&reader, message, NTLM_NEGOTIATE_MAX, NTLM_NEGOTIATE) &&
           read_le32(&reader, &negotiate->flags);
}

bool ntlm_challenge_read(struct span message, struct ntlm_challenge *challenge)
{
    struct reader reader;
    size_t first = message.size;
    return read_head(&reader, message, NTLM_CHALLENGE_MAX, NTLM_CHALLENGE) &&
           read_field(&reader, message, CHALLENGE_LEAST, &first, &challenge->target_name) &&
           read_le32(&reader, &challenge->flags) &&
           read_copy(&reader, challenge->server_challenge, NTLM_CHALLENGE_SIZE) &&
           read_skip(&reader, sizeof(uint64_t)) &&
           read_field(&reader, message, CHALLENGE_LEAST, &first, &challenge->target_info);
}

/*
 * MS-NLMP 2.2.1.3 draws Version and MIC as if they were always there; on the wire the payload may
 * begin right after the flags (no MIC), after Version (no MIC), or after both. Clients that have no
 * Version to tell leave it out and put the MIC in its place, payload at 80.
 */
static bool find_mic(struct span message, size_t first, struct ntlm_authenticate *authenticate)
{
    authenticate->mic_offset = 0;
    authenticate->mic = (struct span){NULL, 0};
    if (first >= AUTHENTICATE_FIXED)
        authenticate->mic_offset = AUTHENTICATE_LEAST + VERSION_SIZE;
    else if (first >= AUTHENTICATE_LEAST + NTLM_MIC_SIZE)
        authenticate->mic_offset = AUTHENTICATE_LEAST;
    return authenticate->mic_offset == 0 ||
           span_slice(message, authenticate->mic_offset, NTLM_MIC_SIZE, &authenticate->mic);
}

bool ntlm_authenticate_read(struct span message, struct ntlm_authenticate *authenticate)
{
    struct reader reader;
    struct span *fields[] = {
        &authenticate->lm_response, &authenticate->nt_response, &authenticate->domain,
        &authenticate->user,        &authenticate->workstation, &authenticate->session_key,
    };
    size_t first = message.size;
    if (!read_head(&reader, message, NTLM_AUTHENTICATE_MAX, NTLM_AUTHENTICATE))
        return false;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!read_field(&reader, message, AUTHENTICATE_LEAST, &first, fields[i]))
            return false;
    return read_le32(&reader, &authenticate->flags) && find_mic(message, first, authenticate);
}

static void write_head(struct writer *writer, enum ntlm_type type)
{
    write_bytes(writer, signature, sizeof signature);
    write_le32(writer, (uint32_t)type);
}

/* Points a field at the next place of the payload. Some clients read the allocated length as the
 * length, so both are the same. */
static void write_field(struct writer *writer, struct span field, size_t *next)
{
    write_le16(writer, (uint16_t)field.size);
    write_le16(writer, (uint16_t)field.size);
    write_le32(writer, (uint32_t)*next);
    if (field.size > UINT16_MAX)
        writer->overflow = true;
    *next += field.size;
}

static void write_version(struct writer *writer, uint32_t flags)
{
    if (flags & NTLM_VERSION)
        write_bytes(writer, version, sizeof version);
    else
        write_zeros(writer, sizeof version);
}

void ntlm_negotiate_write(struct writer *writer, const struct ntlm_negotiate *negotiate)
{
    size_t next = NEGOTIATE_FIXED;
    write_head(writer, NTLM_NEGOTIATE);
    write_le32(writer, negotiate->flags);
    write_field(writer, (struct span){NULL, 0}, &next);
    write_field(writer, (struct span){NULL, 0}, &next);
    write_version(writer, negotiate->flags);
}

void ntlm_challenge_write(struct writer *writer, const struct ntlm_challenge *challenge)
{
    size_t next = CHALLENGE_FIXED;
    write_head(writer, NTLM_CHALLENGE);
    write_field(writer, challenge->target_name, &next);
    write_le32(writer, challenge->flags);
    write_bytes(writer, challenge->server_challenge, NTLM_CHALLENGE_SIZE);
    write_zeros(writer, sizeof(uint64_t));
    write_field(writer, challenge->target_info, &next);
    write_version(writer, challenge->flags);
    write_span(writer, challenge->target_name);
    write_span(writer, challenge->target_info);
}

void ntlm_authenticate_write(struct writer *writer, const struct ntlm_authenticate *authenticate)
{
    const struct span fields[] = {
        authenticate->lm_response, authenticate->nt_response, authenticate->domain,
        authenticate->user,        authenticate->workstation, authenticate->session_key,
    };
    size_t next = AUTHENTICATE_FIXED;
    write_head(writer, NTLM_AUTHENTICATE);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        write_field(writer, fields[i], &next);
    write_le32(writer, authenticate->flags);
    write_version(writer, authenticate->flags);
    if (authenticate->mic.size == NTLM_MIC_SIZE)
        write_span(writer, authenticate->mic);
    else
        write_zeros(writer, NTLM_MIC_SIZE);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        write_span(writer, fields[i]);
}

uint64_t ntlm_now(void)
{
    static const uint64_t seconds_before_1970 = UINT64_C(11644473600);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec + seconds_before_1970) * 10000000 + (uint64_t)now.tv_nsec / 100;
}
