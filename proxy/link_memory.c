/*
 * What each end of a link can do, told to the downgrade memory. The recorder compares and writes
 * the events; only where less is refused (`downgrade: pin`) does the link wait for its answer.
 */
#include <stdio.h>
#include <string.h>

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

static void start_client(const struct link *link, struct sighting *sighting)
{
    memset(sighting, 0, sizeof *sighting);
    snprintf(sighting->name, sizeof sighting->name, "%s", link->client.address);
    memcpy(sighting->guid, link->client.client_guid, GUID_SIZE);
    sighting->pin = link->listener->downgrade == CONFIG_DOWNGRADE_PIN;
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
}

/* ---- telling and asking ---- */

/* Sends a sighting with the event that it may become. With `ask` the answer is waited for; false
 * when there will be none. */
static bool send_sighting(struct link *link, const struct sighting *sighting,
                          const struct report *report, bool ask)
{
    static uint8_t body[SIGHTING_MESSAGE_MAX];
    struct worker *worker = link->worker;
    uint8_t packed[EVENT_PACKED_MAX];
    struct writer writer = writer_over(body, sizeof body);
    size_t size = event_pack(&report->event, packed, sizeof packed);
    sighting_write(&writer, ask ? link->number : 0, sighting, (struct span){packed, size});
    if (!size || !writer_done(&writer) || !worker->recorder ||
        !channel_send(worker->recorder, RECORDER_SIGHTING, writer_span(&writer), -1))
        return false;
    if (ask && link->sightings_asked++ == 0)
        table_add(&worker->sightings, &link->by_sighting, link->number);
    return true;
}

static void refuse(struct link *link)
{
    switch (link->state) {
    case LINK_ASKING:
        client_negotiate_refuse(link, STATUS_ACCESS_DENIED);
        link_end(link, END_REFUSED);
        return;
    case LINK_UPSTREAM_NEGOTIATING:
        client_negotiate_refuse(link, STATUS_HOST_UNREACHABLE);
        link_end(link, END_UPSTREAM_REFUSED);
        return;
    default: link_end(link, END_REFUSED);
    }
}

/* Nothing that is pinned goes on without an answer. */
static void refuse_unanswered(struct link *link)
{
    report_event(EVENT_LIMIT_REACHED, link, NULL,
                 link->state == LINK_UPSTREAM_NEGOTIATING ? LEG_UPSTREAM : LEG_CLIENT,
                 "recorder_restarting", "refused");
    refuse(link);
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
    bool sent = send_sighting(link, &sighting, &report, sighting.pin);
    if (!sighting.pin) {
        link_dial(link);
        return;
    }
    link->state = LINK_ASKING;
    if (!sent)
        refuse_unanswered(link);
}

void link_see_upstream(struct link *link, bool has_signing)
{
    struct sighting sighting;
    struct report report;
    char chosen[SPOKEN_TEXT_MAX];
    const struct leg *leg = &link->server;
    start_upstream(link, &sighting);
    list_possible(link, &sighting);
    memcpy(sighting.guid, leg->server_guid, GUID_SIZE);
    sighting.spoken = (struct spoken){.dialect = leg->dialect,
                                      .has_signing = leg->dialect == SMB_3_1_1 && has_signing,
                                      .signing = (uint16_t)leg->signing,
                                      .cipher = leg->cipher};
    spoken_describe(&sighting.spoken, chosen);
    report_start(&report, EVENT_DOWNGRADE, link, NULL, LEG_UPSTREAM, NULL);
    report.event.field[FIELD_CHOSEN] = chosen;
    bool sent = send_sighting(link, &sighting, &report, sighting.pin);
    if (!sighting.pin)
        client_negotiate_answer(link);
    else if (!sent)
        refuse_unanswered(link);
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
    if (!send_sighting(link, &sighting, &report, sighting.pin) && sighting.pin)
        refuse_unanswered(link);
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
    (void)send_sighting(link, &sighting, &report, false);
}

/* ---- answers ---- */

static void forget_one(struct link *link)
{
    if (--link->sightings_asked == 0)
        table_remove(&link->worker->sightings, &link->by_sighting);
}

static void go_on(struct link *link)
{
    if (link->state == LINK_ASKING)
        link_dial(link);
    else if (link->state == LINK_UPSTREAM_NEGOTIATING)
        client_negotiate_answer(link);
}

bool worker_sighting_answer(struct worker *worker, struct span body)
{
    struct reader reader = reader_over_span(body);
    uint64_t query;
    uint8_t refused;
    if (!read_le64(&reader, &query) || !read_u8(&reader, &refused) || refused > 1 ||
        reader_left(&reader))
        return false;
    struct table_entry *entry = table_find(&worker->sightings, query);
    if (!entry)
        return true;
    struct link *link = CONTAINER_OF(entry, struct link, by_sighting);
    forget_one(link);
    if (refused)
        refuse(link);
    else if (!link_ended(link))
        go_on(link);
    link_settle(link);
    return true;
}

void worker_sightings_gone(struct worker *worker)
{
    struct table_entry *entry;
    while ((entry = table_any(&worker->sightings))) {
        struct link *link = CONTAINER_OF(entry, struct link, by_sighting);
        link_forget_sightings(link);
        refuse_unanswered(link);
        link_settle(link);
    }
}

void link_forget_sightings(struct link *link)
{
    if (link->sightings_asked)
        table_remove(&link->worker->sightings, &link->by_sighting);
    link->sightings_asked = 0;
}
