/* pins.c: a chained hash table of keys that commands under way have or want. */
#include "store/pins.h"

#include <assert.h>
#include <stdlib.h>

enum { BUCKETS_LEAST = 64 };

struct pin_key *pins_find(const struct pins *p, uint64_t hash)
{
    struct pin_key *k = p->buckets ? p->bucket[hash & (p->buckets - 1)] : NULL;
    while (k && k->hash != hash)
        k = k->next;
    return k;
}

bool pins_holds(const struct pins *p, uint64_t hash)
{
    const struct pin_key *k = pins_find(p, hash);
    return p->everything || p->alone || (k && (k->readers || k->writers));
}

static void put(struct pins *p, struct pin_key *k)
{
    struct pin_key **at = &p->bucket[k->hash & (p->buckets - 1)];
    k->next = *at;
    *at = k;
}

/* Without memory the chains become longer. */
static bool grow(struct pins *p)
{
    struct pins old = *p;
    uint64_t buckets = old.buckets ? 4 * old.buckets : BUCKETS_LEAST;
    struct pin_key **table = calloc(buckets, sizeof *table);
    if (!table)
        return old.buckets != 0;
    p->bucket = table;
    p->buckets = buckets;
    for (uint64_t i = 0; i < old.buckets; i++)
        for (struct pin_key *k = old.bucket[i], *next; k; k = next) {
            next = k->next;
            put(p, k);
        }
    free(old.bucket);
    return true;
}

bool pins_add(struct pins *p, uint64_t hash, struct pin *pin)
{
    struct pin_key *k = pins_find(p, hash);
    if (!k) {
        if (p->keys >= p->buckets && !grow(p))
            return false;
        k = calloc(1, sizeof *k);
        if (!k)
            return false;
        k->hash = hash;
        put(p, k);
        p->keys++;
    }
    pin->key = k;
    pin->held = false;
    *(pin->write ? &k->waiting_writers : &k->waiting_readers) += 1;
    k->pins++;
    p->pins++;
    return true;
}

void pins_hold(struct pins *p, struct pin *pin)
{
    struct pin_key *k = pin->key;
    if (!k || pin->held)
        return;
    *(pin->write ? &k->waiting_writers : &k->waiting_readers) -= 1;
    *(pin->write ? &k->writers : &k->readers) += 1;
    pin->held = true;
    pin->flushes = p->flushes;
    p->held++;
    p->writing += pin->write;
}

void pins_hold_all(struct pins *p)
{
    p->everything++;
    p->held++;
    p->pins++;
}

void pins_remove_all(struct pins *p)
{
    p->everything--;
    p->held--;
    p->pins--;
    pins_given_up(p);
}

void pins_hold_shard(struct pins *p)
{
    assert(p->alone == 0 && p->writing == 0); /* two seats at once */
    p->alone++;
    p->held++;
    p->pins++;
    p->writing++;
}

void pins_remove_shard(struct pins *p)
{
    p->alone--;
    p->held--;
    p->pins--;
    p->writing--;
    pins_given_up(p);
    p->busy = NULL;
}

void pins_lift_shard(struct pins *p)
{
    p->held--;
    p->writing--;
}

void pins_lower_shard(struct pins *p)
{
    p->held++;
    p->writing++;
}

void pins_flush(struct pins *p)
{
    if (p->held == 0)
        return;
    p->elder = p->held;
    p->flushes++;
}

static uint32_t *counted_in(const struct pin *pin)
{
    struct pin_key *k = pin->key;
    if (pin->held)
        return pin->write ? &k->writers : &k->readers;
    return pin->write ? &k->waiting_writers : &k->waiting_readers;
}

void pins_remove(struct pins *p, struct pin *pin)
{
    struct pin_key *k = pin->key;
    if (!k)
        return;
    --*counted_in(pin);
    p->pins--;
    if (pin->held) {
        p->held--;
        p->writing -= pin->write;
        p->elder -= pin->flushes != p->flushes;
    }
    pins_given_up(p);
    pin->key = NULL;
    if (--k->pins > 0)
        return;
    struct pin_key **at = &p->bucket[k->hash & (p->buckets - 1)];
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    free(k);
    if (--p->keys == 0 && p->buckets > BUCKETS_LEAST)
        pins_free(p);
}

void pins_free(struct pins *p)
{
    for (uint64_t i = 0; i < p->buckets; i++)
        for (struct pin_key *k = p->bucket[i], *next; k; k = next) {
            next = k->next;
            free(k);
        }
    free(p->bucket);
    p->bucket = NULL;
    p->buckets = p->keys = 0;
}
