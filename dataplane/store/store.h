/* store.h: the keyspace. A keyspace is cut into shards, one a worker; a shard owns its part of the arena, one
 * index a database, its expiry wheel and its memory account, and only its worker touches it (or a worker that
 * has stopped all others, see fabric/). Nothing in here knows packets, clients or RESP; time is an argument.
 *
 * An entry is one allocation: header, key, expiry if any, small value. Any call that can change a shard may
 * move or free any entry of it: pointers and slices from a look-up are valid until the next such call on that
 * shard. */
#pragma once
#include "base/config.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/slice.h"
#include "store/ahead.h"

struct arena;
struct turn;
struct shard;
struct entry;
struct bucket;

enum value_type { TYPE_STRING, TYPE_LIST, TYPE_SET, TYPE_ZSET, TYPE_HASH, TYPE_STREAM };

/* A key as the command layer hands it over: bytes and their key_hash() with the keyspace's seed. */
struct key {
    struct slice name;
    uint64_t hash;
};

struct keyspace {
    unsigned shards, databases;
    uint64_t seed; /* of key_hash */
    struct arena *arena;
    struct shard **shard;
};

enum store_result {
    STORE_OK,
    STORE_OOM /* neither free memory nor anything to evict: reply_oom() */
};

/* Which shard owns a slot: of n, shard i begins at i * SLOTS / n, rounded to the nearest, as `redis-cli --cluster create`
 * deals slots out (three: 0-5460, 5461-10922, 10923-16383). */
static inline unsigned keyspace_owner(const struct keyspace *ks, unsigned slot)
{
    return (2 * slot + 1) * ks->shards / (2 * SLOTS);
}

/* The first slot of a shard; that of the one behind the last is SLOTS. */
static inline unsigned keyspace_first_slot(const struct keyspace *ks, unsigned shard)
{
    return (2 * shard * SLOTS + ks->shards) / (2 * ks->shards);
}

/* Which shard owns a key, by slot; without hashing when there is one shard. */
static inline unsigned keyspace_shard_of(const struct keyspace *ks, struct slice name)
{
    return ks->shards == 1 ? 0 : keyspace_owner(ks, key_slot(name));
}

static inline struct key keyspace_key(const struct keyspace *ks, struct slice name)
{
    return (struct key){name, key_hash(name, ks->seed)};
}

/* Makes a keyspace of conf->workers shards and conf->databases databases over an arena of conf->arena_size
 * bytes (huge pages by conf->hugepages). node[i] is the NUMA node of shard i (-1 = any). seed: secret, for
 * hashing. Returns NULL and one line in error. counters[i] outlives the keyspace and is written by shard i's
 * worker. */
struct keyspace *keyspace_new(const struct config *conf, const int *node, uint64_t seed,
                              struct counters *const *counters, char *error, size_t size);
void keyspace_free(struct keyspace *ks);

/* The same over an arena in files (arena.h) that may hold what another process has left there: taken over if it was
 * left whole (keyspace_leave(), or a crash in the middle of nothing), by a program to which everything in it means the same, for as many shards and databases and of the same
 * size; otherwise, or if it is not wanted, made anew. seed is for the latter. */
struct arena_files;
struct keyspace_past {
    bool taken;
    bool crashed; /* by a process that did not leave in order */
    char why[160]; /* "" = nothing was there */
};
struct keyspace *keyspace_open(const struct config *conf, const int *node, uint64_t seed,
                               struct counters *const *counters, const struct arena_files *files,
                               bool wanted, struct keyspace_past *past, char *error, size_t size);
/* keyspace_free(), and what is in the files can be taken over. No command is in the middle of anything. */
void keyspace_leave(struct keyspace *ks);
/* Whether what a crash leaves from here on may be taken over: the keys are all there, and workers tell by the word of their
 * shard (midway.h) when they are in the middle of something. Off while keys are being loaded, say. Nothing without a file. */
void keyspace_serves(struct keyspace *ks, bool serves);
uint64_t *shard_midway(struct shard *s);
/* What a program must have in common with that which has left an arena. */
uint64_t keyspace_layout(void);
/* Processes that have used the arena, this one too; is it in a file? */
uint64_t keyspace_generation(const struct keyspace *ks);
bool keyspace_outlives(const struct keyspace *ks);

/* True if the arena lies on hugepages, and its size in bytes. */
bool keyspace_hugepages(const struct keyspace *ks);
uint64_t keyspace_arena_size(const struct keyspace *ks);

/* Called by the owner when a new generation of configuration is current: limits and policy. A shard's limit
 * is its even share of maxmemory (0: its share of the arena). */
void shard_configure(struct shard *s, const struct config *conf);

/* -- time and upkeep
 * -------------------------------------------------------------------------------------------- */

/* Sets the shard's wall clock (milliseconds since 1970) used by every call until the next: called once a
 * burst. */
void shard_set_time(struct shard *s, uint64_t now_ms);
uint64_t shard_time(const struct shard *s);
/* Changes of keys so far. */
uint64_t shard_changes(const struct shard *s);

/* A bounded slice of background work: active expiry by the wheel, index growth, giving back memory. `budget`
 * is a count of entries or buckets to touch. Returns true if there is more to do right now. */
bool shard_upkeep(struct shard *s, unsigned budget);

/* Whether upkeep removes keys whose time has come (it does from the start); off is for tests of what an
 * access does.
 */
void shard_set_active_expiry(struct shard *s, bool on);
/* Cuts large lists into chunks of at most so many bytes of elements, larger ones alone, from now on (0: as
 * list-max-listpack-size has it); for tests. */
void shard_set_list_chunk(struct shard *s, uint32_t bytes);

/* -- look-up (ahead.h has what is noted of those to come)
 * ---------------------------------------------------------------------------------------------------- */

/* The next one of the row is known. All are in this shard; one that is elsewhere, or is none, is skipped. */
void store_ahead(const struct shard *s, struct ahead_row *r, unsigned db, uint64_t hash);
/* The next n of the row are known, all in one database: for rows of which many are, without other work in between. */
void store_ahead_all(const struct shard *s, struct ahead_row *r, unsigned db, const uint64_t *hash, unsigned n);
static inline void store_ahead_skip(struct ahead_row *r)
{
    struct ahead *a = &r->at[r->n++];
    a->s = NULL;
    a->word = NULL;
    a->e = NULL;
    a->buckets = 0;
}
/* Those of `t` that have not, from t->begun on, take the first two steps. False, and t is as it was: this shard has none to be looked
 * up so (nothing is stored in that database, or each use of a key is counted). */
bool store_texts_begin(const struct shard *s, struct ahead_texts *t);
/* The row begins with these, or with more of them than before. t is the row's until that is done. */
void store_ahead_texts(const struct shard *s, struct ahead_row *r, struct ahead_texts *t);
/* n of them from the i-th on are in `at` as well from now on; those behind it are no texts of the row any more where they are the last. */
void store_ahead_spread(const struct shard *s, struct ahead_row *r, unsigned i, unsigned n);
/* All are known, and what they need is asked for up to their entries: something else may be done now before the first is made. */
void store_ahead_known(const struct shard *s, struct ahead_row *r);
/* The i-th of the row is the next to be made. */
void store_look_ahead(const struct shard *s, struct ahead_row *r, unsigned i);
/* The same for a row of short strings from the i-th on: no step for their values, but those that are not where they are at home
 * are looked for together. */
void store_look_all_ahead(const struct shard *s, struct ahead_row *r, unsigned i);

enum {                   /* how a look-up counts */
       LOOK_READ = 0,    /* counts a hit or miss, touches the access clock */
       LOOK_WRITE = 1,   /* touches the access clock, counts nothing */
       LOOK_NOTOUCH = 2, /* leaves the access clock (OBJECT, TYPE, CLIENT NO-TOUCH) */
       LOOK_NOSTAT = 4,  /* counts nothing */
       LOOK_QUIET = 8    /* a miss is no event (OBJECT) */
};

/* The live entry of a key or NULL. An entry whose time has come is removed (and counted) and not returned. */
struct entry *store_find(struct shard *s, unsigned db, const struct key *k, unsigned how);
/* The entry of a key also if its time has come; counts, touches and removes nothing (DEBUG). */
const struct entry *store_peek(const struct shard *s, unsigned db, const struct key *k);
/* The same with a hint, or NULL. */
struct entry *store_find_ahead(struct shard *s, unsigned db, const struct key *k, unsigned how,
                               const struct ahead *a);

/* GET's usual case, without a call: the text of a live string that lies in its entry and that the hint has found;
 * counts a hit and touches. False, and nothing done, for everything else: go the general way. */
bool store_text_ahead(struct shard *s, unsigned db, const struct key *k, const struct ahead *a, struct slice *text);
/* The same for up to n look-ups of a row in one database from `first` on, `stride` names apart, with the steps of those
 * behind them, up to the first one that is something else: returns how many texts there are. One that lies in its entry has at most
 * TEXT_MOST bytes; a number has TEXT_NUMBER as its length, and p is where its eight bytes are (int64_t); p is NULL, and the length none that
 * a text has, where there is no such key and nobody waits for events. Hits and misses are the caller's to count. */
enum { TEXT_MOST = 1024 };
#define TEXT_NUMBER (SIZE_MAX - 1)
unsigned store_texts_ahead(struct shard *s, unsigned db, struct ahead_row *r, unsigned first, unsigned n,
                           const struct slice *name, unsigned stride, struct slice *text);
/* The same for those of r->texts, which are alike: name is the first one's, and the next ones stand `stride` bytes behind each other. No key is
 * to be stored between these look-ups and their steps (store_ahead_known()): one that was not there then counts as missing. */
unsigned store_texts_alike(struct shard *s, unsigned db, struct ahead_row *r, unsigned first, unsigned n, struct slice name,
                           size_t stride, struct slice *text);
void store_count_looks(struct shard *s, unsigned hits, unsigned misses);

/* -- an entry
 * --------------------------------------------------------------------------------------------------- */

enum value_type entry_type(const struct entry *e);
struct slice entry_key(const struct entry *e);
uint64_t entry_expire_at(const struct entry *e); /* absolute milliseconds, 0 = never */
/* Redis' OBJECT ENCODING: "int", "embstr", "raw", ... */
const char *entry_encoding(const struct entry *e);
uint64_t entry_idle_seconds(const struct shard *s, const struct entry *e);
unsigned entry_frequency(const struct shard *s, const struct entry *e); /* LFU counter, decayed */
/* Sets the access clock of RESTORE and of RDB files: idle seconds under an LRU policy, a frequency (0-255)
 * under an LFU one; -1 = not known, and what the policy has no use for, leave it as it is. */
void entry_set_access(struct shard *s, struct entry *e, int64_t idle, int64_t frequency);
/* Bytes this entry takes, key, header, expiry and value included (MEMORY USAGE). */
uint64_t entry_memory(const struct entry *e);

/* Key and value bytes as the user counts them (an integer counts 8). */
uint64_t entry_user_bytes(const struct entry *e);

/* A string's bytes. Small values: a slice into the entry. Integers may be kept in binary: the text is then
 * written to scratch (at least 24 bytes). */
struct slice entry_string(const struct entry *e, char *scratch);
/* True and the value if the string is kept as, or reads as, a 64-bit integer (Redis' rules). */
bool entry_int(const struct entry *e, int64_t *out);

/* -- change
 * ----------------------------------------------------------------------------------------------------- */

enum { SET_KEEPTTL = 1, SET_RAW = 2 /* do not try the integer or embstr encoding (as after APPEND) */ };

/* Creates or replaces a key with a string; value may be a slice from the same shard. expire_at: absolute ms,
 * 0 = none (ignored with SET_KEEPTTL). The old value, whatever its type, is freed. STORE_OOM changes nothing.
 */
enum store_result store_set_string(struct shard *s, unsigned db, const struct key *k, struct slice value,
                                   uint64_t expire_at, unsigned flags);
/* The same with a hint, or NULL. */
enum store_result store_set_string_ahead(struct shard *s, unsigned db, const struct key *k, struct slice value,
                                         uint64_t expire_at, unsigned flags, const struct ahead *a);

/* SET's usual case, as the i-th look-up of a row, with the steps of those behind it. False, and nothing stored: somebody
 * waits for keys or watches some, or there is no room; go the general way with this look-up's hint. Where storing it has
 * failed the hint says so, and the general way answers STORE_OOM at once: whoever tried again would evict again. */
bool store_put_ahead(struct shard *s, unsigned db, struct ahead_row *r, unsigned i, struct slice name,
                     struct slice value, uint64_t expire_at);

/* Stores an integer into a new or existing string (INCR and its kin), keeping the expiry. */
enum store_result store_set_int(struct shard *s, unsigned db, const struct key *k, int64_t value);

/* Bytes that must be written or copied for a string (NULL: none) to become `len` bytes long. */
uint64_t store_string_growth(const struct entry *e, size_t len);
/* Makes the string of k `len` bytes long (new bytes are zero; never shorter than it is), creating the key
 * when absent, and hands out its bytes for writing in *bytes: APPEND, SETRANGE, SETBIT, BITFIELD. Growth is
 * amortised. Encoding "raw". If what is written makes a difference, store_changed() is due. */
enum store_result store_string_grow(struct shard *s, unsigned db, const struct key *k, size_t len,
                                    uint8_t **bytes);

/* Those who watch the key (WATCH) are to know that it has changed. Everything else that changes a value or
 * its expiry sees to that itself. */
void store_changed(struct shard *s, unsigned db, const struct key *k);

/* Removes a key. False if there was none (an expired one counts as none). */
bool store_delete(struct shard *s, unsigned db, const struct key *k);

/* Sets (absolute ms > 0) or clears (0) the expiry of a live entry. The entry may move. */
enum store_result store_set_expire(struct shard *s, unsigned db, const struct key *k, uint64_t expire_at);

/* Moves or copies a live entry with its expiry, access clock and any type to another key, database or shard,
 * replacing what was there. The source must exist. */
enum store_result store_rename(struct shard *from, unsigned from_db, const struct key *a, struct shard *to,
                               unsigned to_db, const struct key *b);
enum store_result store_copy(struct shard *from, unsigned from_db, const struct key *a, struct shard *to,
                             unsigned to_db, const struct key *b);

/* Empties one database of this shard (db < databases) or all of them (db = UINT_MAX). Returns at once; memory
 * comes back in shard_upkeep. Number of keys removed. */
uint64_t store_flush(struct shard *s, unsigned db);
/* May it be emptied although commands in slices have keys? Not while one changes something, nor without
 * memory to keep what they read until they have ended. */
bool store_may_flush(struct shard *s);
void store_swap(struct shard *s, unsigned a, unsigned b);

/* -- big keys
 * -------------------------------------------------------------------------------------------------- */

/* Calls visit for the biggest keys of a type, by what entry_user_bytes() says, in no order; at most some dozens. Those
 * below 1 KiB are not known, nor those with names beyond 64 KiB. A key that was there when bigger ones stood in its way,
 * and has not grown since, may be missing. visit must not change the shard. Says how many. */
typedef void big_visit(const struct entry *e, const struct key *k, unsigned db, void *arg);
unsigned store_each_big(struct shard *s, enum value_type type, big_visit *visit, void *arg);
/* Bytes of the biggest one as it was last seen, a second or two ago; 0 = none. */
uint64_t store_biggest(const struct shard *s);
/* Elements of a collection, bytes of a string. */
uint64_t entry_elements(const struct shard *s, const struct entry *e);

/* -- walking
 * ---------------------------------------------------------------------------------------------------- */

/* Redis' SCAN guarantees: visits entries from cursor (0 to start) in steps; every key present during the
 * whole walk is visited at least once, growth of the index included. Calls visit for the entries of at least
 * one bucket and stops at the end of the bucket in which `want` entries were passed. Returns the next cursor,
 * 0 at the end. Expired entries are not shown. visit must not change the shard. Cursors use the low 48 bits
 * only. */
uint64_t store_scan(struct shard *s, unsigned db, uint64_t cursor, unsigned want,
                    void (*visit)(struct entry *e, void *arg), void *arg);

/* A live entry chosen at random, or NULL if the database is empty. */
struct entry *store_random(struct shard *s, unsigned db, uint64_t random);

/* A key's value as an operation on a collection sees it (store/hash.h and its kin). */
struct value_at {
    struct shard *s;
    unsigned db;
    const struct key *key; /* with its hash */
    struct entry *e;       /* NULL: there is no such key. Follows when the entry moves */
    bool persist;          /* a value put in place of the present one has no expiry */
};

/* Room for what n texts need at most as parts of the value's elements, the change of its form included: a
 * command with several elements asks for it before it stores the first, and then has done all or nothing.
 * STORE_OOM: there is none, even by eviction. (Memory within the limit that lies in pieces too small may
 * still be missing later.) */
enum store_result store_room_for(struct value_at *v, const struct slice *texts, size_t n);

/* Keeps an entry and its value where they are, whatever the store does, until it is released. */
void store_hold(struct entry *e);
void store_release(struct entry *e);

/* What a shard is to a command in slices while it runs: its time stands still, and turns are taken. Swapped
 * in before a slice and out behind it; begins as {turn, time of its start}. */
struct shard_turn {
    struct turn *turn;
    uint64_t now_ms;
    const void *guard[4];
    unsigned guards;
};
void shard_swap_turn(struct shard *s, struct shard_turn *t);
/* What the store does next happens at this time (absolute ms), but for the access clock. Returns the time that was. */
uint64_t shard_swap_time(struct shard *s, uint64_t now_ms);
/* What the store does next takes this turn; NULL: none. */
void shard_set_turn(struct shard *s, struct turn *turn);

/* -- accounts
 * --------------------------------------------------------------------------------------------------- */

struct store_account {
    uint64_t used; /* bytes held by live data and its index: what maxmemory limits */
    uint64_t peak;
    uint64_t data;      /* keys and values alone, as the user counts them */
    uint64_t overhead;  /* used - data */
    uint64_t reserved;  /* bytes taken from the arena (slab pages, index), used or not */
    uint64_t limit;     /* this shard's share of maxmemory or of the arena */
    uint64_t keys;      /* over all databases */
    uint64_t slab_free; /* free bytes inside slab pages */
    uint64_t changes;   /* of keys, so far */
    uint64_t lazy;      /* values and flushed keys that are still to be freed in slices */
};
void shard_account(const struct shard *s, struct store_account *out);

/* Live keys, keys with expiry, and their mean remaining life in ms (0 if none) of one database of one shard.
 */
void shard_db_size(const struct shard *s, unsigned db, uint64_t *keys, uint64_t *expires,
                   uint64_t *avg_ttl_ms);
/* Live keys of one database in all shards, and of them (unless NULL) those with expiry. All shards may be read. */
uint64_t keyspace_db_size(const struct keyspace *ks, unsigned db, uint64_t *expires);
/* Hashes with fields that expire. */
uint64_t shard_db_timed(const struct shard *s, unsigned db);

/* The shape of what DEBUG shows: an index of the keyspace or of a collection, the chunks of a list. Walks
 * over all of it. */
struct index_shape {
    uint64_t elements, segments, buckets, bytes; /* a bucket has 8 slots; bytes of segments and directory */
};
void shard_index_shape(const struct shard *s, unsigned db, struct index_shape *out);
/* False if the value has no index: it is compact or of another type. */
bool entry_index_shape(const struct shard *s, const struct entry *e, struct index_shape *out);

/* Evicts by policy until `bytes` more would fit below the limit. STORE_OOM if nothing can go. Called by the
 * dispatcher before a command that may use more memory (flag CMD_DENYOOM), as Redis does; allocation inside
 * the store enforces the hard limit in any case. */
enum store_result shard_make_room(struct shard *s, uint64_t bytes);
