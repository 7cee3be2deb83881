/* block.c: counters, gauges, command totals and heartbeats out of shared memory. */
#include "control/block.h"

#include <string.h>

bool block_read(const struct link *l, struct block *b)
{
    size_t size;
    const struct channel_block *shared = link_block(l, &size);
    if (!shared || __atomic_load_n(&shared->workers, __ATOMIC_ACQUIRE) == 0)
        return false;
    b->head = *shared;
    b->base = (const uint8_t *)shared;
    return block_check(&b->head, size);
}

static void copy_name(char *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    to[size - 1] = 0;
}

void block_counter_name(const struct block *b, unsigned i, char name[CHANNEL_NAME], char help[CHANNEL_HELP])
{
    const struct channel_counter_info *info = (const void *)(b->base + b->head.counter_names);
    copy_name(name, info[i].name, CHANNEL_NAME);
    if (help)
        copy_name(help, info[i].help, CHANNEL_HELP);
}

void block_command_name(const struct block *b, unsigned i, char name[CHANNEL_NAME])
{
    copy_name(name, b->base + b->head.command_names + (size_t)i * CHANNEL_NAME, CHANNEL_NAME);
}

static const uint8_t *worker_at(const struct block *b, unsigned w)
{
    return b->base + b->head.workers_offset + w * b->head.worker_stride;
}

uint64_t block_counter(const struct block *b, unsigned w, unsigned i)
{
    return __atomic_load_n((const uint64_t *)(const void *)worker_at(b, w) + i, __ATOMIC_RELAXED);
}

int block_find(const struct block *b, const char *name)
{
    char have[CHANNEL_NAME];
    for (unsigned i = 0; i < b->head.counters; i++) {
        block_counter_name(b, i, have, NULL);
        if (strcmp(have, name) == 0)
            return (int)i;
    }
    return -1;
}

bool block_sum(const struct block *b, const char *name, uint64_t *sum)
{
    int i = block_find(b, name);
    *sum = 0;
    for (unsigned w = 0; i >= 0 && w < b->head.workers; w++)
        *sum += block_counter(b, w, (unsigned)i);
    return i >= 0;
}

struct channel_command_totals block_command(const struct block *b, unsigned i)
{
    struct channel_command_totals all = {0};
    for (unsigned w = 0; w < b->head.workers; w++) {
        const struct channel_command_totals *t = (const void *)(worker_at(b, w) + b->head.commands_in_worker);
        all.calls += __atomic_load_n(&t[i].calls, __ATOMIC_RELAXED);
        all.usec += __atomic_load_n(&t[i].usec, __ATOMIC_RELAXED);
        all.rejected += __atomic_load_n(&t[i].rejected, __ATOMIC_RELAXED);
        all.failed += __atomic_load_n(&t[i].failed, __ATOMIC_RELAXED);
    }
    return all;
}

void block_family_name(const struct block *b, unsigned family, char name[CHANNEL_NAME])
{
    copy_name(name, b->base + b->head.family_names + (size_t)family * CHANNEL_NAME, CHANNEL_NAME);
}

void block_stage_name(const struct block *b, unsigned stage, char name[CHANNEL_NAME])
{
    copy_name(name, b->base + b->head.stage_names + (size_t)stage * CHANNEL_NAME, CHANNEL_NAME);
}

uint64_t block_times(const struct block *b, unsigned family, unsigned stage, struct channel_histogram *h)
{
    uint64_t count = 0;
    *h = (struct channel_histogram){0};
    for (unsigned w = 0; w < b->head.workers; w++) {
        const struct channel_histogram *t = (const void *)(worker_at(b, w) + b->head.times_in_worker);
        t += family * b->head.stages + stage;
        uint64_t max = __atomic_load_n(&t->max, __ATOMIC_RELAXED);
        h->max = max > h->max ? max : h->max;
        h->sum += __atomic_load_n(&t->sum, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < CHANNEL_BUCKETS; i++) {
            uint64_t n = __atomic_load_n(&t->bucket[i], __ATOMIC_RELAXED);
            h->bucket[i] += n;
            count += n;
        }
    }
    return count;
}

uint64_t block_bucket_end(const struct block *b, unsigned bucket)
{
    return __atomic_load_n((const uint64_t *)(const void *)(b->base + b->head.bucket_ends) + bucket,
                           __ATOMIC_RELAXED);
}

unsigned block_gauges(const struct block *b)
{
    const struct channel_block *shared = (const void *)b->base;
    uint32_t n = __atomic_load_n(&shared->gauges, __ATOMIC_ACQUIRE);
    return n < CHANNEL_GAUGES ? n : CHANNEL_GAUGES;
}

double block_gauge_at(const struct block *b, unsigned i, char name[CHANNEL_NAME])
{
    const struct channel_gauge_slot *slot = (const void *)(b->base + b->head.gauges_offset);
    uint64_t bits = __atomic_load_n(&slot[i].bits, __ATOMIC_RELAXED);
    double value;
    copy_name(name, slot[i].name, CHANNEL_NAME);
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool block_gauge(const struct block *b, const char *name, double *value)
{
    char have[CHANNEL_NAME];
    for (unsigned i = 0; i < block_gauges(b); i++) {
        *value = block_gauge_at(b, i, have);
        if (strcmp(have, name) == 0)
            return true;
    }
    *value = 0;
    return false;
}

void heartbeat_look(struct heartbeat *h, const struct block *b, uint64_t now_ms)
{
    int counter = b ? block_find(b, "loop_rounds") : -1;
    if (counter < 0) {
        h->workers = 0;
        return;
    }
    for (unsigned w = 0; w < b->head.workers; w++) {
        uint64_t rounds = block_counter(b, w, (unsigned)counter);
        if (w >= h->workers || rounds != h->rounds[w])
            h->moved_ms[w] = now_ms;
        h->rounds[w] = rounds;
    }
    h->workers = b->head.workers;
}

uint64_t heartbeat_late(const struct heartbeat *h, unsigned w, uint64_t now_ms)
{
    uint64_t age = w < h->workers ? now_ms - h->moved_ms[w] : 0;
    return age > HEARTBEAT_LATE_MS ? age : 0;
}
