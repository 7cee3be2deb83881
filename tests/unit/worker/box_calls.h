/* box_calls.h: clients of the rig that come and go one by one, while others are served. */
#pragma once
#include "box_rig.h"

/* Client i, whose place is free, calls this port: its first segment is on its way, rig_run() goes on. */
struct rig_client *rig_call(struct box_rig *r, unsigned i, uint16_t port);
/* Resets client i's connection, if it has one: its place is free, and nothing of it goes on in who comes next. */
void rig_drop(struct box_rig *r, unsigned i);
