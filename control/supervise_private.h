/* supervise_private.h: of the files of supervise.h alone: what is kept up, and what a failure means. */
#pragma once
#include "control/supervise.h"

enum {
    BACKOFF_FIRST_MS = 0, /* who has served well is there again at once */
    GOOD_SERVICE_MS = 60000, /* after this long the back-off starts afresh */
};

enum wish { WISH_RUN, WISH_RESTART, WISH_STOP };

struct supervisor {
    struct event_base *base;
    struct link *link;
    struct supervise_options options;
    const struct supervise_ops *ops;
    void *ctx;
    struct supervise_status status;
    enum wish wish;
    bool child; /* our own child: to be reaped */
    bool fresh; /* started by us and not configured yet */
    bool greeted; /* it has come as far as its hello */
    int pidfd;
    int kept[CHANNEL_KEEPS]; /* -1 = none */
    uint64_t kept_layout; /* 48 bits of its layout; 0 = not known */
    bool reshaped; /* what is kept is of another shape than the configuration has for the next start */
    char loaded[256]; /* how far loading has come, as it said last */
    unsigned faults;
    uint64_t serving_ms; /* monotonic, since it has served; 0: it has not yet */
    struct trial trial;
    bool none_serves; /* the box's own was given up, too, and nothing has served for long since: the back-off goes on */
    bool hasty;       /* an update was passed over for good because another one serves, which has not for long */
    struct event *ended, *timer, *late; /* late: an update has not served in time, or not got on with loading */
    unsigned stop_step;
};

/* supervise_ends.c. What runs has shown that it can, or an operator asks for it: the back-off begins again. */
void supervise_afresh(struct supervisor *s);
/* For how long it has served, in ms; 0: it has not. */
uint64_t supervise_served(const struct supervisor *s);
void supervise_drop(struct supervisor *s); /* what is kept in memory: closed */
/* The program that ran, or was to, is passed over, and why. True: another one is to be started next. */
bool supervise_give_up(struct supervisor *s, const char *why);
/* It has ended, or (as a fault) could not be started. status: as of wait(2), 0 if nobody knows. */
void supervise_note_end(struct supervisor *s, int status, const char *why);
/* supervise_bounds.c. From now on an update has a time to serve in, or to begin to load keys; found: an earlier control started it. */
void supervise_bound(struct supervisor *s, bool found);
/* What it says of loading: a line that tells how far it has come. */
void supervise_loads(struct supervisor *s, const char *detail);
void supervise_note_layout(struct supervisor *s); /* it serves: how what it keeps in memory is laid out */
