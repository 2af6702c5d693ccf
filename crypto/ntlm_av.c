#include "crypto/ntlm_av.h"

#include "crypto/text.h"

/* A pair's head: id and length. */
enum { AV_HEAD_SIZE = 4, AV_TEXT_MAX = 4096 };

bool av_list_read(struct span bytes, struct av_list *list)
{
    struct reader reader = reader_over_span(bytes);
    list->count = 0;
    for (;;) {
        struct av_pair pair;
        uint16_t size;
        if (!read_le16(&reader, &pair.id) || !read_le16(&reader, &size) ||
            !read_span(&reader, size, &pair.value))
            return false;
        if (pair.id == AV_EOL)
            return size == 0;
        if (list->count == AV_PAIRS_MAX)
            return false;
        list->pairs[list->count++] = pair;
    }
}

const struct av_pair *av_list_find(const struct av_list *list, enum av_id id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->pairs[i].id == id)
            return &list->pairs[i];
    return NULL;
}

bool av_list_repeats(const struct av_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        for (size_t j = 0; j < i; j++)
            if (list->pairs[i].id == list->pairs[j].id)
                return true;
    return false;
}

bool av_list_le32(const struct av_list *list, enum av_id id, uint32_t *value)
{
    const struct av_pair *pair = av_list_find(list, id);
    if (!pair || pair->value.size != sizeof *value)
        return false;
    *value = get_le32(pair->value.at);
    return true;
}

bool av_list_le64(const struct av_list *list, enum av_id id, uint64_t *value)
{
    const struct av_pair *pair = av_list_find(list, id);
    if (!pair || pair->value.size != sizeof *value)
        return false;
    *value = get_le64(pair->value.at);
    return true;
}

static void write_head(struct writer *writer, enum av_id id, size_t size)
{
    write_le16(writer, (uint16_t)id);
    write_le16(writer, (uint16_t)size);
}

void av_write(struct writer *writer, enum av_id id, struct span value)
{
    write_head(writer, id, value.size);
    write_span(writer, value);
}

bool av_write_text(struct writer *writer, enum av_id id, const char *utf8)
{
    size_t start = writer_size(writer);
    write_head(writer, id, 0);
    if (!text_write_utf16(writer, utf8, false) || !writer_done(writer))
        return false;
    size_t size = writer_size(writer) - start - AV_HEAD_SIZE;
    if (size > AV_TEXT_MAX)
        return false;
    write_le16_at(writer, start + sizeof(uint16_t), (uint16_t)size);
    return true;
}

void av_write_le32(struct writer *writer, enum av_id id, uint32_t value)
{
    write_head(writer, id, sizeof value);
    write_le32(writer, value);
}

void av_write_le64(struct writer *writer, enum av_id id, uint64_t value)
{
    write_head(writer, id, sizeof value);
    write_le64(writer, value);
}

void av_write_end(struct writer *writer)
{
    write_head(writer, AV_EOL, 0);
}
