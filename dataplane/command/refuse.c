/* refuse.c: errors of requests that must not run, with Redis' texts. */
#include <ctype.h>
#include <stdio.h>

#include "command/acl.h"
#include "command/cluster.h"
#include "command/connection.h"
#include "command/monitor.h"
#include "command/refuse.h"
#include "command/table.h"
#include "command/transaction.h"
#include "command/transaction_commands.h"

/* Appends what of s fits as "%.*s" would print it: up to a zero byte. */
static size_t append_text(char *text, size_t at, size_t room, struct slice s)
{
    size_t n = strnlen((const char *)s.p, s.len < room ? s.len : room);
    memcpy(text + at, s.p, n);
    return at + n;
}

void refuse_unknown(struct request *rq)
{
    char name[129], args[200];
    size_t n = append_text(name, 0, 128, rq->argv[0]);
    name[n] = 0;
    const struct command_slot *slot = command_slot_find(rq->argv[0]);
    if (slot) {
        char sub[129];
        sub[append_text(sub, 0, 128, rq->argv[1])] = 0;
        for (size_t i = 0; i < n; i++)
            name[i] = (char)toupper((unsigned char)name[i]);
        reply_errorf(rq->out, "ERR unknown subcommand '%s'. Try %s HELP.", sub, name);
        return;
    }
    size_t at = 0;
    for (int i = 1; i < rq->argc && at < 128; i++) {
        args[at] = '\'';
        at = append_text(args, at + 1, 128 - at, rq->argv[i]);
        memcpy(args + at, "' ", 2);
        at += 2;
    }
    args[at] = 0;
    reply_errorf(rq->out, "ERR unknown command '%s', with args beginning with: %s", name, args);
}

bool request_is_http(const struct request *rq)
{
    return slice_is(rq->argv[0], "post") || slice_is(rq->argv[0], "host:");
}

void request_refuse(struct request *rq, const char *error)
{
    if (rq->cmd->run == exec_run) {
        transaction_abort(rq, strncmp(error, "ERR ", 4) == 0 ? error + 4 : error);
        if (rq->env->observers & OBSERVE_MONITOR) /* the MULTI before it has been shown */
            monitor_note_always(rq);
    } else
        reply_error(rq->out, error);
}

bool refuse_denied(struct request *rq)
{
    char why[ACL_WHY];
    if (rq->client->flags & CLIENT_INTERNAL || !acl_refuses(rq, why))
        return false;
    request_refuse(rq, why);
    return true;
}

void refuse_arity(struct request *rq)
{
    char text[128];
    snprintf(text, sizeof text, "ERR wrong number of arguments for '%s' command", rq->cmd->full_name);
    request_refuse(rq, text);
}

bool request_is_vain(const struct request *rq)
{
    command_handler *run = rq->cmd->run;
    return rq->client->proto == 2 && run != ping_run && run != reset_run && run != quit_run &&
           !(rq->cmd->flags & CMD_PUBSUB && rq->cmd->flags & CMD_NOSCRIPT);
}

void refuse_listener(struct request *rq)
{
    char text[192];
    snprintf(
        text, sizeof text,
        "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
        "in this context",
        rq->cmd->full_name);
    request_refuse(rq, text);
}

bool refuse_stray(struct request *rq)
{
    char text[CLUSTER_ERROR];
    if (!cluster_strays(rq, text))
        return false;
    reply_error(rq->out, text);
    return true;
}

#define MISCONF                                                                                                        \
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that "  \
    "may modify the data set are disabled, because this instance is configured to report errors during writes if RDB " \
    "snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB "  \
    "error."

void refuse_writes(struct request *rq)
{
    const struct box_ops *box = rq->env->box;
    const char *why = box && box->fact ? box->fact(rq->env, "aof_write_error") : NULL;
    char text[320];
    if (why && *why) {
        snprintf(text, sizeof text, "MISCONF Errors writing to the AOF file: %s", why);
        request_refuse(rq, text);
    } else {
        request_refuse(rq, MISCONF);
    }
}

bool request_may_not_write(const struct request *rq)
{
    const struct transaction *t = rq->cmd->run == exec_run ? rq->client->transaction : NULL;
    bool may_not = rq->cmd->flags & CMD_WRITE || rq->cmd->run == ping_run || (t && t->writes);
    return rq->env->observers & OBSERVE_REFUSAL && may_not && !(rq->client->flags & (CLIENT_INTERNAL | CLIENT_GOES_ON));
}

const char *why_loading(const struct request *rq)
{
    bool refused = rq->env->observers & OBSERVE_LOADING && rq->cmd && !(rq->cmd->flags & CMD_LOADING) &&
                   !(rq->client->flags & CLIENT_INTERNAL);
    return refused ? "LOADING Redis is loading the dataset in memory" : NULL;
}

const char *why_monitor(const struct request *rq)
{
    bool keys = rq->cmd && rq->cmd->flags & (CMD_WRITE | CMD_READONLY | CMD_MAY_REPLICATE);
    return keys ? "ERR Replica can't interact with the keyspace" : NULL;
}
