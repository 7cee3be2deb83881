/* cores_bench.c: how near two cores are to each other right now: the way of one cache line from one to the other, in ns,
 * and what a core's own work is worth while the other one works, too. On a virtual machine both change: the hypervisor
 * puts the two now on one, now on two last-level caches.
 *
 *     cores_bench [CPU CPU]        "handover 46.2 ns, share 0.99, 312 slices"; a tenth of a second at most
 *
 * Of many short slices the lower quartile counts: whatever disturbs one makes it longer, never shorter. Exit status 1: the
 * cores were so busy that there were too few. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SLICES_MOST = 512,
    SLICES_LEAST = 16,
    TRIPS = 100,            /* there and back, a slice */
    HANDOVER_NS = 40000000, /* time for each part */
    SHARE_NS = 10000000,
    WORK = 2000 /* a slice of work, turns of its loop */
};

static struct {
    _Alignas(128) atomic_uint ball; /* odd: the other one's */
    _Alignas(128) atomic_bool stop;
    atomic_bool here;
} shared;

static int other_cpu;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("cores_bench: sched_setaffinity");
        exit(1);
    }
}

/* Four chains of additions, as much as a core does at once and nothing that leaves it. */
static void work(void)
{
    uint64_t a = 1, b = 2, c = 3, d = 4;
    for (unsigned i = 0; i < WORK; i++) {
        a += b;
        c += d;
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    }
}

static void *gives_back(void *arg)
{
    pin(other_cpu);
    while (!atomic_load_explicit(&shared.stop, memory_order_relaxed)) {
        unsigned ball = atomic_load_explicit(&shared.ball, memory_order_acquire);
        if (ball & 1)
            atomic_store_explicit(&shared.ball, ball + 1, memory_order_release);
    }
    return arg;
}

static void *works(void *arg)
{
    pin(other_cpu);
    atomic_store(&shared.here, true);
    while (!atomic_load_explicit(&shared.stop, memory_order_relaxed))
        work();
    return arg;
}

/* False: the time is over before the other one has answered them all. */
static bool trips(uint64_t end)
{
    for (unsigned i = 0; i < TRIPS; i++) {
        unsigned ball = atomic_load_explicit(&shared.ball, memory_order_relaxed) + 1;
        atomic_store_explicit(&shared.ball, ball, memory_order_release);
        for (unsigned spins = 1; atomic_load_explicit(&shared.ball, memory_order_acquire) == ball; spins++)
            if (spins % 4096 == 0 && now_ns() > end)
                return false;
    }
    return true;
}

static bool work_slice(uint64_t end)
{
    (void)end;
    work();
    return true;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The lower quartile of as many slices as fit into the time, in ns; *n: how many. */
static uint64_t quartile(bool (*slice)(uint64_t end), uint64_t time_ns, unsigned *n)
{
    static uint64_t took[SLICES_MOST];
    uint64_t at = now_ns(), end = at + time_ns;
    for (*n = 0; *n < SLICES_MOST && at < end && slice(end); ++*n) {
        uint64_t t = now_ns();
        took[*n] = t - at;
        at = t;
    }
    if (*n < SLICES_LEAST)
        return 0;
    qsort(took, *n, sizeof *took, by_size);
    return took[*n / 4];
}

static pthread_t start(void *(*fn)(void *))
{
    pthread_t t;
    atomic_store(&shared.stop, false);
    if (pthread_create(&t, NULL, fn, NULL)) {
        fputs("cores_bench: no thread\n", stderr);
        exit(1);
    }
    return t;
}

static void end(pthread_t t)
{
    atomic_store(&shared.stop, true);
    pthread_join(t, NULL);
}

int main(int argc, char **argv)
{
    unsigned slices, n;
    other_cpu = argc > 2 ? atoi(argv[2]) : 1;
    pin(argc > 1 ? atoi(argv[1]) : 0);
    uint64_t alone = quartile(work_slice, SHARE_NS, &n);

    pthread_t t = start(gives_back);
    uint64_t way = quartile(trips, HANDOVER_NS, &slices);
    end(t);

    t = start(works);
    for (uint64_t until = now_ns() + SHARE_NS; !atomic_load(&shared.here) && now_ns() < until;)
        ;
    uint64_t beside = quartile(work_slice, SHARE_NS, &n);
    end(t);

    if (!way || !alone || !beside) {
        fprintf(stderr, "cores_bench: the cores have other things to do: %u slices\n", slices);
        return 1;
    }
    printf("handover %.1f ns, share %.2f, %u slices\n", (double)way / (2 * TRIPS), (double)alone / (double)beside, slices);
    return 0;
}
