/* tracking.c: clients that track, and notes on their way to them (tracking.h). */
#include "command/tracking.h"

#include "command/command.h"

#include <stdlib.h>

enum { NOTES_LEAST = 512, NOTES_KEPT = 65536 };

/* -- clients -- */

static uint64_t hash_of(uint64_t id)
{
    id *= 0x9e3779b97f4a7c15;
    return id ^ id >> 32;
}

struct tracker *tracker_find(const struct tracking *t, uint64_t id)
{
    for (struct chain_node *n = chains_at(&t->trackers, hash_of(id)); n; n = n->next) {
        struct tracker *tr = (struct tracker *)n;
        if (tr->client->id == id)
            return tr;
    }
    return NULL;
}

struct tracker *tracker_of(struct tracking *t, struct client *c)
{
    if (c->tracker)
        return c->tracker;
    struct tracker *tr = calloc(1, sizeof *tr);
    if (!tr)
        return NULL;
    tr->client = c;
    tr->node.hash = hash_of(c->id);
    tr->bytes = sizeof *tr;
    if (!chains_add(&t->trackers, &tr->node)) {
        free(tr);
        return NULL;
    }
    tr->next = t->first;
    if (tr->next)
        tr->next->prev = tr;
    t->first = tr;
    return c->tracker = tr;
}

void tracking_leave(struct tracking *t, struct client *c)
{
    struct tracker *tr = c->tracker;
    if (!tr)
        return;
    if (t->walk == tr)
        t->walk = tr->next;
    if (tr->prev)
        tr->prev->next = tr->next;
    else
        t->first = tr->next;
    if (tr->next)
        tr->next->prev = tr->prev;
    prefix_leave(t, tr);
    chains_remove(&t->trackers, &tr->node);
    if (tr->how & TRACK_ON)
        atomic_fetch_sub(&t->common->clients, 1);
    free(tr);
    c->tracker = NULL;
    c->flags &= ~(uint32_t)(CLIENT_TRACKS | CLIENT_CACHING);
}

uint64_t tracking_bytes(const struct client *c)
{
    return c->tracker ? c->tracker->bytes : 0;
}

void tracking_after(struct client *c, const struct command *cmd)
{
    bool again = cmd && cmd->parent && strcmp(cmd->parent->full_name, "client") == 0;
    if (!(c->flags & CLIENT_CACHING) || c->flags & CLIENT_MULTI || again)
        return;
    c->flags &= ~(uint32_t)CLIENT_CACHING;
    c->flags ^= CLIENT_TRACKS;
}

/* -- notes -- */

static size_t size_of(uint32_t ids, size_t len)
{
    return (sizeof(struct note) + ids * sizeof(uint64_t) + len + 7) & ~(size_t)7;
}

static bool notes_room(struct tracking_notes *n, size_t more)
{
    size_t cap = n->cap ? n->cap : NOTES_LEAST;
    while (cap - n->len < more)
        cap *= 2;
    if (cap == n->cap)
        return true;
    uint8_t *p = realloc(n->p, cap);
    if (!p)
        return false;
    n->p = p;
    n->cap = cap;
    return true;
}

static uint8_t *text_of(struct note *note)
{
    return (uint8_t *)&note->id[note->ids];
}

struct note *note_add(struct tracking *t, unsigned worker, enum note_kind kind, uint32_t ids,
                      struct slice text)
{
    struct tracking_notes *n = &t->to[worker];
    size_t size = size_of(ids, text.len);
    *t->due = true;
    if (!notes_room(n, size)) {
        atomic_store(&t->common->of[worker]->lost, true);
        return NULL;
    }
    struct note *note = (struct note *)(void *)(n->p + n->len);
    *note = (struct note){.kind = kind, .ids = ids, .len = (uint32_t)text.len, .worker = t->env->self};
    if (text.len)
        memcpy(text_of(note), text.p, text.len);
    n->len += size;
    return note;
}

uint8_t *tracking_take(struct tracking *t, unsigned worker, size_t *len)
{
    struct tracking_notes *n = &t->to[worker];
    uint8_t *p = n->len ? n->p : NULL;
    *len = n->len;
    if (p)
        *n = (struct tracking_notes){0};
    return p;
}

void tracking_give(struct tracking *t, const uint8_t *p, size_t len)
{
    struct tracking_notes *n = &t->to[t->env->self];
    *t->due = true;
    if (!notes_room(n, len)) {
        atomic_store(&t->lost, true);
        return;
    }
    memcpy(n->p + n->len, p, len);
    n->len += len;
}

/* -- messages -- */

/* The other end of a redirection, on another worker: the body goes there. */
static void pass(struct tracking *t, const struct tracker *tr, struct slice body)
{
    struct note *note = note_add(t, tr->redirect_worker, NOTE_PASSED, 2, body);
    if (!note)
        return;
    note->id[0] = tr->redirect;
    note->id[1] = tr->client->id;
}

static bool say_broken(struct tracker *tr, uint64_t redirect, struct invalidation *out)
{
    tr->how |= TRACK_BROKEN;
    *out = (struct invalidation){.to = tr->client, .broken = redirect};
    return tr->client->proto > 2;
}

/* False: nobody is to be told here. */
static bool address(struct tracking *t, struct tracker *tr, struct slice body, struct invalidation *out)
{
    struct tracker *other;
    *out = (struct invalidation){.to = tr->client, .body = body};
    if (!tr->redirect)
        return tr->client->proto > 2;
    if (tr->redirect_worker != t->env->self) {
        pass(t, tr, body);
        return false;
    }
    if (!(other = tracker_find(t, tr->redirect)))
        return say_broken(tr, tr->redirect, out);
    out->to = other->client;
    out->redirected = true;
    return true;
}

void body_begin(struct tracking *t, uint32_t n)
{
    t->body.len = 0;
    t->body.failed = false;
    text_addf(&t->body, "*%u\r\n", n);
}

void body_add(struct tracking *t, struct slice key)
{
    text_addf(&t->body, "$%zu\r\n", key.len);
    text_add(&t->body, key);
    text_add(&t->body, SLICE_LIT("\r\n"));
}

static struct slice key_body(struct tracking *t, struct note *note)
{
    if (!t->has_body) {
        body_begin(t, 1);
        body_add(t, (struct slice){text_of(note), note->len});
        t->has_body = true;
    }
    return (struct slice){(const uint8_t *)t->body.p, t->body.len};
}

/* The body in front of clients; null for all if there was no memory for it. */
static struct slice whole(struct tracking *t, const struct client *c, struct slice body)
{
    if (!t->body.failed)
        return body;
    return c->proto > 2 ? SLICE_LIT("_\r\n") : SLICE_LIT("$-1\r\n");
}

/* For the next client of a note; `done` when there is none after it. */
static bool tell_of_key(struct tracking *t, struct note *note, bool *done, struct invalidation *out)
{
    struct tracking_notes *n = &t->to[t->env->self];
    struct tracker *tr = tracker_find(t, note->id[n->told++]);
    *done = n->told == note->ids;
    if (!tr || !(tr->how & TRACK_ON) || tr->how & TRACK_BCAST)
        return false;
    if (tr->how & TRACK_NOLOOP && tr->client->id == note->origin)
        return false;
    struct slice body = key_body(t, note);
    return address(t, tr, whole(t, tr->client, body), out);
}

static bool tell_all(struct tracking *t, bool *done, struct invalidation *out)
{
    struct tracking_notes *n = &t->to[t->env->self];
    if (!n->told++)
        t->walk = t->first;
    struct tracker *tr = t->walk;
    t->walk = tr ? tr->next : NULL;
    *done = !t->walk;
    if (!tr || !(tr->how & TRACK_ON))
        return false;
    return address(t, tr, tr->client->proto > 2 ? SLICE_LIT("_\r\n") : SLICE_LIT("$-1\r\n"), out);
}

static bool tell_passed(struct tracking *t, struct note *note, struct invalidation *out)
{
    struct tracker *tr = tracker_find(t, note->id[0]);
    *out = (struct invalidation){.redirected = true, .body = {text_of(note), note->len}};
    if (tr) {
        out->to = tr->client;
        return true;
    }
    const struct note copy = *note;
    uint64_t redirect = note->id[0], id = note->id[1];
    struct note *back = note_add(t, copy.worker, NOTE_BROKEN, 2, (struct slice){0});
    if (back) {
        back->id[0] = id;
        back->id[1] = redirect;
    }
    return false;
}

static bool tell_broken(struct tracking *t, const struct note *note, struct invalidation *out)
{
    struct tracker *tr = tracker_find(t, note->id[0]);
    if (!tr || tr->redirect != note->id[1])
        return false;
    return say_broken(tr, note->id[1], out);
}

/* One step of the note that is being told. */
static bool tell(struct tracking *t, struct note *note, bool *done, struct invalidation *out)
{
    *done = true;
    switch ((enum note_kind)note->kind) {
    case NOTE_KEY:
        return tell_of_key(t, note, done, out);
    case NOTE_ALL:
        return tell_all(t, done, out);
    case NOTE_BCAST:
        prefix_collect(t, (struct slice){text_of(note), note->len}, note->origin);
        return false;
    case NOTE_PASSED:
        return tell_passed(t, note, out);
    case NOTE_BROKEN:
        return tell_broken(t, note, out);
    }
    return false;
}

/* All have been told. */
static void notes_begin_anew(struct tracking_notes *n)
{
    if (n->cap > NOTES_KEPT) {
        free(n->p);
        *n = (struct tracking_notes){0};
    }
    n->len = n->at = 0;
}

bool tracking_next(struct tracking *t, bool all, unsigned *budget, struct invalidation *out)
{
    struct tracking_notes *n = &t->to[t->env->self];
    for (; *budget && n->at < n->len && !t->telling; --*budget) {
        struct note *note = (struct note *)(void *)(n->p + n->at);
        size_t size = size_of(note->ids, note->len);
        bool done, any;
        any = tell(t, note, &done, out); /* may add notes: `note` has gone */
        if (done) {
            n->at += size;
            n->told = 0;
            t->has_body = false;
        }
        if (any)
            return true;
    }
    if (n->at && n->at == n->len)
        notes_begin_anew(n);
    for (struct tracker *tr; *budget && all && (tr = prefix_next(t)); --*budget)
        if (address(t, tr, whole(t, tr->client, (struct slice){(const uint8_t *)t->body.p, t->body.len}),
                    out))
            return true;
    return false;
}

bool tracking_due(const struct tracking *t)
{
    bool any = t->telling || t->due_prefix;
    for (unsigned i = 0; i < t->common->workers; i++)
        any |= t->to[i].len > 0;
    return any;
}

/* -- life -- */

struct tracking *tracking_new(struct tracking_common *common, struct command_env *env, bool *due)
{
    struct tracking *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->common = common;
    t->env = env;
    t->due = due;
    common->workers = env->workers;
    common->of[env->self] = t;
    return t;
}

void tracking_free(struct tracking *t)
{
    if (!t)
        return;
    while (t->first)
        tracking_leave(t, t->first->client);
    tracked_free_all(t);
    prefix_free_all(t);
    for (unsigned i = 0; i < CONFIG_WORKERS; i++)
        free(t->to[i].p);
    free(t->body.p);
    t->common->of[t->env->self] = NULL;
    free(t);
}
