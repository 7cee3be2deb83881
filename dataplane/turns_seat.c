/* turns_seat.c: the keys that a request needs, who is in whose way, and what is pinned for it (turns_seat.h).
 */
#include "turns_seat.h"

#include "command/effects.h"
#include "job.h"

#include <stdlib.h>

/* Fewer keys than a command may look up in one go: one that looks for them slice by slice has its shard to itself, or
 * FLUSHALL, which goes with readers, would let it find some from before and some from after. */
enum { KEYS_HERE = 64, KEYS_MOST = 240 };
_Static_assert(KEY_WORK * (int)KEYS_MOST < (int)TURN_WORK, "see turn_of_keys()");

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

/* Whether or not there is a log: one may begin while it waits. */
static void note_first(const struct request *rq, struct keys *k)
{
    if (k->n > 0 && effects_take_fields(rq))
        k->write[0] = true;
}

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
    note_first(rq, k);
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

/* Those of other workers may be looked at only while these are stopped. */
static bool may_look(const struct command_env *env, unsigned shard)
{
    return shard == env->self || env->stopped;
}

static bool looks_at(const struct command_env *env, const struct request *rq, unsigned shard)
{
    return shard == env->self || (rq->route == ROUTE_ALL && env->stopped);
}

/* Has a command a shard to itself that this one looks at, although it names no key of it? A script that runs with all
 * others stopped may come to any, and there may be another one in the middle, on its own worker even. */
static bool is_shut_out(const struct command_env *env, const struct request *rq)
{
    const struct keyspace *ks = env->ks;
    bool out = false;
    if (!rq->cmd || !(rq->cmd->flags & CMD_ROUTE_ALL || rq->route == ROUTE_ALL) || rq->cmd->flags & CMD_ALLOW_BUSY)
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

/* Who has the shard has taken long, and this request is not told so: it goes on (WATCH). Before that it waits. */
static bool passes(const struct pins *pins, const struct request *rq)
{
    return pins->busy && rq->cmd->flags & CMD_ALLOW_BUSY;
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
        unsigned shard = keyspace_shard_of(ks, key.name);
        if (!may_look(env, shard)) /* BLPOP that waits here, too: it takes from this shard alone now */
            continue;
        const struct pins *pins = shard_pins(ks->shard[shard]);
        if (passes(pins, rq))
            continue;
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
    for (unsigned i = 0; i < ks->shards && !busy; i++)
        busy = looks_at(env, rq, i) ? shard_pins(ks->shard[i])->busy : NULL;
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

void seat_each_own(const struct turns *t, const struct job *j, void (*fn)(struct pins *p))
{
    if (j->seat.alone)
        each_shard(t, j, fn);
}

void seat_give_back(struct turns *t, struct job *j)
{
    if (j->seat.everything)
        each_shard(t, j, pins_remove_all);
    seat_each_own(t, j, pins_remove_shard);
    for (int i = 0; i < j->seat.pins; i++)
        pins_remove(pins_of(t, &j->seat.pin[i]), &j->seat.pin[i]);
    free(j->seat.pin);
    j->seat = (struct seat){0};
    t->look = true;
}

bool seat_take(struct turns *t, struct job *j)
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
        seat_give_back(t, j);
    return ok;
}

void seat_collect_expired(struct turns *t, struct job *j)
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

void seat_hold(struct turns *t, struct job *j)
{
    j->seat.everything = reads_all(&j->rq);
    j->seat.alone = j->seat.whole && !j->seat.everything;
    if (j->seat.everything)
        each_shard(t, j, pins_hold_all);
    seat_each_own(t, j, pins_hold_shard);
    for (int i = 0; !j->rq.busy && i < j->seat.pins; i++)
        pins_hold(pins_of(t, &j->seat.pin[i]), &j->seat.pin[i]);
}

bool seat_may_go(const struct turns *t, const struct job *j)
{
    const struct seat *seat = &j->seat;
    if (seat->whole ? whole_conflict(t->env, &j->rq) : is_shut_out(t->env, &j->rq))
        return false;
    for (int i = 0; i < seat->pins; i++) {
        const struct pins *pins = pins_of(t, &seat->pin[i]);
        if (passes(pins, &j->rq))
            continue;
        if (pins->alone || (seat->pin[i].write && pins->everything))
            return false;
        const struct pin_key *k = seat->pin[i].key;
        bool write = seat->pin[i].write, earlier = k->walk == t->walk;
        if (in_the_way(k, write, true) || (earlier && (write || k->walk_writer)))
            return false;
    }
    return true;
}

void seat_waits(const struct turns *t, struct job *j)
{
    for (int i = 0; i < j->seat.pins; i++) {
        struct pin_key *k = j->seat.pin[i].key;
        k->walk_writer = j->seat.pin[i].write || (k->walk == t->walk && k->walk_writer);
        k->walk = t->walk;
    }
}
