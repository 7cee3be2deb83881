/* reply_run.h: replies of many elements of a pack. */
#pragma once
#include "base/turn.h"
#include "resp/writer.h"
#include "store/pack_run.h"

/* Replies up to *left elements of a run as bulk strings and counts them down, each as they come or (firsts)
 * every other one: of field and value the fields. False: it is in vain to go on (turn_goes_on). The pack must
 * stay as it is over a turn. */
bool reply_run(struct resp_writer *w, struct pack_run *run, uint64_t *left, struct turn *turn);
bool reply_run_firsts(struct resp_writer *w, struct pack_run *run, uint64_t *left, struct turn *turn);
