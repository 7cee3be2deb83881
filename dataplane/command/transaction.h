/* transaction.h: what MULTI and WATCH hold for a client: the commands it has queued and the keys it watches.
 * https://redis.io/docs/latest/develop/interact/transactions/
 *
 * A client has one of these from its first MULTI or WATCH until nothing of it is left; whoever has the client
 * has it. While WATCH or EXEC is on its way to another worker it travels with the job. */
#pragma once
#include "command/command.h"
#include "store/waits.h"

/* The keys a client watches, of any shard. */
struct watch {
    _Atomic(bool) changed; /* one of them has changed: EXEC does nothing */
    unsigned keys;
    uint64_t bytes;           /* of the nodes, and what they may take in the tables */
    struct watch_node *first; /* the chain is by node->others */
    struct watch *next;       /* in its worker's list, when nobody has it any more */
};

struct transaction {
    struct watch *watch; /* NULL: none */
    bool failed;         /* an error was replied instead of QUEUED */
    bool spread;         /* needs several shards, or more than a shard */
    bool personal;       /* has commands that read or change the client: it runs where the client is */
    bool keyless;        /* has commands that name no key, or concern all of them: it runs in one go */
    bool scripts;        /* runs scripts */
    bool outside;        /* has commands that step out of the slices: most read or change the client */
    bool one_go;         /* has commands that go in one go, beside a script, too: replies would come in another order */
    bool slow;           /* has commands that may take long with one key */
    bool settled;        /* the queue does not move any more */
    uint32_t flags;      /* enum command_flag of what is queued, together; of what reads all the same (SORT) as of a reader */
    bool writes;         /* has commands of CMD_WRITE, reading ones too: none of them runs while writes are refused */
    int shard;           /* of its keys; -1: none yet */
    int slot;            /* in the cluster view: theirs, as cluster_slot() says it */
    int count;           /* commands queued */
    uint64_t arguments;  /* bytes of their arguments, as the client sent them */
    uint8_t *queue;      /* a struct queued each */
    size_t len, cap;
};

/* MULTI is open, and this command does not run now: queues it, or replies why it cannot. `refused`: an error
 * has been replied already. Otherwise, false: it runs. */
bool transaction_takes(struct request *rq, bool refused);
/* EXEC is refused for a reason that has nothing to do with what was queued: EXECABORT, and all is discarded.
 */
void transaction_abort(struct request *rq, const char *reason);
/* Ends a transaction and forgets the watched keys: the client's connection ends, or RESET. */
void transaction_end(struct command_env *env, struct client *c);
/* Bytes it takes; 0 for a client without. */
uint64_t transaction_bytes(const struct client *c);
/* Commands queued, -1: MULTI is not open (CLIENT LIST). */
int transaction_count(const struct client *c);
/* A watched key has changed: EXEC will do nothing. */
bool transaction_is_doomed(const struct client *c);
/* Keys watched. */
unsigned transaction_watched(const struct client *c);

/* Takes the nodes of these shards (all, or `shard` alone) out of their tables and frees them. True when none
 * is left: the watch is freed, too. */
enum { EVERY_SHARD = -1 };
bool watch_leave(struct watch *w, const struct keyspace *ks, int shard);
/* Frees it although nodes may be left: the tables are no more. */
void watch_drop(struct watch *w);
/* The same for a client that ends after its keyspace. */
void transaction_drop(struct client *c);
