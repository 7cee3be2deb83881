/* secure_test.c: clients of the port with TLS, from frame to frame and in virtual time: how long they may
 * take over their handshake, and who is told what. The clients are OpenSSL's own. */
#include "box_rig.h"
#include "tls_rig.h"
#include "unit.h"

#include <rte_cycles.h>

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

/* Ten times as long as it took (a tenth of the time is theirs); of a step that another program has held up, ten times 10 ms. */
static void test_a_step_is_paid_for(void)
{
    start();
    const struct secure_worker *sw = &rig.worker->secure;
    struct rig_client *c = connect_silently(0);
    const uint64_t begun = rte_rdtsc(), most = rte_get_tsc_hz() / 100;
    for (unsigned step = 0; step < 1000 && c->got_len == 0; step++) {
        carry(0, SIZE_MAX);
        rig_run(&rig, 1000);
    }
    CU_ASSERT(c->got_len > 0 && sw->step_cycles > 0);
    CU_ASSERT(sw->allowed_cycles >= begun + 9 * (sw->step_cycles < most ? sw->step_cycles : most));
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

/* Until something has come from the box, or for `most` ms. */
static void carry_for(unsigned i, unsigned most)
{
    rig.client[i].got_len = 0;
    for (unsigned ms = 0; ms < most && rig.client[i].got_len == 0; ms++) {
        carry(i, SIZE_MAX);
        rig_run(&rig, 1000);
    }
}

/* Somebody is always just being served, and handshakes have had their share for as long as the test takes. */
static void leave_no_budget(void)
{
    rig.worker->secure.served_cycles = rig.worker->secure.allowed_cycles = UINT64_MAX / 2;
}

/* The box asks for another hello (HelloRetryRequest): what is dear comes with that one, and so it is that one which must wait. */
static void test_a_second_hello_waits_for_its_budget(void)
{
    start();
    const struct secure_worker *sw = &rig.worker->secure;
    connect_silently(0);
    CU_ASSERT_EQUAL(SSL_set1_groups_list(ssl[0], "P-521:X25519"), 1); /* a share of the first only, which the box does not take */
    carry_for(0, 1000);
    CU_ASSERT(rig.client[0].got_len > 0);
    const struct secure *x = sw->shaking.oldest;
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    CU_ASSERT(x->tls && !tls_under_way(x->tls) && !x->waiting);
    CU_ASSERT_EQUAL(sw->step_cycles, 0);
    leave_no_budget();
    carry(0, SIZE_MAX);
    CU_ASSERT(rig.client[0].to_send_len > 0);
    carry_for(0, 100);
    CU_ASSERT_EQUAL(rig.client[0].sent, rig.client[0].to_send_len);
    CU_ASSERT_EQUAL(rig.client[0].got_len, 0);
    CU_ASSERT(x->waiting && !tls_under_way(x->tls));
    CU_ASSERT_EQUAL(sw->waiting, 1);
    CU_ASSERT(shakes(0) && answers(0));
    CU_ASSERT_EQUAL(sw->waiting, 0);
    CU_ASSERT(sw->step_cycles > 0);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshakes), 1);
    stop();
}

/* How long nobody must have asked follows from what a hello's answer costs, not from what costs nothing. */
static void test_cheap_steps_do_not_make_it_quiet(void)
{
    enum { BEFORE = 123456789 };
    static const uint8_t garbage[] = "\x16\x03\x01\x00\x05garbage";
    start();
    struct secure_worker *sw = &rig.worker->secure;
    sw->step_cycles = BEFORE;
    connect_silently(0);
    carry(0, 40); /* less than a hello */
    for (unsigned ms = 0; ms < 1000 && sw->begun == 0; ms++)
        run_unbudgeted();
    CU_ASSERT_EQUAL(sw->begun, 1);
    CU_ASSERT_EQUAL(sw->step_cycles, BEFORE);
    struct rig_client *c = connect_silently(1);
    c->to_send = garbage;
    c->to_send_len = sizeof garbage - 1;
    for (unsigned ms = 0; ms < 1000 && counted(COUNTER_tls_failed_garbage) == 0; ms++)
        run_unbudgeted();
    CU_ASSERT_EQUAL(counted(COUNTER_tls_failed_garbage), 1);
    CU_ASSERT_EQUAL(sw->step_cycles, BEFORE);
    CU_ASSERT(shakes(0));
    CU_ASSERT_NOT_EQUAL(sw->step_cycles, BEFORE);
    stop();
}

/* A handshake that resumes a session costs a part of a whole one, which may be the next. */
static void test_a_resumption_hardly_shortens_the_quiet(void)
{
    for (unsigned version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        start();
        struct secure_worker *sw = &rig.worker->secure;
        SSL_CTX_set_max_proto_version(context, (int)version);
        connect_silently(0);
        CU_ASSERT(shakes(0) && answers(0)); /* by now its session has come, too */
        const uint64_t dear = sw->step_cycles = rte_get_tsc_hz(); /* a second, which no resumption takes */
        connect_silently(1);
        CU_ASSERT_EQUAL(SSL_set_session(ssl[1], SSL_get0_session(ssl[0])), 1);
        CU_ASSERT(shakes(1) && answers(1) && SSL_session_reused(ssl[1]));
        CU_ASSERT(sw->step_cycles >= dear - dear / 8);
        CU_ASSERT(sw->step_cycles < dear);
        SSL_CTX_set_max_proto_version(context, 0);
        stop();
    }
}

/* A round in which there is time for one step, however long that takes. */
static void run_for_one_step(void)
{
    struct worker *w = rig.worker;
    rig_round(&rig); /* the next one is at the same microsecond */
    w->secure.round_us = w->env.now_us;
    w->secure.round_cycles = (uint64_t)(299 * w->cycles_per_us);
    w->secure.allowed_cycles = 0;
    rig_round(&rig);
    leave_no_budget();
    rig_run(&rig, 10000);
}

/* Who came last has waited least: the others have probably given up. */
static void test_the_newest_goes_first(void)
{
    enum { WAIT = 5 };
    start();
    const struct secure_worker *sw = &rig.worker->secure;
    leave_no_budget();
    for (unsigned i = 0; i < WAIT; i++) {
        connect_silently(i);
        carry(i, SIZE_MAX);
        for (unsigned ms = 0; ms < 1000 && sw->waiting <= i; ms++)
            rig_run(&rig, 1000);
        CU_ASSERT_EQUAL(sw->waiting, i + 1);
    }
    for (unsigned left = WAIT; left-- > 0;) {
        run_for_one_step();
        CU_ASSERT_EQUAL(sw->waiting, left);
        for (unsigned i = 0; i < WAIT; i++)
            CU_ASSERT_EQUAL(rig.client[i].got_len > 0, i >= left);
    }
    for (unsigned i = 0; i < WAIT; i++)
        CU_ASSERT(shakes(i) && answers(i));
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
                                             UNIT(test_a_step_is_paid_for),
                                             UNIT(test_the_end_of_a_handshake_does_not_shorten_the_wait_for_the_next),
                                             UNIT(test_a_second_hello_waits_for_its_budget),
                                             UNIT(test_cheap_steps_do_not_make_it_quiet),
                                             UNIT(test_a_resumption_hardly_shortens_the_quiet),
                                             UNIT(test_the_newest_goes_first),
                                             UNIT(test_a_handshake_that_has_begun_ends_in_ten_seconds),
                                             UNIT(test_clients_that_go_are_forgotten),
                                             {NULL, NULL}};
    if (!tls_start() || !(context = SSL_CTX_new(TLS_client_method())))
        return 1;
    int status = unit_main(argc, argv, "worker/secure", tests);
    SSL_CTX_free(context);
    return status;
}
