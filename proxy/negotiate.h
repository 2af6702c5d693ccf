/*
 * The bodies of NEGOTIATE (MS-SMB2 2.2.3, 2.2.4) with their contexts, and the SMB1
 * multi-protocol NEGOTIATE as far as it leads to SMB2.
 */
#ifndef COUNTERSIGN_PROXY_NEGOTIATE_H
#define COUNTERSIGN_PROXY_NEGOTIATE_H

#include "crypto/kdf.h"
#include "proxy/smb2.h"

enum {
    GUID_SIZE = 16,
    PREAUTH_SALT_SIZE = 32,
    NEGOTIATE_DIALECTS_MAX = 32,   /* more are refused */
    NEGOTIATE_ALGORITHMS_MAX = 16, /* further ones are ignored */
    NEGOTIATE_CONTEXTS_MAX = 32,   /* more are refused */
    NETNAME_MAX = 512,             /* bytes of UTF-8 with its NUL; longer is cut */
};

struct negotiate_request {
    uint16_t dialects[NEGOTIATE_DIALECTS_MAX];
    unsigned dialects_count;
    uint16_t security_mode;
    uint32_t capabilities;
    uint8_t client_guid[GUID_SIZE];
    /* Contexts; only when 3.1.1 is among the dialects. */
    bool has_preauth;
    bool preauth_sha512; /* SHA-512 is among its hash algorithms */
    bool has_encryption;
    uint16_t ciphers[NEGOTIATE_ALGORITHMS_MAX];
    unsigned ciphers_count;
    bool has_signing;
    uint16_t signing[NEGOTIATE_ALGORITHMS_MAX];
    unsigned signing_count;
    char netname[NETNAME_MAX]; /* what the client thinks it talks to; empty when not given */
};

/* What is wrong with a NEGOTIATE; each is the status it is answered with, or STATUS_SUCCESS.
 * `message` is the whole SMB2 message, header included. Duplicate PREAUTH contexts, a PREAUTH
 * context missing at 3.1.1, no dialects, contexts that overlap the end: STATUS_INVALID_PARAMETER.
 * No SHA-512: STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP. Unknown contexts are ignored. */
uint32_t negotiate_request_read(struct span message, struct negotiate_request *request);

/* Whether the dialect is among the request's: a server may choose no other. */
bool negotiate_offers(const struct negotiate_request *request, uint16_t dialect);
bool negotiate_offers_signing(const struct negotiate_request *request, uint16_t algorithm);

/* Its dialects in its order, for the log: "2.0.2,3.1.1"; cut at the size. */
void negotiate_list_dialects(const struct negotiate_request *request, char *text, size_t size);

/* Writes body and contexts (not the header). 3.1.1 among the dialects brings PREAUTH with `salt`,
 * SIGNING when signing_count > 0, ENCRYPTION when ciphers_count > 0, NETNAME when it is not empty.
 */
void negotiate_request_write(struct writer *writer, const struct negotiate_request *request,
                             const uint8_t salt[PREAUTH_SALT_SIZE]);

struct negotiate_response {
    uint16_t security_mode;
    uint16_t dialect;
    uint8_t server_guid[GUID_SIZE];
    uint32_t capabilities;
    uint32_t max_transact_size;
    uint32_t max_read_size;
    uint32_t max_write_size;
    uint64_t system_time;
    uint64_t start_time;
    struct span token; /* the SPNEGO hint; borrowed */
    /* Contexts, at 3.1.1. */
    bool has_preauth;
    bool preauth_sha512;
    bool has_cipher;
    uint16_t cipher;
    bool has_signing;
    uint16_t signing;
};

/* False for anything malformed, including context counts or offsets that lie; at 3.1.1 two contexts
 * of one known type, a PREAUTH, ENCRYPTION or SIGNING context that selects other than exactly one.
 */
MUST_USE bool negotiate_response_read(struct span message, struct negotiate_response *response);

/* Writes body and contexts (not the header); offsets count from the writer's start + 0, so the
 * header must have been written with the same writer just before. The same holds for all writers of
 * bodies. */
void negotiate_response_write(struct writer *writer, const struct negotiate_response *response,
                              const uint8_t salt[PREAUTH_SALT_SIZE]);

/* VALIDATE_NEGOTIATE_INFO (MS-SMB2 2.2.31.4, 2.2.32.6), the input and output of the FSCTL. */
struct validate_request {
    uint32_t capabilities;
    uint8_t client_guid[GUID_SIZE];
    uint16_t security_mode;
    uint16_t dialects[NEGOTIATE_DIALECTS_MAX];
    unsigned dialects_count;
};
struct validate_response {
    uint32_t capabilities;
    uint8_t server_guid[GUID_SIZE];
    uint16_t security_mode;
    uint16_t dialect;
};
enum { VALIDATE_RESPONSE_SIZE = 24 };
MUST_USE bool validate_request_read(struct span input, struct validate_request *request);
void validate_request_write(struct writer *writer, const struct validate_request *request);
MUST_USE bool validate_response_read(struct span output, struct validate_response *response);
void validate_response_write(struct writer *writer, const struct validate_response *response);

/* What an SMB1 frame leads to (MS-SMB2 3.3.5.3). */
enum smb1_offer {
    SMB1_OFFER_NONE,     /* not a NEGOTIATE, or one without an SMB2 dialect, or malformed */
    SMB1_OFFER_2_002,    /* "SMB 2.002" only */
    SMB1_OFFER_WILDCARD, /* "SMB 2.???" */
};
/* `frame` starts with FF 'SMB'. `offered` gets the dialect strings, comma-separated, printable
 * ASCII only, cut at its size. */
enum smb1_offer smb1_negotiate_read(struct span frame, char *offered, size_t offered_size);

#endif
