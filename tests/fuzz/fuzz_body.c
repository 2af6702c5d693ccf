/* The other bodies that are looked into: ranges stay inside the message, lists end, and what is
 * also written is read again as the same. */
#include "proxy/body.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buffer[1024 * 1024];

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void must_be_inside(struct span range, struct span whole)
{
    must(range.size == 0 || (range.at >= whole.at && range.size <= whole.size &&
                             range.at <= &whole.at[whole.size - range.size]));
}

static struct writer begin(void)
{
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){0});
    return writer;
}

static void tree_request(struct span input, uint16_t dialect)
{
    struct tree_connect_request first, second;
    if (!tree_connect_request_read(input, dialect, &first))
        return;
    must_be_inside(first.path, input);
    struct writer writer = begin();
    tree_connect_request_write(&writer, &first);
    must(writer_done(&writer));
    /* It is written without the extension, which the flag would announce at 3.1.1. */
    must(tree_connect_request_read(writer_span(&writer), SMB_3_0, &second));
    must(second.flags == first.flags && span_equal(second.path, first.path));
}

static void tree_response(struct span input)
{
    struct tree_connect_response first, second;
    if (!tree_connect_response_read(input, &first))
        return;
    struct writer writer = writer_over(buffer, sizeof buffer);
    write_span(&writer, input);
    must(writer_done(&writer));
    tree_connect_response_patch(buffer, first.share_flags, first.capabilities);
    must(span_equal(writer_span(&writer), input));
    tree_connect_response_patch(buffer, ~first.share_flags, ~first.capabilities);
    must(tree_connect_response_read(writer_span(&writer), &second));
    must(second.share_type == first.share_type && second.share_flags == ~first.share_flags);
    must(second.capabilities == ~first.capabilities);
    must(second.maximal_access == first.maximal_access);
}

static void ioctl_request(struct span input)
{
    struct ioctl_request first, second;
    if (!ioctl_request_read(input, &first))
        return;
    must_be_inside(first.input, input);
    struct writer writer = begin();
    ioctl_request_write(&writer, &first);
    must(writer_done(&writer) && ioctl_request_read(writer_span(&writer), &second));
    must(second.code == first.code && second.flags == first.flags);
    must(memcmp(second.file_id, first.file_id, FILE_ID_SIZE) == 0);
    must(second.max_output == first.max_output && span_equal(second.input, first.input));
}

static void ioctl_response(struct span input)
{
    struct ioctl_response first, second;
    if (!ioctl_response_read(input, &first))
        return;
    must_be_inside(first.output, input);
    struct writer writer = begin();
    ioctl_response_write(&writer, &first);
    must(writer_done(&writer) && ioctl_response_read(writer_span(&writer), &second));
    must(second.code == first.code && span_equal(second.output, first.output));
    must(memcmp(second.file_id, first.file_id, FILE_ID_SIZE) == 0);
}

static void walk_contexts(struct span list)
{
    struct create_context context;
    struct span rest = list;
    size_t before = rest.size;
    bool broken;
    while (create_context_next(&rest, &context, &broken)) {
        must(!broken && rest.size < before);
        must_be_inside(rest, list);
        must_be_inside(context.name, list);
        must_be_inside(context.data, list);
        before = rest.size;
    }
    must(broken == (rest.size > 0));
}

static void create(struct span input)
{
    struct create_request request;
    struct create_response response;
    if (create_request_read(input, &request)) {
        must_be_inside(request.name, input);
        must_be_inside(request.contexts, input);
        walk_contexts(request.contexts);
    }
    if (create_response_read(input, &response)) {
        must_be_inside(response.contexts, input);
        walk_contexts(response.contexts);
    }
}

static void others(struct span input)
{
    struct break_body notification;
    struct span data;
    uint8_t contexts;
    if (break_notification_read(input, &notification))
        must(get_le16(&input.at[64]) == (notification.lease ? 44 : 24));
    if (error_body_read(input, &contexts, &data))
        must_be_inside(data, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = {data, size};
    if (size > sizeof buffer / 2)
        return 0;
    tree_request(input, SMB_3_1_1);
    tree_request(input, SMB_2_1);
    tree_response(input);
    ioctl_request(input);
    ioctl_response(input);
    create(input);
    others(input);
    return 0;
}
