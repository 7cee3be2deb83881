/* bits.h: handlers of the bitmap commands, and the loops over bits that they share. Bit 0 of a string is the
 * highest bit of its first byte. */
#pragma once
#include "command/command.h"

command_handler setbit_command, getbit_command, bitcount_command, bitpos_command, bitop_command,
    bitfield_command, bitfield_ro_command;

enum bit_op { BITS_AND, BITS_OR, BITS_XOR, BITS_NOT };

/* Number of set bits of n bytes. */
uint64_t bits_count(const uint8_t *p, size_t n);

/* Position of the first bit of value `bit` in n bytes, or n * 8 if there is none. */
uint64_t bits_find(const uint8_t *p, size_t n, bool bit);

/* dst = dst OP src over n bytes (BITS_NOT: dst = ~src). dst and src may be the same. */
void bits_combine(enum bit_op op, uint8_t *dst, const uint8_t *src, size_t n);

/* The unsigned field of `width` (1..64) bits at bit `offset` of a string of len bytes; bits beyond its end
 * are zero. */
uint64_t bits_get(const uint8_t *p, size_t len, uint64_t offset, unsigned width);

/* Writes a field; it must lie inside the memory. */
void bits_put(uint8_t *p, uint64_t offset, unsigned width, uint64_t value);

/* A bit offset argument: a number below 8 * proto-max-bulk-len, or with width > 0 also "#n" for n * width.
 * False after replying the error. */
bool request_bit_offset(struct request *rq, int i, unsigned width, uint64_t *offset);
