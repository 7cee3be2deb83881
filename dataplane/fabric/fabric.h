/* fabric.h: how workers reach each other. Two ways: a message over a single-producer ring (a request hops to
 * the worker that owns its shard, its reply hops back), and a stop (one worker holds others between two rounds
 * and may then touch their shards and clients). A stop is of some workers: those whose shards a request
 * needs, or all of them for what concerns the whole box. Stops that have a worker in common come one after the
 * other, in the order in which they were asked for (Lamport's bakery, 1974, with tickets from one counter);
 * the others go on beside each other. tests/model/stop.pml has the protocol. */
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

/* Asks for a stop of the workers in `set`, a bit each (UINT64_MAX: all); the asking one always belongs to it. Returns
 * those that are held, itself among them: none of the others runs until fabric_resume. 0: others have asked earlier
 * (go on with the round and ask again: what was asked for first stands, whatever `set` says then), or the fabric has
 * been closed. */
uint64_t fabric_stop(struct fabric *f, unsigned self, uint64_t set);
void fabric_resume(struct fabric *f, unsigned self);
/* Called by every worker between two rounds: waits here while another one holds it. */
void fabric_park(struct fabric *f, unsigned self);

/* A worker that sleeps says so: others need not wait for it, it waits in fabric_wake if it wakes during a
 * stop. */
void fabric_sleep(struct fabric *f, unsigned self);
void fabric_wake(struct fabric *f, unsigned self);

/* Shutdown: no stop begins any more and none is waited for; one that is under way ends first. */
void fabric_close(struct fabric *f);
