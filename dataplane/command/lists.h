/* lists.h: handlers of the list commands, and what they share. */
#pragma once
#include "command/command.h"
#include "store/list.h"

command_handler lpush_command, rpush_command, lpushx_command, rpushx_command;
command_handler lpop_command, rpop_command, lmpop_command, lmove_command, rpoplpush_command;
command_handler llen_command, lindex_command, lrange_command, lpos_command;
command_handler lset_command, linsert_command, lrem_command, ltrim_command;

command_handler blpop_command, brpop_command, blmove_command, brpoplpush_command, blmpop_command;

void reply_item(struct resp_writer *w, const struct item *item);

/* LEFT or RIGHT; false after replying the error. */
bool request_list_end(struct request *rq, int i, enum list_end *end);
/* An integer from `least` on; `error` for anything else. */
bool request_least(struct request *rq, int i, int64_t least, int64_t *out, const char *error);

/* Makes start and stop of a range, negative ones from the end, indexes of a list of `len` elements; returns
 * how many they span. */
int64_t clamp_range(int64_t len, int64_t *start, int64_t *stop);

/* What a blocking command tries now and again: pops up to count elements of the first of these keys that has
 * some and replies them with the key, or replies an error. CMD_BLOCK: all are empty, nothing was replied. */
enum command_result list_mpop_try(struct request *rq, int first_key, int keys, enum list_end end,
                                  int64_t count);
/* The same for one element, in the form of BLPOP. False: all are empty. */
bool list_pop_try(struct request *rq, int first_key, int keys, enum list_end end);

struct list_mpop { /* the arguments of LMPOP from numkeys on */
    int keys;
    enum list_end end;
    int64_t count;
};
/* Reads them from argument `at` on; false after replying the error. */
bool request_list_mpop(struct request *rq, int at, struct list_mpop *m);

/* list_pop_try for moving an element between the keys in arguments `from` and `to`. */
bool list_move_try(struct request *rq, int from, int to, enum list_end from_end, enum list_end to_end);
