/* checker.c: see checker.h. G. Lowe, Testing for linearizability, Concurrency and Computation 29(4), 2017. */
#include "checker.h"

#include <stdlib.h>
#include <string.h>

struct event { /* in the list of what is not explained yet, by time */
    struct event *prev, *next, *end; /* end: of a call; NULL at an end, and at the call of what never ended */
    uint64_t time;
    unsigned op; /* in the part */
};

struct tried { /* a set of operations and the state after them */
    uint64_t hash;
    struct linear_state state;
    uint64_t done[];
};

struct frame { /* an operation that has been tried, and what was before it */
    struct event *call;
    struct linear_state state;
};

struct search {
    const struct linear_op **op; /* of this part, by call */
    int *previous; /* the operation of the same client before it, or -1 */
    unsigned n, words, open; /* open: ends in the list */
    struct event *event, head;
    struct frame *frame;
    unsigned depth;
    uint64_t *done;
    struct tried **table;
    size_t slots, used;
    struct linear_reply reply;
    uint64_t steps, steps_max;
    unsigned stuck;
};

static bool is_done(const struct search *s, unsigned op)
{
    return s->done[op / 64] >> op % 64 & 1;
}

static uint64_t hash_of(const struct search *s, const struct linear_state *state)
{
    uint64_t hash = 0xcbf29ce484222325, word;
    for (unsigned i = 0; i < s->words; i++)
        hash = (hash ^ s->done[i]) * 0x9e3779b97f4a7c15, hash ^= hash >> 29;
    for (size_t i = 0; i + 8 <= sizeof *state; i += 8) {
        memcpy(&word, (const char *)state + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash;
}

static bool grow(struct search *s)
{
    size_t slots = s->slots ? 2 * s->slots : 1024;
    struct tried **table = calloc(slots, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < s->slots; i++)
        if (s->table[i]) {
            size_t at = s->table[i]->hash & (slots - 1);
            while (table[at])
                at = (at + 1) & (slots - 1);
            table[at] = s->table[i];
        }
    free(s->table);
    s->table = table;
    s->slots = slots;
    return true;
}

enum seen { NEW, SEEN, NO_MEMORY };

/* Notes that this set of operations has led to this state. */
static enum seen remember(struct search *s, const struct linear_state *state)
{
    if (2 * s->used >= s->slots && !grow(s))
        return NO_MEMORY;
    uint64_t hash = hash_of(s, state);
    size_t at = hash & (s->slots - 1), bytes = s->words * sizeof *s->done;
    for (; s->table[at]; at = (at + 1) & (s->slots - 1)) {
        const struct tried *t = s->table[at];
        if (t->hash == hash && memcmp(t->done, s->done, bytes) == 0 && memcmp(&t->state, state, sizeof *state) == 0)
            return SEEN;
    }
    struct tried *t = malloc(sizeof *t + bytes);
    if (!t)
        return NO_MEMORY;
    t->hash = hash;
    t->state = *state;
    memcpy(t->done, s->done, bytes);
    s->table[at] = t;
    s->used++;
    return NEW;
}

static void unlink_event(struct event *e)
{
    e->prev->next = e->next;
    if (e->next)
        e->next->prev = e->prev;
}

static void link_event(struct event *e)
{
    e->prev->next = e;
    if (e->next)
        e->next->prev = e;
}

/* The operation has had its effect: call and end leave the list. */
static void lift(struct search *s, struct event *call)
{
    unlink_event(call);
    if (call->end) {
        unlink_event(call->end);
        s->open--;
    }
}

static void unlift(struct search *s, struct event *call)
{
    if (call->end) {
        link_event(call->end);
        s->open++;
    }
    link_event(call);
}

/* Does the reply of this operation come out of this state? Then state is what is after it. */
static bool explains(struct search *s, unsigned i, struct linear_state *state)
{
    const struct linear_op *op = s->op[i];
    if (s->previous[i] >= 0 && !is_done(s, (unsigned)s->previous[i]))
        return false;
    linear_apply(state, op, &s->reply);
    return op->end == UINT64_MAX || (op->reply_len == s->reply.len && memcmp(op->reply, s->reply.text, s->reply.len) == 0);
}

static int search(struct search *s)
{
    struct linear_state state = {0};
    struct event *e = s->head.next;
    while (s->open) {
        if (++s->steps > s->steps_max)
            return GAVE_UP;
        if (e->time == s->op[e->op]->call) {
            struct linear_state next = state;
            enum seen seen = SEEN;
            if (explains(s, e->op, &next)) {
                s->done[e->op / 64] |= 1ull << e->op % 64;
                seen = remember(s, &next);
                if (seen != NEW)
                    s->done[e->op / 64] &= ~(1ull << e->op % 64);
            }
            if (seen == NO_MEMORY)
                return GAVE_UP;
            if (seen == NEW) {
                s->frame[s->depth++] = (struct frame){e, state};
                state = next;
                lift(s, e);
                e = s->head.next;
            } else {
                e = e->next;
            }
            continue;
        }
        if (e->op > s->stuck)
            s->stuck = e->op;
        if (!s->depth)
            return NOT_LINEAR;
        struct frame *f = &s->frame[--s->depth];
        state = f->state;
        s->done[f->call->op / 64] &= ~(1ull << f->call->op % 64);
        unlift(s, f->call);
        e = f->call->next;
    }
    return LINEAR;
}

/* -- a part */

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    return x->time < y->time ? -1 : x->time > y->time;
}

/* Two events an operation, in the order of time; UINT64_MAX, of what never ended, are not in the list. */
static void make_list(struct search *s)
{
    unsigned *call = (unsigned *)(void *)s->frame; /* not needed yet */
    for (unsigned i = 0; i < s->n; i++) {
        s->event[2 * i] = (struct event){.time = s->op[i]->call, .op = i};
        s->event[2 * i + 1] = (struct event){.time = s->op[i]->end, .op = i};
    }
    qsort(s->event, 2 * s->n, sizeof *s->event, by_time);
    struct event *last = &s->head;
    for (unsigned i = 0; i < 2 * s->n && s->event[i].time != UINT64_MAX; i++) {
        struct event *e = &s->event[i];
        if (e->time == s->op[e->op]->call) {
            call[e->op] = i;
        } else {
            s->event[call[e->op]].end = e;
            s->open++;
        }
        e->prev = last;
        last = last->next = e;
    }
}

static void free_search(struct search *s)
{
    for (size_t i = 0; i < s->slots; i++)
        free(s->table[i]);
    free(s->table);
    free(s->event);
    free(s->frame);
    free(s->done);
    free(s->op);
    free(s->previous);
}

/* The operations of h whose keys are in `keys`. */
static struct linear_verdict check_part(const struct history *h, uint8_t keys, uint64_t steps_max)
{
    struct search s = {.steps_max = steps_max, .words = (h->n + 63) / 64};
    struct linear_verdict v = {.is = GAVE_UP};
    int last[LINEAR_CLIENTS];
    unsigned *number = calloc(h->n + 1, sizeof *number);
    s.op = calloc(h->n + 1, sizeof *s.op);
    s.previous = calloc(h->n + 1, sizeof *s.previous);
    s.event = calloc(2 * h->n + 1, sizeof *s.event);
    s.frame = calloc(h->n + 1, sizeof *s.frame);
    s.done = calloc(s.words + 1, sizeof *s.done);
    memset(last, -1, sizeof last);
    if (number && s.op && s.previous && s.event && s.frame && s.done) {
        for (unsigned i = 0; i < h->n; i++)
            if (h->op[i].keys & keys) {
                number[s.n] = i;
                s.previous[s.n] = last[h->op[i].client];
                last[h->op[i].client] = (int)s.n;
                s.op[s.n++] = &h->op[i];
            }
        make_list(&s);
        v.is = search(&s);
        v.stuck = number[s.stuck];
    }
    v.steps = s.steps;
    free(number);
    free_search(&s);
    return v;
}

/* The keys that some operation joins with this one, directly or by others. */
static uint8_t joined(const struct history *h, uint8_t keys)
{
    for (uint8_t before = 0; before != keys;) {
        before = keys;
        for (unsigned i = 0; i < h->n; i++)
            if (h->op[i].keys & keys)
                keys |= h->op[i].keys;
    }
    return keys;
}

struct linear_verdict linear_check(struct history *h, uint64_t steps_max)
{
    struct linear_verdict all = {.is = LINEAR};
    history_sort(h);
    for (unsigned left = 0xff; left;) {
        uint8_t part = joined(h, (uint8_t)(left & -left));
        left &= ~(unsigned)part;
        struct linear_verdict v = check_part(h, part, steps_max);
        all.steps += v.steps;
        if (v.is == NOT_LINEAR || (v.is == GAVE_UP && all.is == LINEAR)) {
            all.is = v.is;
            all.stuck = v.stuck;
        }
    }
    return all;
}
