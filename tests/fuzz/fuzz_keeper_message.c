/*
 * Every decoder of the keeper's messages. The first byte chooses one, the rest is a body. A body
 * that is taken must be what its message is written as: there is one way to say a thing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/channel.h"
#include "crypto/keeper_message.h"

static uint8_t buffer[CHANNEL_MESSAGE_MAX];

#define ROUND_TRIP(type)                                                                           \
    do {                                                                                           \
        struct type message;                                                                       \
        if (!type##_read(body, &message))                                                          \
            break;                                                                                 \
        type##_write(&writer, &message);                                                           \
        if (!writer_done(&writer) || !span_equal(writer_span(&writer), body))                      \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_over(data, size);
    struct writer writer = writer_over(buffer, sizeof buffer);
    uint8_t kind;
    if (!read_u8(&reader, &kind))
        return 0;
    struct span body = reader_rest(&reader);
    switch (kind % 9) {
    case 0: ROUND_TRIP(control_peer); break;
    case 1: ROUND_TRIP(keeper_accept); break;
    case 2: ROUND_TRIP(keeper_login); break;
    case 3: ROUND_TRIP(keeper_step); break;
    case 4: ROUND_TRIP(keeper_forget); break;
    case 5: ROUND_TRIP(keeper_continue); break;
    case 6: ROUND_TRIP(keeper_proven); break;
    case 7: ROUND_TRIP(keeper_logged_in); break;
    case 8: ROUND_TRIP(keeper_refused); break;
    }
    return 0;
}
