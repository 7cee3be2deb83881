/* load.h: a snapshot file on its way into the dataplane: at start, or while it serves.
 *
 * A child reads the file (rdb_stream.h) and writes records into a pipe; control hands on what the dataplane
 * has given credit for, and looks at none of it. So neither a slow disk nor a hostile file holds control up.
 */
#pragma once
#include "control/link.h"

struct load;
/* why: NULL, or one line; called once. */
struct load_result {
    const char *why;
    uint64_t loaded, expired, kept, libraries;
};
typedef void load_done(void *ctx, const struct load_result *result);

struct load *load_new(struct event_base *base, struct link *link);
void load_free(struct load *l);

/* The box is not served before that file is in it. Without such a file, and only then, it begins empty. */
void load_at_start(struct load *l, const char *path, load_done *done, void *ctx);
/* The same with a log: a base and increments, in order, or (why) what speaks against it. The dataplane goes on with it. memory: what
 * the one before has left there is as good, if it is whole (the result is LOAD_TAKEN_OVER then). */
struct load_files {
    char *const *path;
    unsigned n;
    bool may_cut, memory;
    const char *why; /* or NULL */
};
void load_log(struct load *l, const char *path, const struct load_files *files, load_done *done, void *ctx);
/* `file` is a descriptor of it, from where it stands, and taken over; -1: the file `path` is opened. False and one line in error; else done() is
 * called, sooner or later. */
bool load_import(struct load *l, int file, const char *path, enum load_mode mode, load_done *done, void *ctx,
                 char *error, size_t size);
/* The dataplane, which has failed to load one, begins empty. False: it cannot be told so now. */
bool load_abandon(struct load *l, load_done *done, void *ctx);
bool load_runs(const struct load *l);

/* From the link: MSG_LOAD_*; false if it cannot be read. */
bool load_message(struct load *l, enum message_type type, struct message_reader *r);
void load_detached(struct load *l);
