/* streams.h: what the stream commands share: IDs in arguments and replies, entries in replies.
 * https://redis.io/docs/latest/commands/?group=stream */
#pragma once
#include "command/command.h"
#include "store/stream.h"

enum { STREAM_ID_TEXT = 44 };

/* <ms> or <ms>-<seq>; missing: seq where it is not given. "-" and "+" are the least and the greatest ID
 * unless strict. With seq_given, <ms>-* is right, too, and *seq_given false then. */
bool parse_stream_id(struct slice text, struct stream_id *id, uint64_t missing, bool strict, bool *seq_given);
/* A strict ID as an argument; false after replying an error. */
bool request_stream_id(struct request *rq, int i, struct stream_id *id);
/* An end of an interval, "(" before it if it is not included; false after replying an error. */
bool request_stream_start(struct request *rq, int i, struct stream_id *id);
bool request_stream_end(struct request *rq, int i, struct stream_id *id);

size_t format_stream_id(char text[STREAM_ID_TEXT], struct stream_id id);
void reply_stream_id(struct resp_writer *out, struct stream_id id);
/* The entry that the walk is at: its ID and an array of its fields and values. */
void reply_stream_entry(struct resp_writer *out, struct stream_walk *w);
/* The entry of an ID, which is there. */
void reply_stream_entry_of(struct resp_writer *out, const struct stream *st, struct stream_id id);
/* An array of the entries from one ID to another, `most` at most (UINT64_MAX: all). */
void reply_stream_range(struct request *rq, const struct stream *st, struct stream_id from,
                        struct stream_id to, uint64_t most, bool reverse);

/* The stream and its group of arguments `key` and `group`, for commands that need both. False after replying
 * WRONGTYPE or NOGROUP. */
bool request_stream_group(struct request *rq, struct value_at *v, struct stream_group **g);
/* The group's consumer of a name; made if there is none. NULL after replying that there is no memory. Seen
 * now. */
struct stream_consumer *request_stream_consumer(struct request *rq, struct value_at *v,
                                                struct stream_group *g, struct slice name, bool *made);

/* A slice as the C string that Redis prints in an error, for "%.*s". */
#define STREAM_WORD(slice) (int)((slice).len < 4096 ? (slice).len : 4096), (const char *)(slice).p
