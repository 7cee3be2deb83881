/* slices_bench.c: the longest time that a worker is away from its other clients while one of them runs a long
 * command, in microseconds of CPU time, in one go and in slices (dataplane/turns.h): over an in-memory wire,
 * with the client's end of it; best of three.
 *
 *     slices_bench [ELEMENTS]        the collections have so many elements, 300000 unless told
 */
#include "box_rig.h"
#include "store/list.h"
#include "store/set.h"
#include "store/zset.h"

#include <stdio.h>
#include <stdlib.h>
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

/* Microseconds of the longest step from the request to its reply. */
static double longest(const char *request, bool slices)
{
    struct rig_client *c = &rig.client[0];
    double most = 0;
    uint64_t idle = 0;
    rig.worker->env.turns = slices;
    c->got_len = 0;
    c->to_send = (const uint8_t *)request;
    c->to_send_len = strlen(request);
    c->sent = 0;
    for (unsigned i = 0; i < 2000000 && idle < 300; i++) {
        size_t before = c->got_len;
        double begin = cpu_us();
        rig_run(&rig, 100);
        double us = cpu_us() - begin;
        most = us > most ? us : most;
        idle = c->got_len == before && c->got_len && rig.worker->turns.jobs == 0 ? idle + 1 : 0;
    }
    return most;
}

int main(int argc, char **argv)
{
    static const char *const pairs[] = {"arena-size", "1gb", "tcp-send-buffer", "256kb", NULL};
    static const char *const requests[] = {"PING",
                                           "GET text",
                                           "SMEMBERS set",
                                           "LRANGE list 0 -1",
                                           "ZRANGE zset 0 -1 WITHSCORES",
                                           "SUNIONSTORE set2 set",
                                           "ZUNIONSTORE zset2 1 zset",
                                           "COPY zset zset3 REPLACE",
                                           "SORT list ALPHA LIMIT 0 10",
                                           "LREM list 0 nothing",
                                           "LPOP list 10000000",
                                           "ZPOPMIN zset 10000000",
                                           "DUMP zset",
                                           "KEYS *",
                                           "DEL zset2",
                                           "FLUSHALL"};
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 300000;
    printf("%-32s %12s %12s\n", "us, longest step", "in one go", "in slices");
    for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++) {
        double best[2] = {1e9, 1e9};
        char line[64];
        sprintf(line, "%s\r\n", requests[i]);
        for (unsigned round = 0; round < 6; round++) {
            rig_start(&rig, pairs, NULL);
            rig_connect(&rig, 0);
            fill(n);
            double us = longest(line, round % 2);
            best[round % 2] = us < best[round % 2] ? us : best[round % 2];
            rig_stop(&rig);
        }
        printf("%-32s %12.0f %12.0f\n", requests[i], best[0], best[1]);
        fflush(stdout);
    }
    return 0;
}
