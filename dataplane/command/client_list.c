/* client_list.c: CLIENT LIST, INFO and KILL: the commands that look at other connections.
 * https://redis.io/docs/latest/commands/client-list/, client-kill/ */
#include "command/connection.h"

#include <stdlib.h>

#include "base/number.h"
#include "command/acl.h"
#include "command/text.h"
#include "command/tracking.h"
#include "command/transaction.h"

enum { CLIENT_LETTERS = 16 };

/* Redis' letters for a client's state, 'N' if there is nothing to say. */
static void flag_letters(const struct client *c, char text[CLIENT_LETTERS])
{
    char *p = text;
    if (c->flags & CLIENT_MONITOR)
        *p++ = 'O';
    if (c->flags & CLIENT_PUBSUB)
        *p++ = 'P';
    if (c->flags & CLIENT_MULTI)
        *p++ = 'x';
    if (c->flags & (CLIENT_WAITING | CLIENT_BLOCKED))
        *p++ = 'b';
    if (tracking_how(c) & TRACK_ON)
        *p++ = 't';
    if (tracking_how(c) & TRACK_BROKEN)
        *p++ = 'R';
    if (tracking_how(c) & TRACK_BCAST)
        *p++ = 'B';
    if (transaction_is_doomed(c))
        *p++ = 'd';
    if (c->flags & CLIENT_CLOSE_AFTER_REPLY)
        *p++ = 'c';
    if (c->flags & CLIENT_READONLY)
        *p++ = 'r';
    if (c->flags & CLIENT_NO_EVICT)
        *p++ = 'e';
    if (c->flags & CLIENT_NO_TOUCH)
        *p++ = 'T';
    if (p == text)
        *p++ = 'N';
    *p = 0;
}

static uint64_t seconds_since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

/* Bytes of the request on the wire: Redis counts the running one as still in its client's query buffer. Within EXEC that is EXEC. */
static uint64_t request_bytes(const struct request *rq)
{
    static const struct slice exec = SLICE_LIT("EXEC");
    const struct client *c = rq->client;
    bool nested = c->flags & CLIENT_MULTI && c->flags & CLIENT_DENY_BLOCKING;
    const struct slice *argv = nested ? &exec : rq->argv;
    int argc = nested ? 1 : rq->argc;
    char text[24];
    uint64_t bytes = 1 + format_u64(text, (uint64_t)argc) + 2;
    for (int i = 0; i < argc; i++)
        bytes += 1 + format_u64(text, argv[i].len) + 2 + argv[i].len + 2;
    return bytes;
}

/* One line as Redis 7.2 writes it. A connection has no descriptor here: fd=-1. */
void client_describe(struct text *t, const struct request *rq, const struct client *c)
{
    const struct command_env *env = rq->env;
    const struct client_measure m = client_measured(c);
    char peer[ENDPOINT_TEXT], local[ENDPOINT_TEXT], flags[CLIENT_LETTERS];
    endpoint_format(&c->peer, peer);
    endpoint_format(&c->local, local);
    flag_letters(c, flags);
    text_addf(t, "id=%llu addr=%s laddr=%s fd=-1 name=%s age=%llu idle=%llu flags=%s db=%u",
              (unsigned long long)c->id, peer, local, or_empty(c->name),
              (unsigned long long)seconds_since(env->now_ms, c->created_ms),
              (unsigned long long)seconds_since(env->now_ms, c->last_ms), flags, c->db);
    text_addf(
        t,
        " sub=%llu psub=%llu ssub=%llu multi=%d watch=%u qbuf=%llu qbuf-free=%llu argv-mem=0 multi-mem=%llu "
        "rbs=0 rbp=0 obl=0"
        " oll=%llu omem=%llu tot-mem=%llu events=%s",
        (unsigned long long)pubsub_count(c, TOPIC_CHANNEL),
        (unsigned long long)pubsub_count(c, TOPIC_PATTERN), (unsigned long long)pubsub_count(c, TOPIC_SHARD),
        transaction_count(c), transaction_watched(c),
        (unsigned long long)(m.query_bytes + (c->id == rq->client->id ? request_bytes(rq) : 0)),
        (unsigned long long)m.query_free, (unsigned long long)transaction_bytes(c),
        (unsigned long long)m.output_list, (unsigned long long)m.output_bytes,
        (unsigned long long)(m.memory_bytes + transaction_bytes(c) + pubsub_bytes(c) + tracking_bytes(c)),
        m.output_bytes ? "rw" : "r");
    text_addf(t, " cmd=%s user=", c->last_command ? c->last_command->full_name : "NULL");
    text_add(t, acl_user_of(env, c)->name);
    text_addf(t, " redir=%lld resp=%u lib-name=%s lib-ver=%s\n", (long long)tracking_redirect(c), c->proto, or_empty(c->lib_name),
              or_empty(c->lib_ver));
}

/* Redis' classes of clients; nobody here is a master or a replica. */
enum client_class { CLASS_NORMAL, CLASS_PUBSUB, CLASS_NOBODY, CLASS_ANY };

static bool class_named(struct slice type, enum client_class *class)
{
    static const struct {
        const char *name;
        enum client_class class;
    } types[] = {{"normal", CLASS_NORMAL},
                 {"pubsub", CLASS_PUBSUB},
                 {"master", CLASS_NOBODY},
                 {"slave", CLASS_NOBODY},
                 {"replica", CLASS_NOBODY}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (slice_is(type, types[i].name)) {
            *class = types[i].class;
            return true;
        }
    return false;
}

static bool in_class(const struct client *c, enum client_class class)
{
    return class == CLASS_ANY || class == (c->flags & CLIENT_PUBSUB ? CLASS_PUBSUB : CLASS_NORMAL);
}

static void unknown_type(struct request *rq, struct slice type)
{
    reply_errorf(rq->out, "ERR Unknown client type '%.*s'", (int)(type.len < 128 ? type.len : 128),
                 (const char *)type.p);
}

enum command_result client_info_run(struct request *rq)
{
    struct text text = {0};
    client_describe(&text, rq, rq->client);
    text_reply(&text, rq->out);
    return CMD_DONE;
}

/* -- CLIENT LIST -- */

struct listing {
    const struct request *rq;
    struct text text;
    const int64_t *id; /* those asked for, or NULL for all */
    const struct client **found;
    int ids;
    enum client_class class;
};

static void list_client(struct client *c, void *arg)
{
    struct listing *l = arg;
    if (c->flags & CLIENT_INTERNAL)
        return;
    if (!l->id && in_class(c, l->class))
        client_describe(&l->text, l->rq, c);
    for (int i = 0; l->id && i < l->ids; i++)
        if ((uint64_t)l->id[i] == c->id)
            l->found[i] = c;
}

/* CLIENT LIST ID a b c: in the order asked for, unknown ones left out. */
static void list_by_id(struct request *rq, struct listing *l)
{
    int n = rq->argc - 3;
    int64_t *id = calloc((size_t)n, sizeof *id);
    l->found = calloc((size_t)n, sizeof *l->found);
    bool good = id && l->found;
    if (!good)
        reply_oom(rq->out);
    for (int i = 0; good && i < n; i++) {
        good = parse_i64(rq->argv[i + 3], &id[i]);
        if (!good)
            reply_error(rq->out, "ERR Invalid client ID");
    }
    if (good) {
        l->id = id;
        l->ids = n;
        rq->env->box->each_client(rq->env, NULL, list_client, l);
        for (int i = 0; i < n; i++)
            if (l->found[i])
                client_describe(&l->text, rq, l->found[i]);
        text_reply(&l->text, rq->out);
    }
    free(id);
    free(l->found);
}

/* Is it too much to look at all clients in one go? */
static bool many_clients(const struct request *rq)
{
    enum { WORK_EACH = 20 };
    return turn_wanted(rq, WORK_EACH * rq->env->box->clients_now(rq->env));
}

enum command_result client_list_run(struct request *rq)
{
    struct listing l = {.rq = rq, .class = CLASS_ANY};
    if (many_clients(rq))
        return CMD_LONG;
    if (rq->argc > 3 && slice_is(rq->argv[2], "id")) {
        list_by_id(rq, &l);
    } else if (rq->argc == 4 && slice_is(rq->argv[2], "type")) {
        if (!class_named(rq->argv[3], &l.class)) {
            unknown_type(rq, rq->argv[3]);
            return CMD_DONE;
        }
        rq->env->box->each_client(rq->env, rq->turn, list_client, &l);
        text_reply(&l.text, rq->out);
    } else if (rq->argc == 2) {
        rq->env->box->each_client(rq->env, rq->turn, list_client, &l);
        text_reply(&l.text, rq->out);
    } else {
        reply_syntax_error(rq->out);
    }
    return CMD_DONE;
}

/* -- CLIENT KILL -- */

struct kill {
    const struct command_env *env;
    const struct slice *addr, *laddr;
    const struct acl_user *user;
    int64_t id; /* 0: any */
    enum client_class class;
    bool skip_me;
    uint64_t me; /* an id: the request's client may be a copy (CLIENT_PROXY) */
    int64_t killed;
};

static bool address_differs(const struct slice *want, const struct endpoint *have)
{
    char text[ENDPOINT_TEXT];
    if (!want)
        return false;
    endpoint_format(have, text);
    return !slice_eq(*want, slice_str(text));
}

static void kill_client(struct client *c, void *arg)
{
    struct kill *k = arg;
    if (c->flags & CLIENT_INTERNAL || !in_class(c, k->class) || (k->id && c->id != (uint64_t)k->id) ||
        (c->id == k->me && k->skip_me) || (k->user && acl_user_of(k->env, c) != k->user) || address_differs(k->addr, &c->peer) ||
        address_differs(k->laddr, &c->local))
        return;
    c->flags |= c->id == k->me ? CLIENT_CLOSE_AFTER_REPLY : CLIENT_KILLED;
    k->killed++;
}

/* One "option value" pair. False after an error reply. */
static bool kill_option(struct request *rq, struct kill *k, struct slice option, const struct slice *value)
{
    enum client_class class = CLASS_ANY;
    if (slice_is(option, "id")) {
        if (parse_i64(*value, &k->id) && k->id > 0)
            return true;
        reply_error(rq->out, "ERR client-id should be greater than 0");
        return false;
    }
    if (slice_is(option, "type")) {
        if (!class_named(*value, &class)) {
            unknown_type(rq, *value);
            return false;
        }
        k->class = k->class == CLASS_ANY || k->class == class ? class : CLASS_NOBODY;
    } else if (slice_is(option, "addr")) {
        k->addr = value;
    } else if (slice_is(option, "laddr")) {
        k->laddr = value;
    } else if (slice_is(option, "user")) {
        k->user = acl_user_find(rq->env->acl, *value);
        if (!k->user) {
            reply_errorf(rq->out, "ERR No such user '%.*s'", (int)(value->len < 900 ? value->len : 900),
                         (const char *)value->p);
            return false;
        }
    } else if (slice_is(option, "skipme") && (slice_is(*value, "yes") || slice_is(*value, "no"))) {
        k->skip_me = slice_is(*value, "yes");
    } else {
        reply_syntax_error(rq->out);
        return false;
    }
    return true;
}

enum command_result client_kill_run(struct request *rq)
{
    struct kill k = {.env = rq->env, .me = rq->client->id, .class = CLASS_ANY, .skip_me = rq->argc > 3};
    if (many_clients(rq))
        return CMD_LONG;
    if (rq->argc == 3) { /* the old form: one address, an error if there is no such client */
        k.addr = &rq->argv[2];
        rq->env->box->each_client(rq->env, rq->turn, kill_client, &k);
        if (k.killed)
            reply_ok(rq->out);
        else
            reply_error(rq->out, "ERR No such client");
        return CMD_DONE;
    }
    for (int i = 2; i < rq->argc; i += 2) {
        if (i + 1 == rq->argc) {
            reply_syntax_error(rq->out);
            return CMD_DONE;
        }
        if (!kill_option(rq, &k, rq->argv[i], &rq->argv[i + 1]))
            return CMD_DONE;
    }
    rq->env->box->each_client(rq->env, rq->turn, kill_client, &k);
    reply_int(rq->out, k.killed);
    return CMD_DONE;
}
