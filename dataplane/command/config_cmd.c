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

/* Replies the matching directives, or only counts them (write = false): those that the dataplane acts on, in
 * Redis' form, then all others as control sent them. */
static size_t reply_matches(struct request *rq, bool write)
{
    const struct config *c = rq->env->conf;
    char value[VALUE_BYTES];
    struct slice shown;
    size_t n = 0;
    for (unsigned i = 0; config_directive(i); i++) {
        if (!asked_for(rq, config_directive(i), &shown))
            continue;
        n++;
        if (!write)
            continue;
        config_print(c, config_directive(i), value, sizeof value);
        reply_bulk(rq->out, shown);
        reply_bulk_str(rq->out, value);
    }
    for (unsigned i = 0; i < c->pairs; i++) {
        if (!asked_for(rq, c->pair[i].name, &shown) || is_repetition(c, i) ||
            config_print(c, c->pair[i].name, value, sizeof value))
            continue;
        n++;
        if (!write)
            continue;
        reply_bulk(rq->out, shown);
        reply_joined(rq, i);
    }
    return n;
}

enum command_result config_get_run(struct request *rq)
{
    reply_map(rq->out, reply_matches(rq, false));
    reply_matches(rq, true);
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
