/* workload.c: keys, values and their RESP2 text (redis.io, "Redis serialization protocol specification"). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "workload.h"

enum { ZIPF_DRAWS = 1 << 22 }; /* 16 MB, read in order, again and again */
/* From this rank on what was drawn stands for the ranks up to a 64th below it, as good as equally likely; else rare keys would be those of the
 * draws, and come again as often as there are draws. */
enum { ZIPF_TAIL = 1 << 12, TAIL_SHIFT = 6 };

static inline void key_write(const struct workload *w, uint32_t key, uint8_t *to)
{
    key_text(key, to);
    if (w->key_size > 16)
        memset(to + 16, '.', w->key_size - 16);
}

/* xoroshiro128+ (Blackman and Vigna): one draw is a few additions and rotations. */
static inline uint64_t draw(struct workload *w)
{
    uint64_t a = w->rng[0], b = w->rng[1], sum = a + b;
    b ^= a;
    w->rng[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
    w->rng[1] = b << 37 | b >> 27;
    return sum;
}

/* Zipf's law by inversion of Gray et al. ("Quickly generating billion-record synthetic databases", 1994),
 * drawn in advance because pow() costs more than a packet. */
static bool draw_zipf(struct workload *w, double s)
{
    w->zipf = malloc(ZIPF_DRAWS * sizeof *w->zipf);
    if (!w->zipf)
        return false;
    /* The harmonic sum: exact for the first ranks, an integral (midpoint) for the long tail. */
    double zeta = 0, n = w->keys, exact = n < 1e6 ? n : 1e6;
    for (double i = 1; i <= exact; i++)
        zeta += pow(i, -s);
    if (n > exact)
        zeta += (pow(n + .5, 1 - s) - pow(exact + .5, 1 - s)) / (1 - s);
    double alpha = 1 / (1 - s), zeta2 = 1 + pow(2, -s);
    double eta = (1 - pow(2 / n, 1 - s)) / (1 - zeta2 / zeta);
    for (uint32_t i = 0; i < ZIPF_DRAWS; i++) {
        double u = (double)(draw(w) >> 11) * 0x1p-53, uz = u * zeta;
        double rank = uz < 1 ? 0 : uz < zeta2 ? 1 : n * pow(eta * u - eta + 1, alpha);
        w->zipf[i] = rank < n ? (uint32_t)rank : w->keys - 1;
    }
    return true;
}

static void make_texts(struct workload *w, unsigned ttl_s, unsigned big_size)
{
    char ttl[16];
    int ttl_size = snprintf(ttl, sizeof ttl, "%u", ttl_s);
#define TEXT(t, ...) ((t).size = (unsigned)snprintf((t).byte, sizeof(t).byte, __VA_ARGS__))
    TEXT(w->head[0], "*2\r\n$3\r\nGET\r\n$%u\r\n", w->key_size);
    TEXT(w->head[1], "*%u\r\n$3\r\nSET\r\n$%u\r\n", ttl_s ? 5 : 3, w->key_size);
    TEXT(w->middle, "\r\n$%u\r\n", w->value_size);
    if (ttl_s)
        TEXT(w->tail, "\r\n$2\r\nEX\r\n$%d\r\n%s\r\n", ttl_size, ttl);
    else
        TEXT(w->tail, "\r\n");
    TEXT(w->reply_head, "$%u\r\n", w->value_size);
    int digits = snprintf(NULL, 0, "%u", big_size - 1);
    TEXT(w->big[0], "*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n");
    TEXT(w->big[1], "*4\r\n$8\r\nSETRANGE\r\n$3\r\nbig\r\n$%d\r\n%u\r\n$1\r\nx\r\n", digits, big_size - 1);
    TEXT(w->big_reply[0], "$%u\r\n", big_size);
    TEXT(w->big_reply[1], ":%u\r\n", big_size);
#undef TEXT
    w->request_size[0] = w->head[0].size + w->key_size + 2;
    w->request_size[1] = w->head[1].size + w->key_size + w->middle.size + w->value_size + w->tail.size;
    w->reply_size[0] = w->reply_head.size + w->value_size + 2;
    w->reply_size[1] = 5;
}

bool workload_init(struct workload *w, const struct workload_config *conf)
{
    *w = (struct workload){.keys = conf->keys, .key_size = conf->key_size, .value_size = conf->value_size};
    w->rng[0] = mix64(conf->seed + 1);
    w->rng[1] = mix64(conf->seed + 2) | 1;
    make_texts(w, conf->ttl_s, conf->big_size ? conf->big_size : 1);
    /* Gray's inversion has a pole at 1 and is uniform at 0. */
    double s = conf->zipf == 1 ? 0.9999 : conf->zipf;
    return s == 0 || w->keys < 3 || draw_zipf(w, s);
}

void workload_free(struct workload *w)
{
    script_free(w->script);
    free(w->zipf);
    w->zipf = NULL;
}

void workload_crowd(struct workload *w, unsigned size)
{
    w->crowd_size = size;
    w->big[0].size = (unsigned)sprintf(w->big[0].byte, "*3\r\n$7\r\nPUBLISH\r\n$5\r\ncrowd\r\n$%u\r\n", size);
    w->big[0].size += size + 2;
    w->big[1].size = (unsigned)sprintf(w->big[1].byte, "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\ncrowd\r\n");
}

static void message_write(const struct workload *w, uint8_t *to)
{
    char number[16];
    unsigned head = w->big[0].size - w->crowd_size - 2;
    memcpy(to, w->big[0].byte, head);
    memset(to + head, '.', w->crowd_size);
    int digits = snprintf(number, sizeof number, "%08u", w->crowd_number - 1);
    memcpy(to + head, number, (size_t)digits);
    memcpy(to + head + w->crowd_size, "\r\n", 2);
}

void workload_mix(struct workload *w, unsigned set_percent)
{
    w->set_always = set_percent == 100;
    w->set_below = (uint32_t)(set_percent % 100 / 100.0 * 4294967296.0);
}

uint32_t workload_next(struct workload *w)
{
    uint64_t r = draw(w);
    if (w->row)
        return script_next(w->row, w->nth++, (uint32_t)(r >> 32));
    uint32_t set = w->set_always || (uint32_t)r < w->set_below ? REQUEST_SET : 0;
    if (w->zipf) {
        uint32_t rank = w->zipf[w->zipf_at++ & (ZIPF_DRAWS - 1)];
        if (rank >= ZIPF_TAIL)
            rank -= (uint32_t)((r >> 32) * (rank >> TAIL_SHIFT) >> 32);
        return set | rank;
    }
    return set | (uint32_t)((r >> 32) * w->keys >> 32);
}

static inline uint8_t *put(uint8_t *to, const struct text *t)
{
    memcpy(to, t->byte, t->size);
    return to + t->size;
}

void request_write(const struct workload *w, uint32_t request, uint8_t *to)
{
    if (w->row) {
        script_write(w->row, request, to);
        return;
    }
    if (__builtin_expect(w->crowd_size && request == REQUEST_PUBLISH, 0)) {
        message_write(w, to);
        return;
    }
    if (__builtin_expect((request & REQUEST_KEY) == REQUEST_BIG_GET, 0)) {
        put(to, &w->big[request >> 31]);
        return;
    }
    uint8_t *key = put(to, &w->head[request >> 31]);
    key_write(w, request & REQUEST_KEY, key);
    uint8_t *end = key + w->key_size;
    if (request & REQUEST_SET) {
        uint8_t *value = put(end, &w->middle);
        value_write(value_seed(key), value, w->value_size);
        put(value + w->value_size, &w->tail);
    } else {
        memcpy(end, "\r\n", 2);
    }
}

void reply_write(const struct workload *w, uint32_t request, uint8_t *to)
{
    if (request & REQUEST_SET) {
        memcpy(to, "+OK\r\n", 5);
        return;
    }
    uint8_t key[LOADGEN_KEY_MAX];
    key_write(w, request & REQUEST_KEY, key);
    uint8_t *value = put(to, &w->reply_head);
    value_write(value_seed(key), value, w->value_size);
    memcpy(value + w->value_size, "\r\n", 2);
}

bool reply_equal(const struct workload *w, uint32_t request, const uint8_t *p)
{
    if (request & REQUEST_SET)
        return memcmp(p, "+OK\r\n", 5) == 0;
    uint8_t key[LOADGEN_KEY_MAX];
    key_write(w, request & REQUEST_KEY, key);
    const uint8_t *value = p + w->reply_head.size;
    return memcmp(p, w->reply_head.byte, w->reply_head.size) == 0 &&
           value_equal(value_seed(key), value, w->value_size) &&
           memcmp(value + w->value_size, "\r\n", 2) == 0;
}
