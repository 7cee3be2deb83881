/* cpus.c: see cpus.h. */
#include "board/cpus.h"

#include <stdio.h>
#include <string.h>

unsigned cpus_next(const struct cpus *s, unsigned from)
{
    while (from < CPUS_MOST) {
        uint64_t rest = s->bit[from / 64] >> (from % 64);
        if (rest)
            return from + (unsigned)__builtin_ctzll(rest);
        from = (from / 64 + 1) * 64;
    }
    return CPUS_MOST;
}

unsigned cpus_count(const struct cpus *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CPUS_MOST / 64; i++)
        n += (unsigned)__builtin_popcountll(s->bit[i]);
    return n;
}

bool cpus_within(const struct cpus *b, const struct cpus *a)
{
    for (unsigned i = 0; i < CPUS_MOST / 64; i++)
        if (b->bit[i] & ~a->bit[i])
            return false;
    return true;
}

static bool take_number(const char **p, unsigned *n)
{
    const char *from = *p;
    for (*n = 0; **p >= '0' && **p <= '9' && *n < CPUS_MOST; ++*p)
        *n = *n * 10 + (unsigned)(**p - '0');
    return *p > from && *n < CPUS_MOST;
}

static bool parse(struct cpus *s, const char *p)
{
    if (*p == 0)
        return true;
    for (;; p++) {
        unsigned first, last;
        if (!take_number(&p, &first))
            return false;
        last = first;
        if (*p == '-') {
            p++;
            if (!take_number(&p, &last) || last < first)
                return false;
        }
        for (unsigned n = first; n <= last; n++)
            cpus_add(s, n);
        if (*p != ',')
            return *p == 0;
    }
}

bool cpus_parse(struct cpus *s, const char *text)
{
    char line[4096];
    size_t len = strcspn(text, "\n");
    memset(s, 0, sizeof *s);
    if (len < sizeof line && (text[len] == 0 || text[len + 1] == 0)) {
        memcpy(line, text, len);
        line[len] = 0;
        if (parse(s, line))
            return true;
    }
    memset(s, 0, sizeof *s);
    return false;
}

const char *cpus_print(const struct cpus *s, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (unsigned n = cpus_next(s, 0); n < CPUS_MOST && used < size; n = cpus_next(s, n + 1)) {
        unsigned first = n;
        while (cpus_has(s, n + 1))
            n++;
        used += (size_t)snprintf(text + used, size - used, n > first ? "%s%u-%u" : "%s%u", used ? "," : "",
                                 first, n);
    }
    return text;
}
