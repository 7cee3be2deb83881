/* script.h: Lua scripts: the texts the box knows, and a worker's interpreter that runs them.
 * https://redis.io/docs/latest/develop/interact/programmability/eval-intro/, lua-api/
 *
 * A script runs where its keys are: on the worker of the only shard they have, or with all other workers
 * stopped. The latter also if it names no key, if its text is new, and when it turns out to need more than
 * the one shard or to write (what it writes next may be anywhere); then it starts anew, nothing having
 * been changed. A script whose first line is a shebang without allow-cross-slot-keys writes in its shard. */
#pragma once
#include "command/cluster.h"

#include <stdatomic.h>

enum { SCRIPT_SHA = 40 };

enum script_flag { /* of the shebang line */
                   SCRIPT_NO_WRITES = 1,
                   SCRIPT_ALLOW_OOM = 2,
                   SCRIPT_ALLOW_STALE = 4,
                   SCRIPT_NO_CLUSTER = 8,
                   SCRIPT_ALLOW_CROSS_SLOT = 16,
                   SCRIPT_SHEBANG = 32 /* it has one: flags mean something */
};

/* What runs: a script, or a function of a library. */
struct program {
    struct slice name; /* its SHA-1, or its name; ended by a zero */
    unsigned flags;
    _Atomic(bool) wide; /* has needed more than a shard once */
};

/* -- the texts (cache.c): changed only with all workers stopped, read by every worker
 * ----------------------------------------------------------------------------------------------------------
 */

struct script {
    struct program run;
    char sha[SCRIPT_SHA + 1];
    bool kept;              /* by SCRIPT LOAD; texts that EVAL brought make room for others */
    uint64_t id;            /* never used twice */
    _Atomic(uint64_t) used; /* ms, last */
    struct script *next;    /* in its bucket */
    struct slice text;      /* behind it */
};

/* Limits of a box. Texts of EVAL beyond SCRIPT_EVALS make the one that was not used for longest go. */
enum { SCRIPT_EVALS = 500, SCRIPT_TEXTS_BYTES = 64 << 20 };

struct libraries;
struct script_host;
struct scripts *scripts_new(void); /* NULL if out of memory */
void scripts_free(struct scripts *all);
struct script *scripts_find(const struct scripts *all, const char *sha);
/* NULL if out of memory or of SCRIPT_TEXTS_BYTES. text is copied. */
struct script *scripts_add(struct scripts *all, const char *sha, struct slice text, unsigned flags, bool kept,
                           uint64_t now_ms);
/* A text of EVAL is to stay, too. */
void scripts_keep(struct scripts *all, struct script *s);
void scripts_flush(struct scripts *all);
/* Counts flushes: interpreters begin anew, too. */
uint64_t scripts_generation(const struct scripts *all);
void scripts_measure(const struct scripts *all, uint64_t *count, uint64_t *bytes);
/* The interpreter of a worker that is in the middle of a script, to be read with all workers stopped; or
 * NULL. */
struct script_host **scripts_running(struct scripts *all, unsigned worker);
/* The libraries of functions (library.h). */
struct libraries *scripts_libraries(const struct scripts *all);
void script_sha(struct slice text, char sha[SCRIPT_SHA + 1]);
/* A name of a flag; 0: there is none. */
unsigned script_flag(struct slice name, bool ignore_case);
/* The i-th name and its flag; NULL behind the last. */
const char *script_flag_name(unsigned i, unsigned *flag);
/* Reads the shebang line, if any: *body is what is behind it, in the same line numbers. False with an error
 * in text. */
bool script_shebang(struct slice text, unsigned *flags, struct slice *body, char *error, size_t size);

/* -- the interpreter of a worker (host.c)
 * ----------------------------------------------------------------------------------------------------------
 */

/* A script has script-memory-limit, with the replies it reads; beyond it ends with an error. */
/* Where it must run in one go (within EXEC), it is ended after busy-reply-threshold, or after this if that is
 * 0 or more: a worker has other clients. */
enum { SCRIPT_MS_MOST = 30000 };

/* That of env, made if there is none. NULL if out of memory. */
struct script_host *script_host_of(struct command_env *env);
void script_host_free(struct script_host *h);
/* Bytes it holds. */
uint64_t script_host_bytes(const struct script_host *h);

/* The one that libraries have for themselves: functions live as long as it does. */
struct script_host *function_host_of(struct command_env *env);

/* Ends what they run, before they are freed. */
void script_end_all(struct command_env *env);

/* Does it compile? Otherwise an error in text. */
bool script_compiles(struct script_host *h, struct slice body, char *error, size_t size);
/* Are all shards this worker's at this moment? Within EXEC they are: it stops all workers for a script. */
static inline bool script_is_alone(const struct request *rq)
{
    return rq->env->workers == 1 || rq->route == ROUTE_ALL || rq->client->flags & CLIENT_DENY_BLOCKING;
}

/* Must it not run here, now that other workers go on? In the cluster view it names no other shard's key. */
static inline bool script_is_wide(const struct request *rq, const struct program *p, int keys)
{
    if (in_cluster(rq))
        return false;
    return (keys == 0 || atomic_load_explicit(&p->wide, memory_order_relaxed)) && !script_is_alone(rq);
}

/* A run of rq, whose keys begin at its argument 3. CMD_ELSEWHERE: nothing was done, it does with all workers stopped.
 * CMD_LONG with rq->busy: it is in the middle, see script_go_on(). */
enum command_result script_run(struct script_host *h, struct script *s, struct request *rq, int keys,
                               bool read_only);
struct function;
enum command_result function_run(struct script_host *h, struct function *f, struct request *rq, int keys,
                                 bool read_only);
/* The run of rq that is in the middle on this worker (rq->busy) goes on: it is not looked up again. Its text may have been
 * forgotten meanwhile, or another worker may have found out that it needs more: what it has read is good only as long as
 * it keeps its seat, so it stays. Returns what script_run() does. */
enum command_result script_go_on(struct request *rq);

/* -- for the handlers (eval.c) */

/* The number of keys, argument 2; -1 after an error. */
int script_keys(struct request *rq, const char *not_a_number);
/* SCRIPT KILL and FUNCTION KILL. */
enum command_result script_kill_running(struct request *rq, bool function);
/* It has not run: it does with all workers stopped. */
enum command_result script_stop_first(struct request *rq);
