/* crash_test.c: a store whose process was killed is taken over if nobody was midway (store/midway.h), and then it is what all
 * batches up to some have made, none in part; otherwise it is not. A child changes a store in a file, the parent kills it at
 * random times, takes over what it has left, and lets the next child go on. CRASHES=N: so many kills. */
#include "fixture.h"
#include "base/crc64.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/rdb.h"
#include "store/set.h"
#include "store/zset.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { NAMES = 400, ARENA = 48 << 20, BATCH = 8 };

struct shared { /* with the child */
    uint64_t batches; /* that are over */
    uint64_t begun;
};

static struct value_at at(struct fixture *f, const struct key *k)
{
    return (struct value_at){.s = f->s, .key = k, .e = store_find(f->s, 0, k, LOOK_WRITE)};
}

static bool is_type(const struct value_at *v, enum value_type type)
{
    return !v->e || entry_type(v->e) == type;
}

static void change_string(struct fixture *f, const struct key *k, uint64_t r)
{
    static const uint8_t bytes[60000];
    uint8_t *p;
    size_t len = r % 50 == 0 ? r % sizeof bytes : r % 5 == 0 ? r % 2000 : r % 60;
    if (r >> 40 & 1)
        store_set_string(f->s, 0, k, (struct slice){bytes, len}, r >> 41 & 3 ? 0 : shard_time(f->s) + 1 + (r >> 43) % 5000, 0);
    else if (store_string_grow(f->s, 0, k, len + 1, &p) == STORE_OK)
        p[len] = (uint8_t)r;
}

static void change_collection(struct fixture *f, const struct key *k, enum value_type type, uint64_t r)
{
    char word[48];
    double score = (double)(r % 1000);
    bool added;
    struct value_at v = at(f, k);
    if (!is_type(&v, type))
        return;
    snprintf(word, sizeof word, "%llu", (unsigned long long)((r >> 16) % 700));
    struct slice w = slice_str(word);
    if (type == TYPE_HASH && (r & 3 || !v.e))
        hash_set(&v, w, slice_str("some value"), &added);
    else if (type == TYPE_HASH)
        hash_delete(&v, w);
    else if (type == TYPE_SET && (r & 3 || !v.e))
        set_add(&v, w, &added);
    else if (type == TYPE_SET)
        set_remove(&v, w);
    else if (type == TYPE_ZSET && (r & 3 || !v.e))
        zset_add(&v, w, &score, 0);
    else if (type == TYPE_ZSET)
        zset_remove(&v, w);
    else if (type == TYPE_LIST)
        list_push(&v, r & 1 ? LIST_HEAD : LIST_TAIL, &w, 1);
}

/* What a worker may do between begin and end. */
static void one_change(struct fixture *f, uint64_t *random)
{
    static const enum value_type types[] = {TYPE_HASH, TYPE_SET, TYPE_ZSET, TYPE_LIST};
    char name[32];
    uint64_t r = next_random(random), n = r % NAMES;
    snprintf(name, sizeof name, "key:%llu", (unsigned long long)n);
    struct key k = key_of(f, name);
    r = next_random(random);
    if (r % 20000 == 0)
        store_flush(f->s, 0);
    else if (r % 200 == 1)
        store_delete(f->s, 0, &k);
    else if (r % 10 == 2)
        shard_set_time(f->s, shard_time(f->s) + 1 + r % 7);
    else if (r % 10 == 3)
        shard_upkeep(f->s, 16);
    else if (n % 5 == 4)
        change_string(f, &k, next_random(random));
    else
        for (unsigned i = 0; i < 20; i++)
            change_collection(f, &k, types[n % 5], next_random(random));
}

/* The b-th batch, the same whoever runs it. */
static void batch(struct fixture *f, uint64_t b)
{
    uint64_t random = b * 0x2545f4914f6cdd1d;
    shard_set_time(f->s, T0 * 1000ull + b * 100); /* never back */
    for (unsigned i = 0; i < BATCH; i++)
        one_change(f, &random);
}

static void add_entry(struct entry *e, void *arg)
{
    uint64_t **sum = arg;
    struct rdb_writer w = {0};
    struct shard *s = (struct shard *)(void *)sum[1];
    struct slice key = entry_key(e);
    uint64_t expire = entry_expire_at(e);
    if (entry_expired(s, e))
        return;
    rdb_put_value(&w, s, e);
    /* An order of the elements of a table is that of its index, which depends on what was there before: a sum of bytes. */
    uint64_t bytes = 0;
    for (size_t i = 0; i < w.len; i++)
        bytes += w.p[i];
    sum[0] = (uint64_t *)((uintptr_t)sum[0] + crc64(crc64(crc64(0, key.p, key.len), &expire, sizeof expire), &bytes, sizeof bytes));
    rdb_writer_free(&w);
}

static uint64_t digest(struct fixture *f)
{
    uint64_t *sum[2] = {NULL, (uint64_t *)(void *)f->s}, cursor = 0;
    do
        cursor = store_scan(f->s, 0, cursor, 100, add_entry, sum);
    while (cursor);
    return (uint64_t)(uintptr_t)sum[0];
}

static void reopen(struct fixture *f, struct keyspace_past *past)
{
    char error[256] = "";
    f->ks = keyspace_open(&f->conf, NULL, 99, f->list, &f->files, true, past, error, sizeof error);
    if (!f->ks)
        abort();
    f->s = f->ks->shard[0];
}

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Never comes back. */
static _Noreturn void child(struct fixture *f, struct shared *shared)
{
    struct keyspace_past past;
    reopen(f, &past);
    if (!past.taken)
        shared->batches = 0;
    shared->begun++;
    keyspace_serves(f->ks, true);
    for (;;) {
        uint64_t begin = nanoseconds();
        midway_begin(shard_midway(f->s));
        batch(f, shared->batches);
        midway_end(shard_midway(f->s), 0);
        __atomic_store_n(&shared->batches, shared->batches + 1, __ATOMIC_SEQ_CST);
        for (uint64_t end = nanoseconds(); nanoseconds() - end < end - begin;) /* the other work of a round takes as long */
            ;
    }
}

static void kill_at_random(struct fixture *f, struct shared *shared, uint64_t *random)
{
    uint64_t begun = shared->begun;
    pid_t pid = fork();
    if (pid == 0)
        child(f, shared);
    while (__atomic_load_n(&shared->begun, __ATOMIC_SEQ_CST) == begun)
        usleep(100);
    usleep((useconds_t)(next_random(random) % 3000));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

struct model { /* a store in memory that does the same */
    struct fixture f;
    bool open;
    uint64_t batches;
};

static void follow(struct model *m, uint64_t batches)
{
    if (m->open && batches < m->batches) {
        fixture_close(&m->f);
        m->open = false;
        m->batches = 0;
    }
    if (!m->open) { /* elsewhere: its place is for the one that is taken over */
        void *place = mmap((void *)ARENA_ADDRESS, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        fixture_open(&m->f, ARENA, 0, POLICY_NOEVICTION, 1);
        munmap(place, ARENA);
        m->open = true;
    }
    for (; m->batches < batches; m->batches++)
        batch(&m->f, m->batches);
}

/* True if it was taken over. What was taken over is left to the next child as a crash would. */
static bool look(struct fixture *f, struct shared *shared, struct model *m)
{
    struct keyspace_past past;
    reopen(f, &past);
    if (past.taken) {
        CU_ASSERT_TRUE(past.crashed);
        uint64_t found = digest(f);
        keyspace_serves(f->ks, true);
        keyspace_free(f->ks);
        follow(m, shared->batches);
        if (found != digest(&m->f)) /* it was killed behind a batch and before it was counted */
            follow(m, ++shared->batches);
        CU_ASSERT_EQUAL_FATAL(found, digest(&m->f));
        return true;
    }
    if (strcmp(past.why, "a worker was killed in the middle of a change") != 0) {
        fprintf(stderr, "# %s\n", past.why);
        CU_FAIL_FATAL("not taken over for another reason");
    }
    keyspace_free(f->ks);
    return false;
}

static void test_what_is_taken_over_is_what_whole_batches_have_made(void)
{
    struct fixture f;
    struct model m = {.open = false};
    unsigned crashes = getenv("CRASHES") ? (unsigned)atoi(getenv("CRASHES")) : 60, taken = 0;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t random = 7, most = 0;
    fixture_open(&f, ARENA, 0, POLICY_NOEVICTION, 1);
    fixture_keep(&f);
    keyspace_free(f.ks);
    follow(&m, 0);
    for (unsigned i = 0; i < crashes; i++) {
        kill_at_random(&f, shared, &random);
        most = shared->batches > most ? shared->batches : most;
        bool is = look(&f, shared, &m);
        taken += is;
        shared->batches = is ? shared->batches : 0;
    }
    printf("# %u kills: %u times taken over, %u times not; at most %llu batches in a row\n", crashes, taken, crashes - taken,
           (unsigned long long)most);
    CU_ASSERT_TRUE(taken > 0);
    fixture_close(&m.f);
    close(f.files.small);
    munmap(shared, sizeof *shared);
}

/* -- one thing at a time */

static void crashed(struct fixture *f)
{
    char name[32];
    fixture_open(f, 32 << 20, 0, POLICY_NOEVICTION, 2);
    fixture_keep(f);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "key:%u", i);
        set(f, 0, name, "a value", 0);
    }
    keyspace_serves(f->ks, true);
}

/* As if it had ended here. */
static void expect(struct fixture *f, const char *why)
{
    struct keyspace_past past;
    keyspace_free(f->ks);
    reopen(f, &past);
    CU_ASSERT_EQUAL(past.taken, !*why);
    CU_ASSERT_STRING_EQUAL(past.why, why);
    CU_ASSERT_EQUAL(keys_in(f->s, 0), *why ? 0 : 1000);
    fixture_close(f);
}

static void test_who_does_not_serve_is_not_believed(void)
{
    struct fixture f;
    crashed(&f);
    expect(&f, "");
    crashed(&f);
    keyspace_serves(f.ks, false);
    expect(&f, "it was not left in order");
}

static void test_each_shard_counts(void)
{
    struct fixture f;
    crashed(&f);
    midway_begin(shard_midway(f.ks->shard[1]));
    expect(&f, "a worker was killed in the middle of a change");
    crashed(&f);
    midway_begin(shard_midway(f.ks->shard[1]));
    midway_end(shard_midway(f.ks->shard[1]), 1); /* something is still under way */
    expect(&f, "a worker was killed in the middle of a change");
}

static struct bucket *some_bucket(struct fixture *f)
{
    uint64_t size;
    struct bucket *b = index_segment(f->s, &f->s->db[0].index, 0, &size);
    while (!b->low[0])
        b++;
    return b;
}

static void test_damage_is_found(void)
{
    struct fixture f;
    crashed(&f);
    f.s->db[0].index.keys++;
    expect(&f, "an index is damaged");
    crashed(&f);
    some_bucket(&f)->low[0] += 1;
    expect(&f, "an index is damaged");
    crashed(&f);
    some_bucket(&f)->low[0] = 0;
    expect(&f, "an index is damaged");
    crashed(&f);
    f.s->db[0].index.chunk[0] += 1;
    expect(&f, "an index is damaged");
    crashed(&f);
    f.s->heap.used += 8;
    expect(&f, "the accounts of memory do not agree with what is taken");
    crashed(&f);
    struct entry *e = get(&f, 0, "key:1");
    uint64_t number = (uint64_t)((uint8_t *)e - f.ks->arena->base) >> EXTENT_SHIFT;
    f.ks->arena->extent[number].used++;
    expect(&f, "a slab does not agree with its table");
    crashed(&f);
    for (unsigned c = 0; c < SLAB_CLASSES; c++)
        f.s->heap.partial[SLAB_ENTRY][c].head = 0;
    expect(&f, "a list of slabs is damaged");
}

static void test_what_was_flushed_into_memory_of_the_process_is_not_believed(void)
{
    struct fixture f;
    crashed(&f);
    midway_begin(shard_midway(f.s));
    for (unsigned i = 0; i < 40; i++) { /* more often than there are notes in the arena */
        for (unsigned n = 0; n < 500; n++) {
            char name[32];
            snprintf(name, sizeof name, "flushed:%u", n);
            struct key k = key_of(&f, name);
            CU_ASSERT_EQUAL_FATAL(store_set_string(f.s, 3, &k, slice_str("1"), 0, 0), STORE_OK);
        }
        store_flush(f.s, 3);
    }
    midway_end(shard_midway(f.s), 0);
    expect(&f, "much had been flushed and was not freed yet");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_what_is_taken_over_is_what_whole_batches_have_made),
                                             UNIT(test_who_does_not_serve_is_not_believed),
                                             UNIT(test_each_shard_counts),
                                             UNIT(test_damage_is_found),
                                             UNIT(test_what_was_flushed_into_memory_of_the_process_is_not_believed),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/crash", tests);
}
