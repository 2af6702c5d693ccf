/* NTLM: keys against published vectors, messages, AV pairs, target names. */
#include "tests/unit/ntlm_peer.h"
#include "tests/unit/ntlm_vectors.h"

#include "crypto/legacy.h"
#include "crypto/target_name.h"

static void expect_hex(const uint8_t *bytes, size_t size, const char *hex)
{
    uint8_t want[256];
    assert_int_equal(from_hex(hex, want, sizeof want), size);
    assert_memory_equal(bytes, want, size);
}

/* A copy of exactly its size, so that AddressSanitizer sees every byte read beyond it. */
static struct span exact(struct span bytes)
{
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);
    assert_non_null(copy);
    if (bytes.size)
        memcpy(copy, bytes.at, bytes.size);
    return (struct span){copy, bytes.size};
}

static void old_algorithms(void **state)
{
    (void)state;
    uint8_t out[16], rc4[9];
    const struct span abc = {(const uint8_t *)"abc", 3};
    assert_true(legacy_ready());
    assert_true(legacy_md4(abc, out)); /* RFC 1320 A.5 */
    expect_hex(out, 16, "a448017aaf21d8525fc10ae87aa6729d");
    assert_true(legacy_md5(&abc, 1, out)); /* RFC 1321 A.5 */
    expect_hex(out, 16, "900150983cd24fb0d6963f7d28e17f72");
    const struct span parts[] = {{(const uint8_t *)"what do ya want ", 16},
                                 {(const uint8_t *)"for nothing?", 12}};
    assert_true(legacy_hmac_md5((struct span){(const uint8_t *)"Jefe", 4}, parts, 2, out));
    expect_hex(out, 16, "750c783e6ab0b503eaa86e310a5db738"); /* RFC 2104 */
    const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    const uint8_t zeros[9] = {0};
    assert_true(legacy_rc4(key, (struct span){zeros, 9}, rc4)); /* RFC 6229 */
    expect_hex(rc4, 9, "9ac7cc9a609d1ef7b2");
}

static void nt_hashes(void **state)
{
    (void)state;
    char longest[PASSWORD_MAX + 2];
    uint8_t hash[16];
    assert_true(nt_hash_of_password("Password", hash));
    expect_hex(hash, 16, "a4f49c406510bdcab6824ee7c30fd852");
    assert_true(nt_hash_of_password("Password01!", hash));
    expect_hex(hash, 16, "7c4fe5eada682714a036e39378362bab");
    assert_true(nt_hash_of_password("", hash));
    expect_hex(hash, 16, "31d6cfe0d16ae931b73c59d7e0c089c0");
    assert_false(nt_hash_of_password("\xff", hash));
    memset(longest, 'x', sizeof longest);
    longest[PASSWORD_MAX] = '\0';
    assert_true(nt_hash_of_password(longest, hash));
    longest[PASSWORD_MAX] = 'x';
    longest[PASSWORD_MAX + 1] = '\0';
    assert_false(nt_hash_of_password(longest, hash));
}

/* MS-NLMP 4.2.1 and 4.2.4. */
static void specification_vectors(void **state)
{
    (void)state;
    static const uint8_t server_challenge[] = {1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    uint8_t hash[16], owf[16], proof[16], key[16], random_key[16], sealed[64];
    uint8_t blob[128], domain[PEER_TEXT_MAX];
    size_t size = from_hex("01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000"
                           "02000c0044006f006d00610069006e0001000c00530065007200760065007200"
                           "0000000000000000",
                           blob, sizeof blob);
    assert_true(nt_hash_of_password("Password", hash));
    assert_true(ntlm_owf_v2(hash, "User", text_span("Domain", domain), owf));
    expect_hex(owf, 16, "0c868a403bfd7a93a3001ef22ef02e3f");
    assert_true(ntlm_proof(owf, server_challenge, (struct span){blob, size}, proof));
    expect_hex(proof, 16, "68cd0ab851e51c96aabc927bebef6a1c");
    assert_true(ntlm_base_key(owf, proof, key));
    expect_hex(key, 16, "8de40ccadbc14a82f15cb0ad0de95ca3");
    assert_true(ntlm_proof(owf, server_challenge, (struct span){&blob[16], 8}, proof));
    expect_hex(proof, 16, "86c35097ac9cec102554764a57cccc19"); /* LMv2 */
    memset(random_key, 0x55, sizeof random_key);
    assert_true(ntlm_exchange_key(key, random_key, proof));
    expect_hex(proof, 16, "c5dad2544fc9799094ce1ce90bc9d03e");
    assert_true(ntlm_seal_key(random_key, NTLM_FROM_CLIENT, key));
    expect_hex(key, 16, "59f600973cc4960a25480a7c196e4c58");
    assert_true(ntlm_sign_key(random_key, NTLM_FROM_CLIENT, proof));
    expect_hex(proof, 16, "4788dc861b4782f35d43fd98fe1a2d39");
    /* GSS_WrapEx: the text sealed first, its checksum with what follows of the same key stream. */
    static const uint8_t number[4];
    struct span text = text_span("Plaintext", domain);
    const struct span parts[] = {{number, 4}, text};
    assert_true(legacy_hmac_md5((struct span){proof, 16}, parts, 2, &domain[text.size]));
    assert_true(ntlm_seal_key(random_key, NTLM_FROM_CLIENT, key));
    assert_true(legacy_rc4(key, (struct span){domain, text.size + 8}, sealed));
    expect_hex(sealed, 18 + 8, "54e50165bf1936dc996020c1811b0f06fb5f7fb38ec5c55d4976");
}

struct capture {
    const char *init, *challenge, *authenticate, *last;
    const char *user, *password;
};

static const struct capture captures[] = {
    {WINDOWS_INIT, WINDOWS_CHALLENGE, WINDOWS_AUTHENTICATE, WINDOWS_LAST, "administrator",
     "Password01!"},
    {SAMBA_INIT, SAMBA_CHALLENGE, SAMBA_AUTHENTICATE, SAMBA_LAST, "root", "pw1"},
};

/* Both captured logins, checked by hand: proof, key, MIC and both mechListMICs. */
static void captured_logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++) {
        uint8_t bytes[4][1024], hash[16], owf[16], proof[16], key[16];
        const char *hex[] = {captures[i].init, captures[i].challenge, captures[i].authenticate,
                             captures[i].last};
        struct span token[4];
        struct spnego_init init;
        struct spnego_response challenge_token, answer_token, last;
        struct ntlm_challenge challenge;
        struct ntlm_authenticate answer;
        for (size_t j = 0; j < 4; j++)
            token[j] = (struct span){bytes[j], from_hex(hex[j], bytes[j], sizeof bytes[j])};
        assert_true(spnego_init_read(token[0], &init));
        assert_true(spnego_response_read(token[1], &challenge_token));
        assert_true(spnego_response_read(token[2], &answer_token));
        assert_true(spnego_response_read(token[3], &last));
        assert_true(ntlm_challenge_read(challenge_token.token, &challenge));
        assert_true(ntlm_authenticate_read(answer_token.token, &answer));
        struct span blob, sent_proof;
        assert_true(span_slice(answer.nt_response, 0, 16, &sent_proof));
        assert_true(span_slice(answer.nt_response, 16, answer.nt_response.size - 16, &blob));
        assert_true(nt_hash_of_password(captures[i].password, hash));
        assert_true(ntlm_owf_v2(hash, captures[i].user, answer.domain, owf));
        assert_true(ntlm_proof(owf, challenge.server_challenge, blob, proof));
        assert_true(span_equal(sent_proof, (struct span){proof, 16}));
        assert_true(ntlm_base_key(owf, proof, hash));
        assert_true(ntlm_exchange_key(hash, answer.session_key.at, key));
        assert_int_equal(answer.mic_offset, 72);
        assert_true(ntlm_mic(key, init.token, challenge_token.token, answer_token.token, 72, hash));
        assert_true(span_equal(answer.mic, (struct span){hash, 16}));
        assert_true(
            ntlm_mac_right(key, answer.flags, NTLM_FROM_CLIENT, init.mech_list, answer_token.mic));
        assert_true(ntlm_mac_right(key, answer.flags, NTLM_FROM_SERVER, init.mech_list, last.mic));
        assert_false(ntlm_mac_right(key, answer.flags, NTLM_FROM_CLIENT, init.mech_list, last.mic));
        assert_false(ntlm_mac_right(key, answer.flags & ~NTLM_KEY_EXCH, NTLM_FROM_CLIENT,
                                    init.mech_list, answer_token.mic));
        assert_false(ntlm_mac_right(key, answer.flags, NTLM_FROM_SERVER, init.mech_list,
                                    (struct span){last.mic.at, 15}));
        if (i == 1)
            expect_hex(key, 16, "64ee9f19e000a9bfa47e920ef9475425");
    }
}

/* The other keys of the Windows capture. */
static void windows_keys(void **state)
{
    (void)state;
    uint8_t hash[16], owf[16], key[16], domain[PEER_TEXT_MAX];
    assert_true(nt_hash_of_password("Password01!", hash));
    assert_true(ntlm_owf_v2(hash, "administrator", text_span("SUT311", domain), owf));
    expect_hex(owf, 16, "aee3959b44a815f1eb28c9511b4f533b");
    assert_true(from_hex("63078eb639fe03e20a231c3ae3bf2308", key, sizeof key) == 16);
    assert_true(ntlm_base_key(owf, key, hash));
    expect_hex(hash, 16, "b4cf22566926b1c069acd80e4d73c814");
    uint8_t exported[16], bytes[1024];
    size_t size = from_hex(WINDOWS_AUTHENTICATE, bytes, sizeof bytes);
    struct spnego_response token;
    struct ntlm_authenticate answer;
    assert_true(spnego_response_read((struct span){bytes, size}, &token));
    assert_true(ntlm_authenticate_read(token.token, &answer));
    assert_true(ntlm_exchange_key(hash, answer.session_key.at, exported));
    assert_true(ntlm_sign_key(exported, NTLM_FROM_CLIENT, key));
    expect_hex(key, 16, "d43f36c44bce0630250a09ea0c2e8c2c");
    assert_true(ntlm_sign_key(exported, NTLM_FROM_SERVER, key));
    expect_hex(key, 16, "e1bd8b416b0b709d295e12f2cf18e6c5");
    assert_true(ntlm_seal_key(exported, NTLM_FROM_CLIENT, key));
    expect_hex(key, 16, "31e5557d99be13f1b2665c7c7c52ce70");
    assert_true(ntlm_seal_key(exported, NTLM_FROM_SERVER, key));
    expect_hex(key, 16, "b0f5a0b32c81ff34a878e1409b3b0ef2");
}

static void messages_survive_the_way(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct writer writer = writer_over(bytes, sizeof bytes);
    uint32_t type;
    struct ntlm_negotiate negotiate = {PEER_FLAGS}, negotiate_read;
    ntlm_negotiate_write(&writer, &negotiate);
    assert_true(ntlm_message_type(writer_span(&writer), &type));
    assert_int_equal(type, NTLM_NEGOTIATE);
    assert_true(ntlm_negotiate_read(writer_span(&writer), &negotiate_read));
    assert_int_equal(negotiate_read.flags, PEER_FLAGS);

    const struct span a = {(const uint8_t *)"ab", 2}, b = {(const uint8_t *)"cdefgh", 6};
    struct ntlm_challenge challenge = {PEER_FLAGS, {1, 2, 3, 4, 5, 6, 7, 8}, a, b}, read;
    writer = writer_over(bytes, sizeof bytes);
    ntlm_challenge_write(&writer, &challenge);
    assert_true(ntlm_challenge_read(writer_span(&writer), &read));
    assert_int_equal(read.flags, PEER_FLAGS);
    assert_memory_equal(read.server_challenge, challenge.server_challenge, 8);
    assert_true(span_equal(read.target_name, a));
    assert_true(span_equal(read.target_info, b));
    assert_false(ntlm_negotiate_read(writer_span(&writer), &negotiate_read));

    const uint8_t mic[16] = {9, 8, 7};
    struct ntlm_authenticate sent = {.flags = 5,
                                     .lm_response = a,
                                     .nt_response = b,
                                     .user = a,
                                     .session_key = b,
                                     .mic = {mic, 16}};
    struct ntlm_authenticate got;
    writer = writer_over(bytes, sizeof bytes);
    ntlm_authenticate_write(&writer, &sent);
    assert_true(ntlm_authenticate_read(writer_span(&writer), &got));
    assert_int_equal(got.flags, 5);
    assert_true(span_equal(got.lm_response, a));
    assert_true(span_equal(got.nt_response, b));
    assert_int_equal(got.domain.size, 0);
    assert_true(span_equal(got.user, a));
    assert_int_equal(got.workstation.size, 0);
    assert_true(span_equal(got.session_key, b));
    assert_true(span_equal(got.mic, sent.mic));
}

/* A writer too small, and a field too long for its length. */
static void writers_notice_overflow(void **state)
{
    (void)state;
    static uint8_t big[70000], bytes[80000];
    struct ntlm_challenge challenge = {.target_info = {big, UINT16_MAX}};
    struct writer writer = writer_over(bytes, sizeof bytes);
    ntlm_challenge_write(&writer, &challenge);
    assert_true(writer_done(&writer));
    writer = writer_over(bytes, 100);
    ntlm_challenge_write(&writer, &challenge);
    assert_false(writer_done(&writer));
    challenge.target_info.size = UINT16_MAX + 1;
    writer = writer_over(bytes, sizeof bytes);
    ntlm_challenge_write(&writer, &challenge);
    assert_false(writer_done(&writer));
}

/* Payload at 64, 72, 80 and 88: no MIC, no MIC, MIC at 64, MIC at 72. */
static void mic_has_its_place(void **state)
{
    (void)state;
    static const struct {
        size_t payload, mic;
    } cases[] = {{64, 0}, {72, 0}, {79, 0}, {80, 64}, {87, 64}, {88, 72}, {96, 72}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[128] = "NTLMSSP\0\3";
        struct ntlm_authenticate answer;
        put_le16(&bytes[20], 8);
        put_le32(&bytes[24], (uint32_t)cases[i].payload);
        struct span copy = exact((struct span){bytes, cases[i].payload + 8});
        assert_true(ntlm_authenticate_read(copy, &answer));
        assert_int_equal(answer.mic_offset, cases[i].mic);
        assert_int_equal(answer.mic.size, cases[i].mic ? 16 : 0);
        free((void *)copy.at);
    }
}

/* Offsets are the attacker's: all inside, none in the fixed part, but overlapping ones are
 * harmless. */
static void fields_stay_inside(void **state)
{
    (void)state;
    uint8_t bytes[128] = "NTLMSSP\0\3";
    struct ntlm_authenticate answer;
    const struct span whole = {bytes, sizeof bytes};
    put_le16(&bytes[20], 16); /* NT response */
    put_le32(&bytes[24], 112);
    put_le16(&bytes[36], 16); /* user: the same bytes */
    put_le32(&bytes[40], 112);
    put_le32(&bytes[32], 0xffffffff); /* an empty domain's offset means nothing */
    assert_true(ntlm_authenticate_read(whole, &answer));
    static const uint32_t outside[] = {113, 128, 63, 0, 0xfffffff8, 0xffffffff};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        put_le32(&bytes[40], outside[i]);
        assert_false(ntlm_authenticate_read(whole, &answer));
    }
    put_le32(&bytes[40], 64);
    assert_true(ntlm_authenticate_read(whole, &answer));
    bytes[0] = 'n';
    assert_false(ntlm_authenticate_read(whole, &answer));
}

static void messages_have_limits(void **state)
{
    (void)state;
    static uint8_t bytes[NTLM_AUTHENTICATE_MAX + 1] = "NTLMSSP\0\1";
    struct ntlm_negotiate negotiate;
    struct ntlm_challenge challenge;
    struct ntlm_authenticate answer;
    assert_true(ntlm_negotiate_read((struct span){bytes, NTLM_NEGOTIATE_MAX}, &negotiate));
    assert_false(ntlm_negotiate_read((struct span){bytes, NTLM_NEGOTIATE_MAX + 1}, &negotiate));
    bytes[8] = 2;
    assert_true(ntlm_challenge_read((struct span){bytes, NTLM_CHALLENGE_MAX}, &challenge));
    assert_false(ntlm_challenge_read((struct span){bytes, NTLM_CHALLENGE_MAX + 1}, &challenge));
    bytes[8] = 3;
    assert_true(ntlm_authenticate_read((struct span){bytes, NTLM_AUTHENTICATE_MAX}, &answer));
    assert_false(ntlm_authenticate_read((struct span){bytes, NTLM_AUTHENTICATE_MAX + 1}, &answer));
}

static void av_pairs(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct av_list list;
    uint32_t number;
    uint64_t time;
    struct writer writer = writer_over(bytes, sizeof bytes);
    assert_true(av_write_text(&writer, AV_NB_COMPUTER, "PROXY"));
    av_write_le32(&writer, AV_FLAGS, 6);
    av_write_le64(&writer, AV_TIMESTAMP, 7);
    av_write_end(&writer);
    write_bytes(&writer, "junk", 4);
    assert_true(av_list_read(writer_span(&writer), &list));
    assert_int_equal(list.count, 3);
    assert_int_equal(av_list_find(&list, AV_NB_COMPUTER)->value.size, 10);
    assert_null(av_list_find(&list, AV_TARGET_NAME));
    assert_true(av_list_le32(&list, AV_FLAGS, &number) && number == 6);
    assert_true(av_list_le64(&list, AV_TIMESTAMP, &time) && time == 7);
    assert_false(av_list_le32(&list, AV_TIMESTAMP, &number));
    assert_false(av_list_le64(&list, AV_TARGET_NAME, &time));
    assert_false(av_list_repeats(&list));
    for (size_t size = 0; size < 14 + 8 + 12 + 4; size++) {
        struct span copy = exact((struct span){bytes, size});
        assert_false(av_list_read(copy, &list));
        free((void *)copy.at);
    }
    writer = writer_over(bytes, sizeof bytes);
    for (int i = 0; i <= AV_PAIRS_MAX; i++) {
        struct writer end = writer;
        av_write_end(&end);
        assert_true(av_list_read(writer_span(&end), &list));
        assert_int_equal(av_list_repeats(&list), i > 1);
        av_write_le32(&writer, AV_FLAGS, 1);
    }
    av_write_end(&writer);
    assert_false(av_list_read(writer_span(&writer), &list));
    assert_false(av_list_read((struct span){(const uint8_t *)"\0\0\1\0x", 5}, &list));
    writer = writer_over(bytes, 8);
    assert_false(av_write_text(&writer, AV_NB_COMPUTER, "PROXY"));
    writer = writer_over(bytes, sizeof bytes);
    assert_false(av_write_text(&writer, AV_NB_COMPUTER, "\xc0"));
}

static const char *const ours[] = {
    "cifs/files.example.com",
    "CIFS/FILES.EXAMPLE.COM",
    "cifs/files.example.com.",
    "cifs/files.example.com:445",
    "host/files.example.com",
    "cifs/files.example.com.:445",
    "cifs/10.0.0.7",
    "cifs/10.0.0.7:1445",
    "cifs/fd00::7",
    "cifs/[fd00::7]",
    "cifs/[fd00::7]:445",
    "cifs/FD00:0:0::7",
    "cifs/fd00::8",
    "cifs/proxy",
    "cifs/proxy.lab.test",
};
static const char *const others[] = {
    "cifs/files2.example.com",
    "cifs/files.example",
    "cifs/files.example.com.evil",
    "http/files.example.com",
    "cifs/",
    "cifs",
    "",
    "files.example.com",
    "cifs/10.0.0.70",
    "cifs/10.0.0.7@LAB.TEST",
    "cifs/files.example.com@LAB.TEST",
    "cifs/10.0.0.7:",
    "cifs/10.0.0.7:port",
    "cifs/10.0.0.7:123456",
    "cifs/[fd00::7",
    "cifs/[fd00::7]x",
    "cifs/[fd00::7]:",
    "cifs/fd00::9",
    "cifs/[]",
    "cifs/.",
    "cifs/evil/files.example.com",
    "/files.example.com",
    "cifs/:445",
    "cifs/files.example.com..",
};

static void target_names(void **state)
{
    (void)state;
    static const char *const names[] = {"Files.Example.com", "10.0.0.7", "fd00::7", "[fd00::8]"};
    const struct accept_policy policy = {
        .names = names, .names_count = 4, .netbios_name = "PROXY", .dns_name = "proxy.lab.test"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!target_name_matches(ours[i], &policy))
            fail_msg("%s should match", ours[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (target_name_matches(others[i], &policy))
            fail_msg("%s should not match", others[i]);
    static const char *const empty[] = {"", "."};
    const struct accept_policy nameless = {.names = empty, .names_count = 2, .netbios_name = ""};
    assert_false(target_name_matches("cifs/proxy", &nameless));
    assert_false(target_name_matches("cifs/", &nameless));
    assert_false(target_name_matches("cifs/.", &nameless));
}

/* Every message cut at every length: refused or read, but never beyond its end. */
static void truncated_messages(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    struct spnego_response token;
    struct ntlm_authenticate answer;
    struct ntlm_challenge challenge;
    struct ntlm_negotiate negotiate;
    const char *hex[] = {WINDOWS_CHALLENGE, WINDOWS_AUTHENTICATE};
    for (size_t i = 0; i < 2; i++) {
        size_t size = from_hex(hex[i], bytes, sizeof bytes);
        assert_true(spnego_response_read((struct span){bytes, size}, &token));
        for (size_t cut = 0; cut < token.token.size; cut++) {
            struct span copy = exact((struct span){token.token.at, cut});
            assert_false(ntlm_authenticate_read(copy, &answer));
            assert_false(ntlm_challenge_read(copy, &challenge));
            assert_false(ntlm_negotiate_read(copy, &negotiate));
            free((void *)copy.at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_algorithms),
        cmocka_unit_test(nt_hashes),
        cmocka_unit_test(specification_vectors),
        cmocka_unit_test(captured_logins),
        cmocka_unit_test(windows_keys),
        cmocka_unit_test(messages_survive_the_way),
        cmocka_unit_test(writers_notice_overflow),
        cmocka_unit_test(mic_has_its_place),
        cmocka_unit_test(fields_stay_inside),
        cmocka_unit_test(messages_have_limits),
        cmocka_unit_test(av_pairs),
        cmocka_unit_test(target_names),
        cmocka_unit_test(truncated_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
