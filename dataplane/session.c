/* session.c: the life of a client connection, and its way in: from received frames to requests in the
 * worker's batch. */
#include "session.h"

#include "command/acl.h"
#include "command/pubsub.h"
#include "command/row.h"
#include "command/transaction.h"
#include "job.h"
#include "secure.h"
#include "worker.h"

#include <stdlib.h>

/* -- life
 * ------------------------------------------------------------------------------------------------------- */

enum { SESSION_SLAB = 64 };

struct session_slab {
    struct session_slab *next;
    struct session session[SESSION_SLAB];
};

static struct session *session_take(struct worker *w)
{
    if (!w->free_sessions) { /* grows with the number of clients, never shrinks: bounded by maxclients */
        struct session_slab *slab = calloc(1, sizeof *slab);
        if (!slab)
            return NULL;
        slab->next = w->session_slabs;
        w->session_slabs = slab;
        for (unsigned i = 0; i < SESSION_SLAB; i++) {
            slab->session[i].ready_next = w->free_sessions;
            w->free_sessions = &slab->session[i];
        }
    }
    struct session *s = w->free_sessions;
    w->free_sessions = s->ready_next;
    memset(s, 0, sizeof *s);
    return s;
}

void session_free_slabs(struct worker *w)
{
    for (struct session_slab *slab = w->session_slabs, *next; slab; slab = next) {
        next = slab->next;
        free(slab);
    }
}

static void refuse(struct worker *w, struct tcp_conn *c, const char *text)
{
    size_t room, n = strlen(text);
    uint8_t *p = tcp_tx_reserve(c, &room);
    if (p && room >= n) {
        memcpy(p, text, n);
        tcp_tx_commit(c, n);
    }
    tcp_close(c, w->env.now_us);
    count_one(w->counters, COUNTER_connections_rejected);
}

/* Redis refuses all but local clients while protected-mode is on and the default user needs no password. The data
 * port has no loopback interface (a source of 127.0.0.0/8 on the wire proves nothing), so here that is everybody;
 * and Redis' advice would not help. */
static const char denied[] =
    "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    "default user. In this mode connections are only accepted from the loopback interface, which this box does not "
    "have on its data port. Set a password with 'sluice config set requirepass', or, if nobody else can reach the "
    "data port, disable protected mode with 'sluice config set protected-mode no' on the management interface, and "
    "make the change permanent with 'sluice config rewrite'.\r\n";

/* Who came to a listener with a user of its own is no default user. */
static bool is_denied(struct worker *w, uint16_t port)
{
    const struct config_listener *l = config_listener_of(w->conf, port);
    return w->conf->protected_mode && acl_no_password(&w->env) && !(l && *l->user);
}

enum door { DOOR_NONE, DOOR_PLAIN, DOOR_TLS };

/* What is spoken at a port. None: its listener has gone while the connection was on its way. */
static enum door door_of(const struct config *conf, uint16_t port)
{
    const struct config_listener *l = config_listener_of(conf, port);
    if (l)
        return l->tls ? DOOR_TLS : DOOR_PLAIN;
    if (port == conf->tls_port)
        return DOOR_TLS;
    return port == conf->port || config_worker_of_port(conf, port) >= 0 ? DOOR_PLAIN : DOOR_NONE;
}

static void link_live(struct session *s)
{
    struct worker *w = s->worker;
    s->placed = ++w->placed;
    s->live_prev = NULL;
    s->live_next = w->live_sessions;
    if (s->live_next)
        s->live_next->live_prev = s;
    w->live_sessions = s;
}

static void unlink_live(struct session *s)
{
    if (s->worker->sweep_at == s)
        s->worker->sweep_at = s->live_next;
    for (unsigned i = 0; s->worker->walks && i < SESSION_WALKS; i++)
        if (s->worker->walk[i] && s->worker->walk[i]->at == s)
            s->worker->walk[i]->at = s->live_next;
    if (s->live_prev)
        s->live_prev->live_next = s->live_next;
    else
        s->worker->live_sessions = s->live_next;
    if (s->live_next)
        s->live_next->live_prev = s->live_prev;
}

static bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

void session_first(struct session *s)
{
    for (unsigned i = 0; s->worker->walks && i < SESSION_WALKS; i++) {
        const struct session_walk *walk = s->worker->walk[i];
        if (walk && !walk->front && is_before(s->placed, walk->last))
            s->due |= (uint8_t)(1u << i);
    }
    unlink_live(s);
    link_live(s);
}

bool session_walk_begin(struct session_walk *walk, struct worker *w)
{
    *walk =
        (struct session_walk){.worker = w, .at = w->live_sessions, .begun = w->placed, .last = w->placed + 1};
    while (walk->slot < SESSION_WALKS && w->walk[walk->slot])
        walk->slot++;
    if (walk->slot == SESSION_WALKS)
        return false;
    w->walk[walk->slot] = walk;
    w->walks++;
    return true;
}

struct session *session_walk_next(struct session_walk *walk)
{
    struct session *s = walk->at;
    if (!s && !walk->front) {
        walk->front = true;
        s = walk->at = walk->worker->live_sessions;
    }
    for (; walk->front && s; s = s->live_next) {
        if (!is_before(walk->begun, s->placed)) {
            s = NULL;
            break;
        }
        if (walk->slot < SESSION_WALKS && s->due & 1u << walk->slot)
            break;
    }
    walk->at = s ? s->live_next : NULL;
    if (!s)
        return NULL;
    walk->last = s->placed;
    if (walk->slot < SESSION_WALKS)
        s->due &= (uint8_t) ~(1u << walk->slot);
    return s;
}

void session_walk_end(struct session_walk *walk)
{
    if (walk->slot == SESSION_WALKS)
        return;
    walk->worker->walk[walk->slot] = NULL;
    walk->worker->walks--;
}

void session_holds(struct session *s)
{
    if (s->flags & SESSION_HOLDS)
        return;
    s->flags |= SESSION_HOLDS;
    session_first(s);
}

struct session *session_open(struct worker *w, struct tcp_conn *c)
{
    struct endpoint local, peer;
    tcp_endpoints(c, &local, &peer);
    enum door door = door_of(w->conf, local.port);
    bool tls = door == DOOR_TLS; /* who comes there hears nothing in plain words */
    count_one(w->counters, COUNTER_connections_received);
    if (door == DOOR_NONE) {
        refuse(w, c, "");
        return NULL;
    }
    if (!tls && is_denied(w, local.port)) {
        refuse(w, c, denied);
        return NULL;
    }
    if (atomic_load_explicit(&w->box->clients, memory_order_relaxed) >= w->conf->maxclients) {
        refuse(w, c, tls ? "" : "-ERR max number of clients reached\r\n");
        return NULL;
    }
    struct session *s = session_take(w);
    if (!s) {
        refuse(w, c, tls ? "" : "-ERR out of memory for another client\r\n");
        return NULL;
    }
    atomic_fetch_add_explicit(&w->box->clients, 1, memory_order_relaxed);
    client_init(&s->client, atomic_fetch_add_explicit(&w->box->next_client_id, 1, memory_order_relaxed) + 1,
                w->env.now_ms);
    s->client.worker = (uint8_t)w->id;
    s->client.local = local;
    s->client.peer = peer;
    acl_welcome(&w->env, &s->client);
    if (config_worker_of_port(w->conf, s->client.local.port) >= 0)
        s->client.flags |= CLIENT_CLUSTER;
    s->worker = w;
    s->conn = c;
    s->flags = SESSION_OPEN;
    link_live(s);
    if (w->log.always)
        worker_log_holds(s);
    w->sessions++;
    tcp_set_user(c, s);
    if (tls && !secure_open(s))
        s->flags |= SESSION_BROKEN;
    return s;
}

void session_welcome(struct session *s)
{
    if (!is_denied(s->worker, s->client.local.port))
        return;
    count_one(s->worker->counters, COUNTER_connections_rejected);
    session_write(s, SLICE_LIT(denied));
    s->flags |= SESSION_ENDING;
}

static void unlink_ready(struct session *s)
{
    struct worker *w = s->worker;
    struct session *before = NULL;
    if (!(s->flags & SESSION_READY))
        return;
    for (struct session *r = w->ready_first; r && r != s; r = r->ready_next)
        before = r;
    if (before)
        before->ready_next = s->ready_next;
    else
        w->ready_first = s->ready_next;
    if (w->ready_last == s)
        w->ready_last = before;
}

static void forget_request(struct session *s)
{
    if (!s->reader)
        return;
    resp_reader_free(s->reader);
    s->reader = NULL;
}

static void query_free(struct session *s)
{
    s->worker->query_bytes -= s->query_len;
    s->worker->query_caps -= s->query_cap;
    free(s->query);
    s->query = NULL;
    s->query_len = s->query_off = s->query_cap = 0;
}

void session_close(struct session *s, bool conn_gone)
{
    struct worker *w = s->worker;
    unlink_ready(s);
    unlink_live(s);
    worker_log_forget(s);
    if (s->job)
        worker_orphan(s->job);
    worker_unpaused(w, s);
    if (s->secure)
        secure_close(s, conn_gone);
    if (!conn_gone)
        tcp_close(s->conn, w->env.now_us);
    query_free(s);
    forget_request(s);
    w->query_bytes -= s->queued_bytes;
    w->queued_bytes -= s->queued_bytes;
    transaction_end(&w->env, &s->client);
    if (s->client.tracker)
        tracking_leave(w->env.tracking, &s->client);
    monitor_leave(w->env.monitor, &s->client);
    if (s->client.subscriber)
        pubsub_leave(w->box->pubsub[w->id], &s->client);
    client_release(&s->client);
    session_drop_output(s);
    w->sessions--;
    w->doomed -= !!(s->flags & SESSION_DOOMED);
    atomic_fetch_sub_explicit(&w->box->clients, 1, memory_order_relaxed);
    s->flags = 0;
    s->ready_next = w->free_sessions;
    w->free_sessions = s;
}

/* For a key, or for CLIENT UNPAUSE. */
static bool waits(const struct session *s)
{
    return s->flags & SESSION_PAUSED || (s->job && block_waits(s->job));
}

/* Unless records that TCP had no room for are to leave first. */
static __attribute__((noinline)) bool end(struct session *s, bool broken)
{
    if (!broken && s->secure && secure_spilled(s))
        return false;
    session_close(s, false);
    return true;
}

bool session_settle(struct session *s)
{
    if (s->client.flags & CLIENT_CLOSE_AFTER_REPLY)
        s->flags |= SESSION_ENDING;
    bool idle = !(s->flags & (SESSION_STALLED | SESSION_READY)) && !s->chunk_first;
    bool broken = (s->flags & SESSION_BROKEN) || (s->client.flags & CLIENT_KILLED);
    bool ended = (s->flags & (SESSION_ENDING | SESSION_PEER_CLOSED)) && idle;
    /* Nobody is there for whom a blocked client could wait. */
    ended |= (s->flags & SESSION_PEER_CLOSED) && waits(s);
    return (broken || ended) && end(s, broken);
}

void session_measure(struct session *s)
{
    bool blocked = waits(s);
    s->client.flags = (s->client.flags & ~(uint32_t)CLIENT_BLOCKED) | (blocked ? CLIENT_BLOCKED : 0);
    struct client_measure *m = &s->worker->measured;
    *m = (struct client_measure){
        .query_bytes = s->query_len - s->query_off,
        .query_free = s->query_cap - s->query_len,
        .output_bytes = s->chunk_bytes, /* what TCP holds is no more ours than a socket's buffer is Redis' */
        .memory_bytes = sizeof *s + s->query_cap + s->chunk_bytes};
    for (struct out_chunk *c = s->chunk_first; c; c = c->next)
        m->output_list++;
    s->client.measured = m;
}

/* -- in
 * ---------------------------------------------------------------------------------------------------------
 */

static struct resp_limits limits_of(const struct session *s)
{
    const struct config *conf = s->worker->conf;
    bool known = s->client.flags & CLIENT_AUTHENTICATED;
    return (struct resp_limits){
        .max_bulk = conf->proto_max_bulk_len,
        .max_args = known ? 1024 * 1024 : 10,
        .max_inline = 64 * 1024,
        .unauth_bulk = known ? 0 : 16384,
    };
}

bool session_query_room(struct session *s, size_t more)
{
    if (s->query_off) {
        s->worker->query_bytes -= s->query_off;
        memmove(s->query, s->query + s->query_off, s->query_len - s->query_off);
        s->query_len -= s->query_off;
        s->query_off = 0;
    }
    if (s->query_cap - s->query_len >= more)
        return true;
    size_t cap = s->query_len + more;
    if (cap > UINT32_MAX)
        return false;
    if (cap < QUERY_CHUNK)
        cap = QUERY_CHUNK;
    else if (cap < 2 * s->query_cap && cap < 1024 * 1024)
        cap = 2 * s->query_cap;
    uint8_t *p = realloc(s->query, cap);
    if (!p)
        return false;
    s->worker->query_caps += cap - s->query_cap;
    s->query = p;
    s->query_cap = cap;
    return true;
}

/* Gives the bytes that were understood or copied back to TCP. */
static void session_took(struct session *s)
{
    s->client.bytes_in += s->rx_off;
    count_add(s->worker->counters, COUNTER_net_input_bytes, s->rx_off);
    tcp_rx_consume(s->conn, s->rx_off, s->worker->env.now_us);
    s->rx_off = 0;
}

bool session_may_hold(struct session *s, size_t more)
{
    if (s->query_len - s->query_off + more > s->worker->conf->client_query_buffer_limit) {
        count_one(s->worker->counters, COUNTER_client_query_limit_closes);
        s->flags |= SESSION_BROKEN;
        return false;
    }
    session_holds(s);
    return true;
}

/* Moves received bytes behind the half-read request in `query`; at least `need` further bytes are wanted.
 * False when there is nothing more, or the session is broken by it. */
static bool query_gather(struct session *s, size_t need)
{
    struct worker *w = s->worker;
    if (s->flags & SESSION_TLS)
        return secure_gather(s, need);
    size_t available = tcp_rx_available(s->conn) - s->rx_off, moved = 0;
    if (available == 0 || !session_may_hold(s, available))
        return false;
    if (s->query_off == s->query_len) /* so far it was read where it lies: that comes along */
        need += tcp_rx_peek(s->conn, s->rx_off).len;
    if (!session_query_room(s, need > available ? need : available)) {
        s->flags |= SESSION_BROKEN;
        return false;
    }
    while (moved < available) {
        struct slice part = tcp_rx_peek(s->conn, s->rx_off);
        memcpy(s->query + s->query_len, part.p, part.len);
        s->query_len += part.len;
        s->rx_off += part.len;
        moved += part.len;
    }
    /* Frames go back to the pool at once: a slow or huge request must not hold them. */
    session_took(s);
    w->query_bytes += moved;
    session_relieve(w);
    return !(s->flags & SESSION_BROKEN);
}

/* Arguments of the request just read go to the batch (or to its table for one huge request). NULL: no memory.
 */
static struct slice *batch_args(struct batch *b, struct resp_reader *r, struct slice window)
{
    struct slice *argv = b->argv + b->args;
    if (r->argc > BATCH_ARGS) {
        if (r->argc > b->big_cap) {
            struct slice *p = realloc(b->big, r->argc * sizeof *p);
            if (!p)
                return NULL;
            b->big = p;
            b->big_cap = r->argc;
        }
        argv = b->big;
    } else {
        b->args += r->argc;
    }
    for (uint32_t i = 0; i < r->argc; i++)
        argv[i] = resp_arg(r, window, i);
    if (r->quoted)
        b->unquoted[b->unquoted_n++] = resp_reader_take_unquoted(r);
    return argv;
}

void batch_begin(struct batch *b)
{
    while (b->unquoted_n)
        free(b->unquoted[--b->unquoted_n]);
    b->n = b->args = 0;
    b->in_row = b->behind = 0;
    ahead_begin(&b->ahead);
    b->times.late = b->times.undone = 0;
}

/* Behind what goes to another worker nothing is read but what goes there with it. */
static void note_hop(struct session *s, struct batch *b, const struct request *rq)
{
    unsigned before = b->hops_to;
    bool goes = worker_elsewhere(s->worker, rq);
    b->hops_to = goes && worker_carries(rq) ? rq->shard + 1 : 0;
    if (before && before == b->hops_to)
        b->behind |= UINT32_C(1) << b->n;
    else if (before || (goes && !b->hops_to))
        s->flags |= SESSION_HOPS;
}

static void batch_add(struct session *s, struct batch *b, struct resp_reader *r, struct slice window)
{
    struct slice *argv = batch_args(b, r, window);
    if (!argv) {
        s->flags |= SESSION_BROKEN;
        return;
    }
    struct request *rq = &b->rq[b->n];
    b->times.family[b->n] =
        command_prepare_noted(rq, &s->worker->env, &s->client, (int)r->argc, argv, &r->note);
    const struct shard *shard = s->worker->env.ks->shard[s->worker->id];
    if (rq->route == ROUTE_SHARD && rq->shard == s->worker->id)
        store_ahead(shard, &b->ahead, s->client.db, rq->key.hash);
    else
        store_ahead_skip(&b->ahead);
    if (s->worker->box->workers > 1)
        note_hop(s, b, rq);
    b->session[b->n] = s;
    b->after[b->n] = session_mark(s);
    b->n++;
}

struct request *batch_prepare(struct batch *b, unsigned i)
{
    struct request *rq = &b->rq[i];
    struct session *s = b->session[i];
    b->in_row &= ~(UINT32_C(1) << i);
    command_prepare(rq, &s->worker->env, &s->client, rq->argc, rq->argv);
    return rq;
}

/* Requests that go in rows (command/row.h), from the window's beginning as far as there are any; returns how many bytes
 * they are. */
static size_t batch_add_row(struct session *s, struct batch *b, struct slice window, bool gathered)
{
    struct worker *w = s->worker;
    uint32_t end[BATCH_REQUESTS];
    const unsigned at = b->n;
    struct request *rq = &b->rq[at];
    const struct mark from = session_mark(s);
    if (s->reader || w->paused || b->hops_to || !row_may(&w->env, &s->client))
        return 0;
    unsigned n = row_read(&w->env, &s->client, window, &b->ahead, b->argv + b->args, BATCH_ARGS - b->args, rq, end,
                          BATCH_REQUESTS - at);
    if (n == 0)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        b->session[at + i] = s;
        b->times.family[at + i] = rq[i].cmd->family;
        b->after[at + i] = (struct mark){from.rx_off + (gathered ? 0 : end[i]), from.query_off + (gathered ? end[i] : 0)};
    }
    b->n = at + n;
    b->args = (unsigned)(rq[n - 1].argv + rq[n - 1].argc - b->argv);
    b->in_row |= (uint32_t)((UINT64_C(1) << b->n) - (UINT64_C(1) << at));
    return end[n - 1];
}

static void protocol_error(struct session *s, const char *text)
{
    count_one(s->worker->counters, COUNTER_resp_protocol_errors);
    reply_error(session_write_begin(s), text);
    session_write_end(s);
    s->flags |= SESSION_ENDING;
    s->flags &= ~(uint32_t)SESSION_READY;
}

static bool batch_has(const struct batch *b, const struct session *s)
{
    return b->n && b->session[b->n - 1] == s;
}

/* What was read is forgotten: the same bytes are read once more in the next batch. */
static enum parse_result again(struct session *s)
{
    forget_request(s);
    resp_reader_reset(&s->worker->reader);
    return PARSE_FULL;
}

/* Of a session that is not simply read where its frames lie: PARSE_... if nothing is to be read now, -1 if there is
 * something in its query buffer. */
static __attribute__((noinline)) int hindered(struct session *s, const struct batch *b)
{
    if (!(s->flags & SESSION_TLS))
        return PARSE_DONE;
    if (!batch_has(b, s) || s->query_len > s->query_off)
        return secure_readable(s) ? -1 : PARSE_DONE;
    /* To open more would move what the batch borrows. */
    bool on = !(s->flags & (SESSION_STALLED | SESSION_BROKEN | SESSION_ENDING | SESSION_HOPS));
    return on && secure_has_input(s) ? PARSE_FULL : PARSE_DONE;
}

/* A row is read that goes to another worker: does the window begin with a request like its last one, but whose key
 * is elsewhere? It would be read in vain. */
static bool leaves_row(const struct session *s, const struct batch *b, struct slice window)
{
    const struct worker *w = s->worker;
    const struct resp_reader *r = &w->reader;
    const struct command *cmd = b->rq[b->n - 1].cmd;
    size_t len, begin = r->begin_len, header;
    if (s->reader || cmd->key_kind != COMMAND_ONE_KEY || cmd->key_first != 1 || !resp_begins_alike(r, window) ||
        window.len - begin < 6 || window.p[begin] != '$' || !(header = resp_small_length(window.p + begin, &len)) ||
        window.len - begin < header + len + 2)
        return false;
    return keyspace_shard_of(w->env.ks, (struct slice){window.p + begin + header, len}) + 1 != b->hops_to;
}

static inline void session_read(struct session *s, bool gathered, size_t bytes)
{
    if (gathered)
        s->query_off += (uint32_t)bytes;
    else
        s->rx_off += bytes;
}

enum parse_result session_parse(struct session *s, struct batch *b)
{
    const struct resp_limits limits = limits_of(s);
    for (;;) {
        if (__builtin_expect(
                s->flags & (SESSION_STALLED | SESSION_BROKEN | SESSION_ENDING | SESSION_HOPS | SESSION_TLS), 0)) {
            int r = hindered(s, b);
            if (r >= 0)
                return (enum parse_result)r;
        }
        if (b->n == BATCH_REQUESTS || b->args + 8 > BATCH_ARGS)
            return PARSE_FULL;
        bool gathered = s->query_len > s->query_off;
        struct slice window = gathered ? (struct slice){s->query + s->query_off, s->query_len - s->query_off}
                                       : tcp_rx_peek(s->conn, s->rx_off);
        if (window.len == 0 || (b->hops_to && leaves_row(s, b, window)))
            return PARSE_DONE;
        size_t used = 0, need = 0;
        if (row_form_of(window) && (used = batch_add_row(s, b, window, gathered)) > 0) {
            session_read(s, gathered, used);
            continue;
        }
        struct resp_reader *reader = s->reader ? s->reader : &s->worker->reader;
        enum resp_result r = resp_read(reader, &limits, window, &used, &need);
        if (r == RESP_MORE) {
            /* The batch borrows from the query buffer, or from frames that gathering gives back: it runs
             * first. */
            if (batch_has(b, s))
                return again(s);
            if (!s->reader && !(s->reader = resp_reader_move(reader))) {
                s->flags |= SESSION_BROKEN;
                return PARSE_DONE;
            }
            if (!query_gather(s, need))
                return PARSE_DONE;
            continue;
        }
        if (r != RESP_REQUEST) {
            if (batch_has(b, s)) /* earlier replies first: one may lift a limit */
                return again(s);
            if (r == RESP_ERROR)
                protocol_error(s, reader->error);
            else
                s->flags |= SESSION_BROKEN;
            again(s);
            return PARSE_DONE;
        }
        uint32_t argc = reader->argc;
        if (b->n && argc > BATCH_ARGS - b->args)
            return again(s); /* as the first of an empty batch */
        if (__builtin_expect(s->worker->paused, 0))
            b->before[b->n] = session_mark(s);
        session_read(s, gathered, used);
        if (argc)
            batch_add(s, b, reader, window);
        forget_request(s);
        if (argc > BATCH_ARGS)
            return PARSE_FULL;
    }
}

struct mark session_mark(const struct session *s)
{
    return (struct mark){s->rx_off, s->query_off};
}

void session_rewind(struct session *s, struct mark m)
{
    s->rx_off = m.rx_off;
    s->query_off = m.query_off;
    s->flags &= ~(uint32_t)SESSION_HOPS;
    forget_request(s);
}

uint8_t *session_give_query(struct session *s, struct mark *after)
{
    size_t rest = s->query_len - after->query_off;
    uint8_t *given = s->query, *left = rest ? malloc(rest) : NULL;
    if (rest && !left)
        return NULL;
    if (rest)
        memcpy(left, given + after->query_off, rest);
    s->worker->query_bytes -= after->query_off;
    s->worker->query_caps += rest - s->query_cap;
    s->query = left;
    s->query_len = s->query_cap = rest;
    s->query_off = after->query_off = 0;
    return given;
}

bool session_has_input(const struct session *s)
{
    return tcp_rx_available(s->conn) > s->rx_off || s->query_len > s->query_off ||
           (s->secure && secure_has_input(s));
}

void session_consumed(struct session *s)
{
    if (s->rx_off)
        session_took(s);
    if (s->query && s->query_off == s->query_len)
        query_free(s);
}
