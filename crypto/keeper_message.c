#include "crypto/keeper_message.h"

#include <string.h>

#include <openssl/crypto.h>

enum {
    CLIENT_TEXT_MAX = 128,
    LOGIN_TEXT_MAX = 16,
    REASON_TEXT_MAX = 64,
    ACCOUNT_TEXT_MAX = 2 * IDENTITY_NAME_MAX,
};

const char *keeper_reason_name(enum keeper_reason reason)
{
    switch (reason) {
    case KEEPER_REASON_REFUSAL: return "refusal";
    case KEEPER_REASON_BAD_HANDLE: return "bad_handle";
    case KEEPER_REASON_NO_CREDENTIAL: return "no_credential";
    case KEEPER_REASON_BUSY: return "busy";
    case KEEPER_REASON_BACK_OFF: return "back_off";
    case KEEPER_REASON_INTERNAL: return "internal";
    }
    return "unknown";
}

/* A blob that no decoder would take is not written either. */
static void write_blob(struct writer *writer, struct span blob, size_t most)
{
    if (blob.size > most) {
        writer->overflow = true;
        return;
    }
    write_le32(writer, (uint32_t)blob.size);
    write_span(writer, blob);
}

MUST_USE static bool read_blob(struct reader *reader, struct span *blob, size_t most)
{
    uint32_t size;
    return read_le32(reader, &size) && size <= most && read_span(reader, size, blob);
}

/* A NUL-terminated text in an array of `size` bytes. */
static void write_text(struct writer *writer, const char *text, size_t size)
{
    write_blob(writer, (struct span){(const uint8_t *)text, strnlen(text, size)}, size - 1);
}

MUST_USE static bool read_text(struct reader *reader, char *text, size_t size)
{
    struct span blob;
    if (!read_blob(reader, &blob, size - 1) || (blob.size && memchr(blob.at, '\0', blob.size)))
        return false;
    if (blob.size)
        memcpy(text, blob.at, blob.size);
    text[blob.size] = '\0';
    return true;
}

MUST_USE static bool read_bool(struct reader *reader, bool *value)
{
    uint8_t byte;
    if (!read_u8(reader, &byte) || byte > 1)
        return false;
    *value = byte;
    return true;
}

static void write_key(struct writer *writer, const struct session_key *key)
{
    write_blob(writer, (struct span){key->bytes, key->size}, sizeof key->bytes);
}

MUST_USE static bool read_key(struct reader *reader, struct session_key *key)
{
    struct span blob;
    if (!read_blob(reader, &blob, sizeof key->bytes))
        return false;
    *key = (struct session_key){.size = blob.size};
    if (blob.size)
        memcpy(key->bytes, blob.at, blob.size);
    return true;
}

/* Of a message that is not taken, no key stays behind either. */
MUST_USE static bool take_key(bool taken, struct session_key *key)
{
    if (!taken)
        OPENSSL_cleanse(key, sizeof *key);
    return taken;
}

static void write_identity(struct writer *writer, const struct identity *identity)
{
    write_u8(writer, (uint8_t)identity->mechanism);
    write_u8(writer, (uint8_t)identity->authority);
    write_u8(writer, (uint8_t)identity->target_absence);
    write_u8(writer, identity->spnego);
    write_u8(writer, identity->mic_present);
    write_u8(writer, identity->mutual);
    write_le64(writer, (uint64_t)identity->expires);
    write_bytes(writer, identity->groups, sizeof identity->groups);
    write_u8(writer, identity->sid.size);
    write_bytes(writer, identity->sid.bytes, identity->sid.size);
    write_text(writer, identity->user, sizeof identity->user);
    write_text(writer, identity->domain, sizeof identity->domain);
    write_text(writer, identity->principal, sizeof identity->principal);
    write_text(writer, identity->workstation, sizeof identity->workstation);
    write_text(writer, identity->target_name, sizeof identity->target_name);
}

/* None, or one whole. */
MUST_USE static bool read_sid(struct reader *reader, struct sid *sid)
{
    uint8_t size;
    struct span binary;
    return read_u8(reader, &size) && read_span(reader, size, &binary) &&
           (size == 0 || sid_read(binary, sid));
}

MUST_USE static bool read_identity(struct reader *reader, struct identity *identity)
{
    uint8_t mechanism, authority, target_absence;
    uint64_t expires;
    *identity = (struct identity){0};
    if (!read_u8(reader, &mechanism) || mechanism > MECHANISM_KERBEROS ||
        !read_u8(reader, &authority) || authority > AUTHORITY_KERBEROS ||
        !read_u8(reader, &target_absence) || target_absence > TARGET_UNTRUSTED ||
        !read_bool(reader, &identity->spnego) || !read_bool(reader, &identity->mic_present) ||
        !read_bool(reader, &identity->mutual) || !read_le64(reader, &expires) ||
        expires > INT64_MAX || !read_copy(reader, identity->groups, sizeof identity->groups) ||
        !read_sid(reader, &identity->sid))
        return false;
    identity->mechanism = mechanism;
    identity->authority = authority;
    identity->target_absence = target_absence;
    identity->expires = (int64_t)expires;
    return read_text(reader, identity->user, sizeof identity->user) &&
           read_text(reader, identity->domain, sizeof identity->domain) &&
           read_text(reader, identity->principal, sizeof identity->principal) &&
           read_text(reader, identity->workstation, sizeof identity->workstation) &&
           read_text(reader, identity->target_name, sizeof identity->target_name);
}

void control_reload_write(struct writer *writer, const struct control_reload *message)
{
    write_le32(writer, message->oldest);
    write_u8(writer, message->apply);
}

bool control_reload_read(struct span body, struct control_reload *message)
{
    struct reader reader = reader_over_span(body);
    uint8_t apply;
    if (!read_le32(&reader, &message->oldest) || !read_u8(&reader, &apply) || apply > 1 ||
        reader_left(&reader))
        return false;
    message->apply = apply;
    return true;
}

void control_prepared_write(struct writer *writer, const struct control_prepared *message)
{
    write_le32(writer, message->oldest);
    write_span(writer, message->problem);
}

bool control_prepared_read(struct span body, struct control_prepared *message)
{
    struct reader reader = reader_over_span(body);
    return read_le32(&reader, &message->oldest) &&
           read_span(&reader, reader_left(&reader), &message->problem);
}

void control_peer_write(struct writer *writer, const struct control_peer *message)
{
    write_u8(writer, (uint8_t)message->role);
    write_le32(writer, message->index);
}

bool control_peer_read(struct span body, struct control_peer *message)
{
    struct reader reader = reader_over_span(body);
    uint8_t role;
    if (!read_u8(&reader, &role) || role < PEER_KEEPER || role > PEER_WORKER ||
        !read_le32(&reader, &message->index))
        return false;
    message->role = role;
    return (message->role == PEER_WORKER || message->index == 0) && reader_left(&reader) == 0;
}

void keeper_accept_write(struct writer *writer, const struct keeper_accept *message)
{
    write_le64(writer, message->attempt);
    write_le64(writer, message->link);
    write_le32(writer, message->listener);
    write_blob(writer, message->client, CLIENT_TEXT_MAX);
    write_blob(writer, message->called, CLIENT_TEXT_MAX);
    write_blob(writer, message->token, TOKEN_MAX);
}

bool keeper_accept_read(struct span body, struct keeper_accept *message)
{
    struct reader reader = reader_over_span(body);
    return read_le64(&reader, &message->attempt) && read_le64(&reader, &message->link) &&
           read_le32(&reader, &message->listener) &&
           read_blob(&reader, &message->client, CLIENT_TEXT_MAX) &&
           read_blob(&reader, &message->called, CLIENT_TEXT_MAX) &&
           read_blob(&reader, &message->token, TOKEN_MAX) && reader_left(&reader) == 0;
}

void keeper_login_write(struct writer *writer, const struct keeper_login *message)
{
    write_le64(writer, message->attempt);
    write_le64(writer, message->link);
    write_le32(writer, message->upstream);
    write_bytes(writer, message->handle, sizeof message->handle);
}

bool keeper_login_read(struct span body, struct keeper_login *message)
{
    struct reader reader = reader_over_span(body);
    return read_le64(&reader, &message->attempt) && read_le64(&reader, &message->link) &&
           read_le32(&reader, &message->upstream) &&
           read_copy(&reader, message->handle, sizeof message->handle) && reader_left(&reader) == 0;
}

void keeper_step_write(struct writer *writer, const struct keeper_step *message)
{
    write_le64(writer, message->attempt);
    write_blob(writer, message->token, TOKEN_MAX);
}

bool keeper_step_read(struct span body, struct keeper_step *message)
{
    struct reader reader = reader_over_span(body);
    return read_le64(&reader, &message->attempt) &&
           read_blob(&reader, &message->token, TOKEN_MAX) && reader_left(&reader) == 0;
}

void keeper_forget_write(struct writer *writer, const struct keeper_forget *message)
{
    write_le64(writer, message->attempt);
    write_u8(writer, message->refused);
}

bool keeper_forget_read(struct span body, struct keeper_forget *message)
{
    struct reader reader = reader_over_span(body);
    return read_le64(&reader, &message->attempt) && read_bool(&reader, &message->refused) &&
           reader_left(&reader) == 0;
}

void keeper_release_write(struct writer *writer, const struct keeper_release *message)
{
    write_bytes(writer, message->handle, sizeof message->handle);
}

bool keeper_release_read(struct span body, struct keeper_release *message)
{
    struct reader reader = reader_over_span(body);
    return read_copy(&reader, message->handle, sizeof message->handle) && reader_left(&reader) == 0;
}

void keeper_continue_write(struct writer *writer, const struct keeper_continue *message)
{
    write_le64(writer, message->attempt);
    write_blob(writer, message->token, TOKEN_MAX);
    write_key(writer, &message->key);
    write_blob(writer, message->login, LOGIN_TEXT_MAX);
    write_blob(writer, message->account, ACCOUNT_TEXT_MAX);
    write_u8(writer, message->fell_back);
    write_blob(writer, message->fallback, REASON_TEXT_MAX);
}

bool keeper_continue_read(struct span body, struct keeper_continue *message)
{
    struct reader reader = reader_over_span(body);
    bool taken =
        read_le64(&reader, &message->attempt) && read_blob(&reader, &message->token, TOKEN_MAX) &&
        read_key(&reader, &message->key) && read_blob(&reader, &message->login, LOGIN_TEXT_MAX) &&
        read_blob(&reader, &message->account, ACCOUNT_TEXT_MAX) &&
        read_bool(&reader, &message->fell_back) &&
        read_blob(&reader, &message->fallback, REASON_TEXT_MAX) && reader_left(&reader) == 0;
    return take_key(taken, &message->key);
}

void keeper_proven_write(struct writer *writer, const struct keeper_proven *message)
{
    write_le64(writer, message->attempt);
    write_bytes(writer, message->handle, sizeof message->handle);
    write_key(writer, &message->key);
    write_blob(writer, message->token, TOKEN_MAX);
    write_identity(writer, &message->identity);
}

bool keeper_proven_read(struct span body, struct keeper_proven *message)
{
    struct reader reader = reader_over_span(body);
    bool taken = read_le64(&reader, &message->attempt) &&
                 read_copy(&reader, message->handle, sizeof message->handle) &&
                 read_key(&reader, &message->key) && message->key.size > 0 &&
                 read_blob(&reader, &message->token, TOKEN_MAX) &&
                 read_identity(&reader, &message->identity) && reader_left(&reader) == 0;
    return take_key(taken, &message->key);
}

void keeper_logged_in_write(struct writer *writer, const struct keeper_logged_in *message)
{
    write_le64(writer, message->attempt);
    write_key(writer, &message->key);
    write_bytes(writer, message->renewal, sizeof message->renewal);
    write_le64(writer, (uint64_t)message->expires);
}

bool keeper_logged_in_read(struct span body, struct keeper_logged_in *message)
{
    struct reader reader = reader_over_span(body);
    uint64_t expires = 0;
    bool taken = read_le64(&reader, &message->attempt) && read_key(&reader, &message->key) &&
                 message->key.size > 0 &&
                 read_copy(&reader, message->renewal, sizeof message->renewal) &&
                 read_le64(&reader, &expires) && expires <= INT64_MAX && reader_left(&reader) == 0;
    message->expires = (int64_t)expires;
    return take_key(taken, &message->key);
}

void keeper_refused_write(struct writer *writer, const struct keeper_refused *message)
{
    write_le64(writer, message->attempt);
    write_u8(writer, (uint8_t)message->reason);
    write_u8(writer, (uint8_t)message->refusal);
    write_le32(writer, message->status);
    write_identity(writer, &message->identity);
}

bool keeper_refused_read(struct span body, struct keeper_refused *message)
{
    struct reader reader = reader_over_span(body);
    uint8_t reason, refusal;
    if (!read_le64(&reader, &message->attempt) || !read_u8(&reader, &reason) ||
        reason > KEEPER_REASON_INTERNAL || !read_u8(&reader, &refusal) ||
        refusal >= REFUSAL_COUNT || !read_le32(&reader, &message->status))
        return false;
    message->reason = reason;
    message->refusal = refusal;
    return read_identity(&reader, &message->identity) && reader_left(&reader) == 0;
}
