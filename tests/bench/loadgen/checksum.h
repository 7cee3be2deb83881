/* checksum.h: the Internet checksum (RFC 1071) over short runs of bytes. */
#pragma once
#include <stdint.h>
#include <string.h>

/* One's complement sum of size bytes in memory order, folded to 16 bits. */
static inline uint32_t sum_bytes(const uint8_t *p, unsigned size)
{
    uint64_t low = 0, high = 0, word; /* halves of words: nothing is carried, and neither waits for the other */
    unsigned i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, p + i, 8);
        low += word & 0xffffffff;
        high += word >> 32;
    }
    if (i < size) {
        word = 0;
        memcpy(&word, p + i, size - i);
        low += word & 0xffffffff;
        high += word >> 32;
    }
    uint64_t sum = low + high;
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

static inline uint16_t sum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
