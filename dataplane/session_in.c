/* session_in.c: the way in of a session: from received frames to requests in the worker's batch. */
#include "session.h"

#include "command/row.h"
#include "secure.h"
#include "worker.h"

#include <stdlib.h>

void session_forget_request(struct session *s)
{
    if (!s->reader)
        return;
    resp_reader_free(s->reader);
    s->reader = NULL;
}

#if defined(__SANITIZE_ADDRESS__)
enum { QUERIES_KEPT = 0 }; /* so that the sanitizer sees every use after free */
#else
enum { QUERIES_KEPT = 64 };
#endif

/* Buffers of the least length come and go with each request that is not read where it lies (TLS): some are kept, the
 * first one's address in the next. */
static uint8_t *query_take(struct worker *w)
{
    uint8_t *p = w->free_queries;
    if (!p)
        return malloc(QUERY_CHUNK);
    memcpy(&w->free_queries, p, sizeof w->free_queries);
    w->free_query_count--;
    return p;
}

static void query_give(struct worker *w, uint8_t *p, size_t cap)
{
    if (cap != QUERY_CHUNK || w->free_query_count + 1 > QUERIES_KEPT) {
        free(p);
        return;
    }
    memcpy(p, &w->free_queries, sizeof w->free_queries);
    w->free_queries = p;
    w->free_query_count++;
}

void session_free_queries(struct worker *w)
{
    while (w->free_queries)
        free(query_take(w));
}

void session_query_free(struct session *s)
{
    s->worker->query_bytes -= s->query_len;
    s->worker->query_caps -= s->query_cap;
    query_give(s->worker, s->query, s->query_cap);
    s->query = NULL;
    s->query_len = s->query_off = s->query_cap = 0;
}

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
    uint8_t *p = s->query || cap > QUERY_CHUNK ? realloc(s->query, cap) : query_take(s->worker);
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
        s->rx_off += (uint32_t)part.len;
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
    row_spread(&s->worker->env, &b->ahead, i, rq);
    command_prepare(rq, &s->worker->env, &s->client, rq->argc, rq->argv);
    return rq;
}

/* The reading position behind what ends at `end` in the window. */
static inline struct mark mark_behind(struct mark from, uint32_t end, bool gathered)
{
    return (struct mark){gathered ? from.rx_off : from.rx_off + end, gathered ? from.query_off + end : from.query_off};
}

/* Whose the batch's next n are, what their times are among and where each ends. Not inlined: most rows are of one. */
static __attribute__((noinline)) void note_many(struct session *s, struct batch *b, const struct row_part *alike, const uint32_t *end,
                                                unsigned n, bool gathered)
{
    const struct mark from = session_mark(s);
    const unsigned at = b->n, first = alike ? alike->n : 0;
    if (alike)
        memset(&b->times.family[at], (int)alike->cmd->family, first);
    for (unsigned i = 0; i < n; i++) {
        b->session[at + i] = s;
        b->after[at + i] = mark_behind(from, end[i], gathered);
    }
    for (unsigned i = first; i < n; i++)
        b->times.family[at + i] = b->rq[at + i].cmd->family;
}

/* Requests that go in rows (command/row.h), from the window's beginning as far as there are any; returns how many bytes
 * they are. */
static size_t batch_add_row(struct session *s, struct batch *b, struct slice window, bool gathered)
{
    struct worker *w = s->worker;
    uint32_t end[BATCH_REQUESTS];
    const unsigned at = b->n;
    struct request *rq = &b->rq[at];
    if (s->reader || w->paused || b->hops_to || !row_may(&w->env, &s->client))
        return 0;
    struct row_room room = {b->argv + b->args, BATCH_ARGS - b->args, NULL};
    unsigned n = row_read(&w->env, &s->client, window, &b->ahead, &room, rq, end, BATCH_REQUESTS - at);
    if (n == 0)
        return 0;
    if (n > 1) {
        note_many(s, b, room.alike, end, n, gathered);
    } else {
        b->session[at] = s;
        b->times.family[at] = rq->cmd->family;
        b->after[at] = mark_behind(session_mark(s), end[0], gathered);
    }
    b->n = at + n;
    b->args = (unsigned)(room.argv - b->argv);
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
    session_forget_request(s);
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
        s->rx_off += (uint32_t)bytes;
}

static __attribute__((noinline)) enum parse_result parse_on(struct session *s, struct batch *b)
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
        session_forget_request(s);
        if (argc > BATCH_ARGS)
            return PARSE_FULL;
    }
}

/* Does it go on in the frames that it has received, and may what is there go in a row? */
static inline bool reads_frames(const struct session *s)
{
    enum { OTHERWISE = SESSION_STALLED | SESSION_BROKEN | SESSION_ENDING | SESSION_HOPS | SESSION_TLS };
    return !(s->flags & OTHERWISE) && s->query_len == s->query_off;
}

/* Most sessions have received one request, whole, of a kind that goes in rows. */
enum parse_result session_parse(struct session *s, struct batch *b)
{
    if (__builtin_expect(reads_frames(s) && b->n < BATCH_REQUESTS, 1)) {
        struct slice window = tcp_rx_peek(s->conn, s->rx_off);
        size_t used = row_form_of(window) ? batch_add_row(s, b, window, false) : 0;
        s->rx_off += (uint32_t)used;
        if (used && used == window.len && tcp_rx_available(s->conn) == s->rx_off)
            return PARSE_DONE;
    }
    return parse_on(s, b);
}

void session_peek(const struct session *s)
{
    if (reads_frames(s) && !s->reader)
        row_peek(&s->worker->env, &s->client, tcp_rx_peek(s->conn, s->rx_off));
}

void session_rewind(struct session *s, struct mark m)
{
    s->rx_off = m.rx_off;
    s->query_off = m.query_off;
    s->flags &= ~(uint32_t)SESSION_HOPS;
    session_forget_request(s);
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
    if (s->query_cap && s->query_off == s->query_len)
        session_query_free(s);
}
