/*
 * A login and what is remembered of its link: where a rule demands that nobody gives less, nothing
 * of it goes upstream before the downgrade memory has answered; elsewhere nobody waits.
 */
#include <stdio.h>

#include "crypto/spnego.h"
#include "proxy/memory.h"
#include "proxy/recorder.h"
#include "tests/unit/link_keeper.h"

enum { SOME_QUERIES = 8 };

/* The recorder's end: what it has been asked, in order. */
static struct {
    struct channel *channel;
    unsigned asked, answered;
    uint64_t query[SOME_QUERIES];
    struct sighting last;
} recorder;

static struct config_rule rule;
static char *who[] = {(char *)(uintptr_t) "alice"};

static bool recorder_hears(void *context, uint16_t type, struct span body, int fd)
{
    (void)context, (void)fd;
    if (type == RECORDER_SIGHTING) {
        assert_true(recorder.asked < SOME_QUERIES);
        struct span event;
        assert_true(sighting_read(body, &recorder.query[recorder.asked++], &recorder.last, &event));
    }
    return true;
}

static void recorder_is_left(void *context, bool malformed)
{
    (void)context, (void)malformed;
}

/* Everybody is demanded to give no less; both legs are as ever. */
static int recall_open(void **state)
{
    static const struct channel_handler handler = {recorder_hears, recorder_is_left};
    int fds[2];
    assert_int_equal(keeper_open(state), 0);
    struct fixture *fixture = *state;
    memset(&recorder, 0, sizeof recorder);
    assert_true(channel_pair(fds));
    worker_recorder_channel(&fixture->worker, fds[0]);
    recorder.channel = channel_new(fixture->worker.base, fds[1], &handler, NULL);
    assert_true(fixture->worker.recorder && recorder.channel);
    rule = (struct config_rule){.name = who[0], .then = CONFIG_ALLOW, .demand.pin = true};
    fixture->config.rules = &rule;
    fixture->config.rules_count = 1;
    fixture->link.client.recall.answer = RECALL_AS_EVER;
    fixture->link.server.recall.answer = RECALL_AS_EVER;
    return 0;
}

static int recall_close(void **state)
{
    struct fixture *fixture = *state;
    channel_free(recorder.channel);
    channel_free(fixture->worker.recorder);
    fixture->worker.recorder = NULL;
    assert_int_equal(fixture->worker.recalls.count, 0);
    return keeper_close(state);
}

/* A session whose client has just been proven to be bob. */
static struct session *log_in(struct fixture *fixture)
{
    struct session *session = session_new(&fixture->link);
    assert_non_null(session);
    session->identity = calloc(1, sizeof *session->identity);
    assert_non_null(session->identity);
    session->identity->mechanism = MECHANISM_NTLM;
    snprintf(session->identity->user, sizeof session->identity->user, "bob");
    session->state = SESSION_LOGGING_IN;
    session->setup_waiting = true;
    session->setup_message_id = 7;
    table_add(&fixture->link.sessions, &session->by_client_id, session->client_id);
    link_see_login(session);
    run_loop(fixture);
    return session;
}

static void answer(struct fixture *fixture, uint8_t less)
{
    uint8_t body[9];
    struct writer writer = writer_over(body, sizeof body);
    assert_true(recorder.answered < recorder.asked);
    write_le64(&writer, recorder.query[recorder.answered++]);
    write_u8(&writer, less);
    assert_true(channel_send(recorder.channel, RECORDER_SEEN, writer_span(&writer), -1));
    run_loop(fixture);
}

static void end(struct session *session)
{
    session_end(session, false);
}

static void expect_goes_on(struct fixture *fixture, struct session *session)
{
    expect_told(fixture, KEEPER_LOGIN);
    expect_nothing(fixture, LEG_CLIENT);
    end(session);
}

static void expect_refused(struct fixture *fixture)
{
    expect_not_told(fixture);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).status, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->link.sessions.count, 1); /* the fixture's own */
    assert_int_equal(fixture->link.end, END_NONE);
}

static void test_waits_and_goes_on(void **state)
{
    struct session *session = log_in(*state);
    expect_not_told(*state);
    expect_nothing(*state, LEG_CLIENT);
    answer(*state, 0);
    expect_goes_on(*state, session);
}

static void test_login_that_gives_less(void **state)
{
    (void)log_in(*state);
    answer(*state, 1);
    expect_refused(*state);
}

/* What either leg negotiated counts, and so does not knowing it. */
static void test_leg_that_gives_less(void **state)
{
    static const enum recall_answer others[] = {RECALL_LESS, RECALL_UNKNOWN};
    struct fixture *fixture = *state;
    struct leg *const legs[] = {&fixture->link.client, &fixture->link.server};
    for (size_t i = 0; i < COUNT_OF(legs); i++) {
        for (size_t j = 0; j < COUNT_OF(others); j++) {
            legs[i]->recall.answer = others[j];
            (void)log_in(fixture);
            answer(fixture, 0);
            expect_refused(fixture);
        }
        legs[i]->recall.answer = RECALL_AS_EVER;
    }
}

static void test_whom_the_rule_does_not_mean(void **state)
{
    rule.who = who;
    rule.who_count = 1;
    struct session *session = log_in(*state);
    expect_not_told(*state);
    answer(*state, 1);
    expect_goes_on(*state, session);
}

/* Nobody waits where no rule demands it; the answer is noted, for rules that come later. */
static void test_without_the_demand(void **state)
{
    rule.demand.pin = false;
    struct session *session = log_in(*state);
    expect_told(*state, KEEPER_LOGIN);
    answer(*state, 1);
    assert_int_equal(session->recall.answer, RECALL_LESS);
    assert_true(link_gives_less(session));
    end(session);
}

/* Who waits is refused when there will be no answer, and so is who comes then; others are not. */
static void test_recorder_goes(void **state)
{
    struct fixture *fixture = *state;
    (void)log_in(fixture);
    channel_free(recorder.channel);
    recorder.channel = NULL;
    run_loop(fixture);
    expect_refused(fixture);
    (void)log_in(fixture);
    expect_refused(fixture);
    rule.demand.pin = false;
    expect_goes_on(fixture, log_in(fixture));
}

/* A configuration that takes what the fixture's link has come to, in a generation of its own. */
static void change_configuration(struct fixture *fixture, struct generation *now)
{
    static enum config_signing signing[] = {CONFIG_HMAC_SHA256};
    static enum config_mechanism mechanisms[] = {CONFIG_MECHANISM_NTLM};
    static const struct upstream_address address;
    fixture->listener.address = fixture->listener.upstream = fixture->upstream.name;
    fixture->listener.max_dialect = fixture->upstream.max_dialect = CONFIG_SMB_3_1_1;
    fixture->listener.signing = fixture->upstream.signing = signing;
    fixture->listener.signing_count = fixture->upstream.signing_count = 1;
    fixture->listener.mechanisms = mechanisms;
    fixture->listener.mechanisms_count = 1;
    fixture->config.listeners = &fixture->listener;
    fixture->config.upstreams = &fixture->upstream;
    fixture->config.listeners_count = fixture->config.upstreams_count = 1;
    *now = fixture->generation;
    now->number++;
    now->upstreams = &address;
    fixture->generation.links = now->links = 2; /* so that nothing frees what is not its own */
    fixture->link.upstream_number = generation_upstream(now, 0);
    fixture->worker.generation = now;
}

/* A reload is applied while the answer is waited for: then too nobody is refused for want of it. */
static void test_reload_while_it_waits(void **state)
{
    static struct generation now;
    struct fixture *fixture = *state;
    for (uint8_t less = 2; less-- > 0;) {
        fixture->session->recall.answer = RECALL_AS_EVER;
        struct session *session = log_in(fixture);
        change_configuration(fixture, &now);
        fixture->worker.links = &fixture->link;
        rejudge_links(&fixture->worker);
        fixture->worker.links = NULL;
        assert_ptr_equal(fixture->link.rules, &now);
        run_loop(fixture);
        expect_not_told(fixture);
        expect_nothing(fixture, LEG_CLIENT);
        answer(fixture, less);
        if (less)
            expect_refused(fixture);
        else
            expect_goes_on(fixture, session);
        fixture->worker.generation = fixture->link.rules = &fixture->generation;
    }
}

/* The session ends before its answer comes. */
static void test_nobody_waits_any_more(void **state)
{
    end(log_in(*state));
    answer(*state, 1);
    expect_not_told(*state);
    expect_nothing(*state, LEG_CLIENT);
}

/* With `downgrade: pin` of the listener the login is refused, and the link with it. */
static void test_listener_that_pins(void **state)
{
    struct fixture *fixture = *state;
    rule.demand.pin = false;
    fixture->listener.downgrade = CONFIG_DOWNGRADE_PIN;
    fixture->link.settling = true; /* the link is the fixture's to free */
    struct session *session = log_in(fixture);
    expect_not_told(fixture);
    answer(fixture, 1);
    expect_not_told(fixture);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).status, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->link.end, END_REFUSED);
    end(session);
}

/* … and nobody gets in there unless it is known that nothing is less. */
static void test_listener_that_pins_without_recorder(void **state)
{
    struct fixture *fixture = *state;
    rule.demand.pin = false;
    fixture->listener.downgrade = CONFIG_DOWNGRADE_PIN;
    fixture->link.settling = true;
    channel_free(recorder.channel);
    recorder.channel = NULL;
    run_loop(fixture);
    struct session *session = log_in(fixture);
    expect_not_told(fixture);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).status, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->link.end, END_REFUSED);
    end(session);
}

/* A file server's NEGOTIATE response with a token, of an upstream that is pinned: everything waits.
 */
static void see_token(struct fixture *fixture, struct span token)
{
    const struct negotiate_response response = {.token = token};
    fixture->upstream.downgrade = CONFIG_DOWNGRADE_PIN;
    fixture->link.server.recall.answer = RECALL_UNKNOWN;
    link_see_upstream(&fixture->link, &response);
    run_loop(fixture);
    assert_true(recorder.last.upstream && recorder.last.pin && !recorder.last.login);
    expect_nothing(fixture, LEG_CLIENT);
}

static bool offer_told(struct fixture *fixture, struct span token)
{
    see_token(fixture, token);
    link_drop_recall(&fixture->link.server.recall);
    recorder.answered = recorder.asked;
    return recorder.last.spoken.kerberos;
}

/* What smbd sends, with these mechanisms. */
static struct span hint_with(const enum spnego_mechanism *mechanisms, size_t count)
{
    static uint8_t list_room[128], room[256];
    struct writer list = writer_over(list_room, sizeof list_room);
    struct writer hint = writer_over(room, sizeof room);
    spnego_list_write(&list, mechanisms, count);
    spnego_hint_write(&hint, writer_span(&list));
    assert_true(writer_done(&list) && writer_done(&hint));
    return writer_span(&hint);
}

static void test_offer_of_a_file_server(void **state)
{
    static const enum spnego_mechanism ntlm_first[] = {SPNEGO_NTLM, SPNEGO_KERBEROS},
                                       old_number[] = {SPNEGO_MS_KERBEROS, SPNEGO_NTLM},
                                       ntlm[] = {SPNEGO_NTLM};
    static const uint8_t nonsense[] = {0x60, 0x82, 0xff};
    assert_true(offer_told(*state, hint_with(ntlm_first, 2)));
    assert_true(offer_told(*state, hint_with(old_number, 2)));
    assert_false(offer_told(*state, hint_with(ntlm, 1)));
    assert_false(offer_told(*state, (struct span){NULL, 0}));
    assert_false(offer_told(*state, (struct span){nonsense, sizeof nonsense}));
    const struct span cut = hint_with(ntlm_first, 2);
    assert_false(offer_told(*state, (struct span){cut.at, cut.size - 1}));
}

/* Of a file server that does less its client is told nothing more, and the link ends. */
static void test_file_server_that_is_pinned(void **state)
{
    struct fixture *fixture = *state;
    fixture->link.settling = true; /* the link is the fixture's to free */
    see_token(fixture, (struct span){NULL, 0});
    answer(fixture, 1);
    expect_not_told(fixture);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).status, STATUS_HOST_UNREACHABLE);
    assert_int_equal(fixture->link.end, END_UPSTREAM_REFUSED);
    expect_nothing(fixture, LEG_UPSTREAM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recall_open, recall_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_waits_and_goes_on),      TEST(test_login_that_gives_less),
        TEST(test_leg_that_gives_less),    TEST(test_whom_the_rule_does_not_mean),
        TEST(test_without_the_demand),     TEST(test_recorder_goes),
        TEST(test_reload_while_it_waits),  TEST(test_nobody_waits_any_more),
        TEST(test_listener_that_pins),     TEST(test_listener_that_pins_without_recorder),
        TEST(test_offer_of_a_file_server), TEST(test_file_server_that_is_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
