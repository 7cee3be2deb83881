/* transaction_watch.c: the keys that WATCH looks at (store/waits.h has who waits for a key). */
#include "command/transaction_private.h"

#include <stdlib.h>

static void free_node(struct watch *w, struct watch_node *n)
{
    w->keys--;
    free(n);
}

bool watch_leave(struct watch *w, const struct keyspace *ks, int shard)
{
    for (struct watch_node **at = &w->first, *n; (n = *at);) {
        if (shard != EVERY_SHARD && n->shard != (unsigned)shard) {
            at = &n->others;
            continue;
        }
        waits_unwatch(shard_waits(ks->shard[n->shard]), n);
        *at = n->others;
        free_node(w, n);
    }
    if (w->first)
        return false;
    free(w);
    return true;
}

void watch_drop(struct watch *w)
{
    for (struct watch_node *n = w ? w->first : NULL, *next; n; n = next) {
        next = n->others;
        free(n);
    }
    free(w);
}

void watch_end(struct command_env *env, struct transaction *t)
{
    struct watch *w = t->watch;
    t->watch = NULL;
    if (!w)
        return;
    if (env->box && env->box->unwatch)
        env->box->unwatch(env, w);
    else
        watch_leave(w, env->ks, EVERY_SHARD);
}

/* One more key; nothing is done if the client watches it already. */
static bool watch_key(const struct request *rq, struct watch *w, const struct key *k)
{
    unsigned shard = keyspace_shard_of(rq->env->ks, k->name), db = rq->client->db;
    struct shard *s = rq->env->ks->shard[shard];
    struct watch_node *n = calloc(1, sizeof *n);
    if (!n)
        return false;
    n->changed = &w->changed;
    n->shard = shard;
    store_find(s, db, k, LOOK_NOTOUCH | LOOK_NOSTAT); /* what has expired is gone before, not meanwhile */
    bool ok = waits_watch(shard_waits(s), db, k, n);
    if (!n->key) {
        free(n);
        return ok;
    }
    n->others = w->first;
    w->first = n;
    w->keys++;
    w->bytes += sizeof *n + wait_key_size(k->name.len);
    return true;
}

/* Takes back what was watched behind `until`. */
static void watch_back(const struct request *rq, struct watch *w, const struct watch_node *until)
{
    for (struct watch_node *n; (n = w->first) != until;) {
        w->first = n->others;
        w->bytes -= sizeof *n + wait_key_size(n->key->len);
        waits_unwatch(shard_waits(rq->env->ks->shard[n->shard]), n);
        free_node(w, n);
    }
}

bool watch_keys(const struct request *rq)
{
    struct transaction *t = transaction_of(rq->client);
    if (t && !t->watch)
        t->watch = calloc(1, sizeof *t->watch);
    if (!t || !t->watch)
        return false;
    const struct watch_node *before = t->watch->first;
    for (int i = 1; i < rq->argc; i++) {
        struct key k = request_key(rq, i);
        if (!watch_key(rq, t->watch, &k)) {
            watch_back(rq, t->watch, before);
            return false;
        }
    }
    return true;
}

bool watch_is_lost(const struct request *rq, const struct transaction *t)
{
    const struct watch *w = t->watch;
    for (const struct watch_node *n = w ? w->first : NULL; n && !w->changed; n = n->others) {
        const struct key k = {{n->key->name, n->key->len}, n->key->hash};
        store_find(rq->env->ks->shard[n->shard], n->key->db, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
    }
    return w && w->changed;
}
