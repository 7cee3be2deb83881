/* turns.c: who waits, who runs a slice, and what both pin (turns.h). */
#include "turns.h"

#include "block.h"
#include "job.h"

#include <stdlib.h>
#include <x86intrin.h>

/* liblzf has a table of half a megabyte on the stack. */
enum { STACK = 1 << 20, LOOK_EACH = 16, SHORT_A_ROUND = 32, KEYS_HERE = 64, KEYS_MOST = 240 };
/* EXISTS looks for its keys slice by slice, and FLUSHALL goes with readers (goes_with_readers()): so whatever is long by
 * its number of keys must have its shard to itself, or it would find some keys from before and some from after. */
_Static_assert(4 * (int)KEYS_MOST < (int)TURN_WORK, "see turn_wanted_many()");

struct slice_run {    /* a coroutine, and the command on it */
    struct turn turn; /* first */
    struct turns *turns;
    struct coroutine *co;
    struct job *job; /* NULL: free */
    bool parked;
    enum command_result result;
    uint64_t until, cycles; /* the end of this slice; all of them together */
    uint64_t begin_us;
    uint64_t now_ms, now_us;
    struct shard_turn shard[CONFIG_WORKERS];
};

/* -- set-up */

bool turns_init(struct turns *t, struct command_env *env, struct blocking *blocking,
                enum command_result (*run_job)(void *ctx, struct job *j), void *ctx)
{
    *t = (struct turns){.env = env, .blocking = blocking, .run_job = run_job, .ctx = ctx};
    t->pins = shard_pins(env->ks->shard[env->self]);
    t->slice = env->tsc_per_us * TURN_SLICE_US;
    t->run = calloc(TURNS_MOST, sizeof *t->run);
    for (unsigned i = 0; t->run && i < TURNS_MOST; i++) {
        t->run[i].turns = t;
        t->run[i].co = coroutine_new(STACK);
        if (!t->run[i].co) {
            turns_free(t);
            return false;
        }
    }
    env->turns = t->run != NULL;
    env->turn_work = TURN_WORK;
    return t->run != NULL;
}

static void free_list(struct job *j)
{
    for (struct job *next; j; j = next) {
        next = j->next;
        job_free(j);
    }
}

void turns_free(struct turns *t)
{
    for (unsigned i = 0; t->run && i < TURNS_MOST; i++)
        coroutine_free(t->run[i].co);
    free(t->run);
    free_list(t->waiting_first);
    free_list(t->done_first);
    *t = (struct turns){.env = t->env};
}

/* -- keys */

/* The keys of a request: how many, in *position and *write, which are the caller's room or, if that is too
 * small, one block of malloc() to be freed. A command with very many is as one that may name any. */
struct keys {
    int n, *position;
    bool any; /* n is 0 then */
    bool *write;
    void *block;
    int here[KEYS_HERE];
    bool write_here[KEYS_HERE];
};

static bool find_keys(const struct request *rq, struct keys *k)
{
    *k = (struct keys){.position = k->here, .write = k->write_here};
    if (!rq->cmd || rq->bad_arity)
        return true;
    k->n = command_key_uses(rq->cmd, rq->argc, rq->argv, k->position, k->write, KEYS_HERE);
    k->any = k->n > KEYS_MOST;
    if (k->any) {
        k->n = 0;
    } else if (k->n > KEYS_HERE) {
        k->block = malloc((size_t)k->n * (sizeof(int) + sizeof(bool)));
        if (!k->block)
            return false;
        k->position = k->block;
        k->write = (bool *)(k->position + k->n);
        k->n = command_key_uses(rq->cmd, rq->argc, rq->argv, k->position, k->write, k->n);
    }
    return true;
}

static bool reaches(const struct request *rq)
{
    return rq->cmd->reaches && rq->cmd->reaches(rq->argc, rq->argv);
}

static bool is_whole(const struct request *rq)
{
    return rq->cmd && !rq->bad_arity && (rq->cmd->flags & CMD_WHOLE || reaches(rq));
}

/* Nobody changes a key while it runs in slices. */
static bool reads_all(const struct request *rq)
{
    return rq->cmd->flags & CMD_ALL_KEYS || reaches(rq);
}

static bool looks_at(const struct command_env *env, const struct request *rq, unsigned shard)
{
    return rq->route == ROUTE_ALL || shard == env->self;
}

/* Has a command a shard to itself that this one looks at, although it names no key? */
static bool is_shut_out(const struct command_env *env, const struct request *rq)
{
    const struct keyspace *ks = env->ks;
    bool out = false;
    if (!rq->cmd || !(rq->cmd->flags & CMD_ROUTE_ALL) || rq->cmd->flags & CMD_ALLOW_BUSY)
        return false;
    for (unsigned i = 0; i < ks->shards && !out; i++)
        out = looks_at(env, rq, i) && shard_pins(ks->shard[i])->alone;
    return out;
}

/* Does anybody have a key of this worker's shard or, for ROUTE_ALL, of any; or, unless `held`, wait for one?
 */
static bool any_pinned(const struct command_env *env, const struct request *rq, bool held)
{
    const struct keyspace *ks = env->ks;
    bool any = false;
    for (unsigned i = 0; i < ks->shards && !any; i++) {
        const struct pins *p = shard_pins(ks->shard[i]);
        any = looks_at(env, rq, i) && (held ? p->held : p->pins);
    }
    return any;
}

/* FLUSHALL leaves to those in slices what they read, and KEYS reads with them. */
static bool goes_with_readers(const struct command_env *env, const struct request *rq)
{
    const struct keyspace *ks = env->ks;
    bool detaches = rq->cmd->flags & CMD_DETACHES, may = detaches || reads_all(rq);
    for (unsigned i = 0; may && i < ks->shards; i++)
        may = !looks_at(env, rq, i) ||
              (detaches ? store_may_flush(ks->shard[i]) : shard_pins(ks->shard[i])->writing == 0);
    return may;
}

static bool whole_conflict(const struct command_env *env, const struct request *rq)
{
    return any_pinned(env, rq, true) && !goes_with_readers(env, rq);
}

static bool in_the_way(const struct pin_key *k, bool write, bool held)
{
    if (k->writers || (write && k->readers))
        return true;
    return !held && (k->waiting_writers || (write && k->waiting_readers));
}

bool turns_conflict(const struct command_env *env, const struct request *rq, bool held)
{
    const struct keyspace *ks = env->ks;
    struct keys k;
    if (rq->client->flags & CLIENT_MULTI && rq->cmd && !(rq->cmd->flags & CMD_NOT_QUEUED))
        return false;
    if (is_whole(rq))
        return whole_conflict(env, rq);
    if (!find_keys(rq, &k))
        return true;
    bool conflict = is_shut_out(env, rq) || (k.any && any_pinned(env, rq, held));
    for (int i = 0; i < k.n && !conflict; i++) {
        struct key key = keyspace_key(ks, rq->argv[k.position[i]]);
        struct pins *pins = shard_pins(ks->shard[keyspace_shard_of(ks, key.name)]);
        const struct pin_key *found = pins_find(pins, key.hash);
        conflict =
            (found && in_the_way(found, k.write[i], held)) || (k.write[i] && pins->everything) || pins->alone;
    }
    free(k.block);
    return conflict;
}

const char *turns_busy(const struct command_env *env, const struct request *rq)
{
    const struct keyspace *ks = env->ks;
    const char *busy = NULL;
    if (!rq->cmd || rq->bad_arity || rq->cmd->flags & CMD_ALLOW_BUSY)
        return NULL;
    if (rq->route != ROUTE_ALL)
        return shard_pins(ks->shard[env->self])->busy;
    for (unsigned i = 0; i < ks->shards && !busy; i++)
        busy = shard_pins(ks->shard[i])->busy;
    return busy;
}

/* -- seats */

static struct pins *pins_of(const struct turns *t, const struct pin *pin)
{
    return shard_pins(t->env->ks->shard[pin->shard]);
}

/* The shards that a job runs on. */
static void each_shard(const struct turns *t, const struct job *j, void (*fn)(struct pins *p))
{
    const struct keyspace *ks = t->env->ks;
    for (unsigned i = 0; i < ks->shards; i++)
        if (j->seat.stopped || i == t->env->self)
            fn(shard_pins(ks->shard[i]));
}

/* Those that it has to itself, if it has any. */
static void each_own(const struct turns *t, const struct job *j, void (*fn)(struct pins *p))
{
    if (j->seat.alone)
        each_shard(t, j, fn);
}

static void give_back(struct turns *t, struct job *j)
{
    if (j->seat.everything)
        each_shard(t, j, pins_remove_all);
    each_own(t, j, pins_remove_shard);
    for (int i = 0; i < j->seat.pins; i++)
        pins_remove(pins_of(t, &j->seat.pin[i]), &j->seat.pin[i]);
    free(j->seat.pin);
    j->seat = (struct seat){0};
    t->look = true;
}

/* Pins the job's keys as one that waits. False without memory, with nothing pinned. */
static bool take_seat(struct turns *t, struct job *j)
{
    const struct keyspace *ks = t->env->ks;
    struct seat *seat = &j->seat;
    struct keys k = {0};
    if (seat->pin)
        return true;
    if (!j->rq.busy && !find_keys(&j->rq, &k))
        return false;
    seat->whole = is_whole(&j->rq) || k.any;
    seat->pin = calloc(k.n > 0 ? (size_t)k.n : 1, sizeof *seat->pin);
    bool ok = seat->pin != NULL;
    for (int i = 0; ok && i < k.n; i++) {
        struct key key = keyspace_key(ks, j->argv[k.position[i]]);
        struct pin *pin = &seat->pin[i];
        *pin = (struct pin){.shard = keyspace_shard_of(ks, key.name), .write = k.write[i]};
        ok = pins_add(pins_of(t, pin), key.hash, pin);
        seat->pins = i + ok;
    }
    free(k.block);
    if (!ok)
        give_back(t, j);
    return ok;
}

/* What has expired goes before: nothing of a pinned key does. */
static void collect_expired(struct turns *t, struct job *j)
{
    const struct keyspace *ks = t->env->ks;
    struct keys k;
    if (!find_keys(&j->rq, &k))
        return;
    for (int i = 0; i < k.n; i++) {
        struct key key = keyspace_key(ks, j->argv[k.position[i]]);
        store_find(ks->shard[keyspace_shard_of(ks, key.name)], j->client.db, &key,
                   LOOK_NOTOUCH | LOOK_NOSTAT);
    }
    free(k.block);
}

static void hold_seat(struct turns *t, struct job *j)
{
    j->seat.everything = reads_all(&j->rq);
    j->seat.alone = j->seat.whole && !j->seat.everything;
    if (j->seat.everything)
        each_shard(t, j, pins_hold_all);
    each_own(t, j, pins_hold_shard);
    for (int i = 0; !j->rq.busy && i < j->seat.pins; i++)
        pins_hold(pins_of(t, &j->seat.pin[i]), &j->seat.pin[i]);
}

/* The command has run, wholly or, with CMD_BLOCK, in vain. */
static void finish(struct turns *t, struct job *j, enum command_result result, bool stopped)
{
    give_back(t, j);
    if (result != CMD_BLOCK || !block_begin(t->blocking, j)) {
        j->done = result != CMD_ELSEWHERE;
        job_append(&t->done_first, &t->done_last, j);
    } else {
        t->jobs--;
    }
    waits_release(shard_waits(t->env->ks->shard[t->env->self])); /* held because of its pins */
    block_serve(t->blocking, stopped);
}

struct job *turns_done(struct turns *t)
{
    struct job *j = t->done_first;
    if (!j)
        return NULL;
    t->done_first = j->next;
    if (!t->done_first)
        t->done_last = NULL;
    t->jobs--;
    return j;
}

/* -- slices */

static void look(struct turn *turn)
{
    struct slice_run *r = (struct slice_run *)turn;
    const struct turns *t = r->turns;
    turn->left = t->each ? t->each : LOOK_EACH;
    if (t->each || __rdtsc() >= r->until)
        coroutine_yield(r->co);
}

static void park(struct turn *turn)
{
    struct slice_run *r = (struct slice_run *)turn;
    r->parked = true;
    r->turns->stopped -= r->job->seat.stopped;
    coroutine_yield(r->co);
}

void turns_wake(struct turn *turn)
{
    struct slice_run *r = (struct slice_run *)turn;
    r->turns->stopped += r->parked && r->job->seat.stopped;
    r->parked = false;
}

static bool is_remote(const struct job *j)
{
    return j->rq.cmd->flags & CMD_REMOTE;
}

static void run_command(void *arg)
{
    struct slice_run *r = arg;
    struct job *j = r->job;
    j->rq.turn = &r->turn;
    r->result = command_long(&j->rq, job_write_begin(j));
    job_write_end(j);
    j->rq.turn = NULL;
}

/* Time and turns of the shards that it may touch go to what they were, or come back. */
static void swap(struct slice_run *r)
{
    struct command_env *env = r->turns->env;
    const struct keyspace *ks = env->ks;
    bool all = r->job->seat.stopped;
    uint64_t now_ms = env->now_ms, now_us = env->now_us;
    env->now_ms = r->now_ms;
    env->now_us = r->now_us;
    r->now_ms = now_ms;
    r->now_us = now_us;
    for (unsigned i = all ? 0 : env->self; i < (all ? ks->shards : env->self + 1); i++)
        shard_swap_turn(ks->shard[i], &r->shard[i]);
}

/* It has taken longer than busy-reply-threshold: who waits is told. */
static void tell_busy(const struct turns *t, const struct job *j)
{
    const struct keyspace *ks = t->env->ks;
    for (unsigned i = 0; i < ks->shards; i++)
        if (j->seat.stopped || i == t->env->self) {
            shard_pins(ks->shard[i])->busy = j->rq.busy;
            shard_pins(ks->shard[i])->freed = true;
        }
}

/* A read whose client has gone ends. The client of another worker is not looked at from here. */
static bool is_vain(const struct turns *t, const struct job *j)
{
    return j->streams && j->home == t->env->self && !j->session && !(j->rq.cmd->flags & CMD_WRITE) &&
           !j->seat.alone;
}

static void give_slice(struct turns *t, struct slice_run *r)
{
    struct job *j = r->job;
    bool stopped = j->seat.stopped;
    uint64_t threshold_us = t->env->conf->busy_reply_threshold_ms * 1000;
    count_one(t->env->counters, COUNTER_long_command_slices);
    if (is_vain(t, j))
        r->turn.gone = j->out.failed = true;
    swap(r);
    each_own(t, j, pins_lift_shard);
    uint64_t begin = __rdtsc();
    r->until = begin + t->slice;
    bool more = coroutine_resume(r->co);
    r->cycles += __rdtsc() - begin;
    each_own(t, j, pins_lower_shard);
    swap(r);
    if (more && j->rq.busy && threshold_us && t->env->now_us - r->begin_us >= threshold_us)
        tell_busy(t, j);
    if (more)
        return;
    r->job = NULL;
    t->running--;
    t->stopped -= stopped;
    t->remote -= is_remote(j);
    command_took(&j->rq, r->cycles);
    finish(t, j, r->result, stopped);
}

static struct slice_run *free_run(const struct turns *t, const struct job *j)
{
    if (t->remote == TURNS_REMOTE && is_remote(j))
        return NULL;
    for (unsigned i = 0; t->running < TURNS_MOST && i < TURNS_MOST; i++)
        if (!t->run[i].job)
            return &t->run[i];
    return NULL;
}

/* Its keys are its own. */
static void start(struct turns *t, struct slice_run *r, struct job *j)
{
    if (!j->rq.busy)
        collect_expired(t, j);
    hold_seat(t, j);
    count_one(t->env->counters, COUNTER_long_commands);
    j->rq.env = t->env;
    j->streams = j->session != NULL;
    if (j->silent)
        j->client.flags |= CLIENT_REPLY_OFF;
    r->job = j;
    r->cycles = 0;
    r->now_ms = t->env->now_ms;
    r->now_us = r->begin_us = t->env->now_us;
    for (unsigned i = 0; i < t->env->ks->shards; i++)
        r->shard[i] = (struct shard_turn){.turn = j->rq.busy ? NULL : &r->turn, .now_ms = t->env->now_ms};
    r->turn = (struct turn){.left = t->each ? t->each : LOOK_EACH, .look = look, .park = park};
    coroutine_begin(r->co, run_command, r);
    t->running++;
    t->stopped += j->seat.stopped;
    t->remote += is_remote(j);
}

/* Without memory for pins it runs in one go. */
static void at_once(struct turns *t, struct job *j, bool stopped)
{
    enum command_result result = command_long(&j->rq, job_write_begin(j));
    job_write_end(j);
    finish(t, j, result, stopped);
}

/* -- those who wait */

/* May it have its keys? Those of who runs, and of who came earlier and waits, are not to be had. */
static bool may_go(const struct turns *t, const struct job *j)
{
    const struct seat *seat = &j->seat;
    if (seat->whole ? whole_conflict(t->env, &j->rq) : is_shut_out(t->env, &j->rq))
        return false;
    for (int i = 0; i < seat->pins; i++) {
        const struct pins *pins = pins_of(t, &seat->pin[i]);
        if (pins->alone || (seat->pin[i].write && pins->everything))
            return false;
        const struct pin_key *k = seat->pin[i].key;
        bool write = seat->pin[i].write, earlier = k->walk == t->walk;
        if (in_the_way(k, write, true) || (earlier && (write || k->walk_writer)))
            return false;
    }
    return true;
}

static void wait_on(const struct turns *t, struct job *j)
{
    for (int i = 0; i < j->seat.pins; i++) {
        struct pin_key *k = j->seat.pin[i].key;
        k->walk_writer = j->seat.pin[i].write || (k->walk == t->walk && k->walk_writer);
        k->walk = t->walk;
    }
}

/* Runs it, or starts it. False if it must wait. */
static bool go(struct turns *t, struct job *j, bool no_long)
{
    if (!may_go(t, j)) {
        const char *busy = turns_busy(t->env, &j->rq);
        if (!busy)
            return false;
        job_busy(j, t->env, busy);
        finish(t, j, CMD_DONE, false);
        return true;
    }
    if (!j->seat.longer) {
        enum command_result result = t->run_job(t->ctx, j);
        if (result != CMD_LONG) {
            finish(t, j, result, false);
            return true;
        }
        j->seat.longer = true;
    }
    bool begun = j->rq.busy;
    struct slice_run *r = no_long && !begun ? NULL : free_run(t, j);
    if (r)
        start(t, r, j);
    else if (begun)
        at_once(t, j, false);
    return r || begun;
}

/* One walk over all who wait. It ends early when many have run. */
static void walk(struct turns *t)
{
    struct job *list = t->waiting_first;
    unsigned budget = SHORT_A_ROUND;
    bool whole = t->pins->whole > 0;
    t->waiting_first = t->waiting_last = NULL;
    t->look = t->pins->freed = false;
    t->walk++;
    for (struct job *j = list, *next; j; j = next) {
        next = j->next;
        if (budget > 0 && go(t, j, whole)) {
            budget--;
            continue;
        }
        t->look |= budget == 0;
        wait_on(t, j);
        whole |= j->seat.whole; /* or it would wait for ever */
        job_append(&t->waiting_first, &t->waiting_last, j);
    }
}

bool turns_wait(struct turns *t, struct job *j)
{
    count_one(t->env->counters, COUNTER_pinned_key_waits);
    if (!take_seat(t, j)) {
        count_one(t->env->counters, COUNTER_command_errors);
        job_refuse(j, "ERR out of memory for a request that waits for another one");
        return false;
    }
    job_append(&t->waiting_first, &t->waiting_last, j);
    t->jobs++;
    return true;
}

void turns_long(struct turns *t, struct job *j)
{
    j->rq.env = t->env;
    t->jobs++;
    struct slice_run *r = j->rq.busy ? free_run(t, j) : NULL;
    if ((j->rq.busy && !r) || !take_seat(t, j)) {
        at_once(t, j, false);
        return;
    }
    j->seat.longer = true;
    if (r) {
        start(t, r, j);
        return;
    }
    job_append(&t->waiting_first, &t->waiting_last, j);
    t->look = true;
}

void turns_long_stopped(struct turns *t, struct job *j)
{
    struct slice_run *r = free_run(t, j);
    j->rq.env = t->env;
    t->jobs++;
    if (!r || !take_seat(t, j)) {
        at_once(t, j, true);
        return;
    }
    j->seat.longer = j->seat.stopped = true;
    start(t, r, j);
}

void turns_queue(struct turns *t, struct job *j)
{
    const struct keyspace *ks = t->env->ks;
    if (j->seat.pin || !take_seat(t, j))
        return;
    for (unsigned i = 0; j->seat.whole && i < ks->shards; i++)
        shard_pins(ks->shard[i])->whole++;
}

void turns_leave(struct turns *t, struct job *j)
{
    const struct keyspace *ks = t->env->ks;
    if (!j->seat.pin)
        return;
    for (unsigned i = 0; j->seat.whole && i < ks->shards; i++) {
        shard_pins(ks->shard[i])->whole--;
        shard_pins(ks->shard[i])->freed = true;
    }
    give_back(t, j);
}

/* -- rounds */

static struct slice_run *next_run(struct turns *t, bool stopped)
{
    for (unsigned i = 0; i < TURNS_MOST; i++) {
        struct slice_run *r = &t->run[(t->next + i) % TURNS_MOST];
        if (r->job && !r->parked && r->job->seat.stopped == stopped) {
            t->next = (t->next + i + 1) % TURNS_MOST;
            return r;
        }
    }
    return NULL;
}

bool turns_round(struct turns *t)
{
    if (__builtin_expect(!t->waiting_first && !t->running, 1))
        return false;
    if (t->waiting_first && (t->look || t->pins->freed))
        walk(t);
    struct slice_run *r = t->running ? next_run(t, false) : NULL;
    if (r)
        give_slice(t, r);
    return r || t->look;
}

void turns_stopped(struct turns *t)
{
    struct slice_run *r = t->stopped ? next_run(t, true) : NULL;
    if (r)
        give_slice(t, r);
}

void turns_end(struct turns *t)
{
    t->look = true;
    while (turns_round(t) || turns_wants_stop(t))
        turns_stopped(t);
}
