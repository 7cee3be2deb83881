/* times.c: names of stages and families. */
#include "base/times.h"

#include <string.h>

static const char *const stages[TIME_STAGES] = {"stack", "queue", "execute", "elsewhere", "send", "total"};

static const char *const families[TIME_FAMILIES] = {[TIME_LOOP] = "loop",
                                                    [TIME_OTHER] = "other",
                                                    [TIME_FIRST_GROUP] = "string",
                                                    "hash",
                                                    "list",
                                                    "set",
                                                    "sorted-set",
                                                    "stream",
                                                    "bitmap",
                                                    "geo",
                                                    "hyperloglog",
                                                    "generic",
                                                    "pubsub",
                                                    "transactions",
                                                    "scripting",
                                                    "connection",
                                                    "server",
                                                    "cluster"};

const char *time_stage_name(enum time_stage stage)
{
    return stages[stage];
}

const char *time_family_name(unsigned family)
{
    return families[family] ? families[family] : "";
}

uint8_t time_family_of(const char *group)
{
    for (unsigned i = TIME_FIRST_GROUP; group && i < TIME_FAMILIES && families[i]; i++)
        if (strcmp(families[i], group) == 0)
            return (uint8_t)i;
    return TIME_OTHER;
}
