/* tls_test.c: tls/tls.h against OpenSSL's own client, in memory. */
#include "tls_rig.h"
#include "unit.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>

static struct rig_pair ca, own, client, stranger, other;

static struct rig_box plain_box(void)
{
    return rig_box(NULL, &own, NULL);
}

static SSL_CTX *client_with(const struct rig_pair *p)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    rig_show(ctx, p);
    return ctx;
}

/* Everything that comes, until nothing does. */
static size_t read_all(struct rig_talk *t, uint8_t *to, size_t room, enum tls_result *last)
{
    size_t all = 0, n;
    while ((*last = tls_read(t->server, to + all, room - all, &n)) == TLS_DONE && all + n < room)
        all += n;
    return all + n;
}

static void test_bytes_go_both_ways_in_both_versions(void)
{
    const char *version[] = {"TLSv1.2", "TLSv1.3"};
    for (unsigned v = 0; v < 2; v++) {
        struct rig_box b = rig_box((const char *[]){"tls-protocols", version[v], NULL}, &own, NULL);
        struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), NULL, NULL);
        uint8_t got[64];
        enum tls_result r;
        CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
        CU_ASSERT_STRING_EQUAL(tls_version(t->server), version[v]);
        SSL_write(t->client, "PING\r\n", 6);
        rig_move(t);
        CU_ASSERT_EQUAL(read_all(t, got, sizeof got, &r), 6);
        CU_ASSERT_EQUAL(r, TLS_WAIT);
        CU_ASSERT(memcmp(got, "PING\r\n", 6) == 0);
        CU_ASSERT(tls_write(t->server, "+PONG\r\n", 7));
        rig_move(t);
        CU_ASSERT_EQUAL(SSL_read(t->client, got, sizeof got), 7);
        SSL_shutdown(t->client);
        rig_move(t);
        CU_ASSERT_EQUAL(tls_read(t->server, got, sizeof got, &(size_t){0}), TLS_CLOSED);
        tls_end(t->server);
        rig_move(t);
        CU_ASSERT_EQUAL(SSL_read(t->client, got, sizeof got), 0);
        CU_ASSERT(SSL_get_shutdown(t->client) & SSL_RECEIVED_SHUTDOWN);
        rig_talk_free(t);
        rig_box_free(&b);
    }
}

/* However little room the wire has, records arrive whole. */
static void test_a_megabyte_passes_a_narrow_wire(void)
{
    enum { BYTES = 1 << 20 };
    struct rig_box b = plain_box();
    struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), NULL, NULL);
    uint8_t *sent = malloc(BYTES), *got = malloc(BYTES);
    size_t out = 0, in = 0;
    for (unsigned i = 0; i < BYTES; i++)
        sent[i] = (uint8_t)(i * 2654435761u >> 24);
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    t->down_room = 700;
    for (unsigned i = 0; i < 10000 && in < BYTES; i++) {
        if (out < BYTES && !tls_spilled(t->server)) {
            size_t n = BYTES - out < 5000 ? BYTES - out : 5000;
            CU_ASSERT_FATAL(tls_write(t->server, sent + out, n));
            out += n;
        }
        rig_move(t);
        int n = SSL_read(t->client, got + in, (int)(BYTES - in));
        in += n > 0 ? (size_t)n : 0;
    }
    CU_ASSERT_EQUAL(in, BYTES);
    CU_ASSERT(memcmp(sent, got, BYTES) == 0);
    free(sent);
    free(got);
    rig_talk_free(t);
    rig_box_free(&b);
}

/* The client's first flight, as bytes. */
static size_t hello(uint8_t *to, size_t room)
{
    struct rig_box b = plain_box();
    struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), NULL, NULL);
    SSL_do_handshake(t->client);
    int n = BIO_read(SSL_get_wbio(t->client), to, (int)room);
    rig_talk_free(t);
    rig_box_free(&b);
    return n > 0 ? (size_t)n : 0;
}

static void test_a_hello_may_come_byte_by_byte(void)
{
    uint8_t bytes[2048];
    size_t n = hello(bytes, sizeof bytes);
    struct rig_box b = plain_box();
    struct rig_talk *t = rig_listen(tls_set_context(b.set, 0));
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(t->down_len, 0);
        memcpy(t->up, bytes + i, 1);
        t->up_len = 1;
        CU_ASSERT_EQUAL(tls_handshake(t->server, t->now_ms), TLS_WAIT);
        CU_ASSERT_EQUAL(tls_taken(t->server), 1);
        t->up_len = 0;
    }
    CU_ASSERT(t->down_len > 500);
    CU_ASSERT(tls_under_way(t->server));
    rig_talk_free(t);
    rig_box_free(&b);
}

/* Each byte of a hello in turn is changed, and random ones: a verdict, and memory as before. */
static void test_damaged_hellos_end_in_a_verdict(void)
{
    uint8_t bytes[2048];
    size_t n = hello(bytes, sizeof bytes);
    struct rig_box b = plain_box();
    unsigned failed = 0;
    srand(7);
    for (unsigned i = 0; i < 2000; i++) {
        struct rig_talk *t = rig_listen(tls_set_context(b.set, 0));
        memcpy(t->up, bytes, n);
        t->up[i < n ? i : (size_t)rand() % n] ^= (uint8_t)(1 + rand() % 255);
        t->up_len = i % 3 ? n : (size_t)rand() % n;
        enum tls_result r = tls_handshake(t->server, t->now_ms);
        CU_ASSERT(r == TLS_WAIT || r == TLS_FAILED);
        failed += r == TLS_FAILED;
        rig_talk_free(t);
    }
    CU_ASSERT(failed > 100);
    rig_box_free(&b);
}

static void test_a_changed_record_is_not_opened(void)
{
    struct rig_box b = plain_box();
    for (unsigned at = 5; at < 28; at++) {
        struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), NULL, NULL);
        uint8_t got[64];
        size_t n;
        rig_shake(t);
        SSL_write(t->client, "SECRET", 6);
        rig_move(t);
        t->up[at] ^= 1;
        CU_ASSERT_EQUAL(tls_read(t->server, got, sizeof got, &n), TLS_FAILED);
        CU_ASSERT_FALSE(tls_write(t->server, "x", 1));
        rig_talk_free(t);
    }
    rig_box_free(&b);
}

static void test_words_in_plain_are_garbage(void)
{
    static const char *const words[] = {"*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", "\x80\x2e\x01\x03",
                                        "\x16\x03\x01\x00\x00", "\x15\x03\x01\x00\x02\x02\x28"};
    struct rig_box b = plain_box();
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        struct rig_talk *t = rig_listen(tls_set_context(b.set, 0));
        t->up_len = i < 3 ? strlen(words[i]) : 7 - (i == 3) * 2;
        memcpy(t->up, words[i], t->up_len);
        enum tls_result r = tls_handshake(t->server, t->now_ms);
        CU_ASSERT(r == TLS_FAILED || (i == 3 && r == TLS_WAIT) || (i == 2 && r == TLS_WAIT));
        rig_talk_free(t);
    }
    rig_box_free(&b);
}

static SSL_SESSION *kept;
static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

/* A handshake whose session is offered again to another context. */
static bool resumes(struct tls_context *first, struct tls_context *second, int version, uint64_t later_ms)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(ctx, keep);
    SSL_CTX_set_max_proto_version(ctx, version);
    struct rig_talk *t = rig_talk(first, ctx, NULL);
    uint8_t got[8];
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    CU_ASSERT_FALSE(tls_resumed(t->server));
    tls_write(t->server, "+", 1);
    rig_move(t);
    SSL_read(t->client, got, sizeof got);
    SSL_shutdown(t->client); /* else OpenSSL thinks the session bad */
    rig_talk_free(t);
    t = rig_talk(second, ctx, kept);
    t->now_ms += later_ms;
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    bool resumed = tls_resumed(t->server);
    rig_talk_free(t);
    SSL_CTX_free(ctx);
    SSL_SESSION_free(kept);
    kept = NULL;
    return resumed;
}

static void test_any_worker_resumes_a_session(void)
{
    struct rig_box b = rig_box((const char *[]){"workers", "3", NULL}, &own, NULL);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT(resumes(tls_set_context(b.set, 0), tls_set_context(b.set, i), TLS1_3_VERSION, 0));
        CU_ASSERT(resumes(tls_set_context(b.set, 0), tls_set_context(b.set, i), TLS1_2_VERSION, 0));
    }
    rig_box_free(&b);
}

static void test_ticket_keys_do_not_live_for_ever(void)
{
    struct rig_box b = plain_box();
    struct tls_context *c = tls_set_context(b.set, 0);
    CU_ASSERT(resumes(c, c, TLS1_3_VERSION, 301 * 1000));
    CU_ASSERT_FALSE(resumes(c, c, TLS1_3_VERSION, 1000 * 1000));
    rig_box_free(&b);
}

/* Whoever was let in by other certificates or rules shakes hands anew. */
static void test_no_session_outlives_what_it_was_made_under(void)
{
    struct rig_box a = rig_box(NULL, &own, NULL), b = rig_box(NULL, &other, NULL);
    struct rig_box c = rig_box((const char *[]){"tls-auth-clients", "optional", NULL}, &own, &ca);
    CU_ASSERT_FALSE(resumes(tls_set_context(a.set, 0), tls_set_context(b.set, 0), TLS1_3_VERSION, 0));
    CU_ASSERT_FALSE(resumes(tls_set_context(a.set, 0), tls_set_context(c.set, 0), TLS1_2_VERSION, 0));
    CU_ASSERT_FALSE(tls_set_same(a.set, b.conf));
    CU_ASSERT(tls_set_same(a.set, a.conf));
    rig_box_free(&a);
    rig_box_free(&b);
    rig_box_free(&c);
}

static void test_without_caching_nothing_is_resumed(void)
{
    struct rig_box b = rig_box((const char *[]){"tls-session-caching", "no", NULL}, &own, NULL);
    struct tls_context *c = tls_set_context(b.set, 0);
    CU_ASSERT_FALSE(resumes(c, c, TLS1_3_VERSION, 0));
    CU_ASSERT_FALSE(resumes(c, c, TLS1_2_VERSION, 0));
    rig_box_free(&b);
}

struct names {
    char text[256];
};

static bool note_name(enum certificate_name kind, struct slice name, void *arg)
{
    struct names *n = arg;
    size_t len = strlen(n->text);
    snprintf(n->text + len, sizeof n->text - len, "%d:%.*s ", kind, (int)name.len, (const char *)name.p);
    return true;
}

static void test_clients_show_certificates(void)
{
    struct rig_box b = rig_box((const char *[]){"tls-auth-clients", "yes", NULL}, &own, &ca);
    const struct {
        const struct rig_pair *pair;
        enum tls_failure failure;
        const char *names;
    } cases[] = {{&client, TLS_FAILURE_OTHER, "0:worker 1:app.example 2:urn:app:7 "},
                 {&stranger, TLS_FAILURE_BAD_CERTIFICATE, NULL},
                 {NULL, TLS_FAILURE_NO_CERTIFICATE, NULL}};
    for (unsigned i = 0; i < 3; i++) {
        SSL_CTX *ctx = cases[i].pair ? client_with(cases[i].pair) : NULL;
        struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), ctx, NULL);
        struct names names = {""};
        CU_ASSERT_EQUAL(rig_shake(t), cases[i].names ? TLS_DONE : TLS_FAILED);
        CU_ASSERT_EQUAL(tls_failure(t->server), cases[i].failure);
        CU_ASSERT_EQUAL(tls_each_name(t->server, note_name, &names), cases[i].names != NULL);
        CU_ASSERT_STRING_EQUAL(names.text, cases[i].names ? cases[i].names : "");
        rig_talk_free(t);
        SSL_CTX_free(ctx);
    }
    rig_box_free(&b);
    b = rig_box((const char *[]){"tls-auth-clients", "optional", NULL}, &own, &ca);
    struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), NULL, NULL);
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    CU_ASSERT_FALSE(tls_each_name(t->server, note_name, &(struct names){""}));
    rig_talk_free(t);
    rig_box_free(&b);
}

static void test_weak_ciphers_and_old_versions_are_not_spoken(void)
{
    struct rig_box b = plain_box();
    const char *weak[] = {"AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
                          "AES256-GCM-SHA384"};
    for (unsigned i = 0; i < 4; i++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
        SSL_CTX_set_cipher_list(ctx, weak[i]);
        struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), ctx, NULL);
        CU_ASSERT_EQUAL(rig_shake(t), TLS_FAILED);
        CU_ASSERT_EQUAL(tls_failure(t->server), TLS_FAILURE_NO_COMMON);
        rig_talk_free(t);
        SSL_CTX_free(ctx);
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
    struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), ctx, NULL);
    CU_ASSERT_EQUAL(rig_shake(t), TLS_FAILED);
    rig_talk_free(t);
    SSL_CTX_free(ctx);
    rig_box_free(&b);
}

static void test_what_cannot_be_used_is_named(void)
{
    struct rig_pair mixed = {own.certificate, other.key},
                    garbled = {(char *)(uintptr_t) "-----BEGIN", own.key};
    const struct {
        const char *name, *value;
        const struct rig_pair *pair;
        const char *error;
    } cases[] = {
        {"tls-port", "6380", &mixed, "TLS: the private key cannot be used"},
        {"tls-port", "6380", &garbled, "TLS: the certificate cannot be used"},
        {"tls-port", "6380", NULL, "TLS: there is a tls-port, but no certificate and key"},
        {"tls-auth-clients", "yes", &own,
         "TLS: clients are asked for certificates, but no authority is known"},
        {"tls-protocols", "SSLv3", &own, "TLS: invalid tls-protocols"},
        {"tls-ciphers", "NONE", &own, "TLS: tls-ciphers names none that there is"},
        {"tls-ciphersuites", "NONE", &own, "TLS: tls-ciphersuites"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig_box b =
            rig_box((const char *[]){cases[i].name, cases[i].value, NULL}, cases[i].pair, NULL);
        CU_ASSERT_PTR_NULL(b.set);
        CU_ASSERT(strncmp(b.error, cases[i].error, strlen(cases[i].error)) == 0);
        if (strncmp(b.error, cases[i].error, strlen(cases[i].error)) != 0)
            printf("# %s\n", b.error);
        rig_box_free(&b);
    }
}

static void test_thousands_of_handshakes_leave_nothing(void)
{
    struct rig_box b = plain_box();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int64_t before = 0;
    unsigned count = getenv("COUNT") ? (unsigned)atoi(getenv("COUNT")) : 2000;
    for (unsigned i = 0; i < count; i++) {
        if (i == 50)
            before = tls_memory();
        struct rig_talk *t = rig_talk(tls_set_context(b.set, 0), ctx, NULL);
        if (i % 5 != 4)
            CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
        rig_talk_free(t);
    }
    CU_ASSERT(tls_memory() - before < 65536);
    if (tls_memory() - before >= 65536)
        printf("# %lld bytes more\n", (long long)(tls_memory() - before));
    SSL_CTX_free(ctx);
    rig_box_free(&b);
}

static void test_an_idle_connection_is_small(void)
{
    struct rig_box b = plain_box();
    struct rig_talk *t[64];
    uint8_t got[8];
    for (unsigned i = 0; i < 64; i++) {
        t[i] = rig_talk(tls_set_context(b.set, 0), NULL, NULL);
        rig_shake(t[i]);
        tls_settle(t[i]->server);
        SSL_write(t[i]->client, "PING", 4);
        rig_move(t[i]);
        tls_read(t[i]->server, got, sizeof got, &(size_t){0});
        tls_read(t[i]->server, got, sizeof got, &(size_t){0});
        SSL_free(t[i]->client);
        t[i]->client = NULL;
    }
    int64_t with = tls_memory();
    for (unsigned i = 0; i < 64; i++)
        rig_talk_free(t[i]);
    int64_t each = (with - tls_memory()) / 64;
    printf("# %lld bytes of OpenSSL's an idle connection\n", (long long)each);
    CU_ASSERT(each > 0 && each < 5000);
    rig_box_free(&b);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_bytes_go_both_ways_in_both_versions),
                                             UNIT(test_a_megabyte_passes_a_narrow_wire),
                                             UNIT(test_a_hello_may_come_byte_by_byte),
                                             UNIT(test_damaged_hellos_end_in_a_verdict),
                                             UNIT(test_a_changed_record_is_not_opened),
                                             UNIT(test_words_in_plain_are_garbage),
                                             UNIT(test_any_worker_resumes_a_session),
                                             UNIT(test_ticket_keys_do_not_live_for_ever),
                                             UNIT(test_no_session_outlives_what_it_was_made_under),
                                             UNIT(test_without_caching_nothing_is_resumed),
                                             UNIT(test_clients_show_certificates),
                                             UNIT(test_weak_ciphers_and_old_versions_are_not_spoken),
                                             UNIT(test_what_cannot_be_used_is_named),
                                             UNIT(test_thousands_of_handshakes_leave_nothing),
                                             UNIT(test_an_idle_connection_is_small),
                                             {NULL, NULL}};
    if (!tls_start())
        return 1;
    ca = rig_make("authority", NULL, NULL);
    own = rig_make("box", "DNS:box.example,IP:127.0.0.1", &ca);
    client = rig_make("worker", "DNS:app.example,URI:urn:app:7", &ca);
    other = rig_make("box", "DNS:box.example", &ca);
    stranger = rig_make("worker", NULL, NULL);
    int status = unit_main(argc, argv, "tls", tests);
    rig_pair_free(&ca);
    rig_pair_free(&own);
    rig_pair_free(&client);
    rig_pair_free(&other);
    rig_pair_free(&stranger);
    return status;
}
