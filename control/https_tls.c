/* https_tls.c: see https_tls.h. */
#include "control/https_tls.h"
#include "control/certificates.h"
#include "control/log.h"
#include "control/secret_memory.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct https_tls {
    SSL_CTX *context;
    char *path, *ca;
    struct stat made_of[2]; /* the files that the context holds: certificate, authorities */
};

static bool read_certificate(SSL_CTX *x, const char *path, char *error, size_t size)
{
    char *text = store_read(path, error, size);
    struct certificate *c = text ? certificate_read(text, text, NULL, error, size) : NULL;
    bool good = false;
    secret_free(text);
    if (!c)
        return false;
    good = c->key && SSL_CTX_use_certificate(x, c->leaf) == 1 && SSL_CTX_use_PrivateKey(x, c->key) == 1 &&
           SSL_CTX_set1_chain(x, c->chain) == 1;
    if (!good)
        snprintf(error, size, "%s: %s", path, certificate_reason());
    certificate_free(c);
    return good;
}

/* Who sends a certificate must prove it; who sends none has to show a token. */
static bool read_authorities(SSL_CTX *x, const char *ca, char *error, size_t size)
{
    if (!*ca)
        return true;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
    if (!names || SSL_CTX_load_verify_file(x, ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        snprintf(error, size, "management-ca-cert-file %.200s: %s; correct the directive", ca, certificate_reason());
        return false;
    }
    SSL_CTX_set_client_CA_list(x, names);
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(x, 10);
    return true;
}

static SSL_CTX *make(const char *path, const char *ca, char *error, size_t size)
{
    SSL_CTX *x = SSL_CTX_new(TLS_server_method());
    if (!x || SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(x, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") != 1) {
        snprintf(error, size, "TLS cannot begin: %s", certificate_reason());
    } else {
        SSL_CTX_set_options(x, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
        SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(x, 0);
        SSL_CTX_set_mode(x, SSL_MODE_RELEASE_BUFFERS);
        if (read_certificate(x, path, error, size) && read_authorities(x, ca, error, size))
            return x;
    }
    SSL_CTX_free(x);
    return NULL;
}

static void look_at(const struct https_tls *t, struct stat st[2])
{
    memset(st, 0, 2 * sizeof *st);
    if (stat(t->path, &st[0]) < 0 || (*t->ca && stat(t->ca, &st[1]) < 0))
        memset(st, 0, 2 * sizeof *st);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The box's first start with this API: something to talk with, until somebody installs better. */
static bool make_first(struct control *c, const char *name, const char *address, char *error, size_t size)
{
    char host[256] = "";
    struct words san = {0};
    struct findings f = {0};
    if (gethostname(host, sizeof host - 1) < 0)
        *host = 0;
    if (strcmp(address, "0.0.0.0") != 0 && strcmp(address, "::") != 0)
        words_add(&san, must_copy(address));
    if (*host && strcmp(host, address) != 0)
        words_add(&san, must_copy(host));
    const struct certificate_wish wish = {"p256", *host && strlen(host) <= 64 ? host : name, &san, 825};
    struct certificate *made = certificate_self_signed(&wish, time(NULL), error, size);
    bool good = made && certificates_store(c->certificates, name, made, error, size);
    if (good) {
        json_t *j = certificate_json(made, time(NULL));
        log_line(LOG_LEVEL_NOTICE, "Certificate %s is made, self-signed, for the management API; its fingerprint: %s",
                 name, request_word(j, "fingerprint"));
        json_decref(j);
    }
    certificate_free(made);
    findings_free(&f);
    words_free(&san);
    return good;
}

struct https_tls *https_tls_open(struct control *c, const char *certificate, const char *ca, const char *address,
                                 char *error, size_t size)
{
    const char *folder = certificates_folder(c->certificates);
    if (!store_is_name(certificate)) {
        snprintf(error, size, "management-certificate %.80s: it is the name of a certificate of the store; correct it",
                 certificate);
        return NULL;
    }
    if (!store_has(folder, certificate, STORE_PAIR) && !make_first(c, certificate, address, error, size))
        return NULL;
    struct https_tls *t = must_alloc(1, sizeof *t);
    t->path = store_path(folder, certificate, STORE_PAIR);
    t->ca = must_copy(ca);
    look_at(t, t->made_of);
    t->context = make(t->path, ca, error, size);
    if (t->context)
        return t;
    https_tls_close(t);
    return NULL;
}

void https_tls_close(struct https_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->context);
    free(t->path);
    free(t->ca);
    free(t);
}

SSL *https_tls_new(struct https_tls *t)
{
    struct stat now[2];
    char error[512];
    look_at(t, now);
    if (!same(&now[0], &t->made_of[0]) || !same(&now[1], &t->made_of[1])) {
        SSL_CTX *x = make(t->path, t->ca, error, sizeof error);
        memcpy(t->made_of, now, sizeof now); /* not again for every connection */
        if (x) {
            SSL_CTX_free(t->context);
            t->context = x;
            log_line(LOG_LEVEL_NOTICE, "The management API serves its new certificate");
        } else {
            log_line(LOG_LEVEL_WARNING, "The management API goes on with its old certificate: %s", error);
        }
    }
    return SSL_new(t->context);
}

static void add_name(struct words *names, const ASN1_STRING *s)
{
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, s);
    if (len > 0 && strlen((char *)text) == (size_t)len) /* a zero byte inside is somebody's trick */
        words_add(names, must_copy((char *)text));
    OPENSSL_free(text);
}

void https_tls_names(const SSL *ssl, struct words *names)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    if (!x || SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0)
        add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && names->n < CERTIFICATE_SAN_MAX; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (g->type == GEN_DNS || g->type == GEN_URI)
            add_name(names, g->type == GEN_DNS ? g->d.dNSName : g->d.uniformResourceIdentifier);
    }
    GENERAL_NAMES_free(all);
}
