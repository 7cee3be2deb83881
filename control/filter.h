/* filter.h: a filter expression (pcap-filter(7)) becomes classic BPF. libpcap does it in a child process: it
 * may ask a name server for a host's name, and an unlucky expression may keep its optimiser busy. */
#pragma once
#include <event2/event.h>
#include <stdint.h>

enum { FILTER_INSTRUCTION_BYTES = 8, FILTER_EXPRESSION_MAX = 4096 };

/* program: as MSG_CAPTURE_START carries it, valid during the call; or NULL and a line in error. */
typedef void filter_done(void *ctx, const uint8_t *program, size_t len, const char *error);

struct filter;
/* Calls done once, later, unless filter_cancel comes first. The handle is gone after either. */
struct filter *filter_compile(struct event_base *base, const char *expression, uint32_t snaplen,
                              filter_done *done, void *ctx);
void filter_cancel(struct filter *f);
