/* remote_log.h: the log and the audit log, line by line as they come, to other hosts (`log-remote`): syslog
 * (RFC 5424) over UDP (RFC 5426), TCP (octet counts, RFC 6587 section 3.4.1) or TLS (RFC 5425; the server's
 * certificate must be good and for the host that was named).
 *
 * Each host has a queue of REMOTE_QUEUE bytes. When that is full, lines are counted instead of kept, and the
 * count is the next thing that the host is told. What was handed to a connection that then broke is lost
 * without being counted. */
#pragma once
#include "control/control.h"

enum { REMOTE_QUEUE = 1 << 20 };

struct remote_log;
/* Sends nothing yet. Watches the log from now on, and the audit log if it is given. */
struct remote_log *remote_log_new(struct event_base *base, struct audit *audit);
void remote_log_free(struct remote_log *r);

/* log-remote, log-remote-ca-cert-file, syslog-facility. Hosts that stay keep their connections and queues. */
void remote_log_settings(struct remote_log *r, const struct settings *s);

void remote_log_metrics(struct text *out, const struct remote_log *r);
/* Whom it has not reached for `ms`: their word of the configuration and a line. */
void remote_log_alarms(const struct remote_log *r, uint64_t ms,
                       void (*fn)(void *ctx, const char *subject, const char *line), void *ctx);
