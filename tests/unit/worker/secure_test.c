/* secure_test.c: clients of the port with TLS, from frame to frame and in virtual time: how long they may
 * take over their handshake, and who is told what. The clients are OpenSSL's own. */
#include "box_rig.h"
#include "tls_rig.h"
#include "unit.h"

enum { SECOND_US = 1000000, PORT = 6380 };

static struct box_rig rig;
static SSL_CTX *context;
static SSL *ssl[RIG_CLIENTS];

static void start(void)
{
    struct rig_pair pair = rig_make("box", NULL, NULL);
    const char *directives[] = {"tls-port",       "6380",    "tls-auth-clients", "no", "tls:certificate",
                                pair.certificate, "tls:key", pair.key,           NULL};
    rig_start(&rig, directives, NULL);
    rig_pair_free(&pair);
}

static uint64_t counted(enum counter c)
{
    return count_read(&rig.counters, c);
}

/* A connection, and a client that has said nothing yet. */
static struct rig_client *connect_silently(unsigned i)
{
    ssl[i] = SSL_new(context);
    SSL_set_bio(ssl[i], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl[i]);
    return rig_connect_to(&rig, i, PORT);
}

/* Carries what has come to OpenSSL, and lets at most `most` bytes of what it says leave. */
static void carry(unsigned i, size_t most)
{
    static uint8_t out[RIG_CLIENTS][1 << 14];
    struct rig_client *c = &rig.client[i];
    BIO_write(SSL_get_rbio(ssl[i]), c->got, (int)c->got_len);
    c->got_len = 0;
    if (!SSL_is_init_finished(ssl[i]))
        SSL_do_handshake(ssl[i]);
    if (c->sent < c->to_send_len)
        return;
    int n = BIO_read(SSL_get_wbio(ssl[i]), out[i], (int)(most < sizeof out[i] ? most : sizeof out[i]));
    c->to_send = out[i];
    c->to_send_len = n > 0 ? (size_t)n : 0;
    c->sent = 0;
}

/* The share of the core that handshakes have is of real time, which is not what is tested here. */
static void run_unbudgeted(void)
{
    rig.worker->secure.allowed_cycles = 0;
    rig_run(&rig, 1000);
}

static bool shakes(unsigned i)
{
    for (unsigned step = 0; step < 1000 && !SSL_is_init_finished(ssl[i]); step++) {
        carry(i, SIZE_MAX);
        run_unbudgeted();
    }
    return SSL_is_init_finished(ssl[i]);
}

static bool answers(unsigned i)
{
    char got[16] = "";
    SSL_write(ssl[i], "PING\r\n", 6);
    for (unsigned step = 0; step < 1000 && SSL_read(ssl[i], got, sizeof got - 1) <= 0; step++) {
        carry(i, SIZE_MAX);
        run_unbudgeted();
    }
    return strcmp(got, "+PONG\r\n") == 0;
}

static void stop(void)
{
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        SSL_free(ssl[i]);
        ssl[i] = NULL;
    }
    CU_ASSERT(rig_stop(&rig));
}

/* A program that connects all its clients at once and lets one after another speak, as asyncio.gather() does,
 * on a machine so busy that the last one's turn comes after half a minute. */
static void test_a_client_may_be_silent_before_it_shakes_hands(void)
{
    start();
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        connect_silently(i);
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        rig_run(&rig, 2 * SECOND_US);
        CU_ASSERT(shakes(i) && answers(i));
    }
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshakes), RIG_CLIENTS);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshake_timeouts), 0);
    stop();
}

static void test_silence_ends_after_a_minute(void)
{
    start();
    struct rig_client *mute = connect_silently(0);
    rig_run(&rig, 30 * SECOND_US);
    connect_silently(1);
    rig_run(&rig, 29 * SECOND_US);
    CU_ASSERT_FALSE(mute->peer_closed || mute->closed);
    rig_run(&rig, 2 * SECOND_US);
    CU_ASSERT(mute->peer_closed || mute->closed);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshake_timeouts), 1);
    CU_ASSERT(shakes(1) && answers(1));
    stop();
}

/* The beginning takes most of a handshake's time. What follows it waits for nobody, and must not give the next one leave. */
static void test_the_end_of_a_handshake_does_not_shorten_the_wait_for_the_next(void)
{
    start();
    struct rig_client *c = connect_silently(0);
    for (unsigned step = 0; step < 1000 && c->got_len == 0; step++) {
        carry(0, SIZE_MAX);
        rig_run(&rig, 1000);
    }
    const uint64_t until = rig.worker->secure.allowed_cycles;
    CU_ASSERT(until > 0 && counted(COUNTER_tls_handshakes) == 0);
    for (unsigned step = 0; step < 1000 && counted(COUNTER_tls_handshakes) == 0; step++) {
        carry(0, SIZE_MAX);
        rig_run(&rig, 1000);
    }
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshakes), 1);
    CU_ASSERT(rig.worker->secure.allowed_cycles > until);
    stop();
}

/* Ten seconds from the first byte, however early that came and whoever is silent beside it. */
static void test_a_handshake_that_has_begun_ends_in_ten_seconds(void)
{
    start();
    struct rig_client *slow = connect_silently(0), *slower = connect_silently(1);
    connect_silently(2);
    rig_run(&rig, 20 * SECOND_US);
    carry(0, 40); /* less than a hello */
    rig_run(&rig, SECOND_US);
    carry(1, SIZE_MAX); /* a hello, and nothing more */
    rig_run(&rig, 8 * SECOND_US);
    CU_ASSERT_FALSE(slow->peer_closed || slow->closed || slower->peer_closed || slower->closed);
    rig_run(&rig, 3 * SECOND_US);
    CU_ASSERT(slow->peer_closed || slow->closed);
    CU_ASSERT(slower->peer_closed || slower->closed);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshake_timeouts), 2);
    CU_ASSERT(shakes(2) && answers(2));
    stop();
}

/* Whoever hangs up in silence, or in the middle, leaves nothing in a list. */
static void test_clients_that_go_are_forgotten(void)
{
    start();
    for (unsigned i = 0; i < 6; i++) {
        connect_silently(i);
        if (i % 2)
            carry(i, i == 1 ? 40 : SIZE_MAX);
    }
    rig_run(&rig, SECOND_US);
    CU_ASSERT_PTR_NOT_NULL(rig.worker->secure.silent.oldest);
    CU_ASSERT_PTR_NOT_NULL(rig.worker->secure.shaking.oldest);
    rig_hang_up(&rig);
    rig_run(&rig, SECOND_US);
    CU_ASSERT_PTR_NULL(rig.worker->secure.silent.oldest);
    CU_ASSERT_PTR_NULL(rig.worker->secure.silent.newest);
    CU_ASSERT_PTR_NULL(rig.worker->secure.shaking.oldest);
    CU_ASSERT_PTR_NULL(rig.worker->secure.shaking.newest);
    CU_ASSERT_EQUAL(rig.worker->secure.begun, 0);
    stop();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_client_may_be_silent_before_it_shakes_hands),
                                             UNIT(test_silence_ends_after_a_minute),
                                             UNIT(test_the_end_of_a_handshake_does_not_shorten_the_wait_for_the_next),
                                             UNIT(test_a_handshake_that_has_begun_ends_in_ten_seconds),
                                             UNIT(test_clients_that_go_are_forgotten),
                                             {NULL, NULL}};
    if (!tls_start() || !(context = SSL_CTX_new(TLS_client_method())))
        return 1;
    int status = unit_main(argc, argv, "worker/secure", tests);
    SSL_CTX_free(context);
    return status;
}
