/*
 * KERB_VALIDATION_INFO as Samba's own code marshals it, without the headers of MS-RPCE 2.2.6.
 */
#ifndef COUNTERSIGN_TESTS_PAC_VECTORS_H
#define COUNTERSIGN_TESTS_PAC_VECTORS_H

#include "crypto/cursor.h"

/* alice, number 1103 of CORP (S-1-5-21-1111-2222-3333), primary group 513; groups 513, 1200, 1201
 * for deny only, 1202 not enabled; of others S-1-5-21-9-8-7-1300, S-1-18-1, and S-1-5-21-9-8-7-1301
 * for deny only; of the server's domain S-1-5-21-4-5-6-1400. */
#define PAC_OF_ALICE                                                                               \
    "0000020000000000000000000000000000000000000000000000000000000000000000000000000000000000"     \
    "00000000000000000a000a00040002001a001a0008000200000000000c000200000000000000000000000000"     \
    "000000000000000000000000000000004f040000010200000400000010000200200200000000000000000000"     \
    "0000000000000000060008001400020008000a00180002001c00020000000000000000000000000000000000"     \
    "0000000000000000000000000000000000000000000000000300000020000200240002000100000028000200"     \
    "05000000000000000500000061006c0069006300650000000d000000000000000d00000041006c0069006300"     \
    "65002000c4006d0074006c006900630068000000000000000000000000000000040000000102000007000000"     \
    "b004000007000000b104000010000000b2040000030000000400000000000000030000004400430031000000"     \
    "05000000000000000400000043004f00520050000400000001040000000000051500000057040000ae080000"     \
    "050d0000030000002c0002000700000030000200070000003400020010000000050000000105000000000005"     \
    "1500000009000000080000000700000014050000010000000101000000000012010000000500000001050000"     \
    "0000000515000000090000000800000007000000150500000400000001040000000000051500000004000000"     \
    "0500000006000000010000007805000007000020"

/* bob, number 1103, primary group 513, no name of the domain and no groups. */
#define PAC_OF_BOB                                                                                 \
    "0000020000000000000000000000000000000000000000000000000000000000000000000000000000000000"     \
    "000000000000000006000600040002001a001a0008000200000000000c000200000000000000000000000000"     \
    "000000000000000000000000000000004f040000010200000000000010000200200200000000000000000000"     \
    "0000000000000000000002001400020000000200180002001c00020000000000000000000000000000000000"     \
    "0000000000000000000000000000000000000000000000000000000020000200000000000000000000000000"     \
    "03000000000000000300000062006f00620000000d000000000000000d00000041006c006900630065002000"     \
    "c4006d0074006c00690063006800000000000000000000000000000000000000010000000000000000000000"     \
    "0100000000000000000000000400000001040000000000051500000057040000ae080000050d000000000000"

/* Headers of MS-RPCE 2.2.6 for an object of that size. */
static inline void pac_write_head(struct writer *writer, size_t length)
{
    write_bytes(writer, "\x01\x10\x08\x00\xcc\xcc\xcc\xcc", 8);
    write_le32(writer, (uint32_t)((length + 7) & ~(size_t)7));
    write_zeros(writer, 4);
}

/* The whole buffer: common header, header of the object, object, padded to eight bytes. */
static inline size_t pac_build(const char *hex, uint8_t *to, size_t size)
{
    uint8_t object[2048];
    size_t length = from_hex(hex, object, sizeof object);
    struct writer writer = writer_over(to, size);
    pac_write_head(&writer, length);
    write_bytes(&writer, object, length);
    write_align(&writer, 8);
    assert_true(writer_done(&writer));
    return writer_size(&writer);
}

/* The same with `more` groups of the domain, numbers 5000 and on, before those of PAC_OF_ALICE. */
static inline size_t pac_build_crowded(const char *hex, uint32_t more, uint8_t *to, size_t size)
{
    enum { COUNT_AT = 4 + 48 + 48 + 4 + 8, GROUPS = 4 };
    static const uint8_t first[] = {GROUPS, 0, 0, 0, 1, 2, 0, 0, 7, 0, 0, 0};
    uint8_t object[2048];
    size_t length = from_hex(hex, object, sizeof object), at = 0;
    struct writer writer = writer_over(to, size);
    while (memcmp(&object[at], first, sizeof first) != 0)
        assert_true(++at + sizeof first < length);
    put_le32(&object[COUNT_AT], GROUPS + more);
    put_le32(&object[at], GROUPS + more);
    pac_write_head(&writer, length + 8 * (size_t)more);
    write_bytes(&writer, object, at + 4);
    for (uint32_t i = 0; i < more; i++) {
        write_le32(&writer, 5000 + i);
        write_le32(&writer, 7);
    }
    write_bytes(&writer, &object[at + 4], length - at - 4);
    write_align(&writer, 8);
    assert_true(writer_done(&writer));
    return writer_size(&writer);
}

#endif
