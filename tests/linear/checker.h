/* checker.h: is a history linearizable? The search of Wing and Gong (1993) with Lowe's list of calls and
 * ends and his memory of what has been tried (2017), as Porcupine has it. An operation takes effect at one
 * moment between its call and its end; what has no end may have had an effect or none. Operations on several
 * keys are one step of one state, so for them this is strict serialisability. Parts of a history whose keys
 * never meet in one operation are checked by themselves. */
#pragma once
#include "history.h"

struct linear_verdict {
    enum { LINEAR, NOT_LINEAR, GAVE_UP } is; /* GAVE_UP: too many steps or no memory */
    uint64_t steps;
    /* NOT_LINEAR: the first operation (of the sorted history) whose end no order reached. */
    unsigned stuck;
};

/* Sorts the history. Both ends of all operations must have different times. */
struct linear_verdict linear_check(struct history *h, uint64_t steps_max);
