/* remote_line.h: a line of a log as syslog has it (RFC 5424), and where such lines go. */
#pragma once
#include "control/log.h"
#include "control/text.h"

#include <stddef.h>

enum {
    REMOTE_LINE_MAX = 8192,    /* bytes of one over a stream (RFC 5425 section 4.3.1) */
    REMOTE_DATAGRAM_MAX = 2048 /* in a datagram (RFC 5426 section 3.2) */
};

enum remote_way { REMOTE_UDP, REMOTE_TCP, REMOTE_TLS };

struct remote_target {
    enum remote_way way;
    char host[254]; /* a name, or an address without brackets */
    char port[6];
};

/* "udp://HOST[:514]", "tcp://HOST[:601]", "tls://HOST[:6514]"; an IPv6 address stands in brackets. False: it
 * is none. */
bool remote_target_read(const char *word, struct remote_target *t);

/* Number of a facility's name ("local0"); -1 if there is none. Those of `syslog-facility`, and "audit". */
int remote_facility(const char *name);

struct remote_line {
    int facility;
    enum log_level level;
    uint64_t ms;             /* wall clock */
    const char *host, *name; /* of this machine, of the program */
    long pid;                /* 0: not known */
    const char *id, *text;   /* kind of message ("audit"), or NULL; the message */
};
/* Appends the line, at most `most` bytes, without what ends or frames it. What a header field may not hold
 * becomes '?'. */
void remote_line_add(struct text *out, const struct remote_line *l, size_t most);
