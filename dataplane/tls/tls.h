/* tls.h: TLS 1.2 and 1.3 (RFC 5246, RFC 8446) for the connections that a worker accepts, by OpenSSL. No
 * socket and no clock in here: records come from and go to a wire that the caller describes, and bytes move
 * only when a function is called. What belongs to one connection or one context is used by one thread at a
 * time. */
#pragma once
#include "base/config.h"
#include "base/slice.h"

struct tls_set;
struct tls_context;
struct tls;

/* Before anything else of OpenSSL, once in the process: its memory comes from memory.c, and it reads no
 * configuration file. False without memory. */
bool tls_start(void);

/* -- contexts
 * --------------------------------------------------------------------------------------------------- */

/* One context for each of conf->workers from conf->pem and conf's directives, all of them with the same first
 * key for session tickets. NULL and one line in error, which begins with "TLS: ". */
struct tls_set *tls_set_new(const struct config *conf, uint64_t now_ms, char *error, size_t size);
/* Was it made from what conf says? */
bool tls_set_same(const struct tls_set *set, const struct config *conf);
/* References are counted by one thread (main). NULL: no effect. Connections keep what they need. */
struct tls_set *tls_set_ref(struct tls_set *set);
void tls_set_unref(struct tls_set *set);
struct tls_context *tls_set_context(struct tls_set *set, unsigned worker);

/* -- a connection
 * ----------------------------------------------------------------------------------------------- */

struct tls_wire {
    /* Received bytes that begin so many after the first one not yet given back, borrowed; none: length 0. */
    struct slice (*peek)(void *wire, size_t offset);
    /* Room for bytes to send, and how many of them are used. NULL: none at the moment. */
    uint8_t *(*reserve)(void *wire, size_t *room);
    void (*commit)(void *wire, size_t n);
};

enum tls_result {
    TLS_DONE,
    TLS_WAIT,   /* more must come from the wire */
    TLS_CLOSED, /* the peer has said that nothing follows (close_notify) */
    TLS_FAILED  /* for good; an alert for the peer may have been written */
};

enum tls_failure { /* why */
                   TLS_FAILURE_OTHER,
                   TLS_FAILURE_NO_CERTIFICATE,  /* the client has shown none */
                   TLS_FAILURE_BAD_CERTIFICATE, /* one that we do not trust */
                   TLS_FAILURE_NO_COMMON,       /* protocol, cipher, group or signature */
                   TLS_FAILURE_ALERT,           /* the client ended it */
                   TLS_FAILURE_GARBAGE,         /* this is not TLS */
                   TLS_FAILURE_MEMORY
};

/* NULL without memory. */
struct tls *tls_new(struct tls_context *context, const struct tls_wire *ops, void *wire);
/* Before the handshake: this connection's own rule for certificates of clients, instead of its context's. A session is
 * resumed only where the same rule holds. False without memory. */
bool tls_set_auth(struct tls *t, const struct tls_context *context, enum tls_auth auth);
/* NULL: no effect. Nothing is sent. */
void tls_free(struct tls *t);
/* Takes the handshake as far as it goes. */
enum tls_result tls_handshake(struct tls *t, uint64_t now_ms);
/* After TLS_DONE, when nobody asks for names any more: of a connection whose records are ours (TLS 1.3) what OpenSSL
 * keeps is given back. */
void tls_settle(struct tls *t);
/* Has the server's part of the handshake been sent (a HelloRetryRequest is none of it)? What follows is cheap. */
bool tls_under_way(const struct tls *t);
/* Opens bytes into `to`; *n of them, at most room, at least one with TLS_DONE. */
enum tls_result tls_read(struct tls *t, uint8_t *to, size_t room, size_t *n);
/* Of `available` bytes of the wire since tls_taken(): is it certain that tls_read would have to wait for more? */
bool tls_drained(const struct tls *t, size_t available);
/* Opened bytes that tls_read gives without the wire. */
size_t tls_pending(const struct tls *t);
/* Bytes of a record that has not come whole. */
size_t tls_gathered(const struct tls *t);
/* How many of the wire's bytes were taken since the last call: they can be given back. */
size_t tls_taken(struct tls *t);
/* Seals n bytes and writes the records; what the wire has no room for is kept: call tls_flush when it has.
 * False if it failed for good. */
bool tls_write(struct tls *t, const void *p, size_t n);
/* Is there anything kept? Then nothing further should be written. */
bool tls_spilled(const struct tls *t);
/* Writes what was kept. True if nothing is left. */
bool tls_flush(struct tls *t);
/* Says that nothing follows. Once; not after a failure. */
void tls_end(struct tls *t);

enum tls_failure tls_failure(const struct tls *t);
/* Of a handshake that is done. */
bool tls_resumed(const struct tls *t);
/* "TLSv1.3", "TLS_AES_256_GCM_SHA384"; for people. */
const char *tls_version(const struct tls *t);
const char *tls_cipher(const struct tls *t);

/* The names in the client's certificate, if it has shown one that we trust. */
/* Calls fn for each until it returns false. False if there is no certificate. */
bool tls_each_name(const struct tls *t, bool (*fn)(enum certificate_name kind, struct slice name, void *arg),
                   void *arg);

/* -- memory
 * ----------------------------------------------------------------------------------------------------- */

/* Bytes that OpenSSL holds, of this thread's allocations less what it has freed of anybody's. */
int64_t tls_memory(void);
/* Gives back what this thread keeps for reuse: before it ends. */
void tls_memory_trim(void);
