/* script.h: Lua scripts: the texts the box knows, and a worker's interpreter that runs them.
 * https://redis.io/docs/latest/develop/interact/programmability/eval-intro/, lua-api/
 *
 * A script runs where its keys are: on the worker of the only shard they have, or with all other workers
 * stopped. The latter also if it names no key, if its text is new, and when it turns out to need more than
 * the one shard or to write (what it writes next may be anywhere); then it starts anew, nothing having
 * been changed. A script whose first line is a shebang without allow-cross-slot-keys writes in its shard. */
#pragma once
#include "command/command.h"

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

/* -- the texts (cache.c): changed only with all workers stopped, read by every worker
 * ----------------------------------------------------------------------------------------------------------
 */

struct script {
    char sha[SCRIPT_SHA + 1];
    unsigned flags;
    bool kept;              /* by SCRIPT LOAD; texts that EVAL brought make room for others */
    uint64_t id;            /* never used twice */
    _Atomic(bool) wide;     /* has needed more than a shard once */
    _Atomic(uint64_t) used; /* ms, last */
    struct script *next;    /* in its bucket */
    struct slice text;      /* behind it */
};

/* Limits of a box. Texts of EVAL beyond SCRIPT_EVALS make the one that was not used for longest go. */
enum { SCRIPT_EVALS = 500, SCRIPT_TEXTS_BYTES = 64 << 20 };

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
void script_sha(struct slice text, char sha[SCRIPT_SHA + 1]);
/* Reads the shebang line, if any: *body is what is behind it, in the same line numbers. False with an error
 * in text. */
bool script_shebang(struct slice text, unsigned *flags, struct slice *body, char *error, size_t size);

/* -- the interpreter of a worker (host.c)
 * ----------------------------------------------------------------------------------------------------------
 */

/* A script has so much memory, with the replies it reads; beyond it ends with an error. */
enum { SCRIPT_MEMORY = 128 << 20 };
/* It is ended after busy-reply-threshold, or after this if that is 0 or more: a worker has other clients. */
enum { SCRIPT_MS_MOST = 30000 };

struct script_host;

/* That of env, made if there is none. NULL if out of memory. */
struct script_host *script_host_of(struct command_env *env);
void script_host_free(struct script_host *h);
/* Bytes it holds. */
uint64_t script_host_bytes(const struct script_host *h);

/* Does it compile? Otherwise an error in text. */
bool script_compiles(struct script_host *h, struct slice body, char *error, size_t size);
/* Are all shards this worker's at this moment? Within EXEC they are: it stops all workers for a script. */
static inline bool script_is_alone(const struct request *rq)
{
    return rq->env->workers == 1 || rq->route == ROUTE_ALL || rq->client->flags & CLIENT_DENY_BLOCKING;
}

/* A run of rq: first key at argument `at`. CMD_ELSEWHERE: nothing was done, see above. */
enum command_result script_run(struct script_host *h, struct script *s, struct request *rq, int at, int keys,
                               bool read_only);
