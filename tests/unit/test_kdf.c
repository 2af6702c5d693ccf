/* Key derivation against published, derived and recorded keys, and against the known misreadings.
 */
#include "tests/unit/packets.h"

#include "crypto/identity.h"
#include "crypto/kdf.h"

static const char published_preauth[] =
    "0DD13628CC3ED218EF9DF9772D436D0887AB9814BFAE63A80AA845F36909DB79"
    "28622DDDAD522D9751640A459762C5A9D6BB084CBB3CE6BDADEF5D5BCE3C6C01";
static const char counting_key[] = "000102030405060708090a0b0c0d0e0f"
                                   "101112131415161718191a1b1c1d1e1f";

/* NULL where there is no such key. */
struct expected_keys {
    const char *signing, *client_to_server, *server_to_client, *application;
};

static struct session_key session_key_of(const char *hex)
{
    struct packet packet = packet_from_hex(hex);
    struct session_key key = {.size = packet.size};
    assert_in_range(packet.size, 0, SESSION_KEY_MAX);
    memcpy(key.bytes, packet.at, packet.size);
    packet_free(&packet);
    return key;
}

static struct preauth_hash preauth_of(const char *hex)
{
    struct packet packet = packet_from_hex(hex);
    struct preauth_hash hash;
    assert_int_equal(packet.size, sizeof hash.value);
    memcpy(hash.value, packet.at, packet.size);
    packet_free(&packet);
    return hash;
}

static bool is_key(const uint8_t *key, size_t size, const char *hex)
{
    struct packet packet = packet_from_hex(hex);
    bool same = packet.size == size && memcmp(packet.at, key, size) == 0;
    packet_free(&packet);
    return same;
}

static struct session_keys derive(uint16_t dialect, enum cipher cipher, const char *key_hex,
                                  const char *preauth_hex)
{
    struct session_key key = session_key_of(key_hex);
    struct session_keys keys;
    if (preauth_hex) {
        struct preauth_hash preauth = preauth_of(preauth_hex);
        assert_true(session_keys_derive(dialect, cipher, &key, &preauth, &keys));
    } else {
        assert_true(session_keys_derive(dialect, cipher, &key, NULL, &keys));
    }
    return keys;
}

static void check_keys(const struct session_keys *keys, const struct expected_keys *expected)
{
    assert_true(is_key(keys->signing, SIGNING_KEY_SIZE, expected->signing));
    if (expected->application)
        assert_true(is_key(keys->application, SIGNING_KEY_SIZE, expected->application));
    if (expected->client_to_server)
        assert_true(
            is_key(keys->client_to_server, keys->cipher_key_size, expected->client_to_server));
    if (expected->server_to_client)
        assert_true(
            is_key(keys->server_to_client, keys->cipher_key_size, expected->server_to_client));
}

static void test_published_3_0(void **state)
{
    (void)state;
    static const uint16_t dialects[] = {0x0300, 0x0302};
    for (size_t i = 0; i < 2; i++) {
        struct session_keys keys =
            derive(dialects[i], CIPHER_AES_128_CCM, "7CD451825D0450D235424E44BA6E78CC", NULL);
        check_keys(&keys,
                   &(struct expected_keys){.signing = "0B7E9C5CAC36C0F6EA9AB275298CEDCE",
                                           .client_to_server = "FAD27796665B313EBB578F388632B4F7",
                                           .server_to_client = "B0F0427F7CEB416D1D9DCC0CD4F99447",
                                           .application = "BB23A4575AA26C721AF525AF15A87B4F"});
        assert_int_equal(keys.cipher_key_size, 16);
        keys = derive(dialects[i], CIPHER_NONE, "4E01A2B313BCF660CC250BEF021AEDE6", NULL);
        check_keys(&keys, &(struct expected_keys){.signing = "BA1A17DBBFEC349BCA105563D598952F"});
    }
}

static void test_published_3_1_1(void **state)
{
    (void)state;
    struct session_keys keys =
        derive(0x0311, CIPHER_AES_128_GCM, "270E1BA896585EEB7AF3472D3B4C75A7", published_preauth);
    check_keys(&keys,
               &(struct expected_keys){.signing = "73FE7A9A77BEF0BDE49C650D8CCB5F76",
                                       .client_to_server = "629BCBC54422A0F572B97F45989B6073",
                                       .server_to_client = "E2AF0DCEFAC68DA71A0DFBD0D1350D74",
                                       .application = "6D7AD7954E9EC61E907B4D473DC178FF"});
    /* The 3.0 constants with the same key give another. */
    keys = derive(0x0300, CIPHER_AES_128_CCM, "270E1BA896585EEB7AF3472D3B4C75A7", NULL);
    assert_false(is_key(keys.signing, SIGNING_KEY_SIZE, "73FE7A9A77BEF0BDE49C650D8CCB5F76"));
}

static void test_published_channel(void **state)
{
    (void)state;
    struct session_keys keys =
        derive(0x0311, CIPHER_AES_128_GCM, "84B9DBB730116A8FA6E9889555C265F9",
               "EA3BF912B11CBFEC5B1889E8209614218687F82FA5294521AD3063425E49E88A"
               "10BD022124CE25123BC9111F52D9566BA88BF46344E6063DC5E3FF0389026F6C");
    check_keys(&keys, &(struct expected_keys){.signing = "C962BCA1A9DD1697B030644199705431"});
}

/* The signing key of a published session verifies that session's last message. */
static void test_key_and_message_fit(void **state)
{
    (void)state;
    struct packet final = packet_named("ch1_session_setup2_rsp");
    struct session_keys keys =
        derive(0x0311, CIPHER_AES_128_GCM, "270E1BA896585EEB7AF3472D3B4C75A7", published_preauth);
    struct signer *signer = signer_new(SIGNING_AES_CMAC, keys.signing);
    assert_non_null(signer);
    assert_true(signer_verify(signer, final.at, final.size));
    signer_free(signer);
    packet_free(&final);
}

/* Signing and application keys stay at 128 bits from half of a 32-byte key (MS-SMB2 3.1.4.2). */
static void test_derived_aes_256(void **state)
{
    (void)state;
    static const char wrong[] = "aa8d1f47a43ca5c212bedd968b8130a1";
    static const enum cipher ciphers[] = {CIPHER_AES_256_CCM, CIPHER_AES_256_GCM};
    struct session_keys keys;
    for (size_t i = 0; i < 2; i++) {
        keys = derive(0x0311, ciphers[i], counting_key, published_preauth);
        check_keys(&keys,
                   &(struct expected_keys){
                       .signing = "adfdcd95a8dbb1db6648fc26d5cea1bc",
                       .client_to_server =
                           "f1a5c66c7c07116904393a1d1c4cb46eeceb7fd384038c510561fbfdba9ae683",
                       .server_to_client =
                           "4ebc8bf4047484c299d04c4f8ff31ed8243cea3ed8aa9902ea5833b809ac10e7",
                       .application = "109dc2bc61b656a125a8787a13f03293"});
        assert_int_equal(keys.cipher_key_size, 32);
        assert_false(is_key(keys.signing, SIGNING_KEY_SIZE, wrong));
    }
    /* With a 128-bit cipher the second half of the key plays no part at all. */
    keys = derive(0x0311, CIPHER_AES_128_GCM, counting_key, published_preauth);
    struct session_keys half =
        derive(0x0311, CIPHER_AES_128_GCM, "000102030405060708090a0b0c0d0e0f", published_preauth);
    assert_memory_equal(&keys, &half, sizeof keys);
    assert_int_equal(keys.cipher_key_size, 16);
}

/* Where the wrong value comes from: it is what the misreading gives, so that the test above would
 * see it. */
static void test_the_misreading_gives_the_wrong_value(void **state)
{
    (void)state;
    struct session_key key = session_key_of(counting_key);
    struct preauth_hash preauth = preauth_of(published_preauth);
    struct span label = {(const uint8_t *)"SMBSigningKey", 14};
    struct span context = {preauth.value, sizeof preauth.value};
    struct span half = {key.bytes, 16}, whole = {key.bytes, key.size};
    uint8_t out[32];
    static const char wrong[] = "aa8d1f47a43ca5c212bedd968b8130a1";
    assert_true(kdf_sp800_108(half, label, context, out, 16));
    assert_true(is_key(out, 16, "adfdcd95a8dbb1db6648fc26d5cea1bc"));
    assert_true(kdf_sp800_108(half, label, context, out, 32));
    bool from_half = is_key(out, 16, wrong);
    assert_true(kdf_sp800_108(whole, label, context, out, 32));
    assert_true(from_half || is_key(out, 16, wrong));
    /* The NUL is part of the label. */
    label.size--;
    assert_true(kdf_sp800_108(half, label, context, out, 16));
    assert_false(is_key(out, 16, "adfdcd95a8dbb1db6648fc26d5cea1bc"));
}

static const char *text_of(struct json_object *entry, const char *name)
{
    return json_object_get_string(packet_member(entry, name));
}

static enum cipher cipher_of(const char *name)
{
    static const enum cipher all[] = {CIPHER_AES_128_CCM, CIPHER_AES_128_GCM, CIPHER_AES_256_CCM,
                                      CIPHER_AES_256_GCM};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(cipher_name(all[i]), name) == 0)
            return all[i];
    }
    fail_msg("no cipher %s", name);
    return CIPHER_NONE;
}

static void check_kerberos(struct json_object *entry)
{
    struct packet final = packet_from_hex(text_of(entry, "final_session_setup_response"));
    struct session_keys keys = derive(0x0311, cipher_of(text_of(entry, "cipher")),
                                      text_of(entry, "session_key"), text_of(entry, "preauth"));
    bool gmac = strcmp(text_of(entry, "signing"), "AES-128-GMAC") == 0;
    struct expected_keys expected = {
        .signing = text_of(entry, "signing_key"),
        .client_to_server = text_of(entry, "server_in_key"),
        .server_to_client = text_of(entry, "server_out_key"),
        .application = text_of(entry, "app_key"),
    };
    check_keys(&keys, &expected);
    struct signer *signer = signer_new(gmac ? SIGNING_AES_GMAC : SIGNING_AES_CMAC, keys.signing);
    assert_non_null(signer);
    assert_true(signer_verify(signer, final.at, final.size));
    assert_true(is_key(&final.at[SIGNATURE_OFFSET], SIGNATURE_SIZE, text_of(entry, "signature")));
    final.at[0] ^= 1;
    assert_false(signer_verify(signer, final.at, final.size));
    signer_free(signer);
    packet_free(&final);
}

static void test_live_kerberos_keys_of_32_bytes(void **state)
{
    (void)state;
    struct json_object *root = json_object_from_file("tests/vectors/kerberos_aes256_live.json");
    assert_non_null(root);
    size_t count = json_object_array_length(root);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++)
        check_kerberos(json_object_array_get_idx(root, i));
    json_object_put(root);
}

/* The recorded GMAC session: from its messages and its session key to its signing key. */
static void test_live_session_from_its_messages(void **state)
{
    (void)state;
    struct session_key key = session_key_of("64EE9F19E000A9BFA47E920EF9475425");
    struct session_keys keys;
    struct preauth_hash hash;
    preauth_start(&hash);
    for (size_t i = 0; i < 5; i++) {
        struct packet packet;
        assert_true(packet_live(i, &packet));
        assert_true(preauth_add(&hash, packet_span(&packet)));
        packet_free(&packet);
    }
    assert_true(session_keys_derive(0x0311, CIPHER_NONE, &key, &hash, &keys));
    assert_true(is_key(keys.signing, SIGNING_KEY_SIZE, "7E760FAB9AC5BB9D8F0052C1F56CC8DD"));
}

static void test_2_x_signs_with_the_session_key(void **state)
{
    (void)state;
    const uint8_t zeros[CIPHER_KEY_MAX] = {0};
    static const uint16_t dialects[] = {0x0202, 0x0210};
    for (size_t i = 0; i < 2; i++) {
        struct session_keys keys = derive(dialects[i], CIPHER_NONE, counting_key, NULL);
        assert_true(is_key(keys.signing, SIGNING_KEY_SIZE, "000102030405060708090a0b0c0d0e0f"));
        assert_int_equal(keys.cipher_key_size, 0);
        assert_memory_equal(keys.application, zeros, sizeof keys.application);
        assert_memory_equal(keys.client_to_server, zeros, sizeof zeros);
        assert_memory_equal(keys.server_to_client, zeros, sizeof zeros);
    }
}

static void test_a_short_key_is_padded(void **state)
{
    (void)state;
    struct session_keys keys = derive(0x0202, CIPHER_NONE, "0011223344556677", NULL);
    assert_true(is_key(keys.signing, SIGNING_KEY_SIZE, "00112233445566770000000000000000"));
    struct session_keys shorter =
        derive(0x0311, CIPHER_AES_128_GCM, "0011223344556677", published_preauth);
    struct session_keys padded =
        derive(0x0311, CIPHER_AES_128_GCM, "00112233445566770000000000000000", published_preauth);
    assert_memory_equal(&shorter, &padded, sizeof shorter);
}

static void check_refused(uint16_t dialect, enum cipher cipher, const struct session_key *key,
                          const struct preauth_hash *preauth)
{
    struct session_keys keys;
    const struct session_keys nothing = {.cipher_key_size = 0};
    memset(&keys, 0xee, sizeof keys);
    assert_false(session_keys_derive(dialect, cipher, key, preauth, &keys));
    assert_memory_equal(&keys, &nothing, sizeof keys);
}

static void test_what_has_no_keys(void **state)
{
    (void)state;
    struct session_key key = session_key_of(counting_key), empty = {.size = 0};
    struct session_key lies = key;
    struct preauth_hash preauth = preauth_of(published_preauth);
    lies.size = SESSION_KEY_MAX + 1;
    static const uint16_t dialects[] = {0x0202, 0x0210, 0x0300, 0x0302, 0x0311};
    for (size_t i = 0; i < 5; i++) {
        check_refused(dialects[i], CIPHER_NONE, &empty, &preauth);
        check_refused(dialects[i], CIPHER_NONE, &lies, &preauth);
    }
    check_refused(0x0311, CIPHER_AES_128_GCM, &key, NULL);
    check_refused(0x0300, CIPHER_AES_256_GCM, &key, NULL);
    check_refused(0x02ff, CIPHER_NONE, &key, &preauth);
    check_refused(0x0312, CIPHER_NONE, &key, &preauth);
}

static void test_kdf_limits(void **state)
{
    (void)state;
    const uint8_t bytes[16] = {1};
    uint8_t out[64];
    struct span some = {bytes, sizeof bytes}, none = {NULL, 0};
    assert_true(kdf_sp800_108(some, some, some, out, 32));
    assert_false(kdf_sp800_108(some, some, some, out, 33));
    assert_false(kdf_sp800_108(some, some, some, out, 0));
    assert_false(kdf_sp800_108(none, some, some, out, 16));
}

static void test_wipe(void **state)
{
    (void)state;
    const struct session_keys nothing = {.cipher_key_size = 0};
    struct session_keys keys = derive(0x0311, CIPHER_AES_256_GCM, counting_key, published_preauth);
    assert_memory_not_equal(&keys, &nothing, sizeof keys);
    session_keys_wipe(&keys);
    assert_memory_equal(&keys, &nothing, sizeof keys);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(cipher_name(CIPHER_NONE), "none");
    assert_string_equal(cipher_name(CIPHER_AES_128_CCM), "AES-128-CCM");
    assert_string_equal(cipher_name(CIPHER_AES_256_GCM), "AES-256-GCM");
    assert_string_equal(mechanism_name(MECHANISM_NTLM), "ntlm");
    assert_string_equal(mechanism_name(MECHANISM_KERBEROS), "kerberos");
    assert_string_equal(mechanism_name(MECHANISM_NONE), "none");
}

static void test_the_same_identity(void **state)
{
    (void)state;
    struct identity a = {.mechanism = MECHANISM_NTLM, .user = "Alice", .domain = "CORP"};
    struct identity b = {.mechanism = MECHANISM_NTLM, .user = "aLICE", .domain = "corp"};
    strcpy(b.workstation, "ELSEWHERE"); /* proves nothing, changes nothing */
    b.spnego = true;
    assert_true(identity_same(&a, &b));
    b.mechanism = MECHANISM_KERBEROS;
    assert_false(identity_same(&a, &b));
    b.mechanism = MECHANISM_NTLM;
    strcpy(b.domain, "");
    assert_false(identity_same(&a, &b));
    strcpy(b.domain, "CORP");
    strcpy(b.user, "alic");
    assert_false(identity_same(&a, &b));
    /* Two fields, not their sum. */
    strcpy(b.user, "AliceC");
    strcpy(b.domain, "ORP");
    assert_false(identity_same(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_3_0),
        cmocka_unit_test(test_published_3_1_1),
        cmocka_unit_test(test_published_channel),
        cmocka_unit_test(test_key_and_message_fit),
        cmocka_unit_test(test_derived_aes_256),
        cmocka_unit_test(test_the_misreading_gives_the_wrong_value),
        cmocka_unit_test(test_live_kerberos_keys_of_32_bytes),
        cmocka_unit_test(test_live_session_from_its_messages),
        cmocka_unit_test(test_2_x_signs_with_the_session_key),
        cmocka_unit_test(test_a_short_key_is_padded),
        cmocka_unit_test(test_what_has_no_keys),
        cmocka_unit_test(test_kdf_limits),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_the_same_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
