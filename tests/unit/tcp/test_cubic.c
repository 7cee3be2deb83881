/* test_cubic.c: CUBIC and HyStart++ against the formulas of RFC 9438 and RFC 9406, computed here in floating
 * point, and the rules of reduction one by one. */
#include <math.h>

#include "fake_net.h"
#include "tcp/congestion.h"
#include "tcp/cubic.h"
#include "unit.h"

static const double C = 0.4, BETA = 0.7;

static struct tcp_stack stack;
static struct counters counters;
static struct tcp_conn conn;

/* A connection in congestion avoidance; windows in segments. */
static struct tcp_conn *begin(uint32_t mss, double cwnd, uint32_t rtt_ms)
{
    memset(&stack, 0, sizeof stack);
    memset(&conn, 0, sizeof conn);
    stack.conf.tx_limit_max = UINT32_MAX / 2;
    stack.conf.congestion_control = TCP_CC_CUBIC;
    stack.counters = &counters;
    conn.stack = &stack;
    conn.mss = (uint16_t)mss;
    conn.srtt_us = rtt_ms * 1000;
    tcp_cc_start(&conn);
    conn.cwnd = (uint32_t)(cwnd * mss);
    return &conn;
}

static void lose(struct tcp_conn *c)
{
    tcp_cc_lost(c, c->cwnd);
}

static bool near(double got, double want, double part)
{
    bool good = fabs(got - want) <= part * fabs(want);
    if (!good)
        printf("# got %f, wanted %f\n", got, want);
    return good;
}

static void test_cube_root_is_the_whole_part(void)
{
    unsigned bad = 0;
    for (uint64_t r = 0; r < 2642245; r += r < 1000 ? 1 : 997) {
        bad += cubic_root(r * r * r) != r;
        bad += r > 0 && cubic_root(r * r * r - 1) != r - 1;
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(cubic_root(UINT64_MAX), 2642245);
}

static void test_k_is_equation_2(void)
{
    unsigned bad = 0;
    for (double w_max = 4; w_max < 20000; w_max *= 1.37)
        for (double part = 0.1; part < 1; part += 0.17)
            for (uint32_t mss = 536; mss <= 8948; mss += 4206) {
                double cwnd = floor(w_max * part * mss) / mss;
                double k = cbrt((floor(w_max * mss) / mss - cwnd) / C) * 1000;
                uint32_t got = cubic_k((uint32_t)(w_max * mss), (uint32_t)(w_max * part * mss), mss);
                bad += fabs(got - fmin(k, CUBIC_SPAN)) > 1.5;
            }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(cubic_k(100000, 100000, 1448), 0);
    CU_ASSERT_EQUAL(cubic_k(100000, 200000, 1448), 0);
}

static void test_window_is_equation_1(void)
{
    unsigned bad = 0;
    for (int32_t d = -20000; d <= 20000; d += 37)
        for (uint32_t mss = 536; mss <= 8948; mss += 4206) {
            double w_max = 4000, want = C * pow(d / 1000.0, 3) + w_max;
            double got = (double)cubic_window((uint32_t)(w_max * mss), d, mss) / mss;
            bad += fabs(got - fmax(want, 0)) > 0.01;
        }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_window_saturates(void)
{
    CU_ASSERT_EQUAL(cubic_window(1000000, -2 * CUBIC_SPAN, 1448), 0);
    CU_ASSERT_EQUAL(cubic_window(UINT32_MAX - 10, 2 * CUBIC_SPAN, 65000), UINT32_MAX);
    CU_ASSERT_EQUAL(cubic_window(77, 0, 1448), 77);
}

/* Acknowledges window after window, two segments an ACK, for so many milliseconds. */
static void pass(struct tcp_conn *c, uint64_t *now_us, uint32_t ms)
{
    uint64_t end = *now_us + ms * 1000ull;
    while (*now_us < end) {
        uint32_t acks = c->cwnd / (2u * c->mss);
        for (uint32_t i = 0; i < acks; i++)
            tcp_cc_acked(c, 2u * c->mss, c->srtt_us, *now_us + (uint64_t)c->srtt_us * i / acks);
        *now_us += c->srtt_us;
    }
}

/* Where RTT is long and windows are large, the curve is above Reno's line: concave up to W_max at K, convex
 * beyond. cwnd is where the curve will be a round trip later, less the step that is still on its way. */
static void test_growth_follows_the_curve(void)
{
    struct tcp_conn *c = begin(1448, 1000, 100);
    uint64_t now = 1000000, start = now;
    c->ssthresh = c->cwnd;
    lose(c);
    CU_ASSERT(near(c->cwnd, BETA * 1000 * 1448, 0.001));
    double k = cbrt(1000 * (1 - BETA) / C);
    unsigned bad = 0;
    for (unsigned i = 0; i < 140; i++) {
        pass(c, &now, 100);
        double t = (double)(now - start) / 1e6, want = C * pow(t - k, 3) + 1000;
        bad += !near((double)c->cwnd / 1448, want, 0.02);
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT((double)(now - start) / 1e6 > k + 4);
}

/* Section 4.3: with a short RTT the window is Reno's estimate, alpha = 9/17 of a segment a round trip up to
 * where it fell from, then a whole one. */
static void test_short_paths_grow_like_reno(void)
{
    struct tcp_conn *c = begin(1448, 40, 2);
    uint64_t now = 1000000;
    c->ssthresh = c->cwnd;
    lose(c);
    double want = 28;
    unsigned bad = 0;
    for (unsigned i = 0; i < 60; i++) {
        pass(c, &now, 2);
        want += want >= 40 ? 1 : 9.0 / 17;
        bad += !near((double)c->cwnd / 1448, want, 0.05);
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT(c->cwnd > 60u * 1448);
}

static void test_growth_of_a_round_trip_is_bounded_by_half(void)
{
    struct tcp_conn *c = begin(1448, 100, 100);
    c->ssthresh = c->cwnd;
    lose(c);
    tcp_cc_acked(c, 2896, 100000, 1000000);
    c->cong.cubic.from_plateau_ms = 20000; /* the curve is far above */
    uint32_t before = c->cwnd;
    for (uint32_t done = 0; done < before; done += 2896)
        tcp_cc_acked(c, 2896, 100000, 1000000);
    CU_ASSERT(c->cwnd > before * 1.3 && c->cwnd <= before * 1.7);
}

static void test_loss_leaves_seven_tenths(void)
{
    struct tcp_conn *c = begin(1460, 100, 20);
    lose(c);
    CU_ASSERT_EQUAL(c->cwnd, 102200);
    CU_ASSERT_EQUAL(c->ssthresh, 102200);
    CU_ASSERT_EQUAL(c->cong.cubic.w_max, 146000);
}

static void test_never_below_two_segments(void)
{
    struct tcp_conn *c = begin(1460, 2, 20);
    lose(c);
    CU_ASSERT_EQUAL(c->ssthresh, 2920);
}

static void test_an_unused_window_is_not_remembered(void)
{
    struct tcp_conn *c = begin(1460, 100, 20);
    tcp_cc_lost(c, 14600);
    CU_ASSERT_EQUAL(c->ssthresh, 10220);
    CU_ASSERT_EQUAL(c->cong.cubic.w_max, 14600);
}

static void test_fast_convergence_gives_way(void)
{
    struct tcp_conn *c = begin(1460, 100, 20);
    lose(c);
    lose(c); /* at 70, below the last maximum of 100 */
    CU_ASSERT_EQUAL(c->cong.cubic.w_max, 102200 * 17 / 20);
    c->cwnd = 146000;
    lose(c); /* above it: no need to */
    CU_ASSERT_EQUAL(c->cong.cubic.w_max, 146000);
}

static void test_timeout_begins_anew_with_k_zero(void)
{
    struct tcp_conn *c = begin(1460, 100, 20);
    lose(c);
    c->cwnd = 100 * 1460;
    c->retries = 1;
    tcp_cc_timeout(c, c->cwnd);
    CU_ASSERT_EQUAL(c->cwnd, 1460);
    CU_ASSERT_EQUAL(c->ssthresh, 102200);
    c->retries = 2;
    tcp_cc_timeout(c, c->cwnd);
    CU_ASSERT_EQUAL(c->ssthresh, 102200); /* the second of a back-off does not halve it again */
    c->cwnd = c->ssthresh;
    tcp_cc_acked(c, 2920, 20000, 1000000);
    CU_ASSERT_EQUAL(c->cong.cubic.w_max, 102200);
    CU_ASSERT_EQUAL(c->cong.cubic.from_plateau_ms, 0);
}

static void test_undo_puts_the_curve_back(void)
{
    struct tcp_conn *c = begin(1448, 1000, 100);
    uint64_t now = 1000000;
    c->ssthresh = c->cwnd;
    lose(c);
    pass(c, &now, 3000);
    uint32_t cwnd = c->cwnd, ssthresh = c->ssthresh;
    int16_t d = c->cong.cubic.from_plateau_ms;
    lose(c);
    c->cwnd = cwnd;
    c->ssthresh = ssthresh;
    tcp_cc_undo(c);
    tcp_cc_acked(c, 0, NO_RTT, now);
    CU_ASSERT_EQUAL(c->cong.cubic.w_max, 1448000);
    CU_ASSERT(abs(c->cong.cubic.from_plateau_ms - d) <= 210); /* cwnd runs a round trip ahead of the curve */
}

/* Section 5.8: a gap in the ACKs that come while the window is the limit is not time on the curve. */
static void test_time_without_need_is_not_counted(void)
{
    struct tcp_conn *c = begin(1448, 1000, 100);
    uint64_t now = 1000000;
    c->ssthresh = c->cwnd;
    lose(c);
    pass(c, &now, 1000);
    int16_t d = c->cong.cubic.from_plateau_ms;
    tcp_cc_acked(c, 2896, 100000, now + 20000000);
    CU_ASSERT(c->cong.cubic.from_plateau_ms - d <= 240);
}

/* -- idle time (congestion.c) */

static void test_idle_time_leaves_three_quarters_to_slow_start(void)
{
    struct tcp_conn *c = begin(1460, 100, 20);
    c->ssthresh = 20 * 1460;
    tcp_cc_sending(c, 3000000);
    CU_ASSERT_EQUAL(c->cwnd, 14600);
    CU_ASSERT_EQUAL(c->ssthresh, 75 * 1460);
}

static void test_data_in_flight_are_not_idle_time(void)
{
    struct tcp_conn *c = begin(1460, 100, 20);
    c->snd_nxt = c->snd_una + 1460;
    tcp_cc_sending(c, 3000000);
    CU_ASSERT_EQUAL(c->cwnd, 146000);
}

static void test_a_long_round_trip_is_not_idle_time(void)
{
    struct tcp_conn *c = begin(1460, 100, 2000);
    tcp_cc_sending(c, 1900000);
    CU_ASSERT_EQUAL(c->cwnd, 146000);
}

static void test_after_idle_time_the_curve_begins_anew(void)
{
    struct tcp_conn *c = begin(1448, 1000, 100);
    uint64_t now = 1000000;
    c->ssthresh = c->cwnd;
    lose(c);
    pass(c, &now, 1000);
    tcp_cc_sending(c, now + 5000000);
    c->cwnd = c->ssthresh;
    tcp_cc_acked(c, 0, NO_RTT, now + 5200000);
    CU_ASSERT_EQUAL(-c->cong.cubic.from_plateau_ms, cubic_k(1448000, c->cwnd, 1448));
}

/* -- HyStart++ */

/* A round of slow start in which every sample is rtt_us. */
static void slow_round(struct tcp_conn *c, uint32_t rtt_us)
{
    uint32_t flight = c->cwnd;
    c->snd_nxt = c->snd_una + flight;
    for (uint32_t done = 0; done < flight; done += 2u * c->mss) {
        c->snd_una += 2u * c->mss;
        c->snd_nxt = c->snd_una + flight;
        tcp_cc_acked(c, 2u * c->mss, rtt_us, 1000000);
    }
}

static void test_slow_start_doubles_while_delay_is_steady(void)
{
    struct tcp_conn *c = begin(1448, 20, 50);
    for (unsigned i = 0; i < 5; i++)
        slow_round(c, 50000 + 100 * i);
    CU_ASSERT(near(c->cwnd, 20 * 32 * 1448, 0.02));
    CU_ASSERT_EQUAL(c->ssthresh, UINT32_MAX);
}

static void test_growing_delay_slows_slow_start_and_ends_it_after_five_rounds(void)
{
    struct tcp_conn *c = begin(1448, 20, 50);
    slow_round(c, 50000);
    slow_round(c, 50000);
    slow_round(c, 57000); /* an eighth of 50 ms is 6.25 */
    uint32_t before = c->cwnd;
    slow_round(c, 58000);
    CU_ASSERT(near(c->cwnd, before * 1.25, 0.1));
    for (unsigned i = 0; i < 5 && c->ssthresh == UINT32_MAX; i++)
        slow_round(c, 58000);
    CU_ASSERT(c->ssthresh != UINT32_MAX && c->cwnd >= c->ssthresh);
    CU_ASSERT(c->cwnd < before * 4);
}

static void test_jitter_does_not_end_slow_start(void)
{
    struct tcp_conn *c = begin(1448, 20, 50);
    slow_round(c, 50000);
    slow_round(c, 50000);
    slow_round(c, 57000);
    slow_round(c, 50000);
    uint32_t before = c->cwnd;
    slow_round(c, 50000);
    CU_ASSERT(near(c->cwnd, before * 2, 0.05));
}

static void test_undo_of_the_first_loss_returns_to_slow_start(void)
{
    struct tcp_conn *c = begin(1448, 20, 50);
    slow_round(c, 50000);
    lose(c);
    c->cwnd = 40 * 1448;
    c->ssthresh = UINT32_MAX;
    tcp_cc_undo(c);
    uint32_t before = c->cwnd;
    slow_round(c, 50000);
    CU_ASSERT(near(c->cwnd, before * 2, 0.05));
    slow_round(c, 70000); /* and HyStart++ watches again */
    before = c->cwnd;
    slow_round(c, 70000);
    CU_ASSERT(c->cwnd < before * 3 / 2);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_cube_root_is_the_whole_part),
        UNIT(test_k_is_equation_2),
        UNIT(test_window_is_equation_1),
        UNIT(test_window_saturates),
        UNIT(test_growth_follows_the_curve),
        UNIT(test_short_paths_grow_like_reno),
        UNIT(test_growth_of_a_round_trip_is_bounded_by_half),
        UNIT(test_loss_leaves_seven_tenths),
        UNIT(test_never_below_two_segments),
        UNIT(test_an_unused_window_is_not_remembered),
        UNIT(test_fast_convergence_gives_way),
        UNIT(test_timeout_begins_anew_with_k_zero),
        UNIT(test_undo_puts_the_curve_back),
        UNIT(test_time_without_need_is_not_counted),
        UNIT(test_idle_time_leaves_three_quarters_to_slow_start),
        UNIT(test_data_in_flight_are_not_idle_time),
        UNIT(test_a_long_round_trip_is_not_idle_time),
        UNIT(test_after_idle_time_the_curve_begins_anew),
        UNIT(test_slow_start_doubles_while_delay_is_steady),
        UNIT(test_growing_delay_slows_slow_start_and_ends_it_after_five_rounds),
        UNIT(test_jitter_does_not_end_slow_start),
        UNIT(test_undo_of_the_first_loss_returns_to_slow_start),
        {NULL, NULL}};
    return unit_main(argc, argv, "tcp/cubic", tests);
}
