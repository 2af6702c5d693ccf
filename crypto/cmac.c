#include "crypto/cmac.h"

#include "crypto/algorithms.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/*
 * CMAC is CBC-MAC with a masked last block, so the whole of it is one pass of AES-CBC whose
 * ciphertext nobody wants but for its last block. That takes half the time of OpenSSL's own CMAC,
 * which goes block by block. The unwanted ciphertext goes to a scratch that stays in the
 * first-level cache.
 */
enum { BLOCK_SIZE = 16, SCRATCH_SIZE = 16 * 1024 };

struct cmac {
    EVP_CIPHER_CTX *cbc;
    uint8_t whole_mask[BLOCK_SIZE];   /* K1: for a last block that is full */
    uint8_t partial_mask[BLOCK_SIZE]; /* K2: for one that was padded */
};

/* One for all keys: in each it would be most of what an idle session takes. */
static _Thread_local uint8_t scratch[SCRATCH_SIZE];

static const uint8_t zero_block[BLOCK_SIZE];

/* Multiplication by x in GF(2^128) (RFC 4493 2.3), without a branch on the secret. */
static void double_block(uint8_t to[BLOCK_SIZE], const uint8_t from[BLOCK_SIZE])
{
    for (size_t i = 0; i + 1 < BLOCK_SIZE; i++)
        to[i] = (uint8_t)(from[i] << 1 | from[i + 1] >> 7);
    to[BLOCK_SIZE - 1] = (uint8_t)(from[BLOCK_SIZE - 1] << 1 ^ (0x87 & -(from[0] >> 7)));
}

/* Whole blocks through CBC; the last ciphertext block is the state, which OpenSSL keeps. */
static bool absorb(struct cmac *cmac, struct span blocks)
{
    struct reader reader = reader_over_span(blocks);
    while (reader_left(&reader)) {
        struct span chunk;
        size_t left = reader_left(&reader);
        int written = 0;
        if (!read_span(&reader, left < SCRATCH_SIZE ? left : SCRATCH_SIZE, &chunk) ||
            EVP_EncryptUpdate(cmac->cbc, scratch, &written, chunk.at, (int)chunk.size) != 1 ||
            (size_t)written != chunk.size)
            return false;
    }
    return true;
}

static bool restart(struct cmac *cmac)
{
    return EVP_EncryptInit_ex2(cmac->cbc, NULL, NULL, zero_block, NULL) == 1;
}

/* The last block, masked, makes the MAC (RFC 4493 2.4, steps 4 to 7). */
static bool finish(struct cmac *cmac, struct span last, uint8_t mac[CMAC_SIZE])
{
    uint8_t block[BLOCK_SIZE] = {0};
    bool whole = last.size == BLOCK_SIZE;
    const uint8_t *mask = whole ? cmac->whole_mask : cmac->partial_mask;
    int written = 0;
    if (last.size)
        memcpy(block, last.at, last.size);
    if (!whole)
        block[last.size] = 0x80;
    for (size_t i = 0; i < BLOCK_SIZE; i++)
        block[i] ^= mask[i];
    bool ok =
        EVP_EncryptUpdate(cmac->cbc, mac, &written, block, BLOCK_SIZE) == 1 && written == CMAC_SIZE;
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

/* Where the last block of `whole` begins: it is never empty unless all is. */
static size_t last_block_offset(struct span whole)
{
    return whole.size ? (whole.size - 1) / BLOCK_SIZE * BLOCK_SIZE : 0;
}

bool cmac_compute(struct cmac *cmac, struct span head, struct span body, uint8_t mac[CMAC_SIZE])
{
    struct span ended = body.size ? body : head;
    struct span before = body.size ? head : (struct span){NULL, 0};
    struct span blocks, last;
    size_t offset = last_block_offset(ended);
    return head.size % BLOCK_SIZE == 0 && span_slice(ended, 0, offset, &blocks) &&
           span_slice(ended, offset, ended.size - offset, &last) && restart(cmac) &&
           absorb(cmac, before) && absorb(cmac, blocks) && finish(cmac, last, mac);
}

static bool make_masks(struct cmac *cmac)
{
    int written = 0;
    uint8_t block[BLOCK_SIZE];
    if (!restart(cmac) ||
        EVP_EncryptUpdate(cmac->cbc, block, &written, zero_block, BLOCK_SIZE) != 1 ||
        written != BLOCK_SIZE)
        return false;
    double_block(cmac->whole_mask, block);
    double_block(cmac->partial_mask, cmac->whole_mask);
    OPENSSL_cleanse(block, sizeof block);
    return true;
}

struct cmac *cmac_new(const uint8_t key[CMAC_SIZE])
{
    EVP_CIPHER *cipher = algorithm_aes_128_cbc();
    struct cmac *cmac = cipher ? calloc(1, sizeof *cmac) : NULL;
    if (!cmac)
        return NULL;
    cmac->cbc = EVP_CIPHER_CTX_new();
    if (!cmac->cbc || EVP_EncryptInit_ex2(cmac->cbc, cipher, key, zero_block, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(cmac->cbc, 0) != 1 || !make_masks(cmac)) {
        cmac_free(cmac);
        return NULL;
    }
    return cmac;
}

void cmac_free(struct cmac *cmac)
{
    if (!cmac)
        return;
    EVP_CIPHER_CTX_free(cmac->cbc);
    OPENSSL_cleanse(cmac, sizeof *cmac);
    free(cmac);
}
