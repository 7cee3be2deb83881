/* access.c: the access clock of access.h, and Redis' logarithmic counter (lfu-log-factor, lfu-decay-time). */
#include "store/access.h"
#include "store/shard.h"

enum {
    LFU_INIT = 5,
    LRU_STEP = 1000,  /* ms, the longest */
    LFU_STEP = 60000, /* ms, the longest */
    SHORTEST = 7,     /* the shortest step is the longest one >> this, a 128th */
    TICKS = 16,       /* wanted in the time in which a quarter of the keys is evicted */
    MINUTE = 60000
};
#define LFU_MASK   ((1u << LFU_BITS) - 1)
#define FIRST_TICK (1ULL << 32)

/* -- ticks -- */

static unsigned longest_step(const struct shard *s)
{
    return access_is_lfu(s) ? LFU_STEP : LRU_STEP;
}

static const struct epoch *last_epoch(const struct access_clock *c)
{
    return &c->epoch[c->epochs - 1];
}

/* Two old epochs become one of a mean length when there is no room. */
static void begin_epoch(struct access_clock *c, uint64_t ms, unsigned step)
{
    if (c->epochs > 0 && last_epoch(c)->tick == c->tick)
        c->epochs--;
    if (c->epochs > 0 && ms < last_epoch(c)->ms)
        ms = last_epoch(c)->ms;
    if (c->epochs == EPOCHS)
        memmove(&c->epoch[1], &c->epoch[2], (--c->epochs - 1) * sizeof c->epoch[0]);
    c->epoch[c->epochs++] = (struct epoch){ms, c->tick};
    c->step = step;
}

void access_start(struct shard *s)
{
    struct access_clock *c = &s->access;
    unsigned step = longest_step(s);
    *c = (struct access_clock){.tick = FIRST_TICK, .since_ms = s->now_ms};
    begin_epoch(c, s->now_ms - s->now_ms % step, step);
}

/* When a tick began. */
static uint64_t tick_ms(const struct shard *s, uint64_t tick)
{
    const struct access_clock *c = &s->access;
    unsigned i = c->epochs - 1;
    if (tick >= c->epoch[i].tick)
        return c->epoch[i].ms + (tick - c->epoch[i].tick) * c->step;
    while (i > 0 && tick < c->epoch[i].tick)
        i--;
    const struct epoch *from = &c->epoch[i], *to = from + 1;
    if (tick >= from->tick)
        return from->ms + (tick - from->tick) * (to->ms - from->ms) / (to->tick - from->tick);
    uint64_t before = (from->tick - tick) * longest_step(s);
    return before < from->ms ? from->ms - before : 0;
}

/* The tick at a time that is over. */
static uint64_t tick_at(const struct shard *s, uint64_t ms)
{
    const struct access_clock *c = &s->access;
    unsigned i = c->epochs - 1;
    if (ms >= c->epoch[i].ms)
        return c->epoch[i].tick + (ms - c->epoch[i].ms) / c->step;
    while (i > 0 && ms < c->epoch[i].ms)
        i--;
    const struct epoch *from = &c->epoch[i], *to = from + 1;
    if (ms >= from->ms)
        return from->tick + (ms - from->ms) * (to->tick - from->tick) / (to->ms - from->ms);
    uint64_t step = longest_step(s);
    return from->tick - (from->ms - ms + step - 1) / step;
}

static uint64_t age_of(const struct shard *s, uint32_t stamp)
{
    return access_is_lfu(s) ? (s->access.tick - (stamp >> 8)) & LFU_MASK : (s->access.tick - stamp) & ACCESS_LRU_MASK;
}

static uint64_t used_at(const struct shard *s, uint32_t stamp)
{
    uint64_t ms = tick_ms(s, s->access.tick - age_of(s, stamp));
    return ms < s->now_ms ? ms : s->now_ms;
}

/* Steps are the longest one, halved some times. */
static void choose_step(struct shard *s, uint64_t quarter_ms)
{
    struct access_clock *c = &s->access;
    unsigned longest = longest_step(s), halvings = 0;
    while (halvings < SHORTEST && (uint64_t)(longest >> halvings) * TICKS > quarter_ms)
        halvings++;
    unsigned step = longest >> halvings;
    bool longer = step > c->step && quarter_ms >= 2ull * TICKS * step; /* not to and fro */
    if (step < c->step || longer) {
        c->tick++;
        begin_epoch(c, step == longest ? s->now_ms - s->now_ms % step : s->now_ms, step);
    }
    c->evicted = 0;
    c->since_ms = s->now_ms;
}

/* The wall clock was put back: all ages stay as they are. */
static void put_back(struct access_clock *c, uint64_t by_ms)
{
    for (unsigned i = 0; i < c->epochs; i++)
        c->epoch[i].ms -= by_ms < c->epoch[i].ms ? by_ms : c->epoch[i].ms;
    c->since_ms -= by_ms < c->since_ms ? by_ms : c->since_ms;
}

void access_set_time(struct shard *s, uint64_t before_ms)
{
    struct access_clock *c = &s->access;
    if (s->now_ms == before_ms)
        return;
    if (before_ms == 0)
        access_start(s);
    else if (s->now_ms < before_ms)
        put_back(c, before_ms - s->now_ms);
    uint64_t slow = (uint64_t)longest_step(s) * TICKS;
    if (c->step < longest_step(s) && s->now_ms - c->since_ms >= 2 * slow)
        choose_step(s, 2 * slow);
    c->tick = last_epoch(c)->tick + (s->now_ms - last_epoch(c)->ms) / c->step;
}

void access_evicted(struct shard *s)
{
    struct access_clock *c = &s->access;
    if ((++c->evicted & 63) != 0)
        return;
    uint64_t keys = 0;
    for (unsigned i = 0; i < s->pool.databases; i++)
        keys += s->db[i].index.keys;
    if (c->evicted * 4 >= keys && s->now_ms > c->since_ms)
        choose_step(s, (s->now_ms - c->since_ms) * (keys + 1) / (c->evicted * 4));
}

/* -- the counter -- */

unsigned entry_frequency(const struct shard *s, const struct entry *e)
{
    uint32_t stamp = stamp_read(e), counter = stamp & 0xff;
    if (s->lfu_decay_time == 0 || age_of(s, stamp) == 0)
        return counter;
    uint64_t periods = (s->now_ms / MINUTE - used_at(s, stamp) / MINUTE) / s->lfu_decay_time;
    return periods > counter ? 0 : counter - (unsigned)periods;
}

/* Counts with a chance of 1 / ((counter - LFU_INIT) * factor + 1). */
static unsigned counted(struct shard *s, unsigned counter)
{
    if (counter == 255)
        return counter;
    uint64_t base = counter > LFU_INIT ? counter - LFU_INIT : 0;
    return counter + (shard_random(s) % (base * s->lfu_log_factor + 1) == 0);
}

static uint32_t lfu_stamp(uint64_t tick, unsigned counter)
{
    return (uint32_t)(tick & LFU_MASK) << 8 | counter;
}

/* -- entries -- */

void entry_count_use(struct shard *s, struct entry *e)
{
    stamp_write(e, lfu_stamp(s->access.tick, counted(s, entry_frequency(s, e))));
}

uint32_t access_new_count(const struct shard *s)
{
    return lfu_stamp(s->access.tick, LFU_INIT);
}

uint64_t entry_idle_seconds(const struct shard *s, const struct entry *e)
{
    return s->now_ms / 1000 - used_at(s, stamp_read(e)) / 1000;
}

void entry_set_access(struct shard *s, struct entry *e, int64_t idle, int64_t frequency)
{
    if (access_is_lfu(s) && frequency >= 0) {
        stamp_write(e, lfu_stamp(s->access.tick, frequency < 255 ? (unsigned)frequency : 255));
    } else if (!access_is_lfu(s) && idle >= 0) {
        uint64_t ms = (uint64_t)idle < s->now_ms / 1000 ? s->now_ms - (uint64_t)idle * 1000 : 0;
        uint64_t tick = tick_at(s, ms), oldest = s->access.tick - ACCESS_LRU_MASK;
        stamp_write(e, (uint32_t)((tick > oldest ? tick : oldest) & ACCESS_LRU_MASK));
    }
}

void access_carry(const struct shard *from, const struct entry *e, const struct shard *to, struct entry *made)
{
    uint32_t stamp = stamp_read(e);
    if (from != to) {
        uint64_t tick = tick_at(to, used_at(from, stamp));
        stamp = access_is_lfu(from) ? lfu_stamp(tick, stamp & 0xff) : (uint32_t)(tick & ACCESS_LRU_MASK) | (stamp & ACCESS_AGAIN);
    }
    memcpy(made->clock, &stamp, sizeof made->clock);
}

/* LFU: the least used, of equals the one idle longest. A counter that has decayed to nothing stays there: its
 * tick will lap. */
uint64_t access_score(struct shard *s, struct entry *e)
{
    uint32_t stamp = stamp_read(e);
    if (!access_is_lfu(s))
        return access_idle_score(s, stamp);
    unsigned counter = entry_frequency(s, e);
    if (counter == 0)
        stamp_write(e, stamp & ~0xffu);
    return (uint64_t)(255 - counter) << LFU_BITS | age_of(s, stamp);
}
