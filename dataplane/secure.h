/* secure.h: sessions on the port with TLS: handshakes within a budget, and what lies between records on the
 * wire and a session's requests and replies. A session without TLS never comes here. */
#pragma once
#include "tls/tls.h"

#include <stddef.h>

struct worker;
struct session;
struct tcp_conn;

struct secure { /* of one session */
    struct session *session;
    struct tls *tls;            /* NULL: the client has said nothing yet */
    struct secure *prev, *next; /* in one of the lists below, until the handshake is done */
    uint64_t since_us;          /* when it came there */
    bool spoke;                 /* something has come from the client */
    bool waiting;               /* its handshake could begin, but others come first */
};

struct secure_list {
    struct secure *newest, *oldest;
};

struct secure_worker {
    struct secure_list silent, shaking; /* connections that nothing has come from; that shake hands */
    unsigned waiting, begun;            /* handshakes that wait to begin; that have begun */
    uint64_t allowed_cycles;          /* the next one may not begin before, while others are served */
    uint64_t commands, served_cycles; /* of the worker; when there was last seen to be one more */
    uint64_t step_cycles;             /* what one that sends the server's flight is expected to take; 0: none has been sent */
    uint64_t round_us, round_cycles;  /* what handshakes have taken in this round */
    uint8_t *plain;                   /* replies before they are sealed */
};
enum { SECURE_PLAIN = 16384 }; /* a record */

/* A connection came to tls-port: false without memory. */
bool secure_open(struct session *s);
/* The session ends; conn_gone: nothing can be sent. */
void secure_close(struct session *s, bool conn_gone);
/* Is there anything to parse in s->query? Goes on with the handshake and opens what has come. */
bool secure_readable(struct session *s);
/* Opens bytes behind a half-read request, `need` are wanted. False when nothing has come, or the session is
 * broken. */
bool secure_gather(struct session *s, size_t need);
/* Has it received what was not opened yet? */
bool secure_has_input(const struct session *s);

/* Room for replies to be sealed, SECURE_PLAIN bytes; NULL: what was sealed before has not left yet. */
uint8_t *secure_reserve(struct session *s);
/* Seals the first n bytes. */
void secure_commit(struct session *s, size_t n);
bool secure_spilled(const struct session *s);
/* Seals what waits in chunks as far as there is room. */
void secure_drain(struct session *s);

/* Handshakes that waited, and those that took too long; from time to time while there are any. */
void secure_tend(struct worker *w);
void secure_free(struct worker *w);
