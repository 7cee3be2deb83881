/* metrics.h: what the box reports about itself, as Prometheus text and as JSON. */
#pragma once
#include "control/block.h"
#include "control/control.h"

#include <jansson.h>

/* Prometheus text format 0.0.4. redis_* are the names of redis_exporter, sluice_* our own. b is NULL when
 * there is no dataplane. */
void metrics_text(struct text *out, const struct control *c, const struct block *b, const struct heartbeat *h,
                  uint64_t now_ms);
/* The same figures as an object. */
json_t *metrics_json(const struct control *c, const struct block *b);
/* For whoever adds lines to it: what introduces a value; a label's value with what must be escaped. */
void metrics_head(struct text *out, const char *name, const char *type, const char *help);
void metrics_label(struct text *out, const char *value);
/* latency.c: wire-to-wire times of requests, by family of commands and stage of their way: quantiles and
 * buckets; and as Prometheus histograms. */
json_t *latency_json(const struct block *b);
void latency_text(struct text *out, const struct block *b);
uint64_t monotonic_ms(void);
uint64_t wall_clock_ms(void);
