/* bulk.c: long values both ways, many at once, every byte checked. */
#include "peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct lane {
    pthread_t thread;
    const struct target *t;
    unsigned id, rounds;
    size_t size;
    bool ok;
};

static void *drive(void *arg)
{
    struct lane *l = arg;
    char key[32];
    snprintf(key, sizeof key, "bulk:%u", l->id);
    int fd = dial(l->t, NULL);
    l->ok = fd >= 0;
    for (unsigned i = 0; l->ok && i < l->rounds; i++) {
        uint64_t seed = (uint64_t)l->id << 32 | i;
        l->ok = set_pattern(fd, key, seed, l->size) && get_pattern(fd, key, seed, l->size);
    }
    char del[64];
    snprintf(del, sizeof del, "DEL %s\r\n", key);
    l->ok = l->ok && says(fd, del, ":1\r\n");
    if (fd >= 0)
        close(fd);
    return NULL;
}

static bool transfer(const struct target *t, unsigned lanes, size_t size, uint64_t total)
{
    struct lane *l = calloc(lanes, sizeof *l);
    uint64_t rounds = total / lanes / size / 2;
    double start = seconds();
    bool ok = l != NULL;
    for (unsigned i = 0; i < lanes; i++) {
        l[i] = (struct lane){.t = t, .id = i, .size = size, .rounds = rounds ? (unsigned)rounds : 1};
        if (pthread_create(&l[i].thread, NULL, drive, &l[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < lanes; i++) {
        pthread_join(l[i].thread, NULL);
        ok = ok && l[i].ok;
    }
    double took = seconds() - start, moved = 2.0 * (double)size * l[0].rounds * lanes;
    because("%.2f GB both ways in %.1f s: %.0f MB/s", moved / 1e9, took, moved / 1e6 / took);
    free(l);
    return ok;
}

bool bulk_large_values(const struct target *t)
{
    return transfer(t, t->threads, 4 << 20, (uint64_t)t->bulk_mb << 20);
}

bool bulk_many_connections(const struct target *t)
{
    return transfer(t, 64, 50000, (uint64_t)(t->bulk_mb < 128 ? t->bulk_mb : 128) << 20);
}
