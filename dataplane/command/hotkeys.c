/* hotkeys.c: see hotkeys.h. */
#include "command/hotkeys.h"

#include "command/command.h"

enum {
    KEYS_SEEN = 64,        /* of a request with more keys the first ones ... */
    KEYS_A_SAMPLE = 8,     /* ... and of them so many, stand for all */
    SELDOM_US = 64 * 1000, /* samples farther apart than this: more of them; closer than ... */
    OFTEN_US = 2 * 1000,   /* ... this: less */
    HALVINGS = 32          /* after so many nothing is left */
};

static uint64_t random_of(struct hotkeys *h) /* xorshift64* */
{
    uint64_t x = h->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    h->random = x;
    return x * 0x2545f4914f6cdd1d >> 32;
}

void hotkeys_init(struct hotkeys *h, uint64_t seed, uint64_t now_us)
{
    *h = (struct hotkeys){
        .random = seed | 1, .gap = HOT_GAP, .sampled_us = now_us, .halved_ms = now_us / 1000};
}

/* -- counting -- */

static void halve(struct hotkeys *h)
{
    for (unsigned r = 0; r < HOT_ROWS; r++)
        for (unsigned i = 0; i < HOT_WAYS; i++) {
            h->row[r].reads[i] /= 2;
            h->row[r].writes[i] /= 2;
        }
    h->reads /= 2;
    h->writes /= 2;
}

/* Counts stand for a time that halves with them: what they say of a key's rate stays right. */
static void grow_old(struct hotkeys *h, uint64_t now_ms)
{
    for (unsigned i = 0; now_ms - h->halved_ms >= HOT_HALF_LIFE_MS && i < HALVINGS; i++) {
        halve(h);
        h->span_ms = (h->span_ms + HOT_HALF_LIFE_MS) / 2;
        h->halved_ms += HOT_HALF_LIFE_MS;
    }
    if (now_ms - h->halved_ms >= HOT_HALF_LIFE_MS)
        h->halved_ms = now_ms;
}

unsigned hotkeys_next(struct hotkeys *h, uint64_t now_us)
{
    uint64_t since = now_us - h->sampled_us;
    h->sampled_us = now_us;
    grow_old(h, now_us / 1000);
    if (since > SELDOM_US && h->gap > 1)
        h->gap /= 2;
    else if (since < OFTEN_US && h->gap < HOT_GAP)
        h->gap *= 2;
    return 1 + (unsigned)(random_of(h) % (2 * h->gap - 1));
}

static void add(uint32_t *count, uint32_t n)
{
    *count = *count > UINT32_MAX - n ? UINT32_MAX : *count + n;
}

static void settle(struct hotkeys *h, struct hot_row *row, unsigned way, unsigned db, struct slice name)
{
    struct hot_name *to = &h->name[row - h->row][way];
    to->db = db;
    to->len = (uint32_t)name.len;
    memcpy(to->text, name.p, name.len < HOT_NAME ? name.len : HOT_NAME);
}

/* The way with the smallest count. */
static unsigned smallest(const struct hot_row *row, uint64_t *count)
{
    unsigned way = 0;
    *count = UINT64_MAX;
    for (unsigned i = 0; i < HOT_WAYS; i++) {
        uint64_t n = (uint64_t)row->reads[i] + row->writes[i];
        if (n < *count) {
            *count = n;
            way = i;
        }
    }
    return way;
}

void hotkeys_count(struct hotkeys *h, unsigned db, struct slice name, uint64_t hash, bool write, uint32_t n)
{
    uint64_t tag = hash ^ db * 0x9e3779b97f4a7c15, least;
    struct hot_row *row = &h->row[tag >> 40 & (HOT_ROWS - 1)];
    *(write ? &h->writes : &h->reads) += n;
    for (unsigned i = 0; i < HOT_WAYS; i++)
        if (row->hash[i] == tag) {
            add(write ? &row->writes[i] : &row->reads[i], n);
            return;
        }
    unsigned way = smallest(row, &least);
    if (least && random_of(h) % (least + n) >= n)
        return;
    uint64_t count = least + n;
    uint32_t begins = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    row->hash[way] = tag;
    row->reads[way] = write ? 0 : begins;
    row->writes[way] = write ? begins : 0;
    settle(h, row, way, db, name);
}

/* Of a request with many keys some that lie evenly apart. */
static __attribute__((noinline)) void count_many(struct hotkeys *h, const struct request *rq)
{
    int position[KEYS_SEEN];
    bool write[KEYS_SEEN];
    int n = command_key_uses(rq->cmd, rq->argc, rq->argv, position, write, KEYS_SEEN);
    if (n <= 0)
        return;
    unsigned seen = n < KEYS_SEEN ? (unsigned)n : KEYS_SEEN,
             picks = seen < KEYS_A_SAMPLE ? seen : KEYS_A_SAMPLE;
    unsigned from = seen > picks ? (unsigned)(random_of(h) % seen) : 0;
    for (unsigned i = 0; i < picks; i++) {
        unsigned at = (from + i * seen / picks) % seen;
        struct key k = keyspace_key(rq->env->ks, rq->argv[position[at]]);
        hotkeys_count(h, rq->client->db, k.name, k.hash, write[at], h->gap * (unsigned)n / picks);
    }
}

void hotkeys_sample(struct hotkeys *h, const struct request *rq)
{
    if (!rq->cmd || rq->bad_arity || rq->cmd->key_kind == COMMAND_NO_KEY ||
        !(rq->client->flags & CLIENT_AUTHENTICATED))
        return;
    if (rq->cmd->key_kind == COMMAND_ONE_KEY)
        hotkeys_count(h, rq->client->db, rq->key.name, rq->key.hash, rq->cmd->flags & CMD_WRITE, h->gap);
    else
        count_many(h, rq);
}

/* -- showing -- */

static double sum(const struct hot_key *k)
{
    return k->reads + k->writes;
}

/* Keeps the n largest in order. */
static unsigned insert(struct hot_key *top, unsigned have, unsigned n, const struct hot_key *k)
{
    unsigned at = have < n ? have++ : n - 1;
    for (; at > 0 && sum(&top[at - 1]) < sum(k); at--)
        top[at] = top[at - 1];
    top[at] = *k;
    return have;
}

unsigned hotkeys_top(struct hotkeys *h, uint64_t now_us, struct hot_key *top, unsigned n,
                     struct hot_key *total)
{
    unsigned have = 0;
    grow_old(h, now_us / 1000);
    double ms = (double)(h->span_ms + now_us / 1000 - h->halved_ms), each = ms > 0 ? 1000.0 / ms : 0;
    *total = (struct hot_key){.reads = (double)h->reads * each, .writes = (double)h->writes * each};
    for (unsigned r = 0; r < HOT_ROWS; r++)
        for (unsigned i = 0; i < HOT_WAYS; i++) {
            const struct hot_row *row = &h->row[r];
            struct hot_key k = {&h->name[r][i], row->reads[i] * each, row->writes[i] * each};
            if (sum(&k) > 0 && (have < n || sum(&k) > sum(&top[n - 1])))
                have = insert(top, have, n, &k);
        }
    return have;
}
