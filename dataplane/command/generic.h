/* generic.h: handlers of the commands on keys of any type. */
#pragma once
#include "command/command.h"

command_handler del_command, unlink_command, exists_command, touch_command, type_command, keys_command,
    scan_command, randomkey_command, rename_command, renamenx_command, copy_command, move_command,
    expire_command, pexpire_command, expireat_command, pexpireat_command, ttl_command, pttl_command,
    expiretime_command, pexpiretime_command, persist_command, object_encoding_command, object_freq_command,
    object_help_command, object_idletime_command, object_refcount_command, dump_command, restore_command,
    migrate_command;

int migrate_getkeys(int argc, const struct slice *argv, int *position, int room);

/* Conditions of EXPIRE and HEXPIRE. */
enum { WHEN_NX = 1, WHEN_XX = 2, WHEN_GT = 4, WHEN_LT = 8 };
/* That which a word names, or 0. */
unsigned expiry_condition(struct slice word);
/* Do the conditions allow to change the present expiry (0 = none, which counts as endless) to the new one? */
bool expiry_may_change(unsigned conditions, uint64_t now_at, int64_t at);

/* A value as DUMP gives it, with the request's turns; the writer is the caller's to free, and may have
 * failed. */
struct rdb_writer;
void dump_value(struct rdb_writer *w, const struct request *rq, const struct shard *s, const struct entry *e);

/* Replies the payload, or that there is no memory, and frees it. */
enum command_result reply_payload(struct request *rq, struct rdb_writer *w);
/* rdbcompression: are strings in payloads compressed? */
bool dump_compresses(const struct config *conf);
/* Redis' name of a type: "string", "list", ... */
const char *value_type_name(enum value_type type);
