/* session.c: the life of a client connection. */
#include "session.h"

#include "command/acl.h"
#include "command/pubsub.h"
#include "command/transaction.h"
#include "job.h"
#include "secure.h"
#include "worker.h"

#include <stdlib.h>

enum { SESSION_SLAB = 64 };

struct session_slab {
    struct session_slab *next;
    struct session session[SESSION_SLAB];
};

static struct session *session_take(struct worker *w)
{
    if (!w->free_sessions) { /* grows with the number of clients, never shrinks: bounded by maxclients */
        struct session_slab *slab = aligned_alloc(_Alignof(struct session_slab), sizeof *slab);
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
    session_query_free(s);
    session_forget_request(s);
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

/* For a key, for CLIENT UNPAUSE, or for what control sees (WAITAOF). */
static bool waits(const struct session *s)
{
    const struct job *j = s->job;
    const struct command *cmd = s->client.last_command;
    bool asks = s->client.flags & CLIENT_WAITING && cmd && cmd->flags & CMD_BLOCKING; /* the job is the main thread's meanwhile */
    return asks || s->flags & SESSION_PAUSED || (j && block_waits(j));
}

/* Unless records that TCP had no room for are to leave first. */
static __attribute__((noinline)) bool end(struct session *s, bool broken)
{
    if (!broken && s->secure && secure_spilled(s))
        return false;
    session_close(s, false);
    return true;
}

bool session_settle_now(struct session *s)
{
    if (s->client.flags & CLIENT_CLOSE_AFTER_REPLY)
        s->flags |= SESSION_ENDING;
    bool idle = !(s->flags & (SESSION_STALLED | SESSION_READY)) && !(s->indirect & INDIRECT_CHUNKS);
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
