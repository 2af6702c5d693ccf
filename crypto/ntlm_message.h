/*
 * The three messages of NTLM (MS-NLMP 2.2.1): reading and building.
 *
 * A message is a fixed part and a payload that the fixed part points into. Fields may overlap each
 * other, but each that is not empty lies wholly inside the message and behind the fixed part. What
 * is read borrows from the message.
 */
#ifndef COUNTERSIGN_CRYPTO_NTLM_MESSAGE_H
#define COUNTERSIGN_CRYPTO_NTLM_MESSAGE_H

#include "crypto/cursor.h"

enum ntlm_type { NTLM_NEGOTIATE = 1, NTLM_CHALLENGE = 2, NTLM_AUTHENTICATE = 3 };

/* Sizes in bytes; the MAX ones are far above what any client or server sends. */
enum {
    NTLM_CHALLENGE_SIZE = 8,
    NTLM_MIC_SIZE = 16,
    NTLM_NEGOTIATE_MAX = 2048,
    NTLM_CHALLENGE_MAX = 8192,
    NTLM_AUTHENTICATE_MAX = 32768,
};

/* NegotiateFlags (MS-NLMP 2.2.2.5), those that are looked at. */
#define NTLM_UNICODE        UINT32_C(0x00000001)
#define NTLM_REQUEST_TARGET UINT32_C(0x00000004)
#define NTLM_SIGN           UINT32_C(0x00000010)
#define NTLM_SEAL           UINT32_C(0x00000020)
#define NTLM_NTLM           UINT32_C(0x00000200)
#define NTLM_ANONYMOUS      UINT32_C(0x00000800)
#define NTLM_ALWAYS_SIGN    UINT32_C(0x00008000)
#define NTLM_TARGET_DOMAIN  UINT32_C(0x00010000)
#define NTLM_TARGET_SERVER  UINT32_C(0x00020000)
#define NTLM_EXTENDED       UINT32_C(0x00080000)
#define NTLM_TARGET_INFO    UINT32_C(0x00800000)
#define NTLM_VERSION        UINT32_C(0x02000000)
#define NTLM_128            UINT32_C(0x20000000)
#define NTLM_KEY_EXCH       UINT32_C(0x40000000)
#define NTLM_56             UINT32_C(0x80000000)

/* The names in a NEGOTIATE say nothing that anybody may believe; they are not even read. */
struct ntlm_negotiate {
    uint32_t flags;
};

struct ntlm_challenge {
    uint32_t flags;
    uint8_t server_challenge[NTLM_CHALLENGE_SIZE];
    struct span target_name;
    struct span target_info;
};

struct ntlm_authenticate {
    uint32_t flags;
    struct span lm_response;
    struct span nt_response;
    struct span domain;
    struct span user;
    struct span workstation;
    struct span session_key;
    struct span mic;   /* empty when the payload leaves no room for one */
    size_t mic_offset; /* of the MIC in the message; 0 when there is none */
};

/* True when the bytes begin as every NTLM message does; `type` is then what they say they are. */
MUST_USE bool ntlm_message_type(struct span message, uint32_t *type);

/* Readers of one whole message (MS-NLMP 2.2.1.1 to 2.2.1.3), whose payload they borrow. False when
 * it is longer than the most above, of another type, or says of a field that it lies outside. */
MUST_USE bool ntlm_negotiate_read(struct span message, struct ntlm_negotiate *negotiate);
MUST_USE bool ntlm_challenge_read(struct span message, struct ntlm_challenge *challenge);
MUST_USE bool ntlm_authenticate_read(struct span message, struct ntlm_authenticate *authenticate);

/* Writers append a whole message; offsets in it count from its own first byte. AUTHENTICATE always
 * has room for the MIC: `mic` is written when it has NTLM_MIC_SIZE bytes, zeros otherwise. */
void ntlm_negotiate_write(struct writer *writer, const struct ntlm_negotiate *negotiate);
void ntlm_challenge_write(struct writer *writer, const struct ntlm_challenge *challenge);
void ntlm_authenticate_write(struct writer *writer, const struct ntlm_authenticate *authenticate);

/* The time as NTLM counts it: 100 ns since 1601. */
uint64_t ntlm_now(void);

#endif
