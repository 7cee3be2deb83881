/* strangers_test.c: who must not get in by TLS, though nearly right: client certificates that are out of date, for other uses, signed by who may not or by
 * a weak key; names that are meant to be misread; tickets that somebody has changed; requests that come before the handshake is over. */
#include "tls_rig.h"
#include "unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

enum { HOUR = 3600, VERSIONS = 2 };

/* -- certificates ---------------------------------------------------------------------------------------- */

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};
static struct identity authority, namesake, leaf, branch; /* namesake: of the authority's name; branch: may sign, says the authority */

struct wish {
    const char *what;
    const struct identity *signer; /* NULL: itself */
    long from_s, until_s;
    const char *constraints, *uses; /* NULL: says nothing of its uses */
    int bits;                       /* of RSA; 0: EC, P-256 */
    const EVP_MD *(*digest)(void);
    bool welcome;
};

static void extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;
    if (e)
        X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* cn: of cn_len bytes and that ASN.1 type. */
static struct identity make_named(const struct wish *w, const void *cn, int cn_len, int type)
{
    static long serial = 1000;
    struct identity made = {w->bits ? EVP_RSA_gen((unsigned)w->bits) : EVP_EC_gen("P-256"), X509_new()};
    const struct identity *signer = w->signer ? w->signer : &made;
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), w->from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), w->until_s);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(made.certificate), NID_commonName, type, cn, cn_len, -1, 0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(signer->certificate));
    X509_set_pubkey(made.certificate, made.key);
    extend(made.certificate, NID_basic_constraints, w->constraints);
    extend(made.certificate, NID_ext_key_usage, w->uses);
    if (X509_sign(made.certificate, signer->key, w->digest()) <= 0)
        abort();
    return made;
}

static struct identity make(const struct wish *w, const char *cn)
{
    return make_named(w, cn, -1, MBSTRING_UTF8);
}

static void unmake(struct identity *i)
{
    EVP_PKEY_free(i->key);
    X509_free(i->certificate);
    *i = (struct identity){NULL, NULL};
}

/* -- the box and who comes ------------------------------------------------------------------------------- */

static struct rig_pair own;
static struct rig_box box;

static char *pem_of(X509 *x)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *p;
    PEM_write_bio_X509(b, x);
    long n = BIO_get_mem_data(b, &p);
    char *text = strndup(p, (size_t)n);
    BIO_free(b);
    return text;
}

/* A client that shows this one, with its signer if that is not the authority. It minds nothing itself. */
static SSL_CTX *client_of(const struct identity *i, const struct identity *signer, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_max_proto_version(ctx, version);
    CU_ASSERT_EQUAL(SSL_CTX_use_certificate(ctx, i->certificate), 1);
    CU_ASSERT_EQUAL(SSL_CTX_use_PrivateKey(ctx, i->key), 1);
    if (signer && signer != &authority)
        CU_ASSERT_EQUAL(SSL_CTX_add1_chain_cert(ctx, signer->certificate), 1);
    return ctx;
}

/* Is it let in? tls_each_name() tells of nobody who is not. */
static bool gets_in(const struct identity *i, const struct identity *signer, int version)
{
    SSL_CTX *ctx = client_of(i, signer, version);
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
    bool in = rig_shake(t) == TLS_DONE;
    CU_ASSERT_EQUAL(tls_failure(t->server), in ? TLS_FAILURE_OTHER : TLS_FAILURE_BAD_CERTIFICATE);
    rig_talk_free(t);
    SSL_CTX_free(ctx);
    return in;
}

static bool start(const char *auth)
{
    char *trusted = pem_of(authority.certificate);
    struct rig_pair ca = {trusted, NULL};
    box = rig_box((const char *[]){"tls-auth-clients", auth, NULL}, &own, &ca);
    free(trusted);
    return box.set;
}

/* -- tests ----------------------------------------------------------------------------------------------- */

static void test_certificates_that_are_nearly_right(void)
{
    const struct wish wishes[] = {
        {"as it should be", &authority, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_sha256, true},
        {"for clients", &authority, -HOUR, HOUR, "CA:FALSE", "clientAuth", 0, EVP_sha256, true},
        {"RSA of 2048 bits", &authority, -HOUR, HOUR, "CA:FALSE", NULL, 2048, EVP_sha256, true},
        {"by who may sign", &branch, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_sha256, true},
        {"expired", &authority, -2 * HOUR, -HOUR, "CA:FALSE", NULL, 0, EVP_sha256, false},
        {"of tomorrow", &authority, HOUR, 2 * HOUR, "CA:FALSE", NULL, 0, EVP_sha256, false},
        {"for servers alone", &authority, -HOUR, HOUR, "CA:FALSE", "serverAuth", 0, EVP_sha256, false},
        {"for mail alone", &authority, -HOUR, HOUR, "CA:FALSE", "emailProtection", 0, EVP_sha256, false},
        {"by a client's certificate", &leaf, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_sha256, false},
        {"by another authority of the same name", &namesake, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_sha256, false},
        {"by itself", NULL, -HOUR, HOUR, "CA:TRUE", NULL, 0, EVP_sha256, false},
        {"RSA of 1024 bits", &authority, -HOUR, HOUR, "CA:FALSE", NULL, 1024, EVP_sha256, false},
        {"signed over SHA-1", &authority, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_sha1, false},
        {"signed over MD5", &branch, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_md5, false},
    };
    for (unsigned mode = 0; mode < 2; mode++) {
        CU_ASSERT_FATAL(start(mode ? "optional" : "yes"));
        for (unsigned i = 0; i < sizeof wishes / sizeof *wishes; i++) {
            struct identity made = make(&wishes[i], "admin");
            for (int v = 0; v < VERSIONS; v++) {
                bool in = gets_in(&made, wishes[i].signer, v ? TLS1_3_VERSION : TLS1_2_VERSION);
                if (in != wishes[i].welcome)
                    printf("# %s: %s\n", wishes[i].what, in ? "let in" : "refused");
                CU_ASSERT_EQUAL(in, wishes[i].welcome);
            }
            unmake(&made);
        }
        rig_box_free(&box);
    }
}

/* Names as they come from a certificate, counted; a byte 0 would be a bug: users' names are compared as texts elsewhere. */
static bool count_name(enum certificate_name kind, struct slice name, void *arg)
{
    (void)kind;
    CU_ASSERT(name.len > 0 && memchr(name.p, 0, name.len) == NULL);
    ++*(unsigned *)arg;
    return true;
}

static void test_names_that_are_meant_to_be_misread(void)
{
    static const struct {
        const char *cn;
        int len, type;
        unsigned names;
    } rows[] = {{"admin", 5, V_ASN1_UTF8STRING, 1},
                {"admin", 5, V_ASN1_PRINTABLESTRING, 1},
                {"admin\0.example", 14, V_ASN1_UTF8STRING, 0}, /* ends too early for who reads C */
                {"\0a\0d\0m\0i\0n", 10, V_ASN1_BMPSTRING, 0},
                {"\0\0\0a", 4, V_ASN1_UNIVERSALSTRING, 0}};
    const struct wish right = {"", &authority, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_sha256, true};
    CU_ASSERT_FATAL(start("yes"));
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct identity made = make_named(&right, rows[i].cn, rows[i].len, rows[i].type);
        SSL_CTX *ctx = client_of(&made, NULL, TLS1_3_VERSION);
        struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
        unsigned names = 0;
        CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
        CU_ASSERT(tls_each_name(t->server, count_name, &names));
        CU_ASSERT_EQUAL(names, rows[i].names);
        rig_talk_free(t);
        SSL_CTX_free(ctx);
        unmake(&made);
    }
    rig_box_free(&box);
}

/* A session of this version, with its ticket. */
static SSL_SESSION *session_of(SSL_CTX *ctx)
{
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
    uint8_t got[8];
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    tls_write(t->server, "+", 1);
    rig_move(t);
    SSL_read(t->client, got, sizeof got);
    SSL_SESSION *s = SSL_get1_session(t->client);
    SSL_shutdown(t->client); /* else OpenSSL thinks the session bad */
    rig_talk_free(t);
    return s;
}

/* Offers the session and tells whether it was taken; whoever offers any gets a handshake. */
static bool resumes(SSL_CTX *ctx, SSL_SESSION *s)
{
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, s);
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    bool taken = tls_resumed(t->server);
    CU_ASSERT_EQUAL(taken, SSL_session_reused(t->client));
    SSL_shutdown(t->client);
    rig_talk_free(t);
    return taken;
}

/* The same session with a byte of its ticket changed. */
static SSL_SESSION *spoilt(SSL_SESSION *s, size_t at)
{
    static uint8_t text[1 << 14];
    const uint8_t *ticket;
    uint8_t *end = text;
    size_t len;
    SSL_SESSION_get0_ticket(s, &ticket, &len);
    int n = i2d_SSL_SESSION(s, NULL);
    CU_ASSERT_FATAL(n > 0 && n < (int)sizeof text && at < len);
    i2d_SSL_SESSION(s, &end);
    uint8_t *place = memmem(text, (size_t)n, ticket, len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(place);
    place[at] ^= 0x10;
    return d2i_SSL_SESSION(NULL, &(const uint8_t *){text}, n);
}

static void test_no_changed_ticket_resumes(void)
{
    enum { STEP = 5 };
    box = rig_box(NULL, &own, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(box.set);
    for (int v = 0; v < VERSIONS; v++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(ctx, v ? TLS1_3_VERSION : TLS1_2_VERSION);
        SSL_SESSION *s = session_of(ctx);
        const uint8_t *ticket;
        size_t len;
        SSL_SESSION_get0_ticket(s, &ticket, &len);
        CU_ASSERT(len > 64);
        CU_ASSERT(resumes(ctx, s));
        for (size_t at = 0; at < len; at += STEP) {
            SSL_SESSION *other = spoilt(s, at);
            CU_ASSERT_FALSE(resumes(ctx, other));
            SSL_SESSION_free(other);
        }
        SSL_SESSION_free(s);
        SSL_CTX_free(ctx);
    }
    rig_box_free(&box);
}

/* What is sent with a hello can be sent again by whoever has seen it (RFC 8446 section 8): nothing is taken there. */
static void test_nothing_is_said_before_the_handshake_is_over(void)
{
    box = rig_box(NULL, &own, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(box.set);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_SESSION *s = session_of(ctx);
    CU_ASSERT_EQUAL(SSL_SESSION_get_max_early_data(s), 0);
    CU_ASSERT_EQUAL(SSL_SESSION_set_max_early_data(s, 16384), 1); /* a client that does it all the same */
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, s);
    size_t written = 0, n = 0;
    uint8_t got[64];
    CU_ASSERT_EQUAL(SSL_write_early_data(t->client, "FLUSHALL\r\n", 10, &written), 1);
    CU_ASSERT_EQUAL(written, 10);
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    CU_ASSERT_EQUAL(SSL_get_early_data_status(t->client), SSL_EARLY_DATA_REJECTED);
    CU_ASSERT_EQUAL(tls_read(t->server, got, sizeof got, &n), TLS_WAIT);
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(SSL_write(t->client, "PING\r\n", 6), 6);
    rig_move(t);
    CU_ASSERT_EQUAL(tls_read(t->server, got, sizeof got, &n), TLS_DONE);
    CU_ASSERT(n == 6 && memcmp(got, "PING\r\n", 6) == 0);
    rig_talk_free(t);
    SSL_SESSION_free(s);
    SSL_CTX_free(ctx);
    rig_box_free(&box);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_certificates_that_are_nearly_right), UNIT(test_names_that_are_meant_to_be_misread),
                                             UNIT(test_no_changed_ticket_resumes), UNIT(test_nothing_is_said_before_the_handshake_is_over), {NULL, NULL}};
    const struct wish top = {"", NULL, -HOUR, HOUR, "critical,CA:TRUE", NULL, 2048, EVP_sha256, false},
                      below = {"", &authority, -HOUR, HOUR, "critical,CA:TRUE", NULL, 2048, EVP_sha256, false},
                      end = {"", &authority, -HOUR, HOUR, "CA:FALSE", NULL, 0, EVP_sha256, false};
    if (!tls_start())
        return 1;
    own = rig_make("box", "DNS:box.example", NULL);
    authority = make(&top, "authority");
    namesake = make(&top, "authority");
    branch = make(&below, "branch");
    leaf = make(&end, "leaf");
    int status = unit_main(argc, argv, "tls/strangers", tests);
    rig_pair_free(&own);
    struct identity *all[] = {&authority, &namesake, &branch, &leaf};
    for (unsigned i = 0; i < 4; i++)
        unmake(all[i]);
    return status;
}
