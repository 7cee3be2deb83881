/* tls_rig.h: certificates made on the spot, and the two ends of a TLS conversation in memory: ours
 * (tls/tls.h) and a client that is OpenSSL's own. */
#pragma once
#include "tls/tls.h"

#include <openssl/ssl.h>

enum { RIG_PIPE = 1 << 18 };

struct rig_pair { /* PEM */
    char *certificate, *key;
};
/* Signed by `authority`, or by itself; for a server or client with these names. EC P-256. */
struct rig_pair rig_make(const char *cn, const char *alternatives, const struct rig_pair *authority);
/* Signed by itself, RSA of 2048 bits. */
struct rig_pair rig_make_rsa(const char *cn);
/* A client of this context shows that certificate when it is asked for one. */
void rig_show(SSL_CTX *ctx, const struct rig_pair *p);
void rig_pair_free(struct rig_pair *p);

/* A generation with these directives (name, value, ..., NULL) and texts, and contexts for its workers. */
struct rig_box {
    struct config *conf;
    struct tls_set *set;
    char error[256];
};
struct rig_box rig_box(const char *const *pairs, const struct rig_pair *own,
                       const struct rig_pair *authority);
void rig_box_free(struct rig_box *b);

struct rig_talk {
    struct tls *server;
    SSL *client;
    uint8_t up[RIG_PIPE], down[RIG_PIPE]; /* to the server, to the client */
    size_t up_len, down_len, down_room;   /* the server finds room for so many bytes that were not taken */
    uint64_t now_ms;
};
/* Between the two; its argument is the talk. */
extern const struct tls_wire rig_wire;
/* A client of its own context if ctx is NULL: it trusts anybody. */
struct rig_talk *rig_talk(struct tls_context *context, SSL_CTX *ctx, SSL_SESSION *session);
/* The same without a client. */
struct rig_talk *rig_listen(struct tls_context *context);
void rig_talk_free(struct rig_talk *t);
/* Moves bytes and goes on with the handshake until nothing more happens: what the server said last. */
enum tls_result rig_shake(struct rig_talk *t);
/* The client's records go to the pipe, and the pipe's to the client. */
void rig_move(struct rig_talk *t);
