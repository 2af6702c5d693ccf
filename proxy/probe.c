#include "proxy/probe.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/spnego.h"
#include "proxy/probe_exchange.h"

enum { REQUEST_ROOM = 512 };

static const uint16_t all_dialects[PROBE_DIALECTS] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2,
                                                      SMB_3_1_1};
static const uint16_t all_signing[PROBE_SIGNING] = {SIGNING_AES_GMAC, SIGNING_AES_CMAC,
                                                    SIGNING_HMAC_SHA256};
static const uint16_t all_ciphers[PROBE_CIPHERS] = {CIPHER_AES_256_GCM, CIPHER_AES_128_GCM,
                                                    CIPHER_AES_256_CCM, CIPHER_AES_128_CCM};

/* The server that is asked, and its last answer. */
struct probe {
    const struct sockaddr *address;
    socklen_t size;
    unsigned timeout_ms;
    struct probe_frame *frame;
    int error;
    uint32_t status;
    struct negotiate_response response; /* its token lies in `frame` */
};

static void offer_all(struct negotiate_request *request)
{
    *request = (struct negotiate_request){
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED,
        .capabilities = SMB2_GLOBAL_CAP_DFS | SMB2_GLOBAL_CAP_LEASING | SMB2_GLOBAL_CAP_LARGE_MTU |
                        SMB2_GLOBAL_CAP_MULTI_CHANNEL | SMB2_GLOBAL_CAP_PERSISTENT_HANDLES |
                        SMB2_GLOBAL_CAP_DIRECTORY_LEASING | SMB2_GLOBAL_CAP_ENCRYPTION,
        .dialects_count = PROBE_DIALECTS,
        .signing_count = PROBE_SIGNING,
        .ciphers_count = PROBE_CIPHERS,
    };
    memcpy(request->dialects, all_dialects, sizeof all_dialects);
    memcpy(request->signing, all_signing, sizeof all_signing);
    memcpy(request->ciphers, all_ciphers, sizeof all_ciphers);
}

static enum probe_outcome take_answer(struct probe *probe, const struct negotiate_request *request)
{
    struct span message = {probe->frame->bytes, probe->frame->size};
    struct negotiate_response *response = &probe->response;
    struct smb2_header header;
    if (!smb2_header_read(message, &header) || header.command != SMB2_NEGOTIATE ||
        !(header.flags & SMB2_FLAGS_SERVER_TO_REDIR))
        return PROBE_MALFORMED;
    probe->status = header.status;
    if (header.status != STATUS_SUCCESS)
        return PROBE_REFUSED;
    if (!negotiate_response_read(message, response) ||
        !negotiate_offers(request, response->dialect))
        return PROBE_MALFORMED;
    /* Without preauthentication integrity 3.1.1 cannot be spoken (3.2.5.2). */
    if (response->dialect == SMB_3_1_1 && !response->preauth_sha512)
        return PROBE_MALFORMED;
    return PROBE_ANSWERED;
}

static enum probe_outcome ask(struct probe *probe, struct negotiate_request *request)
{
    uint8_t bytes[REQUEST_ROOM], salt[PREAUTH_SALT_SIZE];
    struct writer writer = writer_over(bytes, sizeof bytes);
    probe->error = 0;
    probe->status = STATUS_SUCCESS;
    if (RAND_bytes(request->client_guid, GUID_SIZE) != 1 || RAND_bytes(salt, sizeof salt) != 1)
        return PROBE_INTERNAL;
    smb2_header_write(&writer, &(struct smb2_header){.command = SMB2_NEGOTIATE, .credits = 1});
    negotiate_request_write(&writer, request, salt);
    if (!writer_done(&writer))
        return PROBE_INTERNAL;
    enum probe_outcome outcome = probe_exchange(probe->address, probe->size, probe->timeout_ms,
                                                writer_span(&writer), probe->frame, &probe->error);
    return outcome == PROBE_ANSWERED ? take_answer(probe, request) : outcome;
}

/* MS-CIFS 2.2.4.52: the last dialect of SMB1, and nothing that leads to SMB2. */
static void write_smb1_negotiate(struct writer *writer)
{
    static const char dialect[] = "\x02NT LM 0.12"; /* its NUL is sent too */
    write_le32(writer, SMB1_PROTOCOL_ID);
    write_u8(writer, 0x72);     /* SMB_COM_NEGOTIATE */
    write_le32(writer, 0);      /* Status */
    write_u8(writer, 0x18);     /* Flags: canonicalized, caseless paths */
    write_le16(writer, 0xc853); /* Flags2: Unicode, NT status, extended security, long names */
    write_zeros(writer, 12);    /* PIDHigh, SecurityFeatures, Reserved */
    write_le16(writer, 0xffff); /* TID */
    write_le16(writer, 1);      /* PIDLow */
    write_le32(writer, 0);      /* UID, MID */
    write_u8(writer, 0);        /* WordCount */
    write_le16(writer, sizeof dialect);
    write_bytes(writer, dialect, sizeof dialect);
}

/* A server without SMB1 closes, or answers that it takes none of the dialects. */
static bool chose_smb1_dialect(struct span frame)
{
    enum { HEADER_REST = 23, NO_DIALECT = 0xffff };
    struct reader reader = reader_over_span(frame);
    uint32_t protocol_id, status;
    uint16_t index;
    uint8_t command, words;
    return read_le32(&reader, &protocol_id) && protocol_id == SMB1_PROTOCOL_ID &&
           read_u8(&reader, &command) && command == 0x72 && read_le32(&reader, &status) &&
           status == STATUS_SUCCESS && read_skip(&reader, HEADER_REST) &&
           read_u8(&reader, &words) && words > 0 && read_le16(&reader, &index) &&
           index != NO_DIALECT;
}

static bool speaks_smb1(struct probe *probe)
{
    uint8_t bytes[REQUEST_ROOM];
    struct writer writer = writer_over(bytes, sizeof bytes);
    int error;
    write_smb1_negotiate(&writer);
    return writer_done(&writer) &&
           probe_exchange(probe->address, probe->size, probe->timeout_ms, writer_span(&writer),
                          probe->frame, &error) == PROBE_ANSWERED &&
           chose_smb1_dialect((struct span){probe->frame->bytes, probe->frame->size});
}

static void take_offer(const struct probe *probe, struct probe_result *result)
{
    const struct negotiate_response *response = &probe->response;
    struct spnego_init hint;
    result->security_mode = response->security_mode;
    result->capabilities = response->capabilities;
    result->max_transact_size = response->max_transact_size;
    result->max_read_size = response->max_read_size;
    result->max_write_size = response->max_write_size;
    result->tells_mechanisms = spnego_init_read(response->token, &hint);
    result->ntlm = result->tells_mechanisms && spnego_offers(&hint, SPNEGO_NTLM);
}

/* Asks once more; false when the server has stopped answering, and asking must end. */
static bool ask_more(struct probe *probe, struct negotiate_request *request, bool *answered)
{
    enum probe_outcome outcome = ask(probe, request);
    *answered = outcome == PROBE_ANSWERED;
    return outcome != PROBE_SILENT && outcome != PROBE_UNREACHABLE && outcome != PROBE_INTERNAL;
}

/* Each dialect alone. */
static bool list_dialects(struct probe *probe, uint16_t newest, struct probe_result *result)
{
    struct negotiate_request request;
    bool answered;
    for (unsigned i = 0; i < PROBE_DIALECTS && all_dialects[i] < newest; i++) {
        offer_all(&request);
        request.dialects[0] = all_dialects[i];
        request.dialects_count = 1;
        if (!ask_more(probe, &request, &answered))
            return false;
        if (answered)
            result->dialects[result->dialects_count++] = all_dialects[i];
    }
    return true;
}

/* Each signing algorithm alone, at 3.1.1. */
static bool list_signing(struct probe *probe, struct probe_result *result)
{
    const struct negotiate_response *response = &probe->response;
    struct negotiate_request request;
    bool answered;
    for (unsigned i = 0; i < PROBE_SIGNING; i++) {
        offer_all(&request);
        request.signing[0] = all_signing[i];
        request.signing_count = 1;
        if (!ask_more(probe, &request, &answered))
            return false;
        if (answered && response->has_signing && response->signing == all_signing[i])
            result->signing[result->signing_count++] = all_signing[i];
    }
    result->negotiates_signing = result->signing_count > 0;
    if (!result->negotiates_signing)
        result->signing[result->signing_count++] = SIGNING_AES_CMAC;
    return true;
}

/* Each cipher alone, at 3.1.1. */
static bool list_ciphers(struct probe *probe, struct probe_result *result)
{
    const struct negotiate_response *response = &probe->response;
    struct negotiate_request request;
    bool answered;
    for (unsigned i = 0; i < PROBE_CIPHERS; i++) {
        offer_all(&request);
        request.ciphers[0] = all_ciphers[i];
        request.ciphers_count = 1;
        if (!ask_more(probe, &request, &answered))
            return false;
        if (answered && response->has_cipher && response->cipher == all_ciphers[i])
            result->ciphers[result->ciphers_count++] = all_ciphers[i];
    }
    return true;
}

static bool list_all(struct probe *probe, uint16_t newest, struct probe_result *result)
{
    if (!list_dialects(probe, newest, result))
        return false;
    return newest != SMB_3_1_1 || (list_signing(probe, result) && list_ciphers(probe, result));
}

static void ask_all(struct probe *probe, struct probe_result *result)
{
    struct negotiate_request request;
    offer_all(&request);
    result->outcome = ask(probe, &request);
    result->error = probe->error;
    result->status = probe->status;
    result->complete = true;
    if (result->outcome == PROBE_UNREACHABLE || result->outcome == PROBE_INTERNAL)
        return;
    if (result->outcome == PROBE_ANSWERED) {
        uint16_t newest = probe->response.dialect;
        take_offer(probe, result);
        result->complete = list_all(probe, newest, result);
        result->dialects[result->dialects_count++] = newest;
    }
    /* Old servers do not all close when they are asked for SMB2: some just wait. */
    result->smb1 = result->complete && speaks_smb1(probe);
}

bool probe_server(const struct sockaddr *address, socklen_t size, unsigned timeout_ms,
                  struct probe_result *result)
{
    struct probe probe = {.address = address,
                          .size = size,
                          .timeout_ms = timeout_ms,
                          .frame = malloc(sizeof *probe.frame)};
    *result = (struct probe_result){.outcome = PROBE_INTERNAL, .error = ENOMEM};
    if (!probe.frame)
        return false;
    ask_all(&probe, result);
    free(probe.frame);
    return result->outcome == PROBE_ANSWERED;
}
