/*
 * Folding: what is written at once, what is counted, and that both add up to what came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/plain.h"
#include "proxy/fold.h"
#include "proxy/source.h"

enum { WINDOW = 60000 };

struct scene {
    struct fold *fold;
    uint64_t firsts, lines, repeats;
    struct audit_event last; /* the last record of repeats, in `texts` */
    char texts[FIELD_COUNT][256];
};

static void keep_record(void *context, const struct audit_event *event, uint64_t repeats)
{
    struct scene *scene = context;
    uint64_t told;
    scene->lines++;
    scene->repeats += repeats;
    assert_true(plain_number(event->field[FIELD_REPEATS], &told));
    assert_true(told == repeats && repeats > 0);
    scene->last = (struct audit_event){.kind = event->kind};
    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        if (!event->field[field])
            continue;
        snprintf(scene->texts[field], sizeof scene->texts[field], "%.255s", event->field[field]);
        scene->last.field[field] = scene->texts[field];
    }
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->fold = fold_new(WINDOW, FOLD_MAX, keep_record, scene);
    assert_non_null(scene->fold);
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    fold_free(scene->fold);
    free(scene);
    return 0;
}

static struct audit_event refused_from(const char *address)
{
    return (struct audit_event){.kind = EVENT_LOGIN_REFUSED,
                                .field[FIELD_LEG] = "client",
                                .field[FIELD_REASON] = "wrong_password",
                                .field[FIELD_VERDICT] = "refused",
                                .field[FIELD_CLIENT_ADDRESS] = address,
                                .field[FIELD_USER] = "ada"};
}

static void take(struct scene *scene, const struct audit_event *event, uint64_t now)
{
    scene->firsts += !fold_take(scene->fold, event, now);
}

static void test_first_then_one_record_a_window(void **state)
{
    struct scene *scene = *state;
    const struct audit_event event = refused_from("192.0.2.1");
    for (unsigned i = 0; i < 100; i++)
        take(scene, &event, i);
    assert_int_equal(scene->firsts, 1);
    fold_tick(scene->fold, WINDOW - 1);
    assert_int_equal(scene->lines, 0);
    fold_tick(scene->fold, WINDOW);
    assert_int_equal(scene->lines, 1);
    assert_int_equal(scene->repeats, 99);
    assert_string_equal(scene->last.field[FIELD_USER], "ada");
    /* It goes on: no first again, and one record for the next window. */
    for (unsigned i = 0; i < 10; i++)
        take(scene, &event, WINDOW + 1 + i);
    fold_tick(scene->fold, 2 * WINDOW);
    assert_int_equal(scene->firsts, 1);
    assert_int_equal(scene->lines, 2);
    assert_int_equal(scene->repeats, 109);
    /* A window of quiet, and the next is a first one. */
    fold_tick(scene->fold, 3 * WINDOW);
    assert_int_equal(fold_count(scene->fold), 0);
    take(scene, &event, 3 * WINDOW + 1);
    assert_int_equal(scene->firsts, 2);
    assert_int_equal(scene->lines, 2);
}

static void test_what_differs_is_left_out(void **state)
{
    struct scene *scene = *state;
    struct audit_event event = refused_from("192.0.2.1");
    for (unsigned i = 0; i < 5; i++) {
        char port[8];
        snprintf(port, sizeof port, "%u", 1000 + i);
        event.field[FIELD_CLIENT_PORT] = port;
        event.field[FIELD_WORKSTATION] = i == 4 ? NULL : "pc";
        event.field[FIELD_LINK] = "7";
        take(scene, &event, 0);
    }
    fold_flush(scene->fold);
    assert_int_equal(scene->repeats, 4);
    assert_null(scene->last.field[FIELD_CLIENT_PORT]);
    assert_null(scene->last.field[FIELD_WORKSTATION]);
    assert_string_equal(scene->last.field[FIELD_LINK], "7");
    assert_string_equal(scene->last.field[FIELD_CLIENT_ADDRESS], "192.0.2.1");
}

static void test_different_events_are_not_folded(void **state)
{
    struct scene *scene = *state;
    static const enum event_field keys[] = {FIELD_LEG,      FIELD_REASON,         FIELD_VERDICT,
                                            FIELD_LISTENER, FIELD_CLIENT_ADDRESS, FIELD_USER,
                                            FIELD_SHARE,    FIELD_UPSTREAM};
    struct audit_event event = refused_from("192.0.2.1");
    take(scene, &event, 0);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        event = refused_from("192.0.2.1");
        event.field[keys[i]] = "another";
        take(scene, &event, 0);
    }
    event = refused_from("192.0.2.1");
    event.kind = EVENT_MIC_REFUSED;
    take(scene, &event, 0);
    assert_int_equal(scene->firsts, 2 + sizeof keys / sizeof keys[0]);
    fold_flush(scene->fold);
    assert_int_equal(scene->lines, 0);
}

static void test_source_of_ipv6_is_its_network(void **state)
{
    struct scene *scene = *state;
    struct audit_event event = refused_from("2001:db8:1:2::1");
    take(scene, &event, 0);
    event = refused_from("2001:db8:1:2:ffff::2");
    take(scene, &event, 0);
    event = refused_from("2001:db8:1:2::3");
    take(scene, &event, 0);
    event = refused_from("2001:db8:1:3::1");
    take(scene, &event, 0);
    fold_flush(scene->fold);
    assert_int_equal(scene->firsts, 2);
    assert_int_equal(scene->repeats, 2);
    assert_string_equal(scene->last.field[FIELD_CLIENT_ADDRESS], "2001:db8:1:2::/64");
}

/* Names of the attacker's choice: a few are told apart, the rest is counted together. */
static void test_many_users_of_one_source(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 10000; i++) {
        char user[16];
        struct audit_event event = refused_from("192.0.2.1");
        snprintf(user, sizeof user, "user%u", i);
        event.field[FIELD_USER] = user;
        take(scene, &event, 0);
    }
    assert_int_equal(scene->firsts, FOLD_SUBJECTS_MAX + 1);
    assert_int_equal(fold_count(scene->fold), FOLD_SUBJECTS_MAX + 1);
    fold_flush(scene->fold);
    assert_int_equal(scene->lines, 1);
    assert_null(scene->last.field[FIELD_USER]);
    assert_int_equal(scene->firsts + scene->repeats, 10000);
}

static void test_table_is_bounded_and_exact(void **state)
{
    struct scene *scene = *state;
    enum { SOURCES = 3 * FOLD_MAX };
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < SOURCES; i++) {
            char address[32];
            snprintf(address, sizeof address, "10.%u.%u.1", i / 256, i % 256);
            const struct audit_event event = refused_from(address);
            take(scene, &event, round);
            take(scene, &event, round);
            assert_true(fold_count(scene->fold) <= FOLD_MAX);
        }
    }
    fold_flush(scene->fold);
    assert_int_equal(scene->firsts + scene->repeats, 3 * 2 * SOURCES);
    assert_true(scene->repeats > 0);
}

static void test_life_of_users_is_never_folded(void **state)
{
    static const enum event_kind kinds[] = {EVENT_LOGIN, EVENT_LOGOFF, EVENT_PROCESS_ENDED,
                                            EVENT_LISTENER_UP, EVENT_TREE_CONNECT};
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct audit_event event = refused_from("192.0.2.1");
        event.kind = kinds[i];
        event.field[FIELD_VERDICT] = "allowed";
        for (unsigned j = 0; j < 10; j++)
            assert_false(fold_take(scene->fold, &event, 0));
    }
    struct audit_event refused = refused_from("192.0.2.1");
    refused.kind = EVENT_TREE_CONNECT;
    assert_false(fold_take(scene->fold, &refused, 0));
    assert_true(fold_take(scene->fold, &refused, 0));
}

static void test_connections_have_a_burst(void **state)
{
    struct scene *scene = *state;
    struct audit_event event = refused_from("192.0.2.1");
    event.kind = EVENT_LINK_ENDED;
    for (unsigned i = 0; i < 1000; i++)
        take(scene, &event, 0);
    assert_int_equal(scene->firsts, 32);
    fold_flush(scene->fold);
    assert_int_equal(scene->repeats, 1000 - 32);
}

static void test_long_texts_are_bounded(void **state)
{
    struct scene *scene = *state;
    char text[EVENT_FIELD_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct audit_event event = refused_from("192.0.2.1");
    event.field[FIELD_WORKSTATION] = event.field[FIELD_TARGET_NAME] = text;
    event.field[FIELD_TEXT] = event.field[FIELD_OFFERED] = text;
    for (unsigned i = 0; i < 3; i++)
        take(scene, &event, 0);
    fold_flush(scene->fold);
    assert_int_equal(scene->firsts, 1);
    assert_int_equal(scene->repeats, 2);
    assert_string_equal(scene->last.field[FIELD_USER], "ada");
}

static void test_switched_off(void **state)
{
    struct fold *fold = fold_new(0, FOLD_MAX, keep_record, *state);
    const struct audit_event event = refused_from("192.0.2.1");
    assert_false(fold_take(fold, &event, 0));
    assert_false(fold_take(fold, &event, 0));
    assert_int_equal(fold_count(fold), 0);
    fold_free(fold);
    fold_free(NULL);
}

static void test_sources(void **state)
{
    static const struct {
        const char *address, *source;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"fe80::1", "fe80::/64"},
        {"::1", "::/64"},
        {"", ""},
        {"no address", "no address"},
    };
    char source[SOURCE_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        source_of(cases[i].address, source);
        assert_string_equal(source, cases[i].source);
    }
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(test_first_then_one_record_a_window),
        WITH_SCENE(test_what_differs_is_left_out),
        WITH_SCENE(test_different_events_are_not_folded),
        WITH_SCENE(test_source_of_ipv6_is_its_network),
        WITH_SCENE(test_many_users_of_one_source),
        WITH_SCENE(test_table_is_bounded_and_exact),
        WITH_SCENE(test_life_of_users_is_never_folded),
        WITH_SCENE(test_connections_have_a_burst),
        WITH_SCENE(test_long_texts_are_bounded),
        WITH_SCENE(test_switched_off),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
