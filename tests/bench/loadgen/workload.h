/* workload.h: which requests are sent, their bytes in RESP2, and the bytes that must come back. A request is
 * a number (operation and key); its text, its reply and the key's value are functions of it, so that any part
 * can be made again for a retransmission or a check and nothing but the number is stored. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "script.h"

enum { REQUEST_SET = 1u << 31, REQUEST_KEY = REQUEST_SET - 1 };
enum { REQUEST_MAX = 16384 + 512 }; /* bytes of the longest request or reply */

struct workload_config {
    uint32_t keys;
    unsigned key_size, value_size, big_size, ttl_s;
    double zipf;
    uint64_t seed;
};

/* The two requests of the connection that fetches a large value: it is made, then read. */
enum { REQUEST_BIG_GET = REQUEST_KEY };
#define REQUEST_BIG_MAKE (REQUEST_SET | REQUEST_KEY)
/* In their place: of a crowd of subscribers. */
enum { REQUEST_PUBLISH = REQUEST_BIG_GET };
#define REQUEST_SUBSCRIBE REQUEST_BIG_MAKE

struct workload {
    uint32_t keys;
    unsigned key_size, value_size;
    uint32_t set_below; /* SET if a 32-bit random number is below */
    bool set_always;
    uint64_t rng[2];
    uint32_t *zipf; /* ranks drawn in advance, NULL = uniform */
    uint32_t zipf_at;
    unsigned request_size[2], reply_size[2]; /* [1] = SET */
    struct script *script;                   /* what is sent instead of GET and SET; NULL = nothing */
    const struct script_row *row;            /* of it, now */
    uint64_t nth;                            /* requests of the row so far */
    struct text {
        char byte[64];
        unsigned size;
    } head[2], middle, tail, reply_head;
    struct text big[2], big_reply[2]; /* [1] = make it; the beginning of the reply */
    unsigned crowd_size;              /* bytes of what is published; 0 = nothing is */
    uint32_t crowd_number;            /* of the message, from 1 */
};

/* False if there is no memory. */
bool workload_init(struct workload *w, const struct workload_config *conf);
void workload_free(struct workload *w);

/* The large value's requests become SUBSCRIBE and PUBLISH, of messages of so many bytes: their number in eight digits, and dots. */
void workload_crowd(struct workload *w, unsigned size);

/* From now on set_percent of a hundred requests are SETs. All GETs until then. */
void workload_mix(struct workload *w, unsigned set_percent);

/* The next request by the configured mix and distribution. */
uint32_t workload_next(struct workload *w);

static inline unsigned request_size(const struct workload *w, uint32_t request)
{
    if (__builtin_expect((request & REQUEST_KEY) == REQUEST_BIG_GET && !w->row, 0))
        return w->big[request >> 31].size;
    return w->row ? script_request_size(w->row, request) : w->request_size[request >> 31];
}

/* Of a GET or SET. */
static inline unsigned reply_size(const struct workload *w, uint32_t request)
{
    return w->reply_size[request >> 31];
}

/* Writes the request's bytes (request_size of them). */
void request_write(const struct workload *w, uint32_t request, uint8_t *to);
/* Writes the bytes of the right reply to a GET or SET (reply_size of them). */
void reply_write(const struct workload *w, uint32_t request, uint8_t *to);
/* Are the reply_size bytes at p the right reply to a GET or SET? */
bool reply_equal(const struct workload *w, uint32_t request, const uint8_t *p);

/* A bijection of 64 bits (Stafford's mix 13): neighbouring key numbers get keys that share nothing. */
static inline uint64_t mix64(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* Eight hexadecimal digits of v, one a byte, without a loop or a table. */
static inline uint64_t hex8(uint32_t v)
{
    uint64_t x = v;
    x = (x | x << 16) & 0x0000ffff0000ffffull;
    x = (x | x << 8) & 0x00ff00ff00ff00ffull;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0full;
    uint64_t letters = (x + 0x0606060606060606ull) >> 4 & 0x0101010101010101ull;
    return x + 0x3030303030303030ull + letters * ('a' - '0' - 10);
}

/* The 16 hexadecimal digits that name a key. */
static inline void key_text(uint32_t key, uint8_t *to)
{
    uint64_t x = mix64(key + 1), high = hex8((uint32_t)(x >> 32)), low = hex8((uint32_t)x);
    memcpy(to, &high, 8);
    memcpy(to + 8, &low, 8);
}

/* The value that belongs to a key: word i is a function of the key's first 16 bytes and i. */
struct value_seed {
    uint64_t start, step;
};

static inline struct value_seed value_seed(const uint8_t key[16])
{
    uint64_t a, b;
    memcpy(&a, key, 8);
    memcpy(&b, key + 8, 8);
    return (struct value_seed){(a ^ (b << 31 | b >> 33)) * 0x9e3779b97f4a7c15ull, b | 1};
}

static inline void value_write(struct value_seed s, uint8_t *to, unsigned size)
{
    uint64_t word = s.start;
    unsigned i = 0;
    for (; i + 8 <= size; i += 8, word += s.step)
        memcpy(to + i, &word, 8);
    if (i < size)
        memcpy(to + i, &word, size - i);
}

static inline bool value_equal(struct value_seed s, const uint8_t *p, unsigned size)
{
    uint64_t word = s.start, seen, wrong = 0;
    unsigned i = 0;
    for (; i + 8 <= size; i += 8, word += s.step) {
        memcpy(&seen, p + i, 8);
        wrong |= seen ^ word;
    }
    return !wrong && (i == size || memcmp(p + i, &word, size - i) == 0);
}
