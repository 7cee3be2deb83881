/* secure.c: see secure.h. A handshake's expensive step (a signature, a key agreement) is let in at once while
 * nobody else asks for anything; otherwise handshakes get a share of the worker's time and the newest goes first: who
 * has waited for long has probably given up. */
#include "secure.h"

#include "command/acl.h"
#include "worker.h"

#include <rte_cycles.h>

#include <stdlib.h>

enum {
    HANDSHAKE_SHARE = 10,         /* per cent of a busy worker's time */
    HANDSHAKE_ROUND_US = 300,     /* in one round, if that does not end it earlier */
    HANDSHAKE_LIFE_US = 10000000, /* from the client's first byte to the end of the handshake */
    SILENT_LIFE_US = 60000000,    /* from the connection to that byte: a program may connect all its clients before
                                     it lets any of them speak, and costs no more than where there is no TLS */
    HANDSHAKE_STEP_US = 10000,    /* what took longer was not all ours: another program had the core */
    HANDSHAKE_DEBT_US = HANDSHAKE_STEP_US * 100 / HANDSHAKE_SHARE, /* nobody pays longer for what others had for nothing */
    QUIET_MOST_US = 10000,        /* who has not asked for so long is not waited for, however long a step takes */
    HANDSHAKES_BEGUN = 1024,      /* each takes tens of KB; beyond that the oldest is given up */
    PULL_MOST = 64 * 1024         /* bytes opened at once, if the request does not need more */
};

/* -- the wire
 * --------------------------------------------------------------------------------------------------- */

static struct slice peek(void *conn, size_t offset)
{
    return tcp_rx_peek(conn, offset);
}

static uint8_t *reserve(void *conn, size_t *room)
{
    return tcp_tx_reserve(conn, room);
}

static void commit(void *conn, size_t n)
{
    tcp_tx_commit(conn, n);
}

static const struct tls_wire wire = {peek, reserve, commit};

/* -- life
 * ------------------------------------------------------------------------------------------------------- */

static struct secure_list *list_of(struct secure *x)
{
    struct secure_worker *sw = &x->session->worker->secure;
    return x->spoke ? &sw->shaking : &sw->silent;
}

static void enlist(struct secure *x)
{
    struct secure_list *list = list_of(x);
    x->since_us = x->session->worker->env.now_us;
    x->next = list->newest;
    *(x->next ? &x->next->prev : &list->oldest) = x;
    list->newest = x;
}

static void delist(struct secure *x)
{
    struct secure_list *list = list_of(x);
    *(x->prev ? &x->prev->next : &list->newest) = x->next;
    *(x->next ? &x->next->prev : &list->oldest) = x->prev;
    x->prev = x->next = NULL;
}

static void end_shaking(struct secure *x)
{
    struct secure_worker *sw = &x->session->worker->secure;
    delist(x);
    sw->waiting -= x->waiting;
    sw->begun -= x->tls != NULL;
    x->waiting = false;
    x->session->flags &= ~(uint32_t)SESSION_SHAKES;
}

bool secure_open(struct session *s)
{
    struct worker *w = s->worker;
    struct secure_worker *sw = &w->secure;
    struct secure *x = calloc(1, sizeof *x);
    if (x && !sw->plain)
        sw->plain = malloc(SECURE_PLAIN);
    if (!x || !sw->plain) {
        free(x);
        return false;
    }
    x->session = s;
    enlist(x);
    s->secure = x;
    s->flags |= SESSION_TLS | SESSION_SHAKES;
    s->indirect |= INDIRECT_TLS;
    return true;
}

void secure_close(struct session *s, bool conn_gone)
{
    struct secure *x = s->secure;
    if (s->flags & SESSION_SHAKES)
        end_shaking(x);
    if (x->tls && !conn_gone) {
        if (!s->chunk_first) /* else bytes would be missing before it */
            tls_end(x->tls);
        tls_flush(x->tls);
    }
    tls_free(x->tls);
    free(x);
    s->secure = NULL;
}

void secure_free(struct worker *w)
{
    free(w->secure.plain);
    w->secure.plain = NULL;
}

/* -- handshakes
 * ------------------------------------------------------------------------------------------------- */

static void count_failure(struct worker *w, enum tls_failure why)
{
    static const enum counter counter[] = {
        [TLS_FAILURE_OTHER] = COUNTER_tls_failed_other,
        [TLS_FAILURE_NO_CERTIFICATE] = COUNTER_tls_failed_no_certificate,
        [TLS_FAILURE_BAD_CERTIFICATE] = COUNTER_tls_failed_bad_certificate,
        [TLS_FAILURE_NO_COMMON] = COUNTER_tls_failed_no_common,
        [TLS_FAILURE_ALERT] = COUNTER_tls_failed_alert,
        [TLS_FAILURE_GARBAGE] = COUNTER_tls_failed_garbage,
        [TLS_FAILURE_MEMORY] = COUNTER_tls_failed_memory,
    };
    count_one(w->counters, counter[why]);
}

/* Gives back what OpenSSL has taken from the connection. */
static void took(struct session *s)
{
    size_t n = tls_taken(s->secure->tls);
    if (n)
        tcp_rx_consume(s->conn, n, s->worker->env.now_us);
}

/* A client that speaks RESP or HTTP without TLS is told so in words. */
static bool speaks_plainly(struct session *s)
{
    static const char told[] = "-ERR this port speaks TLS: connect with rediss:// or --tls\r\n";
    struct slice first = tcp_rx_peek(s->conn, 0);
    size_t room;
    if (s->secure->tls || first.len == 0 || first.p[0] < 0x20 || first.p[0] > 0x7e)
        return false;
    count_one(s->worker->counters, COUNTER_tls_failed_plain);
    uint8_t *p = tcp_tx_reserve(s->conn, &room);
    if (p && room >= sizeof told - 1) {
        memcpy(p, told, sizeof told - 1);
        tcp_tx_commit(s->conn, sizeof told - 1);
    }
    s->flags |= SESSION_BROKEN;
    return true;
}

/* Gives up the handshake that has been under way for longest, for a newer one. */
static void make_way(struct worker *w)
{
    for (struct secure *x = w->secure.shaking.oldest; x && w->secure.begun >= HANDSHAKES_BEGUN; x = x->prev)
        if (x->tls && !(x->session->flags & SESSION_BROKEN)) {
            count_one(w->counters, COUNTER_tls_handshakes_shed);
            x->session->flags |= SESSION_BROKEN | SESSION_DOOMED;
            w->doomed++;
            session_first(x->session);
            return;
        }
}

static bool begin(struct session *s)
{
    struct worker *w = s->worker;
    struct tls_set *set = w->conf->tls;
    make_way(w);
    struct tls_context *context = set ? tls_set_context(set, w->id) : NULL;
    s->secure->tls = set ? tls_new(context, &wire, s->conn) : NULL;
    w->secure.begun += s->secure->tls != NULL;
    const struct config_listener *l = config_listener_of(w->conf, s->client.local.port);
    if (!l && s->client.local.port != w->conf->tls_port) /* its listener, and with it the rule it came by, has gone */
        return false;
    return s->secure->tls && (!l || !l->own_auth || tls_set_auth(s->secure->tls, context, l->auth));
}

static bool claim_name(enum certificate_name kind, struct slice name, void *claim)
{
    return acl_claim_name(claim, kind, name);
}

static void established(struct session *s)
{
    struct worker *w = s->worker;
    struct acl_claim claim;
    count_one(w->counters, COUNTER_tls_handshakes);
    if (tls_resumed(s->secure->tls))
        count_one(w->counters, COUNTER_tls_resumptions);
    end_shaking(s->secure);
    if (s->chunk_first) /* something was said to it meanwhile */
        tcp_want_write(s->conn);
    acl_claim_begin(&claim, &w->env);
    if (!tls_each_name(s->secure->tls, claim_name, &claim) || !acl_claim_end(&claim, &s->client))
        session_welcome(s);
    tls_settle(s->secure->tls);
}

/* Of a step. One that lost the core in its middle is taken for a dear one. */
static uint64_t cycles_of(const struct worker *w, uint64_t begun, uint64_t end)
{
    const uint64_t most = (uint64_t)(HANDSHAKE_STEP_US * w->cycles_per_us);
    return end - begun < most ? end - begun : most;
}

/* What a step took is paid for with the time until the next one may begin. Those that wait for nobody pay, too: each handshake
 * has one. */
static void charge(struct worker *w, uint64_t begun, uint64_t end)
{
    struct secure_worker *sw = &w->secure;
    const uint64_t cycles = cycles_of(w, begun, end);
    const uint64_t from = sw->allowed_cycles > begun ? sw->allowed_cycles : begun;
    const uint64_t paid = from + cycles * (100 / HANDSHAKE_SHARE), last = end + (uint64_t)(HANDSHAKE_DEBT_US * w->cycles_per_us);
    sw->allowed_cycles = paid < last ? paid : last;
}

/* What the next flight may take: as much as the dearest of the last ones, which counts for an eighth less with each that was cheaper. One that resumes
 * a session has no signature, and the next one may. */
static uint64_t expected(uint64_t before, uint64_t took)
{
    return took > before ? took : before - (before - took) / 8;
}

/* One step. True when the handshake is done. */
static bool step(struct session *s)
{
    struct worker *w = s->worker;
    struct secure_worker *sw = &w->secure;
    uint64_t begun = rte_rdtsc();
    if (!s->secure->tls && !begin(s)) {
        count_failure(w, TLS_FAILURE_MEMORY);
        s->flags |= SESSION_BROKEN;
        return false;
    }
    const bool first = !tls_under_way(s->secure->tls);
    enum tls_result r = tls_handshake(s->secure->tls, w->env.now_ms);
    uint64_t end = rte_rdtsc();
    took(s);
    sw->round_cycles += end - begun;
    if (first && tls_under_way(s->secure->tls)) /* not half a hello, garbage, or one that we ask to be said again: these are cheap */
        sw->step_cycles = expected(sw->step_cycles, cycles_of(w, begun, end));
    charge(w, begun, end);
    if (r == TLS_DONE)
        established(s);
    else if (r != TLS_WAIT) {
        count_failure(w, r == TLS_CLOSED ? TLS_FAILURE_ALERT : tls_failure(s->secure->tls));
        s->flags |= SESSION_BROKEN;
    }
    if (tls_spilled(s->secure->tls))
        tcp_want_write(s->conn);
    return r == TLS_DONE && !(s->flags & SESSION_BROKEN);
}

/* Does nobody else ask? Who had a reply a moment ago will soon ask again: a step then would hold the next request up, and with
 * a few clients at pipeline 1 almost every one. Each has its tenth of the wait as well. */
static bool quiet(struct worker *w)
{
    struct secure_worker *sw = &w->secure;
    const uint64_t now = rte_rdtsc(), commands = count_read(w->counters, COUNTER_commands_processed);
    const uint64_t most = (uint64_t)(QUIET_MOST_US * w->cycles_per_us), wanted = sw->step_cycles * (100 / HANDSHAKE_SHARE);
    if (commands != sw->commands) {
        sw->commands = commands;
        sw->served_cycles = now;
    }
    return now >= sw->served_cycles + (wanted < most ? wanted : most);
}

/* May an expensive step be done now? */
static bool allowed(struct worker *w)
{
    struct secure_worker *sw = &w->secure;
    if (sw->round_us != w->env.now_us) {
        sw->round_us = w->env.now_us;
        sw->round_cycles = 0;
    }
    if ((double)sw->round_cycles * w->us_per_cycle > HANDSHAKE_ROUND_US)
        return false;
    const bool alone = quiet(w);
    return alone || rte_rdtsc() >= sw->allowed_cycles;
}

static void wait(struct secure *x)
{
    struct worker *w = x->session->worker;
    w->secure.waiting += !x->waiting;
    x->waiting = true;
    w->next_timers_us = w->env.now_us; /* secure_tend in the next round */
}

static bool shake(struct session *s)
{
    struct secure *x = s->secure;
    if (tcp_rx_available(s->conn) == 0 || x->waiting)
        return false;
    if (!x->spoke) {
        delist(x);
        x->spoke = true;
        enlist(x);
    }
    if (speaks_plainly(s))
        return false;
    if (!(x->tls && tls_under_way(x->tls)) && !allowed(s->worker)) {
        wait(x);
        return false;
    }
    return step(s);
}

/* What finish() of worker.c does for a session that had its turn. */
static void went_on(struct session *s, bool done)
{
    tcp_push(s->conn, s->worker->env.now_us);
    if (!session_settle(s) && done)
        worker_ready(s->worker, s);
}

static void give_up_after(struct worker *w, struct secure_list *list, uint64_t us)
{
    while (list->oldest && w->env.now_us - list->oldest->since_us > us) {
        count_one(w->counters, COUNTER_tls_handshake_timeouts);
        session_close(list->oldest->session, false);
    }
}

void secure_tend(struct worker *w)
{
    struct secure_worker *sw = &w->secure;
    for (struct secure *x = sw->shaking.newest, *next; x && sw->waiting && allowed(w); x = next) {
        next = x->next;
        if (!x->waiting)
            continue;
        x->waiting = false;
        sw->waiting--;
        went_on(x->session, step(x->session));
    }
    give_up_after(w, &sw->shaking, HANDSHAKE_LIFE_US);
    give_up_after(w, &sw->silent, SILENT_LIFE_US);
    if (sw->waiting)
        w->next_timers_us = w->env.now_us;
}

/* -- in
 * ---------------------------------------------------------------------------------------------------- */

bool secure_has_input(const struct session *s)
{
    const struct tls *t = s->secure->tls;
    return tcp_rx_available(s->conn) > 0 || (t && tls_pending(t) > 0);
}

/* Opens what there is into the room of s->query. */
static size_t open_into(struct session *s)
{
    struct worker *w = s->worker;
    const size_t available = tcp_rx_available(s->conn);
    size_t all = 0, n;
    enum tls_result r = TLS_DONE;
    for (; r == TLS_DONE && s->query_len < s->query_cap; s->query_len += n, all += n) {
        if (all && tls_drained(s->secure->tls, available))
            break;
        r = tls_read(s->secure->tls, s->query + s->query_len, s->query_cap - s->query_len, &n);
    }
    if (r == TLS_CLOSED)
        s->flags |= SESSION_PEER_CLOSED;
    if (r == TLS_FAILED) {
        count_one(w->counters, COUNTER_tls_bad_records);
        s->flags |= SESSION_BROKEN;
    }
    took(s);
    s->client.bytes_in += all;
    count_add(w->counters, COUNTER_net_input_bytes, all);
    w->query_bytes += all;
    return all;
}

bool secure_gather(struct session *s, size_t need)
{
    struct worker *w = s->worker;
    size_t available = tcp_rx_available(s->conn) + tls_pending(s->secure->tls);
    if (available == 0)
        return false;
    available += tls_gathered(s->secure->tls);
    if (!session_may_hold(s, available))
        return false;
    if (available > PULL_MOST && need < PULL_MOST)
        available = PULL_MOST;
    if (!session_query_room(s, need > available ? need : available)) {
        s->flags |= SESSION_BROKEN;
        return false;
    }
    size_t n = open_into(s);
    session_relieve(w);
    return n && !(s->flags & SESSION_BROKEN);
}

bool secure_readable(struct session *s)
{
    if (s->flags & (SESSION_STALLED | SESSION_BROKEN | SESSION_ENDING | SESSION_HOPS))
        return false;
    if ((s->flags & SESSION_SHAKES) && !shake(s))
        return false;
    return s->query_len > s->query_off || (!(s->flags & SESSION_ENDING) && secure_gather(s, 0));
}

/* -- out
 * ------------------------------------------------------------------------------------------------------ */

uint8_t *secure_reserve(struct session *s)
{
    size_t room;
    if (s->chunk_first || s->flags & SESSION_SHAKES || tls_spilled(s->secure->tls) ||
        !tcp_tx_reserve(s->conn, &room))
        return NULL;
    return s->worker->secure.plain;
}

static bool seal(struct session *s, const uint8_t *p, size_t n)
{
    if (tls_write(s->secure->tls, p, n))
        return true;
    s->flags |= SESSION_BROKEN;
    return false;
}

void secure_commit(struct session *s, size_t n)
{
    (void)seal(s, s->worker->secure.plain, n);
}

bool secure_spilled(const struct session *s)
{
    return s->secure->tls && tls_spilled(s->secure->tls);
}

void secure_drain(struct session *s)
{
    size_t room, n;
    if (!s->secure->tls)
        return;
    while (tls_flush(s->secure->tls) && session_may_leave(s, &n) && !(s->flags & SESSION_SHAKES)) {
        struct out_chunk *c = s->chunk_first;
        if (!tcp_tx_reserve(s->conn, &room) ||
            !seal(s, c->data + c->off, n < SECURE_PLAIN ? n : SECURE_PLAIN))
            break;
        session_chunk_left(s, n < SECURE_PLAIN ? n : SECURE_PLAIN);
    }
    if ((session_may_leave(s, &n) && !(s->flags & SESSION_SHAKES)) || secure_spilled(s))
        tcp_want_write(s->conn);
}
