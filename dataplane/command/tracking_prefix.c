/* tracking_prefix.c: clients in BCAST mode: prefixes, their members, and the keys that have changed since the
 * members were told last (tracking.h). */
#include "command/tracking.h"

#include "command/command.h"

#include <stdlib.h>

static struct slice name_of(const struct prefix *p)
{
    return (struct slice){p->name, p->len};
}

static struct prefix *find(const struct tracking *t, struct slice name)
{
    uint64_t hash = keyspace_key(t->env->ks, name).hash;
    for (struct chain_node *n = chains_at(&t->prefixes, hash); n; n = n->next) {
        struct prefix *p = (struct prefix *)n;
        if (n->hash == hash && slice_eq(name_of(p), name))
            return p;
    }
    return NULL;
}

static bool note_length(struct tracking *t, uint32_t len)
{
    for (unsigned i = 0; i < t->lengths; i++)
        if (t->length[i] == len)
            return true;
    uint32_t *p = realloc(t->length, (t->lengths + 1) * sizeof *p);
    if (!p)
        return false;
    t->length = p;
    t->length[t->lengths++] = len;
    return true;
}

static struct prefix *make(struct tracking *t, struct slice name)
{
    struct prefix *p =
        name.len < UINT32_MAX && note_length(t, (uint32_t)name.len) ? calloc(1, sizeof *p + name.len) : NULL;
    if (!p)
        return NULL;
    p->len = (uint32_t)name.len;
    if (name.len)
        memcpy(p->name, name.p, name.len);
    p->node.hash = keyspace_key(t->env->ks, name).hash;
    if (!chains_add(&t->prefixes, &p->node)) {
        free(p);
        return NULL;
    }
    p->next = t->first_prefix;
    if (p->next)
        p->next->prev = p;
    t->first_prefix = p;
    return p;
}

static void drop_changed(struct changed *list, uint32_t n)
{
    while (n)
        free(list[--n].name);
    free(list);
}

static void prefix_free(struct tracking *t, struct prefix *p)
{
    chains_remove(&t->prefixes, &p->node);
    if (p->prev)
        p->prev->next = p->next;
    else
        t->first_prefix = p->next;
    if (p->next)
        p->next->prev = p->prev;
    drop_changed(p->changed, p->n);
    free(p);
}

/* What a client's membership takes. */
static uint64_t cost(const struct prefix *p)
{
    return sizeof(struct member) + sizeof *p + p->len + 4 * sizeof(void *);
}

static bool is_member(const struct tracker *tr, const struct prefix *p)
{
    const struct member *m = tr->prefixes;
    while (m && m->prefix != p)
        m = m->mine;
    return m;
}

static void count_members(struct tracking *t, int by)
{
    uint32_t now = atomic_load_explicit(&t->members, memory_order_relaxed);
    atomic_store_explicit(&t->members, now + (uint32_t)by, memory_order_relaxed);
}

bool prefix_join(struct tracking *t, struct tracker *tr, struct slice name)
{
    struct prefix *p = find(t, name);
    if (!p && !(p = make(t, name)))
        return false;
    if (is_member(tr, p))
        return true;
    struct member *m = calloc(1, sizeof *m);
    if (!m)
        return false;
    *m = (struct member){.prefix = p, .tracker = tr, .next = p->members, .mine = tr->prefixes};
    if (m->next)
        m->next->prev = m;
    p->members = m;
    tr->prefixes = m;
    tr->bytes += cost(p);
    count_members(t, 1);
    return true;
}

void prefix_leave(struct tracking *t, struct tracker *tr)
{
    for (struct member *m = tr->prefixes, *mine; m; m = mine) {
        mine = m->mine;
        if (t->member == m)
            t->member = m->next;
        if (m->prev)
            m->prev->next = m->next;
        else
            m->prefix->members = m->next;
        if (m->next)
            m->next->prev = m->prev;
        tr->bytes -= cost(m->prefix);
        free(m);
        count_members(t, -1);
    }
    tr->prefixes = NULL;
}

void prefix_tidy(struct tracking *t)
{
    for (struct prefix *p = t->first_prefix, *next; p; p = next) {
        next = p->next;
        if (!p->members && !p->due && p != t->telling)
            prefix_free(t, p);
    }
    if (t->first_prefix)
        return;
    free(t->length);
    t->length = NULL;
    t->lengths = 0;
}

void prefix_free_all(struct tracking *t)
{
    drop_changed(t->tells, t->telling_n);
    while (t->first_prefix)
        prefix_free(t, t->first_prefix);
    free(t->length);
}

uint64_t prefix_count(const struct tracking_common *common, unsigned worker)
{
    uint64_t n = 0;
    for (const struct prefix *p = common->of[worker]->first_prefix; p; p = p->next) {
        bool told = !p->members;
        for (unsigned w = 0; !told && w < worker; w++) {
            const struct prefix *same = find(common->of[w], name_of(p));
            told = same && same->members;
        }
        n += !told;
    }
    return n;
}

/* -- keys that change -- */

bool prefix_any(const struct tracking *t, struct slice key)
{
    if (!atomic_load_explicit(&t->members, memory_order_relaxed))
        return false;
    for (unsigned i = 0; i < t->lengths; i++)
        if (t->length[i] <= key.len && find(t, (struct slice){key.p, t->length[i]}))
            return true;
    return false;
}

static void make_due(struct tracking *t, struct prefix *p)
{
    struct prefix **at = &t->due_prefix;
    if (p->due)
        return;
    p->due = true;
    while (*at && name_order(name_of(*at), name_of(p)) < 0)
        at = &(*at)->due_next;
    p->due_next = *at;
    *at = p;
}

static bool collect(struct prefix *p, struct slice key, uint64_t origin)
{
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? 2 * p->cap : 4;
        struct changed *list = realloc(p->changed, cap * sizeof *list);
        if (!list)
            return false;
        p->changed = list;
        p->cap = cap;
    }
    uint8_t *name = malloc(key.len + 1);
    if (!name)
        return false;
    if (key.len)
        memcpy(name, key.p, key.len);
    p->changed[p->n] =
        (struct changed){.name = name, .len = (uint32_t)key.len, .number = p->n, .origin = origin};
    p->n++;
    return true;
}

void prefix_collect(struct tracking *t, struct slice key, uint64_t origin)
{
    for (unsigned i = 0; i < t->lengths; i++) {
        struct prefix *p = t->length[i] <= key.len ? find(t, (struct slice){key.p, t->length[i]}) : NULL;
        if (!p || !p->members)
            continue;
        if (collect(p, key, origin))
            make_due(t, p);
        else
            atomic_store(&t->lost, true);
    }
}

/* -- telling -- */

static int changed_order(const void *left, const void *right)
{
    const struct changed *a = left, *b = right;
    int c = name_order((struct slice){a->name, a->len}, (struct slice){b->name, b->len});
    return c ? c : (a->number > b->number) - (a->number < b->number);
}

/* Of changes of one key the last one stays. */
static uint32_t unite(struct changed *list, uint32_t n)
{
    uint32_t kept = 0;
    qsort(list, n, sizeof *list, changed_order);
    for (uint32_t i = 0; i < n; i++) {
        bool again = i + 1 < n && list[i].len == list[i + 1].len &&
                     memcmp(list[i].name, list[i + 1].name, list[i].len) == 0;
        if (again)
            free(list[i].name);
        else
            list[kept++] = list[i];
    }
    return kept;
}

static void begin(struct tracking *t)
{
    struct prefix *p = t->due_prefix;
    t->due_prefix = p->due_next;
    p->due = false;
    t->telling = p;
    t->member = p->members;
    t->telling_n = unite(p->changed, p->n);
    t->tells = p->changed;
    p->changed = NULL;
    p->n = p->cap = 0;
    t->has_body = false;
}

static void end(struct tracking *t)
{
    drop_changed(t->tells, t->telling_n);
    t->tells = NULL;
    t->telling_n = 0;
    t->telling = NULL;
    t->has_body = false;
}

/* The keys that were changed by others than `but`, 0: all. False if there are none. */
static bool write_body(struct tracking *t, uint64_t but)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->telling_n; i++)
        n += !but || t->tells[i].origin != but;
    body_begin(t, n);
    for (uint32_t i = 0; i < t->telling_n; i++) {
        const struct changed *k = &t->tells[i];
        if (but && k->origin == but)
            continue;
        body_add(t, (struct slice){k->name, k->len});
    }
    t->has_body = !but;
    return n;
}

static bool changed_by(const struct tracking *t, uint64_t id)
{
    for (uint32_t i = 0; i < t->telling_n; i++)
        if (t->tells[i].origin == id)
            return true;
    return false;
}

struct tracker *prefix_next(struct tracking *t)
{
    while (t->telling || t->due_prefix) {
        if (!t->telling)
            begin(t);
        while (t->member) {
            struct tracker *tr = t->member->tracker;
            t->member = t->member->next;
            bool own = tr->how & TRACK_NOLOOP && changed_by(t, tr->client->id);
            if (own && write_body(t, tr->client->id))
                return tr;
            if (own)
                continue;
            if (!t->has_body)
                write_body(t, 0);
            return tr;
        }
        end(t);
    }
    return NULL;
}
