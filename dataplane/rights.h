/* rights.h: what the dataplane keeps of root when its start is over: nothing. */
#pragma once
#include "base/config.h"
#include "board/confine.h"

struct rights { /* from the command line */
    struct confine_user user;
    bool leave_root; /* user was given */
    enum confine_mode calls;
};

/* After memory, link and threads are there and before the first frame is looked at. line: what was given up,
 * for the log; false: why we may not go on. */
bool rights_drop(const struct rights *r, enum link_type link, char *line, size_t size);
