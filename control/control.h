/* control.h: the parts of a running control that its interfaces (wire, management API, stats) work on. */
#pragma once
#include "control/block.h"
#include "control/commit.h"
#include "control/exec.h"
#include "control/supervise.h"

struct control {
    struct event_base *base;
    struct link *link;
    struct supervisor *supervisor;
    struct commit *commit;
    struct execs *execs;
    struct capture *capture;
    struct load *load;
    struct audit *audit;
    struct remote_log *remote_log;
    struct snapshot *snapshot;
    struct aof *aof;
    struct certificates *certificates;
    struct candidate *candidate;
    struct alarms *alarms;
    struct restart *restart;     /* NULL, or the snapshot before a restart or a stop is on its way */
    struct factory_reset *reset; /* NULL, or what is to be done when everything has been closed */
    struct tokens *tokens;
    struct api *api;
    struct https *https;
    struct heartbeat heartbeat;
    uint64_t started_ms;     /* wall clock */
    const char *config_path; /* "" = none */
    const char *inventory;   /* the tree that describes the machine; "" = this one */
    bool leaving;            /* the box is being stopped: signals end nothing before that is over */
    /* Ends the dataplane, then control, with no snapshot. */
    void (*stop_all)(struct control *c);
};

/* wire.c: a Redis client's command that only control may carry out (ASK). */
void wire_ask(struct control *c, uint64_t id, const char *client, int argc, char **argv);

/* api.c: the management API. NULL and one line in error. */
struct api;
struct api *api_open(struct control *c, const char *path, char *error, size_t size);
void api_close(struct api *a);

/* stats.c: the HTTP endpoint. NULL and one line in error. */
struct stats;
struct stats *stats_open(struct control *c, const char *address, unsigned port, char *error, size_t size);
void stats_close(struct stats *s);
