/* Everything that can be negotiated: SMB2 requests and responses, VALIDATE_NEGOTIATE_INFO, SMB1.
 * What a reader took is written and must be read again as the same. */
#include "proxy/negotiate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t salt[PREAUTH_SALT_SIZE];
static uint8_t buffer[128 * 1024];

static void must(bool truth)
{
    if (!truth)
        abort();
}

static struct writer begin(void)
{
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){.command = SMB2_NEGOTIATE});
    return writer;
}

static void request(struct span input)
{
    struct negotiate_request first, second;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    uint32_t status = negotiate_request_read(input, &first);
    must(status == STATUS_SUCCESS || status == STATUS_INVALID_PARAMETER ||
         status == STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP);
    if (status != STATUS_SUCCESS)
        return;
    must(first.dialects_count > 0 && first.dialects_count <= NEGOTIATE_DIALECTS_MAX);
    must(first.ciphers_count <= NEGOTIATE_ALGORITHMS_MAX);
    must(first.signing_count <= NEGOTIATE_ALGORITHMS_MAX);
    must(first.has_preauth == first.preauth_sha512);
    must(first.has_encryption == (first.ciphers_count > 0));
    must(first.has_signing == (first.signing_count > 0));
    must(memchr(first.netname, '\0', NETNAME_MAX) != NULL);
    struct writer writer = begin();
    negotiate_request_write(&writer, &first, salt);
    must(writer_done(&writer));
    must(negotiate_request_read(writer_span(&writer), &second) == STATUS_SUCCESS);
    must(second.dialects_count == first.dialects_count &&
         memcmp(second.dialects, first.dialects, sizeof first.dialects) == 0);
    must(second.security_mode == first.security_mode);
    must(second.capabilities == first.capabilities);
    must(memcmp(second.client_guid, first.client_guid, GUID_SIZE) == 0);
    must(second.has_preauth == first.has_preauth);
    must(second.ciphers_count == first.ciphers_count &&
         memcmp(second.ciphers, first.ciphers, sizeof first.ciphers) == 0);
    must(second.signing_count == first.signing_count &&
         memcmp(second.signing, first.signing, sizeof first.signing) == 0);
    must(strcmp(second.netname, first.netname) == 0);
}

static void response(struct span input)
{
    struct negotiate_response first, second;
    if (!negotiate_response_read(input, &first))
        return;
    struct writer writer = begin();
    negotiate_response_write(&writer, &first, salt);
    must(writer_done(&writer));
    must(negotiate_response_read(writer_span(&writer), &second));
    must(second.security_mode == first.security_mode && second.dialect == first.dialect);
    must(memcmp(second.server_guid, first.server_guid, GUID_SIZE) == 0);
    must(second.capabilities == first.capabilities);
    must(second.max_transact_size == first.max_transact_size);
    must(second.max_read_size == first.max_read_size);
    must(second.max_write_size == first.max_write_size);
    must(second.system_time == first.system_time && second.start_time == first.start_time);
    must(span_equal(second.token, first.token));
    must(second.has_preauth == first.has_preauth);
    must(first.has_preauth || !first.preauth_sha512);
    must(second.has_cipher == first.has_cipher && second.cipher == first.cipher);
    must(second.has_signing == first.has_signing && second.signing == first.signing);
}

static void validate(struct span input)
{
    struct validate_request asked, asked_again;
    struct validate_response answer;
    if (validate_request_read(input, &asked)) {
        struct writer writer = writer_over(buffer, sizeof buffer);
        validate_request_write(&writer, &asked);
        struct span written = writer_span(&writer);
        must(writer_done(&writer) && written.size <= input.size);
        must(span_equal(written, (struct span){input.at, written.size}));
        must(validate_request_read(written, &asked_again));
        must(asked_again.dialects_count == asked.dialects_count);
    }
    if (validate_response_read(input, &answer)) {
        struct writer writer = writer_over(buffer, sizeof buffer);
        validate_response_write(&writer, &answer);
        must(writer_done(&writer) && span_equal(writer_span(&writer), input));
    }
}

static void smb1(struct span input)
{
    char offered[64], little[3];
    enum smb1_offer offer = smb1_negotiate_read(input, offered, sizeof offered);
    must(smb1_negotiate_read(input, little, sizeof little) == offer);
    must(smb1_negotiate_read(input, NULL, 0) == offer);
    must(memchr(offered, '\0', sizeof offered) != NULL);
    must(memchr(little, '\0', sizeof little) != NULL);
    for (const char *at = offered; *at; at++)
        must(*at >= 0x20 && *at < 0x7f);
    must(offer == SMB1_OFFER_NONE || offered[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = {data, size};
    request(input);
    response(input);
    validate(input);
    smb1(input);
    return 0;
}
