/* https_connection.h: a connection of the management API over HTTPS, for https.c (its phases), https_login.c, https_reply.c (what goes
 * out) and https_file.c (snapshots in and out). */
#pragma once
#include "control/http.h"
#include "control/https.h"
#include "control/https_tls.h"
#include "control/source.h"
#include "control/token.h"

#include <event2/bufferevent.h>
#include <event2/event.h>

enum {
    HTTPS_CONNECTIONS_MAX = 64,
    HTTPS_HEAD_SECONDS = 10,  /* handshake and head of a request, all of it */
    HTTPS_BODY_SECONDS = 30,  /* a JSON body, all of it */
    HTTPS_IDLE_SECONDS = 30,  /* between requests */
    HTTPS_STUCK_SECONDS = 60, /* a reply that is not read; an upload that stands still */
    HTTPS_REQUESTS_MAX = 1000, /* of one connection */
};

/* HEAD -> BODY -> CALL -> HEAD; HEAD -> HELD -> closed; HEAD -> UPLOAD -> CALL; CALL: an export, too. */
enum https_phase { HTTPS_HEAD, HTTPS_BODY, HTTPS_UPLOAD, HTTPS_CALL, HTTPS_EXPORT, HTTPS_HELD, HTTPS_ENDING };

struct https {
    struct control *control;
    struct https_tls *tls;
    struct evconnlistener *listener;
    struct https_connection *first;
    unsigned connections;
    bool uploading; /* one at a time */
    uint64_t requests, refused_logins, limited, dropped;
    struct sources sources;
};

struct https_connection {
    struct carrier carrier; /* first */
    struct https *https;
    struct bufferevent *stream; /* NULL once the client has gone; a call that waits keeps the struct */
    struct event *deadline;
    enum https_phase phase;
    struct source *source;
    char address[64];
    struct http_head head;
    char *text; /* of the head */
    const struct operation_row *row;
    unsigned requests;
    bool keep, streaming;
    bool begun; /* some bytes of a head are there */
    /* An upload, or an export. */
    int fd;
    char *path;
    uint64_t left, moved;
    struct https_connection *next;
};

/* https.c: one setter of phases; seconds 0: no deadline. */
void https_phase(struct https_connection *k, enum https_phase phase, unsigned seconds);
void https_hang_up(struct https_connection *k);
/* The reply is over: the next request, or the end. */
void https_replied(struct https_connection *k);

/* The request's head and all that came of it is wiped and forgotten. */
void https_forget(struct https_connection *k);

/* https_login.c: who asks, into the carrier. False: nobody; the answer is held back, and then the connection ends. */
bool https_identify(struct https_connection *k);

/* https_reply.c */
extern const struct carrier_ops https_carrier;
/* A whole reply with `owned` as its JSON, taken over. */
void https_send(struct https_connection *k, int status, json_t *owned);
/* An error; the connection ends after it. */
void https_refuse(struct https_connection *k, int status, const char *code, const char *message);
/* The head of a reply; length < 0: in chunks. */
void https_send_head(struct https_connection *k, int status, const char *type, int64_t length, const char *more);

/* https_file.c */
void https_export(struct https_connection *k);
void https_export_more(struct https_connection *k);
void https_upload(struct https_connection *k);
void https_upload_more(struct https_connection *k);
/* What is left of either is taken away. */
void https_file_end(struct https_connection *k);

/* openapi.c: a new reference. */
json_t *openapi_json(void);
