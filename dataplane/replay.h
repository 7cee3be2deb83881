/* replay.h: sluice-replay: an append-only log on its way to become a snapshot, in a process and a store of its own, so that the
 * keys of a box that serves meet what the log has made of its own ones, not the commands that made it.
 *
 *     sluice-control --log LOG | sluice-replay >SNAPSHOT     (`sluice snapshot import LOG` runs both)
 *
 * replay.c: the process and its store; replay_in.c: the stream of items (channel/messages.h), which is what the dataplane loads at its
 * start, into the store; replay_out.c: the store as an RDB file. */
#pragma once
#include "command/command.h"

#include <stdio.h>

struct load_batch;

enum { REPLAY_WHY = 512 };

struct replay {
    struct command_env env;
    struct client client;
    uint64_t keys, expired, refused; /* of the result; commands that replied an error */
    char why[REPLAY_WHY];            /* "" = all is well; else one line */
    /* replay_in.c: */
    struct load_batch *log; /* commands that wait to be run */
    uint8_t *body;          /* of the record that comes in parts */
    size_t len, room;
    int kind; /* of that record: LOAD_KEY, LOAD_FUNCTION; 0: none is open */
    uint64_t at, before; /* place in the file, bytes of the files before it */
    bool ended;
    /* Who wants to see it: descriptor for lines of JSON, or -1; bytes of the log, or 0. */
    int tells;
    bool bar;
    uint64_t bytes, next_tell_ms;
};

/* Reads the stream to its end, and runs it. False: see `why`. */
bool replay_read(struct replay *r, FILE *from);
/* A command of ours. False with the error's text, `size` bytes, if it replied one. */
bool replay_command(struct replay *r, int argc, const struct slice *argv, char *error, size_t size);
/* Writes all that is in the store as an RDB file. False: see `why`. */
bool replay_write(struct replay *r, FILE *to);
/* How far it is, to whoever wants to see it; `over`: for the last time. */
void replay_tell(struct replay *r, bool over);
