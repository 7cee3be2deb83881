/* tls_rig.c: see tls_rig.h. */
#include "tls_rig.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

static char *text_of(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    char *text = strndup(p, (size_t)n);
    BIO_free(b);
    return text;
}

static void extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static X509 *load_certificate(const struct rig_pair *p)
{
    BIO *b = BIO_new_mem_buf(p->certificate, -1);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    return x;
}

static EVP_PKEY *load_key(const struct rig_pair *p)
{
    BIO *b = BIO_new_mem_buf(p->key, -1);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    BIO_free(b);
    return k;
}

/* Takes the key. */
static struct rig_pair make(EVP_PKEY *key, const char *cn, const char *alternatives, const struct rig_pair *authority)
{
    static long serial = 1;
    EVP_PKEY *signer = authority ? load_key(authority) : key;
    X509 *x = X509_new(), *issuer = authority ? load_certificate(authority) : x;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 24 * 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    X509_set_pubkey(x, key);
    extend(x, NID_basic_constraints, authority ? "CA:FALSE" : "critical,CA:TRUE");
    if (alternatives)
        extend(x, NID_subject_alt_name, alternatives);
    X509_sign(x, signer, EVP_sha256());
    BIO *cert = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(cert, x);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    struct rig_pair p = {text_of(cert), text_of(secret)};
    if (authority) {
        EVP_PKEY_free(signer);
        X509_free(issuer);
    }
    EVP_PKEY_free(key);
    X509_free(x);
    return p;
}

struct rig_pair rig_make(const char *cn, const char *alternatives, const struct rig_pair *authority)
{
    return make(EVP_EC_gen("P-256"), cn, alternatives, authority);
}

struct rig_pair rig_make_rsa(const char *cn)
{
    return make(EVP_RSA_gen(2048), cn, NULL, NULL);
}

void rig_show(SSL_CTX *ctx, const struct rig_pair *p)
{
    BIO *b = BIO_new_mem_buf(p->certificate, -1), *k = BIO_new_mem_buf(p->key, -1);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    SSL_CTX_use_certificate(ctx, x);
    SSL_CTX_use_PrivateKey(ctx, key);
    X509_free(x);
    EVP_PKEY_free(key);
    BIO_free(b);
    BIO_free(k);
}

void rig_pair_free(struct rig_pair *p)
{
    free(p->certificate);
    free(p->key);
    *p = (struct rig_pair){NULL, NULL};
}

struct rig_box rig_box(const char *const *pairs, const struct rig_pair *own, const struct rig_pair *authority)
{
    struct rig_box b = {0};
    struct config_pair pair[32] = {{"tls-port", "6380"}, {"tls-auth-clients", "no"}};
    unsigned n = 2;
    for (; pairs && *pairs; pairs += 2)
        pair[n++] = (struct config_pair){pairs[0], pairs[1]};
    if (own) {
        pair[n++] = (struct config_pair){"tls:certificate", own->certificate};
        pair[n++] = (struct config_pair){"tls:key", own->key};
    }
    if (authority)
        pair[n++] = (struct config_pair){"tls:authorities", authority->certificate};
    b.conf = config_build(1, pair, n, b.error, sizeof b.error);
    b.set = b.conf ? tls_set_new(b.conf, 1000, b.error, sizeof b.error) : NULL;
    return b;
}

void rig_box_free(struct rig_box *b)
{
    tls_set_unref(b->set);
    config_free(b->conf);
}

/* -- a conversation -- */

static struct slice peek(void *wire, size_t offset)
{
    struct rig_talk *t = wire;
    return offset < t->up_len ? (struct slice){t->up + offset, t->up_len - offset} : (struct slice){NULL, 0};
}

static uint8_t *reserve(void *wire, size_t *room)
{
    struct rig_talk *t = wire;
    *room = t->down_len < t->down_room ? t->down_room - t->down_len : 0;
    return *room ? t->down + t->down_len : NULL;
}

static void commit(void *wire, size_t n)
{
    ((struct rig_talk *)wire)->down_len += n;
}

const struct tls_wire rig_wire = {peek, reserve, commit};

struct rig_talk *rig_listen(struct tls_context *context)
{
    struct rig_talk *t = calloc(1, sizeof *t);
    t->server = tls_new(context, &rig_wire, t);
    t->down_room = RIG_PIPE;
    t->now_ms = 1000;
    return t;
}

struct rig_talk *rig_talk(struct tls_context *context, SSL_CTX *ctx, SSL_SESSION *session)
{
    struct rig_talk *t = rig_listen(context);
    SSL_CTX *own = ctx ? NULL : SSL_CTX_new(TLS_client_method());
    t->client = SSL_new(ctx ? ctx : own);
    SSL_CTX_free(own);
    SSL_set_bio(t->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(t->client);
    if (session)
        SSL_set_session(t->client, session);
    return t;
}

void rig_talk_free(struct rig_talk *t)
{
    tls_free(t->server);
    if (t->client)
        SSL_free(t->client);
    free(t);
}

static void give_back(struct rig_talk *t)
{
    size_t n = tls_taken(t->server);
    memmove(t->up, t->up + n, t->up_len - n);
    t->up_len -= n;
}

void rig_move(struct rig_talk *t)
{
    give_back(t);
    int n = BIO_read(SSL_get_wbio(t->client), t->up + t->up_len, (int)(sizeof t->up - t->up_len));
    t->up_len += n > 0 ? (size_t)n : 0;
    if (t->down_len)
        BIO_write(SSL_get_rbio(t->client), t->down, (int)t->down_len);
    t->down_len = 0;
    tls_flush(t->server);
}

enum tls_result rig_shake(struct rig_talk *t)
{
    enum tls_result r = TLS_WAIT;
    for (int i = 0; i < 200 && r != TLS_FAILED; i++) {
        SSL_do_handshake(t->client);
        rig_move(t);
        if (r == TLS_WAIT)
            r = tls_handshake(t->server, t->now_ms);
    }
    rig_move(t);
    rig_move(t);
    SSL_do_handshake(t->client);
    ERR_clear_error();
    return r;
}
