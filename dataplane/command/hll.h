/* hll.h: HyperLogLog in Redis' own representation, byte for byte: a string value "HYLL", encoding, 3 bytes of
 * zero, 8 bytes of cached cardinality (top bit set: stale), then 16384 registers of 6 bits. Dense: 12288
 * bytes, bit by bit from the lowest. Sparse: runs of registers,
 *
 *   00nnnnnn            n+1 registers of 0
 *   01nnnnnn nnnnnnnn   n+1 registers of 0
 *   1vvvvvnn            n+1 registers of v+1
 *
 * Bytes only: no store, no replies. The estimate: O. Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches", arXiv:1702.01284.
 * https://redis.io/docs/latest/develop/data-types/probabilistic/hyperloglogs/ */
#pragma once
#include "base/slice.h"

enum {
    HLL_HEADER = 16,
    HLL_REGISTERS = 16384,
    HLL_DENSE_SIZE = HLL_HEADER + HLL_REGISTERS * 6 / 8,
    HLL_MAX_VALUE = 51, /* of a register: 64 - 14 bits of hash, and one */
    /* No valid value is longer: at worst each register has a run of its own, and a long run of zeros takes
       two bytes. */
    HLL_LONGEST = HLL_HEADER + 2 * HLL_REGISTERS
};

enum hll_result { HLL_SAME, HLL_CHANGED, HLL_CORRUPT };

/* A value being changed, in memory of at least HLL_LONGEST + 4 bytes. */
struct hll {
    uint8_t *bytes;
    size_t len;
    size_t sparse_max; /* a sparse value that would grow beyond this becomes dense */
};

/* True if the string could be a HyperLogLog: header, encoding, and the length if dense. */
bool hll_is(struct slice value);
bool hll_is_dense(const uint8_t *bytes);

/* The cached cardinality. False: it is stale. */
bool hll_cached(const uint8_t *bytes, uint64_t *cardinality);
void hll_cache(uint8_t *bytes, uint64_t cardinality);
void hll_stale(uint8_t *bytes);

/* An empty sparse value. */
void hll_init(struct hll *h);
/* HLL_CORRUPT: the sparse bytes do not describe exactly 16384 registers; nothing is changed. */
enum hll_result hll_to_dense(struct hll *h);

/* Which register an element belongs to, and its value there (1 to HLL_MAX_VALUE). */
unsigned hll_hash(struct slice element, unsigned *value);
/* Raises a register to a value. Sparse values become dense when the value or their size asks for it. */
enum hll_result hll_raise(struct hll *h, unsigned index, unsigned value);
/* The same for dense bytes where they lie. */
enum hll_result hll_raise_dense(uint8_t *bytes, unsigned index, unsigned value);

/* max[i] = the larger of max[i] and register i of the value. False: the value is corrupt. */
bool hll_merge(uint8_t max[HLL_REGISTERS], struct slice value);
/* The estimated cardinality. False: the value is corrupt. */
bool hll_count(struct slice value, uint64_t *cardinality);
uint64_t hll_count_registers(const uint8_t registers[HLL_REGISTERS]);

/* One run of a sparse value: value 0 for zeros. Returns its bytes; 0 at the end. */
unsigned hll_run(const uint8_t *p, const uint8_t *end, unsigned *registers, unsigned *value);
