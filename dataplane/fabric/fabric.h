/* fabric.h: how workers reach each other. Two ways: a message over a single-producer ring (a request hops to
 * the worker that owns its shard, its reply hops back), and a barrier (one worker stops all others between
 * two rounds, then may touch every shard and every client). A barrier makes commands over several shards
 * serialisable at the price of a stop; per-shard ordered transactions will take its place for all but
 * whole-box commands. */
#pragma once
#include "fabric/ring.h"

struct fabric;

/* Rings for `workers` workers and the main thread, each of `size` messages. NULL if out of memory. */
struct fabric *fabric_new(unsigned workers, uint32_t size);
/* All workers must have ended. Messages still in rings are not freed. */
void fabric_free(struct fabric *f);

/* The main thread's number, beside the workers' 0..workers-1. */
unsigned fabric_main(const struct fabric *f);

/* False when the ring is full: the message stays the caller's (try again next round). */
bool fabric_send(struct fabric *f, unsigned from, unsigned to, void *message);
/* The next message for `self` from anybody, senders served in turn; NULL if none. */
void *fabric_receive(struct fabric *f, unsigned self);

/* The messages that have come for `self`, up to `room` of them: each sender's in order, senders one behind the other,
 * beginning with another one each time. How many they are. */
unsigned fabric_receive_all(struct fabric *f, unsigned self, void **message, unsigned room);

/* Stops all other workers. False if another worker is stopping at this moment (go on with the round and try
 * again) or the fabric has been closed. When it returns true, nothing else runs until fabric_resume. */
bool fabric_stop_all(struct fabric *f, unsigned self);
void fabric_resume(struct fabric *f, unsigned self);
/* Called by every worker between two rounds: waits here while another one has stopped all. */
void fabric_park(struct fabric *f, unsigned self);

/* A worker that sleeps says so: others need not wait for it, it waits in fabric_wake if it wakes during a
 * stop. */
void fabric_sleep(struct fabric *f, unsigned self);
void fabric_wake(struct fabric *f, unsigned self);

/* Shutdown: no stop begins any more and none is waited for; one that is under way ends first. */
void fabric_close(struct fabric *f);
