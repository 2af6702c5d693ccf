/*
 * Calls that need the session's key: found in every layout and byte order, under every number that
 * a client gives their interface; and nothing else is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/rpc.h"
#include "proxy/rpc_fault.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { REQUEST = 0, BIND = 11, ALTER_CONTEXT = 14, WHOLE = 3, OBJECT = 0x80, ROOM = 4096 };
enum { SAMR, LSARPC, WKSSVC, SVCCTL, SRVSVC };
enum { NDR, NDR64, FEATURES };

static const uint8_t interfaces[][16] = {
    [SAMR] = {0x12, 0x34, 0x57, 0x78, 0x12, 0x34, 0xab, 0xcd, 0xef, 0, 1, 0x23, 0x45, 0x67, 0x89,
              0xac},
    [LSARPC] = {0x12, 0x34, 0x57, 0x78, 0x12, 0x34, 0xab, 0xcd, 0xef, 0, 1, 0x23, 0x45, 0x67, 0x89,
                0xab},
    [WKSSVC] = {0x6b, 0xff, 0xd0, 0x98, 0xa1, 0x12, 0x36, 0x10, 0x98, 0x33, 0x46, 0xc3, 0xf8, 0x7e,
                0x34, 0x5a},
    [SVCCTL] = {0x36, 0x7a, 0xbb, 0x81, 0x98, 0x44, 0x35, 0xf1, 0xad, 0x32, 0x98, 0xf0, 0x38, 0,
                0x10, 0x03},
    [SRVSVC] = {0x4b, 0x32, 0x4f, 0xc8, 0x16, 0x70, 0x01, 0xd3, 0x12, 0x78, 0x5a, 0x47, 0xbf, 0x6e,
                0xe1, 0x88},
};
static const uint8_t syntaxes[][16] = {
    [NDR] = {0x8a, 0x88, 0x5d, 0x04, 0x1c, 0xeb, 0x11, 0xc9, 0x9f, 0xe8, 0x08, 0, 0x2b, 0x10, 0x48,
             0x60},
    [NDR64] = {0x71, 0x71, 0x05, 0x33, 0xbe, 0xba, 0x49, 0x37, 0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c,
               0xcc, 0x36},
    [FEATURES] = {0x6c, 0xb7, 0x1c, 0x2c, 0x98, 0x12, 0x45, 0x40, 3, 0, 0, 0, 0, 0, 0, 0},
};

/* PDUs, or the stub of one, as they are written. */
struct text {
    uint8_t bytes[ROOM];
    size_t size;
    bool big, wide;
};

static void put(struct text *text, size_t size, uint64_t value)
{
    assert_true(text->size + size <= ROOM);
    for (size_t i = 0; i < size; i++)
        text->bytes[text->size + (text->big ? size - 1 - i : i)] = (uint8_t)(value >> 8 * i);
    text->size += size;
}

static void put_bytes(struct text *text, const void *bytes, size_t size)
{
    assert_true(text->size + size <= ROOM);
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

static void align(struct text *text, size_t unit)
{
    while (text->size % unit)
        put(text, 1, 0xee);
}

static void put_uuid(struct text *text, const uint8_t uuid[16])
{
    put(text, 4, (uint32_t)uuid[0] << 24 | uuid[1] << 16 | uuid[2] << 8 | uuid[3]);
    put(text, 2, (uint32_t)uuid[4] << 8 | uuid[5]);
    put(text, 2, (uint32_t)uuid[6] << 8 | uuid[7]);
    put_bytes(text, uuid + 8, 8);
    put(text, 4, 1);
}

static void put_head(struct text *text, uint8_t type, uint8_t flags, size_t size)
{
    const uint8_t head[] = {5, 0, type, flags, text->big ? 0 : 0x10, 0, 0, 0};
    put_bytes(text, head, sizeof head);
    put(text, 2, size);
    put(text, 2, 0);
    put(text, 4, 7);
}

/* A bind or alter_context of one context. */
static void put_bind(struct text *text, uint8_t type, uint16_t id, int interface, int syntax)
{
    put_head(text, type, WHOLE, 16 + 12 + 4 + 40);
    put(text, 8, 0);
    put(text, 4, text->big ? 0x01000000 : 1); /* one context, and zeros */
    put(text, 2, id);
    put(text, 2, text->big ? 0x0100 : 1); /* one transfer syntax, and a zero */
    put_uuid(text, interfaces[interface]);
    put_uuid(text, syntaxes[syntax]);
}

static void put_request(struct text *text, uint8_t flags, uint16_t id, uint16_t opnum,
                        const struct text *stub)
{
    size_t object = flags & OBJECT ? 16 : 0;
    put_head(text, REQUEST, flags, 24 + object + stub->size);
    put(text, 4, stub->size);
    put(text, 2, id);
    put(text, 2, opnum);
    for (size_t i = 0; i < object; i++)
        put(text, 1, 18);
    put_bytes(text, stub->bytes, stub->size);
}

static void put_string(struct text *text, size_t unit, unsigned length)
{
    size_t size = text->wide ? 8 : 4;
    align(text, size);
    put(text, size, length);
    put(text, size, 0);
    put(text, size, length);
    for (unsigned i = 0; i < length; i++)
        put(text, unit, 'x');
}

static void put_pointer(struct text *text, bool given)
{
    align(text, text->wide ? 8 : 4);
    put(text, text->wide ? 8 : 4, given ? 0x20000 : 0);
}

/* One parameter, by the letters of proxy/rpc_call.c; `length` of what has one, 0 for null. */
static void put_parameter(struct text *text, char letter, unsigned length, uint32_t level)
{
    size_t unit = letter == 'R' || letter == 'U' ? 1 : 2;
    switch (letter) {
    case 'h':
        for (int i = 0; i < 20; i++)
            put(text, 1, 0x77);
        break;
    case 'l':
        align(text, text->wide ? 4 : 2);
        put(text, text->wide ? 4 : 2, level);
        break;
    case 'd':
        align(text, 4);
        put(text, 4, 0x11223344);
        break;
    case 's':
        align(text, text->wide ? 8 : 4);
        put(text, text->wide ? 8 : 4, length);
        for (unsigned i = 0; i < 8 + 4 * length; i++)
            put(text, 1, 5);
        break;
    case 'n':
        align(text, text->wide ? 8 : 4);
        put(text, 2, 2 * length);
        put(text, 2, 2 * length);
        put_pointer(text, length);
        if (length)
            put_string(text, 2, length);
        break;
    case 'r':
    case 'R': put_string(text, unit, length); break;
    default:
        put_pointer(text, length);
        if (length && (letter == 'u' || letter == 'U')) {
            put_string(text, unit, length);
        } else if (length && letter == 't') {
            put(text, 4, 5);
        } else if (length && letter == 'b') {
            put(text, text->wide ? 8 : 4, length);
            for (unsigned i = 0; i < length; i++)
                put(text, 1, 3);
        }
    }
}

static struct text make_stub(const struct text *like, const char *path, unsigned length,
                             uint32_t level, bool password)
{
    struct text stub = {.big = like->big, .wide = like->wide};
    for (; *path; path++)
        put_parameter(&stub, *path, *path == 'p' ? password : length, level);
    return stub;
}

/* Behind the level: UserAllInformation with these fields. */
static void put_all_information(struct text *stub, uint32_t fields)
{
    align(stub, stub->wide ? 8 : 2);
    put(stub, stub->wide ? 4 : 2, 21);
    align(stub, stub->wide ? 8 : 4);
    for (int i = 0; i < 6; i++) /* times */
        put(stub, 8, 0);
    for (int i = 0; i < 13; i++) { /* ten texts, two hashes, private data */
        align(stub, stub->wide ? 8 : 4);
        put(stub, 4, 0);
        put_pointer(stub, false);
    }
    put(stub, 4, 0); /* security descriptor */
    put_pointer(stub, false);
    for (int i = 0; i < 3; i++) /* user, group, control */
        put(stub, 4, UINT32_MAX);
    put(stub, 4, fields);
    for (int i = 0; i < 60; i++)
        put(stub, 1, 0xff);
}

/* In memory of exactly that size, so that one byte too many is noticed. */
static enum rpc_content take(struct rpc_stream *stream, const struct text *text, size_t from,
                             size_t size)
{
    const char *what = "";
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text->bytes + from, size);
    enum rpc_content content = rpc_take(stream, (struct span){copy, size}, &what);
    assert_int_equal(content == RPC_NEEDS_KEY, what[0] != '\0');
    free(copy);
    return content;
}

/* One call in a pipe that was bound to its interface before. */
static enum rpc_content call(int interface, uint16_t opnum, uint8_t flags, const struct text *stub)
{
    struct rpc_stream stream = {.have = 0};
    struct text text = {.big = stub->big};
    put_bind(&text, BIND, 3, interface, stub->wide ? NDR64 : NDR);
    assert_int_equal(take(&stream, &text, 0, text.size), RPC_PLAIN);
    text.size = 0;
    put_request(&text, flags, 3, opnum, stub);
    return take(&stream, &text, 0, text.size);
}

/* Both byte orders and both layouts. */
static struct text kind(unsigned i)
{
    return (struct text){.big = i & 1, .wide = i & 2};
}

static void test_levels_of_samr(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        for (uint32_t level = 0; level < 300; level++) {
            struct text like = kind(i), stub = make_stub(&like, "hl", 0, level, false);
            bool needs = level == 18 || (level >= 23 && level <= 26) || level == 31 || level == 32;
            if (level == 21)
                continue;
            for (uint16_t opnum = 30; opnum < 75; opnum++) {
                bool sets = opnum == 37 || opnum == 58, asks = opnum == 36 || opnum == 47;
                enum rpc_content expected =
                    (sets && needs) || (asks && level == 18) ? RPC_NEEDS_KEY : RPC_PLAIN;
                assert_int_equal(call(SAMR, opnum, WHOLE, &stub), expected);
                assert_int_equal(call(SAMR, opnum, WHOLE | OBJECT, &stub), expected);
                assert_int_equal(call(SRVSVC, opnum, WHOLE, &stub), RPC_PLAIN);
            }
            /* Only the first fragment says what it is. */
            assert_int_equal(call(SAMR, 58, 0, &stub), RPC_PLAIN);
            assert_int_equal(call(SAMR, 58, 1, &stub) == RPC_PLAIN, !needs);
        }
    }
}

static void test_all_information(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            struct text like = kind(i), stub = make_stub(&like, "hl", 0, 21, false);
            put_all_information(&stub, (uint32_t)1 << bit);
            bool needs = bit == 24 || bit == 25;
            assert_int_equal(call(SAMR, 37, WHOLE, &stub), needs ? RPC_NEEDS_KEY : RPC_PLAIN);
            assert_int_equal(call(SAMR, 58, WHOLE, &stub), needs ? RPC_NEEDS_KEY : RPC_PLAIN);
            assert_int_equal(call(SAMR, 36, WHOLE, &stub), RPC_PLAIN);
            stub.size = (stub.wide ? 32 + 284 : 24 + 172) + 3;
            assert_int_equal(call(SAMR, 58, WHOLE, &stub), RPC_UNCLEAR);
        }
    }
}

struct row {
    int interface;
    uint16_t opnum;
    const char *path;
};

static const struct row with_password[] = {
    {LSARPC, 29, "hp"},
    {LSARPC, 42, "hnp"},
    {LSARPC, 138, "hp"},
    {WKSSVC, 22, "uruup"},
    {WKSSVC, 23, "uup"},
    {WKSSVC, 24, "uuup"},
    {WKSSVC, 25, "urup"},
    {WKSSVC, 26, "urup"},
    {WKSSVC, 27, "uuup"},
    {WKSSVC, 28, "uuup"},
    {WKSSVC, 29, "uuup"},
    {SVCCTL, 11, "hddduutbdup"},
    {SVCCTL, 12, "hruddddrutbdup"},
    {SVCCTL, 23, "hdddUUtbdUp"},
    {SVCCTL, 24, "hRUddddRUtbdUp"},
    {SVCCTL, 44, "hRUddddRUtbdUp"},
    {SVCCTL, 45, "hruddddrutbdup"},
    {SVCCTL, 60, "hruddddrutbdup"},
};

/* With parameters of every length before it, and cut at every place. */
static void test_passwords_given_or_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4 * COUNT_OF(with_password); i++) {
        const struct row *row = &with_password[i / 4];
        struct text like = kind(i % 4);
        for (unsigned length = 0; length < 9; length++) {
            struct text with = make_stub(&like, row->path, length, 0, true);
            struct text without = make_stub(&like, row->path, length, 0, false);
            put(&without, 8, 0);
            assert_int_equal(call(row->interface, row->opnum, WHOLE, &with), RPC_NEEDS_KEY);
            assert_int_equal(call(row->interface, row->opnum, WHOLE, &without), RPC_PLAIN);
            while (with.size) {
                with.size--;
                assert_int_equal(call(row->interface, row->opnum, 1, &with), RPC_UNCLEAR);
            }
        }
    }
}

/* A new secret may be missing while an old one is given. */
static void test_old_secret(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct text like = kind(i), stub = make_stub(&like, "hp", 0, 0, false);
        put_pointer(&stub, true);
        assert_int_equal(call(LSARPC, 29, WHOLE, &stub), RPC_NEEDS_KEY);
        assert_int_equal(call(LSARPC, 138, WHOLE, &stub), RPC_NEEDS_KEY);
    }
}

static void test_levels_of_trusts(void **state)
{
    static const struct row rows[] = {
        {LSARPC, 26, "hl"},  {LSARPC, 27, "hl"},  {LSARPC, 39, "hsl"},
        {LSARPC, 40, "hsl"}, {LSARPC, 48, "hnl"}, {LSARPC, 49, "hnl"},
    };
    (void)state;
    for (size_t i = 0; i < 4 * COUNT_OF(rows); i++) {
        const struct row *row = &rows[i / 4];
        struct text like = kind(i % 4);
        for (uint32_t level = 0; level < 70; level++) {
            bool needs = level == 4 || level == 9 || level == 10 || level == 14 || level == 15;
            for (unsigned length = 0; length < 9; length++) {
                struct text stub = make_stub(&like, row->path, length, level, false);
                assert_int_equal(call(row->interface, row->opnum, WHOLE, &stub),
                                 needs ? RPC_NEEDS_KEY : RPC_PLAIN);
            }
        }
    }
}

/* Calls that always need it; and of all others not one does. */
static void test_whole_calls(void **state)
{
    static const uint16_t always[] = {30, 43, 59, 129, 136, 137, 139, 140, 141};
    struct text empty = {.size = 0};
    (void)state;
    for (uint16_t opnum = 0; opnum < 400; opnum++) {
        bool needs = false, looked_into = opnum == 26 || opnum == 27 || opnum == 29 ||
                                          opnum == 39 || opnum == 40 || opnum == 42 ||
                                          opnum == 48 || opnum == 49 || opnum == 138;
        for (size_t i = 0; i < COUNT_OF(always); i++)
            needs |= always[i] == opnum;
        assert_int_equal(call(LSARPC, opnum, WHOLE, &empty), needs         ? RPC_NEEDS_KEY
                                                             : looked_into ? RPC_UNCLEAR
                                                                           : RPC_PLAIN);
        assert_int_equal(call(SRVSVC, opnum, WHOLE, &empty), RPC_PLAIN);
        bool of_samr = opnum == 36 || opnum == 37 || opnum == 47 || opnum == 58;
        assert_int_equal(call(SAMR, opnum, WHOLE, &empty), of_samr ? RPC_UNCLEAR : RPC_PLAIN);
        assert_int_equal(call(WKSSVC, opnum, WHOLE, &empty),
                         opnum >= 22 && opnum <= 29 ? RPC_UNCLEAR : RPC_PLAIN);
    }
}

/* Counts that would reach around memory are no way past. */
static void test_counts_too_large(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct text stub = kind(i);
        put_pointer(&stub, true);
        put(&stub, stub.wide ? 8 : 4, 0);
        put(&stub, stub.wide ? 8 : 4, 0);
        put(&stub, stub.wide ? 8 : 4, stub.wide ? UINT64_MAX / 2 + 1 : UINT32_MAX);
        for (int j = 0; j < 100; j++)
            put(&stub, 4, 0);
        assert_int_equal(call(WKSSVC, 23, WHOLE, &stub), RPC_UNCLEAR);
    }
}

/* SamrSetInformationUser2 of level 18. */
static void put_samr_call(struct text *text, uint16_t id)
{
    struct text stub = make_stub(text, "hl", 0, 18, false);
    put(&stub, 8, 0);
    put_request(text, WHOLE, id, 58, &stub);
}

static enum rpc_content after(struct rpc_stream *stream, uint16_t id)
{
    struct text text = {.size = 0};
    struct rpc_stream copy = *stream;
    put_samr_call(&text, id);
    return take(&copy, &text, 0, text.size);
}

/* A number that was samr's once stays it; other numbers are others. */
static void test_numbers_given_anew(void **state)
{
    struct rpc_stream stream = {.have = 0};
    struct text text = {.size = 0};
    (void)state;
    put_bind(&text, BIND, 1, SRVSVC, NDR);
    put_bind(&text, ALTER_CONTEXT, 2, SAMR, NDR);
    assert_int_equal(take(&stream, &text, 0, text.size), RPC_PLAIN);
    assert_int_equal(after(&stream, 1), RPC_PLAIN);
    assert_int_equal(after(&stream, 2), RPC_NEEDS_KEY);
    assert_int_equal(after(&stream, 3), RPC_PLAIN);
    text.size = 0;
    put_bind(&text, ALTER_CONTEXT, 2, SRVSVC, NDR);
    put_bind(&text, BIND, 2, LSARPC, NDR64);
    put_bind(&text, ALTER_CONTEXT, 1, SAMR, FEATURES);
    assert_int_equal(take(&stream, &text, 0, text.size), RPC_PLAIN);
    for (uint16_t id = 1; id < 3; id++)
        assert_int_equal(after(&stream, id), RPC_NEEDS_KEY);
    /* One that was another interface with such calls is both. */
    text.size = 0;
    put_bind(&text, BIND, 3, LSARPC, NDR);
    put_bind(&text, ALTER_CONTEXT, 3, SAMR, NDR);
    assert_int_equal(take(&stream, &text, 0, text.size), RPC_PLAIN);
    assert_int_equal(after(&stream, 3), RPC_NEEDS_KEY);
}

/* One context with several layouts, of which the file server chooses one. */
static void test_several_layouts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct rpc_stream stream = {.have = 0};
        struct text text = kind(i), stub = make_stub(&text, "hl", 0, 21, false);
        put_head(&text, BIND, WHOLE, 16 + 12 + 4 + 60);
        put(&text, 8, 0);
        put(&text, 4, text.big ? 0x01000000 : 1);
        put(&text, 2, 0);
        put(&text, 2, text.big ? 0x0200 : 2);
        put_uuid(&text, interfaces[SAMR]);
        put_uuid(&text, syntaxes[NDR64]);
        put_uuid(&text, syntaxes[NDR]);
        put_all_information(&stub, 0x01000000);
        put_request(&text, WHOLE, 0, 58, &stub);
        assert_int_equal(take(&stream, &text, 0, text.size), RPC_NEEDS_KEY);
    }
}

static void test_too_many(void **state)
{
    struct rpc_stream stream = {.have = 0};
    (void)state;
    for (uint16_t id = 0; id <= RPC_CONTEXTS_MAX; id++) {
        struct text text = {.size = 0}, other = {.size = 0};
        put_bind(&other, ALTER_CONTEXT, (uint16_t)(1000 + id), SRVSVC, NDR);
        assert_int_equal(take(&stream, &other, 0, other.size), RPC_PLAIN);
        put_bind(&text, ALTER_CONTEXT, id, LSARPC, NDR);
        assert_int_equal(take(&stream, &text, 0, text.size),
                         id < RPC_CONTEXTS_MAX ? RPC_PLAIN : RPC_UNCLEAR);
    }
}

/* Where nothing can be remembered, no such interface is bound, and every call may be of one. */
static void test_unseen(void **state)
{
    struct rpc_stream stream = {.contexts = {.unseen = true}};
    (void)state;
    for (int interface = SAMR; interface <= SRVSVC; interface++) {
        struct text text = {.size = 0};
        put_bind(&text, BIND, 0, interface, NDR);
        assert_int_equal(take(&stream, &text, 0, text.size),
                         interface == SRVSVC ? RPC_PLAIN : RPC_UNCLEAR);
    }
    assert_int_equal(after(&stream, 0), RPC_NEEDS_KEY);
    assert_int_equal(after(&stream, 99), RPC_NEEDS_KEY);
}

/* However it is cut, the call does not get through whole; nor does one behind a bind that was cut,
 * or behind a PDU that never ends. */
static void test_pieces(void **state)
{
    struct text text = {.size = 0};
    (void)state;
    put_bind(&text, BIND, 5, SAMR, NDR);
    put_samr_call(&text, 5);
    for (size_t first = 0; first <= text.size; first++) {
        for (size_t second = first; second <= text.size; second++) {
            struct rpc_stream stream = {.have = 0};
            enum rpc_content content = take(&stream, &text, 0, first);
            if (content == RPC_PLAIN)
                content = take(&stream, &text, first, second - first);
            if (content == RPC_PLAIN)
                content = take(&stream, &text, second, text.size - second);
            assert_true(content == RPC_NEEDS_KEY || content == RPC_UNCLEAR);
        }
    }
}

static void test_disagreement(void **state)
{
    struct rpc_stream stream = {.have = 0};
    struct text text = {.size = 0};
    (void)state;
    put_head(&text, 18, WHOLE, UINT16_MAX);
    assert_int_equal(take(&stream, &text, 0, text.size), RPC_PLAIN);
    text.size = 0;
    put_bind(&text, BIND, 5, SAMR, NDR);
    assert_int_equal(take(&stream, &text, 0, text.size), RPC_PLAIN);
    assert_int_equal(after(&stream, 5), RPC_NEEDS_KEY);
}

static void test_fault(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        uint8_t fault[RPC_FAULT_SIZE + 1];
        struct writer writer = writer_over(fault, sizeof fault);
        struct text text = {.big = big}, stub = {.size = 3};
        put_request(&text, WHOLE, 0x0102, 58, &stub);
        struct span whole = {text.bytes, text.size};
        assert_true(rpc_fault_write(&writer, whole));
        assert_int_equal(writer_size(&writer), RPC_FAULT_SIZE);
        assert_int_equal(fault[2], 3);
        assert_int_equal(get_le16(fault + 8), RPC_FAULT_SIZE);
        assert_int_equal(get_le32(fault + 12), 7);
        assert_int_equal(get_le16(fault + 20), 0x0102);
        assert_int_equal(get_le32(fault + 24), 5);
        writer = writer_over(fault, sizeof fault);
        for (size_t size = 0; size < text.size; size++)
            assert_false(rpc_fault_write(&writer, (struct span){text.bytes, size}));
        text.bytes[3] = 1; /* the first of several fragments */
        assert_false(rpc_fault_write(&writer, whole));
        text.bytes[3] = WHOLE;
        text.bytes[2] = BIND;
        assert_false(rpc_fault_write(&writer, whole));
        assert_int_equal(writer_size(&writer), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_of_samr),
        cmocka_unit_test(test_all_information),
        cmocka_unit_test(test_passwords_given_or_not),
        cmocka_unit_test(test_old_secret),
        cmocka_unit_test(test_levels_of_trusts),
        cmocka_unit_test(test_whole_calls),
        cmocka_unit_test(test_counts_too_large),
        cmocka_unit_test(test_numbers_given_anew),
        cmocka_unit_test(test_several_layouts),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_unseen),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_disagreement),
        cmocka_unit_test(test_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
