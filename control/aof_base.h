/* aof_base.h: the base of an append-only log as commands (aof-use-rdb-preamble no): SELECT, FUNCTION LOAD, and a RESTORE a key with its
 * value as DUMP would give it, which redis-server loads as well. https://redis.io/docs/latest/commands/restore/ */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Writes what is in the RDB file into the other one, which is empty, and syncs that. False and a line in error. Memory: a window,
 * the longest name, and 16 bytes for each value of more than 128 KB. */
bool aof_base_write(int rdb, int to, char *error, size_t size);
/* `sluice-control --aof FILE`: the same to stdout. The exit code. */
int aof_base_print(const char *file);
