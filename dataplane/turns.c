/* turns.c: who waits, and who runs a slice (turns.h). */
#include "turns.h"

#include "block.h"
#include "command/tracking.h"
#include "command/transaction.h"
#include "fabric/delay.h"
#include "job.h"
#include "turns_seat.h"

#include <stdlib.h>
#include <x86intrin.h>

/* liblzf has a table of half a megabyte on the stack: for texts in a collection, which are short. */
enum { STACK = 1 << 20, LOOK_EACH = 16, SHORT_A_ROUND = 32 };

struct slice_run {    /* a coroutine, and the command on it */
    struct turn turn; /* first */
    struct turns *turns;
    struct coroutine *co;
    struct job *job; /* NULL: free */
    struct request *outside; /* of its job: is to be run before it goes on */
    bool parked;
    enum command_result result;
    uint64_t until, cycles; /* the end of this slice; all of them together */
    uint64_t script_us; /* when its script has begun ... */
    unsigned nested;    /* ... that is this one of an EXEC, ... */
    bool told;          /* ... and has taken long */
    uint64_t now_ms, now_us;
    struct effects *effects; /* env->effects, likewise */
    uint64_t away;           /* env->away */
    uint64_t current;        /* env->tracking->current */
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
    free_list(t->parts_first);
    *t = (struct turns){.env = t->env};
}

/* The command has run, wholly or, with CMD_BLOCK, in vain. */
static void finish(struct turns *t, struct job *j, enum command_result result, bool stopped)
{
    seat_give_back(t, j);
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

/* Swapped in again, env->away is its own. */
static void give_way(struct slice_run *r)
{
    uint64_t begin = __rdtsc();
    coroutine_yield(r->co);
    r->turns->env->away += __rdtsc() - begin;
}

static void look(struct turn *turn)
{
    struct slice_run *r = (struct slice_run *)turn;
    const struct turns *t = r->turns;
    turn->left = t->each ? t->each : LOOK_EACH;
    if (t->each || __rdtsc() >= r->until)
        give_way(r);
}

static void park(struct turn *turn)
{
    struct slice_run *r = (struct slice_run *)turn;
    r->parked = true;
    r->turns->stopped -= r->job->seat.stopped;
    give_way(r);
}

static void step_outside(struct turn *turn, void *request)
{
    struct slice_run *r = (struct slice_run *)turn;
    r->outside = request;
    coroutine_yield(r->co); /* not give_way(): it is no time of others */
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

static void swap_tracked(struct tracking *t, struct slice_run *r)
{
    uint64_t current = t ? t->current : 0;
    if (t)
        t->current = r->current;
    r->current = current;
}

/* Time, who changes keys, and turns of the shards that it may touch go to what they were, or come back. */
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
    struct effects *effects = env->effects;
    env->effects = r->effects;
    r->effects = effects;
    uint64_t away = env->away;
    env->away = r->away;
    r->away = away;
    swap_tracked(env->tracking, r);
    for (unsigned i = all ? 0 : env->self; i < (all ? ks->shards : env->self + 1); i++)
        shard_swap_turn(ks->shard[i], &r->shard[i]);
}

/* Who waits is told, or (NULL) not any more. */
static void tell_busy(const struct turns *t, const struct job *j, const char *busy)
{
    const struct keyspace *ks = t->env->ks;
    for (unsigned i = 0; i < ks->shards; i++)
        if ((j->seat.stopped || i == t->env->self) && shard_pins(ks->shard[i])->busy != busy) {
            shard_pins(ks->shard[i])->busy = busy;
            pins_given_up(shard_pins(ks->shard[i]));
        }
}

/* Has its script taken longer than busy-reply-threshold? Each script of an EXEC has that time. */
static void look_if_busy(const struct turns *t, struct slice_run *r)
{
    const struct request *rq = &r->job->rq;
    uint64_t now_us = t->env->now_us, threshold_us = t->env->conf->busy_reply_threshold_ms * 1000;
    if (r->nested != rq->nested) {
        r->nested = rq->nested;
        r->script_us = now_us;
        if (r->told)
            tell_busy(t, r->job, NULL);
        r->told = false;
    }
    if (rq->busy && threshold_us && now_us - r->script_us >= threshold_us) {
        tell_busy(t, r->job, rq->busy);
        r->told = true;
    }
}

/* A read whose client has gone ends. The client of another worker is not looked at from here. */
static bool is_vain(const struct turns *t, const struct job *j)
{
    return j->streams && j->home == t->env->self && !j->session && !(j->rq.cmd->flags & CMD_WRITE) &&
           !j->seat.alone;
}

/* Runs it until its slice is over. False if it has ended. */
static bool resume(struct turns *t, struct slice_run *r)
{
    bool more;
    while ((more = coroutine_resume(r->co)) && r->outside) {
        t->outside(t->ctx, r->job, r->outside);
        r->outside = NULL;
    }
    return more;
}

static void give_slice(struct turns *t, struct slice_run *r)
{
    struct job *j = r->job;
    bool stopped = j->seat.stopped;
    count_one(t->env->counters, COUNTER_long_command_slices);
    if (is_vain(t, j))
        r->turn.gone = j->out.failed = true;
    swap(r);
    seat_each_own(t, j, pins_lift_shard);
    uint64_t begin = __rdtsc();
    r->until = begin + t->slice;
    bool more = resume(t, r);
    r->cycles += __rdtsc() - begin;
    seat_each_own(t, j, pins_lower_shard);
    swap(r);
    if (more) {
        look_if_busy(t, r);
        return;
    }
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
        seat_collect_expired(t, j);
    seat_hold(t, j);
    count_one(t->env->counters, COUNTER_long_commands);
    j->rq.env = t->env;
    j->streams = j->home == t->env->self && j->session != NULL; /* elsewhere it may be given up at any time */
    if (j->silent)
        j->client.flags |= CLIENT_REPLY_OFF;
    r->job = j;
    r->cycles = 0;
    r->now_ms = t->env->now_ms;
    r->now_us = r->script_us = t->env->now_us;
    r->nested = j->rq.nested;
    r->told = false;
    r->effects = NULL;
    r->away = r->current = 0;
    for (unsigned i = 0; i < t->env->ks->shards; i++)
        r->shard[i] = (struct shard_turn){.turn = j->rq.busy ? NULL : &r->turn, .now_ms = t->env->now_ms};
    r->turn = (struct turn){.left = t->each ? t->each : LOOK_EACH, .look = look, .park = park, .outside = step_outside};
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

/* Runs it, or starts it. False if it must wait. */
static bool go(struct turns *t, struct job *j, bool no_long)
{
    if (!seat_may_go(t, j)) {
        const char *busy = turns_busy(t->env, &j->rq);
        if (!busy)
            return false;
        job_busy(j, t->env, busy);
        finish(t, j, CMD_DONE, false);
        return true;
    }
    if (!j->seat.longer || (!j->rq.busy && job_is_outdated(j, t->env))) { /* nothing of it is done yet */
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
        seat_waits(t, j);
        whole |= j->seat.whole; /* or it would wait for ever */
        job_append(&t->waiting_first, &t->waiting_last, j);
    }
}

bool turns_wait(struct turns *t, struct job *j)
{
    count_one(t->env->counters, COUNTER_pinned_key_waits);
    if (!seat_take(t, j)) {
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
    if ((j->rq.busy && !r) || !seat_take(t, j)) {
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
    if (!r || !seat_take(t, j)) {
        at_once(t, j, true);
        return;
    }
    j->seat.longer = j->seat.stopped = true;
    bool begun = j->rq.busy;
    start(t, r, j);
    if (!begun) /* it has had no time yet, and the next slice takes another stop */
        give_slice(t, r);
}

void turns_queue(struct turns *t, struct job *j)
{
    const struct keyspace *ks = t->env->ks;
    if (j->seat.pin || !seat_take(t, j))
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
        pins_given_up(shard_pins(ks->shard[i]));
    }
    seat_give_back(t, j);
}

/* -- rounds */

static struct slice_run *next_run(struct turns *t, bool stopped)
{
    if (fabric_delay(FABRIC_SLICE, t->env->self))
        return NULL;
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

/* Their clients are gone, and nothing has been done for them. */
static void give_up_waiting(struct turns *t)
{
    struct job *list = t->waiting_first;
    t->waiting_first = t->waiting_last = NULL;
    for (struct job *j = list, *next; j; j = next) {
        next = j->next;
        seat_give_back(t, j);
        t->jobs--;
        transaction_end(t->env, &j->client); /* what it watches may change yet */
        job_free(j);
    }
}

void turns_end(struct turns *t)
{
    give_up_waiting(t);
    while (turns_round(t) || turns_wants_stop(t))
        turns_stopped(t);
}
