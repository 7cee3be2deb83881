/* waits.c: a chained hash table of keys that are waited for. It grows with them; a large
 * one is freed with the last. */
#include "store/waits.h"

#include <stdlib.h>

enum { BUCKETS_LEAST = 64, BUCKETS_KEPT = 4096 };

static uint64_t slot(const struct waits *w, unsigned db, uint64_t hash)
{
    return (hash + db * 0x9e3779b97f4a7c15) & (w->buckets - 1);
}

static struct wait_key *find(const struct waits *w, unsigned db, struct slice name, uint64_t hash)
{
    if (!w->buckets)
        return NULL;
    struct wait_key *k = w->bucket[slot(w, db, hash)];
    while (k && !(k->hash == hash && k->db == db && k->len == name.len &&
                  (!name.len || memcmp(k->name, name.p, name.len) == 0)))
        k = k->bucket_next;
    return k;
}

/* Without memory the chains become longer. */
static bool grow(struct waits *w)
{
    struct waits old = *w;
    uint64_t buckets = w->buckets ? 2 * w->buckets : BUCKETS_LEAST;
    struct wait_key **table = calloc(buckets, sizeof *table);
    if (!table)
        return w->buckets != 0;
    w->bucket = table;
    w->buckets = buckets;
    for (uint64_t i = 0; i < old.buckets; i++)
        for (struct wait_key *k = old.bucket[i], *next; k; k = next) {
            struct wait_key **at = &w->bucket[slot(w, k->db, k->hash)];
            next = k->bucket_next;
            k->bucket_next = *at;
            *at = k;
        }
    free(old.bucket);
    return true;
}

static struct wait_key *make(struct waits *w, unsigned db, const struct key *name)
{
    if (name->name.len > UINT32_MAX || (w->keys >= w->buckets && !grow(w)))
        return NULL;
    struct wait_key *k = calloc(1, sizeof *k + name->name.len);
    if (!k)
        return NULL;
    k->hash = name->hash;
    k->db = db;
    k->len = (uint32_t)name->name.len;
    if (k->len)
        memcpy(k->name, name->name.p, k->len);
    struct wait_key **at = &w->bucket[slot(w, db, k->hash)];
    k->bucket_next = *at;
    *at = k;
    w->keys++;
    return k;
}

static void free_table(struct waits *w)
{
    for (uint64_t i = 0; i < w->buckets; i++)
        for (struct wait_key *k = w->bucket[i], *next; k; k = next) {
            next = k->bucket_next;
            free(k);
        }
    free(w->bucket);
    *w = (struct waits){.nodes = w->nodes & (WAITS_EVENTS | WAITS_CHANGES | WAITS_SNAPSHOT | WAITS_LOG),
                        .events = w->events,
                        .changed = w->changed,
                        .changed_ctx = w->changed_ctx,
                        .log = w->log,
                        .log_fields = w->log_fields,
                        .went = w->went,
                        .log_ctx = w->log_ctx,
                        .databases = w->databases};
}

static void drop_if_idle(struct waits *w, struct wait_key *k)
{
    if (k->first || k->watching || k->ready || k->pinned)
        return;
    struct wait_key **at = &w->bucket[slot(w, k->db, k->hash)];
    while (*at != k)
        at = &(*at)->bucket_next;
    *at = k->bucket_next;
    free(k);
    if (--w->keys == 0 && w->buckets > BUCKETS_KEPT)
        free_table(w);
}

bool waits_add(struct waits *w, unsigned db, const struct key *name, struct wait_node *node)
{
    struct wait_key *k = find(w, db, name->name, name->hash);
    if (!k && !(k = make(w, db, name)))
        return false;
    if (k->last && k->last->waiter == node->waiter)
        return true;
    node->key = k;
    node->prev = k->last;
    node->next = NULL;
    if (k->last)
        k->last->next = node;
    else
        k->first = node;
    k->last = node;
    k->waiting[node->type]++;
    k->gone += node->gone;
    w->nodes++;
    return true;
}

void waits_remove(struct waits *w, struct wait_node *node)
{
    struct wait_key *k = node->key;
    if (!k)
        return;
    if (k->at == node)
        k->at = node->next;
    if (node->prev)
        node->prev->next = node->next;
    else
        k->first = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        k->last = node->prev;
    node->key = NULL;
    k->waiting[node->type]--;
    k->gone -= node->gone;
    w->nodes--;
    drop_if_idle(w, k);
}

bool waits_watch(struct waits *w, unsigned db, const struct key *name, struct watch_node *node)
{
    struct wait_key *k = find(w, db, name->name, name->hash);
    if (!k && !(k = make(w, db, name)))
        return false;
    for (const struct watch_node *n = k->watching; n; n = n->next)
        if (n->changed == node->changed)
            return true;
    node->key = k;
    node->prev = NULL;
    node->next = k->watching;
    if (node->next)
        node->next->prev = node;
    k->watching = node;
    w->nodes++;
    return true;
}

void waits_unwatch(struct waits *w, struct watch_node *node)
{
    struct wait_key *k = node->key;
    if (!k)
        return;
    if (node->prev)
        node->prev->next = node->next;
    else
        k->watching = node->next;
    if (node->next)
        node->next->prev = node->prev;
    node->key = NULL;
    w->nodes--;
    drop_if_idle(w, k);
}

static void raise_all(const struct wait_key *k)
{
    for (const struct watch_node *n = k->watching; n; n = n->next)
        *n->changed = true;
}

static void append(struct wait_key **first, struct wait_key **last, struct wait_key *k)
{
    k->ready_next = NULL;
    if (*last)
        (*last)->ready_next = k;
    else
        *first = k;
    *last = k;
}

static void queue(struct waits *w, struct wait_key *k)
{
    if (k->ready)
        return;
    k->ready = true;
    append(&w->ready_first, &w->ready_last, k);
}

struct wait_key *waits_take(struct waits *w)
{
    struct wait_key *k = w->ready_first;
    if (!k)
        return NULL;
    w->ready_first = k->ready_next;
    if (!w->ready_first)
        w->ready_last = NULL;
    k->ready = false;
    k->pinned = true;
    return k;
}

void waits_unpin(struct waits *w, struct wait_key *k)
{
    k->pinned = false;
    if (k->again)
        queue(w, k);
    k->again = false;
    drop_if_idle(w, k);
}

void waits_set_aside(struct waits *w, struct wait_key *k)
{
    struct wait_key **at = &w->ready_first, *before = NULL;
    if (!k->ready)
        return;
    for (; *at != k; at = &(*at)->ready_next)
        before = *at;
    *at = k->ready_next;
    if (w->ready_last == k)
        w->ready_last = before;
    k->ready = false;
    k->again = true;
}

void waits_hold(struct waits *w, struct wait_key *k)
{
    if (k->ready) /* once more meanwhile: to where it is to be */
        return;
    k->ready = true;
    append(&w->held_first, &w->held_last, k);
}

/* In front of those that became ready later. */
void waits_release(struct waits *w)
{
    if (!w->held_first)
        return;
    w->held_last->ready_next = w->ready_first;
    w->ready_first = w->held_first;
    if (!w->ready_last)
        w->ready_last = w->held_last;
    w->held_first = w->held_last = NULL;
}

/* -- events -- */

bool waits_events(struct waits *w, unsigned databases, key_event_fn *tell, void *ctx)
{
    w->events = calloc(1, sizeof *w->events);
    if (w->events)
        *w->events = (struct key_events){.tell = tell, .ctx = ctx, .databases = databases};
    return w->events;
}

void waits_want_events(struct waits *w, bool wanted)
{
    if (!w->events)
        return;
    w->nodes = wanted ? w->nodes | WAITS_EVENTS : w->nodes & ~WAITS_EVENTS;
    if (!wanted)
        waits_forget_noted(w);
}

void waits_want_changes(struct waits *w, unsigned databases, key_change_fn *changed, void *ctx)
{
    w->nodes = changed ? w->nodes | WAITS_CHANGES : w->nodes & ~WAITS_CHANGES;
    w->changed = changed;
    w->changed_ctx = ctx;
    w->databases = databases;
}

void waits_forget_noted(struct waits *w)
{
    struct key_events *e = w->events;
    while (e->n)
        free(e->noted[--e->n].name);
    if (e->cap <= NOTED_KEPT)
        return;
    free(e->noted);
    e->noted = NULL;
    e->cap = 0;
}

void waits_tell(struct waits *w, enum key_event event, unsigned db, struct slice name)
{
    w->by_itself = event == EVENT_EXPIRED || event == EVENT_EVICTED || event == EVENT_EMPTIED;
    if (w->nodes & WAITS_LOG && db < w->databases) {
        w->went += w->by_itself;
        w->log(w->log_ctx, event, db, name);
    }
    if (!(w->nodes & WAITS_EVENTS) || db >= w->events->databases)
        return;
    w->events->told |= w->by_itself;
    w->events->tell(w->events->ctx, event, db, name);
}

static struct noted_key *noted(struct key_events *e, unsigned db, struct slice name, uint64_t hash)
{
    for (unsigned i = e->n; i-- > 0;) { /* nearly always the last one */
        struct noted_key *k = &e->noted[i];
        if (k->hash == hash && k->db == db && slice_eq((struct slice){k->name, k->len}, name))
            return k;
        if (e->n - i > NOTED_KEPT)
            break;
    }
    if (e->n == e->cap) {
        unsigned cap = e->cap ? 2 * e->cap : NOTED_KEPT;
        struct noted_key *p = realloc(e->noted, cap * sizeof *p);
        if (!p)
            return NULL;
        e->noted = p;
        e->cap = cap;
    }
    uint8_t *copy = malloc(name.len + 1);
    if (!copy)
        return NULL;
    if (name.len)
        memcpy(copy, name.p, name.len);
    struct noted_key *k = &e->noted[e->n++];
    *k = (struct noted_key){.db = db, .hash = hash, .len = (uint32_t)name.len, .name = copy};
    return k;
}

static void collect(struct key_events *e, unsigned db, struct slice name, uint64_t hash,
                    enum wait_event event)
{
    bool told = e->told && event == KEY_GONE;
    if (told)
        e->told = false;
    if (told || event == KEY_GREW || db >= e->databases)
        return;
    struct noted_key *k = noted(e, db, name, hash);
    if (!k) {
        e->tell(e->ctx, EVENT_LOST, db, name);
        return;
    }
    k->made |= event == KEY_MADE && !k->gone;
    k->remade |= event == KEY_MADE;
    k->gone = event == KEY_GONE;
}

void waits_want_log(struct waits *w, unsigned databases, key_event_fn *log, fields_gone_fn *fields, void *ctx)
{
    w->databases = databases;
    w->log = log;
    w->log_fields = fields;
    w->log_ctx = ctx;
    w->nodes = log ? w->nodes | WAITS_LOG : w->nodes & ~WAITS_LOG;
}

void waits_want_snapshot(struct waits *w, bool wanted)
{
    w->nodes = wanted ? w->nodes | WAITS_SNAPSHOT : w->nodes & ~WAITS_SNAPSHOT;
}

void waits_note_event(struct waits *w, unsigned db, const struct key *k)
{
    if (w->nodes & WAITS_EVENTS)
        collect(w->events, db, k->name, k->hash, KEY_CHANGED);
}

void waits_note(struct waits *w, unsigned db, struct slice name, uint64_t hash, enum wait_event event,
                enum value_type type)
{
    if (w->nodes & WAITS_EVENTS)
        collect(w->events, db, name, hash, event);
    if (w->nodes & WAITS_CHANGES && event != KEY_GREW && db < w->databases)
        w->changed(w->changed_ctx, name, hash, w->by_itself);
    w->by_itself = false;
    struct wait_key *k = w->buckets ? find(w, db, name, hash) : NULL;
    if (!k)
        return;
    if (event != KEY_GREW)
        raise_all(k);
    if (event == KEY_GONE ? k->gone : event != KEY_CHANGED && k->waiting[type])
        queue(w, k);
}

void waits_change_all(struct waits *w, unsigned db, bool (*there)(void *arg, const struct key *k), void *arg)
{
    for (uint64_t i = 0; w->nodes && i < w->buckets; i++) /* long: */
        for (struct wait_key *k = w->bucket[i]; k; k = k->bucket_next) {
            const struct key name = {{k->name, k->len}, k->hash};
            if (k->db == db && k->watching && there(arg, &name))
                raise_all(k);
        }
}

void waits_note_all(struct waits *w, unsigned db)
{
    for (uint64_t i = 0; w->nodes && i < w->buckets; i++) /* long: */
        for (struct wait_key *k = w->bucket[i]; k; k = k->bucket_next)
            if (k->db == db && k->first)
                queue(w, k);
}

void waits_free(struct waits *w)
{
    free_table(w);
    if (w->events) {
        waits_forget_noted(w);
        free(w->events->noted);
        free(w->events);
    }
    *w = (struct waits){0};
}
