/* private.h: what the files of this folder share. */
#pragma once
#include "tls/record.h"
#include "tls/tickets.h"
#include "tls/tls.h"

#include <openssl/ssl.h>

SSL_CTX *context_ssl(const struct tls_context *c);
/* Of the connection's context; NULL = it makes none. */
struct tickets *context_tickets(const SSL *ssl);
/* Once in the process. */
bool connection_start(void);

struct tls {
    SSL *ssl; /* NULL: tls_settle() */
    const struct tls_wire *ops;
    void *wire;
    size_t taken;   /* of the wire's bytes, not yet told */
    uint8_t *spill; /* records that the wire had no room for */
    size_t spill_off, spill_len, spill_cap;
    const char *version, *cipher;
    bool under_way, done, ended, failed, resumed;
    enum tls_failure failure;

    /* traffic.c: records that are ours. */
    bool ours;         /* OpenSSL has none to open or seal any more */
    bool closed;       /* close_notify has come */
    bool renew;        /* the peer wants a new key of ours (KeyUpdate) */
    bool both_secrets; /* OpenSSL has told both */
    unsigned idle;     /* records since the last one with data */
    struct record_way in, out;
    uint8_t *part; /* a record that has not come in one piece, with its head ... */
    size_t part_len, part_want;
    uint8_t *opened; /* or what one says that was more than the reader had room for */
    size_t opened_off, opened_len;
};

/* -- memory.c: n bytes, a multiple of the alignment, counted by tls_memory(). NULL without memory. */
void *memory_take_aligned(size_t n, size_t alignment);
/* p NULL: no effect. */
void memory_give_aligned(void *p, size_t n);

/* -- connection.c: bytes to be sent; false without memory: they are lost, and the connection with them. */
bool connection_put(struct tls *t, const uint8_t *p, size_t n);

/* -- traffic.c: the record layer after a handshake of TLS 1.3. Everything else stays OpenSSL's. */
/* The context tells the secrets of its connections. */
void traffic_follow(SSL_CTX *ssl);
/* So does a connection its records. */
bool traffic_begin(struct tls *t);
/* The handshake is done: takes its records over from OpenSSL, if they can be ours. */
void traffic_take(struct tls *t);
void traffic_free(struct tls *t);
/* As tls_read, tls_drained, tls_write and tls_end. */
enum tls_result traffic_read(struct tls *t, uint8_t *to, size_t room, size_t *n);
bool traffic_drained(const struct tls *t, size_t available);
bool traffic_write(struct tls *t, const uint8_t *p, size_t n);
void traffic_end(struct tls *t);
/* So many records are sealed under one key (RFC 8446 section 5.5: AES-GCM is sound for 2^24.5). */
extern uint64_t traffic_records_most;
