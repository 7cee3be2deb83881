/* aead.c: see aead.h. */
#include "tls/aead.h"

#include "tls/private.h"

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include <string.h>

/* The library's own alignment, which its header leaves out unless it is built itself; whole lines. */
enum { KEY_ALIGNMENT = 64, KEY_BYTES = (sizeof(struct gcm_key_data) + KEY_ALIGNMENT - 1) / KEY_ALIGNMENT * KEY_ALIGNMENT };

union run {
    struct gcm_context_data gcm;
    struct chacha20_poly1305_context_data chacha;
};
_Static_assert(sizeof(union run) <= sizeof(struct aead_run), "room for what the library keeps");
_Static_assert(AEAD_NONCE == IMB_GCM_IV_DATA_LEN, "the library's length");

/* The library's functions for this CPU. They need no manager, only what they are given. */
static struct gcm {
    aes_gcm_pre_t pre;
    aes_gcm_enc_dec_t seal, open;
    aes_gcm_init_t begin;
    aes_gcm_enc_dec_update_t go_on;
    aes_gcm_enc_dec_finalize_t end;
} gcm[2]; /* by kind */
static struct {
    chacha_poly_init_t begin;
    chacha_poly_enc_dec_update_t seal, open;
    chacha_poly_finalize_t end;
} chacha;
static bool started, pays;

static void learn(const IMB_MGR *m)
{
    gcm[AEAD_AES_128_GCM] = (struct gcm){m->gcm128_pre,  m->gcm128_enc,        m->gcm128_dec,
                                         m->gcm128_init, m->gcm128_enc_update, m->gcm128_enc_finalize};
    gcm[AEAD_AES_256_GCM] = (struct gcm){m->gcm256_pre,  m->gcm256_enc,        m->gcm256_dec,
                                         m->gcm256_init, m->gcm256_enc_update, m->gcm256_enc_finalize};
    chacha.begin = m->chacha20_poly1305_init;
    chacha.seal = m->chacha20_poly1305_enc_update;
    chacha.open = m->chacha20_poly1305_dec_update;
    chacha.end = m->chacha20_poly1305_finalize;
}

bool aead_start(void)
{
    const uint64_t aes = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
    IMB_MGR *m = started ? NULL : alloc_mb_mgr(0);
    if (!m)
        return started;
    init_mb_mgr_auto(m, NULL); /* refuses a CPU without instructions for AES */
    pays = imb_get_errno(m) == 0 && m->features & IMB_FEATURE_SELF_TEST_PASS && (m->features & aes) == aes;
    if (pays)
        learn(m);
    free_mb_mgr(m);
    return started = true;
}

bool aead_pays(void)
{
    return pays;
}

bool aead_set(struct aead *a, enum aead_kind kind, const uint8_t *key)
{
    struct gcm_key_data *data = memory_take_aligned(KEY_BYTES, KEY_ALIGNMENT);
    if (!data)
        return false;
    if (kind == AEAD_CHACHA20_POLY1305)
        memcpy(data, key, AEAD_KEY_MOST);
    else
        gcm[kind].pre(key, data);
    *a = (struct aead){kind, data};
    return true;
}

void aead_wipe(struct aead *a)
{
    if (a->key)
        OPENSSL_cleanse(a->key, KEY_BYTES);
    memory_give_aligned(a->key, KEY_BYTES);
    *a = (struct aead){0};
}

void aead_begin(const struct aead *a, struct aead_run *r, const uint8_t nonce[AEAD_NONCE], const uint8_t *head,
                size_t head_len)
{
    union run *state = (union run *)r;
    if (a->kind == AEAD_CHACHA20_POLY1305)
        chacha.begin(a->key, &state->chacha, nonce, head, head_len);
    else
        gcm[a->kind].begin(a->key, &state->gcm, nonce, head, head_len);
}

void aead_go_on(const struct aead *a, struct aead_run *r, const uint8_t *p, size_t n, uint8_t *out)
{
    union run *state = (union run *)r;
    if (a->kind == AEAD_CHACHA20_POLY1305)
        chacha.seal(a->key, &state->chacha, out, p, n);
    else
        gcm[a->kind].go_on(a->key, &state->gcm, out, p, n);
}

void aead_end(const struct aead *a, struct aead_run *r, uint8_t tag[AEAD_TAG])
{
    union run *state = (union run *)r;
    if (a->kind == AEAD_CHACHA20_POLY1305)
        chacha.end(&state->chacha, tag, AEAD_TAG);
    else
        gcm[a->kind].end(a->key, &state->gcm, tag, AEAD_TAG);
}

void aead_seal(const struct aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *head, size_t head_len,
               const uint8_t *p, size_t n, uint8_t *out, uint8_t tag[AEAD_TAG])
{
    struct aead_run r;
    if (a->kind != AEAD_CHACHA20_POLY1305) {
        gcm[a->kind].seal(a->key, &((union run *)&r)->gcm, out, p, n, nonce, head, head_len, tag, AEAD_TAG);
        return;
    }
    aead_begin(a, &r, nonce, head, head_len);
    aead_go_on(a, &r, p, n, out);
    aead_end(a, &r, tag);
}

bool aead_open(const struct aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *head, size_t head_len,
               const uint8_t *p, size_t n, uint8_t *out, const uint8_t tag[AEAD_TAG])
{
    struct aead_run r;
    union run *state = (union run *)&r;
    uint8_t own[AEAD_TAG];
    if (a->kind != AEAD_CHACHA20_POLY1305) {
        gcm[a->kind].open(a->key, &state->gcm, out, p, n, nonce, head, head_len, own, AEAD_TAG);
    } else {
        chacha.begin(a->key, &state->chacha, nonce, head, head_len);
        chacha.open(a->key, &state->chacha, out, p, n);
        chacha.end(&state->chacha, own, AEAD_TAG);
    }
    return CRYPTO_memcmp(own, tag, AEAD_TAG) == 0;
}
