/* traffic_test.c: keys that change, what OpenSSL leaves to tls/traffic.c and what stays its own. */
#include "record_rig.h"
#include "unit.h"

/* -- keys that change ------------------------------------------------------------------------------------ */

static bool both_ways(struct rig_talk *t)
{
    size_t n = 0;
    SSL_write(t->client, "PING", 4);
    rig_move(t);
    if (tls_read(t->server, got, ROOM, &n) != TLS_DONE || n != 4 || !tls_write(t->server, "+PONG", 5))
        return false;
    rig_move(t);
    return SSL_read(t->client, got, ROOM) == 5 && memcmp(got, "+PONG", 5) == 0;
}

static void test_clients_change_keys(void)
{
    for (unsigned s = 0; s < SUITES; s++) {
        struct rig_talk *t = talk_in(suite_names[s]);
        for (unsigned i = 0; i < 30; i++) {
            SSL_key_update(t->client, i % 3 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
            CU_ASSERT(both_ways(t));
            CU_ASSERT(both_ways(t));
        }
        rig_talk_free(t);
    }
}

static enum tls_result asks_for_a_key(struct rig_talk *t)
{
    size_t n;
    SSL_key_update(t->client, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(t->client);
    rig_move(t);
    return tls_read(t->server, got, ROOM, &n);
}

/* However often it is asked, one new key is made, with the next thing that is said (section 4.6.3). */
static void test_many_requests_for_a_key_are_one(void)
{
    struct rig_talk *t = talk();
    for (unsigned i = 0; i < 32; i++) {
        CU_ASSERT_EQUAL(asks_for_a_key(t), TLS_WAIT);
        CU_ASSERT_EQUAL(t->down_len, 0);
    }
    tls_write(t->server, "+", 1);
    CU_ASSERT_EQUAL(t->down_len, 5 + RECORD_EXTRA + 1 + RECORD_EXTRA);
    tls_write(t->server, "+", 1);
    CU_ASSERT_EQUAL(t->down_len, 5 + RECORD_EXTRA + 2 * (1 + RECORD_EXTRA));
    rig_move(t);
    CU_ASSERT_EQUAL(SSL_read(t->client, got, ROOM), 1);
    CU_ASSERT_EQUAL(SSL_read(t->client, got, ROOM), 1);
    CU_ASSERT(both_ways(t));
    rig_talk_free(t);
}

/* Who only sends records without data (empty ones, new keys) keeps us busy for nothing: the 33rd ends it. */
static void test_records_without_data_are_bounded(void)
{
    static const uint8_t update[] = {24, 0, 0, 1, 0};
    for (unsigned keys = 0; keys < 2; keys++)
        for (unsigned most = 32; most <= 33; most++) {
            struct rig_talk *t = talk();
            struct record_way w = key_of_client(t);
            uint8_t record[64];
            size_t n = 0;
            for (unsigned i = 0; i < most; i++) {
                size_t len = keys ? sizeof update : 0;
                CU_ASSERT(record_seal(&w, keys ? RECORD_HANDSHAKE : RECORD_DATA, update, len, record));
                arrive(t, record, len + RECORD_EXTRA);
                CU_ASSERT(!keys || record_renew(&w));
            }
            CU_ASSERT(record_seal(&w, RECORD_DATA, update, 3, record));
            arrive(t, record, 3 + RECORD_EXTRA);
            CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), most == 32 ? TLS_DONE : TLS_FAILED);
            CU_ASSERT_EQUAL(n, most == 32 ? 3u : 0u);
            record_wipe(&w);
            rig_talk_free(t);
        }
}

static void test_nobody_asks_for_keys_for_ever(void)
{
    struct rig_talk *t = talk();
    for (unsigned i = 0; i < 32; i++)
        CU_ASSERT_EQUAL(asks_for_a_key(t), TLS_WAIT);
    CU_ASSERT(both_ways(t)); /* data, and it may ask again */
    for (unsigned i = 0; i < 32; i++)
        CU_ASSERT_EQUAL(asks_for_a_key(t), TLS_WAIT);
    CU_ASSERT_EQUAL(asks_for_a_key(t), TLS_FAILED);
    CU_ASSERT_EQUAL(alert_heard(t), ALERT_UNEXPECTED_MESSAGE);
    rig_talk_free(t);
}

static void test_a_key_of_ours_wears_out(void)
{
    uint64_t before = traffic_records_most;
    traffic_records_most = 3;
    struct rig_talk *t = talk();
    for (unsigned i = 0; i < 100; i++) {
        CU_ASSERT(both_ways(t));
        CU_ASSERT(t->server->out.number <= 3);
    }
    rig_talk_free(t);
    traffic_records_most = before;
}

/* -- what stays OpenSSL's, and what ends ----------------------------------------------------------------- */

/* RFC 6066 section 4: who wants short records has them from OpenSSL. */
static void test_who_wants_short_records_stays_with_openssl(void)
{
    static char value[3000];
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_tlsext_max_fragment_length(ctx, TLSEXT_max_fragment_length_512);
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
    size_t have = 0;
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    CU_ASSERT_FALSE(t->server->ours);
    CU_ASSERT(both_ways(t) && tls_write(t->server, value, sizeof value));
    rig_move(t);
    for (int n; have < sizeof value && (n = SSL_read(t->client, got, ROOM)) > 0;)
        have += (size_t)n;
    CU_ASSERT_EQUAL(have, sizeof value);
    rig_talk_free(t);
    SSL_CTX_free(ctx);
}

static void test_tls_1_2_stays_with_openssl(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    CU_ASSERT_FALSE(t->server->ours);
    CU_ASSERT_PTR_NULL(t->server->in.aead.key);
    tls_settle(t->server);
    CU_ASSERT_PTR_NOT_NULL(t->server->ssl);
    CU_ASSERT(both_ways(t));
    rig_talk_free(t);
    SSL_CTX_free(ctx);
}

/* Numbers go on behind OpenSSL's records, whether it has sent none (no tickets) or some. */
static void test_numbers_go_on(void)
{
    struct rig_box none = rig_box((const char *[]){"tls-session-caching", "no", NULL}, &own, NULL);
    struct rig_talk *t = rig_talk(tls_set_context(none.set, 0), NULL, NULL), *u = talk();
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    CU_ASSERT(t->server->ours && t->server->out.number == 0 && u->server->out.number > 0);
    CU_ASSERT(both_ways(t) && both_ways(u));
    rig_talk_free(t);
    rig_talk_free(u);
    rig_box_free(&none);
}

/* A request may stand in the same segment as the end of the handshake: OpenSSL leaves it to us. */
static void test_a_request_with_the_last_of_the_handshake(void)
{
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), NULL, NULL);
    size_t n;
    for (unsigned i = 0; i < 10 && !SSL_is_init_finished(t->client); i++) {
        SSL_do_handshake(t->client);
        if (SSL_is_init_finished(t->client))
            SSL_write(t->client, "PING", 4);
        rig_move(t);
        if (!SSL_is_init_finished(t->client))
            CU_ASSERT_EQUAL(tls_handshake(t->server, t->now_ms), TLS_WAIT);
    }
    CU_ASSERT_EQUAL(tls_handshake(t->server, t->now_ms), TLS_DONE);
    CU_ASSERT(t->server->ours);
    CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), TLS_DONE);
    CU_ASSERT(n == 4 && memcmp(got, "PING", 4) == 0);
    CU_ASSERT(both_ways(t));
    rig_talk_free(t);
}

/* After a second hello, for a group that the client did not guess. */
static void test_a_second_hello(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char groups[] = "P-521:P-384";
    SSL_CTX_set1_groups_list(ctx, groups);
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
    CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
    CU_ASSERT(t->server->ours && both_ways(t) && both_ways(t));
    rig_talk_free(t);
    SSL_CTX_free(ctx);
}

static SSL_SESSION *kept;
static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static void test_a_session_is_resumed(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(ctx, keep);
    for (unsigned i = 0; i < 4; i++) {
        struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, kept);
        CU_ASSERT_EQUAL(rig_shake(t), TLS_DONE);
        tls_settle(t->server);
        CU_ASSERT(tls_resumed(t->server) == (i > 0) && t->server->ours && both_ways(t) && both_ways(t));
        SSL_shutdown(t->client);
        rig_talk_free(t);
    }
    SSL_SESSION_free(kept);
    kept = NULL;
    SSL_CTX_free(ctx);
}

static void test_an_end_is_said_once(void)
{
    struct rig_talk *t = talk();
    tls_end(t->server);
    CU_ASSERT_EQUAL(t->down_len, 2 + RECORD_EXTRA);
    tls_end(t->server);
    CU_ASSERT_EQUAL(t->down_len, 2 + RECORD_EXTRA);
    CU_ASSERT_FALSE(tls_write(t->server, "x", 1));
    arrive(t, (const uint8_t[]){RECORD_DATA, 3, 3, 0, 0}, RECORD_HEAD); /* no alert behind the end */
    CU_ASSERT_EQUAL(t->down_len, 0);
    CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &(size_t){0}), TLS_FAILED);
    CU_ASSERT_EQUAL(t->down_len, 0);
    CU_ASSERT_EQUAL(SSL_read(t->client, got, ROOM), 0);
    CU_ASSERT_EQUAL(SSL_get_shutdown(t->client), SSL_RECEIVED_SHUTDOWN);
    rig_talk_free(t);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_clients_change_keys),
                                             UNIT(test_many_requests_for_a_key_are_one),
                                             UNIT(test_records_without_data_are_bounded),
                                             UNIT(test_nobody_asks_for_keys_for_ever),
                                             UNIT(test_a_key_of_ours_wears_out),
                                             UNIT(test_who_wants_short_records_stays_with_openssl),
                                             UNIT(test_tls_1_2_stays_with_openssl),
                                             UNIT(test_numbers_go_on),
                                             UNIT(test_a_request_with_the_last_of_the_handshake),
                                             UNIT(test_a_second_hello),
                                             UNIT(test_a_session_is_resumed),
                                             UNIT(test_an_end_is_said_once),
                                             {NULL, NULL}};
    int status = record_rig_start() ? unit_main(argc, argv, "tls/traffic", tests) : 1;
    record_rig_stop();
    return status;
}
