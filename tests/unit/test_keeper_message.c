/* The keeper's messages: what is written is read back, and nothing else is taken. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/channel.h"
#include "crypto/keeper_message.h"

/* Any one of the messages, so that one test does for all. */
union message {
    struct control_peer peer;
    struct keeper_accept accept;
    struct keeper_login login;
    struct keeper_step step;
    struct keeper_forget forget;
    struct keeper_release release;
    struct keeper_continue go_on;
    struct keeper_proven proven;
    struct keeper_logged_in logged_in;
    struct keeper_refused refused;
};

#define ADAPT(name, type)                                                                          \
    static void write_##name(struct writer *writer, const union message *message)                  \
    {                                                                                              \
        type##_write(writer, &message->name);                                                      \
    }                                                                                              \
    static bool read_##name(struct span body, union message *message)                              \
    {                                                                                              \
        return type##_read(body, &message->name);                                                  \
    }
ADAPT(peer, control_peer)
ADAPT(accept, keeper_accept)
ADAPT(login, keeper_login)
ADAPT(step, keeper_step)
ADAPT(forget, keeper_forget)
ADAPT(go_on, keeper_continue)
ADAPT(proven, keeper_proven)
ADAPT(logged_in, keeper_logged_in)
ADAPT(refused, keeper_refused)
ADAPT(release, keeper_release)

struct kind {
    const char *name;
    void (*write)(struct writer *writer, const union message *message);
    bool (*read)(struct span body, union message *message);
    union message message;
};

#define SPAN(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
#define ALICE                                                                                      \
    {                                                                                              \
        .mechanism = MECHANISM_NTLM, .user = "alice", .domain = "EXAMPLE", .workstation = "PC7",   \
        .target_name = "cifs/files.example.com", .spnego = true, .mic_present = true,              \
        .authority = AUTHORITY_DOMAIN, .target_absence = TARGET_UNTRUSTED,                         \
        .principal = "alice@EXAMPLE.COM", .mutual = true, .sid = {12, {1, 1, [7] = 5, 21}},        \
        .expires = 1800000000, .groups = {                                                         \
            [0] = 5,                                                                               \
            [31] = 128                                                                             \
        }                                                                                          \
    }
#define KEY                                                                                        \
    {                                                                                              \
        .bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, .size = 16               \
    }
#define HANDLE                                                                                     \
    {                                                                                              \
        16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1                                      \
    }

static const struct kind kinds[] = {
    {"peer", write_peer, read_peer, {.peer = {PEER_WORKER, 3}}},
    {"accept",
     write_accept,
     read_accept,
     {.accept = {0x1122334455667788, 9, 2, SPAN("192.0.2.7:49152"), SPAN("192.0.2.1"),
                 SPAN("NTLMSSP\0token")}}},
    {"login", write_login, read_login, {.login = {1, UINT64_MAX, 7, HANDLE}}},
    {"step", write_step, read_step, {.step = {42, SPAN("challenge")}}},
    {"forget", write_forget, read_forget, {.forget = {UINT64_MAX, true}}},
    {"continue",
     write_go_on,
     read_go_on,
     {.go_on = {5, SPAN("authenticate"), KEY, SPAN("mapped"), SPAN("NAS\\alice"), true,
                SPAN("not_delegated")}}},
    {"proven", write_proven, read_proven, {.proven = {6, HANDLE, KEY, SPAN("last"), ALICE}}},
    {"logged_in", write_logged_in, read_logged_in, {.logged_in = {8, KEY, HANDLE, 1800000001}}},
    {"refused",
     write_refused,
     read_refused,
     {.refused = {9, KEEPER_REASON_REFUSAL, REFUSAL_MIC_WRONG, 0xc0000234, ALICE}}},
    {"release", write_release, read_release, {.release = {HANDLE}}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static uint8_t buffer[CHANNEL_MESSAGE_MAX];

static size_t written(const struct kind *kind, const union message *message)
{
    struct writer writer = writer_over(buffer, sizeof buffer);
    kind->write(&writer, message);
    assert_true(writer_done(&writer));
    return writer_size(&writer);
}

/* In memory of exactly that size, so that a sanitizer sees a byte too many. */
static bool readable(const struct kind *kind, const void *bytes, size_t size,
                     union message *message)
{
    uint8_t *exact = malloc(size);
    assert_true(exact || size == 0);
    if (size)
        memcpy(exact, bytes, size);
    bool taken = kind->read((struct span){exact, size}, message);
    free(exact);
    return taken;
}

static void test_round_trips(void **state)
{
    static uint8_t again[CHANNEL_MESSAGE_MAX];
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        union message message;
        size_t size = written(&kinds[i], &kinds[i].message);
        assert_true(kinds[i].read((struct span){buffer, size}, &message));
        struct writer writer = writer_over(again, sizeof again);
        kinds[i].write(&writer, &message);
        assert_true(writer_done(&writer));
        assert_int_equal(writer_size(&writer), size);
        assert_memory_equal(again, buffer, size);
    }
}

static bool text_is(struct span span, const char *text)
{
    return span_equal(span, (struct span){(const uint8_t *)text, strlen(text)});
}

static void test_fields_come_back(void **state)
{
    static const uint8_t handle[KEEPER_HANDLE_SIZE] = HANDLE;
    static const struct session_key key = KEY;
    static const struct identity alice = ALICE;
    union message m;
    (void)state;
    assert_true(kinds[0].read((struct span){buffer, written(&kinds[0], &kinds[0].message)}, &m));
    assert_true(m.peer.role == PEER_WORKER && m.peer.index == 3);
    assert_true(kinds[1].read((struct span){buffer, written(&kinds[1], &kinds[1].message)}, &m));
    assert_true(m.accept.attempt == 0x1122334455667788 && m.accept.link == 9);
    assert_int_equal(m.accept.listener, 2);
    assert_true(text_is(m.accept.client, "192.0.2.7:49152"));
    assert_int_equal(m.accept.token.size, 13);
    assert_true(kinds[2].read((struct span){buffer, written(&kinds[2], &kinds[2].message)}, &m));
    assert_true(m.login.attempt == 1 && m.login.link == UINT64_MAX && m.login.upstream == 7);
    assert_memory_equal(m.login.handle, handle, sizeof handle);
    assert_true(kinds[4].read((struct span){buffer, written(&kinds[4], &kinds[4].message)}, &m));
    assert_true(m.forget.attempt == UINT64_MAX && m.forget.refused);
    assert_true(kinds[5].read((struct span){buffer, written(&kinds[5], &kinds[5].message)}, &m));
    assert_true(text_is(m.go_on.token, "authenticate") && text_is(m.go_on.login, "mapped"));
    assert_true(text_is(m.go_on.account, "NAS\\alice") && m.go_on.fell_back);
    assert_true(text_is(m.go_on.fallback, "not_delegated"));
    assert_memory_equal(&m.go_on.key, &key, sizeof key);
    assert_true(kinds[6].read((struct span){buffer, written(&kinds[6], &kinds[6].message)}, &m));
    assert_memory_equal(m.proven.handle, handle, sizeof handle);
    assert_memory_equal(&m.proven.key, &key, sizeof key);
    assert_memory_equal(&m.proven.identity, &alice, sizeof alice);
    assert_true(kinds[8].read((struct span){buffer, written(&kinds[8], &kinds[8].message)}, &m));
    assert_int_equal(m.refused.reason, KEEPER_REASON_REFUSAL);
    assert_int_equal(m.refused.refusal, REFUSAL_MIC_WRONG);
    assert_true(m.refused.status == 0xc0000234);
    assert_string_equal(m.refused.identity.user, "alice");
    assert_true(kinds[7].read((struct span){buffer, written(&kinds[7], &kinds[7].message)}, &m));
    assert_memory_equal(m.logged_in.renewal, handle, sizeof handle);
    assert_true(m.logged_in.expires == 1800000001);
    assert_true(kinds[9].read((struct span){buffer, written(&kinds[9], &kinds[9].message)}, &m));
    assert_memory_equal(m.release.handle, handle, sizeof handle);
}

static void test_truncated_at_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        union message message;
        size_t size = written(&kinds[i], &kinds[i].message);
        for (size_t cut = 0; cut < size; cut++)
            assert_false(readable(&kinds[i], buffer, cut, &message));
        assert_true(readable(&kinds[i], buffer, size, &message));
    }
}

static void test_trailing_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        union message message;
        size_t size = written(&kinds[i], &kinds[i].message);
        memset(buffer + size, 0, 8);
        assert_false(readable(&kinds[i], buffer, size + 1, &message));
        assert_false(readable(&kinds[i], buffer, size + 8, &message));
    }
}

/* A writer that has one byte too little says so, and never writes past its end. */
static void test_no_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        size_t size = written(&kinds[i], &kinds[i].message);
        for (size_t room = 0; room < size; room++) {
            struct writer writer = writer_over(buffer, room);
            kinds[i].write(&writer, &kinds[i].message);
            assert_false(writer_done(&writer));
        }
    }
}

/* The message with one byte changed must not be taken. */
static void expect_refused(size_t kind, size_t offset, uint8_t value)
{
    union message message;
    size_t size = written(&kinds[kind], &kinds[kind].message);
    assert_true(offset < size && buffer[offset] != value);
    buffer[offset] = value;
    assert_false(readable(&kinds[kind], buffer, size, &message));
}

static void test_values_out_of_range(void **state)
{
    (void)state;
    expect_refused(0, 0, 0); /* no such role */
    expect_refused(0, 0, 4);
    expect_refused(0, 0, PEER_KEEPER); /* a keeper has no index */
    expect_refused(3, 8 + 3, 0x80);    /* a length of 2 GiB */
    expect_refused(4, 8, 2);           /* neither refused nor not */
    expect_refused(5, 8 + 4 + 12, 65); /* a key longer than keys are */
    size_t size = written(&kinds[5], &kinds[5].message);
    expect_refused(5, size - 4 - 13 - 1, 2); /* neither true nor false */
    expect_refused(5, size - 4 - 13, 65);    /* a word longer than words are */
    expect_refused(7, 8, 0);                 /* a login without a key */
    expect_refused(8, 8, KEEPER_REASON_INTERNAL + 1);
    expect_refused(8, 9, REFUSAL_COUNT);
    expect_refused(8, 14, MECHANISM_KERBEROS + 1);
    expect_refused(8, 15, AUTHORITY_KERBEROS + 1);
    expect_refused(8, 16, TARGET_UNTRUSTED + 1);
    expect_refused(8, 17, 2);          /* spnego */
    expect_refused(8, 18, 2);          /* mic_present */
    expect_refused(8, 19, 2);          /* mutual */
    expect_refused(8, 20 + 7, 0x80);   /* expires before 1970 */
    expect_refused(8, 60, 11);         /* a SID that is cut */
    expect_refused(8, 61 + 12 + 4, 0); /* a NUL inside the user's name */
    expect_refused(7, written(&kinds[7], &kinds[7].message) - 1, 0x80);
}

/* Names of exactly the greatest length pass; one more is neither written nor read. */
static void test_longest_names(void **state)
{
    struct keeper_refused message = {.attempt = 1, .reason = KEEPER_REASON_INTERNAL}, back;
    struct writer writer = writer_over(buffer, sizeof buffer);
    (void)state;
    memset(message.identity.user, 'u', IDENTITY_NAME_MAX - 1);
    memset(message.identity.target_name, 't', IDENTITY_TARGET_MAX - 1);
    keeper_refused_write(&writer, &message);
    assert_true(writer_done(&writer));
    assert_true(keeper_refused_read(writer_span(&writer), &back));
    assert_string_equal(back.identity.user, message.identity.user);
    assert_string_equal(back.identity.target_name, message.identity.target_name);

    struct writer longer = writer_over(buffer, sizeof buffer);
    message.identity.user[IDENTITY_NAME_MAX - 1] = 'u';
    keeper_refused_write(&longer, &message);
    assert_false(writer_done(&longer));

    /* By hand: attempt, reason, refusal, status, mechanism, authority, absence, three flags,
     * expires, groups, no SID, then the user. */
    struct writer forged = writer_over(buffer, sizeof buffer);
    write_le64(&forged, 1);
    write_zeros(&forged, 53);
    write_le32(&forged, IDENTITY_NAME_MAX);
    for (int i = 0; i < IDENTITY_NAME_MAX; i++)
        write_u8(&forged, 'u');
    write_zeros(&forged, 4 * sizeof(uint32_t));
    assert_true(writer_done(&forged));
    assert_false(keeper_refused_read(writer_span(&forged), &back));
}

static void test_longest_token(void **state)
{
    static uint8_t token[TOKEN_MAX + 1];
    struct keeper_proven message = {.attempt = 1, .token = {token, TOKEN_MAX}, .key = KEY}, back;
    (void)state;
    memset(message.identity.user, 'u', IDENTITY_NAME_MAX - 1);
    memset(message.identity.domain, 'd', IDENTITY_NAME_MAX - 1);
    memset(message.identity.principal, 'p', IDENTITY_NAME_MAX - 1);
    memset(message.identity.workstation, 'w', IDENTITY_NAME_MAX - 1);
    memset(message.identity.target_name, 't', IDENTITY_TARGET_MAX - 1);
    /* The longest answer fits into a channel's longest message. */
    struct writer writer = writer_over(buffer, CHANNEL_MESSAGE_MAX - CHANNEL_HEAD_SIZE);
    keeper_proven_write(&writer, &message);
    assert_true(writer_done(&writer));
    assert_true(keeper_proven_read(writer_span(&writer), &back));
    assert_int_equal(back.token.size, TOKEN_MAX);

    struct keeper_step step = {.attempt = 1, .token = {token, TOKEN_MAX + 1}};
    struct writer longer = writer_over(buffer, sizeof buffer);
    keeper_step_write(&longer, &step);
    assert_false(writer_done(&longer));
    struct writer forged = writer_over(buffer, sizeof buffer);
    write_le64(&forged, 1);
    write_le32(&forged, TOKEN_MAX + 1);
    write_zeros(&forged, TOKEN_MAX + 1);
    assert_true(writer_done(&forged));
    assert_false(keeper_step_read(writer_span(&forged), &step));
}

/* A message that is refused leaves no key in the caller's memory. */
static void test_refused_key_is_wiped(void **state)
{
    static const struct session_key none = {.size = 0};
    struct keeper_proven message;
    (void)state;
    size_t size = written(&kinds[6], &kinds[6].message);
    memset(&message, 0xaa, sizeof message);
    assert_false(keeper_proven_read((struct span){buffer, size - 1}, &message));
    assert_memory_equal(&message.key, &none, sizeof none);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(keeper_reason_name(KEEPER_REASON_REFUSAL), "refusal");
    assert_string_equal(keeper_reason_name(KEEPER_REASON_BAD_HANDLE), "bad_handle");
    assert_string_equal(keeper_reason_name(KEEPER_REASON_NO_CREDENTIAL), "no_credential");
    assert_string_equal(keeper_reason_name(KEEPER_REASON_BUSY), "busy");
    assert_string_equal(keeper_reason_name(KEEPER_REASON_BACK_OFF), "back_off");
    assert_string_equal(keeper_reason_name(KEEPER_REASON_INTERNAL), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_fields_come_back),
        cmocka_unit_test(test_truncated_at_every_length),
        cmocka_unit_test(test_trailing_bytes),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_values_out_of_range),
        cmocka_unit_test(test_longest_names),
        cmocka_unit_test(test_longest_token),
        cmocka_unit_test(test_refused_key_is_wiped),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
