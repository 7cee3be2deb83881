/* notify.c: what has happened to keys becomes messages (notify.h). */
#include "command/notify.h"

#include "base/number.h"
#include "store/pins.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 256 };

static void send(struct command_env *env, const char *kind, unsigned db, struct slice about,
                 struct slice message)
{
    char room[ROOM], *channel = room;
    size_t at = (size_t)snprintf(room, sizeof room, "__%s@%u__:", kind, db);
    if (at + about.len > sizeof room) {
        channel = malloc(at + about.len);
        if (!channel) {
            count_one(env->counters, COUNTER_notify_drop_memory);
            return;
        }
        memcpy(channel, room, at);
    }
    if (about.len)
        memcpy(channel + at, about.p, about.len);
    env->box->notify(env, (struct slice){(const uint8_t *)channel, at + about.len}, message);
    if (channel != room)
        free(channel);
}

static void tell(struct command_env *env, unsigned class, const char *event, unsigned db, struct slice key)
{
    unsigned wanted = env->conf->notify;
    if (!(wanted & class) || !env->box || !env->box->notify)
        return;
    if (wanted & NOTIFY_KEYSPACE)
        send(env, "keyspace", db, key, slice_str(event));
    if (wanted & NOTIFY_KEYEVENT)
        send(env, "keyevent", db, slice_str(event), key);
}

void notify_by_itself(void *ctx, enum key_event event, unsigned db, struct slice name)
{
    static const struct {
        unsigned class;
        const char *event;
    } events[] = {[EVENT_EXPIRED] = {NOTIFY_EXPIRED, "expired"},
                  [EVENT_EVICTED] = {NOTIFY_EVICTED, "evicted"},
                  [EVENT_FIELDS_EXPIRED] = {NOTIFY_HASH, "hexpired"},
                  [EVENT_MISSED] = {NOTIFY_MISS, "keymiss"},
                  [EVENT_EMPTIED] = {NOTIFY_GENERIC, "del"}};
    struct command_env *env = ctx;
    if (event == EVENT_LOST)
        count_one(env->counters, COUNTER_notify_drop_memory);
    else
        tell(env, events[event].class, events[event].event, db, name);
}

/* -- by commands -- */

static bool is_source(const struct request *rq, const struct noted_key *k)
{
    return rq->argc > 1 && k->db == rq->client->db && slice_eq(rq->argv[1], (struct slice){k->name, k->len});
}

static void tell_of(const struct request *rq, const struct notify_rule *rule, const struct noted_key *k)
{
    struct slice key = {k->name, k->len};
    const char *event = rule->other && !is_source(rq, k) ? rule->other : rule->event;
    if (k->made && !(rule->how & RULE_ANEW))
        tell(rq->env, NOTIFY_NEW, "new", k->db, key);
    if (event && !(k->gone && rule->how & RULE_ONLY_DEL))
        tell(rq->env, rule->class, event, k->db, key);
    if (rule->also && !k->gone)
        tell(rq->env, rule->also_class, rule->also, k->db, key);
    if (k->gone && !(rule->how & RULE_NO_DEL))
        tell(rq->env, NOTIFY_GENERIC, "del", k->db, key);
}

/* While commands are in slices, notes may be theirs; their keys are nobody else's. */
static bool is_mine(const struct request *rq, const struct noted_key *k, bool shared)
{
    for (int i = 1; shared && i < rq->argc; i++)
        if (slice_eq(rq->argv[i], (struct slice){k->name, k->len}))
            return true;
    return !shared;
}

enum which { SOURCE, OTHERS, EVERY, MADE };

static void tell_each(const struct request *rq, const struct notify_rule *rule,
                      const struct key_events *noted, enum which which, bool shared)
{
    for (unsigned i = 0; i < noted->n; i++) {
        const struct noted_key *k = &noted->noted[i];
        if (!is_mine(rq, k, shared))
            continue;
        if (which == MADE && k->remade && !k->gone)
            tell(rq->env, NOTIFY_NEW, "new", k->db, (struct slice){k->name, k->len});
        else if (which == EVERY || (which != MADE && is_source(rq, k) == (which == SOURCE)))
            tell_of(rq, rule, k);
    }
}

/* Have commands in slices noted keys of this shard, too? Not while one has it to itself. */
static bool is_shared(struct shard *s)
{
    return shard_pins(s)->held && !shard_pins(s)->alone;
}

/* Those that are somebody else's stay. */
static void forget(const struct request *rq, struct key_events *noted)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < noted->n; i++)
        if (is_mine(rq, &noted->noted[i], true))
            free(noted->noted[i].name);
        else
            noted->noted[kept++] = noted->noted[i];
    noted->n = kept;
}

static void tell_pass(const struct request *rq, const struct notify_rule *rule, enum which which)
{
    const struct keyspace *ks = rq->env->ks;
    for (unsigned i = 0; i < ks->shards; i++) {
        const struct waits *w = request_touches(rq, i) ? shard_waits(ks->shard[i]) : NULL;
        if (w && w->events)
            tell_each(rq, rule, w->events, which, is_shared(ks->shard[i]));
    }
}

/* MSET tells of a key as often as it is named. */
static void tell_pairs(const struct request *rq, const struct notify_rule *rule)
{
    const struct keyspace *ks = rq->env->ks;
    unsigned found = 0; /* mostly they are in order */
    for (int at = 1; at < rq->argc; at += 2) {
        const struct waits *w = shard_waits(ks->shard[keyspace_shard_of(ks, rq->argv[at])]);
        struct key_events *noted = w->events;
        for (unsigned tries = 0; noted && tries < noted->n; tries++) {
            unsigned i = (found + tries) % noted->n;
            struct noted_key *k = &noted->noted[i];
            if (k->db != rq->client->db || !slice_eq(rq->argv[at], (struct slice){k->name, k->len}))
                continue;
            tell_of(rq, rule, k);
            k->made = false;
            found = i + 1;
            break;
        }
    }
}

static void forget_all(const struct request *rq)
{
    const struct keyspace *ks = rq->env->ks;
    for (unsigned i = 0; i < ks->shards; i++) {
        struct waits *w = request_touches(rq, i) ? shard_waits(ks->shard[i]) : NULL;
        if (!w || !w->events || !w->events->n)
            continue;
        if (is_shared(ks->shard[i]))
            forget(rq, w->events);
        else
            waits_forget_noted(w);
    }
}

void notify_of(struct request *rq)
{
    struct notify_rule rule;
    if (notify_rule_of(rq, &rule)) {
        bool backwards = rule.how & RULE_BACKWARDS;
        if (rule.how & RULE_ANEW)
            tell_pass(rq, &rule, MADE);
        if (rule.how & RULE_PAIRS) {
            tell_pairs(rq, &rule);
        } else if (rule.other) {
            tell_pass(rq, &rule, backwards ? OTHERS : SOURCE);
            tell_pass(rq, &rule, backwards ? SOURCE : OTHERS);
        } else {
            tell_pass(rq, &rule, EVERY);
        }
    }
    forget_all(rq);
}
