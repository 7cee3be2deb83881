/* main.c: plays one trace against one cache and prints a line of JSON; tests/bench/eviction calls it.
 *     evictsim ours|redis TRACE POLICY BYTES KEYS REQUESTS [RATE | PORT]
 * BYTES: maxmemory (ours), KEYS: of the trace's skewed part, RATE: requests a second of the simulated clock.
 *     evictsim fill TRACE - 0 KEYS 0 PORT
 * stores KEYS keys in a redis-server, one after the other. */
#include "party.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 10, TTL_MS = 7200000 };

static bool fill(struct party *p, uint64_t keys)
{
    uint64_t key[BATCH];
    for (uint64_t at = 0; at < keys;) {
        unsigned n = 0;
        while (n < BATCH && at < keys)
            key[n++] = at++;
        if (!p->set(p->self, key, n, 0))
            return false;
    }
    return true;
}

static void print(const struct result *r)
{
    printf("{\"hit_ratio\": %.5f, \"keys\": %llu, \"used\": %llu, \"evicted\": %llu, \"seconds\": %.2f}\n",
           r->asked ? (double)r->hits / (double)r->asked : 0, (unsigned long long)r->keys,
           (unsigned long long)r->used, (unsigned long long)r->evicted, r->seconds);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: evictsim ours|redis|fill TRACE POLICY BYTES KEYS REQUESTS RATE|PORT\n");
        return 2;
    }
    uint64_t bytes = strtoull(argv[4], NULL, 10), keys = strtoull(argv[5], NULL, 10);
    uint64_t requests = strtoull(argv[6], NULL, 10), number = strtoull(argv[7], NULL, 10);
    bool ours = strcmp(argv[1], "ours") == 0, is_volatile = strncmp(argv[3], "volatile", 8) == 0;
    struct party p;
    struct trace t = {0};
    struct result r = {0};
    if (!(ours ? party_ours(&p, argv[3], bytes, SAMPLES, number) : party_redis(&p, (unsigned)number))) {
        fprintf(stderr, "evictsim: no such cache\n");
        return 1;
    }
    bool ok;
    if (strcmp(argv[1], "fill") == 0)
        ok = fill(&p, keys) && p.facts(p.self, &r.keys, &r.used, &r.evicted);
    else
        ok = trace_open(&t, argv[2], (uint32_t)keys, requests) && play(&p, &t, is_volatile ? TTL_MS : 0, &r);
    if (ok)
        print(&r);
    else
        fprintf(stderr, "evictsim: %s %s %s failed\n", argv[1], argv[2], argv[3]);
    trace_close(&t);
    p.close(p.self);
    return !ok;
}
