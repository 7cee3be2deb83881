/* worker.c: the loop of one core. A round is a pipeline over a burst, so that the memory each stage needs has
 * been asked for one stage earlier: frames, connections, requests and index buckets, entries, replies. */
#include "worker.h"

#include "command/acl.h"
#include "command/notify.h"
#include "command/row.h"
#include "job.h"
#include "script/script.h"
#include "tap.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    RX_BURST = 32,
    BATCHES_A_ROUND = 16 /* then receive again, so that nobody waits for a long pipeline; one if the port is full */
};

/* -- frames
 * ----------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void capture(struct worker *w, enum tap_direction direction,
                                              struct rte_mbuf **frames, unsigned n)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    tap_frames(w->tap, w->id, direction, frames, n, (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

void worker_send(void *worker, struct rte_mbuf **frames, unsigned n)
{
    struct worker *w = worker;
    if (unlikely(w->tap != NULL))
        capture(w, TAP_OUT, frames, n);
    port_tx(w->queue, frames, n);
}

/* An ICMP error about a segment, or a packet that its last fragment has completed: the flow's owner gets
 * that.
 */
static enum net_verdict unusual(struct worker *w, enum net_verdict v, struct rte_mbuf **frame,
                                struct net_packet *packet)
{
    if (v == NET_WHOLE) {
        *frame = net_take_whole(w->nif);
        if (port_pass(w->queue, *frame))
            return NET_DONE;
        v = net_input(w->nif, *frame, packet, w->env.now_us);
    }
    if (v == NET_TCP_ERROR)
        tcp_icmp_error(w->tcp, net_error(w->nif), w->env.now_us);
    return v;
}

static inline void stand_in_line(struct worker *w, struct session *s)
{
    s->flags |= SESSION_READY;
    s->ready_next = NULL;
    if (w->ready_last)
        w->ready_last->ready_next = s;
    else
        w->ready_first = s;
    w->ready_last = s;
}

/* Not for one that has requests in the batch that is being gathered: see run_row(). */
void worker_ready(struct worker *w, struct session *s)
{
    if (!(s->flags & (SESSION_READY | SESSION_STALLED)))
        stand_in_line(w, s);
}

/* There is something to read for a session, since this round. */
static inline void readable(struct worker *w, struct session *s)
{
    if (likely(!(s->flags & (SESSION_READY | SESSION_STALLED)))) {
        s->since = w->times.now;
        stand_in_line(w, s);
    } else if (!s->since) {
        s->since = w->times.now;
    }
}

/* News of a session that is readable, and nothing else. */
static inline void only_readable(struct worker *w, struct session *s)
{
    enum { AS_USUAL = SESSION_OPEN | SESSION_READY | SESSION_TLS | SESSION_HOLDS };
    if (unlikely(!(s->flags & SESSION_OPEN))) /* another segment's news have ended it */
        return;
    readable(w, s);
    if (unlikely(s->flags & ~(uint32_t)AS_USUAL))
        session_settle(s);
}

/* TCP takes a burst of segments; whom they make readable is asked for in memory meanwhile. */
static void segments_in(struct worker *w, struct rte_mbuf **segment, const struct net_packet *packet, unsigned n)
{
    struct session *s, *news[RX_BURST];
    unsigned heard = 0;
    for (unsigned i = 0; i < n; i++) {
        struct tcp_conn *c = tcp_input_readable(w->tcp, segment[i], &packet[i], w->env.now_us);
        if (!c || !(s = tcp_user(c)))
            continue;
        __builtin_prefetch(s, 1);
        __builtin_prefetch(&s->client, 1);
        news[heard++] = s;
    }
    for (unsigned i = 0; i < heard; i++)
        only_readable(w, news[i]);
    count_add(w->counters, COUNTER_client_reads, heard);
}

static bool receive(struct worker *w, struct rte_mbuf **frame, unsigned n)
{
    struct rte_mbuf *segment[RX_BURST];
    struct net_packet packet[RX_BURST];
    unsigned segments = 0;
    if (n == 0)
        return false;
    if (unlikely(w->tap != NULL))
        capture(w, TAP_IN, frame, n);
    for (unsigned i = 0; i < n; i++) {
        enum net_verdict v = net_input(w->nif, frame[i], &packet[segments], w->env.now_us);
        if (unlikely(v >= NET_TCP_ERROR))
            v = unusual(w, v, &frame[i], &packet[segments]);
        if (v != NET_TCP)
            continue;
        tcp_prefetch(w->tcp, frame[i], &packet[segments]);
        segment[segments++] = frame[i];
    }
    for (unsigned i = 0; i < segments; i++)
        tcp_prefetch_conn(w->tcp, segment[i]);
    segments_in(w, segment, packet, segments);
    return true;
}

static bool events(struct worker *w)
{
    struct tcp_conn *c;
    unsigned ev;
    bool any = false;
    while ((c = tcp_next_event(w->tcp, &ev))) {
        any = true;
        if (unlikely(w->peers.n) && tcp_is_active(c)) {
            peers_event(&w->peers, c, ev, w->env.now_us);
            continue;
        }
        struct session *s = tcp_user(c);
        if ((ev & TCP_OPENED) && !(ev & TCP_CLOSED))
            s = session_open(w, c);
        if (!s)
            continue;
        if (ev & TCP_CLOSED) {
            session_close(s, true);
            continue;
        }
        if (ev & TCP_WRITABLE)
            session_drain(s);
        if (ev & TCP_PEER_CLOSED)
            s->flags |= SESSION_PEER_CLOSED;
        if (ev & (TCP_READABLE | TCP_OPENED))
            readable(w, s);
        if (ev & TCP_READABLE)
            count_one(w->counters, COUNTER_client_reads);
        session_settle(s);
    }
    return any;
}

/* -- requests
 * --------------------------------------------------------------------------------------------------- */

/* Everything a session has in this batch is done: what it wrote leaves, what it read is given back. */
static void finish(struct worker *w, struct session *s)
{
    session_write_end(s);
    s->client.last_ms = w->env.now_ms;
    session_consumed(s);
    tcp_push(s->conn, w->env.now_us);
    session_settle(s);
}

static void gather(struct worker *w, struct batch *b)
{
    batch_begin(b);
    b->marked = w->paused != PAUSE_OFF;
    /* Who is not looked at keeps the place in the line. Nobody's requests come in two goes: run_row() goes by it. */
    while (w->ready_first && b->n < BATCH_REQUESTS) {
        struct session *s = w->ready_first;
        unsigned first = b->n;
        b->hops_to = 0;
        enum parse_result r = session_parse(s, b);
        if (unlikely(s->since != w->times.now))
            wiretime_late(&b->times, first, b->n, s->since);
        w->ready_first = s->ready_next;
        if (!w->ready_first)
            w->ready_last = NULL;
        s->flags &= ~(uint32_t)SESSION_READY;
        if (r == PARSE_FULL) { /* to the end of the line: others come first */
            worker_ready(w, s);
            return;
        }
        if (!b->n || b->session[b->n - 1] != s)
            finish(w, s); /* it has no request in the batch */
    }
}

static void unfinished(struct worker *w, struct session *s, struct request *rq, enum command_result result)
{
    if (result == CMD_WAIT)
        s->flags |= SESSION_STALLED;
    else if (result == CMD_BLOCK)
        worker_block(w, s, rq);
    else if (result == CMD_LONG)
        worker_long(w, s, rq);
    else if (result == CMD_ELSEWHERE)
        worker_defer(w, s, rq);
    else
        worker_recount(w, s);
    if (w->due)
        worker_deliver(w, false);
}

/* Sends a request to where it must run, unless MULTI queues it here or the cluster view answers with where it
 * belongs. Its session was read no further; if it does not wait now, it is read on. */
static bool goes_elsewhere(struct worker *w, struct session *s, struct request *rq)
{
    bool told = s->client.flags & CLIENT_CLUSTER && rq->route == ROUTE_SHARD;
    bool goes = !(s->client.flags & CLIENT_MULTI) && !told;
    s->flags &= ~(uint32_t)SESSION_HOPS;
    if (!goes || !(rq->route == ROUTE_SHARD ? worker_hop(w, s, rq) : worker_defer(w, s, rq)))
        worker_ready(w, s);
    return goes;
}

static void execute(struct worker *w, struct session *s, struct request *rq, const struct ahead *ahead)
{
    if (worker_elsewhere(w, rq) && goes_elsewhere(w, s, rq))
        return;
    if (turns_any(&w->turns) && worker_is_held(w, s, rq))
        return;
    struct resp_writer *out = session_write_begin(s);
    w->env.ahead = ahead;
    enum command_result result = command_execute(rq, out);
    w->env.ahead = NULL;
    if (unlikely(result != CMD_DONE))
        unfinished(w, s, rq, result);
    out->proto = s->client.proto; /* HELLO and RESET change it */
    if (block_ready(w->waits))
        worker_serve(w);
}

/* Requests that must not run any more: a stalled session's wait, an ended one's are dropped. */
static bool runnable(const struct session *s)
{
    return !(s->flags & (SESSION_STALLED | SESSION_BROKEN)) &&
           !(s->client.flags & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_KILLED));
}

/* How many requests from the i-th on are of one session and go in rows. Nobody's come in two goes (gather()). */
static __attribute__((noinline)) unsigned same_session(const struct batch *b, unsigned i)
{
    unsigned n = 1;
    while (i + n < b->n && b->session[i + n] == b->session[i] && batch_in_row(b, i + n))
        n++;
    return n;
}

/* Those of the i-th request's session from there on that go in rows: returns how many are done. */
static inline unsigned run_row(struct worker *w, struct batch *b, unsigned i)
{
    struct session *s = b->session[i];
    unsigned n = (unsigned)__builtin_ctzll(~((uint64_t)b->in_row >> i % BATCH_REQUESTS)); /* that go in rows */
    if (turns_any(&w->turns) || w->paused || !runnable(s))
        return 0;
    if (n > 1 && b->session[i + 1] != s)
        n = 1;
    else if (b->session[i + n - 1] != s)
        n = same_session(b, i);
    return row_run(&w->env, &s->client, &b->ahead, i, &b->rq[i], n, session_write_begin(s));
}

static void run(struct worker *w, struct batch *b)
{
    worker_begin(w);
    b->until_sample -= (int)b->n;
    if (unlikely(b->until_sample <= 0))
        worker_sample(w);
    for (unsigned i = 0; i < b->n; i++) {
        struct session *s = b->session[i];
        unsigned done = batch_in_row(b, i) ? run_row(w, b, i) : 0;
        if (done) {
            i += done - 1;
            if (i + 1 == b->n || b->session[i + 1] != s)
                finish(w, s);
            continue;
        }
        b->at = i;
        if (b->n > 1) /* one alone waits for its memory anyway */
            store_look_ahead(w->env.ks->shard[w->id], &b->ahead, i);
        if (runnable(s) && !(unlikely(w->paused) && worker_holds_request(w, b, i))) {
            const bool in_row = batch_in_row(b, i);
            struct request *rq = batch_request(b, i); /* and its hint, if it had none */
            /* What a row could not store for want of memory is not to be tried, and to evict, once more. */
            const bool refused = in_row && b->ahead.at[i].changes == AHEAD_REFUSED;
            execute(w, s, rq, b->n > 1 || refused ? &b->ahead.at[i] : NULL);
            if (s->flags & SESSION_STALLED) {
                session_rewind(s, b->after[i]);
                b->times.undone |= 1u << i;
            }
        } else {
            b->times.undone |= 1u << i;
        }
        if (i + 1 == b->n || b->session[i + 1] != s)
            finish(w, s);
    }
    worker_served(w);
    worker_rest(w);
}

/* While the entries of a batch come in, the look-ups of the row that begins the next one are begun; they come in while this one runs. */
static inline void peek(struct worker *w, struct batch *b)
{
    enum { FEW = 8 };
    if (!w->ready_first || b->n < FEW)
        return;
    store_ahead_known(w->env.ks->shard[w->id], &b->ahead);
    session_peek(w->ready_first);
}

static bool requests(struct worker *w)
{
    if (!w->ready_first)
        return false;
    row_forget_peeked(&w->row_last); /* frames have come since */
    uint64_t begin = w->times.delivered = rte_rdtsc();
    for (unsigned i = 0; i < BATCHES_A_ROUND && w->ready_first && !(unlikely(*w->port_full) && i); i++) {
        gather(w, &w->batch);
        peek(w, &w->batch);
        run(w, &w->batch);
        uint64_t end = rte_rdtsc();
        wiretime_batch(&w->times, &w->batch.times, w->batch.n, begin, end);
        begin = end;
    }
    return true;
}

/* -- the round
 * ------------------------------------------------------------------------------------------------------- */

void worker_round(struct worker *w, uint64_t start)
{
    struct rte_mbuf *frame[RX_BURST];
    fabric_park(w->box->fabric, w->id);
    /* First of all, so that the frames' headers come in while clocks and configuration are read. */
    unsigned n = port_rx(w->queue, frame, RX_BURST);
    wiretime_round(&w->times, start);
    worker_follow_config(w);
    worker_read_clocks(w, start);
    if (unlikely(atomic_load_explicit(&w->box->pause, memory_order_relaxed) != 0 || w->paused)) {
        worker_begin(w);
        worker_follow_pause(w);
        worker_rest(w);
    }
    bool busy = receive(w, frame, n);
    busy |= events(w);
    busy |= requests(w);
    busy |= worker_messages(w);
    if (unlikely(w->turns.jobs)) {
        worker_begin(w);
        busy |= worker_turns(w);
        worker_rest(w);
    }
    worker_upkeep(w);
    tcp_round_end(w->tcp, w->env.now_us);
    net_flush(w->nif);
    if (unlikely(*w->port_full))
        worker_go_on(w);
    count_one(w->counters, COUNTER_loop_rounds);
    if (busy || w->times.groups) {
        w->idle_rounds = 0;
        count_one(w->counters, COUNTER_loop_busy_rounds);
        uint64_t end = rte_rdtsc();
        wiretime_sent(&w->times, end);
        wiretime_loop(&w->times, end);
        count_add(w->counters, COUNTER_busy_cycles, end - start);
    } else {
        w->idle_rounds++;
        worker_idle(w);
        count_add(w->counters, COUNTER_idle_cycles, rte_rdtsc() - start);
    }
}

/* What clients were told leaves, if the port takes it within a tenth of a second. */
static void last_words(struct worker *w)
{
    enum { PER_SECOND = 10 };
    uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / PER_SECOND;
    while (*w->port_full && rte_rdtsc() < end)
        worker_go_on(w);
}

int worker_main(void *arg)
{
    struct worker *w = arg;
    rte_rcu_qsbr_thread_register(w->box->rcu, w->id);
    rte_rcu_qsbr_thread_online(w->box->rcu, w->id);
    while (!atomic_load_explicit(&w->box->stop, memory_order_relaxed))
        worker_round(w, rte_rdtsc());
    while (w->live_sessions) /* clients see an orderly end */
        session_close(w->live_sessions, false);
    peers_end(&w->peers, w->env.now_us);
    tcp_round_end(w->tcp, w->env.now_us);
    net_flush(w->nif);
    last_words(w);
    worker_log_finish(w);
    tls_memory_trim();
    rte_rcu_qsbr_thread_offline(w->box->rcu, w->id);
    rte_rcu_qsbr_thread_unregister(w->box->rcu, w->id);
    return 0;
}
