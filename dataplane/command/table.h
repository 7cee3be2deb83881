/* table.h: inside the command layer only: the look-up table as dispatch and COMMAND use it. */
#pragma once
#include "command/command.h"

enum {
    MANY_KEYS = 64 /* keys looked at for a route or for room; a command with more takes every shard */
};

struct command_slot {    /* one name of the open-addressed table; two a cache line */
    uint64_t head, tail; /* case-folded first and last eight bytes of the name */
    const struct command *cmd;
    uint8_t len;      /* 0: free */
    uint8_t key_kind; /* of cmd, so that a plain GET reads one line here and none of the row */
    uint8_t key_first;
    bool exact; /* the folded words decide alone (letters only, 16 at most) */
    int16_t arity;
    bool container;
    uint8_t family;
};

/* The slot of a first word, whatever its case, or NULL. */
const struct command_slot *command_slot_find(struct slice name);
/* The sub-command of a container, or NULL. */
const struct command *command_sub_find(const struct command *container, struct slice name);
/* Is a top-level command still reachable (not removed by rename-command)? */
bool command_enabled(const struct command *cmd);
/* The commands of the table without their sub-commands: ids 0 to n - 1. */
unsigned command_top_ids(void);

static inline bool command_arity_ok(int arity, int argc)
{
    return arity >= 0 ? argc == arity : argc >= -arity;
}
