/* hop_test.c: pipelines of requests for another worker's shard: they hop in rows, and nobody can tell. */
#undef _FORTIFY_SOURCE /* formats that leave out arguments (%1$s alone) end a program with it */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT = 1 << 20 };

static struct box_rig rig;
static const char *const two[] = {"workers", "2", NULL};
static char request[TEXT], expected[TEXT];

static uint64_t messages(void)
{
    return rig.counters.v[COUNTER_hops_sent] + rig.second_counters.v[COUNTER_hops_sent];
}

static uint64_t stops(void)
{
    return rig.counters.v[COUNTER_barriers] + rig.second_counters.v[COUNTER_barriers];
}

static void test_a_pipeline_for_one_worker_hops_in_rows(void)
{
    enum { REQUESTS = 100, BATCH = 32 };
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    char *to = request, *say = expected;
    for (int i = 0; i < REQUESTS; i++) {
        to += sprintf(to, "*2\r\n$4\r\nINCR\r\n$%zu\r\n%s\r\n", strlen(rig_key(&rig, 1, 0)), rig_key(&rig, 1, 0));
        say += sprintf(say, ":%d\r\n", i + 1);
    }
    uint64_t before = messages();
    CU_ASSERT_TRUE(rig_says(&rig, c, request, expected));
    /* In two frames, which may arrive apart. */
    CU_ASSERT_TRUE(messages() - before <= 2 * (REQUESTS / BATCH + 4));
    CU_ASSERT_EQUAL(stops(), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* What makes the owner leave off in the middle of a row: many elements, an error, other types, much to reply. */
static void test_a_row_goes_on_behind_what_interrupts_it(void)
{
    enum { ELEMENTS = 20000, LARGE = 3000 };
    static char large[LARGE + 1];
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    const char *there = rig_key(&rig, 1, 0), *here = rig_key(&rig, 0, 0);
    memset(large, 'x', LARGE);
    char *to = request, *say = expected;
    to += sprintf(to, "*%d\r\n$5\r\nRPUSH\r\n$%zu\r\n{%s}l\r\n", ELEMENTS + 2, strlen(there) + 3, there);
    for (int i = 0; i < ELEMENTS; i++)
        to += sprintf(to, "$1\r\ne\r\n");
    say += sprintf(say, ":%d\r\n", ELEMENTS);
    CU_ASSERT_TRUE(rig_says(&rig, c, request, expected));
    to = request, say = expected;
    for (int i = 0; i < 3; i++) {
        to += sprintf(to, "SET %s %s\r\nGET {%s}l\r\nLRANGE {%s}l 0 -1\r\nINCR %s\r\n", there, large, there, there, there);
        say += sprintf(say, "+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n*%d\r\n", ELEMENTS);
        for (int k = 0; k < ELEMENTS; k++)
            say += sprintf(say, "$1\r\ne\r\n");
        say += sprintf(say, "-ERR value is not an integer or out of range\r\n");
        for (int k = 0; k < 12; k++) {
            to += sprintf(to, "GET %s\r\n", there);
            say += sprintf(say, "$%d\r\n%s\r\n", LARGE, large);
        }
        to += sprintf(to, "GET\r\nNONSENSE %s\r\nSET %s 1\r\nDEL %s\r\nDEL %s\r\n", there, here, here, there);
        say += sprintf(say, "-ERR wrong number of arguments for 'get' command\r\n-ERR unknown command 'NONSENSE', with args "
                            "beginning with: '%s' \r\n+OK\r\n:1\r\n:1\r\n", there);
    }
    CU_ASSERT_TRUE(rig_says(&rig, c, request, expected));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* A client that tracks the key is told between two requests of a row. */
static void test_who_tracks_is_told_in_the_middle_of_a_row(void)
{
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *reader = rig_connect(&rig, 1);
    char key[64];
    snprintf(key, sizeof key, "%s", rig_key(&rig, 1, 0));
    snprintf(request, sizeof request, "HELLO 3\r\nCLIENT TRACKING ON\r\nGET %s\r\n", key);
    rig_exchange(&rig, reader, request, strlen(request), 0);
    rig_run(&rig, 5000);
    reader->got_len = 0;
    snprintf(request, sizeof request, "SET %1$s 1\r\nGET %1$s\r\nGET %1$s\r\nINCR %1$s\r\n", key);
    CU_ASSERT_TRUE(rig_says(&rig, c, request, "+OK\r\n$1\r\n1\r\n$1\r\n1\r\n:2\r\n"));
    rig_run(&rig, 5000);
    snprintf(expected, sizeof expected, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$%zu\r\n%s\r\n", strlen(key), key);
    CU_ASSERT_EQUAL(reader->got_len, strlen(expected));
    CU_ASSERT_EQUAL(memcmp(reader->got, expected, strlen(expected)), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_client_vanishes_while_a_row_is_away(void)
{
    rig_start(&rig, two, NULL);
    for (unsigned us = 0; us < 1000; us += 50) {
        struct rig_client *c = rig_connect(&rig, 0);
        size_t len = 0;
        for (int i = 0; i < 40; i++)
            len += (size_t)sprintf(request + len, "INCR %s\r\n", rig_key(&rig, i % 7 != 0, (unsigned)i % 3));
        c->to_send = (const uint8_t *)request;
        c->to_send_len = len;
        rig_run(&rig, us + 50);
        tcp_abort(c->conn, rig.now_us);
        c->conn = NULL;
        rig_run(&rig, 5000);
        CU_ASSERT_EQUAL(atomic_load(&rig.box.clients), 0);
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- the same pipelines to one worker and to two
 * ------------------------------------------------------------------------------------------------------- */

static uint64_t state;

static unsigned draw(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

/* One request; most are for few keys, so that rows come about and see each other's results. */
static size_t put(char *to, char keys[2][4][16], unsigned *shard)
{
    static const char *const forms[] = {"GET %s\r\n", "GET %s\r\n", "GET %s\r\n", "SET %s v\r\n", "INCR %s\r\n", "APPEND %s abc\r\n",
                                        "DEL %s\r\n", "STRLEN %s\r\n", "LPUSH {%s}l a b\r\n", "LRANGE {%s}l 0 5\r\n", "GET {%s}l\r\n",
                                        "HSET {%s}h f 1\r\n", "HGETALL {%s}h\r\n", "EXISTS %s\r\n", "BLPOP {%s}l 1\r\n", "GETRANGE %s\r\n",
                                        "EVAL return(redis.call([[get]],KEYS[1])) 1 %s\r\n", "\"GET\" '%s'\r\n"};
    static const char *const others[] = {"PING\r\n", "MULTI\r\n", "EXEC\r\n", "SELECT 1\r\n", "SELECT 0\r\n", "HELLO 3\r\n", "HELLO 2\r\n",
                                         "CLIENT REPLY SKIP\r\n", "DBSIZE\r\n", "WATCH a\r\n", "DISCARD\r\n", "NO SUCH\r\n"};
    if (draw(25) == 0)
        return (size_t)sprintf(to, "%s", others[draw(sizeof others / sizeof *others)]);
    if (draw(5) == 0)
        *shard = draw(2);
    const char *form = forms[draw(sizeof forms / sizeof *forms)], *key = keys[*shard][draw(4)];
    char line[128];
    if (draw(2) || strchr(form, '"') || strchr(form, '(') || draw(8) == 0)
        return (size_t)sprintf(to, form, key);
    int n = sprintf(line, form, key), words = 1;
    size_t len = 0;
    line[n - 2] = 0;
    for (const char *p = line; *p; p++)
        words += *p == ' ';
    len += (size_t)sprintf(to, "*%d\r\n", words);
    for (char *save, *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
        len += (size_t)sprintf(to + len, "$%zu\r\n%s\r\n", strlen(word), word);
    return len;
}

/* Sends the pipeline in pieces; returns what came until nothing more did. */
static size_t play(const char *const *pairs, size_t len, uint64_t seed, char *out, bool *whole)
{
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "CLIENT SETNAME me\r\n", "+OK\r\n"));
    c->got_len = 0;
    state = seed;
    for (size_t at = 0, n; at < len; at += n) {
        n = 1 + draw(draw(3) ? 400 : 40);
        n = n < len - at ? n : len - at;
        c->to_send = (const uint8_t *)request + at;
        c->to_send_len = n;
        c->sent = 0;
        rig_run(&rig, draw(4) ? 200 + draw(300) : 20);
        for (int i = 0; c->sent < c->to_send_len && i < 1000; i++)
            rig_run(&rig, 1000);
    }
    for (size_t before = SIZE_MAX; before != c->got_len;) { /* a BLPOP waits for a second */
        before = c->got_len;
        rig_run(&rig, 1500000);
    }
    size_t got = c->got_len < TEXT ? c->got_len : TEXT;
    memcpy(out, c->got, got);
    *whole = rig_stop(&rig);
    return got;
}

static void test_random_pipelines_say_what_one_worker_says(void)
{
    static char one_says[TEXT], two_say[TEXT], keys[2][4][16];
    static const char *const one[] = {"workers", "1", NULL};
    rig_start(&rig, two, NULL);
    for (unsigned shard = 0; shard < 2; shard++)
        for (unsigned i = 0; i < 4; i++)
            snprintf(keys[shard][i], sizeof keys[shard][i], "%s", rig_key(&rig, shard, i));
    CU_ASSERT_TRUE(rig_stop(&rig));
    uint64_t first = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 1, count = getenv("COUNT") ? strtoull(getenv("COUNT"), NULL, 0) : 40;
    for (uint64_t seed = first; seed < first + count; seed++) {
        size_t len = 0;
        unsigned shard = 0;
        state = seed;
        for (int i = 0; i < 150; i++)
            len += put(request + len, keys, &shard);
        len += (size_t)sprintf(request + len, "CLIENT REPLY ON\r\nDISCARD\r\nPING\r\n");
        bool ended[2];
        size_t a = play(one, len, seed, one_says, &ended[0]), b = play(two, len, seed, two_say, &ended[1]);
        bool same = a == b && memcmp(one_says, two_say, a) == 0;
        CU_ASSERT_TRUE(same && ended[0] && ended[1] && a > 1000);
        if (!same) {
            size_t at = 0;
            while (at < a && at < b && one_says[at] == two_say[at])
                at++;
            printf("# seed %llu: differ at byte %zu of %zu and %zu: one says \"%.60s\", two say \"%.60s\"\n", (unsigned long long)seed, at, a, b,
                   one_says + at, two_say + at);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_pipeline_for_one_worker_hops_in_rows),
        UNIT(test_a_row_goes_on_behind_what_interrupts_it),
        UNIT(test_who_tracks_is_told_in_the_middle_of_a_row),
        UNIT(test_a_client_vanishes_while_a_row_is_away),
        UNIT(test_random_pipelines_say_what_one_worker_says),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/hop", tests);
}
