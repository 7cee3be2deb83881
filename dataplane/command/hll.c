/* hll.c: the bytes of a HyperLogLog: hash, registers, both encodings, the estimate (hll.h). */
#include "command/hll.h"
#include <assert.h>
#include <math.h>

enum {
    DENSE,
    SPARSE,
    INDEX_BITS = 14,
    RANK_BITS = 64 - INDEX_BITS,
    STALE = 0x80,
    CARDINALITY = 8,
    ENCODING = 4
};
enum { SPARSE_MAX_VALUE = 32, SHORT_ZEROS = 64, VALUE_RUN = 4 };

bool hll_is(struct slice value)
{
    return value.len >= HLL_HEADER && memcmp(value.p, "HYLL", 4) == 0 && value.p[ENCODING] <= SPARSE &&
           (value.p[ENCODING] == SPARSE || value.len == HLL_DENSE_SIZE);
}

bool hll_is_dense(const uint8_t *bytes)
{
    return bytes[ENCODING] == DENSE;
}

bool hll_cached(const uint8_t *bytes, uint64_t *cardinality)
{
    memcpy(cardinality, bytes + CARDINALITY, sizeof *cardinality);
    return !(bytes[HLL_HEADER - 1] & STALE);
}

void hll_cache(uint8_t *bytes, uint64_t cardinality)
{
    memcpy(bytes + CARDINALITY, &cardinality, sizeof cardinality);
}

void hll_stale(uint8_t *bytes)
{
    bytes[HLL_HEADER - 1] |= STALE;
}

/* MurmurHash64A with the seed that Redis chose. */
static uint64_t murmur(struct slice s)
{
    const uint64_t m = 0xc6a4a7935bd1e995;
    uint64_t h = 0xadc83b19 ^ (s.len * m), k;
    const uint8_t *p = s.p;
    for (size_t words = s.len / 8; words; words--, p += 8) {
        memcpy(&k, p, sizeof k);
        k *= m;
        k ^= k >> 47;
        h = (h ^ k * m) * m;
    }
    if (s.len % 8) {
        k = 0;
        memcpy(&k, p, s.len % 8);
        h = (h ^ k) * m;
    }
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

unsigned hll_hash(struct slice element, unsigned *value)
{
    uint64_t hash = murmur(element);
    *value = 1 + (unsigned)__builtin_ctzll(hash >> INDEX_BITS | 1ULL << RANK_BITS);
    return hash & (HLL_REGISTERS - 1);
}

/* -- dense
 * ---------------------------------------------------------------------------------------------------- */

static unsigned dense_get(const uint8_t *registers, unsigned i)
{
    unsigned at = i * 6 / 8, shift = i * 6 % 8, two = registers[at];
    if (shift > 2)
        two |= (unsigned)registers[at + 1] << 8;
    return two >> shift & 63;
}

static void dense_put(uint8_t *registers, unsigned i, unsigned value)
{
    unsigned at = i * 6 / 8, shift = i * 6 % 8;
    registers[at] = (uint8_t)((registers[at] & ~(63u << shift)) | value << shift);
    if (shift > 2)
        registers[at + 1] = (uint8_t)((registers[at + 1] & ~(63u >> (8 - shift))) | value >> (8 - shift));
}

enum hll_result hll_raise_dense(uint8_t *bytes, unsigned index, unsigned value)
{
    if (dense_get(bytes + HLL_HEADER, index) >= value)
        return HLL_SAME;
    dense_put(bytes + HLL_HEADER, index, value);
    return HLL_CHANGED;
}

/* -- sparse
 * --------------------------------------------------------------------------------------------------- */

unsigned hll_run(const uint8_t *p, const uint8_t *end, unsigned *registers, unsigned *value)
{
    if (p >= end)
        return 0;
    *value = *p & 0x80 ? (*p >> 2 & 31u) + 1 : 0;
    if (*p & 0x80) {
        *registers = (*p & 3u) + 1;
        return 1;
    }
    *registers = (*p & 63u) + 1;
    if (!(*p & 0x40))
        return 1;
    *registers = ((*p & 63u) << 8 | (p + 1 < end ? p[1] : 0)) + 1; /* cut off: as if a zero byte followed */
    return 2;
}

static uint8_t *put_zeros(uint8_t *to, unsigned registers)
{
    if (registers == 0)
        return to;
    unsigned n = registers - 1;
    if (registers > SHORT_ZEROS)
        *to++ = (uint8_t)(0x40 | n >> 8);
    *to++ = (uint8_t)n;
    return to;
}

static uint8_t *put_values(uint8_t *to, unsigned registers, unsigned value)
{
    if (registers)
        *to++ = (uint8_t)(0x80 | (value - 1) << 2 | (registers - 1));
    return to;
}

void hll_init(struct hll *h)
{
    memset(h->bytes, 0, HLL_HEADER);
    memcpy(h->bytes, "HYLL", 4);
    h->bytes[ENCODING] = SPARSE;
    h->len = (size_t)(put_zeros(h->bytes + HLL_HEADER, HLL_REGISTERS) - h->bytes);
}

/* Calls for each register of a sparse value; false unless there are exactly as many as there should be. */
static bool sparse_registers(struct slice value, uint8_t *max)
{
    const uint8_t *p = value.p + HLL_HEADER, *end = value.p + value.len;
    unsigned at = 0, registers, v, size;
    while ((size = hll_run(p, end, &registers, &v))) {
        if (registers > HLL_REGISTERS - at)
            return false;
        for (unsigned i = at; v && i < at + registers; i++)
            if (max[i] < v)
                max[i] = (uint8_t)v;
        at += registers;
        p += size;
    }
    return at == HLL_REGISTERS;
}

enum hll_result hll_to_dense(struct hll *h)
{
    uint8_t max[HLL_REGISTERS] = {0};
    if (hll_is_dense(h->bytes))
        return HLL_SAME;
    if (!sparse_registers((struct slice){h->bytes, h->len}, max))
        return HLL_CORRUPT;
    memset(h->bytes + HLL_HEADER, 0, HLL_DENSE_SIZE - HLL_HEADER);
    for (unsigned i = 0; i < HLL_REGISTERS; i++)
        dense_put(h->bytes + HLL_HEADER, i, max[i]);
    h->bytes[ENCODING] = DENSE;
    h->len = HLL_DENSE_SIZE;
    return HLL_CHANGED;
}

static enum hll_result promote(struct hll *h, unsigned index, unsigned value)
{
    if (hll_to_dense(h) == HLL_CORRUPT)
        return HLL_CORRUPT;
    hll_raise_dense(h->bytes, index, value);
    return HLL_CHANGED;
}

/* Joins neighbouring runs of one value, up to five steps from p on, as far as Redis looks: so the bytes are
 * equal. */
static void join_runs(struct hll *h, uint8_t *p)
{
    uint8_t *end = h->bytes + h->len;
    for (unsigned steps = 5; p < end && steps; steps--) {
        unsigned registers, value, next_registers, next_value;
        unsigned size = hll_run(p, end, &registers, &value);
        if (value && hll_run(p + size, end, &next_registers, &next_value) && next_value == value &&
            registers + next_registers <= VALUE_RUN) {
            put_values(p, registers + next_registers, value);
            memmove(p + 1, p + 2, (size_t)(end - p) - 2);
            end--;
        } else {
            p += size;
        }
    }
    h->len = (size_t)(end - h->bytes);
}

/* The run at p, which starts at register `first`, becomes up to three: what is before index, index, what is
 * after. */
static unsigned split(uint8_t seq[5], unsigned first, unsigned registers, unsigned old, unsigned index,
                      unsigned value)
{
    unsigned before = index - first, after = first + registers - 1 - index;
    uint8_t *to = old ? put_values(seq, before, old) : put_zeros(seq, before);
    to = put_values(to, 1, value);
    to = old ? put_values(to, after, old) : put_zeros(to, after);
    return (unsigned)(to - seq);
}

static enum hll_result raise_sparse(struct hll *h, unsigned index, unsigned value)
{
    if (value > SPARSE_MAX_VALUE || h->len > HLL_LONGEST)
        return promote(h, index, value);
    uint8_t *p = h->bytes + HLL_HEADER, *before = p, *end = h->bytes + h->len, seq[5];
    unsigned first = 0, registers, old, size;
    while ((size = hll_run(p, end, &registers, &old)) && index >= first + registers) {
        first += registers;
        before = p;
        p += size;
    }
    if (size == 0 || size > (size_t)(end - p))
        return HLL_CORRUPT;
    if (old >= value)
        return HLL_SAME;
    unsigned now = split(seq, first, registers, old, index, value);
    if (now > size && h->len + now - size > h->sparse_max)
        return promote(h, index, value);
    memmove(p + now, p + size, (size_t)(end - p) - size);
    memcpy(p, seq, now);
    h->len = h->len + now - size;
    join_runs(h, before);
    hll_stale(h->bytes);
    return HLL_CHANGED;
}

enum hll_result hll_raise(struct hll *h, unsigned index, unsigned value)
{
    assert(index < HLL_REGISTERS);
    return hll_is_dense(h->bytes) ? hll_raise_dense(h->bytes, index, value) : raise_sparse(h, index, value);
}

/* -- the estimate
 * --------------------------------------------------------------------------------------------- */

bool hll_merge(uint8_t max[HLL_REGISTERS], struct slice value)
{
    if (!hll_is_dense(value.p))
        return sparse_registers(value, max);
    for (unsigned i = 0; i < HLL_REGISTERS; i++) {
        unsigned v = dense_get(value.p + HLL_HEADER, i);
        if (max[i] < v)
            max[i] = (uint8_t)v;
    }
    return true;
}

/* Ertl's sigma and tau: the power series of the paper, summed until nothing changes. */
static double sigma(double x)
{
    double y = 1, z = x, before;
    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x)
{
    double y = 1, z = 1 - x, before;
    if (x == 0 || x == 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

static uint64_t estimate(const unsigned histogram[64])
{
    const double m = HLL_REGISTERS, alpha = 0.721347520444481703680; /* 1 / (2 ln 2) */
    double z = m * tau((m - histogram[RANK_BITS + 1]) / m);
    for (unsigned j = RANK_BITS; j >= 1; j--)
        z = (z + histogram[j]) * 0.5;
    z += m * sigma(histogram[0] / m);
    return (uint64_t)llroundl(alpha * m * m / z);
}

uint64_t hll_count_registers(const uint8_t registers[HLL_REGISTERS])
{
    unsigned histogram[64] = {0};
    for (unsigned i = 0; i < HLL_REGISTERS; i++)
        histogram[registers[i] & 63]++;
    return estimate(histogram);
}

bool hll_count(struct slice value, uint64_t *cardinality)
{
    uint8_t registers[HLL_REGISTERS] = {0};
    bool good = hll_merge(registers, value);
    if (good)
        *cardinality = hll_count_registers(registers);
    return good;
}
