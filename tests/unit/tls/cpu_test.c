/* cpu_test.c: handshakes and records are right on this CPU, whatever it has for AES: each suite, both ways, every kind of length. Whose code opens
 * and seals is told: tests/security/cpus.sh runs this on CPUs of several generations. */
#include "record_rig.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const struct suite {
    const char *name;
    int version;
} suites[] = {{"TLS_AES_128_GCM_SHA256", TLS1_3_VERSION},
              {"TLS_AES_256_GCM_SHA384", TLS1_3_VERSION},
              {"TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION},
              {"ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION},
              {"ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION},
              {"ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION}};
enum { NUMBER = sizeof suites / sizeof *suites };
static const size_t lengths[] = {1, 15, 16, 17, 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 1023, 1400, 4096, 16383, 16384, 16385, 40000};

static SSL_CTX *client_of(const struct suite *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, s->version);
    SSL_CTX_set_max_proto_version(ctx, s->version);
    CU_ASSERT_EQUAL(s->version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(ctx, s->name) : SSL_CTX_set_cipher_list(ctx, s->name), 1);
    return ctx;
}

static bool comes_up(struct rig_talk *t, const uint8_t *p, size_t n)
{
    size_t have = 0, some;
    memset(got, 0, n);
    if (SSL_write(t->client, p, (int)n) != (int)n)
        return false;
    rig_move(t);
    while (have < n && tls_read(t->server, got + have, ROOM - have, &some) == TLS_DONE)
        have += some;
    return have == n && memcmp(got, p, n) == 0;
}

static bool goes_down(struct rig_talk *t, const uint8_t *p, size_t n)
{
    size_t have = 0;
    memset(got, 0, n);
    if (!tls_write(t->server, p, n))
        return false;
    for (int some = 1; have < n && some > 0; have += some > 0 ? (size_t)some : 0) {
        rig_move(t);
        some = SSL_read(t->client, got + have, (int)(ROOM - have));
    }
    return have == n && memcmp(got, p, n) == 0;
}

static void test_every_suite_both_ways(void)
{
    for (const struct suite *s = suites; s < suites + NUMBER; s++) {
        SSL_CTX *ctx = client_of(s);
        struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
        CU_ASSERT_EQUAL_FATAL(rig_shake(t), TLS_DONE);
        CU_ASSERT_STRING_EQUAL(SSL_get_cipher(t->client), s->name);
        CU_ASSERT_EQUAL(t->server->ours, s->version == TLS1_3_VERSION && aead_pays());
        for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
            CU_ASSERT(comes_up(t, sent + i, lengths[i]) && goes_down(t, sent + 2 * i, lengths[i]));
        rig_talk_free(t);
        SSL_CTX_free(ctx);
    }
    printf("# records of TLS 1.3: %s\n", aead_pays() ? "ours" : "OpenSSL's");
}

static void test_a_damaged_record_is_not_opened(void)
{
    for (const struct suite *s = suites; s < suites + NUMBER; s++) {
        SSL_CTX *ctx = client_of(s);
        struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
        size_t n;
        CU_ASSERT_EQUAL_FATAL(rig_shake(t), TLS_DONE);
        CU_ASSERT(comes_up(t, sent, 100));
        CU_ASSERT_EQUAL(SSL_write(t->client, sent, 100), 100);
        rig_move(t);
        t->up[t->up_len - 1] ^= 1; /* of the tag */
        CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), TLS_FAILED);
        rig_talk_free(t);
        SSL_CTX_free(ctx);
    }
}

static void test_sessions_are_resumed(void)
{
    for (const struct suite *s = suites; s < suites + NUMBER; s++) {
        SSL_CTX *ctx = client_of(s);
        struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
        CU_ASSERT_EQUAL_FATAL(rig_shake(t), TLS_DONE);
        CU_ASSERT(comes_up(t, sent, 5) && goes_down(t, sent, 5)); /* with it comes the ticket */
        struct rig_talk *again = rig_talk(tls_set_context(box.set, 0), ctx, SSL_get0_session(t->client));
        CU_ASSERT_EQUAL_FATAL(rig_shake(again), TLS_DONE);
        CU_ASSERT(SSL_session_reused(again->client) && tls_resumed(again->server));
        CU_ASSERT(comes_up(again, sent, 1400) && goes_down(again, sent, 1400));
        rig_talk_free(again);
        rig_talk_free(t);
        SSL_CTX_free(ctx);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_every_suite_both_ways), UNIT(test_a_damaged_record_is_not_opened),
                                             UNIT(test_sessions_are_resumed), {NULL, NULL}};
    if (!record_rig_start())
        return 1;
    int status = unit_main(argc, argv, "tls/cpu", tests);
    record_rig_stop();
    return status;
}
