/* peer.h: a client of the kernel's TCP that checks every byte: sockets, bytes, and the checks of each file.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct target {
    struct sockaddr_storage addr;
    socklen_t len;
    bool kernel;      /* the server sits on the kernel's TCP too: what is the box's alone is not asked */
    unsigned bulk_mb; /* bytes of `bulk` both ways together */
    double churn_seconds;
    unsigned churn_floor; /* connections a second that `churn` must reach; 0 = only tell */
    unsigned threads;
    uint16_t first_port; /* of those that `churn` uses in turn; they stay in the client's TIME_WAIT */
};

struct manner { /* of a socket before it connects; zero = the kernel's own */
    int rcvbuf, maxseg;
    uint16_t port; /* local */
};

/* -- dial.c: every function fails within 20 seconds at most
 * ------------------------------------------------------- */

/* A connected socket without Nagle, or -1 and errno. */
int dial(const struct target *t, const struct manner *m);
bool send_all(int fd, const void *p, size_t n);
bool receive_all(int fd, void *p, size_t n);
/* Sends a request and reads exactly this reply. */
bool says(int fd, const char *request, const char *reply);
/* The server has closed: nothing more to read, in order. */
bool at_end(int fd);
void close_reset(int fd);
/* Until no client is left but the one that asks. */
bool settled(const struct target *t);
/* The bytes that belong at `at` of value `seed`: never the same twice in a value. */
void pattern(uint8_t *p, size_t n, uint64_t seed, uint64_t at);
bool pattern_is(const uint8_t *p, size_t n, uint64_t seed, uint64_t at);
/* SET and GET of a value made of pattern(seed). */
bool set_pattern(int fd, const char *key, uint64_t seed, size_t size);
bool get_pattern(int fd, const char *key, uint64_t seed, size_t size);
bool receive_pattern(int fd, uint64_t seed, size_t size); /* one bulk reply */
double seconds(void);
/* A diagnostic line (TAP); false, for the check that failed to return. */
bool because(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* -- checks
 * ------------------------------------------------------------------------------------------------------ */

typedef bool check(const struct target *t);
check bulk_large_values, bulk_many_connections;                                      /* bulk.c */
check churn_orderly, churn_reset, churn_server_closes, churn_mixed, churn_many_open; /* churn.c */
check manner_half_close, manner_zero_window, manner_slow_reader, manner_one_byte;    /* manners.c */
check manner_reset_in_the_middle, manner_urgent, manner_small_mss, manner_forgotten;
check manner_forgotten_port_again, manner_abandoned_request, manner_pipeline_then_quit;
