/* pubsub_topics.c: topics, subscriptions and the walk of a message through them (pubsub.h). */
#include "command/pubsub.h"

#include "base/glob.h"
#include "base/hash.h"

#include <stdlib.h>

enum { LEAVE_AT_ONCE = 256 }; /* subscriptions of a client that end with it; the rest in slices */

/* -- topics -- */

static uint64_t topic_hash(const struct pubsub *p, enum topic_kind kind, struct slice name)
{
    return key_hash(name, p->seed + (uint64_t)kind * 0x9e3779b97f4a7c15);
}

static struct topic *find(const struct pubsub *p, enum topic_kind kind, struct slice name, uint64_t hash)
{
    for (struct chain_node *n = chains_at(&p->topics, hash); n; n = n->next) {
        struct topic *t = (struct topic *)n;
        if (n->hash == hash && t->kind == kind && slice_eq(topic_name(t), name))
            return t;
    }
    return NULL;
}

struct topic *pubsub_topic(const struct pubsub *p, enum topic_kind kind, struct slice name)
{
    return find(p, kind, name, topic_hash(p, kind, name));
}

/* Only the worker itself writes these counts. */
static void step(_Atomic(uint32_t) *count, int by)
{
    uint32_t now = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, now + (uint32_t)by, memory_order_release);
}

static void note_interest(struct pubsub *p, const struct topic *t, int by)
{
    if (t->kind == TOPIC_PATTERN)
        step(&p->patterns, by);
    else
        step(&p->interest[t->node.hash % PUBSUB_INTEREST], by);
}

static struct topic *topic_new(struct pubsub *p, enum topic_kind kind, struct slice name, uint64_t hash)
{
    struct topic *t = calloc(1, sizeof *t + name.len);
    if (!t)
        return NULL;
    t->kind = (uint8_t)kind;
    t->len = (uint32_t)name.len;
    t->node.hash = hash;
    t->since = p->made + 1;
    if (name.len)
        memcpy(t->name, name.p, name.len);
    if (!chains_add(&p->topics, &t->node)) {
        free(t);
        return NULL;
    }
    t->prev = p->last[kind];
    if (t->prev)
        t->prev->next = t;
    else
        p->first[kind] = t;
    p->last[kind] = t;
    p->n[kind]++;
    note_interest(p, t, 1);
    return t;
}

static void topic_end(struct pubsub *p, struct topic *t)
{
    if (p->walk.topic == t)
        p->walk.topic = NULL;
    if (p->walk.pattern == t)
        p->walk.pattern = t->next;
    for (struct topic_walk *w = p->walks; w; w = w->others)
        if (w->next == t)
            w->next = t->next;
    if (t->prev)
        t->prev->next = t->next;
    else
        p->first[t->kind] = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        p->last[t->kind] = t->prev;
    p->n[t->kind]--;
    note_interest(p, t, -1);
    chains_remove(&p->topics, &t->node);
    free(t);
}

void topic_walk_begin(struct topic_walk *walk, struct pubsub *p, enum topic_kind kind)
{
    *walk = (struct topic_walk){p->first[kind], p->made, p->walks};
    p->walks = walk;
}

struct topic *topic_walk_next(struct topic_walk *walk)
{
    struct topic *t = walk->next;
    if (!t || t->since > walk->until) /* later ones stand behind */
        return NULL;
    walk->next = t->next;
    return t;
}

void topic_walk_end(struct topic_walk *walk, struct pubsub *p)
{
    struct topic_walk **at = &p->walks;
    while (*at != walk)
        at = &(*at)->others;
    *at = walk->others;
}

bool pubsub_interested(const struct pubsub *p, enum topic_kind kind, struct slice channel)
{
    uint64_t hash = topic_hash(p, kind, channel);
    return atomic_load_explicit(&p->interest[hash % PUBSUB_INTEREST], memory_order_acquire) ||
           (kind == TOPIC_CHANNEL && atomic_load_explicit(&p->patterns, memory_order_acquire));
}

uint64_t pubsub_receivers(const struct pubsub *p, enum topic_kind kind, struct slice channel)
{
    const struct topic *t = pubsub_topic(p, kind, channel);
    uint64_t n = t ? t->subscribers : 0;
    for (t = kind == TOPIC_CHANNEL ? p->first[TOPIC_PATTERN] : NULL; t; t = t->next)
        if (glob_match(topic_name(t), channel, false))
            n += t->subscribers;
    return n;
}

/* -- subscriptions -- */

static uint64_t pair_hash(const struct topic *t, const struct subscriber *s)
{
    uint64_t h = t->node.hash ^ (uint64_t)(uintptr_t)s * 0x9e3779b97f4a7c15;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93;
    return h ^ h >> 32;
}

static struct subscription *find_pair(const struct pubsub *p, const struct topic *t,
                                      const struct subscriber *s)
{
    uint64_t hash = pair_hash(t, s);
    for (struct chain_node *n = chains_at(&p->subscriptions, hash); n; n = n->next) {
        struct subscription *sub = (struct subscription *)n;
        if (sub->topic == t && sub->subscriber == s)
            return sub;
    }
    return NULL;
}

static struct subscriber *subscriber_of(struct pubsub *p, struct client *c)
{
    if (c->subscriber)
        return c->subscriber;
    struct subscriber *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->client = c;
    s->next = p->subscribers;
    if (s->next)
        s->next->prev = s;
    p->subscribers = s;
    s->bytes = sizeof *s;
    return c->subscriber = s;
}

static uint64_t total(const struct subscriber *s)
{
    return s->n[TOPIC_CHANNEL] + s->n[TOPIC_PATTERN] + s->n[TOPIC_SHARD];
}

static void subscriber_end(struct pubsub *p, struct subscriber *s)
{
    struct subscriber **head = s->client ? &p->subscribers : &p->gone;
    if (s->client)
        s->client->subscriber = NULL;
    if (s->prev)
        s->prev->next = s->next;
    else
        *head = s->next;
    if (s->next)
        s->next->prev = s->prev;
    free(s);
}

/* What a subscription takes: a topic's own bytes are everybody's who has it. */
static uint64_t cost(const struct topic *t)
{
    return sizeof(struct subscription) + sizeof(struct topic) + t->len + 4 * sizeof(void *);
}

static void link_up(struct pubsub *p, struct subscription *sub)
{
    struct topic *t = sub->topic;
    struct subscriber *s = sub->subscriber;
    sub->since = ++p->made;
    sub->prev = t->last;
    if (sub->prev)
        sub->prev->next = sub;
    else
        t->first = sub;
    t->last = sub;
    t->subscribers++;
    sub->mine_next = s->mine[t->kind];
    if (sub->mine_next)
        sub->mine_next->mine_prev = sub;
    s->mine[t->kind] = sub;
    s->n[t->kind]++;
    s->bytes += cost(t);
}

static void subscription_end(struct pubsub *p, struct subscription *sub)
{
    struct topic *t = sub->topic;
    struct subscriber *s = sub->subscriber;
    if (p->walk.next == sub)
        p->walk.next = sub->next;
    if (sub->prev)
        sub->prev->next = sub->next;
    else
        t->first = sub->next;
    if (sub->next)
        sub->next->prev = sub->prev;
    else
        t->last = sub->prev;
    if (sub->mine_prev)
        sub->mine_prev->mine_next = sub->mine_next;
    else
        s->mine[t->kind] = sub->mine_next;
    if (sub->mine_next)
        sub->mine_next->mine_prev = sub->mine_prev;
    s->n[t->kind]--;
    s->bytes -= cost(t);
    chains_remove(&p->subscriptions, &sub->node);
    free(sub);
    if (--t->subscribers == 0)
        topic_end(p, t);
    if (total(s) == 0)
        subscriber_end(p, s);
}

enum subscribed pubsub_subscribe(struct pubsub *p, struct client *c, enum topic_kind kind, struct slice name)
{
    uint64_t hash = topic_hash(p, kind, name);
    struct topic *t = find(p, kind, name, hash);
    struct subscriber *s = subscriber_of(p, c);
    if (t && s && find_pair(p, t, s))
        return SUBSCRIBED_ALREADY;
    struct subscription *sub = calloc(1, sizeof *sub);
    if (!t && s && sub)
        t = topic_new(p, kind, name, hash);
    if (t && s && sub) {
        sub->topic = t;
        sub->subscriber = s;
        sub->node.hash = pair_hash(t, s);
        if (chains_add(&p->subscriptions, &sub->node)) {
            link_up(p, sub);
            return SUBSCRIBED;
        }
    }
    free(sub);
    if (t && t->subscribers == 0)
        topic_end(p, t);
    if (s && total(s) == 0)
        subscriber_end(p, s);
    return SUBSCRIBED_NO_MEMORY;
}

bool pubsub_unsubscribe(struct pubsub *p, struct client *c, enum topic_kind kind, struct slice name)
{
    struct topic *t = c->subscriber ? pubsub_topic(p, kind, name) : NULL;
    struct subscription *sub = t ? find_pair(p, t, c->subscriber) : NULL;
    if (sub)
        subscription_end(p, sub);
    return sub;
}

/* Ends up to n of them, and the subscriber with the last one: then true. */
static bool end_some(struct pubsub *p, struct subscriber *s, unsigned n)
{
    uint64_t left = total(s);
    for (; n && left; n--, left--)
        for (int kind = 0; kind < TOPIC_KINDS; kind++)
            if (s->mine[kind]) {
                subscription_end(p, s->mine[kind]);
                break;
            }
    return left == 0;
}

/* Its client is no more; the subscriptions follow. */
static void abandon(struct pubsub *p, struct subscriber *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        p->subscribers = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->client = NULL;
    s->prev = NULL;
    s->next = p->gone;
    if (s->next)
        s->next->prev = s;
    p->gone = s;
}

void pubsub_leave(struct pubsub *p, struct client *c)
{
    if (!c->subscriber || end_some(p, c->subscriber, LEAVE_AT_ONCE))
        return;
    abandon(p, c->subscriber);
    c->subscriber = NULL;
}

bool pubsub_tidy(struct pubsub *p)
{
    if (p->gone)
        end_some(p, p->gone, LEAVE_AT_ONCE);
    return p->gone;
}

uint64_t pubsub_count(const struct client *c, enum topic_kind kind)
{
    return c->subscriber ? c->subscriber->n[kind] : 0;
}

uint64_t pubsub_bytes(const struct client *c)
{
    return c->subscriber ? c->subscriber->bytes : 0;
}

/* -- a message -- */

void pubsub_walk_begin(struct pubsub *p, enum topic_kind kind, struct slice channel, uint64_t until)
{
    struct topic *t = pubsub_topic(p, kind, channel);
    p->walk = (struct pubsub_walk){
        .topic = t,
        .next = t ? t->first : NULL,
        .pattern = kind == TOPIC_CHANNEL ? p->first[TOPIC_PATTERN] : NULL,
        .channel = channel,
        .until = until,
    };
}

/* To the next pattern that matches. False if there is none, or the budget is used up. */
static bool next_pattern(struct pubsub_walk *w, unsigned *budget)
{
    for (; w->pattern && *budget; --*budget) {
        struct topic *t = w->pattern;
        w->pattern = t->next;
        if (!glob_match(topic_name(t), w->channel, false))
            continue;
        w->topic = t;
        w->next = t->first;
        return true;
    }
    return false;
}

struct client *pubsub_walk_next(struct pubsub *p, struct topic **topic, unsigned *budget)
{
    struct pubsub_walk *w = &p->walk;
    while (*budget) {
        struct subscription *sub = w->next;
        if (!sub || sub->since > w->until) { /* later ones stand behind */
            w->next = NULL;
            w->topic = NULL;
            if (!next_pattern(w, budget))
                return NULL;
            continue;
        }
        w->next = sub->next;
        --*budget;
        *topic = w->topic;
        if (sub->subscriber->client)
            return sub->subscriber->client;
    }
    return NULL;
}

bool pubsub_walk_ended(const struct pubsub *p)
{
    return !p->walk.next && !p->walk.pattern;
}

/* -- life -- */

struct pubsub *pubsub_new(uint64_t seed)
{
    struct pubsub *p = calloc(1, sizeof *p);
    if (p)
        p->seed = seed;
    return p;
}

void pubsub_free(struct pubsub *p)
{
    if (!p)
        return;
    while (p->subscribers)
        abandon(p, p->subscribers);
    while (pubsub_tidy(p))
        ;
    free(p);
}
