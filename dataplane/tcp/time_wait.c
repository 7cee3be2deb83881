/* time_wait.c: connections in TIME_WAIT (RFC 9293 sections 3.6.1 and 3.10.7.4, RFC 1337, RFC 6191, RFC 7323
 * section 5) as records of 64 bytes in a bounded table of their own, so that closed connections take nothing
 * from the pool of open ones. When the table is full the record that would have ended first is dropped.
 *
 * A record answers a retransmitted FIN with the last ACK and waits anew, gives way to a SYN with a higher
 * number or timestamp, lets no reset end it, and answers other segments that do not fit with at most one ACK
 * in half a second.
 *
 * Second use: a connection that came by a SYN cookie leaves a guard behind, however it ended, until no cookie
 * of its time is good any more: its first ACK, replayed, must not open it again. A guard answers as a closed
 * port does, to the last 16 MiB of numbers that the connection had; it is no obstacle to a SYN. Guards are
 * dropped before true records.
 *
 * Skipped: the 4 minutes of RFC 9293 (2 MSL is configured, 1 s by default); taking over a TIME_WAIT for a
 * connection of our own. */
#include <stdlib.h>

#include "tcp/time_wait.h"

enum { REAL, GUARD, KINDS };
enum {
    ANSWER_SHIFT = 19, /* us to half seconds, roughly */
    GUARDED =
        1 << 24 /* numbers up to the last one that a guard holds back: a new client hits them by 1 in 256 */
};

struct record {
    struct tcp_tuple tuple; /* 36 bytes */
    uint32_t rcv_nxt, snd_nxt, ts_recent;
    uint32_t expires_ms;
    uint32_t older, newer; /* index, NO_CONN at the end; newer links free ones too */
    uint16_t window;       /* as on the wire */
    uint8_t kind : 1, stamped : 1, cookie : 1;
    uint8_t answered; /* half second of the last limited answer */
};

static_assert(sizeof(struct record) <= 64, "a closed connection is a cache line");

struct tcp_time_waits {
    struct record *record;
    struct tcp_flow_slot *slot;
    uint32_t mask, max, fresh, free_list, used[KINDS];
    struct {
        uint32_t oldest, newest;
    } age[KINDS];
};

bool tcp_time_wait_new(struct tcp_stack *s)
{
    struct tcp_time_waits *w = calloc(1, sizeof *w);
    uint32_t slots = 64;
    if (!w)
        return false;
    w->max = s->conf.time_waits;
    while (slots < 2 * (uint64_t)w->max)
        slots *= 2;
    w->mask = slots - 1;
    w->free_list = NO_CONN;
    for (unsigned k = 0; k < KINDS; k++)
        w->age[k].oldest = w->age[k].newest = NO_CONN;
    w->record = calloc(w->max, sizeof *w->record);
    w->slot = calloc(slots, sizeof *w->slot);
    s->time_waits = w;
    return w->record && w->slot;
}

void tcp_time_wait_free(struct tcp_stack *s)
{
    if (!s->time_waits)
        return;
    free(s->time_waits->record);
    free(s->time_waits->slot);
    free(s->time_waits);
}

/* -- the table: open addressing as in flow.c */

static struct record *find(const struct tcp_stack *s, const struct tcp_tuple *t)
{
    const struct tcp_time_waits *w = s->time_waits;
    if (w->used[REAL] + w->used[GUARD] == 0)
        return NULL;
    uint32_t hash = tcp_flow_hash(&s->secret, t);
    for (uint32_t i = hash & w->mask; w->slot[i].conn; i = (i + 1) & w->mask) {
        struct record *r = &w->record[w->slot[i].conn - 1];
        if (w->slot[i].hash == hash && memcmp(&r->tuple, t, sizeof *t) == 0)
            return r;
    }
    return NULL;
}

static void slot_add(struct tcp_time_waits *w, uint32_t hash, uint32_t index)
{
    uint32_t i = hash & w->mask;
    while (w->slot[i].conn)
        i = (i + 1) & w->mask;
    w->slot[i] = (struct tcp_flow_slot){hash, index + 1};
}

static void slot_remove(struct tcp_time_waits *w, uint32_t hash, uint32_t index)
{
    uint32_t i = hash & w->mask;
    while (w->slot[i].conn != index + 1)
        i = (i + 1) & w->mask;
    for (uint32_t j = (i + 1) & w->mask; w->slot[j].conn; j = (j + 1) & w->mask) {
        uint32_t home = w->slot[j].hash & w->mask;
        if (((j - home) & w->mask) >= ((j - i) & w->mask)) {
            w->slot[i] = w->slot[j];
            i = j;
        }
    }
    w->slot[i] = (struct tcp_flow_slot){0, 0};
}

/* -- age: records of a kind all wait equally long, so the oldest ends first */

static void age_add(struct tcp_time_waits *w, struct record *r)
{
    uint32_t i = (uint32_t)(r - w->record), last = w->age[r->kind].newest;
    r->older = last;
    r->newer = NO_CONN;
    if (last == NO_CONN)
        w->age[r->kind].oldest = i;
    else
        w->record[last].newer = i;
    w->age[r->kind].newest = i;
}

static void age_remove(struct tcp_time_waits *w, const struct record *r)
{
    if (r->older == NO_CONN)
        w->age[r->kind].oldest = r->newer;
    else
        w->record[r->older].newer = r->newer;
    if (r->newer == NO_CONN)
        w->age[r->kind].newest = r->older;
    else
        w->record[r->newer].older = r->older;
}

static void forget(struct tcp_stack *s, struct record *r)
{
    struct tcp_time_waits *w = s->time_waits;
    slot_remove(w, tcp_flow_hash(&s->secret, &r->tuple), (uint32_t)(r - w->record));
    age_remove(w, r);
    w->used[r->kind]--;
    r->newer = w->free_list;
    w->free_list = (uint32_t)(r - w->record);
}

static struct record *take(struct tcp_stack *s)
{
    struct tcp_time_waits *w = s->time_waits;
    if (w->free_list == NO_CONN && w->fresh < w->max)
        return &w->record[w->fresh++];
    if (w->free_list == NO_CONN) {
        uint32_t oldest = w->age[w->used[GUARD] ? GUARD : REAL].oldest;
        forget(s, &w->record[oldest]);
        count_one(s->counters, COUNTER_tcp_time_wait_full);
    }
    struct record *r = &w->record[w->free_list];
    w->free_list = r->newer;
    return r;
}

static struct record *remember(struct tcp_conn *c, unsigned kind, uint64_t until_us)
{
    struct tcp_stack *s = c->stack;
    uint32_t window = (c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale;
    struct record *old = find(s, &c->tuple);
    if (old)
        forget(s, old);
    struct record *r = take(s);
    *r = (struct record){.tuple = c->tuple,
                         .rcv_nxt = c->rcv_nxt,
                         .snd_nxt = c->snd_nxt,
                         .ts_recent = c->ts_recent,
                         .expires_ms = (uint32_t)((until_us + 999) / 1000),
                         .window = window > UINT16_MAX ? UINT16_MAX : (uint16_t)window,
                         .kind = kind & 1,
                         .stamped = !!(c->flags & CONN_TS),
                         .cookie = !!(c->flags & CONN_COOKIE)};
    slot_add(s->time_waits, tcp_flow_hash(&s->secret, &r->tuple), (uint32_t)(r - s->time_waits->record));
    age_add(s->time_waits, r);
    s->time_waits->used[kind]++;
    if (until_us < s->timers_next)
        s->timers_next = until_us;
    return r;
}

void tcp_time_wait_enter(struct tcp_conn *c, uint64_t now_us)
{
    struct tcp_stack *s = c->stack;
    struct record *r = remember(c, REAL, now_us + s->conf.time_wait_us);
    r->answered = (uint8_t)((now_us >> ANSWER_SHIFT) - 1);
    c->flags &= ~(uint32_t)CONN_COOKIE; /* the record becomes the guard when its time is over */
    tcp_conn_end(c);
}

void tcp_time_wait_guard(struct tcp_conn *c)
{
    remember(c, GUARD, c->stack->cookies_until_us);
}

/* -- segments that meet a record */

static void send_ack(struct tcp_stack *s, const struct record *r, uint64_t now_us)
{
    struct tcp_segment seg = {.seq = r->snd_nxt, .ack = r->rcv_nxt, .flags = TCP_ACK, .window = r->window};
    if (r->stamped) {
        seg.options = TCP_OPT_TS;
        seg.ts_val = (uint32_t)(now_us / 1000) + tcp_timestamp_offset(&s->secret, &r->tuple);
        seg.ts_ecr = r->ts_recent;
    }
    struct net_path *path = net_path_get(s->nif, &r->tuple.local, &r->tuple.remote, now_us);
    if (!path)
        return;
    tcp_send_bare(s, path, &r->tuple, &seg, now_us);
    net_path_put(s->nif, path);
}

/* Two sides that each find the other's ACK odd must not answer each other for ever; a SYN from outside the
 * window is asked in the same measure (RFC 5961 section 4). */
static void send_limited_ack(struct tcp_stack *s, struct record *r, uint64_t now_us)
{
    uint8_t half_second = (uint8_t)(now_us >> ANSWER_SHIFT);
    if (r->answered == half_second) {
        count_one(s->counters, COUNTER_tcp_challenge_limited);
        return;
    }
    r->answered = half_second;
    send_ack(s, r, now_us);
}

/* A SYN that meets TIME_WAIT may open the next connection at once (RFC 9293 MAY-2, RFC 6191 section 2). */
static bool reusable(const struct tcp_stack *s, const struct record *r, const struct tcp_segment *seg)
{
    if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN ||
        !tcp_listening(s, r->tuple.local_port))
        return false;
    if (r->stamped && (seg->options & TCP_OPT_TS) && seg->ts_val != r->ts_recent)
        return seq_after(seg->ts_val, r->ts_recent);
    return seq_after(seg->seq, r->rcv_nxt);
}

static void again(struct tcp_stack *s, struct record *r, uint64_t now_us)
{
    age_remove(s->time_waits, r);
    r->expires_ms = (uint32_t)((now_us + s->conf.time_wait_us + 999) / 1000);
    age_add(s->time_waits, r);
}

/* RFC 9293 section 3.10.7.4 for TIME_WAIT. Text is never taken: it lies beyond the peer's FIN. */
static void wait_input(struct tcp_stack *s, struct record *r, const struct tcp_segment *seg, uint64_t now_us)
{
    if (seg->flags & TCP_RST) {
        count_one(s->counters, COUNTER_tcp_time_wait_resets);
        return;
    }
    bool stamped = seg->options & TCP_OPT_TS;
    if (r->stamped && !stamped && !(seg->flags & TCP_SYN)) {
        count_one(s->counters, COUNTER_tcp_drop_no_timestamp);
        return;
    }
    if (r->stamped && stamped && seq_before(seg->ts_val, r->ts_recent)) {
        count_one(s->counters, COUNTER_tcp_drop_paws);
        send_limited_ack(s, r, now_us);
        return;
    }
    bool fin_again =
        (seg->flags & (TCP_FIN | TCP_SYN)) == TCP_FIN && seg->seq + seg->payload + 1 == r->rcv_nxt;
    if (fin_again) {
        again(s, r, now_us); /* our last ACK was lost: 2 MSL begin anew */
        send_ack(s, r, now_us);
    } else if (seg->payload || seg->seq != r->rcv_nxt || (seg->flags & TCP_SYN)) {
        count_one(s->counters, COUNTER_tcp_drop_window);
        send_limited_ack(s, r, now_us);
    }
}

enum tcp_time_wait_verdict tcp_time_wait_input(struct tcp_stack *s, const struct tcp_tuple *t,
                                               const struct tcp_segment *seg, uint32_t *above,
                                               uint64_t now_us)
{
    struct record *r = find(s, t);
    if (likely(!r))
        return TIME_WAIT_NONE;
    if (r->kind == GUARD) {
        if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN || r->rcv_nxt - seg->seq >= GUARDED)
            return TIME_WAIT_NONE;
        count_one(s->counters, COUNTER_tcp_cookies_replayed);
        tcp_answer_rst(s, t, seg, now_us);
        return TIME_WAIT_TAKEN;
    }
    if (reusable(s, r, seg)) {
        *above = r->snd_nxt;
        return TIME_WAIT_REUSED;
    }
    wait_input(s, r, seg, now_us);
    return TIME_WAIT_TAKEN;
}

void tcp_time_wait_forget(struct tcp_stack *s, const struct tcp_tuple *t)
{
    struct record *r = find(s, t);
    if (r)
        forget(s, r);
}

bool tcp_time_wait_holds(const struct tcp_stack *s, const struct tcp_tuple *t)
{
    const struct record *r = find(s, t);
    return r && r->kind == REAL;
}

unsigned tcp_time_wait_count(const struct tcp_stack *s)
{
    return s->time_waits->used[REAL];
}

void tcp_time_wait_each(const struct tcp_stack *s,
                        void (*fn)(const struct endpoint *local, const struct endpoint *remote, void *arg),
                        void *arg)
{
    const struct tcp_time_waits *w = s->time_waits;
    for (uint32_t i = w->age[REAL].oldest; i != NO_CONN; i = w->record[i].newer) {
        const struct tcp_tuple *t = &w->record[i].tuple;
        fn(&(struct endpoint){t->local, t->local_port}, &(struct endpoint){t->remote, t->remote_port}, arg);
    }
}

static void end_of_wait(struct tcp_stack *s, struct record *r, uint64_t now_us)
{
    struct tcp_time_waits *w = s->time_waits;
    if (r->kind == GUARD || !r->cookie || now_us >= s->cookies_until_us) {
        forget(s, r);
        return;
    }
    age_remove(w, r);
    w->used[REAL]--;
    r->kind = GUARD;
    r->expires_ms = (uint32_t)((s->cookies_until_us + 999) / 1000);
    w->used[GUARD]++;
    age_add(w, r);
}

uint64_t tcp_time_wait_expire(struct tcp_stack *s, uint64_t now_us)
{
    struct tcp_time_waits *w = s->time_waits;
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    uint64_t next = UINT64_MAX;
    for (unsigned k = 0; k < KINDS; k++) {
        while (w->age[k].oldest != NO_CONN && seq_upto(w->record[w->age[k].oldest].expires_ms, now_ms))
            end_of_wait(s, &w->record[w->age[k].oldest], now_us);
        if (w->age[k].oldest == NO_CONN)
            continue;
        uint64_t at = (now_us / 1000 + (w->record[w->age[k].oldest].expires_ms - now_ms)) * 1000;
        next = at < next ? at : next;
    }
    return next;
}
