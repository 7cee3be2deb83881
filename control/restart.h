/* restart.h: `restart dataplane`: with its keys in memory where the next one can take them over; where it cannot, and
 * there are save points, a snapshot is made first, while it still serves reads: writes wait, so that none is acknowledged
 * and not in the snapshot. `stop`, which nobody takes over from, makes one with save points, as SHUTDOWN does. */
#pragma once
#include "control/control.h"

/* Does a directive that waits for a restart give memory another shape, whatever program is started? A line in why, "" = none. */
bool restart_reshapes(const struct control *c, char *why, size_t size);
/* Why the next dataplane could not take over the keys of this one: a line in why, "" = it can. Starts the program to ask it. */
void restart_doubt(const struct control *c, char *why, size_t size);

enum restart_way {
    RESTART_NOW,
    RESTART_SAVES, /* a snapshot comes first; a failure of it leaves everything as it is, with a line in the log */
    RESTART_BUSY   /* another restart, or a stop, is under way: nothing was done */
};
enum restart_way restart_dataplane(struct control *c, const char *who);
/* Ends the dataplane, then control. A snapshot that fails, or does not get on, does not keep it: a line in the log. */
void restart_stop(struct control *c);
/* What is under way is forgotten. */
void restart_free(struct control *c);
