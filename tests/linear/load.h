/* load.h: a client that asks at random and writes down what it was told, whatever carries its bytes; and
 * clients that are served by a server with a known defect, made of a sound one. */
#pragma once
#include "history.h"

enum { LINEAR_PIPELINE = 3, LINEAR_REQUEST = 8192 };

/* What a broken server does: the client sends the parts of what should be one step, and writes down the
 * whole. The checker must find it out. */
enum linear_defect {
    SOUND,
    TORN_MSET,   /* key by key */
    TORN_EXEC,   /* command by command */
    TORN_SCRIPT, /* call by call */
    BLIND_WATCH, /* EXEC does not know what has changed */
    STALE_GET,   /* a GET says what this client read last */
    LINEAR_DEFECTS
};
extern const char *const linear_defect_name[LINEAR_DEFECTS];

struct linear_load { /* one history's; `clock` is the clients' common one */
    uint64_t seed;
    unsigned ops; /* of each client */
    bool whole;   /* FLUSHALL and DBSIZE among them: all keys belong together */
    bool slow;    /* every third command is a script that takes several slices */
    int block_ms; /* blocking commands wait at most so long */
    enum linear_defect defect;
    _Atomic(uint64_t) *clock;
};

struct linear_sent {
    struct linear_op op;
    unsigned replies; /* to what was sent */
};

struct linear_client {
    const struct linear_load *load;
    uint64_t random;
    uint8_t number, watching; /* watching: a set of keys */
    unsigned left;
    int32_t value; /* every value is another one */
    struct linear_sent sent[LINEAR_PIPELINE];
    unsigned waiting; /* of sent[] */
    char request[LINEAR_REQUEST];
    size_t request_len;
    char *last[LINEAR_STRINGS]; /* replies of GET, for STALE_GET */
    struct history h;
};

void linear_client_init(struct linear_client *c, const struct linear_load *load, unsigned number);
void linear_client_free(struct linear_client *c);
/* Puts the next operations into request[], which was sent whole or is empty. False: there are none left. */
bool linear_client_ask(struct linear_client *c);
/* These bytes have come: returns how many of them were taken; `waiting` is 0 when all is answered. */
size_t linear_client_told(struct linear_client *c, const char *bytes, size_t len);
/* May it be cut off here? Not while it waits for several keys: it would remain unknown which one it got. */
bool linear_client_may_go(const struct linear_client *c);
/* The connection is gone, and with it the replies that were still to come. */
void linear_client_lost(struct linear_client *c);
/* Adds what the client has written down to the history. */
void linear_client_gather(struct linear_client *c, struct history *h);

uint64_t linear_random(uint64_t *state);
