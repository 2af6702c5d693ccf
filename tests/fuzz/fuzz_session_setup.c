/* SESSION_SETUP, the last body that anybody may send unsigned. What a reader took is written and
 * must be read again as the same. */
#include "proxy/body.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buffer[128 * 1024];

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* A range is empty or inside the input, behind its header. */
static void must_be_inside(struct span range, struct span input)
{
    must(range.size == 0 || (range.at >= &input.at[SMB2_HEADER_SIZE] && range.size < input.size &&
                             range.at <= &input.at[input.size - range.size]));
}

static struct writer begin(void)
{
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){.command = SMB2_SESSION_SETUP});
    return writer;
}

static void request(struct span input)
{
    struct session_setup_request first, second;
    if (!session_setup_request_read(input, &first))
        return;
    must_be_inside(first.token, input);
    struct writer writer = begin();
    session_setup_request_write(&writer, &first);
    must(writer_done(&writer));
    must(session_setup_request_read(writer_span(&writer), &second));
    must(second.flags == first.flags && second.security_mode == first.security_mode);
    must(second.capabilities == first.capabilities && second.channel == first.channel);
    must(second.previous_session_id == first.previous_session_id);
    must(span_equal(second.token, first.token));
}

static void response(struct span input)
{
    struct session_setup_response first, second;
    if (!session_setup_response_read(input, &first))
        return;
    must_be_inside(first.token, input);
    struct writer writer = begin();
    session_setup_response_write(&writer, &first);
    must(writer_done(&writer));
    must(session_setup_response_read(writer_span(&writer), &second));
    must(second.session_flags == first.session_flags);
    must(span_equal(second.token, first.token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = {data, size};
    request(input);
    response(input);
    return 0;
}
