/* certificate_handshake.c: a pair proves itself before it is served: a TLS server and a client talk in
 * memory. */
#include "control/certificate.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum {
    STEPS_MAX = 20, /* flights of a handshake, with room to spare */
    PIPE_BYTES = 1 << 20
};

static SSL_CTX *server_side(const struct certificate *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx && SSL_CTX_use_certificate(ctx, c->leaf) == 1 && SSL_CTX_use_PrivateKey(ctx, c->key) == 1 &&
        SSL_CTX_set1_chain(ctx, c->chain) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* It trusts the top of the chain, as one does that was given what `certificate export` writes. */
static SSL_CTX *client_side(const struct certificate *c)
{
    int n = sk_X509_num(c->chain);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx ||
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), n ? sk_X509_value(c->chain, n - 1) : c->leaf) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

/* Asks for the first host that the certificate names; one that stands for several, "*.example.net", by one of
 * them. */
static void ask_for(SSL *client, const X509 *x)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    X509_VERIFY_PARAM *wanted = SSL_get0_param(client);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        const ASN1_STRING *s = g->type == GEN_IPADD ? g->d.iPAddress
                               : g->type == GEN_DNS ? g->d.dNSName
                                                    : NULL;
        char host[300];
        if (!s)
            continue;
        const char *p = (const char *)ASN1_STRING_get0_data(s);
        int len = ASN1_STRING_length(s);
        if (g->type == GEN_IPADD) {
            X509_VERIFY_PARAM_set1_ip(wanted, ASN1_STRING_get0_data(s), (size_t)len);
        } else {
            bool wild = len > 0 && *p == '*';
            snprintf(host, sizeof host, "%s%.*s", wild ? "sluice" : "", len - wild, p + wild);
            X509_VERIFY_PARAM_set1_host(wanted, host, 0);
        }
        break;
    }
    GENERAL_NAMES_free(names);
}

static bool talk(SSL *server, SSL *client)
{
    bool there = false, here = false;
    for (int i = 0; i < STEPS_MAX && !(there && here); i++) {
        here = here || SSL_do_handshake(client) == 1;
        there = there || SSL_do_handshake(server) == 1;
    }
    return there && here;
}

static bool try_version(SSL_CTX *ours, SSL_CTX *theirs, const X509 *x, int version, char *error, size_t size)
{
    SSL *server = SSL_new(ours), *client = SSL_new(theirs);
    BIO *a = NULL, *b = NULL;
    bool good = server && client && BIO_new_bio_pair(&a, PIPE_BYTES, &b, PIPE_BYTES) == 1;
    if (good) {
        SSL_set_bio(server, a, a);
        SSL_set_bio(client, b, b);
        SSL_set_accept_state(server);
        SSL_set_connect_state(client);
        ask_for(client, x);
        ERR_clear_error();
        good = SSL_set_min_proto_version(server, version) == 1 &&
               SSL_set_max_proto_version(server, version) == 1 && talk(server, client);
        long verdict = SSL_get_verify_result(client);
        if (!good)
            snprintf(error, size, "a handshake with it fails (%s): %s",
                     version == TLS1_3_VERSION ? "TLS 1.3" : "TLS 1.2",
                     verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : certificate_reason());
    } else {
        snprintf(error, size, "a handshake cannot be tried: %s", certificate_reason());
    }
    SSL_free(client);
    SSL_free(server);
    return good;
}

bool certificate_handshake(const struct certificate *c, char *error, size_t size)
{
    SSL_CTX *ours = server_side(c), *theirs = client_side(c);
    bool good = ours && theirs;
    if (!good)
        snprintf(error, size, "TLS does not take it: %s", certificate_reason());
    good = good && try_version(ours, theirs, c->leaf, TLS1_2_VERSION, error, size) &&
           try_version(ours, theirs, c->leaf, TLS1_3_VERSION, error, size);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
    ERR_clear_error();
    return good;
}
