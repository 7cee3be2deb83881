/* monitor.h: MONITOR: whoever asked for it is shown every command that is run.
 * https://redis.io/docs/latest/commands/monitor/
 *
 * A worker writes what it runs as lines of text, in a bounded room: what finds none is dropped and counted,
 * and never a request waits. The lines go to the workers that have monitors once a batch is over; with
 * several workers those put what has come by its times, a millisecond later. While nobody monitors, all this
 * is one flag (command_env.observers) that is looked at anyway. Each worker has a struct monitor of its own;
 * others look only at how many clients of it monitor. */
#pragma once
#include "base/config.h"
#include "command/text.h"

#include <stdatomic.h>

struct client;
struct command_env;
struct request;

enum { MONITOR_ROOM = 4 << 20 };

struct monitor_common {
    unsigned workers;
    struct monitor *of[CONFIG_WORKERS];
};

struct monitor { /* one a worker */
    struct monitor_common *common;
    struct command_env *env;
    bool *due;                  /* raised when there are lines */
    struct text seen;           /* what was run here */
    struct text came;           /* lines of all workers, for clients here */
    _Atomic(size_t) on_the_way; /* bytes that were seen here and are not yet shown elsewhere */
    struct client **client;     /* that monitor */
    unsigned cap;
    _Atomic(unsigned) clients;
};

/* NULL if out of memory. */
struct monitor *monitor_new(struct monitor_common *common, struct command_env *env, bool *due);
void monitor_free(struct monitor *m);
/* A client ends, or RESET. */
void monitor_leave(struct monitor *m, struct client *c);
/* The command of a request is shown, unless it is one that is not. */
void monitor_note(const struct request *rq);
/* One that shows itself (MULTI's end, scripts). */
void monitor_note_always(const struct request *rq);
/* Does anybody of the box monitor? */
bool monitor_wanted(const struct monitor *m);
/* Puts the lines that have come in the order of their times. */
void monitor_sort(struct monitor *m);
