/* box.h: the whole box put together: made from the first generation of configuration, run by the main thread,
 * which serves the control channel while workers serve clients. */
#pragma once
#include "board/plan.h"
#include "kept.h"
#include "capture.h"
#include "box_load.h"
#include "channel/channel.h"
#include "rights.h"
#include "worker.h"

struct plane { /* the main thread's state */
    struct channel *channel;
    const char *instance;
    struct config *first; /* the generation that came before start */
    struct rights rights;
    struct board_plan plan;     /* where workers and their memory are, made at start */
    struct box box;
    struct port *port;
    struct config *retired; /* replaced, to be freed after a grace period */
    uint64_t next_gauges_ms;
    struct capture capture;
    char audit[NOTE_BYTES]; /* a line that is on its way to control; "" = none */
    struct load load;
    struct kept kept;
    uint64_t wall_s; /* when the last exchange began, seconds since 1970 */
    unsigned clients_max; /* as many as the pools of connections, made at start, serve */
    uint64_t link, past_link; /* net_identity() of this box, and of the one that had the link a moment ago */
    bool taken; /* the keys of the dataplane before this one */
    bool launched, serving;
};

/* Brings EAL, the port, the keyspace and the workers up. False and one line in error. */
bool plane_start(struct plane *p, char *error, size_t size);
/* Ends workers and gives everything back. Safe after a failed start. */
void plane_stop(struct plane *p);
/* A crash leaves what the next process can take over, or (whole = false) nothing, as keys are being loaded or freed. With
 * whole and for the first time no worker is to change libraries of functions. */
void plane_outlives(struct plane *p, bool whole);
/* A new generation while serving: NULL, or why it cannot be taken. */
const char *plane_reconfigure(struct plane *p, struct config *conf);
/* Carries messages between workers and control, and publishes gauges. */
void plane_exchange(struct plane *p, uint64_t now_ms);
/* Sends a job to a worker. */
void plane_give(struct plane *p, unsigned worker, struct job *j);
/* Control wants a command run. */
void plane_exec(struct plane *p, uint64_t id, int argc, const struct slice *argv);
/* Frees the questions that will not be answered and what workers sent to main, when none runs any more. */
void plane_forget(struct plane *p);
/* Control has answered a question, or (all = true) has gone and will answer none. */
void plane_answer(struct plane *p, uint64_t id, struct slice resp, bool all);
/* Captures of frames, for control (capture.h). */
void plane_capture_start(struct plane *p, const struct channel_capture *request);
void plane_capture_stop(struct plane *p, uint64_t id, bool rest);
void plane_capture_forget(struct plane *p);
