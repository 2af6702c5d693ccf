/* What a client writes into a pipe: whole, and cut in two at a place of the fuzzer's choice. */
#include "proxy/rpc.h"
#include "proxy/rpc_fault.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static bool between_or_inside(const struct rpc_stream *stream)
{
    return stream->have < RPC_HEAD_SIZE && (stream->have == 0 || stream->left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_stream whole = {.have = 0}, cut = {.have = 0};
    uint8_t fault[RPC_FAULT_SIZE];
    struct writer writer = writer_over(fault, sizeof fault);
    const char *what = NULL;
    if (size < 1)
        return 0;
    size_t at = data[0] % size;
    struct span rest = {data + 1, size - 1}, first, second;
    must(span_slice(rest, 0, at, &first) && span_slice(rest, at, rest.size - at, &second));
    enum rpc_content together = rpc_take(&whole, rest, &what);
    must(together != RPC_NEEDS_KEY || what);
    enum rpc_content apart = rpc_take(&cut, first, &what);
    if (apart == RPC_PLAIN)
        apart = rpc_take(&cut, second, &what);
    must(between_or_inside(&whole) && between_or_inside(&cut));
    /* Cutting hides nothing; it may only show more. */
    must(together == RPC_PLAIN ? apart != RPC_MALFORMED : apart != RPC_PLAIN);
    must(rpc_fault_write(&writer, rest) ? writer_done(&writer) : writer_size(&writer) == 0);
    return 0;
}
