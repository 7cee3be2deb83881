/* aead_test.c: tls/aead.h against RFC 8439 and OpenSSL's ciphers; nothing is written but what is said. */
#include "tls/aead.h"
#include "unit.h"

#include <openssl/evp.h>

#include <string.h>

enum { KINDS = 3, MOST = 1 << 14, GUARD = 128, HEAD = 5 };

static const char *const names[KINDS] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"}; /* by enum aead_kind */
static uint8_t key[AEAD_KEY_MOST], nonce[AEAD_NONCE], head[HEAD] = {23, 3, 3, 0, 17}, plain[MOST + 1];

static void set_nonce(size_t n)
{
    memcpy(nonce, &n, sizeof n);
}

/* OpenSSL's opinion. */
static void expected(EVP_CIPHER_CTX *c, size_t n, uint8_t *out, uint8_t *tag)
{
    int len;
    CU_ASSERT_FATAL(EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1) == 1 &&
                    EVP_CipherUpdate(c, NULL, &len, head, HEAD) == 1 &&
                    EVP_CipherUpdate(c, out, &len, plain, (int)n) == 1 && EVP_CipherFinal_ex(c, out, &len) == 1 &&
                    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag) == 1);
}

static EVP_CIPHER_CTX *sealer(unsigned kind)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, names[kind], NULL);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    CU_ASSERT_FATAL(EVP_CipherInit_ex2(c, cipher, key, nonce, 1, NULL) == 1);
    EVP_CIPHER_free(cipher);
    return c;
}

static bool guarded(const uint8_t *p)
{
    for (unsigned i = 0; i < GUARD; i++)
        if (p[i] != 0xa5)
            return false;
    return true;
}

/* A place for n bytes between guards. */
static uint8_t *place(uint8_t *p, size_t n)
{
    memset(p, 0xa5, n + 2 * GUARD);
    return p + GUARD;
}

static size_t next_length(size_t n)
{
    return n < 1600 || n > MOST - 100 ? n + 1 : n + 13;
}

/* Sealed elsewhere and in place, opened elsewhere and in place, at each alignment. */
static void test_every_length_is_as_openssls(void)
{
    static uint8_t theirs[MOST + 1], a[MOST + 64 + 2 * GUARD], b[MOST + 64 + 2 * GUARD], t[AEAD_TAG + 2 * GUARD];
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct aead k = {0};
        EVP_CIPHER_CTX *c = sealer(kind);
        CU_ASSERT_FATAL(aead_set(&k, kind, key));
        for (size_t n = 1; n <= MOST + 1; n = next_length(n)) {
            uint8_t tag[AEAD_TAG], *out = place(a + n % 61, n), *back = place(b + n % 59, n), *own = place(t, AEAD_TAG);
            set_nonce(n);
            expected(c, n, theirs, tag);
            aead_seal(&k, nonce, head, HEAD, plain, n, out, own);
            CU_ASSERT_FATAL(memcmp(out, theirs, n) == 0 && memcmp(own, tag, AEAD_TAG) == 0);
            CU_ASSERT_FATAL(guarded(out - GUARD) && guarded(out + n) && guarded(t) && guarded(own + AEAD_TAG));
            CU_ASSERT_FATAL(aead_open(&k, nonce, head, HEAD, out, n, back, tag));
            CU_ASSERT_FATAL(memcmp(back, plain, n) == 0 && guarded(back - GUARD) && guarded(back + n));
            aead_seal(&k, nonce, head, HEAD, back, n, back, own);
            CU_ASSERT_FATAL(memcmp(back, theirs, n) == 0 && memcmp(own, tag, AEAD_TAG) == 0);
            CU_ASSERT_FATAL(aead_open(&k, nonce, head, HEAD, out, n, out, tag) && memcmp(out, plain, n) == 0);
            CU_ASSERT_FATAL(guarded(out - GUARD) && guarded(out + n) && guarded(back - GUARD) && guarded(back + n));
        }
        EVP_CIPHER_CTX_free(c);
        aead_wipe(&k);
    }
}

/* Cut anywhere, first evenly and then at random. */
static void test_pieces_are_as_the_whole(void)
{
    static uint8_t whole[MOST], out[MOST + 2 * GUARD];
    uint32_t seed = 3;
    for (unsigned i = 0; i < 3 * 700; i++) {
        struct aead k = {0};
        struct aead_run r;
        unsigned kind = i % KINDS, step = i / KINDS;
        size_t n = step < 300 ? 300 : 1 + (seed >> 8) % MOST, some;
        uint8_t tag[AEAD_TAG], own[AEAD_TAG], *to = place(out, n);
        set_nonce(i);
        CU_ASSERT_FATAL(aead_set(&k, kind, key));
        aead_seal(&k, nonce, head, HEAD, plain, n, whole, tag);
        aead_begin(&k, &r, nonce, head, HEAD);
        for (size_t at = 0; at < n; at += some) {
            seed = seed * 1664525 + 1013904223;
            some = step < 300 ? step + 1 : 1 + (seed >> 10) % (seed >> 31 ? 40 : 3000);
            some = some < n - at ? some : n - at;
            aead_go_on(&k, &r, plain + at, some, to + at);
            CU_ASSERT_FATAL(guarded(to - GUARD) && (at + some < n || guarded(to + n)));
        }
        aead_end(&k, &r, own);
        CU_ASSERT_FATAL(memcmp(to, whole, n) == 0 && memcmp(own, tag, AEAD_TAG) == 0);
        aead_wipe(&k);
    }
}

static void test_no_changed_bit_passes(void)
{
    enum { N = 70 };
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct aead k = {0};
        uint8_t sealed[HEAD + AEAD_NONCE + N + AEAD_TAG], out[N], *body = sealed + HEAD + AEAD_NONCE;
        CU_ASSERT_FATAL(aead_set(&k, kind, key));
        memcpy(sealed, head, HEAD);
        memcpy(sealed + HEAD, nonce, AEAD_NONCE);
        aead_seal(&k, nonce, head, HEAD, plain, N, body, body + N);
        for (unsigned bit = 0; bit <= 8 * sizeof sealed; bit++) {
            bool whole = bit == 8 * sizeof sealed;
            if (!whole)
                sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CU_ASSERT_EQUAL(aead_open(&k, sealed + HEAD, sealed, HEAD, body, N, out, body + N), whole);
            if (!whole)
                sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        aead_wipe(&k);
        CU_ASSERT(!k.key);
    }
}

/* RFC 8439 section 2.8.2. */
static void test_the_example_of_rfc_8439(void)
{
    static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                               "sunscreen would be it.";
    static const uint8_t of[AEAD_NONCE] = {7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
    static const uint8_t aad[] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    static const uint8_t begins[] = {0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb},
                         tag[] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
                                  0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};
    struct aead k = {0};
    uint8_t secret[AEAD_KEY_MOST], out[sizeof text], own[AEAD_TAG];
    for (unsigned i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)(0x80 + i);
    CU_ASSERT_FATAL(aead_set(&k, AEAD_CHACHA20_POLY1305, secret));
    aead_seal(&k, of, aad, sizeof aad, (const uint8_t *)text, sizeof text - 1, out, own);
    CU_ASSERT(memcmp(out, begins, sizeof begins) == 0 && memcmp(own, tag, sizeof tag) == 0);
    aead_wipe(&k);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_every_length_is_as_openssls), UNIT(test_pieces_are_as_the_whole),
                                             UNIT(test_no_changed_bit_passes), UNIT(test_the_example_of_rfc_8439),
                                             {NULL, NULL}};
    if (!aead_start())
        return 1;
    for (unsigned i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 2654435761u >> 24);
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * 37 + 11);
    return unit_main(argc, argv, "tls/aead", tests);
}
