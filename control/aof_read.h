/* aof_read.h: a file of an append-only log: commands in RESP, transactions whole or not at all, annotations ("#TS:...") passed
 * over. https://redis.io/docs/latest/develop/reference/protocol-spec/ */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aof_check {
    uint64_t size, good; /* bytes of the file; up to where commands and transactions are whole */
    bool truncated;      /* what is behind that is the beginning of a command, or an open transaction */
    const char *why;
    uint64_t commands;
};
/* Looks at it from byte `from` on (behind a preamble; 0: all of it). True if it is sound to its end. */
bool aof_check(int file, uint64_t from, struct aof_check *check);
/* Gives the commands from there on within the first `good` bytes, which are sound, without MULTI and EXEC, in pieces of at most AOF_PIECE bytes,
 * to fn; whole: the piece ends with a command. False: the file cannot be read any more. */
enum { AOF_PIECE = 60 * 1024 };
typedef void aof_commands(void *ctx, uint64_t at, const uint8_t *p, size_t n, bool whole);
bool aof_read(int file, uint64_t from, uint64_t good, aof_commands *fn, void *ctx);
