/* engine.h: the command layer in process, for tests: a keyspace, one worker's environment with a box that
 * answers itself, and clients. A line or bytes go in, the reply's bytes come out as text.
 *
 *     struct engine *e = engine_new("requirepass secret\nmaxmemory 1mb\n");
 *     EXPECT(e, "SET k v", "-NOAUTH Authentication required.\r\n");
 *     engine_free(e);
 */
#pragma once
#include <CUnit/CUnit.h>

#include "command/command.h"
#include "command/debug.h"
#include "command/row.h"

struct engine {
    struct command_env env;
    struct row_last row_last;
    bool leaves_long;      /* CMD_LONG is the caller's: see `request` */
    uint64_t in_rows;      /* requests that engine_row() did not run the general way */
    bool peeks;            /* engine_row() begins the look-ups of what stands behind its row: the window is to be what follows */
    uint64_t slices;       /* of commands that were run in slices, with ENGINE_SLICES in the environment */
    struct client *client; /* the one that engine_* calls speak for */
    struct client clients[8];
    unsigned nclients;
    struct config *conf;
    struct counters counters;
    struct counters *counter_list[CONFIG_WORKERS];
    struct command_stats *stats;
    struct debug_switches debug;
    char *reply; /* of the last call, zero-terminated */
    size_t reply_len, reply_cap;
    unsigned chunk;             /* size of a writer chunk; 64 at least */
    enum command_result result; /* of the last command */
    struct request request;     /* the last one */
    bool control;               /* does the box take what it is asked for control? */
    char asked[1024];           /* arguments of the last ask_control, joined by blanks */
    uint64_t stalled_us;        /* by box->stall */
    struct {
        char code[32];
        uint64_t count;
    } error[16];
    unsigned errors;
};

/* Lines of "name value" (redis.conf without quotes), over these defaults: one worker, 16 databases, a 64 MB
 * arena of ordinary memory. NULL: only those. Fails the running test and returns NULL if it cannot be made.
 */
struct engine *engine_new(const char *directives);
void engine_free(struct engine *e);

/* A further client (as after accept); e->client stays who it is. With `cluster-view workers` it has come to this
 * worker's own port. */
struct client *engine_connect(struct engine *e);
/* The same in a place that was another client's. */
void engine_accept(struct engine *e, struct client *c, uint64_t id);

/* One command written as an inline request (quotes as in redis-cli), printf-like. Returns the reply. */
const char *engine_cmd(struct engine *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Runs a command; true if it counted just so many hits and misses, else prints what it did count. */
bool engine_counts(struct engine *e, const char *command, uint64_t hits, uint64_t misses);
const char *engine_argv(struct engine *e, int argc, const struct slice *argv);
/* Any number of requests as bytes; the replies one after the other. A protocol error is replied as the
 * session would. */
const char *engine_feed(struct engine *e, const void *bytes, size_t len);

/* The requests that the window begins with and that may go in rows (command/row.h), run as a worker does; their replies
 * one after the other in e->reply. Returns how many bytes they are. */
size_t engine_row(struct engine *e, struct slice window);

/* Moves wall clock and monotonic clock. */
void engine_sleep(struct engine *e, uint64_t ms);

/* Compares and prints both if they differ. */
bool engine_same(const char *got, const char *want);
bool engine_starts(const char *got, const char *want);

#define EXPECT(e, command, reply) CU_ASSERT(engine_same(engine_cmd((e), "%s", (command)), (reply)))
/* A command counts so many keyspace hits and misses. */
#define EXPECT_HITS(e, command, hits, misses) CU_ASSERT(engine_counts((e), (command), (hits), (misses)))
#define EXPECT_STARTS(e, command, reply)      CU_ASSERT(engine_starts(engine_cmd((e), "%s", (command)), (reply)))
