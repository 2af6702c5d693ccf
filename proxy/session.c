#include "proxy/session.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/link.h"

struct session *session_new(struct link *link)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->link = link;
    session->held_last = &session->held_first;
    table_init(&session->trees);
    do {
        if (RAND_bytes((uint8_t *)&session->client_id, sizeof session->client_id) != 1) {
            free(session);
            return NULL;
        }
    } while (session->client_id == 0 || session->client_id == SMB2_SESSION_ID_RELATED);
    return session;
}

static void free_tree(struct table_entry *entry, void *context)
{
    struct tree *tree = CONTAINER_OF(entry, struct tree, by_id);
    struct session *session = context;
    table_remove(&session->trees, entry);
    session->link->trees--;
    free(tree->rule);
    free(tree->path);
    free(tree->share);
    free(tree);
}

void session_free_tree(struct session *session, struct tree *tree)
{
    free_tree(&tree->by_id, session);
}

void session_free(struct session *session)
{
    if (!session)
        return;
    token_drop(&session->final_token);
    token_drop(&session->waiting_token);
    token_drop(&session->last_response);
    token_drop(&session->kept_setup);
    if (session->renewal_timer)
        event_free(session->renewal_timer);
    while (session->held_first) {
        struct held_response *held = session->held_first;
        session->held_first = held->next;
        free(held);
    }
    table_each(&session->trees, free_tree, session);
    table_free(&session->trees);
    signer_free(session->client_signer);
    signer_free(session->upstream_signer);
    sealer_free(session->client_seal);
    sealer_free(session->client_open);
    sealer_free(session->upstream_seal);
    sealer_free(session->upstream_open);
    free(session->identity);
    OPENSSL_cleanse(session, sizeof *session);
    free(session);
}

bool token_keep(struct kept_token *kept, struct span token)
{
    token_drop(kept);
    if (token.size == 0)
        return true;
    kept->at = malloc(token.size);
    if (!kept->at)
        return false;
    memcpy(kept->at, token.at, token.size);
    kept->size = token.size;
    return true;
}

void token_drop(struct kept_token *kept)
{
    if (kept->at)
        OPENSSL_cleanse(kept->at, kept->size);
    free(kept->at);
    *kept = (struct kept_token){0};
}
