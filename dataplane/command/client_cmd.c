/* client_cmd.c: the sub-commands of CLIENT that concern the connection itself.
 * https://redis.io/docs/latest/commands/client/ */
#include "command/connection.h"

#include <stdlib.h>

#include "base/number.h"
#include "command/server.h"

bool client_text_ok(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < '!' || text.p[i] > '~')
            return false;
    return text.len <= CLIENT_NAME_MAX;
}

bool client_text_set(char **field, struct slice text)
{
    char *copy = text.len ? malloc(text.len + 1) : NULL;
    if (text.len && !copy)
        return false;
    if (copy) {
        memcpy(copy, text.p, text.len);
        copy[text.len] = 0;
    }
    free(*field);
    *field = copy;
    return true;
}

static enum command_result ok(struct request *rq)
{
    reply_ok(rq->out);
    return CMD_DONE;
}

static enum command_result error(struct request *rq, const char *text)
{
    reply_error(rq->out, text);
    return CMD_DONE;
}

enum command_result client_id_run(struct request *rq)
{
    reply_int(rq->out, (int64_t)rq->client->id);
    return CMD_DONE;
}

enum command_result client_getname_run(struct request *rq)
{
    if (rq->client->name)
        reply_bulk_str(rq->out, rq->client->name);
    else
        reply_null(rq->out);
    return CMD_DONE;
}

enum command_result client_setname_run(struct request *rq)
{
    if (!client_text_ok(rq->argv[2]))
        return error(rq, "ERR Client names cannot contain spaces, newlines or special characters.");
    if (!client_text_set(&rq->client->name, rq->argv[2])) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    return ok(rq);
}

enum command_result client_setinfo_run(struct request *rq)
{
    struct slice option = rq->argv[2];
    int shown = (int)(option.len < 128 ? option.len : 128);
    char **field = slice_is(option, "lib-name")  ? &rq->client->lib_name
                   : slice_is(option, "lib-ver") ? &rq->client->lib_ver
                                                 : NULL;
    if (!field)
        reply_errorf(rq->out, "ERR Unrecognized option '%.*s'", shown, (const char *)option.p);
    else if (!client_text_ok(rq->argv[3]))
        reply_errorf(rq->out, "ERR %.*s cannot contain spaces, newlines or special characters.", shown,
                     (const char *)option.p);
    else if (!client_text_set(field, rq->argv[3]))
        reply_oom(rq->out);
    else
        reply_ok(rq->out);
    return CMD_DONE;
}

/* OFF and SKIP are silent themselves; ON speaks even when replies were off. */
enum command_result client_reply_run(struct request *rq)
{
    struct client *c = rq->client;
    if (slice_is(rq->argv[2], "on")) {
        c->flags &= ~(uint32_t)(CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
        rq->out = rq->wire;
        reply_ok(rq->out);
    } else if (slice_is(rq->argv[2], "off")) {
        c->flags |= CLIENT_REPLY_OFF;
    } else if (slice_is(rq->argv[2], "skip")) {
        if (!(c->flags & CLIENT_REPLY_OFF))
            c->flags |= CLIENT_REPLY_SKIP_NEXT;
    } else {
        reply_syntax_error(rq->out);
    }
    return CMD_DONE;
}

static enum command_result on_off(struct request *rq, uint32_t flag)
{
    if (slice_is(rq->argv[2], "on"))
        rq->client->flags |= flag;
    else if (slice_is(rq->argv[2], "off"))
        rq->client->flags &= ~flag;
    else
        return error(rq, "ERR syntax error");
    return ok(rq);
}

enum command_result client_no_evict_run(struct request *rq)
{
    return on_off(rq, CLIENT_NO_EVICT);
}

enum command_result client_no_touch_run(struct request *rq)
{
    return on_off(rq, CLIENT_NO_TOUCH);
}

/* -- pausing and unblocking others -- */

enum command_result client_pause_run(struct request *rq)
{
    int64_t ms;
    bool write = rq->argc == 4 && slice_is(rq->argv[3], "write");
    if (rq->argc > 4) {
        server_unknown_subcommand(rq);
        return CMD_DONE;
    }
    if (rq->argc == 4 && !write && !slice_is(rq->argv[3], "all"))
        return error(rq, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    if (!request_int(rq, 2, &ms, "ERR timeout is not an integer or out of range"))
        return CMD_DONE;
    if (ms < 0)
        return error(rq, "ERR timeout is negative");
    if (ms > INT64_MAX / 8 - (int64_t)rq->env->now_ms)
        return error(rq, "ERR timeout is out of range");
    const struct box_ops *box = rq->env->box;
    if (box && box->pause)
        box->pause(rq->env, write ? PAUSE_WRITE : PAUSE_ALL, rq->env->now_ms + (uint64_t)ms);
    return ok(rq);
}

enum command_result client_unpause_run(struct request *rq)
{
    if (rq->env->box && rq->env->box->pause)
        rq->env->box->pause(rq->env, PAUSE_OFF, 0);
    return ok(rq);
}

enum command_result client_unblock_run(struct request *rq)
{
    int64_t id;
    if (rq->argc > 4) {
        server_unknown_subcommand(rq);
        return CMD_DONE;
    }
    if (rq->argc == 4 && !slice_is(rq->argv[3], "timeout") && !slice_is(rq->argv[3], "error"))
        return error(rq, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    if (!request_int(rq, 2, &id, NULL))
        return CMD_DONE;
    bool as_error = rq->argc == 4 && slice_is(rq->argv[3], "error");
    const struct box_ops *box = rq->env->box;
    reply_int(rq->out, box && box->unblock && box->unblock(rq->env, (uint64_t)id, as_error));
    return CMD_DONE;
}

enum command_result client_help_run(struct request *rq)
{
    static const char *const lines[] = {
        "CACHING (YES|NO)",
        "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made from the specified address",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made to specified local address",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "SETINFO <option> <value>",
        "    Set client meta attr. Options are:",
        "    * LIB-NAME: the client lib name.",
        "    * LIB-VER: the client lib version.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Control server assisted client side caching.",
        "TRACKINGINFO",
        "    Report tracking status for the current connection.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
        "NO-TOUCH (ON|OFF)",
        "    Will not touch LRU/LFU stats when this mode is on.",
        NULL};
    return server_help(rq, lines);
}
