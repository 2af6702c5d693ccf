/*
 * Sessions of a link that have ended: their clients may name them still, or for the first time
 * hours later when it was not they who ended them, and what the file server still says of them
 * comes with their keys.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/worker_state.h"

/* Of sessions that their clients logged off, there are ENDED_KEPT at most; of all together as many
 * as there may be sessions, within reason. */
enum { ENDED_KEPT = 16, ENDED_MOST = 1024 };

struct ended_session *link_find_ended(const struct link *link, uint64_t client_id)
{
    for (unsigned i = 0; i < link->ended_room; i++)
        if (link->ended[i].number && link->ended[i].client_id == client_id)
            return &link->ended[i];
    return NULL;
}

struct signer *link_ended_signer(const struct link *link, uint64_t client_id)
{
    const struct ended_session *ended = link_find_ended(link, client_id);
    return ended ? ended->signer : NULL;
}

struct sealer *link_ended_opener(const struct leg *leg, uint64_t id)
{
    const struct link *link = leg->link;
    const struct ended_session *found = NULL;
    if (leg->role == LEG_CLIENT) {
        found = link_find_ended(link, id);
        return found ? found->client_open : NULL;
    }
    for (unsigned i = 0; i < link->ended_room; i++) {
        const struct ended_session *ended = &link->ended[i];
        if (ended->upstream_open && ended->upstream_id == id &&
            (!found || ended->number > found->number))
            found = ended; /* of an id that was given twice, the last */
    }
    return found ? found->upstream_open : NULL;
}

static void free_slot(struct ended_session *ended)
{
    signer_free(ended->signer);
    sealer_free(ended->upstream_open);
    sealer_free(ended->client_open);
    sealer_free(ended->client_seal);
    *ended = (struct ended_session){.number = 0};
}

void link_free_ended(struct link *link)
{
    for (unsigned i = 0; i < link->ended_room; i++)
        free_slot(&link->ended[i]);
    free(link->ended);
    link->ended = NULL;
    link->ended_room = 0;
}

/* What is taken: a free one, else the oldest. `logged_off`: of those that their clients ended. */
struct choice {
    struct ended_session *slot;
    unsigned count; /* of those that were looked at and are not free */
};

static struct choice choose(struct link *link, bool logged_off)
{
    struct choice choice = {NULL, 0};
    for (unsigned i = 0; i < link->ended_room; i++) {
        struct ended_session *ended = &link->ended[i];
        if (logged_off && !ended->logged_off)
            continue;
        choice.count += ended->number != 0;
        if (!choice.slot || ended->number < choice.slot->number)
            choice.slot = ended;
    }
    return choice;
}

static bool grow(struct link *link)
{
    unsigned most = link->worker->config->limits.sessions_per_connection;
    unsigned room = link->ended_room ? link->ended_room * 2 : ENDED_KEPT;
    most = most > ENDED_MOST ? ENDED_MOST : most;
    if (room > ENDED_KEPT && room > most)
        room = most;
    if (room <= link->ended_room)
        return false;
    struct ended_session *wider = realloc(link->ended, room * sizeof *wider);
    if (!wider)
        return false;
    memset(&wider[link->ended_room], 0, (room - link->ended_room) * sizeof *wider);
    link->ended = wider;
    link->ended_room = room;
    return true;
}

static struct ended_session *make_slot(struct link *link, bool logged_off)
{
    struct choice choice = choose(link, logged_off);
    if (!logged_off || choice.count < ENDED_KEPT) {
        choice = choose(link, false);
        if (choice.count == link->ended_room && grow(link))
            choice = choose(link, false);
    }
    return choice.slot;
}

void link_remember_ended(struct link *link, struct session *session)
{
    /* A login that came to nothing: its client has no session, the file server may have one. */
    bool was_valid = session->state >= SESSION_VALID;
    bool logged_off = !was_valid || session->state == SESSION_LOGGING_OFF;
    bool has_keys = was_valid ? session->client_signer != NULL : session->upstream_open != NULL;
    struct ended_session *slot = has_keys ? make_slot(link, logged_off) : NULL;
    if (!slot)
        return;
    free_slot(slot);
    *slot = (struct ended_session){.number = ++link->ended_last,
                                   .logged_off = logged_off,
                                   .client_id = session->client_id,
                                   .upstream_id = session->upstream_id,
                                   .upstream_open = session->upstream_open};
    session->upstream_open = NULL;
    if (!was_valid)
        return;
    slot->signer = session->client_signer;
    slot->client_open = session->client_open;
    slot->client_seal = session->client_seal;
    session->client_signer = NULL;
    session->client_open = session->client_seal = NULL;
}
