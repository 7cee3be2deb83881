/* alarms.h: what is not well, in one table: `show health`, `show status`, /healthz and /metrics all tell from it.
 *
 * A condition becomes an alarm when it has lasted for its row's time: the log says so, once, and once more when it is
 * over; the last 200 of both are kept. /healthz asks for the critical conditions of this very moment. */
#pragma once
#include "control/show.h"

struct alarms;
struct alarms *alarms_new(struct control *c);
void alarms_free(struct alarms *a);

/* About once a second. */
void alarms_tick(struct alarms *a);
/* A line for each critical condition. True: there is none, the box serves. */
bool alarms_health(struct alarms *a, struct words *reasons);
/* A line for each alarm that is not critical. */
void alarms_warnings(struct alarms *a, struct words *lines);
/* sluice_alarm{alarm="...",severity="..."}: how many there are of each, also 0. */
void alarms_metrics(struct text *out, struct alarms *a);

operation show_health, show_alarms;
