/* seal_bench.c: what sealing and opening a record costs a core: OpenSSL's cipher contexts beside the dataplane's own
 * ciphers (tls/aead.h), per suite and length, the shortest of several runs.
 *
 *     seal_bench [THREADS]     (so many at once: what they cost each other; the slowest one's time is shown) */
#include "measure.h"
#include "tls/tls.h"
#include "tls/record.h"

#include <openssl/evp.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 3, WAYS = 4, LENGTHS = 4, MOST = 16384, RUNS = 7, THREADS_MOST = 64, FRAME = 1448 };

static const char *const kinds[KINDS] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
static const char *const ways[WAYS] = {"OpenSSL seals", "seal", "seal in frames", "open"};
static const size_t lengths[LENGTHS] = {27, 72, 1400, MOST};
static const uint8_t key[AEAD_KEY_MOST];

struct bench { /* of one thread */
    pthread_t thread;
    double ns[KINDS][WAYS][LENGTHS], expands[KINDS];
    struct aead aead;
    EVP_CIPHER_CTX *theirs;
    uint8_t plain[MOST], sealed[MOST], opened[MOST], tag[AEAD_TAG], nonce[AEAD_NONCE], head[RECORD_HEAD];
};
static pthread_barrier_t barrier;

static void theirs(struct bench *b, size_t n)
{
    int len;
    EVP_CipherInit_ex(b->theirs, NULL, NULL, NULL, b->nonce, -1);
    EVP_CipherUpdate(b->theirs, NULL, &len, b->head, RECORD_HEAD);
    EVP_CipherUpdate(b->theirs, b->sealed, &len, b->plain, (int)n);
    EVP_CipherFinal_ex(b->theirs, b->sealed, &len);
    EVP_CIPHER_CTX_ctrl(b->theirs, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, b->tag);
}

static void in_frames(struct bench *b, size_t n)
{
    struct aead_run r;
    aead_begin(&b->aead, &r, b->nonce, b->head, RECORD_HEAD);
    for (size_t at = 0, some = FRAME - RECORD_HEAD; at < n; at += some, some = FRAME)
        aead_go_on(&b->aead, &r, b->plain + at, some < n - at ? some : n - at, b->sealed + at);
    aead_end(&b->aead, &r, b->tag);
}

static void act(struct bench *b, unsigned way, size_t n)
{
    if (way == 0)
        theirs(b, n);
    else if (way == 1)
        aead_seal(&b->aead, b->nonce, b->head, RECORD_HEAD, b->plain, n, b->sealed, b->tag);
    else if (way == 2)
        in_frames(b, n);
    else if (!aead_open(&b->aead, b->nonce, b->head, RECORD_HEAD, b->sealed, n, b->opened, b->tag))
        abort();
}

static double measure(struct bench *b, unsigned way, size_t n)
{
    unsigned times = n > 1000 ? 3000 : 60000;
    double best = 1e18;
    for (unsigned run = 0; run < RUNS; run++) {
        pthread_barrier_wait(&barrier);
        double begin = now_ns();
        for (unsigned i = 0; i < times; i++)
            act(b, way, n);
        double ns = (now_ns() - begin) / times;
        best = ns < best ? ns : best;
    }
    return best;
}

static double expanding(struct bench *b, unsigned kind)
{
    double begin = now_ns();
    for (unsigned i = 0; i < 10000; i++) {
        aead_wipe(&b->aead);
        aead_set(&b->aead, (enum aead_kind)kind, key);
    }
    return (now_ns() - begin) / 10000;
}

static void *run(void *arg)
{
    struct bench *b = arg;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, kinds[kind], NULL);
        b->theirs = EVP_CIPHER_CTX_new();
        EVP_CipherInit_ex2(b->theirs, cipher, key, b->nonce, 1, NULL);
        b->expands[kind] = expanding(b, kind);
        for (unsigned i = 0; i < LENGTHS; i++)
            for (unsigned way = 0; way < WAYS; way++)
                b->ns[kind][way][i] = measure(b, way, lengths[i]);
        EVP_CIPHER_CTX_free(b->theirs);
        EVP_CIPHER_free(cipher);
    }
    aead_wipe(&b->aead);
    return NULL;
}

static double slowest(const struct bench *b, unsigned n, size_t offset)
{
    double most = 0;
    for (unsigned i = 0; i < n; i++) {
        double ns = *(const double *)((const char *)(b + i) + offset);
        most = ns > most ? ns : most;
    }
    return most;
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    struct bench *b = n && n <= THREADS_MOST ? calloc(n, sizeof *b) : NULL;
    if (!b || !tls_start())
        return 1;
    pthread_barrier_init(&barrier, NULL, n);
    for (unsigned i = 0; i < n; i++)
        pthread_create(&b[i].thread, NULL, run, b + i);
    for (unsigned i = 0; i < n; i++)
        pthread_join(b[i].thread, NULL);
    printf("ns a record of so many bytes");
    for (unsigned i = 0; i < LENGTHS; i++)
        printf(" %8zu", lengths[i]);
    printf("   GB/s\n");
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned way = 0; way < WAYS; way++) {
            printf("%-17s %-14s", kinds[kind], ways[way]);
            for (unsigned i = 0; i < LENGTHS; i++)
                printf(" %8.0f", slowest(b, n, (size_t)((char *)&b->ns[kind][way][i] - (char *)b)));
            printf(" %6.2f\n", MOST / slowest(b, n, (size_t)((char *)&b->ns[kind][way][LENGTHS - 1] - (char *)b)));
        }
        printf("%-17s a key is expanded and wiped in %.0f ns\n", kinds[kind], b->expands[kind]);
    }
    free(b);
    return 0;
}
