/* counters.c: names and help texts of the counters. */
#include "base/counters.h"

static const struct {
    const char *name, *help;
} table[COUNTER_MAX] = {
#define X(name, help) {#name, help},
#include "base/counters.def"
#undef X
};

const char *counter_name(enum counter which)
{
    return table[which].name;
}

const char *counter_help(enum counter which)
{
    return table[which].help;
}
