/* config_cmd.c: CONFIG. Reading is answered from the current generation; every change goes to the control
 * plane, which owns the configuration. https://redis.io/docs/latest/commands/config-get/ */
#include "base/glob.h"
#include "command/server.h"
#include "command/text.h"

#include <stdlib.h>

enum { VALUE_BYTES = 4096 }; /* the longest value of a directive of the dataplane's own */

static bool has_wildcard(struct slice s)
{
    return memchr(s.p, '*', s.len) || memchr(s.p, '?', s.len) || memchr(s.p, '[', s.len);
}

/* The name to answer with: a directive asked for without wildcards is answered as the client spelt it. */
static bool asked_for(const struct request *rq, const char *name, struct slice *shown)
{
    for (int i = 2; i < rq->argc; i++)
        if (!has_wildcard(rq->argv[i]) && slice_is(rq->argv[i], name)) {
            *shown = rq->argv[i];
            return true;
        }
    *shown = slice_str(name);
    for (int i = 2; i < rq->argc; i++)
        if (has_wildcard(rq->argv[i]) && glob_match(rq->argv[i], *shown, true))
            return true;
    return false;
}

static bool is_repetition(const struct config *c, unsigned pair)
{
    for (unsigned i = 0; i < pair; i++)
        if (strcmp(c->pair[i].name, c->pair[pair].name) == 0)
            return true;
    return false;
}

/* A repeated directive ("save 3600 1", "save 300 100") is one value in CONFIG GET: "3600 1 300 100". */
static void reply_joined(struct request *rq, unsigned first)
{
    const struct config *c = rq->env->conf;
    struct text value = {0};
    for (unsigned i = first; i < c->pairs; i++)
        if (strcmp(c->pair[i].name, c->pair[first].name) == 0)
            text_addf(&value, "%s%s", i == first ? "" : " ", c->pair[i].value);
    if (value.failed)
        reply_bulk_str(rq->out, c->pair[first].value);
    else
        reply_bulk(rq->out, (struct slice){(const uint8_t *)value.p, value.len});
    free(value.p);
}

/* Older names that Redis still answers to, patterns included. */
static const struct {
    const char *name, *of;
} aliases[] = {
    {"slaveof", "replicaof"},
    {"slave-serve-stale-data", "replica-serve-stale-data"},
    {"slave-read-only", "replica-read-only"},
    {"slave-lazy-flush", "replica-lazy-flush"},
    {"slave-ignore-maxmemory", "replica-ignore-maxmemory"},
    {"slave-announce-ip", "replica-announce-ip"},
    {"slave-announce-port", "replica-announce-port"},
    {"slave-priority", "replica-priority"},
    {"repl-ping-slave-period", "repl-ping-replica-period"},
    {"min-slaves-to-write", "min-replicas-to-write"},
    {"min-slaves-max-lag", "min-replicas-max-lag"},
    {"cluster-slave-no-failover", "cluster-replica-no-failover"},
    {"cluster-slave-validity-factor", "cluster-replica-validity-factor"},
    {"hash-max-ziplist-entries", "hash-max-listpack-entries"},
    {"hash-max-ziplist-value", "hash-max-listpack-value"},
    {"list-max-ziplist-size", "list-max-listpack-size"},
    {"zset-max-ziplist-entries", "zset-max-listpack-entries"},
    {"zset-max-ziplist-value", "zset-max-listpack-value"},
    {"lua-time-limit", "busy-reply-threshold"},
    {"server_cpulist", "server-cpulist"},
    {"bio_cpulist", "bio-cpulist"},
    {"aof_rewrite_cpulist", "aof-rewrite-cpulist"},
    {"bgsave_cpulist", "bgsave-cpulist"},
};
enum { ALIASES = sizeof aliases / sizeof aliases[0] };

static bool find_pair(const struct config *c, const char *name, unsigned *pair)
{
    for (*pair = 0; *pair < c->pairs; ++*pair)
        if (strcmp(c->pair[*pair].name, name) == 0)
            return true;
    return false;
}

/* The directives that the dataplane acts on, in Redis' form. */
static size_t reply_own(struct request *rq, bool write)
{
    char value[VALUE_BYTES];
    struct slice shown;
    size_t n = 0;
    for (unsigned i = 0; config_directive(i); i++) {
        if (!asked_for(rq, config_directive(i), &shown))
            continue;
        n++;
        if (!write)
            continue;
        config_print(rq->env->conf, config_directive(i), value, sizeof value);
        reply_bulk(rq->out, shown);
        reply_bulk_str(rq->out, value);
    }
    return n;
}

/* All others, as control sent them, and their older names. */
static size_t reply_others(struct request *rq, bool write)
{
    const struct config *c = rq->env->conf;
    char value[VALUE_BYTES];
    struct slice shown;
    size_t n = 0;
    for (unsigned i = 0; i < c->pairs + ALIASES; i++) {
        unsigned pair = i;
        const char *name = i < c->pairs ? c->pair[i].name : aliases[i - c->pairs].name;
        if (i >= c->pairs && (find_pair(c, name, &pair) || !find_pair(c, aliases[i - c->pairs].of, &pair)))
            continue;
        if (!asked_for(rq, name, &shown) || is_repetition(c, pair) || strcmp(name, "user") == 0 ||
            config_print(c, c->pair[pair].name, value, sizeof value))
            continue;
        n++;
        if (!write)
            continue;
        reply_bulk(rq->out, shown);
        reply_joined(rq, pair);
    }
    return n;
}

enum command_result config_get_run(struct request *rq)
{
    reply_map(rq->out, reply_own(rq, false) + reply_others(rq, false));
    reply_own(rq, true);
    reply_others(rq, true);
    return CMD_DONE;
}

enum command_result config_set_run(struct request *rq)
{
    if (rq->argc % 2) {
        reply_error(rq->out, "ERR wrong number of arguments for 'config|set' command");
        return CMD_DONE;
    }
    return server_ask_control(rq, "configuration not changed");
}

enum command_result config_rewrite_run(struct request *rq)
{
    return server_ask_control(rq, "configuration not written");
}

enum command_result config_resetstat_run(struct request *rq)
{
    rq->env->box->reset_stats(rq->env);
    rq->env->stats[rq->cmd->id].calls++; /* this call is counted, as in Redis */
    reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result config_help_run(struct request *rq)
{
    static const char *const lines[] = {
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        NULL};
    return server_help(rq, lines);
}
