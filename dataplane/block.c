/* block.c: jobs that wait for keys: who is served, when, and how the others learn of it (block.h). */
#include "block.h"

#include "job.h"
#include "turns.h"

#include <stdlib.h>
#include <x86intrin.h>

enum {
    CLAIMED_AGAIN_US = 1000, /* a timer that comes while its job is being tried looks again so soon */
    TIMERS_A_ROUND = 64
};

/* A key whose waiters are served in slices: pinned in between, so that nobody sees the work half done. */
struct wait_row {
    struct wait_row *next;
    struct wait_key *key;
    struct pin pin;
};

void blocking_init(struct blocking *b, struct command_env *env, bool alone, uint64_t bytes_max)
{
    *b = (struct blocking){.env = env, .alone = alone, .bytes_max = bytes_max};
}

static struct waits *own_waits(const struct blocking *b)
{
    return shard_waits(b->env->ks->shard[b->env->self]);
}

void blocking_free(struct blocking *b)
{
    for (struct wait_row *r = b->env ? own_waits(b)->rows : NULL, *next; r; r = next) {
        next = r->next;
        pins_remove(shard_pins(b->env->ks->shard[b->env->self]), &r->pin);
        free(r);
    }
    for (struct job *j; (j = block_done(b));)
        job_free(j);
    free(b->heap);
    b->heap = NULL;
    b->timers = b->room = 0;
}

static bool change(struct job *j, int from, int to)
{
    return atomic_compare_exchange_strong(&j->wait.state, &from, to);
}

/* -- timers: a binary heap */

static void heap_put(struct blocking *b, size_t at, struct job *j)
{
    b->heap[at] = j;
    j->wait.timer = at + 1;
}

static void heap_up(struct blocking *b, size_t at, struct job *j)
{
    for (; at > 0 && b->heap[(at - 1) / 2]->wait.deadline_us > j->wait.deadline_us; at = (at - 1) / 2)
        heap_put(b, at, b->heap[(at - 1) / 2]);
    heap_put(b, at, j);
}

static void heap_down(struct blocking *b, size_t at, struct job *j)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < b->timers && b->heap[child + 1]->wait.deadline_us < b->heap[child]->wait.deadline_us)
            child++;
        if (child >= b->timers || b->heap[child]->wait.deadline_us >= j->wait.deadline_us)
            break;
        heap_put(b, at, b->heap[child]);
        at = child;
    }
    heap_put(b, at, j);
}

static bool timer_room(struct blocking *b)
{
    if (b->timers < b->room)
        return true;
    size_t room = b->room ? 2 * b->room : 64;
    struct job **heap = realloc(b->heap, room * sizeof *heap);
    if (!heap)
        return false;
    b->heap = heap;
    b->room = room;
    return true;
}

static void timer_add(struct blocking *b, struct job *j)
{
    b->timers++;
    heap_up(b, b->timers - 1, j);
}

static void timer_remove(struct blocking *b, struct job *j)
{
    if (!j->wait.timer)
        return;
    size_t at = j->wait.timer - 1;
    struct job *last = b->heap[--b->timers];
    j->wait.timer = 0;
    if (last == j)
        return;
    heap_down(b, at, last);
    heap_up(b, last->wait.timer - 1, last);
}

/* -- in and out */

static void leave(struct blocking *b, struct job *j, bool stopped)
{
    struct waiter *wt = &j->wait;
    struct keyspace *ks = b->env->ks;
    stopped |= b->alone;
    for (unsigned i = 0; i < wt->nodes && wt->linked; i++) {
        struct wait_node *n = &wt->node[i];
        if (!n->key || (!stopped && n->shard != b->env->self))
            continue;
        waits_remove(shard_waits(ks->shard[n->shard]), n);
        wt->linked--;
    }
    if (wt->owner && (stopped || wt->owner == b)) {
        timer_remove(wt->owner, j);
        wt->owner->clients--;
        wt->owner->bytes -= wt->bytes;
        wt->owner = NULL;
    }
}

bool block_leave(struct blocking *b, struct job *j)
{
    leave(b, j, false);
    return !j->wait.linked && !j->wait.owner;
}

unsigned block_next(const struct job *j)
{
    for (unsigned i = 0; i < j->wait.nodes; i++)
        if (j->wait.node[i].key)
            return j->wait.node[i].shard;
    return j->wait.owner->env->self;
}

static void done(struct blocking *b, struct job *j, bool stopped)
{
    leave(b, j, stopped);
    j->done = true;
    j->next = NULL;
    if (b->done_last)
        b->done_last->next = j;
    else
        b->done_first = j;
    b->done_last = j;
}

struct job *block_done(struct blocking *b)
{
    struct job *j = b->done_first;
    if (!j)
        return NULL;
    b->done_first = j->next;
    if (!b->done_first)
        b->done_last = NULL;
    return j;
}

static bool silent(const struct job *j)
{
    return j->silent || j->client.flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
}

/* An error, or Redis' reply to a timeout. */
static void reply(struct job *j, const char *error)
{
    if (silent(j))
        return;
    struct resp_writer *out = job_write_begin(j);
    if (error)
        reply_error(out, error);
    else
        reply_null_array(out);
    job_write_end(j);
}

static bool refuse(struct blocking *b, struct job *j)
{
    leave(b, j, true); /* all of it is in tables that this worker may touch now */
    count_one(b->env->counters, COUNTER_blocked_clients_refused);
    count_one(b->env->counters, COUNTER_command_errors);
    reply(j, "ERR out of memory for another blocked client");
    j->done = true;
    return false;
}

static bool add_keys(struct blocking *b, struct job *j, const struct block_spec *spec)
{
    struct waiter *wt = &j->wait;
    struct keyspace *ks = b->env->ks;
    for (int i = 0; i < spec->keys; i++) {
        struct wait_node *n = &wt->node[i];
        struct key k = keyspace_key(ks, j->argv[spec->first + i]);
        *n = (struct wait_node){.waiter = j,
                                .position = spec->first + i,
                                .shard = keyspace_shard_of(ks, k.name),
                                .type = spec->type,
                                .gone = spec->gone};
        if (!waits_add(shard_waits(ks->shard[n->shard]), j->client.db, &k, n))
            return false;
        wt->linked += n->key != NULL;
    }
    return true;
}

static uint64_t bytes_of(const struct job *j, const struct block_spec *spec)
{
    uint64_t bytes = sizeof *j + sizeof(struct job *);
    for (int i = 0; i < j->rq.argc; i++)
        bytes += sizeof(struct slice) + j->argv[i].len;
    for (int i = 0; i < spec->keys; i++)
        bytes += sizeof(struct wait_node) + wait_key_size(j->argv[spec->first + i].len);
    return bytes;
}

bool block_begin(struct blocking *b, struct job *j)
{
    const struct block_spec spec = b->env->block;
    struct waiter *wt = &j->wait;
    bool ok = !spec.instead || job_replace(j, spec.instead_at, spec.insteads, spec.instead);
    free(spec.instead);
    if (!ok)
        return refuse(b, j);
    if (spec.instead)
        job_prepare(j, b->env);
    wt->bytes = bytes_of(j, &spec);
    wt->several = spec.several;
    wt->owner = b;
    b->clients++;
    b->bytes += wt->bytes;
    wt->node = b->bytes <= b->bytes_max ? calloc((size_t)spec.keys, sizeof *wt->node) : NULL;
    wt->nodes = wt->node ? (unsigned)spec.keys : 0;
    if (!wt->node || !add_keys(b, j, &spec) || (spec.timeout_ms && !timer_room(b)))
        return refuse(b, j);
    if (!change(j, BLOCK_RUNNING, BLOCK_WAITING)) {
        leave(b, j, true);
        j->done = true;
        return false;
    }
    if (spec.timeout_ms && spec.timeout_ms < (UINT64_MAX - b->env->now_us) / 1000) {
        wt->deadline_us = b->env->now_us + spec.timeout_ms * 1000;
        timer_add(b, j);
    }
    return true;
}

/* -- serving */

/* Runs a waiter again because of the key of node n. */
static void try_again(struct blocking *b, struct job *j, int position, bool stopped)
{
    if (!change(j, BLOCK_WAITING, BLOCK_CLAIMED))
        return;
    j->rq.env = b->env;
    struct resp_writer *out = job_write_begin(j);
    enum command_result result = command_again(&j->rq, out, position);
    job_write_end(j);
    if (result == CMD_BLOCK && change(j, BLOCK_CLAIMED, BLOCK_WAITING))
        return;
    done(b, j, stopped);
}

/* Has a command in slices what the waiter would touch? Held, the key waits for its end. */
static bool is_pinned(struct blocking *b, struct shard *s, const struct job *j)
{
    return (shard_pins(s)->held || j->wait.several) && turns_conflict(b->env, &j->rq, true);
}

/* SERVE_STOPPED: its next waiter needs all other workers stopped, and they are not. SERVE_MORE: the slice is
 * over. */
enum served { SERVED, SERVE_STOPPED, SERVE_LATER, SERVE_MORE };

static void begin_slice(struct blocking *b)
{
    b->left = b->each;
    b->until = b->slice ? __rdtsc() + b->slice : UINT64_MAX;
}

static bool slice_is_over(struct blocking *b)
{
    if (b->each)
        return b->left == 0 || --b->left == 0;
    return b->until != UINT64_MAX && __rdtsc() >= b->until;
}

static enum served serve_key(struct blocking *b, struct shard *s, struct wait_key *k, bool stopped)
{
    const struct key name = {{k->name, k->len}, k->hash};
    enum served result = SERVED;
    if (shard_pins(s)->alone) { /* by somebody else's clock a key's time may not be over: he is to end first */
        k->at = NULL;
        return SERVE_LATER;
    }
    for (struct wait_node *n = k->at ? k->at : k->first; n; n = k->at) { /* waits_remove() keeps `at` good */
        struct entry *e = store_find(s, k->db, &name, LOOK_NOTOUCH | LOOK_NOSTAT);
        struct job *j = n->waiter;
        k->at = n->next;
        if (!k->gone && !(e && k->waiting[entry_type(e)]))
            break;
        if (!n->gone && !(e && entry_type(e) == n->type))
            continue;
        if (atomic_load_explicit(&j->wait.killed, memory_order_relaxed))
            continue;
        if (j->wait.several && !stopped) {
            if (!block_waits(j))
                continue;
            result = SERVE_STOPPED;
            break;
        }
        if (is_pinned(b, s, j)) {
            result = SERVE_LATER;
            break;
        }
        try_again(b, j, n->position, stopped);
        if (slice_is_over(b) && k->at)
            return SERVE_MORE;
    }
    k->at = NULL;
    return result;
}

/* The rest waits for the next slice. False without memory. */
static bool begin_row(struct shard *s, unsigned shard, struct wait_key *k)
{
    struct wait_row *r = calloc(1, sizeof *r), **last = &shard_waits(s)->rows;
    if (!r)
        return false;
    *r = (struct wait_row){.key = k, .pin = {.shard = shard, .write = true}};
    if (!pins_add(shard_pins(s), k->hash, &r->pin)) {
        free(r);
        return false;
    }
    pins_hold(shard_pins(s), &r->pin);
    waits_set_aside(shard_waits(s), k);
    while (*last)
        last = &(*last)->next;
    *last = r;
    return true;
}

/* A command in slices that ends releases what is held on its own worker, but not what a stop has left because of it elsewhere. */
static void end_key(struct blocking *b, struct waits *w, struct wait_key *k, enum served served, bool stopped)
{
    if (served != SERVED)
        waits_hold(w, k);
    b->wants_stop |= served == SERVE_STOPPED;
    b->later |= stopped && served == SERVE_LATER;
    waits_unpin(w, k);
}

static bool serve_shard(struct blocking *b, unsigned shard, bool stopped)
{
    struct shard *s = b->env->ks->shard[shard];
    struct waits *w = shard_waits(s);
    struct wait_key *k;
    bool any = false;
    while ((k = waits_take(w))) {
        enum served served;
        any = true;
        do
            served = serve_key(b, s, k, stopped);
        while (served == SERVE_MORE && !begin_row(s, shard, k));
        if (served != SERVE_MORE)
            end_key(b, w, k, served, stopped);
    }
    return any;
}

void block_serve(struct blocking *b, bool stopped)
{
    struct keyspace *ks = b->env->ks;
    begin_slice(b);
    if (!stopped && !b->alone) {
        serve_shard(b, b->env->self, false);
        return;
    }
    for (unsigned i = 0; i < ks->shards; i++)
        waits_release(shard_waits(ks->shard[i]));
    for (bool any = true; any;) { /* ends: a waiter is served once, and only serving makes keys ready */
        any = false;
        for (unsigned i = 0; i < ks->shards; i++)
            any |= serve_shard(b, i, true);
    }
}

void block_go_on(struct blocking *b)
{
    struct shard *s = b->env->ks->shard[b->env->self];
    struct waits *w = shard_waits(s);
    struct pins *p = shard_pins(s);
    struct wait_row *r = w->rows;
    struct wait_key *k = r->key;
    enum served served;
    bool freed = p->freed, pinned_again;
    uint64_t given_up = p->given_up;
    pins_remove(p, &r->pin); /* it is not in its own way */
    begin_slice(b);
    do {
        served = serve_key(b, s, k, b->alone);
        waits_set_aside(w, k);
        pinned_again = served == SERVE_MORE && pins_add(p, k->hash, &r->pin);
    } while (served == SERVE_MORE && !pinned_again);
    if (pinned_again) {
        pins_hold(p, &r->pin);
        p->freed = freed;
        p->given_up = given_up;
    } else {
        w->rows = r->next;
        free(r);
        end_key(b, w, k, served, false);
        waits_release(w); /* what was held because of the pin */
    }
    block_serve(b, false);
}

void block_timers(struct blocking *b)
{
    uint64_t now = b->env->now_us;
    for (unsigned n = TIMERS_A_ROUND; n > 0 && b->timers && b->heap[0]->wait.deadline_us <= now; n--) {
        struct job *j = b->heap[0];
        if (change(j, BLOCK_WAITING, BLOCK_CLAIMED)) {
            reply(j, NULL);
            done(b, j, false);
        } else if (atomic_load(&j->wait.state) == BLOCK_CLAIMED) {
            j->wait.deadline_us = now + CLAIMED_AGAIN_US;
            heap_down(b, 0, j);
        } else {
            timer_remove(b, j);
        }
    }
}

/* -- from outside */

bool block_end(struct blocking *b, struct job *j, bool error)
{
    if (!change(j, BLOCK_WAITING, BLOCK_CLAIMED))
        return false;
    reply(j, error ? "UNBLOCKED client unblocked via CLIENT UNBLOCK" : NULL);
    done(b, j, true);
    return true;
}

bool block_waits(const struct job *j)
{
    return atomic_load(&((struct job *)(uintptr_t)j)->wait.state) == BLOCK_WAITING;
}

bool block_abandon(struct job *j)
{
    return atomic_exchange(&j->wait.state, BLOCK_ABANDONED) == BLOCK_WAITING;
}
