/* reflect.h: mode reflect: the least server that a client can talk to. It keeps no state: sequence numbers come
 * from the segment that is answered, the value from the key. With it the client side is tested without a box, and
 * its own limit is measured. It answers the requests of one segment with one segment: pipelines up to 12. */
#pragma once
#include "link.h"
#include "workload.h"

/* Serves for the given seconds. */
void reflect_run(struct link *l, const struct workload *w, const struct options *o);
