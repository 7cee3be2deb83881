/* box_ops.h: what a command may ask of the box that runs it: the worker in production, a fake in tests. */
#pragma once
#include "base/counters.h"
#include "command/pubsub.h"

struct client;
struct command_env;
struct command_stats;
struct effects;
struct remote_ops;
struct request;
struct turn;
struct watch;

enum pause_mode { PAUSE_OFF, PAUSE_WRITE, PAUSE_ALL };
enum observer {
    OBSERVE_EVENTS = 1,
    OBSERVE_TRACKING = 2,
    OBSERVE_MONITOR = 4,
    OBSERVE_LOADING = 8, /* a snapshot is loaded: most commands are refused */
    OBSERVE_SNAPSHOT = 16, /* one is under way: it sees keys before they change (store/snapshot.h) */
    OBSERVE_REFUSAL = 32, /* no command may write: the last snapshot has failed */
    OBSERVE_LOG = 64      /* what changes is logged (command/effects.h) */
};
enum published { PUBLISHED, PUBLISH_WAITS, PUBLISH_NO_MEMORY };

struct box_ops {
    /* Calls fn for every client of every worker, with turns in between (NULL: none): clients may come and go
     * meanwhile. Only from a CMD_ROUTE_ALL command. fn may set CLIENT_KILLED. The client's query_/output_
     * fields are up to date. */
    void (*each_client)(struct command_env *env, struct turn *turn, void (*fn)(struct client *c, void *arg),
                        void *arg);
    /* Sum of a counter over all workers; sum of per-command statistics (id) over all workers. */
    uint64_t (*counter_sum)(struct command_env *env, enum counter which);
    void (*stats_sum)(struct command_env *env, unsigned id, struct command_stats *out);
    void (*reset_stats)(struct command_env *env);
    /* Asks control to do what only control may (CONFIG SET, CONFIG REWRITE, SHUTDOWN, SAVE ...): argv is
     * copied, the reply comes from control in RESP later. False if control is not there: reply an error. */
    bool (*ask_control)(struct command_env *env, struct client *c, int argc, const struct slice *argv);
    /* A fact that control reports about itself and the box: "rdb_last_save_time", "config_file" ...; NULL if
     * unknown. */
    const char *(*fact)(struct command_env *env, const char *name);
    /* Counts an error reply by its first word, for INFO errorstats. */
    void (*error_seen)(struct command_env *env, const char *code);
    /* A line for control's audit log (command/audit.h), copied. May be NULL. */
    void (*audit)(struct command_env *env, const char *line);
    /* Calls fn(code, count) for all error codes, summed over workers. */
    void (*each_error)(struct command_env *env, void (*fn)(const char *code, uint64_t count, void *arg),
                       void *arg);
    uint64_t (*clients_now)(struct command_env *env);
    /* How many clients wait in a blocking command, and for how many keys. Only from a CMD_ROUTE_ALL command;
     * so unblock. May be NULL. */
    void (*blocked_now)(struct command_env *env, uint64_t *clients, uint64_t *keys, uint64_t *timeouts);
    /* Ends the waiting of a blocked client as its timeout would, or with Redis' UNBLOCKED error. False if no
     * client of this id is blocked. May be NULL. */
    bool (*unblock)(struct command_env *env, uint64_t id, bool error);
    /* CLIENT PAUSE until a wall clock time in ms, and UNPAUSE (PAUSE_OFF). Only from a CMD_ROUTE_ALL command.
     * May be NULL. */
    void (*pause)(struct command_env *env, enum pause_mode mode, uint64_t until_ms);
    /* Takes the watched keys of a client that needs them no more, of any shard (command/transaction.h). NULL:
     * all shards are here. */
    void (*unwatch)(struct command_env *env, struct watch *w);
    /* Brings a message (copied) to all who have subscribed. PUBLISHED: *receivers are told, and get it when the
     * command is over; or the reply comes later. NULL: nobody can. */
    enum published (*publish)(struct request *rq, enum topic_kind kind, struct slice channel,
                              struct slice message, uint64_t *receivers);
    /* A keyspace notification: a message that nobody waits for. NULL: none are sent. */
    void (*notify)(struct command_env *env, struct slice channel, struct slice message);
    /* From now on all workers have an eye on what this is for. Only from a CMD_ROUTE_ALL command. */
    void (*observe)(struct command_env *env, enum observer what);
    /* The libraries of functions are others now; all other workers are stopped. NULL: nobody keeps their texts. */
    void (*functions_changed)(struct command_env *env);
    const struct remote_ops *remote; /* connections to other servers (command/remote.h). NULL: none */
    /* A record for the append-only log. NULL: there is none. */
    void (*log)(struct command_env *env, const struct effects *record);
    /* Stalls this worker (DEBUG SLEEP); tests only. */
    void (*stall)(struct command_env *env, uint64_t usec);
};
