/* snapshot_pace_test.c: what a snapshot takes of a busy worker, in virtual time and counted work: its share, its floor, and when it ends. */
#include "snapshot_pace.h"
#include "unit.h"

enum { SLICE_NS = 20 * 1000, LOOK_US = 200, MILLION = 1000000, KEY_NS = 100, MARKED_NS = 10 };

/* A worker that is busy all the time, and whose writers change `writes` keys a second, each as likely as any other. */
struct run {
    struct snapshot_pace pace;
    uint64_t now_us, cursor_ns, ahead_ns;
    double keys, passed, marked; /* marked: of those that were not passed, how many were written before their turn */
    double writes;
};

static void write_some(struct run *r, uint64_t us)
{
    double left = r->keys - r->passed;
    double hits = r->writes * (double)us / MILLION * (left - r->marked) / r->keys;
    hits = hits < left - r->marked ? hits : left - r->marked;
    pace_ahead(&r->pace, (uint64_t)hits);
    r->ahead_ns += (uint64_t)(hits * KEY_NS);
    r->marked += (double)(uint64_t)hits;
}

static void take_slice(struct run *r)
{
    double left = r->keys - r->passed, share = r->marked / left, each = share * MARKED_NS + (1 - share) * KEY_NS;
    double n = SLICE_NS / each < left ? SLICE_NS / each : left;
    uint64_t ns = (uint64_t)(n * each);
    r->passed += n;
    r->marked -= n * share;
    r->cursor_ns += ns;
    r->now_us += ns / 1000;
    pace_took(&r->pace, r->now_us, ns, (uint64_t)(n * (1 - share)), true);
}

/* Until its end, or until_us. */
static void play(struct run *r, uint64_t until_us)
{
    while (r->passed < r->keys && r->now_us < until_us) {
        r->now_us += LOOK_US;
        write_some(r, LOOK_US);
        if (pace_due(&r->pace, r->now_us))
            take_slice(r);
    }
}

static struct run begin(double keys, double writes)
{
    struct run r = {.keys = keys, .writes = writes, .now_us = 5 * MILLION};
    pace_begin(&r.pace, r.now_us);
    return r;
}

static double thousandths(uint64_t ns, uint64_t us)
{
    return (double)ns / (double)us;
}

static void test_without_writers_the_cursor_has_the_share(void)
{
    struct run r = begin(4 * MILLION, 0);
    uint64_t from = r.now_us;
    play(&r, UINT64_MAX);
    CU_ASSERT(thousandths(r.cursor_ns, r.now_us - from) <= PACE_SHARE * 1.01); /* the first slice comes at once */
    CU_ASSERT(r.now_us - from > 15 * MILLION && r.now_us - from < 30 * MILLION); /* 20 s; a look comes up to 0.2 ms late */
}

static void test_with_writers_both_have_it(void)
{
    struct run r = begin(4 * MILLION, 1.75 * MILLION);
    uint64_t from = r.now_us;
    play(&r, UINT64_MAX);
    CU_ASSERT(r.now_us - from >= 7 * MILLION && r.now_us - from < 20 * MILLION);
    CU_ASSERT(r.ahead_ns > r.cursor_ns); /* most were changed before their turn */
    CU_ASSERT(thousandths(r.cursor_ns, r.now_us - from) < 2 * PACE_FLOOR);
    CU_ASSERT(r.passed >= r.keys);
}

/* Writers alone take more than the share, on and on. */
static void test_whatever_writers_take_the_cursor_has_its_floor(void)
{
    struct run r = begin(1e9, 1.75 * MILLION);
    uint64_t from = r.now_us;
    play(&r, from + 30 * MILLION);
    CU_ASSERT(thousandths(r.ahead_ns, r.now_us - from) > PACE_SHARE);
    double taken = thousandths(r.cursor_ns, r.now_us - from);
    CU_ASSERT(taken <= PACE_FLOOR * 1.01 && taken > PACE_FLOOR * 0.8);
}

static void test_an_old_one_has_more(void)
{
    struct run r = begin(1e9, 0);
    uint64_t from = r.now_us;
    play(&r, from + PACE_YOUNG_US);
    uint64_t young_ns = r.cursor_ns;
    play(&r, from + 2 * (uint64_t)PACE_YOUNG_US);
    double old = thousandths(r.cursor_ns - young_ns, PACE_YOUNG_US), young = thousandths(young_ns, PACE_YOUNG_US);
    CU_ASSERT(young <= PACE_SHARE * 1.01 && young > PACE_SHARE * 0.7);
    CU_ASSERT(old <= PACE_OLD_SHARE * 1.01 && old > PACE_OLD_SHARE * 0.45);
}

static void test_time_with_nothing_to_do_is_free_and_saves_nothing(void)
{
    struct run r = begin(1e9, 0);
    for (unsigned i = 0; i < 1000; i++) {
        r.now_us += 20;
        pace_took(&r.pace, r.now_us, SLICE_NS, 200, false);
        CU_ASSERT(pace_due(&r.pace, r.now_us));
    }
    uint64_t from = r.now_us;
    play(&r, from + MILLION); /* the share of a busy second, and one slice or two */
    CU_ASSERT(r.cursor_ns <= (uint64_t)PACE_SHARE * MILLION + 4 * SLICE_NS);
}

/* A key that costs ten times as much takes ten times as long, and so does one that a writer has written. */
static void test_what_keys_cost_is_learnt(void)
{
    struct snapshot_pace p;
    pace_begin(&p, 0);
    for (uint64_t now = 0; now < MILLION; now += 10000)
        pace_took(&p, now, 1000 * 1000, 1000, false);
    int64_t before = p.left_ns;
    pace_ahead(&p, 1000);
    CU_ASSERT(before - p.left_ns > 900 * 1000 && before - p.left_ns <= 1000 * 1000);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_without_writers_the_cursor_has_the_share),
                                             UNIT(test_with_writers_both_have_it),
                                             UNIT(test_whatever_writers_take_the_cursor_has_its_floor),
                                             UNIT(test_an_old_one_has_more),
                                             UNIT(test_time_with_nothing_to_do_is_free_and_saves_nothing),
                                             UNIT(test_what_keys_cost_is_learnt),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/snapshot_pace", tests);
}
