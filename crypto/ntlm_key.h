/*
 * The keys of NTLMv2 and what is made with them (MS-NLMP 3.3.2, 3.4). All keys are 16 bytes; NTLMv2
 * with extended session security and 128-bit keys is all there is. Each function answers false when
 * OpenSSL fails or a text is not what it must be; callers wipe what they got.
 */
#ifndef COUNTERSIGN_CRYPTO_NTLM_KEY_H
#define COUNTERSIGN_CRYPTO_NTLM_KEY_H

#include "crypto/ntlm_message.h"

enum { NTLM_KEY_SIZE = 16, NTLM_PROOF_SIZE = 16, NTLM_MAC_SIZE = 16 };

enum ntlm_sender { NTLM_FROM_CLIENT, NTLM_FROM_SERVER };

/* NTOWFv2: the account's key for this user and domain. The user is upper-cased; the domain is taken
 * as it stands in the AUTHENTICATE, UTF-16LE, case and all. */
MUST_USE bool ntlm_owf_v2(const uint8_t nt_hash[NTLM_KEY_SIZE], const char *user,
                          struct span domain, uint8_t owf[NTLM_KEY_SIZE]);

/* NTProofStr over the server's challenge and the client's blob (NTLMv2_CLIENT_CHALLENGE). With the
 * client's challenge for the blob it is the first half of an LMv2 response. */
MUST_USE bool ntlm_proof(const uint8_t owf[NTLM_KEY_SIZE],
                         const uint8_t server_challenge[NTLM_CHALLENGE_SIZE], struct span blob,
                         uint8_t proof[NTLM_PROOF_SIZE]);

/* SessionBaseKey, which is the KeyExchangeKey of NTLMv2. */
MUST_USE bool ntlm_base_key(const uint8_t owf[NTLM_KEY_SIZE], const uint8_t proof[NTLM_PROOF_SIZE],
                            uint8_t key[NTLM_KEY_SIZE]);

/* Encrypts or decrypts the random session key that NTLM_KEY_EXCH carries. */
MUST_USE bool ntlm_exchange_key(const uint8_t base_key[NTLM_KEY_SIZE],
                                const uint8_t in[NTLM_KEY_SIZE], uint8_t out[NTLM_KEY_SIZE]);

/* The MIC over the three messages, its own place in the AUTHENTICATE read as zeros. */
MUST_USE bool ntlm_mic(const uint8_t session_key[NTLM_KEY_SIZE], struct span negotiate,
                       struct span challenge, struct span authenticate, size_t mic_offset,
                       uint8_t mic[NTLM_MIC_SIZE]);

/* SIGNKEY and SEALKEY (MS-NLMP 3.4.5.2, 3.4.5.3) of one sender, with 128 bits and extended session
 * security. */
MUST_USE bool ntlm_sign_key(const uint8_t session_key[NTLM_KEY_SIZE], enum ntlm_sender sender,
                            uint8_t key[NTLM_KEY_SIZE]);
MUST_USE bool ntlm_seal_key(const uint8_t session_key[NTLM_KEY_SIZE], enum ntlm_sender sender,
                            uint8_t key[NTLM_KEY_SIZE]);

/* GSS_GetMIC with sequence number 0: the first thing the sender signs, which in SPNEGO is the
 * mechListMIC and in SMB also the last. The checksum is sealed when `flags` have NTLM_KEY_EXCH. */
MUST_USE bool ntlm_mac(const uint8_t session_key[NTLM_KEY_SIZE], uint32_t flags,
                       enum ntlm_sender sender, struct span message, uint8_t mac[NTLM_MAC_SIZE]);

/* True when `mac` is what ntlm_mac() makes; compared in constant time. */
MUST_USE bool ntlm_mac_right(const uint8_t session_key[NTLM_KEY_SIZE], uint32_t flags,
                             enum ntlm_sender sender, struct span message, struct span mac);

#endif
