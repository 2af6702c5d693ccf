/*
 * What each end of a link can do, told to the downgrade memory. The recorder compares, writes the
 * events and answers; only where less is refused (`downgrade: pin`, or the demand `pin` of a rule)
 * is the answer waited for.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/spnego.h"
#include "policy/rule.h"
#include "proxy/memory.h"
#include "proxy/recorder.h"
#include "proxy/worker_state.h"

static const uint16_t signing_by_strength[] = {SIGNING_AES_GMAC, SIGNING_AES_CMAC,
                                               SIGNING_HMAC_SHA256};
static const uint16_t ciphers_by_strength[] = {CIPHER_AES_256_GCM, CIPHER_AES_128_GCM,
                                               CIPHER_AES_256_CCM, CIPHER_AES_128_CCM};
enum { SIGNINGS = 3, CIPHERS = 4 };

/* ---- what was seen ---- */

/* The first of `list` that is among those offered; `none` when there is none. */
static uint16_t best_of(const uint16_t *list, unsigned count, const uint16_t *offered,
                        unsigned offered_count, uint16_t none)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < offered_count; j++)
            if (list[i] == offered[j])
                return list[i];
    return none;
}

static uint16_t best_dialect(const struct negotiate_request *offer)
{
    static const uint16_t known[] = {SMB_3_1_1, SMB_3_0_2, SMB_3_0, SMB_2_1, SMB_2_0_2};
    return best_of(known, sizeof known / sizeof known[0], offer->dialects, offer->dialects_count,
                   SMB_2_0_2);
}

/* What the client offers, whatever the listener takes of it. */
static void look_at_offer(const struct negotiate_request *offer, struct spoken *spoken)
{
    spoken->dialect = best_dialect(offer);
    if (spoken->dialect == SMB_3_1_1) {
        spoken->has_signing = offer->has_signing;
        if (offer->has_signing)
            spoken->signing = best_of(signing_by_strength, SIGNINGS, offer->signing,
                                      offer->signing_count, SIGNING_AES_CMAC);
        if (offer->has_encryption)
            spoken->cipher = best_of(ciphers_by_strength, CIPHERS, offer->ciphers,
                                     offer->ciphers_count, CIPHER_NONE);
    } else if (spoken->dialect >= SMB_3_0 && offer->capabilities & SMB2_GLOBAL_CAP_ENCRYPTION) {
        spoken->cipher = CIPHER_AES_128_CCM;
    }
}

/* Once any rule demands that nobody gives less, nobody at all has less remembered in place of more:
 * else a client would be known for it by coming where no such rule applies first. */
static bool is_kept(const struct link *link, bool pin)
{
    return pin || rule_demands_pin(link->worker->config);
}

static void start_client(const struct link *link, struct sighting *sighting)
{
    memset(sighting, 0, sizeof *sighting);
    snprintf(sighting->name, sizeof sighting->name, "%s", link->client.address);
    memcpy(sighting->guid, link->client.client_guid, GUID_SIZE);
    sighting->pin = link->listener->downgrade == CONFIG_DOWNGRADE_PIN;
    sighting->keep = is_kept(link, sighting->pin);
    sighting->dialect_possible = SMB_3_1_1;
    memcpy(sighting->signing_possible, signing_by_strength, sizeof signing_by_strength);
    sighting->signing_count = SIGNINGS;
    memcpy(sighting->ciphers_possible, ciphers_by_strength, sizeof ciphers_by_strength);
    sighting->ciphers_count = CIPHERS;
}

/* What we offered, in our order. Below 3.1.1 there is one cipher. */
static void list_possible(const struct link *link, struct sighting *sighting)
{
    const struct config_upstream *upstream = link->upstream;
    sighting->dialect_possible = (uint16_t)upstream->max_dialect;
    for (unsigned i = 0; i < upstream->signing_count && i < MEMORY_LIST_MAX; i++)
        sighting->signing_possible[sighting->signing_count++] = (uint16_t)upstream->signing[i];
    if (upstream->encryption == CONFIG_ENCRYPTION_OFF)
        return;
    if (link->server.dialect < SMB_3_1_1)
        sighting->ciphers_possible[sighting->ciphers_count++] = CIPHER_AES_128_CCM;
    else
        for (unsigned i = 0; i < upstream->ciphers_count && i < MEMORY_LIST_MAX; i++)
            sighting->ciphers_possible[sighting->ciphers_count++] = (uint16_t)upstream->ciphers[i];
}

static void start_upstream(const struct link *link, struct sighting *sighting)
{
    memset(sighting, 0, sizeof *sighting);
    sighting->upstream = true;
    snprintf(sighting->name, sizeof sighting->name, "%s", link->upstream->name);
    sighting->pin = link->upstream->downgrade == CONFIG_DOWNGRADE_PIN;
    sighting->keep = is_kept(link, sighting->pin);
}

/* ---- telling and asking ---- */

/* Sends a sighting with the event that it may become. With `recall` the answer is noted there;
 * false when there will be none. */
static bool send_sighting(struct link *link, const struct sighting *sighting,
                          const struct report *report, struct recall *recall)
{
    static uint8_t body[SIGHTING_MESSAGE_MAX];
    struct worker *worker = link->worker;
    uint8_t packed[EVENT_PACKED_MAX];
    uint64_t query = recall ? ++worker->next_query : 0;
    struct writer writer = writer_over(body, sizeof body);
    size_t size = event_pack(&report->event, packed, sizeof packed);
    sighting_write(&writer, query, sighting, (struct span){packed, size});
    if (!size || !writer_done(&writer) || !worker->recorder ||
        !channel_send(worker->recorder, RECORDER_SIGHTING, writer_span(&writer), -1))
        return false;
    if (recall) {
        recall->asked = true;
        table_add(&worker->recalls, &recall->by_query, query);
    }
    return true;
}

static enum leg_role leg_of(const struct recall *recall)
{
    return recall == &recall->link->server.recall ? LEG_UPSTREAM : LEG_CLIENT;
}

/* What is less is refused, whoever it is. */
static bool is_pinned(const struct recall *recall)
{
    const struct link *link = recall->link;
    return (leg_of(recall) == LEG_UPSTREAM ? link->upstream->downgrade
                                           : link->listener->downgrade) == CONFIG_DOWNGRADE_PIN;
}

static void refuse(struct recall *recall)
{
    struct link *link = recall->link;
    bool upstream = leg_of(recall) == LEG_UPSTREAM;
    if (recall->session)
        client_login_refuse(recall->session, STATUS_ACCESS_DENIED);
    else
        client_negotiate_refuse(link, upstream ? STATUS_HOST_UNREACHABLE : STATUS_ACCESS_DENIED);
    link_end(link, upstream ? END_UPSTREAM_REFUSED : END_REFUSED);
}

static void go_on(struct recall *recall)
{
    if (recall->session)
        client_login_remembered(recall->session);
    else if (leg_of(recall) == LEG_UPSTREAM)
        client_negotiate_answer(recall->link);
    else
        link_dial(recall->link);
}

/* There is an answer, or there will be none: nothing that is pinned goes on without it. */
static void resume(struct recall *recall)
{
    if (!is_pinned(recall) || recall->answer == RECALL_AS_EVER) {
        go_on(recall);
        return;
    }
    if (recall->answer == RECALL_UNKNOWN)
        report_event(EVENT_LIMIT_REACHED, recall->link, NULL, leg_of(recall), "recorder_restarting",
                     "refused");
    refuse(recall);
}

/* Asks, and goes on: with `wait` when the answer is there. */
static void ask(struct recall *recall, const struct sighting *sighting, const struct report *report,
                bool wait)
{
    bool sent = send_sighting(recall->link, sighting, report, recall);
    recall->awaited = wait && sent;
    if (recall->awaited)
        return;
    if (wait)
        resume(recall);
    else
        go_on(recall);
}

void link_see_client(struct link *link)
{
    struct sighting sighting;
    struct report report;
    char offered[SPOKEN_TEXT_MAX];
    start_client(link, &sighting);
    if (link->offer)
        look_at_offer(link->offer, &sighting.spoken);
    else
        sighting.spoken.dialect = SMB_2_0_2;
    spoken_describe(&sighting.spoken, offered);
    report_start(&report, EVENT_DOWNGRADE, link, NULL, LEG_CLIENT, NULL);
    report.event.field[FIELD_OFFERED] = offered;
    if (sighting.pin)
        link->state = LINK_ASKING;
    link->client.recall.link = link;
    ask(&link->client.recall, &sighting, &report, sighting.pin);
}

/* A response without a list, which is allowed, offers nothing, else cutting it out would go
 * unnoticed; nor does one that cannot be read. How we log in does not depend on it. */
static bool offers_kerberos(struct span token)
{
    struct spnego_init list;
    return spnego_init_read(token, &list) &&
           (spnego_offers(&list, SPNEGO_KERBEROS) || spnego_offers(&list, SPNEGO_MS_KERBEROS));
}

void link_see_upstream(struct link *link, const struct negotiate_response *response)
{
    struct sighting sighting;
    struct report report;
    char chosen[SPOKEN_TEXT_MAX];
    struct leg *leg = &link->server;
    start_upstream(link, &sighting);
    list_possible(link, &sighting);
    memcpy(sighting.guid, leg->server_guid, GUID_SIZE);
    sighting.spoken =
        (struct spoken){.dialect = leg->dialect,
                        .has_signing = leg->dialect == SMB_3_1_1 && response->has_signing,
                        .signing = (uint16_t)leg->signing,
                        .cipher = leg->cipher,
                        .kerberos = offers_kerberos(response->token)};
    spoken_describe(&sighting.spoken, chosen);
    report_start(&report, EVENT_DOWNGRADE, link, NULL, LEG_UPSTREAM, NULL);
    report.event.field[FIELD_CHOSEN] = chosen;
    leg->recall.link = link;
    ask(&leg->recall, &sighting, &report, sighting.pin);
}

void link_see_login(struct session *session)
{
    struct link *link = session->link;
    struct sighting sighting;
    struct report report;
    start_client(link, &sighting);
    sighting.login = true;
    sighting.spoken.kerberos = session->identity->mechanism == MECHANISM_KERBEROS;
    report_start(&report, EVENT_DOWNGRADE, link, session, LEG_CLIENT, NULL);
    report.event.field[FIELD_OFFERED] = mechanism_name(session->identity->mechanism);
    session->step = STEP_MEMORY;
    session->recall.link = link;
    session->recall.session = session;
    /* The answers come in the order of the questions: with this one, those about the legs are here.
     */
    ask(&session->recall, &sighting, &report,
        sighting.pin || rule_demands_pin(link->rules->config));
}

void link_see_server_name(struct link *link, const char *name)
{
    struct sighting sighting;
    struct report report;
    start_upstream(link, &sighting);
    sighting.login = true;
    snprintf(sighting.server_name, sizeof sighting.server_name, "%s", name);
    report_start(&report, EVENT_SERVER_CHANGED, link, NULL, LEG_UPSTREAM, NULL);
    /* Not told is not noticed, this once. */
    (void)send_sighting(link, &sighting, &report, NULL);
}

/* ---- answers ---- */

void link_drop_recall(struct recall *recall)
{
    if (recall->asked)
        table_remove(&recall->link->worker->recalls, &recall->by_query);
    recall->asked = recall->awaited = false;
}

static void take(struct recall *recall, enum recall_answer answer)
{
    struct link *link = recall->link;
    bool awaited = recall->awaited;
    link_drop_recall(recall);
    recall->answer = answer;
    if (awaited && !link_ended(link))
        resume(recall);
    link_settle(link);
}

bool worker_sighting_answer(struct worker *worker, struct span body)
{
    struct reader reader = reader_over_span(body);
    uint64_t query;
    uint8_t less;
    if (!read_le64(&reader, &query) || !read_u8(&reader, &less) || less > 1 || reader_left(&reader))
        return false;
    struct table_entry *entry = table_find(&worker->recalls, query);
    if (entry)
        take(CONTAINER_OF(entry, struct recall, by_query), less ? RECALL_LESS : RECALL_AS_EVER);
    return true;
}

void worker_sightings_gone(struct worker *worker)
{
    struct table_entry *entry;
    while ((entry = table_any(&worker->recalls)))
        take(CONTAINER_OF(entry, struct recall, by_query), RECALL_UNKNOWN);
}

bool link_gives_less(const struct session *session)
{
    const struct link *link = session->link;
    return link->client.recall.answer != RECALL_AS_EVER ||
           link->server.recall.answer != RECALL_AS_EVER || session->recall.answer != RECALL_AS_EVER;
}
