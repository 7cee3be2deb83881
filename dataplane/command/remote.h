/* remote.h: connections to other servers, for commands that run in slices (CMD_REMOTE): requests out, replies
 * of one line in. Every call may wait and lets everybody else run meanwhile; each byte that moves begins the
 * time limit anew. After anything but REMOTE_OK or REMOTE_NOTHING the connection is good for nothing but
 * release.
 *
 * Who is idle stays open for ten seconds, at most 64 of a worker, so that the next command to the same server
 * finds it, as Redis' MIGRATE does. */
#pragma once
#include "base/endpoint.h"
#include "base/slice.h"

#include <stdint.h>

struct command_env;
struct turn;

enum remote_result {
    REMOTE_OK,
    REMOTE_NOTHING, /* no whole line has come yet */
    REMOTE_TIMEOUT,
    REMOTE_CLOSED,  /* refused, reset, closed by the other end */
    REMOTE_GARBAGE, /* a line without end */
    REMOTE_NOWHERE  /* no route, no port, no memory, or the box ends */
};

enum { REMOTE_LINE = 1024 }; /* a longer line is no reply */

struct remote {
    int64_t db; /* the user's: what is selected there, -1 = unknown, and so at first */
};

struct remote_ops {
    /* An idle connection to this server, or a new one, which is open. *r is set with REMOTE_OK alone. */
    enum remote_result (*open)(struct command_env *env, struct turn *turn, const struct endpoint *to,
                               uint64_t timeout_ms, struct remote **r);
    /* Few bytes are kept to leave with those that follow, many are read until send returns. */
    enum remote_result (*send)(struct remote *r, struct slice bytes);
    /* All that was sent is on its way. */
    enum remote_result (*flush)(struct remote *r);
    /* The next line of reply without its end, valid until the next call. With wait false REMOTE_NOTHING if
     * there is none. */
    enum remote_result (*line)(struct remote *r, bool wait, struct slice *line);
    /* r is no longer the caller's. keep: it stays open, nothing is unanswered. */
    void (*release)(struct remote *r, bool keep);
};
