/*
 * DCE/RPC PDUs: a login is found wherever it lies, and what has none passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/rpc.h"

/* Of a cancel nothing is looked at but its header. */
enum { AUTH3 = 16, CANCEL = 18, ROOM = 512 };

/* PDUs one behind the other. */
struct text {
    uint8_t bytes[ROOM];
    size_t size;
};

static void add(struct text *text, uint8_t type, uint16_t length, uint16_t auth, bool big)
{
    uint8_t *at = &text->bytes[text->size];
    memset(at, 0xaa, length);
    memcpy(at, (uint8_t[]){5, 0, type, 3, big ? 0 : 0x10, 0, 0, 0}, 8);
    if (big) {
        memcpy(&at[8],
               (uint8_t[]){(uint8_t)(length >> 8), (uint8_t)length, (uint8_t)(auth >> 8),
                           (uint8_t)auth},
               4);
    } else {
        put_le16(&at[8], length);
        put_le16(&at[10], auth);
    }
    text->size += length;
}

/* In memory of exactly that size, so that one byte too many is noticed. */
static enum rpc_content take(struct rpc_stream *stream, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const char *what;
    enum rpc_content content = rpc_take(stream, (struct span){copy, size}, &what);
    free(copy);
    return content;
}

static void test_plain(void **state)
{
    static const uint16_t lengths[] = {16, 17, 72, 300};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (int big = 0; big < 2; big++) {
            struct text text = {.size = 0};
            struct rpc_stream stream = {.have = 0};
            add(&text, CANCEL, lengths[i], 0, big);
            add(&text, 0, 24, 0, big);
            assert_int_equal(take(&stream, text.bytes, text.size), RPC_PLAIN);
            assert_true(rpc_is_between(&stream));
        }
    }
}

static void test_nothing(void **state)
{
    struct rpc_stream stream = {.have = 0};
    const char *what;
    (void)state;
    assert_int_equal(rpc_take(&stream, (struct span){NULL, 0}, &what), RPC_PLAIN);
    assert_true(rpc_is_between(&stream));
}

static void test_login(void **state)
{
    static const uint16_t sizes[] = {1, 8, 255, 256, 0xff00};
    (void)state;
    for (unsigned type = 0; type < 20; type++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (int big = 0; big < 2; big++) {
                struct text text = {.size = 0};
                struct rpc_stream stream = {.have = 0};
                add(&text, CANCEL, 72, 0, big);
                add(&text, (uint8_t)type, 100, sizes[i], big);
                assert_int_equal(take(&stream, text.bytes, text.size), RPC_AUTHENTICATED);
                assert_true(rpc_is_between(&stream));
            }
        }
    }
}

static void test_malformed(void **state)
{
    struct text text;
    struct rpc_stream stream = {.have = 0};
    (void)state;
    for (unsigned version = 0; version < 256; version++) {
        text.size = 0;
        add(&text, CANCEL, 20, 0, false);
        text.bytes[0] = (uint8_t)version;
        assert_int_equal(take(&stream, text.bytes, text.size),
                         version == 5 ? RPC_PLAIN : RPC_MALFORMED);
        assert_int_equal(take(&stream, text.bytes, 1), version == 5 ? RPC_PLAIN : RPC_MALFORMED);
        stream = (struct rpc_stream){.have = 0};
    }
    for (uint16_t length = 0; length < 16; length++) {
        text.size = 0;
        add(&text, CANCEL, 20, 0, false);
        put_le16(&text.bytes[8], length);
        assert_int_equal(take(&stream, text.bytes, 20), RPC_MALFORMED);
        assert_true(rpc_is_between(&stream));
    }
}

/* Cut at every place into three pieces, where pieces of one PDU look like nothing in particular. */
static void test_pieces(void **state)
{
    struct text text = {.size = 0};
    (void)state;
    add(&text, CANCEL, 40, 0, false);
    add(&text, AUTH3, 40, 16, false);
    for (size_t first = 0; first <= text.size; first++) {
        for (size_t second = first; second <= text.size; second++) {
            struct rpc_stream stream = {.have = 0};
            enum rpc_content content = take(&stream, text.bytes, first);
            if (content == RPC_PLAIN)
                content = take(&stream, &text.bytes[first], second - first);
            if (content == RPC_PLAIN)
                content = take(&stream, &text.bytes[second], text.size - second);
            assert_int_equal(content, RPC_AUTHENTICATED);
        }
    }
}

static void test_plain_in_pieces(void **state)
{
    struct text text = {.size = 0};
    (void)state;
    add(&text, CANCEL, 40, 0, false);
    add(&text, CANCEL, 30, 0, true);
    for (size_t cut = 0; cut <= text.size; cut++) {
        struct rpc_stream stream = {.have = 0};
        assert_int_equal(take(&stream, text.bytes, cut), RPC_PLAIN);
        assert_int_equal(rpc_is_between(&stream), cut == 0 || cut == 40 || cut == text.size);
        assert_int_equal(take(&stream, &text.bytes[cut], text.size - cut), RPC_PLAIN);
        assert_true(rpc_is_between(&stream));
    }
}

/* Where only whole PDUs are taken, what ends within one leaves no trace. */
static void test_whole(void **state)
{
    struct text text = {.size = 0};
    struct rpc_stream stream = {.whole = true}, before = stream;
    (void)state;
    add(&text, CANCEL, 40, 0, false);
    add(&text, CANCEL, 30, 0, true);
    for (size_t cut = 1; cut < text.size; cut++) {
        enum rpc_content expected = cut == 40 ? RPC_PLAIN : RPC_MALFORMED;
        stream = before;
        assert_int_equal(take(&stream, text.bytes, cut), expected);
        assert_true(expected == RPC_PLAIN || memcmp(&stream, &before, sizeof stream) == 0);
    }
    assert_int_equal(take(&stream, text.bytes, text.size), RPC_PLAIN);
}

/* What was begun once cannot be known to have been taken. */
static void test_pieces_are_remembered(void **state)
{
    struct text text = {.size = 0};
    struct rpc_stream stream = {.have = 0};
    (void)state;
    add(&text, CANCEL, 40, 0, false);
    assert_int_equal(take(&stream, text.bytes, 40), RPC_PLAIN);
    assert_false(stream.pieces);
    assert_int_equal(take(&stream, text.bytes, 30), RPC_PLAIN);
    assert_true(stream.pieces);
    assert_int_equal(take(&stream, &text.bytes[30], 10), RPC_PLAIN);
    assert_true(rpc_is_between(&stream) && stream.pieces);
}

/* A PDU that never ends does not hide what comes next, if the other end begins anew there. */
static void test_disagreement(void **state)
{
    struct text text = {.size = 0}, login = {.size = 0};
    struct rpc_stream stream = {.have = 0}, before;
    (void)state;
    add(&text, CANCEL, 40, 0, false);
    put_le16(&text.bytes[8], 0xffff);
    assert_int_equal(take(&stream, text.bytes, 40), RPC_PLAIN);
    assert_false(rpc_is_between(&stream));
    add(&login, CANCEL, 40, 0, false);
    add(&login, CANCEL, 40, 8, false);
    before = stream;
    assert_int_equal(take(&stream, login.bytes, login.size), RPC_AUTHENTICATED);
    assert_memory_equal(&stream, &before, sizeof stream);
    /* What only belongs to it is let through. */
    memset(login.bytes, 0x20, login.size);
    assert_int_equal(take(&stream, login.bytes, login.size), RPC_PLAIN);
    assert_int_equal(stream.left, before.left - login.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_login),        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_pieces),       cmocka_unit_test(test_plain_in_pieces),
        cmocka_unit_test(test_whole),        cmocka_unit_test(test_pieces_are_remembered),
        cmocka_unit_test(test_disagreement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
