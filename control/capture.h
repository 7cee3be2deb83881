/* capture.h: the one capture of frames that may run: from a request of the management API over the filter's
 * compilation and the dataplane to a stream of pcapng. */
#pragma once
#include "control/link.h"

struct capture;
struct capture *capture_new(struct event_base *base, struct link *link);
void capture_free(struct capture *k); /* ends the one that runs */
/* From the link: MSG_CAPTURE_*; false if it cannot be read. */
bool capture_message(struct capture *k, enum message_type type, struct message_reader *r);
void capture_detached(struct capture *k);
