/* pubsub.c: SUBSCRIBE, PUBLISH, PUBSUB and kin. https://redis.io/docs/latest/commands/?group=pubsub
 *
 * What a client subscribes to is kept on its own worker (pubsub.h). A message is posted to the box, which
 * brings it to all workers that may have receivers (box_ops.publish). */
#include "command/pubsub.h"

#include "base/glob.h"
#include "command/pubsub_commands.h"
#include "command/server.h"
#include "command/text.h"

#include <stdlib.h>

/* turn_wanted(): several table look-ups, memory, a line of reply. */
enum { TOPIC_WORK = 8, TOPICS_A_PART = 32 };

static const char *const joined[TOPIC_KINDS] = {"subscribe", "psubscribe", "ssubscribe"};
static const char *const left[TOPIC_KINDS] = {"unsubscribe", "punsubscribe", "sunsubscribe"};

/* The tables of this worker; NULL after an error: the request has no connection to push to. */
static struct pubsub *tables(struct request *rq)
{
    struct pubsub *p = rq->env->pubsub ? rq->env->pubsub[rq->env->self] : NULL;
    if (p && !(rq->client->flags & (CLIENT_INTERNAL | CLIENT_PROXY)))
        return p;
    reply_error(rq->out, "ERR Pub/Sub needs a connection");
    return NULL;
}

/* Redis counts channels and patterns together. */
static uint64_t counted(const struct client *c, enum topic_kind kind)
{
    if (kind == TOPIC_SHARD)
        return pubsub_count(c, TOPIC_SHARD);
    return pubsub_count(c, TOPIC_CHANNEL) + pubsub_count(c, TOPIC_PATTERN);
}

/* Goes out even when CLIENT REPLY OFF silences replies. */
static void confirm(struct request *rq, const char *what, enum topic_kind kind, const struct slice *name)
{
    struct resp_writer *w = rq->wire;
    reply_push(w, 3);
    reply_bulk_str(w, what);
    if (name)
        reply_bulk(w, *name);
    else
        reply_null(w);
    reply_int(w, (int64_t)counted(rq->client, kind));
}

static void note_mode(struct client *c)
{
    c->flags &= ~(uint32_t)CLIENT_PUBSUB;
    if (c->subscriber)
        c->flags |= CLIENT_PUBSUB;
}

/* Is it too much for one go? Then it runs in parts, each on the client itself (rq->part). */
static bool in_parts(struct request *rq, uint64_t topics)
{
    if (!turn_wanted(rq, TOPIC_WORK * topics))
        return false;
    rq->part = 1;
    return true;
}

/* Where this run ends of those from argument `from` on. */
static int end_of_part(const struct request *rq, int from)
{
    return rq->part && rq->argc - from > TOPICS_A_PART ? from + TOPICS_A_PART : rq->argc;
}

/* The next part begins there. */
static enum command_result rest(struct request *rq, int from)
{
    rq->part = from;
    return CMD_LONG;
}

static enum command_result subscribe(struct request *rq, enum topic_kind kind)
{
    struct pubsub *p = tables(rq);
    if (p && in_parts(rq, (uint64_t)rq->argc))
        return CMD_LONG;
    int first = rq->part ? rq->part : 1, end = end_of_part(rq, first);
    for (int i = first; p && i < end; i++) {
        if (pubsub_subscribe(p, rq->client, kind, rq->argv[i]) == SUBSCRIBED_NO_MEMORY) {
            reply_error(rq->out, "ERR out of memory for another subscription");
            return CMD_COUNTED;
        }
        note_mode(rq->client);
        confirm(rq, joined[kind], kind, &rq->argv[i]);
    }
    return p && end < rq->argc ? rest(rq, end) : CMD_COUNTED;
}

static enum command_result unsubscribe_all(struct request *rq, struct pubsub *p, enum topic_kind kind)
{
    struct client *c = rq->client;
    if (in_parts(rq, pubsub_count(c, kind)))
        return CMD_LONG;
    if (pubsub_count(c, kind) == 0)
        confirm(rq, left[kind], kind, NULL);
    for (unsigned n = 0; pubsub_count(c, kind) && !(rq->part && n == TOPICS_A_PART); n++) {
        struct slice name = topic_name(c->subscriber->mine[kind]->topic);
        reply_push(rq->wire, 3);
        reply_bulk_str(rq->wire, left[kind]);
        reply_bulk(rq->wire, name); /* before it goes with its topic */
        pubsub_unsubscribe(p, c, kind, name);
        reply_int(rq->wire, (int64_t)counted(c, kind));
    }
    note_mode(c);
    return pubsub_count(c, kind) ? rest(rq, 1) : CMD_COUNTED;
}

static enum command_result unsubscribe(struct request *rq, enum topic_kind kind)
{
    struct pubsub *p = tables(rq);
    if (p && rq->argc == 1)
        return unsubscribe_all(rq, p, kind);
    if (p && in_parts(rq, (uint64_t)rq->argc))
        return CMD_LONG;
    int first = rq->part ? rq->part : 1, end = end_of_part(rq, first);
    for (int i = first; p && i < end; i++) {
        pubsub_unsubscribe(p, rq->client, kind, rq->argv[i]);
        confirm(rq, left[kind], kind, &rq->argv[i]);
    }
    note_mode(rq->client);
    return p && end < rq->argc ? rest(rq, end) : CMD_COUNTED;
}

enum command_result subscribe_run(struct request *rq)
{
    return subscribe(rq, TOPIC_CHANNEL);
}

enum command_result psubscribe_run(struct request *rq)
{
    return subscribe(rq, TOPIC_PATTERN);
}

enum command_result ssubscribe_run(struct request *rq)
{
    return subscribe(rq, TOPIC_SHARD);
}

enum command_result unsubscribe_run(struct request *rq)
{
    return unsubscribe(rq, TOPIC_CHANNEL);
}

enum command_result punsubscribe_run(struct request *rq)
{
    return unsubscribe(rq, TOPIC_PATTERN);
}

enum command_result sunsubscribe_run(struct request *rq)
{
    return unsubscribe(rq, TOPIC_SHARD);
}

/* -- PUBLISH -- */

static enum command_result publish(struct request *rq, enum topic_kind kind)
{
    uint64_t receivers = 0;
    const struct box_ops *box = rq->env->box;
    enum published result = PUBLISHED;
    if (box && box->publish)
        result = box->publish(rq, kind, rq->argv[1], rq->argv[2], &receivers);
    if (result == PUBLISH_WAITS)
        return CMD_WAIT;
    if (result == PUBLISH_NO_MEMORY)
        reply_error(rq->out, "ERR out of memory for this message");
    else
        reply_int(rq->out, (int64_t)receivers);
    return receivers ? CMD_COUNTED : CMD_DONE;
}

enum command_result publish_run(struct request *rq)
{
    return publish(rq, TOPIC_CHANNEL);
}

enum command_result spublish_run(struct request *rq)
{
    return publish(rq, TOPIC_SHARD);
}

/* -- PUBSUB: with all workers stopped -- */

static struct pubsub *tables_of(const struct command_env *env, unsigned worker)
{
    return env->pubsub ? env->pubsub[worker] : NULL;
}

/* Has a worker before this one the same topic? */
static bool told(const struct command_env *env, unsigned worker, const struct topic *t)
{
    for (unsigned i = 0; i < worker; i++)
        if (pubsub_topic(tables_of(env, i), t->kind, topic_name(t)))
            return true;
    return false;
}

uint64_t pubsub_topics(const struct command_env *env, enum topic_kind kind)
{
    uint64_t n = tables_of(env, 0) ? tables_of(env, 0)->n[kind] : 0;
    for (unsigned i = 1; i < env->workers && tables_of(env, i); i++)
        for (const struct topic *t = tables_of(env, i)->first[kind]; t; t = t->next)
            n += !told(env, i, t);
    return n;
}

/* Adds the names of a worker's topics, as replies, and returns how many. Others come in between: a topic that
 * is of one worker first and of another one later may be told twice. */
static size_t add_names(const struct request *rq, struct topic_walk *walk, unsigned worker,
                        struct text *names)
{
    size_t n = 0;
    for (const struct topic *t; (t = topic_walk_next(walk)); turn_take(rq->turn)) {
        if ((rq->argc > 2 && !glob_match(rq->argv[2], topic_name(t), false)) || told(rq->env, worker, t))
            continue;
        text_addf(names, "$%zu\r\n", topic_name(t).len);
        text_add(names, topic_name(t));
        text_add(names, SLICE_LIT("\r\n"));
        n++;
    }
    return n;
}

static enum command_result list(struct request *rq, enum topic_kind kind)
{
    const struct command_env *env = rq->env;
    struct topic_walk walk[CONFIG_WORKERS];
    struct text names = {0};
    uint64_t topics = 0;
    size_t n = 0;
    if (rq->argc > 3) {
        server_unknown_subcommand(rq);
        return CMD_DONE;
    }
    for (unsigned i = 0; i < env->workers && tables_of(env, i); i++)
        topics += tables_of(env, i)->n[kind];
    if (turn_wanted(rq, KEY_WORK * topics))
        return CMD_LONG;
    for (unsigned i = 0; i < env->workers && tables_of(env, i); i++)
        topic_walk_begin(&walk[i], tables_of(env, i), kind);
    for (unsigned i = 0; i < env->workers && tables_of(env, i); i++)
        n += add_names(rq, &walk[i], i, &names);
    for (unsigned i = 0; i < env->workers && tables_of(env, i); i++)
        topic_walk_end(&walk[i], tables_of(env, i));
    if (names.failed) {
        reply_oom(rq->out);
    } else {
        reply_array(rq->out, n);
        reply_raw(rq->out, names.p, names.len);
    }
    free(names.p);
    return CMD_DONE;
}

/* Name and number in turn: an array in RESP3, too, as in Redis. */
static enum command_result numbers(struct request *rq, enum topic_kind kind)
{
    if (turn_wanted_many(rq))
        return CMD_LONG;
    reply_array(rq->out, 2 * (size_t)(rq->argc - 2));
    for (int at = 2; at < rq->argc; at++, turn_take(rq->turn)) {
        uint64_t n = 0;
        for (unsigned i = 0; i < rq->env->workers && tables_of(rq->env, i); i++) {
            const struct topic *t = pubsub_topic(tables_of(rq->env, i), kind, rq->argv[at]);
            n += t ? t->subscribers : 0;
        }
        reply_bulk(rq->out, rq->argv[at]);
        reply_int(rq->out, (int64_t)n);
    }
    return CMD_DONE;
}

enum command_result pubsub_channels_run(struct request *rq)
{
    return list(rq, TOPIC_CHANNEL);
}

enum command_result pubsub_shardchannels_run(struct request *rq)
{
    return list(rq, TOPIC_SHARD);
}

enum command_result pubsub_numsub_run(struct request *rq)
{
    return numbers(rq, TOPIC_CHANNEL);
}

enum command_result pubsub_shardnumsub_run(struct request *rq)
{
    return numbers(rq, TOPIC_SHARD);
}

enum command_result pubsub_numpat_run(struct request *rq)
{
    reply_int(rq->out, (int64_t)pubsub_topics(rq->env, TOPIC_PATTERN));
    return CMD_DONE;
}

enum command_result pubsub_help_run(struct request *rq)
{
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        NULL};
    return server_help(rq, lines);
}
