/* crc64.h: CRC-64/Jones as RDB files and DUMP payloads carry it: polynomial 0xad93d23594c935a9, reflected, no
 * initial value and no final inversion. "123456789" gives 0xe9c6d914c4b8d9ca. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* The sum of what was summed into crc (0 at first) and n bytes more. */
uint64_t crc64(uint64_t crc, const void *bytes, size_t n);
