#include "crypto/keeper_reply.h"

#include <string.h>

#include <openssl/crypto.h>

/* Keys pass through here, so nothing of a sent message stays behind. */
MUST_USE static bool send_and_wipe(struct channel *channel, uint16_t type, struct writer *writer)
{
    bool sent = writer_done(writer) && channel_send(channel, type, writer_span(writer), -1);
    OPENSSL_cleanse(writer->start, writer_size(writer));
    return sent;
}

static struct span text_span(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

bool reply_continue(struct channel *channel, uint64_t attempt,
                    const struct authentication *authentication)
{
    uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct keeper_continue message = {
        .attempt = attempt,
        .token = writer_span(&authentication->result.reply),
    };
    if (authentication->kind == AUTHENTICATION_UPSTREAM) {
        message.key = authentication->result.key;
        message.login = text_span(login_kind_name(authentication->login.kind));
        message.account = text_span(authentication->login.account);
        message.fell_back = authentication->login.fell_back;
        message.fallback = text_span(login_fallback(&authentication->login));
    }
    keeper_continue_write(&writer, &message);
    OPENSSL_cleanse(&message.key, sizeof message.key);
    return send_and_wipe(channel, KEEPER_CONTINUE, &writer);
}

bool reply_proven(struct channel *channel, uint64_t attempt,
                  const struct authentication *authentication,
                  const uint8_t handle[KEEPER_HANDLE_SIZE])
{
    uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct keeper_proven message = {
        .attempt = attempt,
        .key = authentication->result.key,
        .token = writer_span(&authentication->result.reply),
        .identity = authentication->identity,
    };
    memcpy(message.handle, handle, sizeof message.handle);
    keeper_proven_write(&writer, &message);
    OPENSSL_cleanse(&message, sizeof message);
    return send_and_wipe(channel, KEEPER_PROVEN, &writer);
}

bool reply_logged_in(struct channel *channel, uint64_t attempt,
                     const struct authentication *authentication,
                     const uint8_t renewal[KEEPER_HANDLE_SIZE])
{
    uint8_t buffer[64 + SESSION_KEY_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct keeper_logged_in message = {
        .attempt = attempt,
        .key = authentication->result.key,
        .expires = authentication->login.expires,
    };
    memcpy(message.renewal, renewal, sizeof message.renewal);
    keeper_logged_in_write(&writer, &message);
    OPENSSL_cleanse(&message, sizeof message);
    return send_and_wipe(channel, KEEPER_LOGGED_IN, &writer);
}

bool reply_refused(struct channel *channel, uint64_t attempt, enum keeper_reason reason,
                   enum refusal refusal, uint32_t status, const struct identity *identity)
{
    uint8_t buffer[2 * sizeof(struct identity)];
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct keeper_refused message = {
        .attempt = attempt, .reason = reason, .refusal = refusal, .status = status};
    if (identity)
        message.identity = *identity;
    keeper_refused_write(&writer, &message);
    return send_and_wipe(channel, KEEPER_REFUSED, &writer);
}
