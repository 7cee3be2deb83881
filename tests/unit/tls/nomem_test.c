/* nomem_test.c: the Nth allocation fails, ours or OpenSSL's on our behalf, while contexts are made and while
 * a connection lives: a verdict, nothing kept (ASan; tls_memory), and the next connection is served as ever.
 */
#include "nomem.h"
#include "tls/private.h"
#include "tls_rig.h"
#include "unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <stdio.h>

enum { MOST = 200000 }; /* allocations: so that a test which never succeeds ends */

static struct rig_pair ca, own, worker;

/* Runs what the box does with the allocation failing that is `left` ahead; the client's and the rig's do not.
 */
#define FAILING(left, run)                                                                                   \
    do {                                                                                                     \
        fail_at = (left);                                                                                    \
        (run);                                                                                               \
        (left) = fail_at;                                                                                    \
        fail_at = -1;                                                                                        \
    } while (0)

/* Each allocation near the beginning, then fewer and fewer: they are thousands, most of them of one loop. */
static long next(long n)
{
    return n < 200 ? n + 1 : n + 5 + n % 5 + n / 200;
}

/* One certificate less would be found out by clients. */
static bool is_whole(struct tls_set *set)
{
    bool whole = true;
    for (unsigned i = 0; i < 2; i++) {
        SSL_CTX *ssl = context_ssl(tls_set_context(set, i));
        STACK_OF(X509) *chain = NULL;
        SSL_CTX_get0_chain_certs(ssl, &chain);
        whole &= sk_X509_num(chain) == 1 &&
                 sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ssl))) == 2 &&
                 SSL_CTX_get_verify_mode(ssl) == (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    }
    return whole;
}

static void test_contexts(void)
{
    char chain[8192], authorities[8192];
    snprintf(chain, sizeof chain, "%s%s", own.certificate, ca.certificate);
    snprintf(authorities, sizeof authorities, "%s%s", ca.certificate, worker.certificate);
    struct rig_box b = rig_box((const char *[]){"tls-auth-clients", "yes", "workers", "2", NULL},
                               &(struct rig_pair){chain, own.key}, &(struct rig_pair){authorities, NULL});
    struct tls_set *set = NULL;
    unsigned failed = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(b.set);
    int64_t before = tls_memory();
    for (long n = 0, left = 0; !set && n < MOST; n = next(n)) {
        char error[256] = "";
        left = n;
        FAILING(left, set = tls_set_new(b.conf, 1000, error, sizeof error));
        if (set && left < 0) { /* OpenSSL could do without it */
            CU_ASSERT(is_whole(set));
            tls_set_unref(set);
            set = NULL;
            CU_ASSERT(*error == 0);
        } else if (!set) {
            failed++;
            CU_ASSERT(left < 0);
            CU_ASSERT(strncmp(error, "TLS: ", 5) == 0);
        }
    }
    CU_ASSERT_PTR_NOT_NULL(set);
    CU_ASSERT(failed > 50);
    tls_set_unref(set);
    printf("# contexts: %u allocations that fail it; %lld bytes kept\n", failed,
           (long long)(tls_memory() - before));
    CU_ASSERT(tls_memory() - before < 65536);
    rig_box_free(&b);
}

static void test_is_it_the_same_set(void)
{
    struct rig_box b = rig_box(NULL, &own, NULL);
    bool same = false;
    long left = 0;
    for (long n = 0; n < 100 && !same; n++) {
        left = n;
        FAILING(left, same = tls_set_same(b.set, b.conf));
        CU_ASSERT(same || left < 0); /* "no": then it is made anew, which costs time and nothing else */
    }
    CU_ASSERT(same);
    rig_box_free(&b);
}

static SSL_CTX *client_context(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *b = BIO_new_mem_buf(worker.certificate, -1), *k = BIO_new_mem_buf(worker.key, -1);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    SSL_CTX_use_certificate(ctx, x);
    SSL_CTX_use_PrivateKey(ctx, key);
    SSL_CTX_set_max_proto_version(ctx, version);
    X509_free(x);
    EVP_PKEY_free(key);
    BIO_free(b);
    BIO_free(k);
    return ctx;
}

struct names {
    char text[128];
};
static bool note_name(enum certificate_name kind, struct slice name, void *arg)
{
    struct names *n = arg;
    size_t len = strlen(n->text);
    snprintf(n->text + len, sizeof n->text - len, "%d:%.*s ", kind, (int)name.len, (const char *)name.p);
    return true;
}

/* Bytes of the client's reach us, or the connection fails. */
static bool read_some(struct rig_talk *t, const char *want, long *left)
{
    uint8_t got[64];
    size_t n = 0, all = 0;
    enum tls_result r = TLS_WAIT;
    SSL_write(t->client, want, (int)strlen(want));
    for (int i = 0; i < 4 && r == TLS_WAIT && all < strlen(want); i++) {
        rig_move(t);
        FAILING(*left, r = tls_read(t->server, got + all, sizeof got - all, &n));
        all += n;
    }
    CU_ASSERT(r == TLS_DONE || r == TLS_FAILED);
    CU_ASSERT(r == TLS_FAILED || (all == strlen(want) && memcmp(got, want, all) == 0));
    return r == TLS_DONE;
}

/* So much that records are kept back, which takes memory of ours. */
static bool write_much(struct rig_talk *t, long *left)
{
    static uint8_t sent[40000], got[sizeof sent];
    size_t all = 0;
    bool good;
    memset(sent, 'x', sizeof sent);
    t->down_room = 3000;
    FAILING(*left, good = tls_write(t->server, sent, sizeof sent));
    if (!good)
        return false;
    for (int i = 0; i < 1000 && all < sizeof sent; i++) {
        rig_move(t);
        for (int n; (n = SSL_read(t->client, got + all, (int)(sizeof got - all))) > 0;)
            all += (size_t)n;
    }
    CU_ASSERT_EQUAL(all, sizeof sent);
    CU_ASSERT(memcmp(sent, got, sizeof sent) == 0);
    return true;
}

static bool shakes_hands(struct rig_talk *t, long *left, bool *counted)
{
    enum tls_result r = TLS_WAIT;
    for (int i = 0; i < 20 && r == TLS_WAIT; i++) {
        SSL_do_handshake(t->client);
        rig_move(t);
        FAILING(*left, r = tls_handshake(t->server, t->now_ms));
    }
    CU_ASSERT(r == TLS_DONE || r == TLS_FAILED);
    *counted = r == TLS_FAILED && tls_failure(t->server) == TLS_FAILURE_MEMORY;
    rig_move(t);
    SSL_do_handshake(t->client);
    ERR_clear_error();
    return r == TLS_DONE;
}

/* A life from the first byte to the last. False if it failed. */
static bool live(struct tls_context *context, SSL_CTX *ctx, long *left, bool *counted)
{
    struct rig_talk *t = rig_talk(context, ctx, NULL);
    struct names names = {""};
    tls_free(t->server);
    FAILING(*left, t->server = tls_new(context, &rig_wire, t));
    bool good = t->server && shakes_hands(t, left, counted);
    if (good) {
        FAILING(*left, tls_each_name(t->server, note_name, &names));
        CU_ASSERT(strncmp("0:worker 1:app.example ", names.text, strlen(names.text)) == 0);
        good = read_some(t, "PING\r\n", left) && write_much(t, left) && read_some(t, "QUIT\r\n", left);
        FAILING(*left, tls_end(t->server));
    }
    ERR_clear_error();
    rig_talk_free(t);
    return good;
}

static void lives(int version)
{
    struct rig_box b = rig_box((const char *[]){"tls-auth-clients", "yes", NULL}, &own, &ca);
    struct tls_context *context = tls_set_context(b.set, 0);
    SSL_CTX *ctx = client_context(version);
    unsigned failed = 0, said = 0, survived = 0;
    bool counted = false;
    long left = -1;
    CU_ASSERT(live(context, ctx, &left, &counted)); /* what OpenSSL makes once and keeps */
    int64_t before = tls_memory();
    for (long n = 0; n < MOST; n = next(n)) {
        left = n;
        counted = false;
        bool good = live(context, ctx, &left, &counted);
        if (good && left >= 0)
            break;
        failed += !good;
        said += counted;
        survived += good;
        left = -1;
        if (n % 50 == 0)
            CU_ASSERT(live(context, ctx, &left, &counted));
    }
    CU_ASSERT(left >= 0); /* at last none failed */
    CU_ASSERT(failed > 50);
    CU_ASSERT(said > 0);
    printf("# %s: %u lives ended, %u of them in the handshake for want of memory, %u did without; %lld bytes "
           "kept\n",
           version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3", failed, said, survived,
           (long long)(tls_memory() - before));
    CU_ASSERT(tls_memory() - before < 4096);
    left = -1;
    CU_ASSERT(live(context, ctx, &left, &counted));
    SSL_CTX_free(ctx);
    rig_box_free(&b);
}

static void test_connections_1_2(void)
{
    lives(TLS1_2_VERSION);
}

static void test_connections_1_3(void)
{
    lives(TLS1_3_VERSION);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_contexts),
                                             UNIT(test_is_it_the_same_set),
                                             UNIT(test_connections_1_2),
                                             UNIT(test_connections_1_3),
                                             {NULL, NULL}};
    if (!tls_start())
        return 1;
    ca = rig_make("authority", NULL, NULL);
    own = rig_make("box", "DNS:box.example,IP:127.0.0.1", &ca);
    worker = rig_make("worker", "DNS:app.example", &ca);
    int status = unit_main(argc, argv, "tls/nomem", tests);
    rig_pair_free(&ca);
    rig_pair_free(&own);
    rig_pair_free(&worker);
    return status;
}
