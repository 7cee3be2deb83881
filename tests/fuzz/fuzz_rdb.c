/* fuzz_rdb.c: type and body of a value of any bytes, as RESTORE and RDB files bring them. What is refused
 * changes nothing; what is taken is a value whose own RDB form reads back as the same value. The first byte:
 * options. */
#include "fuzz.h"
#include "store/rdb.h"

static struct keyspace *ks;
static struct counters counters, *counter_list[] = {&counters};

static void start(void)
{
    static const struct config conf = {.maxmemory = 4 << 20,
                                       .maxmemory_policy = POLICY_NOEVICTION,
                                       .maxmemory_samples = 5,
                                       .databases = 1,
                                       .workers = 1,
                                       .arena_size = 16 << 20,
                                       .limits = {.hash_entries = 8,
                                                  .hash_value = 64,
                                                  .set_ints = 8,
                                                  .set_entries = 8,
                                                  .set_value = 64,
                                                  .zset_entries = 8,
                                                  .zset_value = 64,
                                                  .list_size = 4,
                                                  .stream_bytes = 256,
                                                  .stream_entries = 4}};
    char error[128];
    ks = keyspace_new(&conf, NULL, 7, counter_list, error, sizeof error);
    MUST(ks, "no keyspace");
    shard_set_time(ks->shard[0], 1700000000000);
}

static struct entry *find(const struct key *k)
{
    return store_find(ks->shard[0], 0, k, LOOK_NOTOUCH | LOOK_NOSTAT);
}

static enum rdb_result read_into(const struct key *k, const uint8_t *p, size_t n)
{
    struct rdb_reader r = {.p = p, .left = n};
    struct rdb_target to = {.shard = ks->shard[0], .key = k};
    enum rdb_result result = rdb_take_value(&r, &to);
    MUST(r.p + r.left == p + n, "the reader lost its place");
    return result;
}

static void reads_back(const struct key *k, bool compress)
{
    struct rdb_writer first = {.compress = compress}, again = {.compress = compress};
    struct key copy = keyspace_key(ks, SLICE_LIT("copy"));
    rdb_put_value(&first, ks->shard[0], find(k));
    MUST(!first.failed, "what was read cannot be written");
    if (read_into(&copy, first.p, first.len) == RDB_OK) { /* it may be too large to be there twice */
        rdb_put_value(&again, ks->shard[0], find(&copy));
        MUST(!again.failed, "the copy cannot be written");
        bool any_order = first.p[0] == RDB_HASH || first.p[0] == RDB_HASH_METADATA || first.p[0] == RDB_SET; /* of a table */
        /* A small hash in the form with times, all of which are over: the copy has the form without. */
        bool settled = first.p[0] == RDB_HASH && again.p[0] == RDB_HASH_LISTPACK;
        MUST(settled || first.len == again.len, "the copy is longer or shorter");
        MUST(settled || any_order || memcmp(first.p, again.p, first.len) == 0, "the copy is another value");
        MUST(entry_type(find(k)) == entry_type(find(&copy)), "the copy has another type");
    }
    rdb_writer_free(&first);
    rdb_writer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!ks)
        start();
    if (size < 2)
        return 0;
    struct key k = keyspace_key(ks, SLICE_LIT("key"));
    store_set_string(ks->shard[0], 0, &k, SLICE_LIT("old"), 0, 0);
    if (read_into(&k, data + 1, size - 1) == RDB_OK) {
        bool over = data[1] == RDB_HASH_METADATA || data[1] == RDB_HASH_LISTPACK_EX ||
                    data[1] == RDB_HASH_VALKEY; /* all its fields may be */
        MUST(over || find(&k), "taken, but not there");
        if (find(&k))
            reads_back(&k, data[0] & 1);
    } else {
        char scratch[24];
        struct entry *e = find(&k);
        MUST(e && entry_type(e) == TYPE_STRING && slice_eq(entry_string(e, scratch), SLICE_LIT("old")),
             "refused, but changed");
    }
    store_flush(ks->shard[0], 0);
    while (shard_upkeep(ks->shard[0], 1000))
        ;
    return 0;
}
