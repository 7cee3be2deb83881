/* session_out.c: the way out of a session: replies are written into the frames they leave in; what TCP has no
 * room for waits in chunks, within client-output-buffer-limit. */
#include "session.h"

#include "job.h"
#include "secure.h"
#include "worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNKS_KEPT = 256, EVICTIONS_AT_ONCE = 64, EVICT_AGAIN_US = 100000 };

static struct out_chunk *chunk_take(struct worker *w, bool first)
{
    struct out_chunk *c = first ? NULL : w->free_chunks;
    if (!c)
        return out_chunk_new(first ? OUT_CHUNK_FIRST : OUT_CHUNK_BYTES);
    w->free_chunks = c->next;
    w->free_chunk_count--;
    c->next = NULL;
    c->len = c->off = 0;
    return c;
}

static void chunk_give(struct worker *w, struct out_chunk *c)
{
    if (c->cap != OUT_CHUNK_BYTES || w->free_chunk_count >= CHUNKS_KEPT) {
        free(c);
        return;
    }
    c->next = w->free_chunks;
    w->free_chunks = c;
    w->free_chunk_count++;
}

void session_drop_output(struct session *s)
{
    for (struct out_chunk *c = s->chunk_first, *next; c; c = next) {
        next = c->next;
        chunk_give(s->worker, c);
    }
    s->worker->chunk_bytes -= s->chunk_bytes;
    s->chunk_first = s->chunk_last = NULL;
    s->indirect &= (uint8_t)~INDIRECT_CHUNKS;
    s->chunk_bytes = 0;
    if (s->held)
        s->held->free_bytes = s->held->bytes = 0;
}

uint64_t session_memory(const struct session *s)
{
    return sizeof *s + s->query_cap + s->chunk_bytes + s->queued_bytes;
}

/* A line for the operator: which client is closed, what it had, and which limit that passed. */
static void note(const struct session *s, const char *how, uint64_t bytes, const char *what, uint64_t limit)
{
    char peer[ENDPOINT_TEXT];
    endpoint_format(&s->client.peer, peer);
    notes_add(&s->worker->notes, "Client id=%" PRIu64 " addr=%s name=%.64s %s %" PRIu64 " bytes, over %s (%" PRIu64 ")",
              s->client.id, peer, s->client.name ? s->client.name : "", how, bytes, what, limit);
}

/* The sessions that will live: what they hold together by some count, and the one that holds most. Those that hold
 * nothing, be they a million, stand behind and are not looked at. */
static uint64_t held(struct worker *w, struct session **most)
{
    uint64_t all = 0, best = 0, unseen = w->chunk_bytes + w->query_bytes;
    for (struct session *s = w->live_sessions; s && unseen; s = s->live_next) {
        uint64_t bytes = s->chunk_bytes + s->query_len + s->queued_bytes;
        unseen -= bytes;
        if (s->flags & SESSION_BROKEN)
            continue;
        all += bytes;
        if (bytes > best) {
            best = bytes;
            *most = s;
        }
    }
    return all;
}

/* Requests of this round may still be borrowed from the loser's query buffer: only its output goes at once,
 * the sweep closes it. */
static void give_up(struct worker *w, struct session *s, enum counter why, const char *what, uint64_t limit)
{
    count_one(w->counters, why);
    note(s, "closed, the largest with", session_memory(s), what, limit);
    s->flags |= SESSION_BROKEN | SESSION_DOOMED;
    w->doomed++;
    session_drop_output(s);
}

static uint64_t clients_memory(const struct worker *w)
{
    return w->sessions * sizeof(struct session) + w->chunk_bytes + w->query_caps + w->queued_bytes;
}

static bool may_evict(const struct session *s)
{
    return !(s->flags & SESSION_BROKEN) && !(s->client.flags & CLIENT_NO_EVICT);
}

/* What the sessions that will live take, and the one to evict: the largest; if all are small, the newest. */
static uint64_t taken(struct worker *w, struct session **most)
{
    uint64_t unseen = clients_memory(w), all = unseen, best = 0;
    uint64_t idle = w->sessions * sizeof(struct session);
    for (struct session *s = w->live_sessions; s && (unseen > idle || !*most); s = s->live_next) {
        uint64_t bytes = session_memory(s);
        unseen -= bytes;
        idle -= sizeof *s;
        if (s->flags & SESSION_BROKEN)
            all -= bytes;
        if (bytes > best && may_evict(s)) {
            best = bytes;
            *most = s;
        }
    }
    return all;
}

static __attribute__((noinline)) void evict(struct worker *w)
{
    for (unsigned i = 0; i < EVICTIONS_AT_ONCE; i++) {
        struct session *most = NULL;
        if (taken(w, &most) <= w->clients_max)
            return;
        if (!most) { /* all are CLIENT NO-EVICT: to look again at once would not help */
            w->next_evict_us = w->env.now_us + EVICT_AGAIN_US;
            return;
        }
        give_up(w, most, COUNTER_client_evictions, "maxmemory-clients", w->clients_max);
    }
}

void session_relieve(struct worker *w)
{
    if (__builtin_expect(clients_memory(w) > w->clients_max, 0) && w->env.now_us >= w->next_evict_us)
        evict(w);
    if (__builtin_expect(w->chunk_bytes + w->query_bytes <= w->pending_max, 1))
        return;
    for (struct session *most = NULL; held(w, &most) > w->pending_max; most = NULL)
        give_up(w, most, COUNTER_client_memory_closes, "the memory for requests and replies of all clients", w->pending_max);
}

static const struct output_limit *limit_of(const struct session *s)
{
    const struct config *conf = s->worker->conf;
    return s->client.flags & CLIENT_PUBSUB ? &conf->limit_pubsub : &conf->limit_normal;
}

/* Has the session more output waiting than its class of clients may have? Redis' rules: at once beyond the
 * hard limit, and beyond the soft limit when that lasts. */
static bool over_limit(struct session *s)
{
    const struct output_limit *limit = limit_of(s);
    uint32_t now = (uint32_t)(s->worker->env.now_ms / 1000);
    if (limit->hard && s->chunk_bytes > limit->hard)
        return true;
    if (!limit->soft || s->chunk_bytes <= limit->soft) {
        s->soft_since_s = 0;
        return false;
    }
    if (!s->soft_since_s)
        s->soft_since_s = now;
    return now > s->soft_since_s && now - s->soft_since_s > limit->soft_seconds;
}

static void note_output(const struct session *s)
{
    const struct output_limit *limit = limit_of(s);
    bool hard = limit->hard && s->chunk_bytes > limit->hard;
    char text[96];
    snprintf(text, sizeof text, "the %s limit of client-output-buffer-limit %s", hard ? "hard" : "soft",
             s->client.flags & CLIENT_PUBSUB ? "pubsub" : "normal");
    note(s, "closed with output of", s->chunk_bytes, text, hard ? limit->hard : limit->soft);
}

bool session_over_limit(struct session *s)
{
    if ((s->flags & SESSION_BROKEN) || !over_limit(s))
        return false;
    count_one(s->worker->counters, COUNTER_client_output_limit_closes);
    note_output(s);
    s->flags |= SESSION_BROKEN;
    return true;
}

static bool chunk_append(struct session *s)
{
    struct worker *w = s->worker;
    if (session_over_limit(s))
        return false;
    session_relieve(w);
    if (s->flags & SESSION_BROKEN)
        return false;
    struct out_chunk *c = chunk_take(w, !s->chunk_first);
    if (!c) {
        s->flags |= SESSION_BROKEN;
        return false;
    }
    session_holds(s);
    if (s->chunk_last)
        s->chunk_last->next = c;
    else
        s->chunk_first = c;
    s->chunk_last = c;
    s->indirect |= INDIRECT_CHUNKS;
    return true;
}

static void count_out(struct session *s, size_t n)
{
    s->client.bytes_out += n;
    count_add(s->worker->counters, COUNTER_net_output_bytes, n);
}

static void chunk_wrote(struct session *s, size_t n)
{
    s->chunk_last->len += (uint32_t)n;
    s->chunk_bytes += n;
    s->worker->chunk_bytes += n;
    count_out(s, n);
}

void session_attach(struct session *s, struct out_chunk *first, struct out_chunk *last, uint64_t bytes)
{
    session_holds(s);
    if (s->chunk_last)
        s->chunk_last->next = first;
    else
        s->chunk_first = first;
    s->chunk_last = last;
    s->indirect |= INDIRECT_CHUNKS;
    s->chunk_bytes += bytes;
    s->worker->chunk_bytes += bytes;
    count_out(s, bytes);
    if (s->indirect & INDIRECT_HELD)
        worker_log_hold(s);
    session_relieve(s->worker);
    if (!session_over_limit(s) && !(s->flags & SESSION_BROKEN))
        session_drain(s);
}

static void window(struct session_out *o, uint8_t *p, size_t room)
{
    o->w.start = o->w.cur = p;
    o->w.end = p + room;
}

static __attribute__((noinline)) void settle_otherwise(struct session_out *o, size_t n)
{
    if (o->where == OUT_CHUNK) {
        chunk_wrote(o->session, n);
    } else if (o->where == OUT_SEALED) {
        secure_commit(o->session, n);
        count_out(o->session, n);
    }
}

/* What the writer has filled goes where it belongs. */
static void settle(struct session_out *o)
{
    struct session *s = o->session;
    size_t n = (size_t)(o->w.cur - o->w.start);
    if (__builtin_expect(o->where == OUT_TCP, 1)) {
        tcp_tx_commit(s->conn, n);
        count_out(s, n);
    } else {
        settle_otherwise(o, n);
    }
    o->w.start = o->w.cur;
    o->where = OUT_NONE;
}

/* Finds the next place with room. */
static inline __attribute__((always_inline)) bool place(struct session_out *o)
{
    struct session *s = o->session;
    size_t room = 0;
    uint8_t *p = s->indirect ? NULL : tcp_tx_reserve(s->conn, &room);
    if (p) {
        o->where = OUT_TCP;
        window(o, p, room);
        return true;
    }
    if (s->flags & SESSION_TLS && !(s->indirect & INDIRECT_HELD) && (p = secure_reserve(s))) {
        o->where = OUT_SEALED;
        window(o, p, SECURE_PLAIN);
        return true;
    }
    struct out_chunk *c = s->chunk_last;
    if ((!c || c->len == c->cap) && !chunk_append(s))
        return false;
    c = s->chunk_last;
    o->where = OUT_CHUNK;
    window(o, c->data + c->len, c->cap - c->len);
    return true;
}

static bool session_grow(struct resp_writer *w)
{
    struct session_out *o = (struct session_out *)((char *)w - offsetof(struct session_out, w));
    settle(o);
    return !(o->session->flags & SESSION_BROKEN) && place(o);
}

static const struct resp_sink session_sink = {session_grow};

struct resp_writer *session_write_begin(struct session *s)
{
    struct session_out *o = &s->worker->out;
    if (o->session == s)
        return &o->w;
    if (o->session)
        session_write_end(o->session);
    resp_writer_init(&o->w, &session_sink, s->client.proto);
    o->session = s;
    if (!place(o))
        window(o, NULL, 0); /* broken: the first byte asks for room and fails */
    return &o->w;
}

static void leave_later(struct session *s)
{
    if (s->indirect & INDIRECT_HELD) {
        worker_log_hold(s);
        if (s->held->free_bytes || !s->held->until)
            session_drain(s);
    } else if (s->chunk_first || secure_spilled(s)) {
        tcp_want_write(s->conn);
    }
}

void session_write_end(struct session *s)
{
    struct session_out *o = &s->worker->out;
    if (o->session != s)
        return;
    settle(o);
    if (o->w.failed)
        s->flags |= SESSION_BROKEN;
    o->session = NULL;
    if (__builtin_expect(s->indirect, 0))
        leave_later(s);
}

void session_write(struct session *s, struct slice bytes)
{
    reply_raw(session_write_begin(s), bytes.p, bytes.len);
    session_write_end(s);
}

void session_chunk_left(struct session *s, size_t n)
{
    struct out_chunk *c = s->chunk_first;
    c->off += (uint32_t)n;
    s->chunk_bytes -= n;
    s->worker->chunk_bytes -= n;
    if (s->held)
        s->held->free_bytes -= n < s->held->free_bytes ? n : s->held->free_bytes;
    if (c->off < c->len)
        return;
    s->chunk_first = c->next;
    if (!c->next) {
        s->chunk_last = NULL;
        s->indirect &= (uint8_t)~INDIRECT_CHUNKS;
    }
    chunk_give(s->worker, c);
}

bool session_may_leave(const struct session *s, size_t *n)
{
    const struct out_chunk *c = s->chunk_first;
    size_t left = c ? c->len - c->off : 0;
    *n = s->indirect & INDIRECT_HELD && left > s->held->free_bytes ? (size_t)s->held->free_bytes : left;
    return *n || (c && !left);
}

void session_drain(struct session *s)
{
    struct worker *w = s->worker;
    size_t room, n;
    if (s->flags & SESSION_TLS)
        secure_drain(s);
    while (!(s->indirect & INDIRECT_TLS) && session_may_leave(s, &n)) {
        struct out_chunk *c = s->chunk_first;
        uint8_t *to = tcp_tx_reserve(s->conn, &room);
        if (!to) {
            tcp_want_write(s->conn);
            break;
        }
        if (n > room)
            n = room;
        memcpy(to, c->data + c->off, n);
        tcp_tx_commit(s->conn, n);
        session_chunk_left(s, n);
    }
    tcp_push(s->conn, w->env.now_us);
}
