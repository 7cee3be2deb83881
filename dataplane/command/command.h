/* command.h: the command table and the dispatcher. Every command is one row of data (definition.h); dispatch, COMMAND,
 * COMMAND DOCS|INFO|LIST|GETKEYS and ACL categories all read it. A command runs in an env, of which there is one a worker, and asks
 * its box for the rest (box_ops.h). */
#pragma once
#include "base/config.h"
#include "base/times.h"
#include "base/turn.h"
#include "command/box_ops.h"
#include "command/client.h"
#include "command/definition.h"
#include "resp/writer.h"
#include "store/store.h"

struct acl;
struct debug_switches;
struct latency;
struct monitor;
struct rates;
struct script_host;
struct scripts;
struct slowlog;
struct tracking;

/* -- the table
 * -------------------------------------------------------------------------------------------------- */

/* Joins the families into the look-up table; rename may be NULL or pairs "old","new" ("" removes),
 * NULL-terminated. Call before any other call; a second call starts anew. False (and one line in error) for a
 * duplicate or unknown name or if memory is short. */
bool command_table_init(const char *const *rename, char *error, size_t size);
void command_table_free(void);
unsigned command_count(void); /* rows, sub-commands not counted (COMMAND COUNT) */
unsigned command_ids(void);   /* ids in use, sub-commands counted: size of statistics tables */
const struct command *command_by_id(unsigned id);
/* EVAL, FCALL and kin. */
static inline bool command_runs_script(const struct command *cmd)
{
    return cmd->acl & ACL_SCRIPTING && cmd->flags & CMD_SKIP_MONITOR;
}
/* Case-blind; NULL if unknown. The sub-command's row if the command is a container and word 2 names one. */
const struct command *command_lookup(int argc, const struct slice *argv);

/* -- running
 * ---------------------------------------------------------------------------------------------------- */

enum {
    COMMAND_MEASURE_EACH = 64 /* a power of two: one in so many fast commands is measured and counted so many times */
};

struct command_stats { /* one per id and worker */
    uint64_t calls, usec, rejected, failed;
    uint32_t took[TIME_BUCKETS]; /* calls that were measured, by time (base/times.h) */
};

/* What a command that found nothing waits for. Valid until the next command of the env. */
struct block_spec {
    enum value_type type;
    int first, keys;     /* the keys it waits for: arguments first ... first + keys - 1 */
    uint64_t timeout_ms; /* 0: for ever */
    bool gone;           /* it runs again also when such a key has gone or has another type (XREADGROUP) */
    bool several;        /* to run again it needs other shards than that of the key that became ready */
    /* Arguments that the waiting request has instead of those it came with (XREAD: what "$" stood for):
     * `instead` of them from instead_at on. One block of malloc(), texts included, that whoever reads the
     * spec frees; NULL = none. */
    struct slice *instead;
    int instead_at, insteads;
};

struct command_env { /* one a worker */
    struct keyspace *ks;
    unsigned self; /* this worker and its shard */
    unsigned workers;
    const struct config *conf; /* the current generation */
    struct counters *counters;
    struct command_stats *stats; /* [command_ids()] */
    uint64_t now_ms;             /* wall clock, once a burst */
    uint64_t now_us;             /* monotonic */
    uint64_t start_ms;
    char run_id[41];
    uint64_t random;     /* state of env_random(), not 0 */
    uint64_t away;       /* TSC cycles that others have had of the time of the command in slices that has its turn */
    uint64_t tsc_per_us; /* for the time commands take; 0: it is not measured */
    const struct box_ops *box;
    void *worker;              /* the box's own */
    const struct rates *rates; /* instantaneous figures of the box (command/rates.h), or NULL */
    struct slowlog **slowlog;  /* [workers], a log each (command/slowlog.h), or NULL */
    struct latency **latency;  /* [workers], a monitor each (command/latency.h), or NULL */
    struct debug_switches *debug; /* of the box (command/debug.h), or NULL */
    struct acl *acl;           /* of the box: its users (command/acl.h) */
    struct pubsub **pubsub;    /* [workers], the subscriptions of each (command/pubsub.h), or NULL */
    struct tracking *tracking; /* client-side caching, this worker's (command/tracking.h), or NULL */
    struct monitor *monitor;   /* of MONITOR, this worker's (command/monitor.h), or NULL */
    unsigned observers;        /* enum observer: who wants to know of each command; mostly 0 */
    const struct request *caller; /* of the script that runs; NULL between its slices */
    struct effects *effects;      /* of the EXEC or script whose command runs, while there is a log; or NULL */
    bool trimmed;              /* by the last XADD */
    bool stopped;              /* all other workers are stopped */
    bool ending;               /* the worker ends: scripts are ended, those that begin, too */
    struct scripts *scripts;   /* of the box (script/script.h); NULL: it runs none */
    struct script_host *script_host, *function_host; /* NULL until the first script or library */
    struct row_last *row_last; /* command/row.h; NULL: each row begins anew */
    const struct ahead *ahead; /* of the look-up that comes next in this worker's batch, or NULL */
    struct block_spec block;   /* of the command that has just returned CMD_BLOCK */
    uint64_t turn_work;        /* more work than this is done in slices, ... */
    bool turns;                /* ... if the box can */
    bool steps_outside;        /* ... and commands in slices have turn.outside */
};

/* A 64-bit random number that is good enough for RANDOMKEY and sampling. */
uint64_t env_random(struct command_env *env);

enum route {
    ROUTE_HERE,  /* no key, or an error to reply: any worker */
    ROUTE_SHARD, /* rq->shard alone */
    ROUTE_ALL    /* several shards or the whole box */
};

struct request { /* one command on its way; lives in the worker's batch */
    struct command_env *env;
    struct client *client;
    const struct command *cmd; /* NULL: unknown, the reply is an error */
    int argc;
    unsigned nested; /* of EXEC: which of its commands is the script that is in the middle (busy), from 1; 0: none */
    const struct slice *argv;
    struct resp_writer *out;  /* where the handler replies */
    struct resp_writer *wire; /* the client's: out, unless CLIENT REPLY OFF|SKIP discards the reply */
    enum route route;
    unsigned shard; /* owner of the first key */
    struct key key; /* the first key and its hash, if any (hash 0 and len 0 otherwise) */
    bool bad_arity;
    /* It is long, but changes the client itself (SUBSCRIBE): it returns CMD_LONG with the argument where its
     * next part begins, and runs once more until it returns something else. 0: it does not. */
    int part;
    /* It has begun, and returned CMD_LONG for a slice to others: it alone has the shards that it may touch until
     * it ends. What is said to others who want them, when it takes long. NULL: it has not begun. */
    const char *busy;
    bool again; /* it has returned CMD_LONG and is not to do so any more */
    bool shown; /* to those who MONITOR, although it begins anew elsewhere (scripts) */
    int served; /* position of the key that has become ready, when a blocked command runs again; 0 = first run
                 */
    struct turn *turn; /* for turn_take(); NULL: it runs in one go */
};

/* Looks the command up, checks arity, finds and hashes the first key and decides the route. Reads nothing
 * that an earlier command of the same batch could change; writes no reply. argv stays borrowed until the
 * request is done. Returns the family of its times (base/times.h). */
uint8_t command_prepare(struct request *rq, struct command_env *env, struct client *client, int argc,
                        const struct slice *argv);
/* The same; *note is what this function left there for a request with as many arguments and the same first one, or
 * NULL. */
uint8_t command_prepare_noted(struct request *rq, struct command_env *env, struct client *client, int argc,
                              const struct slice *argv, const void **note);

/* Replies errors found so far, checks authentication and memory, runs the handler, counts. On the worker that
 * owns rq->shard, or (ROUTE_ALL) with all others stopped. */
enum command_result command_execute(struct request *rq, struct resp_writer *out);

/* Refuses a command because others are busy; EXEC's refusal ends the transaction. */
enum command_result command_refuse(struct request *rq, struct resp_writer *out, const char *busy);

/* Runs the handler of a blocked command once more, because of the key at this position: CMD_DONE with a
 * reply, or CMD_BLOCK if it found nothing. Checks and statistics are those of its first run. */
enum command_result command_again(struct request *rq, struct resp_writer *out, int position);

/* True if a prepared request must not run while clients are paused (CLIENT PAUSE). */
bool command_pauses(const struct request *rq, enum pause_mode mode);
/* Runs the handler of a command that has returned CMD_LONG, in one go or, on a coroutine, in slices:
 * rq->turn. Checks were those of its first run; what it took is told with command_took(). */
enum command_result command_long(struct request *rq, struct resp_writer *out);
void command_took(struct request *rq, uint64_t cycles);
/* Counts error replies, the last of which begins with this word: for INFO errorstats and totals. */
void command_count_errors(struct command_env *env, uint32_t errors, const char *code);
/* Runs a command that was queued by MULTI, prepared, as a part of EXEC. CMD_LONG, command_long() is next:
 * only if it has a turn, that of its EXEC. */
enum command_result command_nested(struct request *rq, struct resp_writer *out);
/* Runs it again in the turns of rq->turn, which is that of the command it is a part of: that one has the
 * worker's shard to itself, or all of them (`everywhere`). */
void command_nested_long(struct request *rq, struct resp_writer *out, bool everywhere);
/* What the store does next for a command that is a part of another one takes this turn; NULL: none. Only long
 * ones take turns there: others may have more in hand than their keys. */
void command_turns_of_store(const struct command_env *env, struct turn *turn, bool everywhere);
/* Makes room in the shards of a command that may need memory, evicting by policy. STORE_OOM if there is none.
 */
enum store_result command_make_room(const struct request *rq);

/* How many keys argv has, and the positions of the first `room` of them; -1 if the command has none or the
 * arguments are malformed. */
int command_keys(const struct command *cmd, int argc, const struct slice *argv, int *position, int room);
/* The same, and which of them it may change. */
int command_key_uses(const struct command *cmd, int argc, const struct slice *argv, int *position,
                     bool *write, int room);

/* What the command does with the key at `position`: as its specification says, or, where that depends on the
 * arguments, as they say. */
uint32_t command_key_flags(const struct command *cmd, int argc, const struct slice *argv, int position);
/* Calls fn with the position and enum key_flag of each key, until it returns false; false if it did, or (of a command
 * with very many keys that it finds itself) without memory. Malformed arguments have no keys. */
typedef bool command_key_fn(int position, unsigned flags, void *arg);
bool command_each_key(const struct command *cmd, int argc, const struct slice *argv, command_key_fn *fn, void *arg);

/* -- for handlers
 * ----------------------------------------------------------------------------------------------- */

/* May this worker touch that shard now: is it its own, or are all others stopped? */
static inline bool env_may_touch(const struct command_env *env, unsigned shard)
{
    return shard == env->self || env->stopped || env->workers == 1;
}
/* Is it a shard that a request which runs here may have changed? Not each that its route names: a waiter for keys of several
 * shards is served on one of them while the others' workers run (block.h), and an EXEC that has not arrived names where it goes. */
static inline bool request_touches(const struct request *rq, unsigned shard)
{
    return (rq->route == ROUTE_ALL || shard == rq->shard) && env_may_touch(rq->env, shard);
}
/* The i-th argument as a key with its hash (the first key's is already known). */
struct key request_key(const struct request *rq, int i);

/* The keys of a command that has many, a group at a time, whose buckets and entries are asked for before they
 * are needed:
 *
 *     struct key_walk walk;
 *     key_walk_begin(&walk, 1, 1);
 *     for (const struct key *k; (k = key_walk_next(rq, &walk));)
 *
 * goes from the first argument named, by steps, to the last one; `at` is the argument of the key that was
 * returned last. */
enum { KEYS_AHEAD = 16 };
struct key_walk {
    int next, step, at;
    unsigned i, n; /* of key[] */
    struct key key[KEYS_AHEAD];
    struct ahead_row ahead;
};
static inline void key_walk_begin(struct key_walk *walk, int first, int step)
{
    walk->next = first;
    walk->step = step;
    walk->i = walk->n = 0;
}
/* The next group. False if there is none. */
bool key_walk_on(const struct request *rq, struct key_walk *walk);
static inline const struct key *key_walk_next(const struct request *rq, struct key_walk *walk)
{
    if (walk->i == walk->n && !key_walk_on(rq, walk))
        return NULL;
    if (walk->n > 1)
        store_look_ahead(rq->env->ks->shard[rq->shard], &walk->ahead, walk->i);
    walk->at += walk->step;
    return &walk->key[walk->i++];
}
/* The hint of the key that was returned last. */
static inline const struct ahead *key_walk_ahead(const struct key_walk *walk)
{
    return &walk->ahead.at[walk->i - 1];
}
/* The shard of a key: this worker's, or any shard when all others are stopped. */
static inline struct shard *request_shard(const struct request *rq, const struct key *k)
{
    const struct keyspace *ks = rq->env->ks;
    return ks->shard[rq->route == ROUTE_SHARD ? rq->shard : keyspace_shard_of(ks, k->name)];
}
/* store_find in the client's database on the key's shard; honours CLIENT NO-TOUCH. */
static inline struct entry *request_find_ahead(const struct request *rq, const struct key *k, unsigned how,
                                               const struct ahead *a)
{
    if (__builtin_expect(rq->client->flags & (CLIENT_NO_TOUCH | CLIENT_COUNTED), 0))
        how |= rq->client->flags & CLIENT_COUNTED ? LOOK_NOTOUCH | LOOK_NOSTAT : LOOK_NOTOUCH;
    return store_find_ahead(request_shard(rq, k), rq->client->db, k, how, a);
}
static inline struct entry *request_find(const struct request *rq, const struct key *k, unsigned how)
{
    return request_find_ahead(rq, k, how, rq->env->ahead);
}
/* The key has changed in a way that the store does not see: store_changed(). */
void request_changed(const struct request *rq, const struct key *k);
/* It has changed for keyspace notifications, but not for WATCH: groups of streams. */
void request_event(const struct request *rq, const struct key *k);
/* The value of a key for an operation on this type (store/value.h): v->e is NULL if there is no such key, and
 * k must outlive v. False after replying WRONGTYPE. */
bool request_value(struct request *rq, const struct key *k, unsigned how, enum value_type type,
                   struct value_at *v);
/* False for control's own commands and inside MULTI or a script. */
bool request_may_block(const struct request *rq);
/* How a handler ends that found nothing and replied nothing: CMD_BLOCK, or a null array if this client may
 * not wait. When a blocked handler has run again (rq->served), the spec is not looked at. Takes
 * spec->instead. */
enum command_result request_block(struct request *rq, const struct block_spec *spec);
/* The timeout in argument i, seconds with a fraction, as milliseconds rounded up. False after an error. */
bool request_timeout(const struct request *rq, int i, uint64_t *ms);
/* A handler that has done nothing yet and is to run where rq->route and rq->shard say now: this run does not count.
 * CMD_ELSEWHERE. */
enum command_result request_elsewhere(struct request *rq);
/* Is this too much to do in one go? Then the handler, which has neither replied nor changed anything, returns
 * CMD_LONG; when it runs again its loops call turn_take(rq->turn). Work is counted in elements of a
 * collection, about 50 ns each; bytes by turn_bytes(). */
bool request_may_turn(const struct request *rq);
static inline bool turn_wanted(const struct request *rq, uint64_t work)
{
    return __builtin_expect(work > rq->env->turn_work, 0) && request_may_turn(rq);
}
static inline uint64_t turn_bytes(uint64_t bytes)
{
    return bytes / 256;
}

enum { KEY_WORK = 4 }; /* one look-up */

/* Is it, for its many arguments? */
static inline bool turn_wanted_many(const struct request *rq)
{
    return turn_wanted(rq, KEY_WORK * (uint64_t)(rq->argc - 2));
}

/* Is it, for its many keys, each so much work? If not, and they are many, what it looks up in slices from now
 * on counts: turn_counts(). */
bool turn_wanted_keys(const struct request *rq, uint64_t each);

/* The turn between the look-ups of n keys of a command that only reads: FLUSHALL goes with readers, and must not come
 * between them. Of very many the command has its shard to itself (turns_seat.c). */
static inline struct turn *turn_of_keys(const struct request *rq, uint64_t n)
{
    return KEY_WORK * n > rq->env->turn_work ? rq->turn : NULL;
}

/* What it looks up in slices from now on counts as hits and misses: it was not looked up before CMD_LONG. */
static inline void turn_counts(const struct request *rq)
{
    rq->client->flags &= ~(uint32_t)CLIENT_COUNTED;
}

/* Is it, to reply n of the elements of a collection? */
static inline bool turn_wanted_for(const struct request *rq, const struct entry *e, uint64_t n, uint64_t of)
{
    enum { LONG_TEXTS = 65536 };
    uint64_t bytes = e && n ? entry_user_bytes(e) : 0;
    return turn_wanted(rq, bytes > LONG_TEXTS ? n + turn_bytes(bytes / of * n) : n);
}
/* The work of drawing random elements of a collection: again and again, or so many different ones. */
static inline uint64_t turn_draws(int64_t count, uint64_t of)
{
    if (count < 0)
        return 0 - (uint64_t)count;
    return (uint64_t)count < of / 4 ? (uint64_t)count : of;
}

/* Integer argument; replies ERR value is not an integer or out of range (or `error` if not NULL) and returns
 * false otherwise. */
bool request_int(const struct request *rq, int i, int64_t *out, const char *error);
