/* cubic.h: the arithmetic of CUBIC (RFC 9438), apart from any connection so that it can be tested against the
 * RFC's formulas. Windows in bytes, times in milliseconds. */
#pragma once
#include <stdint.h>

enum {
    CUBIC_SPAN = INT16_MAX, /* ms: the farthest from K that is told apart; 14000 segments away from W_max */
    CUBIC_BETA_NUM = 7,     /* section 4.6: beta_cubic = 0.7 */
    CUBIC_BETA_DEN = 10,
    CUBIC_ALPHA_NUM = 9, /* section 4.3: alpha_cubic = 3 (1 - beta) / (1 + beta) = 9 / 17 */
    CUBIC_ALPHA_DEN = 17
};

/* The whole part of the cube root. */
uint32_t cubic_root(uint64_t v);

/* K of section 4.2 (equation 2): the time from cwnd up to w_max; at most CUBIC_SPAN, 0 if cwnd >= w_max. */
uint32_t cubic_k(uint32_t w_max, uint32_t cwnd, uint32_t mss);

/* W_cubic of section 4.2 (equation 1) at t - K = d_ms; limited to what 32 bits hold. |d_ms| <= 2 CUBIC_SPAN.
 */
uint32_t cubic_window(uint32_t w_max, int32_t d_ms, uint32_t mss);
