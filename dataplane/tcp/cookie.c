/* cookie.c: SYN cookies (RFC 4987 section 3.6 and appendix A; options in the timestamp as Linux does it).
 *
 * The sequence number of a SYN-ACK holds all that must be remembered of the SYN:
 *
 *     31      30 28       27                                   0
 *     tick&1  MSS index   SipHash(tuple, peer's number, tick, MSS index, options)
 *
 * and, if the peer sends timestamps, the low bits of ours hold its other options; they come back as the echo:
 *
 *     5     4      3 0
 *     ECN   SACK   window scale, 15 = none
 *
 * The hash covers the options too, so that a peer gets what it asked for and nothing else. A guess hits with
 * 2^-28 (sixteen of the 2^32 numbers are good at any time: two ticks are told apart by a bit, eight sizes);
 * 4987 asks for 24 bits at most times. A cookie is good for 33 to 67 s.
 *
 * Skipped: a cookie does not grow with time as RFC 9293 section 3.4.1 wants of initial numbers (nor does
 * Linux'); old duplicates are kept off by timestamps, where the peer has them, and by chance elsewhere.
 * Without timestamps the connection works without scaling, SACK and ECN. No round-trip time is taken from the
 * handshake: the clock's low bits are spent. A client's second segment that overtakes its first is answered
 * with a reset, as elsewhere: its number tells nothing of the cookie. The lost final ACK of a client that
 * waits for us to speak first is not repaired (nothing is left to retransmit); a Redis client speaks first.
 */
#include "tcp/cookie.h"

enum {
    NO_SCALE = 15,
    BIT_SACK = 1 << 4,
    BIT_ECN = 1 << 5,
    OPTION_MASK = (1 << TCP_COOKIE_OPTION_BITS) - 1,
    NO_OPTIONS = NO_SCALE, /* also what a peer without timestamps gets */
    HASH_MASK = 0x0fffffff,
    FLAG_ECE = 64,
    FLAG_CWR = 128,
    ECN_SPOKEN = 0,      /* the stack does not negotiate ECN yet: the bit stays 0 */
    WITHOUT_TS = 1 << 6, /* hashed, never sent: a timestamp cannot be added to or taken from a cookie */
};

static_assert((int)TCP_WSCALE_MAX < (int)NO_SCALE, "every legal scale fits");

/* Tunnels, PPPoE, VPNs, Ethernet over IPv6 and IPv4, jumbo. A size between two entries gets the lower one. */
static const uint16_t sizes[1 << TCP_COOKIE_MSS_BITS] = {TCP_MSS_MIN, 536,  1220, 1360,
                                                         1400,        1440, 1460, 8940};

static unsigned size_index(const struct tcp_tuple *t, uint16_t offered)
{
    uint16_t size = offered ? offered : ip_is_v4(&t->remote) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    unsigned i = sizeof sizes / sizeof *sizes - 1;
    while (i && sizes[i] > size)
        i--;
    return i;
}

uint16_t tcp_cookie_mss(const struct tcp_tuple *t, uint16_t offered)
{
    return sizes[size_index(t, offered)];
}

/* RFC 3168 section 6.1.1: does the SYN ask for ECN, and do we agree? */
static bool ecn_agreed(const struct tcp_stack *s, const struct tcp_segment *syn)
{
    return s->conf.ecn && (syn->flags & (FLAG_ECE | FLAG_CWR)) == (FLAG_ECE | FLAG_CWR);
}

static unsigned option_bits(const struct tcp_stack *s, const struct tcp_segment *syn)
{
    if (!(syn->options & TCP_OPT_TS))
        return NO_OPTIONS | WITHOUT_TS;
    unsigned bits = syn->options & TCP_OPT_WSCALE ? syn->wscale : NO_SCALE;
    if (syn->options & TCP_OPT_SACK_OK)
        bits |= BIT_SACK;
    if (ecn_agreed(s, syn))
        bits |= BIT_ECN;
    return bits;
}

static uint32_t hash(const struct tcp_stack *s, const struct tcp_tuple *t, uint32_t irs, uint32_t tick,
                     unsigned size, unsigned options)
{
    struct {
        struct tcp_tuple tuple;
        uint32_t irs, tick, what;
    } in = {*t, irs, tick, size << 8 | options};
    static_assert(sizeof in == sizeof(struct tcp_tuple) + 12, "no padding is hashed");
    return (uint32_t)tcp_siphash(&s->cookie_secret, &in, sizeof in) & HASH_MASK;
}

static uint32_t cookie(const struct tcp_stack *s, const struct tcp_tuple *t, uint32_t irs, uint32_t tick,
                       unsigned size, unsigned options)
{
    return (tick & 1) << 31 | size << 28 | hash(s, t, irs, tick, size, options);
}

/* Our clock with the options in its low bits, never ahead of the clock: later timestamps must not go back. */
static uint32_t timestamp(const struct tcp_stack *s, const struct tcp_tuple *t, unsigned options,
                          uint64_t now_us)
{
    uint32_t clock = (uint32_t)(now_us / 1000) + tcp_timestamp_offset(&s->secret, t);
    uint32_t value = (clock & ~(uint32_t)OPTION_MASK) | options;
    return seq_after(value, clock) ? value - (OPTION_MASK + 1) : value;
}

void tcp_cookie_answer(struct tcp_stack *s, struct net_path *path, const struct tcp_tuple *t,
                       const struct tcp_segment *syn, uint64_t now_us)
{
    unsigned options = option_bits(s, syn), overhead = TCP_HEADER + (ip_is_v4(&t->remote) ? 20 : 40);
    unsigned size = size_index(t, syn->options & TCP_OPT_MSS ? syn->mss : 0);
    uint32_t tick = (uint32_t)(now_us >> TCP_COOKIE_TICK_SHIFT);
    struct tcp_segment seg = {
        .seq = cookie(s, t, syn->seq, tick, size, options),
        .ack = syn->seq + 1,
        .flags = TCP_SYN | TCP_ACK,
        .window = s->conf.rx_window > UINT16_MAX ? UINT16_MAX : (uint16_t)s->conf.rx_window,
        .options = TCP_OPT_MSS,
        .mss = (uint16_t)(net_path_mtu(path) - overhead),
    };
    if (!(options & WITHOUT_TS)) {
        seg.options |= syn->options & (TCP_OPT_TS | TCP_OPT_SACK_OK | TCP_OPT_WSCALE);
        seg.wscale = s->rcv_wscale;
        seg.ts_val = timestamp(s, t, options, now_us);
        seg.ts_ecr = syn->ts_val;
    }
    if (options & BIT_ECN)
        seg.flags |= FLAG_ECE;
    s->cookies_until_us = now_us + (2ull << TCP_COOKIE_TICK_SHIFT);
    count_one(s->counters, COUNTER_tcp_cookies_sent);
    tcp_send_bare(s, path, t, &seg, now_us);
}

bool tcp_cookies_out(const struct tcp_stack *s, uint64_t now_us)
{
    return now_us < s->cookies_until_us;
}

bool tcp_cookie_check(const struct tcp_stack *s, const struct tcp_tuple *t, const struct tcp_segment *ack,
                      struct tcp_segment *syn, uint64_t now_us)
{
    uint32_t got = ack->ack - 1, tick = (uint32_t)(now_us >> TCP_COOKIE_TICK_SHIFT);
    unsigned size = got >> 28 & ((1 << TCP_COOKIE_MSS_BITS) - 1);
    bool stamped = ack->options & TCP_OPT_TS;
    unsigned options = stamped ? ack->ts_ecr & OPTION_MASK : NO_OPTIONS | WITHOUT_TS;
    if ((tick & 1) != got >> 31)
        tick--;
    if ((got & HASH_MASK) != hash(s, t, ack->seq - 1, tick, size, options))
        return false;
    *syn = (struct tcp_segment){
        .seq = ack->seq - 1,
        .flags = TCP_SYN,
        .window = ack->window,
        .options = TCP_OPT_MSS,
        .mss = sizes[size],
        .ts_val = ack->ts_val,
    };
    if (stamped)
        syn->options |= TCP_OPT_TS;
    if (options & BIT_SACK)
        syn->options |= TCP_OPT_SACK_OK;
    if (options & BIT_ECN)
        syn->flags |= FLAG_ECE | FLAG_CWR;
    if ((options & NO_SCALE) != NO_SCALE) {
        syn->options |= TCP_OPT_WSCALE;
        syn->wscale = options & NO_SCALE;
    }
    return true;
}
