/* warm_test.c: a store that one process leaves and another one takes over is the same store; what was not left in order,
 * is damaged, or is for another configuration is not taken. */
#include "fixture.h"
#include "store/draft.h"
#include "store/hash.h"
#include "store/set.h"

static void fill(struct fixture *f, unsigned keys)
{
    char name[32], value[64];
    for (unsigned i = 0; i < keys; i++) {
        snprintf(name, sizeof name, "key:%u", i);
        snprintf(value, sizeof value, "value %u", i);
        CU_ASSERT_EQUAL_FATAL(set(f, 0, name, value, i % 3 ? 0 : shard_time(f->s) + 1000 + i), STORE_OK);
    }
}

static void add_fields(struct fixture *f, const char *name, unsigned n)
{
    char field[32];
    bool added;
    struct key k = key_of(f, name);
    struct value_at v = {.s = f->s, .key = &k, .e = store_find(f->s, 0, &k, LOOK_WRITE)};
    for (unsigned i = 0; i < n; i++) {
        snprintf(field, sizeof field, "field %u", i);
        CU_ASSERT_EQUAL_FATAL(hash_set(&v, slice_str(field), slice_str("v"), &added), STORE_OK);
    }
}

static void kept(struct fixture *f, enum maxmemory_policy policy)
{
    fixture_open(f, 32 << 20, 0, policy, 1);
    fixture_keep(f);
}

static void test_keys_times_and_accounts_are_the_same(void)
{
    struct fixture f;
    struct store_account before, after;
    kept(&f, POLICY_NOEVICTION);
    fill(&f, 3000);
    add_fields(&f, "hash", 1000);
    set(&f, 5, "five", "5", 0);
    shard_account(f.s, &before);
    fixture_reopen(&f);
    shard_account(f.s, &after);
    CU_ASSERT_EQUAL(before.used, after.used);
    CU_ASSERT_EQUAL(before.reserved, after.reserved);
    CU_ASSERT_EQUAL(before.keys, after.keys);
    CU_ASSERT_EQUAL(before.changes, after.changes);
    CU_ASSERT_TRUE(holds(&f, 0, "key:1", "value 1"));
    CU_ASSERT_TRUE(holds(&f, 5, "five", "5"));
    struct key k = key_of(&f, "hash");
    CU_ASSERT_EQUAL(hash_count(f.s, store_find(f.s, 0, &k, LOOK_READ)), 1000);
    CU_ASSERT_EQUAL(entry_expire_at(get(&f, 0, "key:3")), T0 * 1000ull + 1003);
    /* Time has gone by when it is taken over: upkeep sees to that. */
    shard_set_time(f.s, T0 * 1000ull + 3600000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 2001);
    CU_ASSERT_EQUAL(keyspace_generation(f.ks), 2);
    store_flush(f.s, UINT_MAX);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_what_was_used_last_is_known(void)
{
    struct fixture f;
    for (unsigned lfu = 0; lfu < 2; lfu++) {
        kept(&f, lfu ? POLICY_ALLKEYS_LFU : POLICY_ALLKEYS_LRU);
        fill(&f, 10);
        shard_set_time(f.s, T0 * 1000ull + 60000);
        for (unsigned i = 0; i < 500; i++)
            get(&f, 0, "key:1");
        struct key k = key_of(&f, "key:2"), used_key = key_of(&f, "key:1");
        const struct entry *e = store_peek(f.s, 0, &k), *used_entry = store_peek(f.s, 0, &used_key);
        uint64_t idle = entry_idle_seconds(f.s, e);
        unsigned often = entry_frequency(f.s, used_entry);
        fixture_reopen(&f);
        e = store_peek(f.s, 0, &k);
        used_entry = store_peek(f.s, 0, &used_key);
        CU_ASSERT_EQUAL(entry_idle_seconds(f.s, e), idle);
        if (lfu)
            CU_ASSERT_EQUAL(entry_frequency(f.s, used_entry), often);
        fixture_close(&f);
    }
}

/* More databases are flushed than there are notes in the arena. */
static void test_what_was_flushed_is_freed_by_the_next_one(void)
{
    struct fixture f;
    kept(&f, POLICY_NOEVICTION);
    for (unsigned i = 0; i < 40; i++) {
        fill(&f, 500);
        store_flush(f.s, 0);
    }
    set(&f, 0, "stays", "1", 0);
    fixture_reopen(&f);
    fixture_reopen(&f);
    upkeep_all(f.s);
    CU_ASSERT_TRUE(holds(&f, 0, "stays", "1"));
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 1);
    store_flush(f.s, 0);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_a_draft_is_dropped(void)
{
    struct fixture f;
    struct draft d;
    bool added;
    kept(&f, POLICY_NOEVICTION);
    draft_begin(&d, f.s);
    for (unsigned i = 0; i < 300; i++) {
        char member[32];
        snprintf(member, sizeof member, "member %u", i);
        CU_ASSERT_EQUAL_FATAL(set_add(&d.v, slice_str(member), &added), STORE_OK);
    }
    fixture_reopen(&f);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void count_big(const struct entry *e, const struct key *k, unsigned db, void *arg)
{
    (void)e, (void)db;
    *(unsigned *)arg += slice_eq(k->name, SLICE_LIT("hash"));
}

static void test_big_keys_have_their_names(void)
{
    struct fixture f;
    unsigned found = 0;
    kept(&f, POLICY_NOEVICTION);
    add_fields(&f, "hash", 1000);
    add_fields(&f, "gone", 1000);
    fixture_reopen(&f);
    struct key k = key_of(&f, "gone");
    CU_ASSERT_TRUE(store_delete(f.s, 0, &k));
    fixture_reopen(&f);
    CU_ASSERT_EQUAL(store_each_big(f.s, TYPE_HASH, count_big, &found), 1);
    CU_ASSERT_EQUAL(found, 1);
    fixture_close(&f);
}

/* -- what is not taken */

static bool is_taken(struct fixture *f, const char *why)
{
    struct keyspace_past past;
    char error[256] = "";
    struct keyspace *ks = keyspace_open(&f->conf, NULL, 99, f->list, &f->files, true, &past, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ks);
    bool taken = past.taken;
    if (why && !strstr(past.why, why))
        fprintf(stderr, "# %s, not: %s\n", past.why, why);
    CU_ASSERT_TRUE(!why || strstr(past.why, why));
    if (!taken) { /* made anew, empty, and good */
        CU_ASSERT_EQUAL(keys_in(ks->shard[0], 0), 0);
        CU_ASSERT_EQUAL(keyspace_generation(ks), 1);
    }
    keyspace_free(ks);
    return taken;
}

static void left(struct fixture *f)
{
    fixture_open(f, 32 << 20, 0, POLICY_NOEVICTION, 2);
    fixture_keep(f);
    fill(f, 1000);
    keyspace_leave(f->ks);
}

static void over(struct fixture *f)
{
    close(f->files.small);
}

static void test_another_configuration_is_not_taken(void)
{
    struct fixture f;
    left(&f);
    f.conf.workers = 1;
    CU_ASSERT_FALSE(is_taken(&f, "another number of workers"));
    over(&f);
    left(&f);
    f.conf.databases = 3;
    CU_ASSERT_FALSE(is_taken(&f, "number of databases"));
    over(&f);
    left(&f);
    f.conf.arena_size = 64 << 20;
    CU_ASSERT_FALSE(is_taken(&f, "configuration says 64"));
    over(&f);
    left(&f);
    CU_ASSERT_TRUE(is_taken(&f, NULL));
    CU_ASSERT_FALSE(is_taken(&f, "not left in order")); /* keyspace_free() is none */
    over(&f);
}

/* The file changed by somebody: the byte at `at`. */
static void change_byte(struct fixture *f, off_t at)
{
    uint8_t b;
    CU_ASSERT_EQUAL(pread(f->files.small, &b, 1, at), 1);
    b ^= 0x41;
    CU_ASSERT_EQUAL(pwrite(f->files.small, &b, 1, at), 1);
}

static void test_damage_is_seen(void)
{
    struct fixture f;
    uint64_t random = 3;
    struct arena_header h;
    left(&f);
    CU_ASSERT_EQUAL_FATAL(pread(f.files.small, &h, sizeof h, 0), sizeof h);
    over(&f);
    for (unsigned i = 0; i < 60; i++) {
        left(&f);
        off_t shard = (off_t)h.shard[next_random(&random) % 2] << EXTENT_SHIFT;
        off_t table = 4096 + 4096 + (off_t)(next_random(&random) % ((32 << 20 >> EXTENT_SHIFT) * sizeof(struct extent)));
        off_t at = i % 3 == 0   ? (off_t)(next_random(&random) % sizeof h)
                   : i % 3 == 1 ? table
                                : shard + (off_t)(next_random(&random) % sizeof(struct shard));
        change_byte(&f, at);
        CU_ASSERT_FALSE(is_taken(&f, ""));
        over(&f);
    }
    left(&f);
    change_byte(&f, offsetof(struct arena_header, layout));
    CU_ASSERT_FALSE(is_taken(&f, "lays out memory in another way"));
    over(&f);
    for (off_t size = 1; size < 32 << 20; size *= 7) { /* cut off */
        left(&f);
        CU_ASSERT_EQUAL(ftruncate(f.files.small, size), 0);
        CU_ASSERT_FALSE(is_taken(&f, "the configuration says"));
        over(&f);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_keys_times_and_accounts_are_the_same),
                                             UNIT(test_what_was_used_last_is_known),
                                             UNIT(test_what_was_flushed_is_freed_by_the_next_one),
                                             UNIT(test_a_draft_is_dropped),
                                             UNIT(test_big_keys_have_their_names),
                                             UNIT(test_another_configuration_is_not_taken),
                                             UNIT(test_damage_is_seen),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/warm", tests);
}
