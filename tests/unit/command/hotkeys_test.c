/* hotkeys_test.c: the counts of hot keys (command/hotkeys.c): who is found, how exact the figures are, and
 * how what was hot fades away. */
#include "command/hotkeys.h"
#include "engine.h"
#include "unit.h"

#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 1000000, SHOWN = 20, SECOND = 1000000 };

static struct hotkeys h;
static struct hot_key top[SHOWN], total;
static uint64_t now_us, random_state;

static double uniform(void) /* splitmix64 */
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

static void begin(uint64_t seed)
{
    random_state = seed;
    now_us = 5 * SECOND;
    hotkeys_init(&h, seed, now_us);
}

static void count(unsigned number, bool write)
{
    char name[24];
    int n = snprintf(name, sizeof name, "key:%u", number);
    struct slice s = {(const uint8_t *)name, (size_t)n};
    hotkeys_count(&h, 0, s, key_hash(s, 42), write, h.gap);
}

/* The next request that is looked at, at so many requests a second. */
static void next_sample(double rate)
{
    now_us += (uint64_t)(hotkeys_next(&h, now_us) * (SECOND / rate));
}

/* Where a key stands in the list, from 0; SHOWN: nowhere. */
static unsigned place(unsigned number)
{
    char name[24];
    unsigned n = hotkeys_top(&h, now_us, top, SHOWN, &total),
             len = (unsigned)snprintf(name, sizeof name, "key:%u", number);
    for (unsigned i = 0; i < n; i++)
        if (top[i].name->len == len && memcmp(top[i].name->text, name, len) == 0)
            return i;
    return SHOWN;
}

/* Cumulative probabilities of a zipf distribution. */
static double *zipf(double s)
{
    double *sum = malloc(KEYS * sizeof *sum), all = 0;
    for (unsigned i = 0; i < KEYS; i++)
        sum[i] = all += pow(i + 1, -s);
    for (unsigned i = 0; i < KEYS; i++)
        sum[i] /= all;
    return sum;
}

static unsigned draw(const double *sum)
{
    double u = uniform();
    unsigned low = 0, high = KEYS - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (sum[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void test_the_ten_hottest_of_a_million_are_found(void)
{
    double *sum = zipf(0.99), rate = 1e6;
    for (unsigned seed = 1; seed <= 3; seed++) {
        begin(seed);
        for (uint64_t end = now_us + 40 * SECOND; now_us < end; next_sample(rate))
            count(draw(sum), uniform() < 0.25);
        for (unsigned i = 0; i < 10; i++) {
            unsigned at = place(i);
            double is = sum[i] - (i ? sum[i - 1] : 0),
                   seen = at < SHOWN ? (top[at].reads + top[at].writes) / rate : 0;
            CU_ASSERT(at < 13);
            CU_ASSERT(fabs(seen / is - 1) < 0.15);
            CU_ASSERT(at == SHOWN || fabs(top[at].writes / (top[at].reads + top[at].writes) - 0.25) < 0.06);
            if (at >= 13 || fabs(seen / is - 1) >= 0.15)
                printf("# seed %u: key %u stands at %u, seen %.5f is %.5f\n", seed, i, at, seen, is);
        }
        CU_ASSERT(fabs((total.reads + total.writes) / rate - 1) < 0.02);
    }
    free(sum);
}

static void test_a_new_hot_key_is_seen_at_once_and_an_old_one_fades(void)
{
    double *sum = zipf(0.6), rate = 2e5;
    begin(7);
    unsigned hot = 500000;
    for (uint64_t end = now_us + 60 * SECOND; now_us < end; next_sample(rate))
        count(uniform() < 0.1 ? hot : draw(sum), false);
    CU_ASSERT_EQUAL(place(hot), 0);
    unsigned next = 600000;
    for (uint64_t end = now_us + 2 * SECOND; now_us < end; next_sample(rate))
        count(uniform() < 0.1 ? next : draw(sum), false);
    CU_ASSERT(place(next) <= 1);
    for (uint64_t end = now_us + 28 * SECOND; now_us < end; next_sample(rate))
        count(uniform() < 0.1 ? next : draw(sum), false);
    CU_ASSERT_EQUAL(place(next), 0);
    for (uint64_t end = now_us + 400 * SECOND; now_us < end; next_sample(rate / 10))
        count(draw(sum), false);
    CU_ASSERT(place(hot) == SHOWN);
    free(sum);
}

static void test_of_few_requests_each_is_looked_at(void)
{
    begin(3);
    for (unsigned i = 0; i < 100; i++) /* ten a second */
        next_sample(10);
    CU_ASSERT_EQUAL(h.gap, 1);
    for (unsigned i = 0; i < 100; i++) {
        count(i % 2 ? 1 : 1000 + i, false);
        now_us += SECOND / 10;
    }
    CU_ASSERT_EQUAL(place(1), 0);
    for (unsigned i = 0; i < 1000; i++) /* and then very many */
        next_sample(1e6);
    CU_ASSERT_EQUAL(h.gap, HOT_GAP);
}

static void test_an_idle_box_forgets(void)
{
    begin(4);
    count(1, true);
    now_us += SECOND;
    CU_ASSERT_EQUAL(place(1), 0);
    now_us += 3600ull * SECOND;
    CU_ASSERT_EQUAL(place(1), SHOWN);
    CU_ASSERT_EQUAL(total.reads + total.writes, 0);
    count(2, true);
    now_us += SECOND;
    CU_ASSERT_EQUAL(place(2), 0);
}

/* A request as the worker has it. */
static void sample(struct engine *e, const char *line)
{
    static struct slice argv[600];
    struct request rq;
    char words[4096], *state;
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &state); w; w = strtok_r(NULL, " ", &state))
        argv[argc++] = slice_str(w);
    command_prepare(&rq, &e->env, e->client, argc, argv);
    hotkeys_sample(&h, &rq);
}

static unsigned shown(struct engine *e, const char *name, bool write)
{
    unsigned n = hotkeys_top(&h, e->env.now_us, top, SHOWN, &total);
    for (unsigned i = 0; i < n; i++)
        if (top[i].name->len == strlen(name) && memcmp(top[i].name->text, name, top[i].name->len) == 0)
            return (write ? top[i].writes : top[i].reads) > 0;
    return false;
}

static void test_what_a_request_counts(void)
{
    struct engine *e = engine_new(NULL);
    e->env.now_us = 10 * SECOND;
    hotkeys_init(&h, 9, SECOND);
    engine_cmd(e, "PING");
    sample(e, "GET a");
    CU_ASSERT(shown(e, "a", false) && !shown(e, "a", true));
    sample(e, "SET b 1");
    CU_ASSERT(shown(e, "b", true) && !shown(e, "b", false));
    sample(e, "COPY c d");
    CU_ASSERT(shown(e, "c", false) && shown(e, "d", true) && !shown(e, "c", true));
    sample(e, "MGET m1 m2 m3");
    CU_ASSERT(shown(e, "m1", false) && shown(e, "m3", false));
    uint64_t before = h.reads + h.writes;
    sample(e, "PING");
    sample(e, "NOSUCH x");
    sample(e, "GET");
    sample(e, "OBJECT HELP");
    CU_ASSERT_EQUAL(h.reads + h.writes, before);
    char many[4000] = "MGET";
    for (unsigned i = 0; i < 500; i++)
        sprintf(many + strlen(many), " n%u", i);
    sample(e, many);
    CU_ASSERT(h.reads + h.writes > before + 499ull * h.gap && h.reads + h.writes <= before + 500ull * h.gap);
    engine_free(e);
}

static void test_strangers_count_nothing(void)
{
    struct engine *e = engine_new("requirepass secret\n");
    e->env.now_us = 10 * SECOND;
    hotkeys_init(&h, 9, SECOND);
    sample(e, "GET a");
    CU_ASSERT_EQUAL(h.reads, 0);
    engine_cmd(e, "AUTH secret");
    sample(e, "GET a");
    CU_ASSERT(h.reads > 0);
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_the_ten_hottest_of_a_million_are_found),
                                             UNIT(test_a_new_hot_key_is_seen_at_once_and_an_old_one_fades),
                                             UNIT(test_of_few_requests_each_is_looked_at),
                                             UNIT(test_an_idle_box_forgets),
                                             UNIT(test_what_a_request_counts),
                                             UNIT(test_strangers_count_nothing),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/hotkeys", tests);
}
