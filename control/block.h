/* block.h: reading the dataplane's counter block (dataplane/channel/messages.h). Nothing here asks the
 * dataplane: a hung worker cannot hold a reader up. */
#pragma once
#include "control/link.h"

struct block {
    struct channel_block head; /* a checked copy */
    const uint8_t *base;
};

/* False: no dataplane, or it has not shared counters yet. Valid until control returns to its event loop. */
bool block_read(const struct link *l, struct block *b);

/* Names are copied: at most CHANNEL_NAME (CHANNEL_HELP) bytes with the zero byte. */
void block_counter_name(const struct block *b, unsigned counter, char name[CHANNEL_NAME],
                        char help[CHANNEL_HELP]);
void block_command_name(const struct block *b, unsigned command, char name[CHANNEL_NAME]);
uint64_t block_counter(const struct block *b, unsigned worker, unsigned counter);
/* Sum over all workers of the counter of that name; false if there is none. */
bool block_sum(const struct block *b, const char *name, uint64_t *sum);
/* Index of a counter, or -1. */
int block_find(const struct block *b, const char *name);
struct channel_command_totals block_command(const struct block *b, unsigned command); /* over all workers */
void block_family_name(const struct block *b, unsigned family, char name[CHANNEL_NAME]); /* "" = none */
void block_stage_name(const struct block *b, unsigned stage, char name[CHANNEL_NAME]);
/* Over all workers; returns how many it counts. */
uint64_t block_times(const struct block *b, unsigned family, unsigned stage, struct channel_histogram *h);
/* The largest nanoseconds that a bucket of it counts. */
uint64_t block_bucket_end(const struct block *b, unsigned bucket);
unsigned block_gauges(const struct block *b);
double block_gauge_at(const struct block *b, unsigned i, char name[CHANNEL_NAME]);
bool block_gauge(const struct block *b, const char *name, double *value);

/* Heartbeats: whether every worker's loop moves. */
struct heartbeat {
    uint64_t rounds[CHANNEL_WORKERS], moved_ms[CHANNEL_WORKERS]; /* monotonic time of the last move */
    unsigned workers;
};
enum { HEARTBEAT_LATE_MS = 2000 };
void heartbeat_look(struct heartbeat *h, const struct block *b, uint64_t now_ms); /* b NULL: forget */
/* How long worker w has not moved, if that is too long; else 0. */
uint64_t heartbeat_late(const struct heartbeat *h, unsigned w, uint64_t now_ms);
