/* connection.c: PING, ECHO, AUTH, HELLO, SELECT, RESET, QUIT.
 * https://redis.io/docs/latest/commands/?group=connection */
#include "command/cluster.h"
#include "command/connection.h"

#include <limits.h>

#include "base/number.h"
#include "command/acl.h"
#include "command/monitor.h"
#include "command/tracking.h"
#include "command/transaction.h"
#include "command/version.h"

static void pong_among_messages(struct request *rq)
{
    reply_array(rq->out, 2);
    reply_bulk_str(rq->out, "pong");
    reply_bulk(rq->out, rq->argc == 2 ? rq->argv[1] : (struct slice){0});
}

enum command_result ping_run(struct request *rq)
{
    if (rq->argc > 2)
        reply_error(rq->out, "ERR wrong number of arguments for 'ping' command");
    else if (rq->client->flags & CLIENT_PUBSUB && rq->client->proto == 2)
        pong_among_messages(rq);
    else if (rq->argc == 2)
        reply_bulk(rq->out, rq->argv[1]);
    else
        reply_simple(rq->out, "PONG");
    return CMD_DONE;
}

enum command_result echo_run(struct request *rq)
{
    reply_bulk(rq->out, rq->argv[1]);
    return CMD_DONE;
}

enum command_result quit_run(struct request *rq)
{
    rq->client->flags |= CLIENT_CLOSE_AFTER_REPLY;
    reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result select_run(struct request *rq)
{
    int64_t db;
    if (!request_int(rq, 1, &db, NULL))
        return CMD_DONE;
    if (db > INT_MAX || db < INT_MIN) {
        reply_error(rq->out, "ERR value is out of range, value must between -2147483648 and 2147483647");
    } else if (db != 0 && cluster_refuses(rq, "ERR SELECT is not allowed in cluster mode")) {
        return CMD_DONE;
    } else if (db < 0 || db >= (int64_t)rq->env->ks->databases) {
        reply_error(rq->out, "ERR DB index is out of range");
    } else {
        rq->client->db = (uint16_t)db;
        reply_ok(rq->out);
    }
    return CMD_DONE;
}

/* -- authentication -- */

/* Replies the error if the pair is wrong. */
static bool authenticate(struct request *rq, struct slice user, struct slice password)
{
    if (acl_login(rq, user, password))
        return true;
    reply_error(rq->out, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

enum command_result auth_run(struct request *rq)
{
    if (rq->argc > 3) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (rq->argc == 2 && acl_no_password(rq->env)) {
        reply_error(rq->out, "ERR AUTH <password> called without any password configured for the default "
                             "user. Are you sure your configuration is correct?");
        return CMD_DONE;
    }
    struct slice user = rq->argc == 3 ? rq->argv[1] : SLICE_LIT("default");
    if (authenticate(rq, user, rq->argv[rq->argc - 1]))
        reply_ok(rq->out);
    return CMD_DONE;
}

/* -- HELLO -- */

struct hello {
    int64_t proto;                   /* 0: stay */
    const struct slice *auth, *name; /* user and password behind each other; NULL: not given */
};

static bool hello_version(struct request *rq, struct hello *h)
{
    if (!request_int(rq, 1, &h->proto, "ERR Protocol version is not an integer or out of range"))
        return false;
    if (h->proto == 2 || h->proto == 3)
        return true;
    reply_error(rq->out, "NOPROTO unsupported protocol version");
    return false;
}

static bool hello_options(struct request *rq, struct hello *h)
{
    for (int i = 2; i < rq->argc;) {
        int more = rq->argc - 1 - i;
        struct slice word = rq->argv[i];
        if (slice_is(word, "auth") && more >= 2) {
            h->auth = &rq->argv[i + 1];
            i += 3;
        } else if (slice_is(word, "setname") && more >= 1) {
            h->name = &rq->argv[i + 1];
            i += 2;
            if (!client_text_ok(*h->name)) {
                reply_error(rq->out,
                            "ERR Client names cannot contain spaces, newlines or special characters.");
                return false;
            }
        } else {
            reply_errorf(rq->out, "ERR Syntax error in HELLO option '%.*s'",
                         (int)(word.len < 128 ? word.len : 128), (const char *)word.p);
            return false;
        }
    }
    return true;
}

static void hello_reply(struct request *rq)
{
    struct resp_writer *w = rq->out;
    reply_map(w, 7);
    reply_bulk_str(w, "server");
    reply_bulk_str(w, "redis");
    reply_bulk_str(w, "version");
    reply_bulk_str(w, REDIS_VERSION);
    reply_bulk_str(w, "proto");
    reply_int(w, rq->client->proto);
    reply_bulk_str(w, "id");
    reply_int(w, (int64_t)rq->client->id);
    reply_bulk_str(w, "mode");
    reply_bulk_str(w, in_cluster(rq) ? "cluster" : "standalone");
    reply_bulk_str(w, "role");
    reply_bulk_str(w, "master");
    reply_bulk_str(w, "modules");
    reply_array(w, 0);
}

static void set_proto(struct request *rq, uint8_t proto)
{
    rq->client->proto = rq->out->proto = rq->wire->proto = proto;
}

enum command_result hello_run(struct request *rq)
{
    struct hello h = {0};
    if (rq->argc > 1 && (!hello_version(rq, &h) || !hello_options(rq, &h)))
        return CMD_DONE;
    if (h.auth && !authenticate(rq, h.auth[0], h.auth[1]))
        return CMD_DONE;
    if (!acl_open(rq->env, rq->client) && !(rq->client->flags & (CLIENT_AUTHENTICATED | CLIENT_INTERNAL))) {
        reply_error(rq->out,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                    "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and "
                    "select the RESP protocol version at the same time");
        return CMD_DONE;
    }
    if (h.name && !client_text_set(&rq->client->name, *h.name)) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    if (h.proto)
        set_proto(rq, (uint8_t)h.proto);
    hello_reply(rq);
    return CMD_DONE;
}

/* RESET also ends CLIENT REPLY OFF, so its own reply goes out. */
enum command_result reset_run(struct request *rq)
{
    transaction_end(rq->env, rq->client);
    if (rq->env->monitor)
        monitor_leave(rq->env->monitor, rq->client);
    if (rq->env->tracking)
        tracking_off(rq->env->tracking, rq->client);
    if (rq->client->subscriber)
        pubsub_leave(rq->env->pubsub[rq->env->self], rq->client);
    client_reset(rq->client);
    acl_welcome(rq->env, rq->client);
    rq->out = rq->wire;
    set_proto(rq, 2);
    reply_simple(rq->out, "RESET");
    return CMD_COUNTED;
}
