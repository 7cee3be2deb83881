/* facts.c: a small table with one writer. A text is a row of words under a version that is odd while they
 * change (a sequence lock; Boehm, 2012, "Can seqlocks get along with programming language memory models?"): a
 * reader copies them and looks again if it was interrupted. */
#include "facts.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FACTS = 64, FACT_NAME = 48, FACT_TEXT = 256, WORDS = FACT_TEXT / 8, TRIES = 1000 };

static struct fact {
    char name[FACT_NAME];
    _Atomic(unsigned) version;
    _Atomic(uint64_t) word[WORDS];
} fact[FACTS];
static _Atomic(unsigned) facts;

static struct fact *find(const char *name)
{
    unsigned n = atomic_load_explicit(&facts, memory_order_acquire);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(fact[i].name, name) == 0)
            return &fact[i];
    return NULL;
}

static void store(struct fact *f, const char *value)
{
    uint64_t words[WORDS] = {0};
    snprintf((char *)words, sizeof words, "%s", value);
    unsigned version = atomic_load_explicit(&f->version, memory_order_relaxed);
    atomic_store_explicit(&f->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (unsigned i = 0; i < WORDS; i++)
        atomic_store_explicit(&f->word[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&f->version, version + 2, memory_order_release);
}

/* False: it changed meanwhile. */
static bool load(struct fact *f, uint64_t words[WORDS])
{
    unsigned before = atomic_load_explicit(&f->version, memory_order_acquire);
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = atomic_load_explicit(&f->word[i], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return !(before & 1) && atomic_load_explicit(&f->version, memory_order_relaxed) == before;
}

void fact_set(const char *name, const char *value)
{
    struct fact *f = find(name);
    unsigned n = atomic_load(&facts);
    if (f) {
        store(f, value);
    } else if (n < FACTS) {
        snprintf(fact[n].name, sizeof fact[n].name, "%s", name);
        store(&fact[n], value);
        atomic_store_explicit(&facts, n + 1, memory_order_release);
    }
}

const char *fact_get(const char *name)
{
    static _Thread_local uint64_t copy[FACTS][WORDS];
    struct fact *f = find(name);
    uint64_t words[WORDS];
    if (!f)
        return NULL;
    /* A writer that the scheduler has stopped half-way is not waited for: the last text that was seen is as
     * good. */
    for (unsigned i = 0; i < TRIES; i++)
        if (load(f, words))
            return memcpy(copy[f - fact], words, sizeof words);
    return (const char *)copy[f - fact];
}
