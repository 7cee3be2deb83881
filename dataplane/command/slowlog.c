/* slowlog.c: SLOWLOG and what feeds it. https://redis.io/docs/latest/commands/slowlog-get/ */
#include "command/slowlog.h"
#include "command/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

enum { ARGS_KEPT = 32, BYTES_KEPT = 128, DEFAULT_COUNT = 10 };

struct slowlog_entry { /* one allocation with its arguments' bytes behind it */
    struct slowlog_entry *newer, *older;
    uint64_t id, time_ms, usec;
    uint64_t cycles; /* when it was noted: orders what several workers noted in one ms */
    char peer[ENDPOINT_TEXT], name[CLIENT_NAME_MAX + 1];
    int argc;
    struct slice arg[ARGS_KEPT];
};

/* -- noting
 * ---------------------------------------------------------------------------------------------------- */

/* From this one on, or only the one after a word of the list. */
bool request_is_secret(const struct request *rq, int i)
{
    static const char *const secret_directives[] = {"requirepass", "masterauth", "masteruser",
                                                    "tls-key-file-pass", "tls-client-key-file-pass"};
    const char *name = rq->cmd->full_name;
    if (strcmp(name, "auth") == 0)
        return i >= 1;
    if (strcmp(name, "acl|setuser") == 0)
        return i >= 2;
    if (strcmp(name, "migrate") == 0)
        return i >= 7 && (slice_is(rq->argv[i - 1], "auth") || slice_is(rq->argv[i - 1], "auth2") ||
                          slice_is(rq->argv[i - 2], "auth2"));
    if (strcmp(name, "hello") == 0)
        return i >= 3 && (slice_is(rq->argv[i - 1], "auth") || slice_is(rq->argv[i - 2], "auth"));
    if (strcmp(name, "config|set") == 0 && i >= 3 && i % 2 == 1)
        for (unsigned d = 0; d < sizeof secret_directives / sizeof secret_directives[0]; d++)
            if (slice_is(rq->argv[i - 1], secret_directives[d]))
                return true;
    return false;
}

/* The text of argument i as it is kept; room holds what does not stand in the request. */
static struct slice kept_argument(const struct request *rq, int i, char *room, size_t size)
{
    struct slice arg = rq->argv[i];
    if (rq->argc > ARGS_KEPT && i == ARGS_KEPT - 1)
        snprintf(room, size, "... (%d more arguments)", rq->argc - ARGS_KEPT + 1);
    else if (request_is_secret(rq, i))
        snprintf(room, size, "(redacted)");
    else if (arg.len > BYTES_KEPT)
        snprintf(room, size, "%.*s... (%zu more bytes)", BYTES_KEPT, (const char *)arg.p,
                 arg.len - BYTES_KEPT);
    else
        return arg;
    return slice_str(room);
}

static void drop_oldest(struct slowlog *log)
{
    struct slowlog_entry *e = log->oldest;
    log->oldest = e->newer;
    *(log->oldest ? &log->oldest->older : &log->newest) = NULL;
    log->entries--;
    free(e);
}

void slowlog_clear(struct slowlog *log)
{
    while (log->oldest)
        drop_oldest(log);
}

void slowlog_note(struct slowlog *log, const struct request *rq, uint64_t usec)
{
    int argc = rq->argc < ARGS_KEPT ? rq->argc : ARGS_KEPT;
    struct slice arg[ARGS_KEPT];
    char room[ARGS_KEPT][BYTES_KEPT + 40];
    size_t bytes = 0;
    for (int i = 0; i < argc; i++) {
        arg[i] = kept_argument(rq, i, room[i], sizeof room[i]);
        bytes += arg[i].len;
    }
    struct slowlog_entry *e = malloc(sizeof *e + bytes);
    if (!e)
        return;
    uint8_t *p = (uint8_t *)(e + 1);
    for (int i = 0; i < argc; i++) {
        e->arg[i] = (struct slice){p, arg[i].len};
        if (arg[i].len)
            memcpy(p, arg[i].p, arg[i].len);
        p += arg[i].len;
    }
    e->argc = argc;
    e->id = log->next_id++;
    e->time_ms = rq->env->now_ms;
    e->cycles = __rdtsc();
    e->usec = usec;
    endpoint_format(&rq->client->peer, e->peer);
    snprintf(e->name, sizeof e->name, "%s", rq->client->name ? rq->client->name : "");
    e->newer = NULL;
    e->older = log->newest;
    *(log->newest ? &log->newest->newer : &log->oldest) = e;
    log->newest = e;
    log->entries++;
    while (log->entries > rq->env->conf->slowlog_max_len)
        drop_oldest(log);
}

/* -- SLOWLOG
 * --------------------------------------------------------------------------------------------------- */

static uint64_t total_entries(const struct command_env *env)
{
    uint64_t n = 0;
    for (unsigned i = 0; env->slowlog && i < env->workers; i++)
        n += env->slowlog[i]->entries;
    return n < env->conf->slowlog_max_len ? n : env->conf->slowlog_max_len;
}

/* Takes the newest entry of all workers' logs; next[i] is where worker i's log stands. */
static struct slowlog_entry *newest_of_all(struct slowlog_entry **next, unsigned workers, unsigned *from)
{
    struct slowlog_entry *best = NULL;
    for (unsigned i = 0; i < workers; i++)
        if (next[i] && (!best || next[i]->cycles > best->cycles)) {
            best = next[i];
            *from = i;
        }
    if (best)
        next[*from] = best->older;
    return best;
}

/* Ids are unique over the box: each worker numbers its own entries and counts in steps of `workers`. */
static void reply_entry(struct resp_writer *w, const struct slowlog_entry *e, uint64_t id)
{
    reply_array(w, 6);
    reply_int(w, (int64_t)id);
    reply_int(w, (int64_t)(e->time_ms / 1000));
    reply_int(w, (int64_t)e->usec);
    reply_array(w, (size_t)e->argc);
    for (int i = 0; i < e->argc; i++)
        reply_bulk(w, e->arg[i]);
    reply_bulk_str(w, e->peer);
    reply_bulk_str(w, e->name);
}

enum command_result slowlog_get_run(struct request *rq)
{
    int64_t count = DEFAULT_COUNT;
    struct command_env *env = rq->env;
    if (rq->argc > 3) {
        server_unknown_subcommand(rq);
        return CMD_DONE;
    }
    if (rq->argc == 3) {
        static const char wrong[] = "ERR count should be greater than or equal to -1";
        if (!request_int(rq, 2, &count, wrong))
            return CMD_DONE;
        if (count < -1) {
            reply_error(rq->out, wrong);
            return CMD_DONE;
        }
    }
    uint64_t n = total_entries(env);
    if (count >= 0 && (uint64_t)count < n)
        n = (uint64_t)count;
    struct slowlog_entry *next[CONFIG_WORKERS] = {NULL};
    for (unsigned i = 0; env->slowlog && i < env->workers; i++)
        next[i] = env->slowlog[i]->newest;
    reply_array(rq->out, n);
    for (unsigned from = 0; n > 0; n--) {
        const struct slowlog_entry *e = newest_of_all(next, env->workers, &from);
        reply_entry(rq->out, e, e->id * env->workers + from);
    }
    return CMD_DONE;
}

enum command_result slowlog_len_run(struct request *rq)
{
    reply_int(rq->out, (int64_t)total_entries(rq->env));
    return CMD_DONE;
}

enum command_result slowlog_reset_run(struct request *rq)
{
    for (unsigned i = 0; rq->env->slowlog && i < rq->env->workers; i++)
        slowlog_clear(rq->env->slowlog[i]);
    reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result slowlog_help_run(struct request *rq)
{
    static const char *const lines[] = {
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        NULL};
    return server_help(rq, lines);
}
