#include "proxy/rpc_fault.h"

#include "proxy/ndr.h"

enum { VERSION = 5, REQUEST = 0, FAULT = 3 };
enum { FLAGS_WHOLE = 0x03, FLAG_DID_NOT_EXECUTE = 0x20 };
enum { ACCESS_DENIED = 5 }; /* MS-RPCE 2.2.1.1.1: a Windows error code */

struct request {
    uint8_t version, minor, type, flags;
    uint8_t representation[4];
    uint16_t size, auth_size, context;
    uint32_t call, hint;
};

static bool read_request(struct span bytes, struct request *request)
{
    struct reader start = reader_over_span(bytes);
    struct ndr ndr = ndr_over(bytes, false, false);
    if (!read_u8(&start, &request->version) || !read_u8(&start, &request->minor) ||
        !read_u8(&start, &request->type) || !read_u8(&start, &request->flags) ||
        !read_copy(&start, request->representation, sizeof request->representation))
        return false;
    ndr.big_endian = !(request->representation[0] & 0x10);
    return ndr_skip(&ndr, 1, 8) && ndr_u16(&ndr, &request->size) &&
           ndr_u16(&ndr, &request->auth_size) && ndr_u32(&ndr, &request->call) &&
           ndr_u32(&ndr, &request->hint) && ndr_u16(&ndr, &request->context);
}

bool rpc_fault_write(struct writer *writer, struct span request)
{
    struct request call;
    if (!read_request(request, &call) || call.version != VERSION || call.type != REQUEST ||
        (call.flags & FLAGS_WHOLE) != FLAGS_WHOLE || call.size != request.size)
        return false;
    write_u8(writer, VERSION);
    write_u8(writer, call.minor);
    write_u8(writer, FAULT);
    write_u8(writer, FLAGS_WHOLE | FLAG_DID_NOT_EXECUTE);
    write_le32(writer, 0x10); /* little-endian, ASCII, IEEE */
    write_le16(writer, RPC_FAULT_SIZE);
    write_le16(writer, 0); /* no authentication */
    write_le32(writer, call.call);
    write_le32(writer, RPC_FAULT_SIZE);
    write_le16(writer, call.context);
    write_le16(writer, 0); /* nothing cancelled */
    write_le32(writer, ACCESS_DENIED);
    write_le32(writer, 0);
    return true;
}
