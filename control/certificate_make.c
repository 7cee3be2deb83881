/* certificate_make.c: keys, self-signed certificates (RFC 5280) and signing requests (RFC 2986). */
#include "control/certificate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 64 /* of a common name: ub-common-name */,
    HOST_MAX_BYTES = 255,
    BACKDATED_SECONDS = 3600
};

const char certificate_keys[] = "p256, p384, rsa2048 or rsa3072";

/* -- keys --------------------------------------------------------------------------------------------- */

static EVP_PKEY *make_key(const char *kind, char *error, size_t size)
{
    static const struct {
        const char *kind, *curve;
        size_t bits;
    } kinds[] = {
        {"p256", "P-256", 0}, {"p384", "P-384", 0}, {"rsa2048", NULL, 2048}, {"rsa3072", NULL, 3072}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].kind) == 0) {
            EVP_PKEY *key = kinds[i].curve ? EVP_EC_gen(kinds[i].curve) : EVP_RSA_gen(kinds[i].bits);
            if (!key)
                snprintf(error, size, "no key can be made: %s", certificate_reason());
            return key;
        }
    snprintf(error, size, "a key '%.20s' cannot be made; choose %s", kind, certificate_keys);
    return NULL;
}

/* -- names -------------------------------------------------------------------------------------------- */

static bool is_host(const char *s)
{
    size_t len = strlen(s), rest = strncmp(s, "*.", 2) == 0 ? 2 : 0;
    if (len > HOST_MAX_BYTES || len == rest || s[rest] == '.' || s[rest] == '-')
        return false;
    for (const char *p = s + rest; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
            return false;
    return true;
}

static bool is_uri(const char *s)
{
    const char *colon = strstr(s, ":/");
    if (!colon || colon == s || strlen(s) > 2048)
        return false;
    for (const char *p = s; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return true;
}

static GENERAL_NAME *alternative(const char *s)
{
    unsigned char ip[16];
    GENERAL_NAME *g = GENERAL_NAME_new();
    int bytes = inet_pton(AF_INET, s, ip) == 1    ? 4
                : inet_pton(AF_INET6, s, ip) == 1 ? 16
                                                  : 0,
        type = bytes        ? GEN_IPADD
               : is_uri(s)  ? GEN_URI
               : is_host(s) ? GEN_DNS
                            : -1;
    ASN1_STRING *value =
        type < 0 ? NULL : ASN1_STRING_type_new(bytes ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    if (g && value &&
        ASN1_STRING_set(value, bytes ? (const void *)ip : s, bytes ? bytes : (int)strlen(s)) == 1) {
        GENERAL_NAME_set0_value(g, type, value);
        return g;
    }
    ASN1_STRING_free(value);
    GENERAL_NAME_free(g);
    return NULL;
}

static GENERAL_NAMES *alternatives(const struct words *san, char *error, size_t size)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    if (san->n > CERTIFICATE_SAN_MAX || !names) {
        snprintf(error, size, "at most %d names can be in a certificate", CERTIFICATE_SAN_MAX);
        GENERAL_NAMES_free(names);
        return NULL;
    }
    for (unsigned i = 0; i < san->n; i++) {
        GENERAL_NAME *g = alternative(san->p[i]);
        if (g && sk_GENERAL_NAME_push(names, g) > 0)
            continue;
        snprintf(error, size, "'%.80s' is not a host's name, an IP address or a URI", san->p[i]);
        GENERAL_NAME_free(g);
        GENERAL_NAMES_free(names);
        return NULL;
    }
    return names;
}

static bool set_name(X509_NAME *name, const char *common, char *error, size_t size)
{
    if (*common && strlen(common) <= NAME_MAX_BYTES &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0) == 1)
        return true;
    snprintf(error, size, "a common name has 1 to %d bytes of UTF-8", NAME_MAX_BYTES);
    ERR_clear_error();
    return false;
}

/* -- extensions --------------------------------------------------------------------------------------- */

static bool add_text(STACK_OF(X509_EXTENSION) * *all, X509V3_CTX *ctx, int nid, const char *text)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, text);
    bool good = e && X509v3_add_ext(all, e, -1);
    X509_EXTENSION_free(e);
    return good;
}

/* A server's certificate and no authority: whoever gets hold of its key can be this box, but nobody else. */
static bool extensions(STACK_OF(X509_EXTENSION) * *all, GENERAL_NAMES *names, const EVP_PKEY *key)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
    bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
    return add_text(all, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
           add_text(all, &ctx, NID_key_usage,
                    rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") &&
           add_text(all, &ctx, NID_ext_key_usage, "serverAuth,clientAuth") &&
           (sk_GENERAL_NAME_num(names) == 0 || X509V3_add1_i2d(all, NID_subject_alt_name, names, 0, 0) == 1);
}

/* -- certificates and requests ------------------------------------------------------------------------ */

static bool set_serial(X509 *x)
{
    unsigned char bytes[16];
    BIGNUM *n = NULL;
    if (RAND_bytes(bytes, sizeof bytes) == 1) {
        bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always 16 bytes */
        n = BN_bin2bn(bytes, sizeof bytes, NULL);
    }
    bool good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return good;
}

static bool add_identifier(X509 *x)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_key_identifier, "hash");
    bool good = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return good;
}

/* Everything but the names, and the signature. */
static bool fill_in(X509 *x, EVP_PKEY *key, STACK_OF(X509_EXTENSION) * all, unsigned days, time_t now)
{
    time_t from = now - BACKDATED_SECONDS, to = now;
    bool good = X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
                X509_time_adj_ex(X509_getm_notBefore(x), 0, 0, &from) &&
                X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, &to) && X509_set_pubkey(x, key) == 1 &&
                X509_set_issuer_name(x, X509_get_subject_name(x)) == 1;
    for (int i = 0; good && i < sk_X509_EXTENSION_num(all); i++)
        good = X509_add_ext(x, sk_X509_EXTENSION_value(all, i), -1) == 1;
    return good && add_identifier(x) && X509_sign(x, key, EVP_sha256()) > 0;
}

struct certificate *certificate_self_signed(const struct certificate_wish *w, time_t now, char *error,
                                            size_t size)
{
    struct certificate *c = must_alloc(1, sizeof *c);
    STACK_OF(X509_EXTENSION) *all = NULL;
    GENERAL_NAMES *names = alternatives(w->san, error, size);
    bool good = names && w->days >= 1 && w->days <= CERTIFICATE_DAYS_MAX;
    if (names && !good)
        snprintf(error, size, "a certificate lives for 1 to %d days", CERTIFICATE_DAYS_MAX);
    c->key = good ? make_key(w->key, error, size) : NULL;
    c->leaf = X509_new();
    c->chain = sk_X509_new_null();
    good = c->key && c->leaf && set_name(X509_get_subject_name(c->leaf), w->name, error, size);
    if (good && !(good = extensions(&all, names, c->key) && fill_in(c->leaf, c->key, all, w->days, now)))
        snprintf(error, size, "no certificate can be made: %s", certificate_reason());
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
    GENERAL_NAMES_free(names);
    if (good)
        return c;
    certificate_free(c);
    return NULL;
}

static char *request_text(EVP_PKEY *key, X509_REQ *request)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *p = NULL, *text = NULL;
    long len = 0;
    if (out && PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio_X509_REQ(out, request) == 1 && (len = BIO_get_mem_data(out, &p)) > 0)
        text = must_copy_n(p, (size_t)len);
    BIO_free(out);
    return text;
}

char *certificate_request(const struct certificate_wish *w, char *error, size_t size)
{
    STACK_OF(X509_EXTENSION) *all = NULL;
    GENERAL_NAMES *names = alternatives(w->san, error, size);
    EVP_PKEY *key = names ? make_key(w->key, error, size) : NULL;
    X509_REQ *request = X509_REQ_new();
    char *text = NULL;
    if (key && request && set_name(X509_REQ_get_subject_name(request), w->name, error, size)) {
        if (X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
            X509_REQ_set_pubkey(request, key) == 1 && extensions(&all, names, key) &&
            X509_REQ_add_extensions(request, all) == 1 && X509_REQ_sign(request, key, EVP_sha256()) > 0)
            text = request_text(key, request);
        if (!text)
            snprintf(error, size, "no request can be made: %s", certificate_reason());
    }
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
    GENERAL_NAMES_free(names);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return text;
}

char *certificate_request_pem(const char *text)
{
    const char *begin = strstr(text, "-----BEGIN CERTIFICATE REQUEST-----");
    return begin ? must_copy(begin) : NULL;
}
