/* rdb_values_test.c: collections in RDB's form, in all forms of the store: what is written reads back as the
 * same value; cut off, damaged anywhere, or short of memory at any allocation, nothing changes and nothing is
 * lost; what must be refused. Linked with --wrap for malloc and realloc. */
#include "fixture.h"
#include "store/draft.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/rdb.h"
#include "store/set.h"
#include "store/stream.h"
#include "store/zset.h"

#include <math.h>

static long fail_at = -1; /* allocations of the process until the one that fails; -1: none */

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return fail_at >= 0 && fail_at-- == 0 ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fail_at >= 0 && fail_at-- == 0 ? NULL : __real_realloc(p, n);
}

/* -- values -- */

enum { EXPIRY = 5000 };

static struct slice text_of(char *room, const char *form, unsigned i)
{
    return (struct slice){(const uint8_t *)room, (size_t)snprintf(room, 100, form, i, i)};
}

static void make_hash(struct value_at *v, unsigned n)
{
    char field[100], value[100];
    bool added;
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_EQUAL(hash_set(v, text_of(field, "field-%u", i),
                                 text_of(value, i % 2 ? "%u" : "text %u %u", i), &added),
                        STORE_OK);
}

/* Some of the fields have times. */
static void make_timed(struct value_at *v, unsigned n)
{
    char field[100];
    make_hash(v, n);
    for (unsigned i = 0; i < n; i += 3)
        CU_ASSERT_EQUAL(hash_expire(v, text_of(field, "field-%u", i), T0 * 1000ull + 1000000 - i * 100),
                        STORE_OK);
}

static void make_set(struct value_at *v, unsigned n)
{
    char member[100];
    bool added;
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_EQUAL(set_add(v, text_of(member, "member %u", i), &added), STORE_OK);
}

static void make_numbers(struct value_at *v, unsigned n)
{
    char member[100];
    bool added;
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_EQUAL(set_add(v, text_of(member, i % 3 ? "%u" : "-%u000", i + 1), &added), STORE_OK);
}

static void make_zset(struct value_at *v, unsigned n)
{
    static const double scores[] = {0, -1, 1.5, 1e300, 1.0 / 3, INFINITY, -INFINITY};
    char member[100];
    for (unsigned i = 0; i < n; i++) {
        double score = scores[i % 7] + i;
        CU_ASSERT_EQUAL(zset_add(v, text_of(member, "member %u", i), &score, 0), ZSET_ADDED);
    }
}

static void make_list(struct value_at *v, unsigned n)
{
    char element[100];
    for (unsigned i = 0; i < n; i++) {
        struct slice s = text_of(element, i % 5 ? "element %u of the list" : "%u000000000", i);
        CU_ASSERT_EQUAL(list_push(v, LIST_TAIL, &s, 1), STORE_OK);
    }
}

static void pend(struct value_at *v, struct stream_group *g, const char *name, struct stream_id id)
{
    struct stream_consumer *c = stream_consumer_find(g, slice_str(name));
    if (!c)
        c = stream_consumer_add(v, g, slice_str(name));
    CU_ASSERT_EQUAL(stream_pending_reserve(v, g, c, id, true), STORE_OK);
    struct stream_pending *p = stream_pending_find(g, id);
    stream_pending_take(v, c, p);
    p->delivered = T0 + (int64_t)id.seq;
    p->deliveries = 3;
    stream_pending_settle(v, g, c, id);
}

static void make_stream(struct value_at *v, unsigned n)
{
    char text[4][100];
    for (unsigned i = 0; i < n; i++) {
        struct slice pair[4] = {SLICE_LIT("name"), text_of(text[0], "value %u", i),
                                i % 10 ? SLICE_LIT("12") : text_of(text[1], "own %u", i),
                                text_of(text[2], "%u", i)};
        CU_ASSERT_EQUAL(stream_add(v, (struct stream_id){1000 + i / 3, i}, pair, 2), STORE_OK);
    }
    if (n > 4)
        stream_delete(v, (struct stream_id){1001, 4});
    struct stream_group *g = stream_group_add(v, SLICE_LIT("group"), (struct stream_id){1000, 2}, 3);
    stream_group_add(v, SLICE_LIT("other"), STREAM_ID_MIN, ENTRIES_READ_UNKNOWN);
    for (unsigned i = 0; i < n / 3; i++)
        pend(v, g, i % 2 ? "alice" : "bob", (struct stream_id){1000 + i / 3, i});
}

static const struct {
    const char *name;
    void (*make)(struct value_at *v, unsigned n);
    unsigned n;
    bool ordered; /* its RDB form has one order only */
} makers[] = {
    {"a small hash", make_hash, 10, true},
    {"a large hash", make_hash, 200, false},
    {"a small hash with times", make_timed, 10, false},
    {"a large hash with times", make_timed, 200, false},
    {"a small set", make_set, 10, true},
    {"a large set", make_set, 200, false},
    {"a few integers", make_numbers, 10, true},
    {"many integers", make_numbers, 600, false},
    {"a small zset", make_zset, 10, true},
    {"a large zset", make_zset, 200, true},
    {"a small list", make_list, 10, true},
    {"a large list", make_list, 1500, true},
    {"one entry", make_stream, 1, true},
    {"a stream", make_stream, 250, true},
};
enum { MAKERS = sizeof makers / sizeof *makers, LARGE_LIST = 11 };

/* Makes the value of a row under the key "from" and writes it. */
static struct rdb_writer written(struct fixture *f, unsigned row, bool compress)
{
    struct key k = key_of(f, "from");
    struct value_at v = {.s = f->s, .key = &k};
    struct rdb_writer w = {.compress = compress};
    makers[row].make(&v, makers[row].n);
    rdb_put_value(&w, f->s, get(f, 0, "from"));
    CU_ASSERT_FALSE_FATAL(w.failed);
    return w;
}

static enum rdb_result take(struct fixture *f, const char *key, struct slice bytes, struct rdb_reader *r)
{
    struct key k = key_of(f, key);
    *r = (struct rdb_reader){.p = bytes.p, .left = bytes.len};
    struct rdb_target to = {.shard = f->s, .key = &k, .expire_at = T0 * 1000ull + EXPIRY};
    return rdb_take_value(r, &to);
}

static void begin(struct fixture *f)
{
    fixture_open(f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    set(f, 0, "k", "old", 0);
}

/* -- tests -- */

static void test_what_is_written_reads_back(void)
{
    for (unsigned row = 0; row < MAKERS * 2; row++) {
        struct fixture f;
        struct rdb_reader r;
        begin(&f);
        struct rdb_writer w = written(&f, row / 2, row % 2), again = {.compress = row % 2};
        CU_ASSERT_EQUAL(take(&f, "k", (struct slice){w.p, w.len}, &r), RDB_OK);
        CU_ASSERT_EQUAL(r.left, 0);
        struct entry *e = get(&f, 0, "k"), *from = get(&f, 0, "from");
        CU_ASSERT_EQUAL(entry_expire_at(e), T0 * 1000ull + EXPIRY);
        CU_ASSERT_EQUAL(entry_type(e), entry_type(from));
        CU_ASSERT_STRING_EQUAL(entry_encoding(e), entry_encoding(from));
        rdb_put_value(&again, f.s, e);
        CU_ASSERT_EQUAL(again.len, w.len);
        CU_ASSERT_TRUE(!makers[row / 2].ordered || memcmp(again.p, w.p, w.len) == 0);
        rdb_writer_free(&w);
        rdb_writer_free(&again);
        fixture_close(&f);
    }
}

/* After anything but success the key has its old value, and no memory is gone. */
static void expect_nothing_changed(struct fixture *f, uint64_t before)
{
    upkeep_all(f->s);
    CU_ASSERT_TRUE(holds(f, 0, "k", "old"));
    CU_ASSERT_EQUAL(keys_in(f->s, f->s->databases), 0);
    CU_ASSERT_EQUAL(used(f->s), before);
}

static void test_no_cut_is_taken(void)
{
    for (unsigned row = 0; row < MAKERS; row++) {
        struct fixture f;
        struct rdb_reader r;
        begin(&f);
        struct rdb_writer w = written(&f, row, row % 2);
        uint64_t before = used(f.s);
        for (size_t cut = 0; cut < w.len; cut += 1 + cut / 32) {
            uint8_t *part = __real_malloc(cut ? cut : 1); /* of its own: a read beyond the end shows */
            memcpy(part, w.p, cut);
            CU_ASSERT_EQUAL(take(&f, "k", (struct slice){part, cut}, &r), RDB_BAD);
            expect_nothing_changed(&f, before);
            free(part);
        }
        rdb_writer_free(&w);
        fixture_close(&f);
    }
}

/* What a flipped bit makes of it is refused without a trace, or a value that can be written and read again.
 */
static void test_any_flipped_bit_is_refused_or_a_value(void)
{
    for (unsigned row = 0; row < MAKERS; row++) {
        struct fixture f;
        struct rdb_reader r;
        begin(&f);
        struct rdb_writer w = written(&f, row, false);
        uint64_t before = used(f.s);
        for (size_t bit = 0; bit < 8 * w.len; bit += 1 + w.len / 150) {
            struct rdb_writer again = {0};
            w.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            enum rdb_result result = take(&f, "k", (struct slice){w.p, w.len}, &r);
            w.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CU_ASSERT_NOT_EQUAL(result, RDB_OOM);
            if (result == RDB_OK) {
                rdb_put_value(&again, f.s, get(&f, 0, "k"));
                CU_ASSERT_EQUAL(take(&f, "k", (struct slice){again.p, again.len}, &r), RDB_OK);
                rdb_writer_free(&again);
                set(&f, 0, "k", "old", 0);
            }
            upkeep_all(f.s);
            CU_ASSERT_TRUE(holds(&f, 0, "k", "old"));
            CU_ASSERT_TRUE(used(f.s) <= before + 20000); /* the wheel of what has expiries */
        }
        rdb_writer_free(&w);
        fixture_close(&f);
    }
}

static void test_each_allocation_of_the_store_may_fail(void)
{
    for (unsigned row = 0; row < MAKERS; row++) {
        struct fixture f;
        struct rdb_reader r;
        enum rdb_result result = RDB_OOM;
        begin(&f);
        struct rdb_writer w = written(&f, row, false);
        set(&f, 0, "expires", "v", T0 * 1000ull + EXPIRY); /* the wheel is there */
        uint64_t before = used(f.s);
        for (unsigned nth = 1; result == RDB_OOM && nth < 100000; nth += 1 + nth / 16) {
            f.s->heap.fail_in = nth;
            result = take(&f, "k", (struct slice){w.p, w.len}, &r);
            f.s->heap.fail_in = 0;
            if (result == RDB_OOM)
                expect_nothing_changed(&f, before);
        }
        CU_ASSERT_EQUAL(result, RDB_OK);
        rdb_writer_free(&w);
        fixture_close(&f);
    }
}

static void test_each_allocation_of_the_process_may_fail(void)
{
    for (unsigned row = 0; row < MAKERS; row++) {
        struct fixture f;
        struct rdb_reader r;
        enum rdb_result result = RDB_OOM;
        begin(&f);
        struct rdb_writer w = written(&f, row, true);
        uint64_t before = used(f.s);
        for (long nth = 0; result == RDB_OOM && nth < 1000; nth++) {
            fail_at = nth;
            result = take(&f, "k", (struct slice){w.p, w.len}, &r);
            fail_at = -1;
            if (result == RDB_OOM)
                expect_nothing_changed(&f, before);
        }
        CU_ASSERT_EQUAL(result, RDB_OK);
        rdb_writer_free(&w);
        for (long nth = 0; nth < 200; nth++) {
            struct rdb_writer failing = {.compress = true};
            fail_at = nth;
            rdb_put_value(&failing, f.s, get(&f, 0, "from"));
            bool done = fail_at >= 0;
            fail_at = -1;
            CU_ASSERT_EQUAL(failing.failed, !done);
            rdb_writer_free(&failing);
            if (done)
                break;
        }
        fixture_close(&f);
    }
}

/* Type and body, by hand. Those that have no length of their own behind them end at the byte given. */
#define BYTES(text)                                                                                          \
    {                                                                                                        \
        (const uint8_t *)(text), sizeof(text) - 1                                                            \
    }

static void test_old_forms(void)
{
    static const struct {
        struct slice bytes;
        const char *encoding;
    } rows[] = {
        {BYTES("\x09\x10\x02\x03"
               "foo\x03\x01"
               "bar_\x01"
               "a\x00\x00\xff"),
         "listpack"},                                                                  /* zipmap: foo, a */
        {BYTES("\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\xff\xff\x05\x00"), "intset"}, /* -1, 5 */
        {BYTES("\x0d\x0f\x0f\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x00\xf2\x02\xf3\xff"),
         "listpack"}, /* 1: 2 */
        {BYTES("\x0a\x0e\x0e\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x01"
               "a\xff"),
         "listpack"},
        {BYTES("\x0e\x01\x0e\x0e\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x01"
               "a\xff"),
         "listpack"},
        {BYTES("\x0c\x0f\x0f\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x00\xf2\x02\xf3\xff"), "listpack"},
        {BYTES("\x03\x02\x01"
               "a\x03"
               "1.5\x01"
               "b\xfe"),
         "listpack"}, /* scores 1.5, inf */
        {BYTES("\x14\x0a\x0a\x00\x00\x00\x01\x00\x81"
               "a\x02\xff"),
         "listpack"}, /* 7.2's set */
        {BYTES("\x12\x02\x01\x01"
               "a\x02\x09\x09\x00\x00\x00\x01\x00\x01\x01\xff"),
         "listpack"},
        {BYTES("\x0f\x00\x00\x05\x07\x00"), "stream"}, /* without entries, last ID 5-7 */
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        struct rdb_reader r;
        begin(&f);
        CU_ASSERT_EQUAL(take(&f, "k", rows[i].bytes, &r), RDB_OK);
        CU_ASSERT_EQUAL(r.left, 0);
        CU_ASSERT_STRING_EQUAL(entry_encoding(get(&f, 0, "k")), rows[i].encoding);
        fixture_close(&f);
    }
}

static const struct slice refused[] = {
    BYTES("\x01\x00"), /* no elements */
    BYTES("\x01\x80\xff\xff\xff\xff\x01"
          "a"), /* a length beyond all input */
    BYTES("\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01"
          "a"),
    BYTES("\x02\x02\x01"
          "a\x01"
          "a"), /* a member twice */
    BYTES("\x04\x02\x01"
          "a\x01"
          "b\x01"
          "a\x01"
          "c"), /* a field twice */
    BYTES("\x03\x01\x01"
          "a\xfd"), /* a score that is no number */
    BYTES("\x05\x01\x01"
          "a\x00\x00\x00\x00\x00\x00\xf8\x7f"),
    BYTES("\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x05\x00\xff\xff"), /* integers that fall */
    BYTES("\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x05\x00\x05\x00"), /* one twice */
    BYTES("\x0b\x0c\x03\x00\x00\x00\x02\x00\x00\x00\x05\x00\x06\x00"), /* three bytes wide */
    BYTES("\x0b\x0c\x02\x00\x00\x00\x03\x00\x00\x00\x05\x00\x06\x00"), /* fewer than it says */
    BYTES("\x0b\x08\x02\x00\x00\x00\x00\x00\x00\x00"),                 /* none */
    BYTES("\x0a\x0e\x0e\x00\x00\x00\x0b\x00\x00\x00\x01\x00\x00\x01"
          "a\xff"), /* another tail */
    BYTES("\x0a\x0e\x0e\x00\x00\x00\x0a\x00\x00\x00\x02\x00\x00\x01"
          "a\xff"), /* another count */
    BYTES("\x0a\x0e\x0e\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x03\x01"
          "a\xff"), /* another length before */
    BYTES("\x0a\x0e\x0e\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x02"
          "a\xff"), /* longer than there is */
    BYTES("\x0a\x0e\x0f\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x01"
          "a\xff"),                                                        /* another length in all */
    BYTES("\x0a\x0d\x0d\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\xcf\xff"), /* no such encoding */
    BYTES("\x10\x0a\x0a\x00\x00\x00\x01\x00\x81"
          "a\x02\xff"), /* a field without a value */
    BYTES("\x14\x0a\x0a\x00\x00\x00\x02\x00\x81"
          "a\x02\xff"), /* another count */
    BYTES("\x14\x0a\x0a\x00\x00\x00\x01\x00\x81"
          "a\x03\xff"), /* another length behind */
    BYTES("\x14\x0a\x0a\x00\x00\x00\x01\x00\x82"
          "a\x02\xff"), /* longer than there is */
    BYTES("\x14\x0a\x0a\x00\x00\x00\x01\x00\xf5"
          "a\x02\xff"), /* no such encoding */
    BYTES("\x14\x0a\x0a\x00\x00\x00\x01\x00\x81"
          "a\x02\xfe"),                            /* no end */
    BYTES("\x14\x07\x07\x00\x00\x00\x00\x00\xff"), /* none */
    BYTES("\x11\x0d\x0d\x00\x00\x00\x02\x00\x81"
          "a\x02\x81"
          "b\x02\xff"), /* no score */
    BYTES("\x09\x0b\x02\x03"
          "foo\x03\x00"
          "bar\xff"), /* zipmap: fewer than it says */
    BYTES("\x09\x0b\x01\x03"
          "foo\x03\x09"
          "bar\xff"), /* more free bytes than there are */
    BYTES("\x09\x06\x01\x03"
          "foo\xff"), /* no value */
    BYTES("\x09\x0e\x01\x01"
          "k\xfe\x04\x00\x00\x00\x00"
          "val1\xff"),                                             /* a short length in the long form */
    BYTES("\x12\x01\x03\x09\x09\x00\x00\x00\x01\x00\x01\x01\xff"), /* no such container */
    BYTES("\x12\x01\x01\x00"),                                     /* an empty element by itself */
    BYTES("\x0f\x00\x01\x05\x07\x00"),                             /* a stream with an entry too few */
    BYTES("\x13\x00\x00\x05\x07\x00\x00\x00\x00\x00\x01\x01"
          "g\x05\x07\x00\x01"
          "\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x07"
          "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"), /* pending for nobody */
    BYTES("\x06\x00"),
    BYTES("\x07\x00"),
    BYTES("\x08\x00"),
    BYTES("\x16\x00"),
    BYTES("\xff\x00"),
};

static void test_what_is_refused(void)
{
    struct fixture f;
    struct rdb_reader r;
    begin(&f);
    uint64_t before = used(f.s);
    for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
        CU_ASSERT_EQUAL(take(&f, "k", refused[i], &r), RDB_BAD);
        expect_nothing_changed(&f, before);
    }
    fixture_close(&f);
}

/* What is being read is evicted by nobody, and other keys make room for it. */
static void test_reading_under_eviction(void)
{
    enum { OTHERS = 2000 };
    struct fixture f;
    struct rdb_reader r;
    char name[100];
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct rdb_writer w = written(&f, LARGE_LIST, false);
    fixture_close(&f);
    fixture_open(&f, 64 << 20, 250000, POLICY_ALLKEYS_RANDOM, 1);
    for (unsigned i = 0; i < OTHERS; i++) {
        text_of(name, "other %u", i);
        set(&f, 0, name, "a value of some length that takes room", 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        CU_ASSERT_EQUAL(take(&f, "k", (struct slice){w.p, w.len}, &r), RDB_OK);
        CU_ASSERT_TRUE(used(f.s) <= 250000);
        struct entry *e = get(&f, 0, "k");
        CU_ASSERT_TRUE(e && list_len(e) == makers[LARGE_LIST].n);
    }
    rdb_writer_free(&w);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_what_is_written_reads_back),
                                             UNIT(test_no_cut_is_taken),
                                             UNIT(test_any_flipped_bit_is_refused_or_a_value),
                                             UNIT(test_each_allocation_of_the_store_may_fail),
                                             UNIT(test_each_allocation_of_the_process_may_fail),
                                             UNIT(test_old_forms),
                                             UNIT(test_what_is_refused),
                                             UNIT(test_reading_under_eviction),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/rdb_values", tests);
}
