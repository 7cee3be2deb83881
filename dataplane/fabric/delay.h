/* delay.h: where a test may make a worker late at what it does in the fabric, or with the next slice of what takes long
 * (tests/linear). In the product there is nothing. */
#pragma once
#include <stdbool.h>

enum fabric_point {
    FABRIC_SEND,    /* true: as if the ring were full */
    FABRIC_RECEIVE, /* true: as if nothing had come yet */
    FABRIC_STOP,    /* true: as if somebody else were stopping all */
    FABRIC_SLICE,   /* true: as if the slice of this round were another command's (dataplane/turns.c) */
    FABRIC_PARK,    /* the rest: time may pass, the result is not looked at */
    FABRIC_STOPPING,
    FABRIC_LEAVE,
    FABRIC_RESUME
};

#ifdef FABRIC_DELAYS
bool fabric_delay(enum fabric_point at, unsigned self);
#else
static inline bool fabric_delay(enum fabric_point at, unsigned self)
{
    (void)at;
    (void)self;
    return false;
}
#endif
