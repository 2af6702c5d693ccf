/*
 * The dialect table, for every pair of dialects: a field passes when both have it, and is cleared
 * when one has not; and the data of errors, for every pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proxy/dialect.h"

static const uint16_t dialects[] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1};
enum { COUNT = sizeof dialects / sizeof dialects[0], SIZE = 160 };

static uint32_t value_of(const uint8_t *at, const struct dialect_field *field)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < field->size; i++)
        value |= (uint32_t)at[field->offset + i] << 8 * i;
    return value & field->mask;
}

static uint32_t full(const struct dialect_field *field)
{
    return field->size == 4 ? field->mask : field->mask & ((1u << 8 * field->size) - 1);
}

/* Everything set, so that whatever is cleared shows. */
static struct smb2_message all_ones(uint8_t *bytes, uint16_t command)
{
    memset(bytes, 0xff, SIZE);
    return (struct smb2_message){.header.command = command, .at = bytes, .size = SIZE};
}

static bool command_fits(const struct dialect_field *field, uint16_t command)
{
    return field->command == ANY_COMMAND || field->command == command;
}

static void each_field_for_each_pair(void **state)
{
    size_t count;
    const struct dialect_field *fields = dialect_fields(&count);
    uint8_t bytes[SIZE];
    (void)state;
    for (size_t f = 0; f < count; f++) {
        for (unsigned pair = 0; pair < COUNT * COUNT; pair++) {
            uint16_t client = dialects[pair / COUNT], upstream = dialects[pair % COUNT];
            uint16_t command = fields[f].command == ANY_COMMAND ? SMB2_CLOSE : fields[f].command;
            struct smb2_message message = all_ones(bytes, command);
            dialect_clear(&message, fields[f].direction, client, upstream, true);
            bool shared = client >= fields[f].since && upstream >= fields[f].since;
            assert_int_equal(value_of(bytes, &fields[f]), shared ? full(&fields[f]) : 0);
        }
    }
}

/* No byte changes but those of the table's rows. */
static void nothing_else_changes(void **state)
{
    size_t count;
    const struct dialect_field *fields = dialect_fields(&count);
    uint8_t bytes[SIZE], left[SIZE];
    (void)state;
    for (uint16_t command = 0; command < SMB2_COMMAND_COUNT; command++) {
        for (int direction = TO_UPSTREAM; direction <= TO_CLIENT; direction++) {
            struct smb2_message message = all_ones(bytes, command);
            dialect_clear(&message, (enum dialect_direction)direction, SMB_2_0_2, SMB_3_1_1, true);
            memset(left, 0xff, sizeof left);
            for (size_t f = 0; f < count; f++)
                for (unsigned i = 0; i < fields[f].size; i++)
                    if ((int)fields[f].direction == direction && command_fits(&fields[f], command))
                        left[fields[f].offset + i] &= (uint8_t) ~(fields[f].mask >> 8 * i);
            assert_memory_equal(bytes, left, SIZE);
        }
    }
}

static void short_messages_and_error_bodies_are_left_alone(void **state)
{
    uint8_t bytes[SIZE];
    (void)state;
    struct smb2_message message = all_ones(bytes, SMB2_TREE_CONNECT);
    dialect_clear(&message, TO_CLIENT, SMB_2_0_2, SMB_3_1_1, false);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(bytes[i], 0xff);
    message.size = SMB2_HEADER_SIZE + 5;
    dialect_clear(&message, TO_CLIENT, SMB_2_0_2, SMB_3_1_1, true);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(bytes[i], 0xff);
}

/* An oplock break has its OplockLevel where a lease break has its NewEpoch. */
static void an_oplock_break_keeps_its_level(void **state)
{
    uint8_t bytes[SIZE];
    (void)state;
    struct smb2_message message = all_ones(bytes, SMB2_OPLOCK_BREAK);
    put_le16(bytes + SMB2_HEADER_SIZE, 24);
    dialect_clear(&message, TO_CLIENT, SMB_2_1, SMB_3_1_1, true);
    assert_int_equal(bytes[SMB2_HEADER_SIZE + 2], 0xff);
    put_le16(bytes + SMB2_HEADER_SIZE, 44);
    dialect_clear(&message, TO_CLIENT, SMB_2_1, SMB_3_1_1, true);
    assert_int_equal(get_le16(bytes + SMB2_HEADER_SIZE + 2), 0);
}

/* An error response as a server of `dialect` writes it: one piece of data, or a redirection before
 * it. */
static size_t error_of(uint8_t *bytes, uint16_t dialect, bool redirects)
{
    struct writer writer = writer_over(bytes, SIZE);
    smb2_header_write(&writer,
                      &(struct smb2_header){.command = SMB2_CREATE, .status = 0xc0000023u});
    write_le16(&writer, 9);
    if (dialect == SMB_3_1_1) {
        write_u8(&writer, redirects ? 2 : 1);
        write_u8(&writer, 0);
        write_le32(&writer, redirects ? 16 + 12 : 12);
        if (redirects) {
            write_le32(&writer, 8);
            write_le32(&writer, 0x72645253);
            write_bytes(&writer, "nas.name", 8);
        }
        write_le32(&writer, 4);
        write_le32(&writer, 0);
    } else {
        write_le16(&writer, 0);
        write_le32(&writer, 4);
    }
    write_bytes(&writer, "\1\2\3\4", 4);
    assert_true(writer_done(&writer));
    return writer_size(&writer);
}

static void error_data_for_each_pair(void **state)
{
    uint8_t bytes[SIZE], body[SIZE], expected[SIZE];
    (void)state;
    for (unsigned pair = 0; pair < 2 * COUNT * COUNT; pair++) {
        uint16_t client = dialects[pair / 2 / COUNT], upstream = dialects[pair / 2 % COUNT];
        bool redirects = pair % 2 && upstream == SMB_3_1_1, told;
        size_t size = error_of(bytes, upstream, redirects);
        size_t wanted = error_of(expected, client, false) - SMB2_HEADER_SIZE;
        struct writer writer = writer_over(body, sizeof body);
        assert_true(
            dialect_error_body((struct span){bytes, size}, client, upstream, &writer, &told));
        assert_true(writer_done(&writer));
        assert_int_equal(told, redirects);
        assert_int_equal(writer_size(&writer), wanted);
        assert_memory_equal(body, expected + SMB2_HEADER_SIZE, wanted);
    }
}

static void lying_error_contexts_are_refused(void **state)
{
    uint8_t bytes[SIZE], body[SIZE];
    bool told;
    (void)state;
    size_t size = error_of(bytes, SMB_3_1_1, true);
    for (size_t at = SMB2_HEADER_SIZE + 8; at < size; at++) {
        struct writer writer = writer_over(body, sizeof body);
        put_le32(bytes + SMB2_HEADER_SIZE + 4, (uint32_t)(at - SMB2_HEADER_SIZE - 8));
        assert_false(
            dialect_error_body((struct span){bytes, size}, SMB_3_1_1, SMB_3_1_1, &writer, &told));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_for_each_pair),
        cmocka_unit_test(nothing_else_changes),
        cmocka_unit_test(short_messages_and_error_bodies_are_left_alone),
        cmocka_unit_test(an_oplock_break_keeps_its_level),
        cmocka_unit_test(error_data_for_each_pair),
        cmocka_unit_test(lying_error_contexts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
