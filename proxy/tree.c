/*
 * TREE_CONNECT responses (MS-SMB2 2.2.10, 3.2.5.5): only what is carried through may be promised,
 * and the first one of a session waits until the upstream negotiation has been validated.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/text.h"
#include "policy/share_name.h"
#include "proxy/body.h"
#include "proxy/judge.h"
#include "proxy/read_only.h"
#include "proxy/worker_state.h"

enum { PATH_MAX_LOGGED = 512, SHARE_MAX = 1024 };

static void report_tree(struct link *link, const struct pending *pending, uint32_t status)
{
    struct report report;
    report_start(&report, EVENT_TREE_CONNECT, link, pending->session, LEG_CLIENT, NULL);
    report.event.field[FIELD_SHARE] = pending->path;
    report.event.field[FIELD_VERDICT] = status == STATUS_SUCCESS ? "allowed" : "refused";
    report_status(&report, status);
    report_send(link->worker, &report);
}

void tree_bind_verdict(struct session *session, struct tree *tree, const struct rule_verdict *ruled)
{
    tree->read_only = ruled->read_only && !tree->pipes;
    tree->read_only_audit = ruled->read_only_audit && !tree->pipes;
    free(tree->rule);
    tree->rule = ruled->rule ? strdup(ruled->rule) : NULL;
    tree->told = 0;
    session->guarded |= tree->pipes || tree->read_only || tree->read_only_audit;
}

/* Only what is carried; and encryption where the file server or our own rule for the share asks for
 * it: its demand holds on both legs. False when that cannot be. */
static bool rewrite(struct session *session, struct smb2_message *message, struct tree *tree,
                    const struct tree_connect_response *body, const char *share)
{
    const struct link *link = session->link;
    const uint32_t withheld =
        SMB2_SHAREFLAG_DFS | SMB2_SHAREFLAG_DFS_ROOT | SMB2_SHAREFLAG_ENCRYPT_DATA;
    const uint32_t capabilities = SMB2_SHARE_CAP_DFS | SMB2_SHARE_CAP_CONTINUOUS_AVAILABILITY |
                                  SMB2_SHARE_CAP_SCALEOUT | SMB2_SHARE_CAP_CLUSTER |
                                  SMB2_SHARE_CAP_ASYMMETRIC | SMB2_SHARE_CAP_REDIRECT_TO_OWNER;
    bool demanded = body->share_flags & SMB2_SHAREFLAG_ENCRYPT_DATA;
    struct rule_verdict ruled;
    judge_share_again(session, share, &ruled);
    tree->pipes = body->share_type == SMB2_SHARE_TYPE_PIPE || rule_share_has_pipes(share);
    tree_bind_verdict(session, tree, &ruled);
    tree->upstream_encrypts =
        demanded || config_share_listed(link->upstream->encrypted_shares,
                                        link->upstream->encrypted_shares_count, share);
    tree->client_encrypts = demanded || ruled.encryption ||
                            config_share_listed(link->listener->encrypted_shares,
                                                link->listener->encrypted_shares_count, share);
    if ((tree->upstream_encrypts && !link->server.cipher) ||
        (tree->client_encrypts && !link->client.cipher))
        return false;
    if (tree->read_only)
        tree_connect_response_limit(message->at, READ_ONLY_ACCESS);
    tree_connect_response_patch(message->at,
                                (body->share_flags & ~withheld) |
                                    (tree->client_encrypts ? SMB2_SHAREFLAG_ENCRYPT_DATA : 0),
                                body->capabilities & ~capabilities);
    return true;
}

/* Keeps a copy; the pending request is gone when it is sent. */
static void keep(struct session *session, const struct smb2_message *message, bool encrypt)
{
    struct held_response *held = malloc(sizeof *held + message->size);
    if (!held) {
        link_end(session->link, END_MEMORY);
        return;
    }
    held->next = NULL;
    held->size = message->size;
    held->encrypt = encrypt;
    memcpy(held->message, message->at, message->size);
    smb2_set_next_command(held->message, 0);
    *session->held_last = held;
    session->held_last = &held->next;
}

struct tree *session_tree(const struct session *session, uint32_t tree_id)
{
    struct table_entry *entry = table_find(&session->trees, tree_id);
    return entry ? CONTAINER_OF(entry, struct tree, by_id) : NULL;
}

/* Remembers a tree; a TreeId that the file server gives again is a new tree. */
static struct tree *remember(struct session *session, uint32_t tree_id)
{
    struct tree *tree = session_tree(session, tree_id);
    if (tree)
        return tree;
    tree = calloc(1, sizeof *tree);
    if (!tree)
        return NULL;
    table_add(&session->trees, &tree->by_id, tree_id);
    session->link->trees++;
    return tree;
}

void tree_forget(struct session *session, uint32_t tree_id)
{
    struct tree *tree = session_tree(session, tree_id);
    if (tree)
        session_free_tree(session, tree);
}

static bool is_separator(struct span path, size_t at)
{
    return get_le16(path.at + at) == '\\';
}

bool tree_path_split(struct span path, struct span *server, struct span *share)
{
    size_t slash = 4;
    if (path.size % 2 || path.size < 10 || !is_separator(path, 0) || !is_separator(path, 2))
        return false;
    while (slash < path.size && !is_separator(path, slash))
        slash += 2;
    if (slash == 4 || slash + 2 >= path.size)
        return false;
    for (size_t at = slash + 2; at < path.size; at += 2)
        if (is_separator(path, at))
            return false;
    return span_slice(path, 4, slash - 4, server) &&
           span_slice(path, slash + 2, path.size - slash - 2, share);
}

/* Does the configuration ask which share it is? */
static bool names_shares(const struct link *link)
{
    const struct config *config = link->rules->config;
    bool named = link->listener->encrypted_shares_count || link->upstream->encrypted_shares_count;
    for (unsigned i = 0; i < config->rules_count; i++)
        named = named || config->rules[i].to.share_count;
    return named;
}

uint32_t tree_judge(struct session *session, struct span path)
{
    char text[PATH_MAX_LOGGED], server[SHARE_MAX], share[SHARE_MAX];
    struct rule_verdict verdict;
    struct span server_part, share_part;
    if (!tree_path_split(path, &server_part, &share_part) ||
        !text_from_utf16_strict(share_part, share, sizeof share) ||
        (!share_name_is_clear(share) && names_shares(session->link)))
        return STATUS_BAD_NETWORK_NAME;
    text_from_utf16(server_part, server, sizeof server);
    text_from_utf16(path, text, sizeof text);
    judge_server_name(session, server, text);
    return judge_share(session, share, text, &verdict) ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

bool tree_note(struct pending *pending, struct span message, uint16_t dialect)
{
    char path[PATH_MAX_LOGGED], share[SHARE_MAX];
    struct tree_connect_request body;
    struct span server, name;
    if (!tree_connect_request_read(message, dialect, &body) ||
        !tree_path_split(body.path, &server, &name))
        return false;
    text_from_utf16(body.path, path, sizeof path);
    text_from_utf16(name, share, sizeof share);
    pending->path = strdup(path);
    pending->share = strdup(share);
    return pending->path && pending->share;
}

/* Why a share is refused: its encryption is demanded, and one of the legs cannot do it. */
static void report_unencrypted(struct link *link, const struct pending *pending,
                               const struct tree *tree)
{
    bool upstream = tree->upstream_encrypts && !link->server.cipher;
    struct report report;
    report_start(&report, upstream ? EVENT_UPSTREAM_ENCRYPTION : EVENT_UNENCRYPTED_REFUSED, link,
                 pending->session, upstream ? LEG_UPSTREAM : LEG_CLIENT, "share");
    report.event.field[FIELD_SHARE] = pending->path;
    report.event.field[FIELD_VERDICT] = "refused";
    report_send(link->worker, &report);
}

enum tree_verdict tree_response(struct link *link, struct pending *pending,
                                struct smb2_message *message)
{
    struct session *session = pending->session;
    struct tree_connect_response body;
    uint32_t status = message->header.status;
    if (status != STATUS_SUCCESS) {
        report_tree(link, pending, status);
        return TREE_PASS;
    }
    struct tree *tree = remember(session, message->header.tree_id);
    if (!tree || !tree_connect_response_read((struct span){message->at, message->size}, &body)) {
        link_refuse(link, END_UPSTREAM_PROTOCOL, EVENT_PROTOCOL_ERROR, LEG_UPSTREAM,
                    "tree_connect");
        return TREE_HELD;
    }
    free(tree->path);
    tree->path = strdup(pending->path);
    free(tree->share);
    tree->share = strdup(pending->share);
    if (!rewrite(session, message, tree, &body, pending->share)) {
        report_unencrypted(link, pending, tree);
        report_tree(link, pending, STATUS_ACCESS_DENIED);
        take_back_tree(session, message->header.tree_id,
                       link->server.cipher &&
                           (session->upstream_encrypts || tree->upstream_encrypts));
        tree_forget(session, message->header.tree_id);
        return TREE_REFUSED;
    }
    report_tree(link, pending, status);
    if (session->validated)
        return TREE_PASS;
    keep(session, message, pending->client_encrypts);
    if (!session->validating)
        validate_start(session, message->header.tree_id);
    return TREE_HELD;
}

void tree_release(struct session *session)
{
    struct link *link = session->link;
    while (session->held_first && !link_ended(link)) {
        struct held_response *held = session->held_first;
        session->held_first = held->next;
        if (!session->held_first)
            session->held_last = &session->held_first;
        uint8_t *message = stream_own(&link->client.stream, held->size);
        if (!message) {
            link_end(link, END_MEMORY);
        } else {
            memcpy(message, held->message, held->size);
            if (seal_close(&link->client, session, message, held->size, held->encrypt))
                seal_send_own(&link->client, session, message, held->size, held->encrypt);
        }
        free(held);
    }
}
