/* SPNEGO tokens: real ones, odd ones, broken ones. */
#include "tests/unit/ntlm_peer.h"
#include "tests/unit/ntlm_vectors.h"

#include "crypto/der.h"

static struct span hex_span(const char *hex, uint8_t room[1024])
{
    return (struct span){room, from_hex(hex, room, 1024)};
}

/* Reads a copy of exactly its size, so that AddressSanitizer sees every byte read beyond it. */
static bool init_is_read(struct span token)
{
    struct spnego_init init;
    uint8_t *copy = malloc(token.size + 1);
    assert_non_null(copy);
    if (token.size)
        memcpy(&copy[1], token.at, token.size);
    bool good = spnego_init_read((struct span){&copy[1], token.size}, &init);
    free(copy);
    return good;
}

static bool response_is_read(struct span token)
{
    struct spnego_response response;
    uint8_t *copy = malloc(token.size + 1);
    assert_non_null(copy);
    if (token.size)
        memcpy(&copy[1], token.at, token.size);
    bool good = spnego_response_read((struct span){&copy[1], token.size}, &response);
    free(copy);
    return good;
}

static void der_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        size_t size; /* of the content; SIZE_MAX: refused */
    } cases[] = {
        {"0400", 0},
        {"0401aa", 1},
        {"048101aa", 1}, /* longer than necessary: BER, but clear */
        {"0484000000"
         "01aa",
         1},
        {"0402aa", SIZE_MAX},     /* cut short */
        {"0480aa0000", SIZE_MAX}, /* indefinite */
        {"0485000000000"
         "1aa",
         SIZE_MAX},
        {"0484ffffffffaa", SIZE_MAX},
        {"04ff", SIZE_MAX},
        {"0481", SIZE_MAX},
        {"04", SIZE_MAX},
        {"", SIZE_MAX},
        {"1f0101aa", SIZE_MAX}, /* a long tag */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t room[1024], tag;
        struct span content;
        struct reader reader = reader_over_span(hex_span(cases[i].hex, room));
        const uint8_t *before = reader.at;
        bool good = der_read(&reader, &tag, &content);
        assert_int_equal(good, cases[i].size != SIZE_MAX);
        if (good)
            assert_int_equal(content.size, cases[i].size);
        else
            assert_ptr_equal(reader.at, before);
    }
}

static void der_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 65535};
    static uint8_t content[65536], bytes[65600];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct span read;
        struct writer writer = writer_over(bytes, sizeof bytes);
        der_write(&writer, DER_OCTET_STRING, (struct span){content, sizes[i]});
        assert_true(writer_done(&writer));
        assert_int_equal(writer_size(&writer), der_size(sizes[i]));
        struct reader reader = reader_over_span(writer_span(&writer));
        assert_false(der_expect(&reader, DER_OID, &read));
        assert_true(der_expect(&reader, DER_OCTET_STRING, &read));
        assert_int_equal(read.size, sizes[i]);
        assert_int_equal(reader_left(&reader), 0);
    }
    struct writer writer = writer_over(bytes, sizeof bytes);
    der_write(&writer, DER_OCTET_STRING, (struct span){content, 65536});
    assert_false(writer_done(&writer));
}

static void der_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool good;
        int64_t number;
    } cases[] = {
        {"05", true, 5},
        {"00", true, 0},
        {"ff", true, -1},
        {"0080", true, 128},
        {"ff7b", true, -133},
        {"7fffffff", true, INT32_MAX},
        {"00ffffffff", true, UINT32_MAX},
        {"80000000", true, INT32_MIN},
        {"", false, 0},
        {"000000000000", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t room[1024];
        int64_t number = 0;
        assert_int_equal(der_number(hex_span(cases[i].hex, room), &number), cases[i].good);
        assert_true(number == cases[i].number);
    }
}

/* A field is one element within a tag: another tag, another element or one more is not it. */
static void der_fields(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool good;
    } cases[] = {
        {"a103020105", true},      {"a103020105ff", true},
        {"a003020105", false},     {"a103040105", false},
        {"a1060201050201", false}, {"a106020105020105", false},
        {"a100", false},           {"a1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t room[1024];
        struct span content;
        struct reader reader = reader_over_span(hex_span(cases[i].hex, room));
        const uint8_t *before = reader.at;
        assert_int_equal(der_field(&reader, DER_CONTEXT_1, DER_INTEGER, &content), cases[i].good);
        assert_int_equal(reader.at == before, !cases[i].good);
    }
}

/* What smbclient and Windows send first; and our own first token is the same as theirs. */
static void first_tokens(void **state)
{
    (void)state;
    const char *hex[] = {WINDOWS_INIT, SAMBA_INIT};
    for (size_t i = 0; i < 2; i++) {
        uint8_t room[1024], own[256];
        struct spnego_init init;
        struct span token = hex_span(hex[i], room);
        assert_true(spnego_init_read(token, &init));
        assert_int_equal(init.offers_count, 1);
        assert_int_equal(init.offers[0], SPNEGO_NTLM);
        assert_int_equal(init.token.size, 40);
        assert_true(span_equal(init.mech_list, spnego_ntlm_list()));
        struct writer writer = writer_over(own, sizeof own);
        spnego_init_write(&writer, init.mech_list, init.token);
        assert_true(writer_done(&writer));
        assert_true(span_equal(writer_span(&writer), token));
    }
}

/* The captured CHALLENGE, AUTHENTICATE and last tokens, read and written again byte for byte. */
static void responses(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum spnego_state state;
        bool mechanism, token, mic;
    } cases[] = {
        {WINDOWS_CHALLENGE, SPNEGO_INCOMPLETE, true, true, false},
        {WINDOWS_AUTHENTICATE, SPNEGO_INCOMPLETE, false, true, true},
        {WINDOWS_LAST, SPNEGO_COMPLETED, false, false, true},
        {SAMBA_CHALLENGE, SPNEGO_INCOMPLETE, true, true, false},
        {SAMBA_AUTHENTICATE, SPNEGO_NO_STATE, false, true, true},
        {SAMBA_LAST, SPNEGO_COMPLETED, false, false, true},
        {"a1073005a0030a0100", SPNEGO_COMPLETED, false, false, false}, /* ksmbd's last */
        {"a1023000", SPNEGO_NO_STATE, false, false, false},
        {"a1073005a0030a0103", SPNEGO_REQUEST_MIC, false, false, false},
        {"a1073005a0030a0102", SPNEGO_REJECT, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t room[1024], again[1024];
        struct spnego_response response;
        struct span token = hex_span(cases[i].hex, room);
        assert_true(spnego_response_read(token, &response));
        assert_int_equal(response.state, cases[i].state);
        assert_int_equal(response.mechanism.size > 0, cases[i].mechanism);
        assert_int_equal(response.token.size > 0, cases[i].token);
        assert_int_equal(response.mic.size, cases[i].mic ? 16 : 0);
        struct writer writer = writer_over(again, sizeof again);
        spnego_response_write(&writer, &response);
        assert_true(writer_done(&writer));
        assert_true(span_equal(writer_span(&writer), token));
    }
}

/* The hint of a server's NEGOTIATE response: like Samba's, and readable as any first token. */
static void hint(void **state)
{
    (void)state;
    uint8_t room[1024], own[256];
    struct spnego_init init;
    struct accept_policy policy = {.refuse_ntlm = false};
    struct writer writer = writer_over(own, sizeof own);
    accept_write_hint(&writer, &policy);
    assert_true(writer_done(&writer));
    assert_true(span_equal(writer_span(&writer), hex_span(SAMBA_HINT, room)));
    assert_true(spnego_init_read(writer_span(&writer), &init));
    assert_int_equal(init.offers[0], SPNEGO_NTLM);
    policy.keytab = "a keytab";
    for (int i = 0; i < 2; i++) {
        policy.refuse_ntlm = i;
        writer = writer_over(own, sizeof own);
        accept_write_hint(&writer, &policy);
        assert_true(writer_done(&writer));
        assert_true(spnego_init_read(writer_span(&writer), &init));
        assert_int_equal(init.offers_count, 3 - i);
        assert_int_equal(init.offers[0], SPNEGO_MS_KERBEROS);
        assert_int_equal(init.offers[1], SPNEGO_KERBEROS);
        assert_int_equal(spnego_offers(&init, SPNEGO_NTLM), !i);
    }
    assert_true(spnego_init_read(hex_span(WINDOWS_HINT, room), &init));
    assert_true(spnego_offers(&init, SPNEGO_NTLM));
    assert_int_equal(init.offers[0], SPNEGO_OTHER); /* NEGOEX */
}

static void mechanism_lists(void **state)
{
    (void)state;
#define FRAME(size, rest) "60" size "06062b0601050502" rest
#define KERBEROS          "06092a864886f712010202"
#define NTLM              "060a2b06010401823702020a"
    static const struct {
        const char *hex;
        bool good, ntlm, first;
    } cases[] = {
        /* without NTLMSSP; something else in the list; Kerberos first; NTLMSSP first */
        {FRAME("19", "a00f300da00b3009060711223344556677"), true, false, false},
        {FRAME("25", "a01b3019a0173015" KERBEROS "06081122334455667788"), true, false, false},
        {FRAME("29", "a01f301da01b3019" KERBEROS NTLM "0000"), false, true, false},
        {FRAME("27", "a01d301ba0193017" KERBEROS NTLM), true, true, false},
        {FRAME("27", "a01d301ba0193017" NTLM KERBEROS), true, true, true},
        /* no list, an empty list, the list twice, an OID cut short */
        {FRAME("0c", "a0023000"), false, false, false},
        {FRAME("10", "a0063004a0023000"), false, false, false},
        {FRAME("2c", "a0223020a00e300c" NTLM "a00e300c" NTLM), false, true, true},
        {FRAME("12", "a0083006a0043002060a"), false, false, false},
        /* another mechanism than SPNEGO around it */
        {"601a06062b0601050503a010300ea00c300a06082b06010401823702", false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t room[1024];
        struct spnego_init init;
        bool good = spnego_init_read(hex_span(cases[i].hex, room), &init);
        if (good != cases[i].good)
            fail_msg("case %zu", i);
        if (good)
            assert_true(spnego_offers(&init, SPNEGO_NTLM) == cases[i].ntlm &&
                        (init.offers[0] == SPNEGO_NTLM) == cases[i].first);
    }
}

static void long_lists(void **state)
{
    (void)state;
    for (size_t count = 1; count <= SPNEGO_MECHANISMS_MAX + 1; count++) {
        uint8_t bytes[512];
        struct writer writer = writer_over(bytes, sizeof bytes);
        size_t list = count * 4, sequence = der_size(list), fields = der_size(sequence);
        der_write_head(&writer, DER_APPLICATION_0, 8 + der_size(der_size(fields)));
        write_bytes(&writer, "\x06\x06\x2b\x06\x01\x05\x05\x02", 8);
        der_write_head(&writer, DER_CONTEXT_0, der_size(fields));
        der_write_head(&writer, DER_SEQUENCE, fields);
        der_write_head(&writer, DER_CONTEXT_0, sequence);
        der_write_head(&writer, DER_SEQUENCE, list);
        for (size_t i = 0; i < count; i++)
            der_write(&writer, DER_OID, (struct span){(const uint8_t *)"\x2a\x03", 2});
        assert_true(writer_done(&writer));
        assert_int_equal(init_is_read(writer_span(&writer)), count <= SPNEGO_MECHANISMS_MAX);
    }
}

static void broken_responses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "a100",
        "3000",
        "a1033000ff",                   /* something behind the sequence */
        "a1073005a0030a0104",           /* no such state */
        "a1083006a0040a020000",         /* a state of two bytes */
        "a10c300aa0030a0100a0030a0100", /* the state twice */
        "a1073005a003040100",           /* a state of another type */
        "a1083006a1040a020101",         /* a mechanism that is no OID */
        "a1073005a2030a0100",           /* a token that is no OCTET STRING */
        "a1083006a204040100ff",         /* … with something behind it */
        "a1063004a2020404",             /* … that is too long */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t room[1024];
        if (response_is_read(hex_span(cases[i], room)))
            fail_msg("case %zu", i);
    }
    uint8_t room[1024];
    /* an unknown field, and bytes behind the token, do no harm */
    assert_true(response_is_read(hex_span("a10c300aa0030a0100a703020100", room)));
    assert_true(response_is_read(hex_span("a1073005a0030a0100ffff", room)));
}

/* Every token cut at every length is refused without reading beyond it. */
static void truncated_tokens(void **state)
{
    (void)state;
    const char *hex[] = {WINDOWS_HINT,      WINDOWS_INIT,         SAMBA_INIT,
                         WINDOWS_CHALLENGE, WINDOWS_AUTHENTICATE, WINDOWS_LAST,
                         SAMBA_CHALLENGE,   SAMBA_AUTHENTICATE,   SAMBA_LAST};
    for (size_t i = 0; i < sizeof hex / sizeof *hex; i++) {
        uint8_t room[1024];
        struct span token = hex_span(hex[i], room);
        assert_int_equal(init_is_read(token), i < 3);
        assert_int_equal(response_is_read(token), i >= 3);
        for (size_t cut = 0; cut < token.size; cut++) {
            assert_false(init_is_read((struct span){token.at, cut}));
            assert_false(response_is_read((struct span){token.at, cut}));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(der_lengths),
        cmocka_unit_test(der_round_trip),
        cmocka_unit_test(der_numbers),
        cmocka_unit_test(der_fields),
        cmocka_unit_test(first_tokens),
        cmocka_unit_test(responses),
        cmocka_unit_test(hint),
        cmocka_unit_test(mechanism_lists),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(broken_responses),
        cmocka_unit_test(truncated_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
