/* big.c: see big.h. */
#include "store/big.h"

#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/shard.h"
#include "store/stream.h"
#include "store/zset.h"

#include <stdlib.h>

void big_init(struct big_keys *big)
{
    for (unsigned t = 0; t < BIG_TYPES; t++)
        big->floor[t] = BIG_LEAST;
}

void big_free(struct big_keys *big)
{
    for (unsigned t = 0; t < BIG_TYPES; t++)
        for (unsigned i = 0; i < big->n[t]; i++)
            free(big->row[t][i].name);
}

void big_swap(struct big_keys *big, unsigned a, unsigned b)
{
    for (unsigned t = 0; t < BIG_TYPES; t++)
        for (unsigned i = 0; i < big->n[t]; i++) {
            struct big_row *row = &big->row[t][i];
            row->db = row->db == a ? b : row->db == b ? a : row->db;
        }
}

struct big_search {
    const struct shard *s;
    uint64_t hash;
    const struct entry *found;
};

static void has_hash(struct entry *e, void *arg)
{
    struct big_search *search = arg;
    if (key_hash(entry_key(e), search->s->seed) == search->hash)
        search->found = e;
}

static bool find_name(const struct shard *s, struct big_row *row)
{
    struct big_search search = {.s = s, .hash = row->key.hash};
    if (row->db < s->databases && s->db[row->db].index.segments)
        index_neighbours(s, &s->db[row->db].index, row->key.hash, has_hash, &search);
    if (!search.found)
        return false;
    struct slice name = entry_key(search.found);
    row->name = malloc(name.len ? name.len : 1);
    if (!row->name)
        return false;
    memcpy(row->name, name.p, name.len);
    row->key.name = (struct slice){row->name, name.len};
    return true;
}

void big_adopt(struct shard *s)
{
    struct big_keys *big = &s->big;
    for (unsigned t = 0; t < BIG_TYPES; t++) {
        unsigned n = big->n[t] < BIG_ROWS ? big->n[t] : BIG_ROWS, kept = 0;
        for (unsigned i = 0; i < n; i++) {
            struct big_row row = big->row[t][i];
            if (find_name(s, &row))
                big->row[t][kept++] = row;
        }
        big->n[t] = kept;
        big->floor[t] = kept == BIG_ROWS ? big->floor[t] : BIG_LEAST;
    }
    big->check = 0;
}

/* -- rows -- */

static void remove_row(struct big_keys *big, enum value_type type, unsigned i)
{
    free(big->row[type][i].name);
    big->row[type][i] = big->row[type][--big->n[type]];
    big->floor[type] = BIG_LEAST;
}

/* The row's key if it still is of this type and big, with its size brought up to date. */
static const struct entry *live(const struct shard *s, enum value_type type, struct big_row *row)
{
    const struct entry *e = store_peek(s, row->db, &row->key);
    if (!e || entry_type_of(e) != type || entry_expired(s, e))
        return NULL;
    row->size = entry_user_bytes(e);
    return row->size > BIG_LEAST ? e : NULL;
}

static struct big_row *smallest(struct big_keys *big, enum value_type type)
{
    struct big_row *row = big->row[type], *least = row;
    for (unsigned i = 1; i < big->n[type]; i++)
        least = row[i].size < least->size ? &row[i] : least;
    return least;
}

static struct big_row *find(struct big_keys *big, enum value_type type, unsigned db, uint64_t hash)
{
    for (unsigned i = 0; i < big->n[type]; i++)
        if (big->row[type][i].key.hash == hash && big->row[type][i].db == db)
            return &big->row[type][i];
    return NULL;
}

static void add(struct big_keys *big, enum value_type type, unsigned db, const struct key *k, uint64_t now)
{
    uint8_t *name = malloc(k->name.len ? k->name.len : 1);
    if (!name)
        return;
    memcpy(name, k->name.p, k->name.len);
    big->row[type][big->n[type]++] =
        (struct big_row){.key = {{name, k->name.len}, k->hash}, .name = name, .size = now, .db = db};
    if (big->n[type] == BIG_ROWS)
        big->floor[type] = smallest(big, type)->size;
}

void big_note(struct shard *s, unsigned db, const struct key *k, enum value_type type, uint64_t now)
{
    struct big_keys *big = &s->big;
    if (db >= s->databases || k->name.len > BIG_NAME)
        return;
    struct big_row *row = find(big, type, db, k->hash);
    if (row) {
        row->size = now;
    } else if (big->n[type] < BIG_ROWS) {
        add(big, type, db, k, now);
    } else {
        row = smallest(big, type);
        if (live(s, type, row) && row->size >= now) {
            big->floor[type] = smallest(big, type)->size;
            return;
        }
        remove_row(big, type, (unsigned)(row - big->row[type]));
        add(big, type, db, k, now);
    }
}

void big_check(struct shard *s)
{
    struct big_keys *big = &s->big;
    if (++big->calls % BIG_CHECK_EACH)
        return;
    unsigned type = big->check / BIG_ROWS, i = big->check % BIG_ROWS;
    if (i >= big->n[type]) { /* on to the next type */
        big->check = (type + 1) % BIG_TYPES * BIG_ROWS;
        return;
    }
    if (!live(s, (enum value_type)type, &big->row[type][i]))
        remove_row(big, (enum value_type)type, i);
    else if (++big->check == BIG_TYPES * BIG_ROWS)
        big->check = 0;
}

unsigned store_each_big(struct shard *s, enum value_type type, big_visit *visit, void *arg)
{
    struct big_keys *big = &s->big;
    for (unsigned i = 0; i < big->n[type];) {
        struct big_row *row = &big->row[type][i];
        const struct entry *e = live(s, type, row);
        if (!e) {
            remove_row(big, type, i);
            continue;
        }
        visit(e, &row->key, row->db, arg);
        i++;
    }
    return big->n[type];
}

uint64_t store_biggest(const struct shard *s)
{
    uint64_t most = 0;
    for (unsigned t = 0; t < BIG_TYPES; t++)
        for (unsigned i = 0; i < s->big.n[t]; i++)
            most = s->big.row[t][i].size > most ? s->big.row[t][i].size : most;
    return most;
}

uint64_t entry_elements(const struct shard *s, const struct entry *e)
{
    struct zset z;
    uint64_t len;
    switch (entry_type(e)) {
    case TYPE_LIST:
        return list_len(e);
    case TYPE_SET:
        return set_count(e);
    case TYPE_ZSET:
        zset_open(&z, s, e);
        return zset_count(&z);
    case TYPE_HASH:
        return hash_count(s, e);
    case TYPE_STREAM:
        return stream_of(&(struct value_at){.e = (struct entry *)(uintptr_t)e})->length;
    default:
        entry_value_bytes(e, &len);
        return len; /* no number is big */
    }
}
