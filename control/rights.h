/* rights.h: with which rights the dataplane is started, and what control itself gives up. Directives:
 * dataplane-user, dataplane-seccomp, control-user. */
#pragma once
#include "control/settings.h"
#include "control/starter.h"

enum { RIGHTS_ARGS = 13 };

struct rights {
    const char *command[RIGHTS_ARGS + 1]; /* the dataplane's */
    struct starter *starter;              /* control has no root any more; NULL = as it was started */
    char user[32], control[32];
    char line[256]; /* for the log: what was done, or what could not be */
    bool warning, kept; /* in memory: never swapped */
};

/* Once, before there are threads, descriptors or files: whatever control makes then belongs to whom it has
 * become. The texts are borrowed. False: why control may not go on stands in line. */
bool rights_take(struct rights *r, const struct settings *s, const char *program, const char *socket,
                 const char *instance, const char *updates);
void rights_release(struct rights *r);
