/* memory.c: OpenSSL's memory. Buffers of records come and go with each record, so that an idle connection has
 * none: they are kept by thread, by size, a bounded number of each, and cost no call of the heap. */
#include "tls/private.h"

#include <openssl/crypto.h>

#include <stdlib.h>

struct block { /* before each piece of memory */
    size_t size;
    struct block *next; /* when it is kept */
};
_Static_assert(sizeof(struct block) == 16, "what follows is aligned as malloc aligns");

/* Sizes beyond what the heap keeps by thread itself. A record and what is around it is a little more than 16
 * KiB. */
enum { SIZES = 4, LEAST = 1008 };
static const struct {
    size_t bytes;
    unsigned kept;
} sizes[SIZES] = {{2048, 64}, {4096, 32}, {8192, 16}, {17408, 16}};

struct shelf {
    struct block *first;
    unsigned n;
};
static __thread struct shelf shelf[SIZES];
static __thread int64_t in_use;

#if defined(__SANITIZE_ADDRESS__)
static const bool keeps = false; /* so that the sanitizer sees every use after free */
#else
static const bool keeps = true;
#endif

static int shelf_of(size_t n)
{
    if (n < LEAST || !keeps)
        return -1;
    for (int i = 0; i < SIZES; i++)
        if (n <= sizes[i].bytes)
            return i;
    return -1;
}

static void *take(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    int i = shelf_of(n);
    struct block *b = i < 0 ? NULL : shelf[i].first;
    if (n == 0)
        return NULL;
    if (b) {
        shelf[i].first = b->next;
        shelf[i].n--;
    } else {
        size_t size = i < 0 ? n : sizes[i].bytes;
        b = size > SIZE_MAX - sizeof *b ? NULL : malloc(sizeof *b + size);
        if (!b)
            return NULL;
        b->size = size;
    }
    in_use += (int64_t)b->size;
    return b + 1;
}

static void give(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (!p)
        return;
    struct block *b = (struct block *)p - 1;
    int i = shelf_of(b->size);
    in_use -= (int64_t)b->size;
    if (i < 0 || sizes[i].bytes != b->size || shelf[i].n >= sizes[i].kept) {
        free(b);
        return;
    }
    b->next = shelf[i].first;
    shelf[i].first = b;
    shelf[i].n++;
}

static void *retake(void *p, size_t n, const char *file, int line)
{
    if (!p)
        return take(n, file, line);
    struct block *b = (struct block *)p - 1;
    if (n == 0) {
        give(p, file, line);
        return NULL;
    }
    if (n <= b->size && n > b->size / 2)
        return p;
    void *q = take(n, file, line);
    if (!q)
        return NULL;
    memcpy(q, p, n < b->size ? n : b->size);
    give(p, file, line);
    return q;
}

void *memory_take_aligned(size_t n, size_t alignment)
{
    void *p = aligned_alloc(alignment, n);
    if (p)
        in_use += (int64_t)n;
    return p;
}

void memory_give_aligned(void *p, size_t n)
{
    if (p)
        in_use -= (int64_t)n;
    free(p);
}

int64_t tls_memory(void)
{
    return in_use;
}

void tls_memory_trim(void)
{
    for (unsigned i = 0; i < SIZES; i++)
        for (struct block *b = shelf[i].first, *next; b; b = next) {
            next = b->next;
            free(b);
        }
    memset(shelf, 0, sizeof shelf);
}

bool tls_start(void)
{
    CRYPTO_set_mem_functions(take, retake,
                             give); /* refused when OpenSSL has run already: then it is the heap */
    return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 && connection_start() &&
           record_start();
}
