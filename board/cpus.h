/* cpus.h: sets of CPU (or node) numbers, and the kernel's notation of them: "0-3,8,10-11"
 * (https://docs.kernel.org/admin-guide/kernel-parameters.html, "<cpu list>"). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CPUS_MOST = 1024 };

struct cpus {
    uint64_t bit[CPUS_MOST / 64];
};

static inline bool cpus_has(const struct cpus *s, unsigned n)
{
    return n < CPUS_MOST && s->bit[n / 64] >> (n % 64) & 1;
}

static inline void cpus_add(struct cpus *s, unsigned n)
{
    if (n < CPUS_MOST)
        s->bit[n / 64] |= 1ULL << (n % 64);
}

static inline void cpus_remove(struct cpus *s, unsigned n)
{
    if (n < CPUS_MOST)
        s->bit[n / 64] &= ~(1ULL << (n % 64));
}

/* The least number >= from, CPUS_MOST if there is none: for (c = cpus_next(s, 0); c < CPUS_MOST; c =
 * cpus_next(s, c + 1)). */
unsigned cpus_next(const struct cpus *s, unsigned from);
unsigned cpus_count(const struct cpus *s);
/* Has a all that b has? */
bool cpus_within(const struct cpus *b, const struct cpus *a);

/* Reads a list, with or without a newline at its end; "" is the empty set. False, and the set is empty, if it
 * is no such list or has a number >= CPUS_MOST. */
bool cpus_parse(struct cpus *s, const char *text);
/* Writes it in the kernel's notation, cut to size bytes. Returns text. */
const char *cpus_print(const struct cpus *s, char *text, size_t size);
