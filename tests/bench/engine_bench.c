/* engine_bench.c: "C" of the speed targets: the command engine in process. RESP bytes in, reply bytes out,
 * over the real store; reader, prepare, prefetch, execute and writer, and nothing else. Keys of 16 bytes,
 * values of 64, keys drawn uniformly; of lists there are 1000, which RPUSH and LPUSH fill before LPOP and
 * RPOP empty them, and as many streams of 500 entries.
 *
 *     engine_bench [KEYS [ROUNDS [ONLY]]]     ONLY: run the lines whose name begins with it
 *
 * Instructions: valgrind --tool=callgrind --toggle-collect='play*' engine_bench 200000 1 TSET/3, without the filling.
 *
 * TGET, TSET and TMIX (by turns) are those of G5: memory is full with half of the keys, each SET has a TTL, and one of a
 * key that is not there evicts another (allkeys-lru).
 *
 * SNAPSHOT is the cursor of a snapshot alone, a key; SSET are SETs of keys that one has not come by yet, so that each writes a record.
 *
 * Beside them "M", the memory limit: two dependent misses a look-up, in the same batches (TARGETS: G4), and with the ONLY of LEAST
 * "L", the least that a GET can be (least_get.h), and "LGET" and "LSET", the least of TGET and TSET (least_set.h). All lie in hugepages where there are any, as in a box.
 */
#include <stdio.h>
#include <stdlib.h>

#include "command/row.h"
#include "engine.h"
#include "least_get.h"
#include "least_set.h"
#include "measure.h"
#include "memory_limit.h"
#include "resp/reader.h"
#include "store/snapshot.h"

/* Forgets what callgrind has counted so far: the filling. */
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define COUNT_FROM_HERE() CALLGRIND_ZERO_STATS
#else
#define COUNT_FROM_HERE() ((void)0)
#endif

enum { REQUESTS = 1 << 16, BATCH_MAX = 32, ARGS_MAX = 8, REPLY_ROOM = 1 << 16, VALUE = 64, LISTS = 1000 };

static const struct resp_limits limits = {
    .max_bulk = 512 << 20, .max_args = 1024 * 1024, .max_inline = 65536};

struct traffic {
    uint8_t *bytes;
    size_t len;
};

struct bench {
    struct engine *e;
    uint64_t keys, random;
    uint8_t reply[REPLY_ROOM];
    uint64_t replied;
    bool upkeep; /* as a worker does between batches: what has become stale would take all of a small memory */
};

static uint64_t next_random(struct bench *b)
{
    b->random = b->random * 6364136223846793005 + 1442695040888963407;
    return b->random >> 33;
}

static bool full(struct resp_writer *w)
{
    (void)w;
    return false;
}

enum { ELEMENTS = 16 };

/* Small hashes and sets of 16 elements each: a sixteenth as many as there are keys. */
static size_t collection_request(char *p, const char *kind, unsigned long long key)
{
    unsigned element = (unsigned)(key % ELEMENTS);
    bool set = kind[0] == 'S', value = strcmp(kind, "HSET") == 0;
    int n = sprintf(p, "*%d\r\n$%zu\r\n%s\r\n$16\r\n%c%015llu\r\n$8\r\nfield:%02u\r\n", value ? 4 : 3,
                    strlen(kind), kind, set ? 's' : 'h', key / ELEMENTS, element);
    if (value)
        n += sprintf(p + n, "$10\r\nvalue:%04llu\r\n", key % 10000);
    return (size_t)n;
}

/* RPUSH and LPUSH of a value, LPOP, RPOP, LRANGE of ten. */
static size_t list_request(char *p, const char *kind, unsigned long long key)
{
    bool push = strstr(kind, "PUSH"), range = strcmp(kind, "LRANGE") == 0;
    int n = sprintf(p, "*%d\r\n$%zu\r\n%s\r\n$6\r\nl%05llu\r\n",
                    push    ? 3
                    : range ? 4
                            : 2,
                    strlen(kind), kind, key % LISTS);
    if (push)
        n += sprintf(p + n, "$64\r\n%064llu\r\n", key);
    if (range)
        n += sprintf(p + n, "$1\r\n0\r\n$1\r\n9\r\n");
    return (size_t)n;
}

static size_t stream_request(char *p, const char *kind, unsigned long long key)
{
    if (strcmp(kind, "XADD") == 0)
        return (size_t)sprintf(p,
                               "*8\r\n$4\r\nXADD\r\n$6\r\nx%05llu\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$"
                               "3\r\n500\r\n$1\r\n*\r\n$5\r\nfield\r\n$64\r\n%064llu\r\n",
                               key % LISTS, key);
    return (size_t)sprintf(
        p, "*6\r\n$6\r\nXRANGE\r\n$6\r\nx%05llu\r\n$1\r\n-\r\n$1\r\n+\r\n$5\r\nCOUNT\r\n$2\r\n10\r\n",
        key % LISTS);
}

static bool is_timed(const char *kind)
{
    return kind[0] == 'T';
}

static size_t timed_request(char *p, const char *kind, unsigned long long key, int i)
{
    if (strcmp(kind, "TGET") == 0 || (strcmp(kind, "TMIX") == 0 && i % 2))
        return (size_t)sprintf(p, "*2\r\n$3\r\nGET\r\n$16\r\nk%015llu\r\n", key);
    return (size_t)sprintf(p, "*5\r\n$3\r\nSET\r\n$16\r\nk%015llu\r\n$64\r\n%064llu\r\n$2\r\nEX\r\n$4\r\n3600\r\n", key, key);
}

/* REQUESTS requests of one kind, as a client's pipeline would hold them. */
static struct traffic make_traffic(struct bench *b, const char *kind)
{
    struct traffic t = {malloc(REQUESTS * 160), 0};
    for (int i = 0; t.bytes && i < REQUESTS; i++) {
        char *p = (char *)t.bytes + t.len;
        unsigned long long key = next_random(b) % b->keys;
        if (is_timed(kind))
            t.len += timed_request(p, kind, key, i);
        else if (strcmp(kind, "GET") == 0)
            t.len += (size_t)sprintf(p, "*2\r\n$3\r\nGET\r\n$16\r\nk%015llu\r\n", key);
        else if (strcmp(kind, "SET") == 0)
            t.len += (size_t)sprintf(p, "*3\r\n$3\r\nSET\r\n$16\r\nk%015llu\r\n$64\r\n%064llu\r\n", key, key);
        else if (strcmp(kind, "PING") == 0)
            t.len += (size_t)sprintf(p, "*1\r\n$4\r\nPING\r\n");
        else if (strstr(kind, "PUSH") || strstr(kind, "POP") || strcmp(kind, "LRANGE") == 0)
            t.len += list_request(p, kind, key);
        else if (kind[0] == 'X')
            t.len += stream_request(p, kind, key);
        else
            t.len += collection_request(p, kind, key);
    }
    return t;
}

/* What a worker's batch has (worker.h), of one client. */
struct batch {
    struct request rq[BATCH_MAX];
    struct slice argv[BATCH_MAX * ARGS_MAX];
    unsigned row_end[BATCH_MAX]; /* where the row ends that begins here: here, if there is none */
    uint32_t end[BATCH_MAX];
    struct ahead_row ahead;
    unsigned n;
};

/* Reads and prepares up to `most` requests from at on; returns how many bytes they are. */
static size_t gather(struct bench *b, struct batch *batch, struct resp_reader *reader, struct slice at, unsigned most)
{
    struct command_env *env = &b->e->env;
    struct shard *shard = env->ks->shard[0];
    struct row_room room = {batch->argv, BATCH_MAX * ARGS_MAX, NULL};
    size_t taken = 0;
    batch->n = 0;
    ahead_begin(&batch->ahead);
    while (batch->n < most && taken < at.len) {
        struct slice window = {at.p + taken, at.len - taken};
        size_t used = 0, need = 0;
        unsigned more = most > 1 && row_may(env, b->e->client)
                            ? row_read(env, b->e->client, window, &batch->ahead, &room, &batch->rq[batch->n], batch->end,
                                       most - batch->n)
                            : 0;
        if (more) {
            batch->row_end[batch->n] = batch->n + more;
            batch->n += more;
            taken += batch->end[more - 1];
            continue;
        }
        unsigned n = batch->n++;
        struct request *rq = &batch->rq[n];
        if (resp_read(reader, &limits, window, &used, &need) != RESP_REQUEST)
            abort();
        for (uint32_t i = 0; i < reader->argc && i < ARGS_MAX; i++)
            room.argv[i] = resp_arg(reader, window, i);
        command_prepare_noted(rq, env, b->e->client, (int)reader->argc, room.argv, &reader->note);
        batch->row_end[n] = n;
        room.argv += reader->argc;
        room.n -= reader->argc;
        if (most > 1 && rq->route == ROUTE_SHARD)
            store_ahead(shard, &batch->ahead, 0, rq->key.hash);
        else
            store_ahead_skip(&batch->ahead);
        taken += used;
    }
    return taken;
}

/* One burst of up to `batch` requests from at on; returns how many bytes it took. */
static size_t burst(struct bench *b, struct resp_reader *reader, struct slice at, unsigned most)
{
    static const struct resp_sink sink = {full};
    static struct batch batch;
    struct command_env *env = &b->e->env;
    struct resp_writer w = {
        .cur = b->reply, .start = b->reply, .end = b->reply + REPLY_ROOM, .proto = 2, .sink = &sink};
    size_t taken = gather(b, &batch, reader, at, most);
    if (most > 1) {
        store_ahead_known(env->ks->shard[0], &batch.ahead);
        row_peek(env, b->e->client, (struct slice){at.p + taken, at.len - taken});
    }
    for (unsigned i = 0, end = 0; i < batch.n; i++) {
        if (i >= end)
            end = batch.row_end[i];
        if (end > i)
            i += row_run(env, b->e->client, &batch.ahead, i, &batch.rq[i], end - i, &w);
        if (i == batch.n)
            break;
        if (i < end) {
            row_spread(env, &batch.ahead, i, &batch.rq[i]);
            command_prepare(&batch.rq[i], env, b->e->client, batch.rq[i].argc, batch.rq[i].argv);
        }
        if (most > 1)
            store_look_ahead(env->ks->shard[0], &batch.ahead, i);
        env->ahead = most > 1 ? &batch.ahead.at[i] : NULL;
        command_execute(&batch.rq[i], &w);
    }
    env->ahead = NULL;
    if (w.failed || w.errors)
        abort();
    b->replied += resp_written(&w);
    return taken;
}

__attribute__((noinline)) static void play(struct bench *b, const struct traffic *t, unsigned batch)
{
    struct resp_reader reader;
    resp_reader_init(&reader);
    for (size_t at = 0; at < t->len;) {
        at += burst(b, &reader, (struct slice){t->bytes + at, t->len - at}, batch);
        if (b->upkeep)
            shard_upkeep(b->e->env.ks->shard[0], 64);
    }
    resp_reader_reset(&reader);
}

static void fill(struct bench *b)
{
    char name[32], value[VALUE + 1];
    for (uint64_t i = 0; i < b->keys; i++) {
        int n = sprintf(name, "k%015llu", (unsigned long long)i);
        sprintf(value, "%064llu", (unsigned long long)i);
        struct key k = keyspace_key(b->e->env.ks, (struct slice){(uint8_t *)name, (size_t)n});
        if (store_set_string(b->e->env.ks->shard[0], 0, &k, slice_str(value), 0, 0) != STORE_OK) {
            fprintf(stderr, "engine_bench: no room for %llu keys\n", (unsigned long long)b->keys);
            exit(1);
        }
        while (i % 64 == 0 && shard_upkeep(b->e->env.ks->shard[0], 256))
            ;
    }
}

/* Best of `rounds` rounds: what the code costs when nobody else has the core. And the mean of all, which has its share of what upkeep
 * does now and then, and of what others did. */
static void measure(struct bench *b, const char *kind, unsigned batch, int rounds, const char *only)
{
    char name[32];
    snprintf(name, sizeof name, "%s/%u", kind, batch);
    if (only && strncmp(name, only, strlen(only)) != 0)
        return;
    double best = 1e18, all = 0;
    COUNT_FROM_HERE();
    for (int i = 0; i < rounds; i++) {
        struct traffic t = make_traffic(b, kind);
        if (!t.bytes)
            exit(1);
        double begin = now_ns();
        play(b, &t, batch);
        double each = (now_ns() - begin) / REQUESTS;
        best = each < best ? each : best;
        all += each;
        free(t.bytes);
    }
    printf("%-8s %7.1f ns  %6.2f M/s  mean %7.1f ns\n", name, best, 1e3 / best, all / rounds);
}

/* Half of the keys fit; all that are there have a TTL. */
static void fill_up(struct bench *b)
{
    struct engine *e = b->e;
    b->upkeep = true;
    e->conf->maxmemory = b->keys * (16 + VALUE) / 2;
    e->conf->maxmemory_policy = POLICY_ALLKEYS_LRU;
    shard_configure(e->env.ks->shard[0], e->conf);
    while (shard_upkeep(e->env.ks->shard[0], 1 << 20))
        ;
    for (uint64_t n = 0; n < 2 * b->keys; n += REQUESTS) {
        struct traffic t = make_traffic(b, "TSET");
        if (!t.bytes)
            exit(1);
        play(b, &t, BATCH_MAX);
        free(t.bytes);
    }
}

static void end_snapshot(struct shard *s)
{
    for (bool more = true; more;) {
        more = snapshot_step(shard_snapshot(s));
        while (snapshot_first(shard_snapshot(s)))
            snapshot_drop_first(shard_snapshot(s));
    }
    snapshot_end(s);
}

/* SETs in rows while a snapshot is at its beginning. */
static void measure_ahead(struct bench *b, int rounds, const char *only)
{
    struct shard *s = b->e->env.ks->shard[0];
    const struct snapshot_options o = {.most = UINT64_MAX};
    double best = 1e18;
    if (only && strcmp(only, "SSET") != 0)
        return;
    for (int i = 0; i < rounds && i < 5; i++) {
        struct traffic t = make_traffic(b, "SET");
        if (!t.bytes || !snapshot_begin(s, &o))
            exit(1);
        b->e->env.observers |= OBSERVE_SNAPSHOT;
        double begin = now_ns();
        play(b, &t, BATCH_MAX);
        double each = (now_ns() - begin) / REQUESTS;
        b->e->env.observers &= ~(unsigned)OBSERVE_SNAPSHOT;
        end_snapshot(s);
        best = each < best ? each : best;
        free(t.bytes);
    }
    printf("SSET/%-3u %7.1f ns  %6.2f M/s\n", BATCH_MAX, best, 1e3 / best);
}

/* A snapshot of all keys while nobody writes: nanoseconds a key. */
static void measure_snapshot(const struct bench *b, int rounds, const char *only)
{
    struct shard *s = b->e->env.ks->shard[0];
    const struct snapshot_options o = {.most = UINT64_MAX};
    struct snapshot_figures f = {0};
    double best = 1e18;
    if (only && strcmp(only, "SNAPSHOT") != 0)
        return;
    for (int i = 0; i < rounds && i < 5; i++) {
        double begin = now_ns();
        if (!snapshot_begin(s, &o))
            exit(1);
        for (bool more = true; more;) {
            more = snapshot_step(shard_snapshot(s));
            while (snapshot_first(shard_snapshot(s)))
                snapshot_drop_first(shard_snapshot(s));
        }
        snapshot_figures(shard_snapshot(s), &f);
        snapshot_end(s);
        double each = (now_ns() - begin) / (double)(f.keys ? f.keys : 1);
        best = each < best ? each : best;
    }
    printf("SNAPSHOT %7.1f ns  %6.2f M/s\n", best, 1e3 / best);
}

static void measure_memory(const struct bench *b, unsigned batch, int rounds)
{
    double best = 1e18;
    for (int i = 0; i < rounds && i < 3; i++) {
        double each = memory_limit(b->keys, batch);
        best = each && each < best ? each : best;
    }
    printf("M/%-6u %7.1f ns  %6.2f M/s\n", batch, best, 1e3 / best);
}

static void measure_least(uint64_t keys, int rounds)
{
    double each = least_get(keys, rounds);
    struct least_full full = least_set(keys, rounds);
    printf("L/%-6u %7.1f ns  %6.2f M/s\n", BATCH_MAX, each, 1e3 / each);
    printf("LGET/%-3u %7.1f ns  %6.2f M/s\n", BATCH_MAX, full.get, 1e3 / full.get);
    printf("LSET/%-3u %7.1f ns  %6.2f M/s\n", BATCH_MAX, full.set, 1e3 / full.set);
    printf("# of LGET %.3f found nothing, of LSET %.3f were new\n", full.misses, full.news);
}

int main(int argc, char **argv)
{
    static struct bench b;
    b.keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    int rounds = argc > 2 ? atoi(argv[2]) : 20;
    const char *only = argc > 3 ? argv[3] : NULL;
    char directives[64];
    snprintf(directives, sizeof directives, "hugepages auto\narena-size %llumb\n",
             256 + (unsigned long long)(b.keys * 160 >> 20));
    if (b.keys == 0 || !(b.e = engine_new(directives)))
        return 1;
    fill(&b);
    measure_snapshot(&b, rounds, only);
    measure_ahead(&b, rounds, only);
    static const char *const kinds[] = {"PING",  "GET",    "SET",  "HSET",  "HGET", "SADD", "SISMEMBER",
                                        "RPUSH", "LRANGE", "LPOP", "LPUSH", "RPOP", "XADD", "XRANGE"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        measure(&b, kinds[i], 1, rounds, only);
        measure(&b, kinds[i], BATCH_MAX, rounds, only);
    }
    static const char *const timed[] = {"TGET", "TSET", "TMIX"};
    for (size_t i = 0; i < sizeof timed / sizeof timed[0]; i++)
        if (!only || is_timed(only)) {
            if (i == 0)
                fill_up(&b);
            measure(&b, timed[i], 1, rounds, only);
            measure(&b, timed[i], BATCH_MAX, rounds, only);
        }
    if (only && strcmp(only, "LEAST") == 0)
        measure_least(b.keys, rounds);
    measure_memory(&b, 1, rounds);
    measure_memory(&b, BATCH_MAX, rounds);
    printf("# %llu keys, %llu reply bytes, arena %s hugepages\n", (unsigned long long)b.keys,
           (unsigned long long)b.replied, keyspace_hugepages(b.e->env.ks) ? "in" : "without");
    engine_free(b.e);
    return 0;
}
