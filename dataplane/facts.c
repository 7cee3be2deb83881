/* facts.c: a small table with one writer: a value is written beside the old one, then shown. */
#include "facts.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { FACTS = 64, FACT_NAME = 48, FACT_TEXT = 256 };

static struct fact {
    char name[FACT_NAME];
    char text[2][FACT_TEXT];
    _Atomic(int) shown;
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

void fact_set(const char *name, const char *value)
{
    struct fact *f = find(name);
    unsigned n = atomic_load(&facts);
    if (!f && n == FACTS)
        return;
    if (!f) {
        f = &fact[n];
        snprintf(f->name, sizeof f->name, "%s", name);
        snprintf(f->text[0], sizeof f->text[0], "%s", value);
        atomic_store_explicit(&facts, n + 1, memory_order_release);
        return;
    }
    int other = !atomic_load(&f->shown);
    snprintf(f->text[other], sizeof f->text[other], "%s", value);
    atomic_store_explicit(&f->shown, other, memory_order_release);
}

const char *fact_get(const char *name)
{
    struct fact *f = find(name);
    return f ? f->text[atomic_load_explicit(&f->shown, memory_order_acquire)] : NULL;
}
