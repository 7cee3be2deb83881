/* string_commands.h: handlers of the string commands and what the bit commands share with them. */
#pragma once
#include "command/command.h"

command_handler get_command, set_command, setnx_command, setex_command, psetex_command, getset_command,
    getdel_command, getex_command, mget_command, mset_command, msetnx_command, append_command, strlen_command,
    setrange_command, getrange_command, substr_command, incr_command, decr_command, incrby_command,
    decrby_command, incrbyfloat_command, lcs_command;

/* Looks a string up: *e is NULL when the key is absent. False, after replying WRONGTYPE, when the key holds
 * another type. */
bool string_find(struct request *rq, const struct key *k, unsigned how, struct entry **e);

/* False, after replying the error, when a string of size + more bytes would exceed proto-max-bulk-len. */
bool string_fits(struct request *rq, uint64_t size, uint64_t more);

/* Replies +OK, or the OOM error. */
void reply_stored(struct request *rq, enum store_result result);
