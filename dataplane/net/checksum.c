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

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    if (len >= sizeof(lanes)) {
        sum += add_blocks(p, len / sizeof(lanes));
        p += len & ~(sizeof(lanes) - 1);
        len &= sizeof(lanes) - 1;
    }
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t w;
        memcpy(&w, p, 4);
        sum += w;
    }
    if (len >= 2) {
        uint16_t w;
        memcpy(&w, p, 2);
        sum += w;
        p += 2;
    }
    if (len & 1)
        sum += *p; /* padded with a zero byte behind it: little-endian host */
    return sum;
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
