/* source.h: what is known of who talks to the management API over HTTPS, by address (IPv6: by /64): connections,
 * requests a second, refused logins. A table of bounded size; who was not heard of for longest is forgotten. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SOURCES_MAX = 256,
    SOURCE_CONNECTIONS = 16,   /* at one time */
    SOURCE_RATE = 50,          /* requests and connections a second */
    SOURCE_BURST = 200,        /* at once */
    SOURCE_FORGETS_S = 900,    /* refused logins */
    SOURCE_DELAY_MAX_MS = 30000,
};

struct source {
    struct in6_addr prefix;
    unsigned connections, failures;
    uint64_t seen_ms, failed_ms, filled_ms, login_ms;
    double tokens;
    char login[16]; /* the last who got in, so that the audit log tells of a session once */
};
struct sources {
    struct source all[SOURCES_MAX];
    unsigned n;
};

/* The entry for an address, made if need be; NULL if all are in use by connections. */
struct source *source_of(struct sources *s, const struct sockaddr *from, uint64_t now_ms);
/* One more request: false, and after how many seconds to come again, if it is too many. */
bool source_may(struct source *s, uint64_t now_ms, unsigned *seconds);
/* A login was refused: for how long its answer is to be held back: 0.25 s, doubled each time. */
unsigned source_failed(struct source *s, uint64_t now_ms);
