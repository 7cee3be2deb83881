/* slices_bench.c: the longest time that a worker is away from its other clients while one of them runs a long
 * command, in microseconds of CPU time, in one go and in slices (dataplane/turns.h): over an in-memory wire,
 * with the client's end of it; best of three.
 *
 *     slices_bench [ELEMENTS [WORD]]   the collections have so many elements, 300000 unless told; the rows
 * with this word
 */
#include "base/heap.h"
#include "box_rig.h"
#include "job.h"
#include "store/list.h"
#include "store/set.h"
#include "store/zset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct box_rig rig;

static void fill(uint64_t n)
{
    struct keyspace *ks = rig.box.ks;
    struct shard *s = ks->shard[0];
    char text[32];
    bool added;
    static const char *const names[] = {"set", "zset", "list"};
    struct key key[3];
    struct value_at v[3];
    for (unsigned i = 0; i < 3; i++) {
        key[i] = keyspace_key(ks, slice_str(names[i]));
        v[i] = (struct value_at){.s = s, .key = &key[i]};
    }
    for (uint64_t i = 0; i < n; i++) {
        struct slice member = {(const uint8_t *)text,
                               (size_t)sprintf(text, "member:%llu", (unsigned long long)i)};
        double score = (double)i;
        if (set_add(&v[0], member, &added) != STORE_OK || zset_add(&v[1], member, &score, 0) == ZSET_OOM ||
            list_push(&v[2], LIST_TAIL, &member, 1) != STORE_OK)
            abort();
        struct key k = keyspace_key(ks, member); /* and so many keys */
        if (store_set_string(s, 0, &k, member, 0, 0) != STORE_OK)
            abort();
    }
    uint8_t *bytes;
    struct key big = keyspace_key(ks, slice_str("text"));
    if (store_string_grow(s, 0, &big, 10 << 20, &bytes) != STORE_OK)
        abort();
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* -- what is to be measured: a line, or bytes that `prepare` puts together after the fill -- */

static char *bytes; /* of the request that was prepared */
static size_t bytes_len;

static void begin_bytes(size_t room, int argc, const char *name)
{
    free(bytes);
    bytes = malloc(room);
    bytes_len = (size_t)sprintf(bytes, "*%d\r\n$%zu\r\n%s\r\n", argc, strlen(name), name);
}

static void put_member(uint64_t i)
{
    char text[32];
    int len = sprintf(text, "member:%llu", (unsigned long long)i);
    bytes_len += (size_t)sprintf(bytes + bytes_len, "$%d\r\n%s\r\n", len, text);
}

static void many_members(const char *name, const char *key, uint64_t n)
{
    begin_bytes(n * 40 + 100, (int)n + 1 + (key != NULL), name);
    if (key)
        bytes_len += (size_t)sprintf(bytes + bytes_len, "$%zu\r\n%s\r\n", strlen(key), key);
    for (uint64_t i = 0; i < n; i++)
        put_member(i);
}

static void sadd_many(uint64_t n)
{
    many_members("SADD", "set2", n);
}

static void del_many(uint64_t n)
{
    many_members("DEL", NULL, n);
}

static void mget_many(uint64_t n)
{
    many_members("MGET", NULL, n);
}

static void sinter_many(uint64_t n)
{
    many_members("SINTER", NULL, n);
}

static void pfadd_many(uint64_t n)
{
    many_members("PFADD", "hll", n);
}

static void zmscore_many(uint64_t n)
{
    many_members("ZMSCORE", "zset", n);
}

static void geopos_many(uint64_t n)
{
    many_members("GEOPOS", "zset", n);
}

static void hmget_many(uint64_t n)
{
    many_members("HMGET", "nothing", n);
}

static void subscribe_many(uint64_t n)
{
    many_members("SUBSCRIBE", NULL, n);
}

static void numsub_many(uint64_t n)
{
    many_members("PUBSUB", "NUMSUB", n);
}

/* The rest of a prepared line's words is what it says. */
static void line(const char *text)
{
    free(bytes);
    bytes = malloc(strlen(text) + 3);
    bytes_len = (size_t)sprintf(bytes, "%s\r\n", text);
}

static void subscribed(uint64_t n, const char *then)
{
    struct pubsub *p = rig.box.pubsub[0];
    struct client *c;
    rig_says(&rig, &rig.client[0], "PING\r\n", "+PONG\r\n"); /* its session is there */
    c = &rig.worker->live_sessions->client;
    for (uint64_t i = 0; i < n; i++) {
        char text[32];
        struct slice name = {(const uint8_t *)text,
                             (size_t)sprintf(text, "member:%llu", (unsigned long long)i)};
        if (pubsub_subscribe(p, c, TOPIC_CHANNEL, name) != SUBSCRIBED)
            abort();
    }
    line(then);
}

static void unsubscribe_all(uint64_t n)
{
    subscribed(n, "UNSUBSCRIBE");
}

static void channels(uint64_t n)
{
    subscribed(n, "PUBSUB CHANNELS");
}

static void script_long(uint64_t n)
{
    (void)n;
    line("EVAL \"return #redis.call('SMEMBERS', 'set')\" 1 set");
}

/* Text that packs well, 10 MiB. */
static void text_packs(void)
{
    uint8_t *to;
    struct key big = keyspace_key(rig.box.ks, slice_str("text"));
    if (store_string_grow(rig.box.ks->shard[0], 0, &big, 10 << 20, &to) != STORE_OK)
        abort();
    for (size_t i = 0; i < 10 << 20; i++)
        to[i] = (uint8_t)("abcdefghij"[i * i / 7 % 10]);
}

static void dump_text(uint64_t n)
{
    (void)n;
    text_packs();
    line("DUMP text");
}

static void wait_many(uint64_t n)
{
    static const struct slice argv[] = {SLICE_LIT("BLPOP"), SLICE_LIT("row"), SLICE_LIT("0")};
    struct worker *w = rig.worker;
    struct client c;
    client_init(&c, 1, 0);
    c.flags |= CLIENT_AUTHENTICATED;
    for (uint64_t i = 0; i < n; i++) {
        struct job *j = job_new(JOB_HOP, 0, &c, 3, argv);
        job_prepare(j, &w->env);
        if (job_run(j, &w->env) != CMD_BLOCK || !block_begin(&w->blocking, j))
            abort();
    }
    many_members("RPUSH", "row", n);
}

static void exec_many(uint64_t n)
{
    struct rig_client *c = &rig.client[0];
    many_members("MULTI", NULL, 0);
    rig_exchange(&rig, c, bytes, bytes_len, 5);
    for (uint64_t i = 0; i < n; i += 1000) {
        size_t len = 0;
        free(bytes);
        bytes = malloc(60000);
        for (unsigned k = 0; k < 1000; k++)
            len += (size_t)sprintf(bytes + len, "SET key:%llu x\r\n", (unsigned long long)i + k);
        c->got_len = 0;
        rig_exchange(&rig, c, bytes, len, 9000);
    }
    many_members("EXEC", NULL, 0);
}

static void set_large(uint64_t n)
{
    enum { SIZE = 10 << 20 };
    (void)n;
    begin_bytes(SIZE + 100, 3, "SET");
    bytes_len += (size_t)sprintf(bytes + bytes_len, "$3\r\nbig\r\n$%d\r\n", SIZE);
    memset(bytes + bytes_len, 'x', SIZE);
    memcpy(bytes + bytes_len + SIZE, "\r\n", 2);
    bytes_len += SIZE + 2;
}

/* maxmemory far below what is used. */
static void shrink(uint64_t n)
{
    struct store_account a;
    char limit[32];
    shard_account(rig.box.ks->shard[0], &a);
    sprintf(limit, "%llu", (unsigned long long)a.used / 2);
    const char *const pairs[] = {"arena-size", "1gb", "tcp-send-buffer",  "256kb",
                                 "maxmemory",  limit, "maxmemory-policy", "allkeys-lru",
                                 NULL};
    (void)n;
    rig_reconfigure(&rig, pairs);
    many_members("SADD", "small", 1);
}

/* All at the same time, which comes while the request is under way. */
static void expire_all(uint64_t n)
{
    struct shard *s = rig.box.ks->shard[0];
    char text[32];
    for (uint64_t i = 0; i < n; i++) {
        struct slice name = {(const uint8_t *)text,
                             (size_t)sprintf(text, "member:%llu", (unsigned long long)i)};
        struct key k = keyspace_key(rig.box.ks, name);
        if (store_set_expire(s, 0, &k, shard_time(s) + 1000) != STORE_OK)
            abort();
    }
    many_members("PING", NULL, 0);
}

static bool some_expire(void)
{
    uint64_t keys, expires, ttl;
    shard_db_size(rig.box.ks->shard[0], 0, &keys, &expires, &ttl);
    return expires > 0;
}

static const struct row {
    const char *name; /* the request, if nothing is prepared */
    void (*prepare)(uint64_t n);
} rows[] = {{"PING", NULL},
            {"GET text", NULL},
            {"SMEMBERS set", NULL},
            {"LRANGE list 0 -1", NULL},
            {"ZRANGE zset 0 -1 WITHSCORES", NULL},
            {"SUNIONSTORE set2 set", NULL},
            {"ZUNIONSTORE zset2 1 zset", NULL},
            {"COPY zset zset3 REPLACE", NULL},
            {"SORT list ALPHA LIMIT 0 10", NULL},
            {"SORT list ALPHA BY * GET *", NULL},
            {"LREM list 0 nothing", NULL},
            {"LPOP list 10000000", NULL},
            {"ZPOPMIN zset 10000000", NULL},
            {"DUMP zset", NULL},
            {"KEYS *", NULL},
            {"SCAN 0 COUNT 10000000", NULL},
            {"SSCAN set 0 COUNT 10000000", NULL},
            {"MEMORY USAGE zset SAMPLES 0", NULL},
            {"RENAME list zset", NULL},
            {"DEL zset set list text", NULL},
            {"SWAPDB 0 1", NULL},
            {"FLUSHALL", NULL},
            {"SADD of so many", sadd_many},
            {"DEL of so many", del_many},
            {"RPUSH for so many BLPOP", wait_many},
            {"EXEC of so many SET", exec_many},
            {"SET of 10 MiB", set_large},
            {"maxmemory halved, SADD", shrink},
            {"so many keys expire", expire_all},
            {"MGET of so many", mget_many},
            {"SINTER of so many", sinter_many},
            {"PFADD of so many", pfadd_many},
            {"HMGET of so many", hmget_many},
            {"ZMSCORE of so many", zmscore_many},
            {"GEOPOS of so many", geopos_many},
            {"SUBSCRIBE to so many", subscribe_many},
            {"UNSUBSCRIBE from so many", unsubscribe_all},
            {"PUBSUB NUMSUB of so many", numsub_many},
            {"PUBSUB CHANNELS, so many", channels},
            {"DUMP of 10 MiB that pack", dump_text},
            {"SMEMBERS in a script", script_long}};

/* Microseconds of the longest step from the request to its reply. */
static double longest(bool slices)
{
    struct rig_client *c = &rig.client[0];
    double most = 0;
    uint64_t idle = 0;
    rig.worker->env.turns = slices;
    rig.worker->blocking.slice = slices ? rig.worker->turns.slice : 0;
    c->got_len = 0;
    c->to_send = (const uint8_t *)bytes;
    c->to_send_len = bytes_len;
    c->sent = 0;
    for (unsigned i = 0; i < 2000000 && idle < 300; i++) {
        size_t before = c->got_len;
        double begin = cpu_us();
        rig_run(&rig, 100);
        double us = cpu_us() - begin;
        most = us > most ? us : most;
        bool at_rest = rig.worker->turns.jobs == 0 && !rig.worker->blocking.done_first &&
                       !block_rows(rig.worker->waits) && !some_expire();
        idle = c->got_len == before && c->got_len && at_rest ? idle + 1 : 0;
    }
    return most;
}

int main(int argc, char **argv)
{
    static const char *const pairs[] = {"arena-size", "1gb", "tcp-send-buffer", "256kb", NULL};
    heap_bounded();
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 300000;
    const char *only = argc > 2 ? argv[2] : "";
    printf("%-32s %12s %12s\n", "us, longest step", "in one go", "in slices");
    for (const struct row *r = rows; r < rows + sizeof rows / sizeof *rows; r++) {
        double best[2] = {1e9, 1e9};
        if (!strstr(r->name, only))
            continue;
        for (unsigned round = 0; round < 6; round++) {
            rig_start(&rig, pairs, NULL);
            rig_connect(&rig, 0);
            fill(n);
            if (r->prepare) {
                r->prepare(n);
            } else {
                free(bytes);
                bytes = malloc(64);
                bytes_len = (size_t)sprintf(bytes, "%s\r\n", r->name);
            }
            double us = longest(round % 2);
            best[round % 2] = us < best[round % 2] ? us : best[round % 2];
            rig_stop(&rig);
        }
        printf("%-32s %12.0f %12.0f\n", r->name, best[0], best[1]);
        fflush(stdout);
    }
    free(bytes);
    return 0;
}
