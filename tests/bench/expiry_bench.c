/* expiry_bench.c: keys that all expire in the same second, among as many that stay: how long the longest
 * slice of upkeep takes, while look-ups go on between the slices. expiry_bench [million keys = 1] [budget of
 * a slice = 64] */
#include "store/shard.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { KEY = 16, VALUE = 64, LOOKUPS = 32, MILLION = 1000000 };

/* Of this thread: what others take of the core is not ours to answer for. */
static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static long page_faults(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? u.ru_minflt : 0;
}

static struct key key_number(const struct keyspace *ks, uint64_t n, uint8_t text[KEY])
{
    memcpy(text, "key:", 4);
    for (unsigned i = KEY - 1; i >= 4; i--, n /= 10)
        text[i] = (uint8_t)('0' + n % 10);
    return keyspace_key(ks, (struct slice){text, KEY});
}

static void fill(const struct keyspace *ks, struct shard *s, uint64_t keys)
{
    static const uint8_t value[VALUE];
    uint8_t text[KEY];
    for (uint64_t i = 0; i < 2 * keys; i++) {
        struct key k = key_number(ks, i, text);
        uint64_t expire_at = i % 2 ? 0 : shard_time(s) + 3600000 + i / 2 % 1000;
        if (store_set_string(s, 0, &k, (struct slice){value, VALUE}, expire_at, 0) != STORE_OK)
            exit(1);
    }
}

/* Slices by their length in microseconds; the last counts all that are longer. */
static unsigned slices[1024];

/* The length below which that share of the slices is. */
static unsigned quantile(double share, uint64_t all)
{
    uint64_t seen = 0;
    unsigned us = 0;
    while (us < 1023 && (double)(seen += slices[us]) < share * (double)all)
        us++;
    return us;
}

int main(int argc, char **argv)
{
    uint64_t keys = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1) * MILLION, found = 0, count = 0;
    unsigned budget = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 64;
    struct counters counters = {{0}}, *list[] = {&counters};
    struct config conf = {.databases = 16, .workers = 1, .arena_size = keys * 400 + (64 << 20)};
    char error[200];
    uint8_t text[KEY];
    int node = -1;
    struct keyspace *ks = keyspace_new(&conf, &node, 7, list, error, sizeof error);
    if (!ks || budget == 0) {
        fprintf(stderr, "expiry_bench: %s\n", ks ? "budget is 0" : error);
        return 1;
    }
    struct shard *s = ks->shard[0];
    shard_set_time(s, 1700000000000);
    fill(ks, s, keys);
    while (shard_upkeep(s, 100000))
        ;
    shard_set_time(s, shard_time(s) + 3602000);
    double longest = 0, faulting = 0,
           sum = 0; /* in `faulting` ones the kernel cleared a page for the arena */
    bool more = true;
    while (more) {
        long faults = page_faults();
        double start = now_us();
        more = shard_upkeep(s, budget);
        double took = now_us() - start, *worst = page_faults() == faults ? &longest : &faulting;
        slices[took < 1023 ? (unsigned)took : 1023]++;
        *worst = took > *worst ? took : *worst;
        sum += took;
        count++;
        for (unsigned i = 0; i < LOOKUPS; i++) {
            struct key k = key_number(ks, (count * LOOKUPS + i) * 7919 % (2 * keys) | 1, text);
            found += store_find(s, 0, &k, LOOK_READ) != NULL;
        }
    }
    printf("%llu of %llu keys expired in one second, %llu slices of %u: %.0f ns a key; slice mean %.1f us, "
           "99 %% below %u us, 99.9 %% below %u us, longest %.1f us (with a page fault %.1f us)\n",
           (unsigned long long)counters.v[COUNTER_expired_keys], (unsigned long long)(2 * keys),
           (unsigned long long)count, budget, sum * 1000 / (double)keys, sum / (double)count,
           quantile(0.99, count) + 1, quantile(0.999, count) + 1, longest, faulting);
    bool right = counters.v[COUNTER_expired_keys] == keys && found == count * LOOKUPS;
    keyspace_free(ks);
    return !right;
}
