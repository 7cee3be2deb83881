/* certificate.c: PEM texts (RFC 7468) to certificates and keys, and back; what a certificate says (RFC 5280).
 */
#include "control/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *certificate_reason(void)
{
    const char *s = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return s ? s : "unreadable";
}

/* -- reading ------------------------------------------------------------------------------------------ */

static BIO *text_bio(const char *text)
{
    return BIO_new_mem_buf(text, (int)strlen(text)); /* at most CERTIFICATE_TEXT_MAX */
}

static bool read_certificates(struct certificate *c, const char *pem, char *error, size_t size)
{
    BIO *in = text_bio(pem);
    X509 *x;
    c->chain = sk_X509_new_null();
    ERR_clear_error();
    *error = 0;
    while (in && c->chain && !*error && (x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
        if (!c->leaf)
            c->leaf = x;
        else if (sk_X509_num(c->chain) == CERTIFICATE_CHAIN_MAX || sk_X509_push(c->chain, x) == 0) {
            X509_free(x);
            snprintf(error, size, "more than %d certificates; leave out what is not its chain",
                     CERTIFICATE_CHAIN_MAX + 1);
        }
    }
    bool over = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(in);
    if (*error)
        ;
    else if (!over)
        snprintf(error, size, "certificate %d cannot be read: %s; give it as PEM",
                 c->leaf ? sk_X509_num(c->chain) + 2 : 1, certificate_reason());
    else if (!c->leaf)
        snprintf(error, size, "there is no certificate in it; give it as PEM (-----BEGIN CERTIFICATE-----)");
    ERR_clear_error();
    return !*error;
}

/* OpenSSL would ask the terminal otherwise. */
static int give_pass(char *into, int room, int writing, void *pass)
{
    (void)writing;
    size_t len = pass ? strlen(pass) : 0;
    if (len == 0 || len > (size_t)room)
        return -1;
    memcpy(into, pass, len);
    return (int)len;
}

static bool read_key(struct certificate *c, const char *text, const char *pass, char *error, size_t size)
{
    BIO *in = text_bio(text);
    ERR_clear_error();
    c->key = in ? PEM_read_bio_PrivateKey(in, NULL, give_pass, (void *)(uintptr_t)pass) : NULL;
    BIO_free(in);
    if (!c->key && !strstr(text, "PRIVATE KEY-----"))
        snprintf(error, size, "there is no private key in it; give it as PEM (-----BEGIN PRIVATE KEY-----)");
    else if (!c->key && strstr(text, "ENCRYPTED"))
        snprintf(error, size, "the private key is encrypted, and %s; give its passphrase",
                 pass && *pass ? "the passphrase does not open it" : "there is no passphrase");
    else if (!c->key)
        snprintf(error, size, "the private key cannot be read: %s; give it as PEM", certificate_reason());
    ERR_clear_error();
    return c->key != NULL;
}

struct certificate *certificate_read(const char *pem, const char *key, const char *pass, char *error,
                                     size_t size)
{
    struct certificate *c = must_alloc(1, sizeof *c);
    if (strlen(pem) > CERTIFICATE_TEXT_MAX || (key && strlen(key) > CERTIFICATE_TEXT_MAX))
        snprintf(error, size, "a certificate or key of more than %d bytes", CERTIFICATE_TEXT_MAX);
    else if (read_certificates(c, pem, error, size) && (!key || read_key(c, key, pass, error, size)))
        return c;
    certificate_free(c);
    return NULL;
}

void certificate_free(struct certificate *c)
{
    if (!c)
        return;
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    free(c);
}

/* -- writing ------------------------------------------------------------------------------------------ */

/* What the BIO holds, as a text; the BIO (which wipes it) ends. */
static char *take_text(BIO *out)
{
    char *p = NULL;
    long len = BIO_get_mem_data(out, &p);
    char *text = must_copy_n(p, len > 0 ? (size_t)len : 0);
    BIO_free(out);
    return text;
}

static void write_certificates(BIO *out, const struct certificate *c, bool top)
{
    int n = sk_X509_num(c->chain);
    if (!top || n == 0)
        PEM_write_bio_X509(out, c->leaf);
    for (int i = top && n ? n - 1 : 0; i < n; i++)
        PEM_write_bio_X509(out, sk_X509_value(c->chain, i));
}

char *certificate_pem(const struct certificate *c, bool top)
{
    BIO *out = BIO_new(BIO_s_mem());
    write_certificates(out, c, top);
    return take_text(out);
}

char *certificate_bundle(const struct certificate *c)
{
    BIO *out = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(out, c->key, NULL, NULL, 0, NULL, NULL);
    write_certificates(out, c, false);
    return take_text(out);
}

/* -- what it says ------------------------------------------------------------------------------------- */

/* RFC 4514, in UTF-8. */
static json_t *name_json(const X509_NAME *name)
{
    BIO *out = BIO_new(BIO_s_mem());
    X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    char *text = take_text(out);
    json_t *j = json_string(text);
    free(text);
    return j ? j : json_string("(not UTF-8)");
}

static time_t unix_time(const ASN1_TIME *t)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(t, &tm) ? timegm(&tm) : 0;
}

static json_t *date_json(time_t at)
{
    char text[40];
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

static json_t *alternative_json(const GENERAL_NAME *g)
{
    char ip[64] = "";
    const unsigned char *p = g->type == GEN_IPADD ? ASN1_STRING_get0_data(g->d.iPAddress) : NULL;
    if (g->type == GEN_DNS || g->type == GEN_URI) {
        const ASN1_IA5STRING *s = g->type == GEN_DNS ? g->d.dNSName : g->d.uniformResourceIdentifier;
        return json_sprintf("%s:%.*s", g->type == GEN_DNS ? "DNS" : "URI", ASN1_STRING_length(s),
                            (const char *)ASN1_STRING_get0_data(s));
    }
    if (p && ASN1_STRING_length(g->d.iPAddress) == 4)
        snprintf(ip, sizeof ip, "%d.%d.%d.%d", p[0], p[1], p[2], p[3]);
    else if (p && ASN1_STRING_length(g->d.iPAddress) == 16)
        for (int i = 0; i < 16; i += 2)
            snprintf(ip + strlen(ip), sizeof ip - strlen(ip), "%s%x", i ? ":" : "", p[i] << 8 | p[i + 1]);
    return *ip ? json_sprintf("IP:%s", ip) : NULL;
}

static json_t *alternatives_json(X509 *x)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    json_t *list = json_array();
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        json_t *j = alternative_json(sk_GENERAL_NAME_value(names, i));
        if (j)
            json_array_append_new(list, j);
    }
    GENERAL_NAMES_free(names);
    return list;
}

static json_t *key_json(const EVP_PKEY *key)
{
    char curve[64] = "";
    const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;
    if (key && EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) == 1 && *curve)
        return json_sprintf("%s %s", type ? type : "?", curve);
    return json_sprintf("%s %d bits", type ? type : "unknown", key ? EVP_PKEY_get_bits(key) : 0);
}

static json_t *fingerprint_json(const X509 *x)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char text[3 * EVP_MAX_MD_SIZE + 1] = "";
    X509_digest(x, EVP_sha256(), digest, &len);
    for (unsigned i = 0; i < len; i++)
        snprintf(text + 3 * i, 4, "%02X%s", digest[i], i + 1 < len ? ":" : "");
    return json_string(text);
}

static json_t *serial_json(const X509 *x)
{
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    char *hex = n ? BN_bn2hex(n) : NULL;
    json_t *j = json_string(hex ? hex : "");
    OPENSSL_free(hex);
    BN_free(n);
    return j;
}

time_t certificate_ends(const struct certificate *c)
{
    time_t ends = unix_time(X509_get0_notAfter(c->leaf));
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        time_t t = unix_time(X509_get0_notAfter(sk_X509_value(c->chain, i)));
        ends = t < ends ? t : ends;
    }
    return ends;
}

json_t *certificate_json(const struct certificate *c, time_t now)
{
    X509 *x = c->leaf;
    time_t begins = unix_time(X509_get0_notBefore(x)), ends = certificate_ends(c);
    json_t *j = json_object(), *chain = json_array();
    for (int i = 0; i < sk_X509_num(c->chain); i++)
        json_array_append_new(chain, name_json(X509_get_subject_name(sk_X509_value(c->chain, i))));
    json_object_set_new(j, "subject", name_json(X509_get_subject_name(x)));
    json_object_set_new(j, "issuer", name_json(X509_get_issuer_name(x)));
    json_object_set_new(j, "self_signed", json_boolean(X509_get_extension_flags(x) & EXFLAG_SS));
    json_object_set_new(j, "names", alternatives_json(x));
    json_object_set_new(j, "not_before", date_json(begins));
    json_object_set_new(j, "not_after", date_json(ends));
    json_object_set_new(j, "not_after_seconds", json_integer((json_int_t)ends));
    json_object_set_new(j, "days_left",
                        json_integer((json_int_t)((ends - now - (ends < now ? 86399 : 0)) / 86400)));
    json_object_set_new(j, "key", key_json(X509_get0_pubkey(x)));
    json_object_set_new(j, "signature", json_string(OBJ_nid2ln(X509_get_signature_nid(x))));
    json_object_set_new(j, "serial", serial_json(x));
    json_object_set_new(j, "sha256", fingerprint_json(x));
    json_object_set_new(j, "chain", chain);
    return j;
}
