/* capture.h: the one capture that may run, on the main thread: started by control (MSG_CAPTURE_START,
 * messages.h), published to the workers as a pointer, read from their rings into messages. */
#pragma once
#include "tap.h"

#include <stdatomic.h>

struct channel;
struct channel_capture;
struct rte_rcu_qsbr;

struct capture {
    struct tap *tap; /* NULL: none runs */
    uint64_t id;
    uint64_t left;   /* packets that are still wanted; UINT64_MAX = no end */
    uint64_t credit; /* bytes that control is ready to take */
    bool ending;     /* taken from the workers; freed once none of them can hold it */
    bool unwanted;   /* control has gone: nobody to tell the end to */
    uint64_t token;  /* grace period since `ending` */
    const char *why;
};

/* Where workers find the tap. */
struct capture_place {
    _Atomic(struct tap *) *tap;
    struct rte_rcu_qsbr *rcu;
    unsigned workers;
    struct channel *channel;
};

/* Starts it, or refuses (not `serving` yet, one runs already); answers control in both cases. */
void capture_start(struct capture *c, const struct capture_place *place,
                   const struct channel_capture *request, bool serving);
/* Ends it in good order; with `rest` what is in the rings is still sent. Another id is ignored. */
void capture_stop(struct capture *c, const struct capture_place *place, uint64_t id, bool rest);
/* Control takes `bytes` more. */
void capture_more(struct capture *c, uint64_t id, uint64_t bytes);
/* Control has gone: nobody wants the rest. */
void capture_forget(struct capture *c, const struct capture_place *place);
/* A turn of the main thread: sends what there is within the credit, ends what is to end. */
void capture_turn(struct capture *c, const struct capture_place *place);
/* When no worker runs any more. */
void capture_free(struct capture *c);
