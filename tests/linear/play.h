/* play.h: random clients against the workers of a box in this process (box_rig.h), with delays at whatever
 * they do in the fabric: in one thread, in an order drawn from a seed and in virtual time, or each worker in
 * a thread of its own. */
#pragma once
#include "box_rig.h"
#include "checker.h"
#include "load.h"

enum { PLAY_CLIENTS = 3 /* of a lane at a time, at most */ };

struct play {
    unsigned workers;
    uint64_t seed;
    unsigned ops; /* of each client */
    bool threads;
    bool whole;   /* see struct linear_load */
    bool slow;    /* likewise */
    bool hang_up; /* some clients vanish in the middle of a request */
    enum linear_defect defect;
};

void play_start(unsigned workers);
/* One history; false, and a line of what was said, if it did not end. */
bool play_history(const struct play *p, struct history *h);
/* False if a packet buffer has leaked. */
bool play_stop(void);
