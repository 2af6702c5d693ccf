#include "proxy/rpc_call.h"

#include "proxy/ndr.h"

/* Levels of samr: all with a password or its hash (MS-SAMR 2.2.6.28), and what only reads hashes.
 * UserAllInformation has them when it says so. */
#define LEVEL(number) ((uint64_t)1 << (number))
enum { USER_ALL = 21 };
#define USER_PASSWORDS                                                                             \
    (LEVEL(18) | LEVEL(USER_ALL) | LEVEL(23) | LEVEL(24) | LEVEL(25) | LEVEL(26) | LEVEL(31) |     \
     LEVEL(32))
#define USER_HASHES LEVEL(18)
/* Levels of trusted domains: passwords, and the "internal" ones, whose authentication information
 * is encrypted (MS-LSAD 2.2.7.2). */
#define TRUST_PASSWORDS (LEVEL(4) | LEVEL(9) | LEVEL(10) | LEVEL(14) | LEVEL(15))

/* A call. `path` are its parameters as far as they tell whether the key is needed:
 *
 *   h  handle                                 l  level; only `levels` need the key
 *   r  string             u  … may be null    f  of UserAllInformation: is a password in it?
 *   R  string of bytes    U  … may be null    p  what is encrypted; null needs no key
 *   d  32 bits            t  … may be null    s  SID
 *   b  bytes, may be null                     n  RPC_UNICODE_STRING
 */
struct call {
    uint8_t interface;
    uint16_t opnum;
    const char *path; /* "": always needs it */
    uint64_t levels;
    const char *what;
};

static const char user_password[] = "user_password", secret[] = "secret", trust[] = "trust",
                  membership[] = "domain_membership", service[] = "service_password";

static const struct call calls[] = {
    /* MS-SAMR 3.1.5.6.4, 3.1.5.6.5; 3.1.5.5.5, 3.1.5.5.6 */
    {RPC_SAMR, 37, "hlf", USER_PASSWORDS, user_password}, /* SamrSetInformationUser */
    {RPC_SAMR, 58, "hlf", USER_PASSWORDS, user_password}, /* SamrSetInformationUser2 */
    {RPC_SAMR, 36, "hl", USER_HASHES, user_password},     /* SamrQueryInformationUser */
    {RPC_SAMR, 47, "hl", USER_HASHES, user_password},     /* SamrQueryInformationUser2 */
    /* MS-LSAD 3.1.4.6 */
    {RPC_LSARPC, 29, "hpp", 0, secret},  /* LsarSetSecret */
    {RPC_LSARPC, 30, "", 0, secret},     /* LsarQuerySecret */
    {RPC_LSARPC, 42, "hnp", 0, secret},  /* LsarStorePrivateData */
    {RPC_LSARPC, 43, "", 0, secret},     /* LsarRetrievePrivateData */
    {RPC_LSARPC, 136, "", 0, secret},    /* LsarOpenSecret2 */
    {RPC_LSARPC, 137, "", 0, secret},    /* LsarCreateSecret2 */
    {RPC_LSARPC, 138, "hpp", 0, secret}, /* LsarSetSecret2 */
    {RPC_LSARPC, 139, "", 0, secret},    /* LsarQuerySecret2 */
    {RPC_LSARPC, 140, "", 0, secret},    /* LsarStorePrivateData2 */
    {RPC_LSARPC, 141, "", 0, secret},    /* LsarRetrievePrivateData2 */
    /* MS-LSAD 3.1.4.7 */
    {RPC_LSARPC, 59, "", 0, trust},                  /* LsarCreateTrustedDomainEx2 */
    {RPC_LSARPC, 129, "", 0, trust},                 /* LsarCreateTrustedDomainEx3 */
    {RPC_LSARPC, 26, "hl", TRUST_PASSWORDS, trust},  /* LsarQueryInfoTrustedDomain */
    {RPC_LSARPC, 27, "hl", TRUST_PASSWORDS, trust},  /* LsarSetInformationTrustedDomain */
    {RPC_LSARPC, 39, "hsl", TRUST_PASSWORDS, trust}, /* LsarQueryTrustedDomainInfo */
    {RPC_LSARPC, 40, "hsl", TRUST_PASSWORDS, trust}, /* LsarSetTrustedDomainInfo */
    {RPC_LSARPC, 48, "hnl", TRUST_PASSWORDS, trust}, /* LsarQueryTrustedDomainInfoByName */
    {RPC_LSARPC, 49, "hnl", TRUST_PASSWORDS, trust}, /* LsarSetTrustedDomainInfoByName */
    /* MS-WKST 3.2.4.13 to 3.2.4.20 */
    {RPC_WKSSVC, 22, "uruup", 0, membership}, /* NetrJoinDomain2 */
    {RPC_WKSSVC, 23, "uup", 0, membership},   /* NetrUnjoinDomain2 */
    {RPC_WKSSVC, 24, "uuup", 0, membership},  /* NetrRenameMachineInDomain2 */
    {RPC_WKSSVC, 25, "urup", 0, membership},  /* NetrValidateName2 */
    {RPC_WKSSVC, 26, "urup", 0, membership},  /* NetrGetJoinableOUs2 */
    {RPC_WKSSVC, 27, "uuup", 0, membership},  /* NetrAddAlternateComputerName */
    {RPC_WKSSVC, 28, "uuup", 0, membership},  /* NetrRemoveAlternateComputerName */
    {RPC_WKSSVC, 29, "uuup", 0, membership},  /* NetrSetPrimaryComputerName */
    /* MS-SCMR 3.1.4.11, 3.1.4.12 and those like them */
    {RPC_SVCCTL, 11, "hddduutbdup", 0, service},    /* RChangeServiceConfigW */
    {RPC_SVCCTL, 12, "hruddddrutbdup", 0, service}, /* RCreateServiceW */
    {RPC_SVCCTL, 23, "hdddUUtbdUp", 0, service},    /* RChangeServiceConfigA */
    {RPC_SVCCTL, 24, "hRUddddRUtbdUp", 0, service}, /* RCreateServiceA */
    {RPC_SVCCTL, 44, "hRUddddRUtbdUp", 0, service}, /* RCreateServiceWOW64A */
    {RPC_SVCCTL, 45, "hruddddrutbdup", 0, service}, /* RCreateServiceWOW64W */
    {RPC_SVCCTL, 60, "hruddddrutbdup", 0, service}, /* RCreateWowService */
};

static bool pass_over(struct ndr *ndr, char parameter)
{
    enum { HANDLE_SIZE = 20 };
    uint32_t value;
    switch (parameter) {
    case 'h': return ndr_skip(ndr, 4, HANDLE_SIZE);
    case 'r': return ndr_string(ndr, 2);
    case 'u': return ndr_unique_string(ndr, 2);
    case 'R': return ndr_string(ndr, 1);
    case 'U': return ndr_unique_string(ndr, 1);
    case 'd': return ndr_u32(ndr, &value);
    case 't': return ndr_unique_u32(ndr);
    case 'b': return ndr_unique_bytes(ndr);
    case 's': return ndr_sid(ndr);
    default: return ndr_counted_string(ndr);
    }
}

/* Behind the level: the union says it again, and its structure has the fields that are given after
 * ten or so others, of which some are as long as pointers are (MS-SAMR 2.2.6.6). */
static enum rpc_need all_information(struct ndr *ndr)
{
    enum { BEFORE = 172, BEFORE_WIDE = 284 };
    const uint32_t passwords = 0x03000000; /* NT and LM (2.2.1.8) */
    uint32_t level, fields;
    if (!ndr_skip(ndr, ndr->wide ? 8 : 2, 0) || !ndr_enum(ndr, &level) ||
        !ndr_skip(ndr, ndr->wide ? 8 : 4, ndr->wide ? BEFORE_WIDE : BEFORE) ||
        !ndr_u32(ndr, &fields))
        return RPC_NEED_UNCLEAR;
    return fields & passwords ? RPC_NEED_KEY : RPC_NEED_NOTHING;
}

static enum rpc_need walk(const struct call *call, struct ndr ndr)
{
    uint32_t level = 0;
    bool given, asked = false;
    for (const char *parameter = call->path; *parameter; parameter++) {
        switch (*parameter) {
        case 'l':
            if (!ndr_enum(&ndr, &level))
                return RPC_NEED_UNCLEAR;
            if (level >= 64 || !(call->levels & LEVEL(level)))
                return RPC_NEED_NOTHING;
            break;
        case 'f':
            if (level == USER_ALL)
                return all_information(&ndr);
            break;
        case 'p':
            if (!ndr_pointer(&ndr, &given))
                return RPC_NEED_UNCLEAR;
            if (given)
                return RPC_NEED_KEY;
            asked = true;
            break;
        default:
            if (!pass_over(&ndr, *parameter))
                return RPC_NEED_UNCLEAR;
        }
    }
    return asked ? RPC_NEED_NOTHING : RPC_NEED_KEY;
}

/* In every layout that it may have: which one was agreed on, only the file server said. */
static enum rpc_need examine(const struct call *call, struct span stub, bool big_endian,
                             uint8_t syntaxes)
{
    enum rpc_need narrow = RPC_NEED_NOTHING, wide = RPC_NEED_NOTHING;
    if (syntaxes != RPC_NDR64)
        narrow = walk(call, ndr_over(stub, big_endian, false));
    if (syntaxes != RPC_NDR)
        wide = walk(call, ndr_over(stub, big_endian, true));
    return narrow == RPC_NEED_KEY || wide == RPC_NEED_NOTHING ? narrow : wide;
}

enum rpc_need rpc_call_needs(const struct rpc_contexts *contexts, struct span body, bool big_endian,
                             bool has_object, const char **what)
{
    enum { ALLOCATION_HINT = 4, OBJECT_SIZE = 16 };
    struct ndr ndr = ndr_over(body, big_endian, false);
    uint16_t id, opnum;
    if (!ndr_skip(&ndr, 1, ALLOCATION_HINT) || !ndr_u16(&ndr, &id) || !ndr_u16(&ndr, &opnum) ||
        (has_object && !ndr_skip(&ndr, 1, OBJECT_SIZE)))
        return RPC_NEED_UNCLEAR;
    struct rpc_context context = rpc_contexts_find(contexts, id);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const struct call *call = &calls[i];
        if (!(call->interface & context.interfaces) || call->opnum != opnum)
            continue;
        enum rpc_need need = examine(call, reader_rest(&ndr.reader), big_endian, context.syntaxes);
        if (need == RPC_NEED_KEY)
            *what = call->what;
        if (need != RPC_NEED_NOTHING)
            return need;
    }
    return RPC_NEED_NOTHING;
}
