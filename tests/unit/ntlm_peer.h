/*
 * An NTLM client for tests that can break any rule: it answers a CHALLENGE as it is told to.
 */
#ifndef COUNTERSIGN_TESTS_NTLM_PEER_H
#define COUNTERSIGN_TESTS_NTLM_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/accept.h"
#include "crypto/nt_hash.h"
#include "crypto/ntlm_av.h"
#include "crypto/ntlm_key.h"
#include "crypto/spnego.h"
#include "crypto/text.h"

enum { PEER_MESSAGE_MAX = 16384, PEER_TEXT_MAX = 2048 };

/* What Windows and smbclient ask for. */
#define PEER_FLAGS UINT32_C(0x62088215)

enum peer_response { PEER_V2, PEER_V1, PEER_LM_ONLY, PEER_EMPTY, PEER_SHORT };

/* Zeros everywhere but in the first three: a client without a MIC, without a target name. */
struct peer {
    const char *user;
    const char *domain;
    const char *password;

    uint32_t flags;      /* of the NEGOTIATE; PEER_FLAGS when 0 */
    uint32_t clear, set; /* in the flags of the AUTHENTICATE */
    bool no_version;     /* neither Version nor MIC before the payload */
    enum peer_response response;

    bool mic;             /* announced and made */
    bool mic_bad;         /* … and then one bit changed */
    bool mic_zero;        /* … and then zeroed */
    bool mic_unannounced; /* bytes in its place, and no announcement */
    bool mic_unplaced;    /* announced, and no room for it */
    bool mic_early;       /* … and right after the flags: a client without Version */
    uint32_t av_flags;    /* more bits of MsvAvFlags */
    bool av_flags_short;  /* MsvAvFlags of two bytes */
    const char *target;   /* MsvAvTargetName */
    bool target_empty;    /* … of no bytes */
    const uint8_t *bindings;
    size_t bindings_size;
    enum av_id omit;    /* a pair of the CHALLENGE left out … */
    enum av_id change;  /* … or changed */
    bool repeat;        /* the target name twice */
    bool no_end;        /* AV_EOL left out */
    bool key_short;     /* an encrypted session key of 15 bytes */
    bool response_type; /* RespType 2 */

    uint8_t negotiate[64];
    size_t negotiate_size;
    uint8_t message[PEER_MESSAGE_MAX];
    size_t message_size;
    uint32_t agreed;
    uint8_t key[NTLM_KEY_SIZE]; /* the session key, as the client sees it */
};

static inline size_t from_hex(const char *hex, uint8_t *to, size_t room)
{
    size_t size = strlen(hex) / 2;
    assert_true(size <= room);
    for (size_t i = 0; i < size; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], 0};
        to[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static inline struct span text_span(const char *text, uint8_t *room)
{
    struct writer writer = writer_over(room, PEER_TEXT_MAX);
    assert_true(text_write_utf16(&writer, text, false));
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

static inline struct span peer_negotiate(struct peer *peer)
{
    const struct ntlm_negotiate negotiate = {peer->flags ? peer->flags : PEER_FLAGS};
    struct writer writer = writer_over(peer->negotiate, sizeof peer->negotiate);
    ntlm_negotiate_write(&writer, &negotiate);
    assert_true(writer_done(&writer));
    peer->negotiate_size = writer_size(&writer);
    return writer_span(&writer);
}

static inline void peer_pairs(const struct peer *peer, struct span info, struct writer *writer)
{
    struct av_list list;
    uint32_t flags = peer->av_flags | (peer->mic || peer->mic_unplaced ? AV_FLAG_MIC : 0);
    assert_true(av_list_read(info, &list));
    for (size_t i = 0; i < list.count; i++) {
        uint8_t value[PEER_TEXT_MAX];
        struct span span = list.pairs[i].value;
        if (list.pairs[i].id == peer->omit && peer->omit)
            continue;
        if (list.pairs[i].id == peer->change && peer->change) {
            memcpy(value, span.at, span.size);
            value[0] ^= 1;
            span.at = value;
        }
        av_write(writer, list.pairs[i].id, span);
    }
    if (peer->av_flags_short)
        av_write(writer, AV_FLAGS, (struct span){(const uint8_t *)"\2", 2});
    else if (flags)
        av_write_le32(writer, AV_FLAGS, flags);
    if (peer->bindings)
        av_write(writer, AV_CHANNEL_BINDINGS, (struct span){peer->bindings, peer->bindings_size});
    for (int i = 0; peer->target && i <= (int)peer->repeat; i++)
        assert_true(av_write_text(writer, AV_TARGET_NAME, peer->target));
    if (peer->target_empty)
        av_write(writer, AV_TARGET_NAME, (struct span){NULL, 0});
    if (!peer->no_end)
        av_write_end(writer);
}

static inline struct span peer_blob(const struct peer *peer, struct span info, uint8_t *room)
{
    struct writer writer = writer_over(room, PEER_MESSAGE_MAX);
    write_u8(&writer, peer->response_type ? 2 : 1);
    write_u8(&writer, 1);
    write_zeros(&writer, 6);
    write_le64(&writer, ntlm_now());
    write_bytes(&writer, "8 bytes!", 8);
    write_zeros(&writer, 4);
    peer_pairs(peer, info, &writer);
    if (!peer->no_end)
        write_zeros(&writer, 4);
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

/* A message without Version, as old clients write it, and with the MIC only when there is one. */
static inline void peer_write_short(struct writer *writer, const struct ntlm_authenticate *message)
{
    const struct span fields[] = {message->lm_response, message->nt_response, message->domain,
                                  message->user,        message->workstation, message->session_key};
    size_t next = 64 + message->mic.size;
    write_bytes(writer, "NTLMSSP", 8);
    write_le32(writer, NTLM_AUTHENTICATE);
    for (size_t i = 0; i < 6; i++) {
        write_le16(writer, (uint16_t)fields[i].size);
        write_le16(writer, (uint16_t)fields[i].size);
        write_le32(writer, (uint32_t)next);
        next += fields[i].size;
    }
    write_le32(writer, message->flags);
    write_span(writer, message->mic);
    for (size_t i = 0; i < 6; i++)
        write_span(writer, fields[i]);
}

static inline struct span peer_write(struct peer *peer, const struct ntlm_authenticate *message)
{
    struct writer writer = writer_over(peer->message, sizeof peer->message);
    if (peer->no_version || peer->mic_unplaced || peer->mic_early)
        peer_write_short(&writer, message);
    else
        ntlm_authenticate_write(&writer, message);
    assert_true(writer_done(&writer));
    peer->message_size = writer_size(&writer);
    return writer_span(&writer);
}

static inline struct span peer_add_mic(struct peer *peer, struct span challenge,
                                       struct ntlm_authenticate *message)
{
    uint8_t mic[NTLM_MIC_SIZE] = {0};
    if (peer->mic)
        message->mic = (struct span){mic, sizeof mic};
    struct span bytes = peer_write(peer, message);
    mic[0] = 0xee;
    if (peer->mic && !peer->mic_zero)
        assert_true(ntlm_mic(peer->key, (struct span){peer->negotiate, peer->negotiate_size},
                             challenge, bytes, peer->mic_early ? 64 : 72, mic));
    if (peer->mic_zero)
        memset(mic, 0, sizeof mic);
    mic[3] ^= peer->mic_bad;
    message->mic = (struct span){mic, sizeof mic};
    return peer->mic || peer->mic_unannounced ? peer_write(peer, message) : bytes;
}

/* The AUTHENTICATE; peer->key is the session key that the client will use. */
static inline struct span peer_authenticate(struct peer *peer, struct span challenge_bytes)
{
    static const uint8_t zeros[24];
    uint8_t user[PEER_TEXT_MAX], domain[PEER_TEXT_MAX], room[PEER_MESSAGE_MAX];
    uint8_t response[PEER_MESSAGE_MAX], hash[16], owf[16], proof[16], base[16], sent_key[16];
    struct ntlm_challenge challenge;
    assert_true(ntlm_challenge_read(challenge_bytes, &challenge));
    struct ntlm_authenticate message = {.user = text_span(peer->user, user),
                                        .domain = text_span(peer->domain, domain)};
    struct span blob = peer_blob(peer, challenge.target_info, room);
    assert_true(nt_hash_of_password(peer->password, hash));
    assert_true(ntlm_owf_v2(hash, peer->user, message.domain, owf));
    assert_true(ntlm_proof(owf, challenge.server_challenge, blob, proof));
    assert_true(ntlm_base_key(owf, proof, base));
    struct writer writer = writer_over(response, sizeof response);
    write_bytes(&writer, proof, sizeof proof);
    write_span(&writer, blob);
    message.lm_response = (struct span){zeros, sizeof zeros};
    message.nt_response = writer_span(&writer);
    if (peer->response == PEER_V1)
        message.nt_response.size = 24;
    if (peer->response == PEER_SHORT)
        message.nt_response.size = 30;
    if (peer->response == PEER_LM_ONLY || peer->response == PEER_EMPTY)
        message.nt_response.size = 0;
    if (peer->response == PEER_EMPTY)
        message.lm_response.size = 1;
    uint32_t offered = peer->flags ? peer->flags : PEER_FLAGS;
    peer->agreed = message.flags = ((offered & challenge.flags) & ~peer->clear) | peer->set;
    memcpy(peer->key, base, sizeof base);
    if (message.flags & NTLM_KEY_EXCH) {
        memset(peer->key, 0x5a, sizeof peer->key);
        assert_true(ntlm_exchange_key(base, peer->key, sent_key));
        message.session_key = (struct span){sent_key, peer->key_short ? 15 : 16};
    }
    return peer_add_mic(peer, challenge_bytes, &message);
}

/* The client's mechListMIC over `list`. */
static inline void peer_mac(const struct peer *peer, struct span list, uint8_t mac[NTLM_MAC_SIZE])
{
    assert_true(ntlm_mac(peer->key, peer->agreed, NTLM_FROM_CLIENT, list, mac));
}

#endif
