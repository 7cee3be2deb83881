/* hop_bench.c: what a key of another worker costs: two whole workers in one thread on the in-memory wire, a
 * client of the first. For instruction counts:
 *
 *     valgrind --tool=callgrind --toggle-collect=worker_round build/tests/bench/hop_bench GET foreign 1 2000
 *
 * tests/bench/hops makes the table. Arguments: GET, SET, MGET2, MSET2, EXEC2 (MULTI, two GETs, EXEC) or idle;
 * local (all keys are the first worker's), foreign (all are the second's) or both (half each); pipeline
 * depth; requests.
 *
 *     build/tests/bench/hop_bench ring CPU CPU
 *
 * is the way of a pointer from one CPU to another and back over two rings of the fabric, in ns: the least and
 * the median of many short runs. */
#include "box_rig.h"

#include "fabric/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define COUNT_FROM_HERE() CALLGRIND_ZERO_STATS
#else
#define COUNT_FROM_HERE() ((void)0)
#endif

enum { KEYS = 200, PIPELINE_MAX = 64, RUNS = 401, TRIPS = 500 };

static struct box_rig rig;

/* -- a request of one of our forms -------------------------------------------------------------------- */

static char key[2][KEYS][16];

static const char *pick(const char *where, unsigned n)
{
    unsigned shard = strcmp(where, "both") == 0 ? n & 1 : strcmp(where, "foreign") == 0;
    return key[shard][n / 2 % KEYS];
}

static size_t put(char *out, const char *what, const char *where, unsigned n)
{
    const char *a = pick(where, n), *b = pick(where, n + 1);
    if (strcmp(what, "SET") == 0)
        return (size_t)sprintf(out, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$5\r\nvalue\r\n", strlen(a), a);
    if (strcmp(what, "MGET2") == 0)
        return (size_t)sprintf(out, "*3\r\n$4\r\nMGET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(a), a,
                               strlen(b), b);
    if (strcmp(what, "MSET2") == 0)
        return (size_t)sprintf(
            out, "*5\r\n$4\r\nMSET\r\n$%zu\r\n%s\r\n$5\r\nvalue\r\n$%zu\r\n%s\r\n$5\r\nvalue\r\n", strlen(a),
            a, strlen(b), b);
    if (strcmp(what, "EXEC2") == 0)
        return (size_t)sprintf(out,
                               "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n*2\r\n$3\r\nGET\r\n$%"
                               "zu\r\n%s\r\n*1\r\n$4\r\nEXEC\r\n",
                               strlen(a), a, strlen(b), b);
    return (size_t)sprintf(out, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(a), a);
}

static size_t reply_size(const char *what)
{
    enum { VALUE = 11 }; /* $5 value */
    if (strcmp(what, "SET") == 0 || strcmp(what, "MSET2") == 0)
        return 5;
    if (strcmp(what, "MGET2") == 0)
        return 4 + 2 * VALUE;
    return strcmp(what, "EXEC2") == 0 ? 5 + 2 * 9 + 4 + 2 * VALUE : VALUE;
}

/* -- counting ----------------------------------------------------------------------------------------- */

static uint64_t sum_of(unsigned id)
{
    return rig.counters.v[id] + rig.second_counters.v[id];
}

static void fill(struct rig_client *c)
{
    char line[128];
    for (unsigned shard = 0; shard < 2; shard++)
        for (unsigned i = 0; i < KEYS; i++) {
            snprintf(key[shard][i], sizeof key[shard][i], "%s", rig_key(&rig, shard, i));
            snprintf(line, sizeof line, "SET %s value\r\n", key[shard][i]);
            rig_says(&rig, c, line, "+OK\r\n");
        }
}

static int count(const char *what, const char *where, unsigned pipeline, unsigned requests)
{
    static const char *const pairs[] = {"workers", "2", NULL};
    static char text[PIPELINE_MAX * 256];
    if (pipeline == 0 || pipeline > PIPELINE_MAX)
        return 2;
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0); /* the first worker's */
    fill(c);
    COUNT_FROM_HERE();
    uint64_t rounds = sum_of(COUNTER_loop_rounds), hops = sum_of(COUNTER_hops_sent),
             stops = sum_of(COUNTER_barriers);
    unsigned done = 0;
    if (strcmp(what, "idle") == 0)
        rig_run(&rig, requests * 50);
    else
        for (unsigned n = 0; done < requests; done += pipeline) {
            size_t len = 0;
            for (unsigned i = 0; i < pipeline; i++, n += 2 + (pick(where, n) == pick(where, n + 1)))
                len += put(text + len, what, where, strchr(what, '2') ? n : n / 2);
            c->got_len = 0;
            rig_exchange(&rig, c, text, len, pipeline * reply_size(what));
        }
    printf("%u requests, %llu rounds, %llu messages, %llu stops\n", done,
           (unsigned long long)(sum_of(COUNTER_loop_rounds) - rounds),
           (unsigned long long)(sum_of(COUNTER_hops_sent) - hops),
           (unsigned long long)(sum_of(COUNTER_barriers) - stops));
    return rig_stop(&rig) ? 0 : 1;
}

/* -- two CPUs ----------------------------------------------------------------------------------------- */

static struct ring *there, *back;

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        perror("hop_bench: sched_setaffinity");
}

static void *answer(void *cpu)
{
    void *item;
    pin(*(int *)cpu);
    do {
        while (!(item = ring_pull(there)))
            __builtin_ia32_pause();
        ring_push(back, item);
    } while (item != (void *)there);
    return NULL;
}

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1;
}

static int ping_pong(int from, int to)
{
    static uint64_t ns[RUNS];
    pthread_t thread;
    there = ring_new(1024);
    back = ring_new(1024);
    if (!there || !back || pthread_create(&thread, NULL, answer, &to))
        return 1;
    pin(from);
    for (unsigned run = 0; run < RUNS; run++) {
        uint64_t start = nanoseconds();
        for (unsigned i = 0; i < TRIPS; i++) {
            ring_push(there, run == RUNS - 1 && i == TRIPS - 1 ? (void *)there : (void *)back);
            while (!ring_pull(back))
                __builtin_ia32_pause();
        }
        ns[run] = (nanoseconds() - start) / TRIPS;
    }
    pthread_join(thread, NULL);
    qsort(ns, RUNS, sizeof *ns, compare);
    printf("CPU %d to CPU %d and back: least %llu ns, median %llu ns\n", from, to, (unsigned long long)ns[0],
           (unsigned long long)ns[RUNS / 2]);
    free(there);
    free(back);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "ring") == 0)
        return ping_pong(atoi(argv[2]), atoi(argv[3]));
    if (argc != 5) {
        fprintf(stderr, "usage: see the head of hop_bench.c\n");
        return 2;
    }
    return count(argv[1], argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
}
