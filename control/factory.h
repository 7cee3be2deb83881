/* factory.h: `factory-reset`: the box forgets its configuration, users, keys, certificates, snapshots, logs
 * and history.
 *
 * Files are overwritten before they are unlinked; a flash disk may keep old blocks all the same (its own
 * secure erase is for whoever gives the disk away). What is left: state-dir/factory-reset, which says when
 * and by whom, and a configuration file with the content of FILE.factory if there is one. */
#pragma once
#include "control/show.h"

struct factory_reset;
/* After everything has been closed. Frees it. What is to be wiped stands in state-dir/factory-reset.pending
 * from the answer on until all of it is gone; first go the configuration and what is small (keys, tokens,
 * passwords), then the data. */
void factory_reset_run(struct factory_reset *r);
/* One that a power cut or kill -9 ended: does it again, from its beginning. False: there is none. */
bool factory_reset_resume(const char *state_dir);
/* {"op":"factory-reset"}: "confirm" must be the name of the host; "keep_network". Sets control->reset and
 * stops all. */
operation factory_reset;
