/* aead.h: AES-128-GCM and AES-256-GCM (RFC 5116 section 5) and ChaCha20-Poly1305 (RFC 8439 section 2.8) under one
 * key, by the code for single buffers of Intel's multi-buffer library: a short record costs it a fraction of what a
 * cipher context of OpenSSL's does. No nonce is kept here: that none is used twice is the caller's affair. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum aead_kind { AEAD_AES_128_GCM, AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305 };
enum { AEAD_TAG = 16, AEAD_NONCE = 12, AEAD_KEY_MOST = 32 };

/* A key, expanded; read by any number of threads. All zero: none. */
struct aead {
    enum aead_kind kind;
    void *key;
};

/* Once in the process. False without memory. */
bool aead_start(void);
/* Can it be used? Not on a CPU without instructions for AES, nor if the library fails its own test. */
bool aead_pays(void);

/* Expands 16 or 32 bytes, as the kind says, which may be wiped afterwards; a is all zero. False without memory. */
bool aead_set(struct aead *a, enum aead_kind kind, const uint8_t *key);
/* Wipes and frees the key. All zero: no effect. */
void aead_wipe(struct aead *a);

/* Seals n >= 1 bytes at p into n bytes at out, which is p or elsewhere, and a tag; the head is only vouched for. */
void aead_seal(const struct aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *head, size_t head_len,
               const uint8_t *p, size_t n, uint8_t *out, uint8_t tag[AEAD_TAG]);
/* Opens n >= 1 bytes likewise. False if the tag is another: then nobody may look at out, which is to be wiped. */
bool aead_open(const struct aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *head, size_t head_len,
               const uint8_t *p, size_t n, uint8_t *out, const uint8_t tag[AEAD_TAG]);

/* The same as aead_seal() in pieces, each of any length but 0. */
struct aead_run {
    _Alignas(16) uint8_t state[208];
};
void aead_begin(const struct aead *a, struct aead_run *r, const uint8_t nonce[AEAD_NONCE], const uint8_t *head,
                size_t head_len);
void aead_go_on(const struct aead *a, struct aead_run *r, const uint8_t *p, size_t n, uint8_t *out);
void aead_end(const struct aead *a, struct aead_run *r, uint8_t tag[AEAD_TAG]);
