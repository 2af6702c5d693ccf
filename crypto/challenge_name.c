#include "crypto/challenge_name.h"

#include "crypto/ntlm_av.h"
#include "crypto/ntlm_message.h"
#include "crypto/spnego.h"
#include "crypto/text.h"

#include <stdio.h>

enum { NAME_MAX_SIZE = 256 };

bool challenge_name_read(struct span token, char *name, size_t size)
{
    struct spnego_response response;
    struct ntlm_challenge challenge;
    struct av_list pairs;
    uint32_t type;
    if (!ntlm_message_type(token, &type)) {
        if (!spnego_response_read(token, &response))
            return false;
        token = response.token;
    }
    if (!ntlm_message_type(token, &type) || type != NTLM_CHALLENGE ||
        !ntlm_challenge_read(token, &challenge) || !av_list_read(challenge.target_info, &pairs))
        return false;
    const struct av_pair *netbios = av_list_find(&pairs, AV_NB_COMPUTER);
    const struct av_pair *dns = av_list_find(&pairs, AV_DNS_COMPUTER);
    char first[NAME_MAX_SIZE] = "", second[NAME_MAX_SIZE] = "";
    if ((netbios && !text_from_utf16_strict(netbios->value, first, sizeof first)) ||
        (dns && !text_from_utf16_strict(dns->value, second, sizeof second)))
        return false;
    int length = snprintf(name, size, "%s%s%s", first, first[0] && second[0] ? "," : "", second);
    return length > 0 && (size_t)length < size;
}
