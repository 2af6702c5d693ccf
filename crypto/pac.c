#include "crypto/pac.h"

#include "crypto/text.h"

#include <string.h>

enum {
    HEADER_VERSION = 1,
    LITTLE_ENDIAN_IEEE = 0x10,
    HEADER_SIZE = 8,
    TIMES_SIZE = 48,
    NAMES = 6, /* before the groups: user, full name, script, profile, directory, drive */
    SESSION_KEY_SIZE = 16,
    BETWEEN_SIZE = 40, /* Reserved1 to Reserved3 */
    SUB_AUTHORITIES_AT = 8,
    SE_GROUP_ENABLED = 0x4,
    SE_GROUP_USE_FOR_DENY_ONLY = 0x10,
};

/* A RPC_UNICODE_STRING's fixed part: its text stands behind. */
struct text_head {
    uint16_t size;
    bool there;
};

/* The fixed part of KERB_VALIDATION_INFO, as far as it is used. */
struct logon_head {
    struct text_head names[NAMES];
    uint32_t user, primary_group, groups_count;
    bool groups;
    struct text_head server, domain;
    bool domain_sid;
    uint32_t extras_count;
    bool extras, resource_sid;
    uint32_t resources_count;
    bool resources;
};

static bool read_pointer(struct reader *reader, bool *there)
{
    uint32_t referent;
    if (!read_le32(reader, &referent))
        return false;
    *there = referent != 0;
    return true;
}

static bool read_text_head(struct reader *reader, struct text_head *head)
{
    uint16_t room;
    return read_le16(reader, &head->size) && read_le16(reader, &room) && head->size <= room &&
           head->size % 2 == 0 && read_pointer(reader, &head->there);
}

static bool read_head(struct reader *reader, struct logon_head *head)
{
    if (!read_skip(reader, TIMES_SIZE))
        return false;
    for (size_t i = 0; i < NAMES; i++)
        if (!read_text_head(reader, &head->names[i]))
            return false;
    return read_skip(reader, 4) && /* LogonCount, BadPasswordCount */
           read_le32(reader, &head->user) && read_le32(reader, &head->primary_group) &&
           read_le32(reader, &head->groups_count) && read_pointer(reader, &head->groups) &&
           read_skip(reader, 4 + SESSION_KEY_SIZE) && read_text_head(reader, &head->server) &&
           read_text_head(reader, &head->domain) && read_pointer(reader, &head->domain_sid) &&
           read_skip(reader, BETWEEN_SIZE) && read_le32(reader, &head->extras_count) &&
           read_pointer(reader, &head->extras) && read_pointer(reader, &head->resource_sid) &&
           read_le32(reader, &head->resources_count) && read_pointer(reader, &head->resources);
}

/* A conformant and varying string (C706 14.3.4.2): room, offset, length, then its UTF-16. */
static bool read_text(struct reader *reader, const uint8_t *base, const struct text_head *head,
                      struct span *text)
{
    uint32_t room, offset, length;
    *text = (struct span){NULL, 0};
    if (!head->there)
        return head->size == 0;
    return read_align(reader, base, 4) && read_le32(reader, &room) && read_le32(reader, &offset) &&
           read_le32(reader, &length) && offset == 0 && length <= room &&
           length == head->size / 2u && read_span(reader, head->size, text);
}

/* RPC_SID: the number of sub-authorities goes before it (a conformant structure). */
static bool read_sid(struct reader *reader, const uint8_t *base, struct sid *sid)
{
    uint32_t count;
    struct span binary;
    return read_align(reader, base, 4) && read_le32(reader, &count) && count <= SIDS_MAX &&
           read_span(reader, SUB_AUTHORITIES_AT + 4 * (size_t)count, &binary) &&
           sid_read(binary, sid);
}

static bool counts(uint32_t attributes)
{
    return (attributes & SE_GROUP_ENABLED) && !(attributes & SE_GROUP_USE_FOR_DENY_ONLY);
}

/* An array of GROUP_MEMBERSHIP: numbers within a domain, with attributes. */
static bool read_groups(struct reader *reader, const uint8_t *base, uint32_t expected,
                        const struct sid *domain, struct sids *sids)
{
    uint32_t count, number, attributes;
    struct sid sid;
    if (!read_align(reader, base, 4) || !read_le32(reader, &count) || count != expected)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_le32(reader, &number) || !read_le32(reader, &attributes))
            return false;
        if (counts(attributes) && (!sid_append(domain, number, &sid) || !sids_add(sids, &sid)))
            return false;
    }
    return true;
}

/* An array of KERB_SID_AND_ATTRIBUTES: pointers with attributes, then what they point to. */
static bool read_extras(struct reader *reader, const uint8_t *base, uint32_t expected,
                        struct pac *pac)
{
    struct span array;
    uint32_t count, attributes;
    struct sid sid;
    bool there;
    if (!read_align(reader, base, 4) || !read_le32(reader, &count) || count != expected ||
        count > SIDS_MAX || !read_span(reader, 8 * (size_t)count, &array))
        return false;
    struct reader heads = reader_over_span(array);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_pointer(&heads, &there) || !read_le32(&heads, &attributes))
            return false;
        if (!there)
            continue;
        if (!read_sid(reader, base, &sid) || (counts(attributes) && !sids_add(&pac->sids, &sid)))
            return false;
        if (i == 0 && pac->user.size == 0)
            pac->user = sid;
    }
    return true;
}

/* The user's own SID is of the domain, unless its number is 0: then it is the first of the extra
 * ones. Groups of the domain are numbers in it. */
static bool read_behind(struct reader *reader, const uint8_t *base, const struct logon_head *head,
                        struct pac *pac)
{
    struct span account, text, domain, groups = {NULL, 0};
    struct sid resource_sid = {0}, sid;
    struct reader later;
    for (size_t i = 0; i < NAMES; i++)
        if (!read_text(reader, base, &head->names[i], i ? &text : &account))
            return false;
    if (head->groups && (head->groups_count > SIDS_MAX || !read_align(reader, base, 4) ||
                         !read_span(reader, 4 + 8 * (size_t)head->groups_count, &groups)))
        return false;
    later = reader_over_span(groups);
    if (!read_text(reader, base, &head->server, &text) ||
        !read_text(reader, base, &head->domain, &domain) || !head->domain_sid ||
        !read_sid(reader, base, &pac->domain_sid) ||
        !text_from_utf16_strict(account, pac->account, sizeof pac->account) ||
        !text_from_utf16_strict(domain, pac->domain, sizeof pac->domain))
        return false;
    if (head->user && (!sid_append(&pac->domain_sid, head->user, &pac->user) ||
                       !sids_add(&pac->sids, &pac->user)))
        return false;
    if (!sid_append(&pac->domain_sid, head->primary_group, &sid) || !sids_add(&pac->sids, &sid))
        return false;
    if (head->groups &&
        !read_groups(&later, groups.at, head->groups_count, &pac->domain_sid, &pac->sids))
        return false;
    if (head->extras && !read_extras(reader, base, head->extras_count, pac))
        return false;
    if (head->resource_sid && !read_sid(reader, base, &resource_sid))
        return false;
    return !head->resources ||
           read_groups(reader, base, head->resources_count, &resource_sid, &pac->sids);
}

/* MS-RPCE 2.2.6: a common header, one for the object, and a pointer to it. */
static bool open_object(struct reader *reader, struct span *object)
{
    uint8_t version, endian;
    uint16_t header;
    uint32_t size;
    bool there;
    if (!read_u8(reader, &version) || version != HEADER_VERSION || !read_u8(reader, &endian) ||
        endian != LITTLE_ENDIAN_IEEE || !read_le16(reader, &header) || header != HEADER_SIZE ||
        !read_skip(reader, 4) || !read_le32(reader, &size) || !read_skip(reader, 4) ||
        !read_span(reader, size, object))
        return false;
    struct reader inside = reader_over_span(*object);
    return read_pointer(&inside, &there) && there;
}

/* Beside the groups there are the user and the primary group. */
static bool lists_too_many(const struct logon_head *head)
{
    return (uint64_t)head->groups_count + head->extras_count + head->resources_count + 2 > SIDS_MAX;
}

enum pac_result pac_read(struct span logon_info, struct pac *pac)
{
    struct reader reader = reader_over_span(logon_info);
    struct logon_head head;
    struct span object;
    memset(pac, 0, sizeof *pac);
    if (!open_object(&reader, &object))
        return PAC_BROKEN;
    reader = reader_over_span(object);
    if (!read_skip(&reader, 4) || !read_head(&reader, &head))
        return PAC_BROKEN;
    if (read_behind(&reader, object.at, &head, pac))
        return PAC_READ;
    pac_free(pac);
    return lists_too_many(&head) ? PAC_TOO_MANY : PAC_BROKEN;
}

void pac_free(struct pac *pac)
{
    sids_free(&pac->sids);
    memset(pac, 0, sizeof *pac);
}
