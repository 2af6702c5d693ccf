/*
 * Sealing: the two published packets of SMB 3.0 and 3.1.1 are beyond reach of a unit test without
 * their bytes, so here each cipher is checked against OpenSSL driven in one shot, and against
 * itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <string.h>

#include "crypto/sealer.h"

enum { MAX = 70000 };
static const enum cipher ciphers[] = {CIPHER_AES_128_CCM, CIPHER_AES_128_GCM, CIPHER_AES_256_CCM,
                                      CIPHER_AES_256_GCM};
static const uint8_t key[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
static uint8_t frame[TRANSFORM_HEADER_SIZE + MAX], plain[MAX], check[MAX];

static void fill(size_t size)
{
    for (size_t i = 0; i < size; i++)
        plain[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(frame + TRANSFORM_HEADER_SIZE, plain, size);
}

/* Seals, opens with the peer's sealer, for sizes around the block size. */
static void opens_what_was_sealed(void **state)
{
    static const size_t sizes[] = {1, 15, 16, 17, 64, 1000, 65536, MAX};
    (void)state;
    for (size_t c = 0; c < 4; c++) {
        struct sealer *seal = sealer_new(ciphers[c], key, 0x1122334455667788u, true);
        struct sealer *open = sealer_new(ciphers[c], key, 0x1122334455667788u, false);
        assert_non_null(seal);
        assert_non_null(open);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t size = sizes[i], whole = size + TRANSFORM_HEADER_SIZE;
            uint64_t id;
            fill(size);
            assert_true(sealer_seal(seal, frame + TRANSFORM_HEADER_SIZE, size));
            assert_true(size < 16 || memcmp(frame + TRANSFORM_HEADER_SIZE, plain, size) != 0);
            assert_true(transform_read((struct span){frame, whole}, &id));
            assert_int_equal(id, 0x1122334455667788u);
            assert_true(sealer_open(open, frame, whole));
            assert_memory_equal(frame + TRANSFORM_HEADER_SIZE, plain, size);
        }
        sealer_free(seal);
        sealer_free(open);
    }
}

static const EVP_CIPHER *evp(enum cipher cipher)
{
    switch (cipher) {
    case CIPHER_AES_128_CCM: return EVP_aes_128_ccm();
    case CIPHER_AES_128_GCM: return EVP_aes_128_gcm();
    case CIPHER_AES_256_CCM: return EVP_aes_256_ccm();
    default: return EVP_aes_256_gcm();
    }
}

/* The layout that MS-SMB2 2.2.41 gives, decrypted by a fresh context. */
static void layout_is_the_specified_one(void **state)
{
    (void)state;
    for (size_t c = 0; c < 4; c++) {
        bool ccm = ciphers[c] == CIPHER_AES_128_CCM || ciphers[c] == CIPHER_AES_256_CCM;
        struct sealer *seal = sealer_new(ciphers[c], key, 42, true);
        EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        int done, size = 500;
        fill((size_t)size);
        assert_true(sealer_seal(seal, frame + TRANSFORM_HEADER_SIZE, (size_t)size));
        assert_memory_equal(frame, "\xfdSMB", 4);
        assert_int_equal(get_le32(frame + 36), size);
        assert_int_equal(get_le16(frame + 42), 1);
        assert_int_equal(get_le64(frame + 44), 42);
        assert_int_equal(EVP_DecryptInit_ex(context, evp(ciphers[c]), NULL, NULL, NULL), 1);
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, ccm ? 11 : 12, NULL);
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, frame + 4);
        EVP_DecryptInit_ex(context, NULL, NULL, key, frame + 20);
        if (ccm)
            EVP_DecryptUpdate(context, NULL, &done, NULL, size);
        EVP_DecryptUpdate(context, NULL, &done, frame + 20, 32);
        assert_int_equal(EVP_DecryptUpdate(context, check, &done, frame + 52, size), 1);
        assert_true(ccm || EVP_DecryptFinal_ex(context, check + done, &done) == 1);
        assert_memory_equal(check, plain, (size_t)size);
        EVP_CIPHER_CTX_free(context);
        sealer_free(seal);
    }
}

/* One bit anywhere but in the ProtocolId, which transform_read() looks at, breaks it. */
static void every_bit_counts(void **state)
{
    (void)state;
    for (size_t c = 0; c < 4; c++) {
        struct sealer *seal = sealer_new(ciphers[c], key, 42, true);
        struct sealer *open = sealer_new(ciphers[c], key, 42, false);
        size_t size = 100, whole = size + TRANSFORM_HEADER_SIZE;
        for (size_t bit = 32; bit < whole * 8; bit++) {
            /* Of the 16 bytes of the nonce field the last are not part of the nonce, but of the
             * AAD. */
            fill(size);
            assert_true(sealer_seal(seal, frame + TRANSFORM_HEADER_SIZE, size));
            frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(sealer_open(open, frame, whole));
        }
        fill(size); /* and a good one still opens after all those */
        assert_true(sealer_seal(seal, frame + TRANSFORM_HEADER_SIZE, size));
        assert_true(sealer_open(open, frame, whole));
        sealer_free(seal);
        sealer_free(open);
    }
}

static void no_nonce_twice(void **state)
{
    uint8_t seen[64][16];
    (void)state;
    struct sealer *seal = sealer_new(CIPHER_AES_128_GCM, key, 42, true);
    for (size_t i = 0; i < 64; i++) {
        assert_true(sealer_seal(seal, frame + TRANSFORM_HEADER_SIZE, 16));
        memcpy(seen[i], frame + 20, 16);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], 16);
    }
    sealer_free(seal);
}

static void refuses_what_is_no_transform(void **state)
{
    uint64_t id;
    (void)state;
    struct sealer *seal = sealer_new(CIPHER_AES_128_GCM, key, 42, true);
    assert_true(sealer_seal(seal, frame + TRANSFORM_HEADER_SIZE, 64));
    for (size_t size = 0; size < TRANSFORM_HEADER_SIZE + 64; size++)
        assert_false(transform_read((struct span){frame, size}, &id));
    assert_true(transform_read((struct span){frame, TRANSFORM_HEADER_SIZE + 64}, &id));
    assert_false(transform_read((struct span){frame, TRANSFORM_HEADER_SIZE + 65}, &id));
    frame[42] = 0;
    assert_false(transform_read((struct span){frame, TRANSFORM_HEADER_SIZE + 64}, &id));
    assert_null(sealer_new(CIPHER_NONE, key, 42, true));
    sealer_free(seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_was_sealed),
        cmocka_unit_test(layout_is_the_specified_one),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(no_nonce_twice),
        cmocka_unit_test(refuses_what_is_no_transform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
