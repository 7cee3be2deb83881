/* row.h: GETs one behind the other, as clients that read in pipelines send them, in loops of their own: what
 * is the same for all of them is looked at once. Whatever is unusual about one ends the row before it, and it
 * goes the general way (command_prepare, command_execute), which gives the same reply. */
#pragma once
#include "command/command.h"
#include "resp/reader.h"

enum { ROW_ARGS = 2 };

/* The note of requests that may go in rows, for a quick look; NULL: of none. Until command_table_init() is called again. */
const void *row_note(void);

/* The command, if row_read() may go on behind a request for which command_prepare_noted() left this note; or
 * NULL. */
const struct command *row_follows(const struct command_env *env, const struct client *c, const void *note);

/* Reads GETs that begin as the last request did from the window's beginning, at most `most` (and there is
 * room in the row): each with a key of this worker's shard, for which memory is asked ahead. Argument
 * slices go to argv, ROW_ARGS each; end[i] is where request i ends in the window. Returns how many they are.
 */
unsigned row_read(const struct command_env *env, const struct client *c, const struct resp_reader *r,
                  struct slice window, struct ahead_row *ahead, struct slice *argv, uint32_t *end,
                  unsigned most);

/* Replies to GETs first ... first + n - 1 of the row, their arguments from argv on, as long as they are of
 * the usual kind: the hint has found a short string. Counts them. Returns how many were replied to: the next
 * one, if there is one, goes the general way. */
unsigned row_run(struct command_env *env, struct client *c, const struct command *cmd,
                 struct ahead_row *ahead, const struct slice *argv, unsigned first, unsigned n,
                 struct resp_writer *out);
