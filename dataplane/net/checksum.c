/* checksum.c: the Internet checksum, RFC 1071. */
#include "net/checksum.h"

#include <rte_mbuf.h>

typedef uint64_t lanes __attribute__((vector_size(32)));

/* Whole blocks of 32 bytes. Each lane adds 32-bit halves to 64 bits: it cannot overflow, nothing is carried.
 */
static uint64_t add_blocks(const uint8_t *p, size_t blocks)
{
    lanes low = {0}, high = {0};
    for (; blocks; blocks--, p += sizeof(lanes)) {
        lanes w;
        memcpy(&w, p, sizeof w);
        low += w & 0xffffffff;
        high += w >> 32;
    }
    low += high;
    return low[0] + low[1] + low[2] + low[3];
}

typedef unsigned long long word; /* as _addcarry_u64() has it */

static inline word word_at(const uint8_t *p)
{
    word w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* With the carry that leaves at the top added below. */
static inline word plus(word sum, word w)
{
    unsigned char carry = _addcarry_u64(0, sum, w, &sum);
    _addcarry_u64(carry, sum, 0, &sum);
    return sum;
}

static inline uint64_t halves(word sum)
{
    return (sum & 0xffffffff) + (sum >> 32);
}

/* At least eight bytes. What is left behind the last whole word is the top of the last eight bytes (little-endian
 * host), as if a zero byte stood behind it if it is odd. */
static inline uint64_t add_words(const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    word sum = 0;
    for (; end - p >= 32; p += 32) {
        unsigned char carry = _addcarry_u64(0, sum, word_at(p), &sum);
        carry = _addcarry_u64(carry, sum, word_at(p + 8), &sum);
        carry = _addcarry_u64(carry, sum, word_at(p + 16), &sum);
        carry = _addcarry_u64(carry, sum, word_at(p + 24), &sum);
        _addcarry_u64(carry, sum, 0, &sum);
    }
    for (; end - p >= 8; p += 8)
        sum = plus(sum, word_at(p));
    if (p != end)
        sum = plus(sum, word_at(end - 8) >> (64 - 8 * (end - p)));
    return halves(sum);
}

enum { MANY = 256 /* bytes, from which on lanes are quicker than words */ };

/* Few bytes, or many. */
static __attribute__((noinline)) uint64_t add_otherwise(uint64_t sum, const uint8_t *p, size_t len)
{
    if (len >= MANY) {
        sum += add_blocks(p, len / sizeof(lanes));
        p += len & ~(sizeof(lanes) - 1);
        len &= sizeof(lanes) - 1;
    }
    if (len >= sizeof(word))
        return sum + add_words(p, len);
    word w = 0;
    for (size_t i = 0; i < len; i++)
        w |= (word)p[i] << (8 * i);
    return sum + halves(w);
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
    if (likely(len - sizeof(word) < MANY - sizeof(word)))
        return sum + add_words(data, len);
    return add_otherwise(sum, data, len);
}

uint64_t checksum_add_frame(uint64_t sum, const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
    while (m && off >= m->data_len) {
        off -= m->data_len;
        m = m->next;
    }
    bool odd = false;
    for (; m && len; m = m->next, off = 0) {
        uint32_t part = RTE_MIN(len, m->data_len - off);
        uint64_t s = checksum_add(0, rte_pktmbuf_mtod_offset(m, const uint8_t *, off), part);
        /* After an odd number of bytes all 16-bit words stand with their halves swapped. */
        sum += odd ? __builtin_bswap16(checksum_fold(s)) : s;
        odd ^= part & 1;
        len -= part;
    }
    return sum;
}

uint64_t checksum_pseudo(const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol)
{
    unsigned skip = ip_is_v4(src) ? 12 : 0;
    uint64_t sum = checksum_u16(0, protocol);
    sum = checksum_add(sum, src->b + skip, 16 - skip);
    return checksum_add(sum, dst->b + skip, 16 - skip);
}
