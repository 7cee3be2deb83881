/* certificate_check.c: what is wrong with a pair, before a client finds out (RFC 5280, RFC 6125). */
#include "control/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BITS_LEAST = 112, /* of security (NIST SP 800-57): RSA 2048, SHA-224; what OpenSSL's level 2 asks */
    DAYS_SOON = 30
};

static void fail(struct findings *f, const char *line)
{
    words_add(&f->errors, must_copy(line));
}

static void warn(struct findings *f, char *owned)
{
    words_add(&f->warnings, owned);
}

void findings_free(struct findings *f)
{
    words_free(&f->errors);
    words_free(&f->warnings);
}

static X509 *at(const struct certificate *c, int i)
{
    return i ? sk_X509_value(c->chain, i - 1) : c->leaf;
}

static int count(const struct certificate *c)
{
    return 1 + sk_X509_num(c->chain);
}

/* "the certificate", "certificate 2 (of its chain)" */
static const char *which(int i, char text[48])
{
    if (i == 0)
        return "the certificate";
    snprintf(text, 48, "certificate %d (of its chain)", i + 1);
    return text;
}

static void check_pair(const struct certificate *c, struct findings *f)
{
    if (c->key && X509_check_private_key(c->leaf, c->key) != 1)
        fail(f, "the private key is not the one of the certificate; the first certificate must be the "
                "server's own");
    ERR_clear_error();
}

static void check_dates(const struct certificate *c, time_t now, struct findings *f)
{
    char text[48];
    for (int i = 0; i < count(c); i++) {
        time_t soon = now + DAYS_SOON * 86400L;
        int begins = X509_cmp_time(X509_get0_notBefore(at(c, i)), &now),
            ends = X509_cmp_time(X509_get0_notAfter(at(c, i)), &now),
            ends_soon = X509_cmp_time(X509_get0_notAfter(at(c, i)), &soon);
        if (begins == 0 || ends == 0)
            words_add(&f->errors, must_print("the dates of %s cannot be read", which(i, text)));
        else if (ends < 0)
            words_add(&f->errors, must_print("%s has expired; have it renewed", which(i, text)));
        else if (begins > 0)
            warn(f, must_print("%s is not valid yet; wait, or look at the clock of the box", which(i, text)));
        else if (ends_soon < 0)
            warn(f, must_print("%s expires within %d days; have it renewed", which(i, text), DAYS_SOON));
    }
}

static void check_names(const struct certificate *c, struct findings *f)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
    int usable = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_DNS &&
            memchr(ASN1_STRING_get0_data(g->d.dNSName), 0, (size_t)ASN1_STRING_length(g->d.dNSName)))
            fail(f, "a DNS name of the certificate holds a zero byte");
        usable += g->type == GEN_DNS || g->type == GEN_IPADD;
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    if (usable == 0)
        warn(f, must_copy(
                    "the certificate names no host (subjectAltName with DNS or IP): clients that check names "
                    "refuse it"));
}

static void check_strength(const struct certificate *c, struct findings *f)
{
    char text[48];
    for (int i = 0; i < count(c); i++) {
        const EVP_PKEY *key = X509_get0_pubkey(at(c, i));
        int bits = 0;
        if (!key)
            words_add(&f->errors, must_print("the public key of %s cannot be read", which(i, text)));
        else if (EVP_PKEY_get_security_bits(key) < BITS_LEAST)
            words_add(&f->errors,
                      must_print("the key of %s is too weak (%d bits); RSA needs 2048, elliptic curves 224",
                                 which(i, text), EVP_PKEY_get_bits(key)));
        /* Nobody verifies the signature of a self-signed one: it is trusted by itself. */
        if (!(X509_get_extension_flags(at(c, i)) & EXFLAG_SS) &&
            X509_get_signature_info(at(c, i), NULL, NULL, &bits, NULL) == 1 && bits < BITS_LEAST)
            words_add(&f->errors,
                      must_print("the signature of %s is too weak (%s); it needs SHA-256 or better",
                                 which(i, text), OBJ_nid2ln(X509_get_signature_nid(at(c, i)))));
    }
    ERR_clear_error();
}

static void check_purpose(const struct certificate *c, struct findings *f)
{
    uint32_t flags = X509_get_extension_flags(c->leaf);
    if (flags & EXFLAG_INVALID)
        fail(f, "the extensions of the certificate cannot be read");
    if (flags & EXFLAG_XKUSAGE && !(X509_get_extended_key_usage(c->leaf) & (XKU_SSL_SERVER | XKU_ANYEKU)))
        fail(f, "the certificate is not one for servers (extendedKeyUsage without serverAuth)");
    if (flags & EXFLAG_KUSAGE && !(X509_get_key_usage(c->leaf) & KU_DIGITAL_SIGNATURE))
        fail(f, "the certificate may not sign (keyUsage without digitalSignature), which TLS 1.3 needs");
    if (flags & EXFLAG_CA && !(flags & EXFLAG_SS))
        warn(f, must_copy("the certificate is one of an authority: whoever has its key can issue others"));
    ERR_clear_error();
}

static void check_chain(const struct certificate *c, struct findings *f)
{
    char text[48], next[48];
    for (int i = 0; i + 1 < count(c); i++) {
        X509 *issuer = at(c, i + 1);
        if (X509_cmp(at(c, i), issuer) == 0)
            words_add(&f->errors, must_print("certificate %d stands there twice; leave one out", i + 1));
        else if (X509_check_issued(issuer, at(c, i)) != X509_V_OK ||
                 X509_verify(at(c, i), X509_get0_pubkey(issuer)) != 1)
            words_add(&f->errors,
                      must_print("%s is not the issuer of %s; the chain must begin with the server's own "
                                 "and go up from there",
                                 which(i + 1, next), which(i, text)));
    }
    X509 *last = at(c, count(c) - 1);
    if (count(c) == 1 && !(X509_get_extension_flags(last) & EXFLAG_SS))
        warn(f, must_copy("the certificate comes without its chain: clients must trust its issuer directly"));
    ERR_clear_error();
}

static X509_STORE *authorities(const char *pem)
{
    X509_STORE *store = X509_STORE_new();
    BIO *in = BIO_new_mem_buf(pem, (int)strlen(pem));
    unsigned n = 0;
    for (X509 *x; store && in && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)); X509_free(x))
        n += X509_STORE_add_cert(store, x) == 1;
    BIO_free(in);
    if (n == 0) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}

static void check_issuer(const struct certificate *c, const char *pem, time_t now, struct findings *f)
{
    X509_STORE *store = strlen(pem) <= CERTIFICATE_TEXT_MAX ? authorities(pem) : NULL;
    X509_STORE_CTX *ctx = store ? X509_STORE_CTX_new() : NULL;
    if (!store) {
        fail(f, "there is no certificate of an authority in what --ca gives");
    } else if (ctx && X509_STORE_CTX_init(ctx, store, c->leaf, c->chain) == 1) {
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
        X509_STORE_CTX_set_time(ctx, 0, now);
        if (X509_verify_cert(ctx) != 1)
            words_add(&f->errors, must_print("the chain does not lead to that authority: %s",
                                             X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx))));
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
}

void certificate_check(const struct certificate *c, const char *ca, time_t now, struct findings *f)
{
    check_pair(c, f);
    check_dates(c, now, f);
    check_names(c, f);
    check_strength(c, f);
    check_purpose(c, f);
    check_chain(c, f);
    if (ca && *ca)
        check_issuer(c, ca, now, f);
}
