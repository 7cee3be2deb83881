/* peer.c: connections to other servers: who has them, what they wait for, and the bytes of both directions
 * (peer.h). */
#include "peer.h"

#include "turns.h"
#include "worker.h"

#include <stdlib.h>

enum { GATHERED = 16384, INPUT = 4096, AWAY_US = 100000 };

enum wish { WISH_NOTHING, WISH_OPEN, WISH_SENT, WISH_LINE };

struct peer {
    struct remote remote; /* first */
    struct peers *of;
    struct peer *next;
    struct endpoint to;
    struct tcp_conn *conn; /* NULL: not yet, or no more */
    struct turn *turn;     /* whose command has it; NULL: idle, or to be dropped */
    enum wish wish;
    enum remote_result result; /* REMOTE_OK while it is good */
    bool begun, opened, closed, dropped;
    bool stirred;                  /* the time limit begins anew */
    uint64_t timeout_us, since_us; /* of the last sign of life */
    struct slice out;              /* borrowed from the command that waits */
    size_t gathered, parsed, got;
    uint8_t in[INPUT], line[REMOTE_LINE], small[GATHERED];
};

/* -- the command's side: on a coroutine, where time stands still and TCP is not touched */

static const uint8_t *line_end(const struct peer *p)
{
    return memchr(p->in + p->parsed, '\n', p->got - p->parsed);
}

static bool satisfied(const struct peer *p)
{
    switch (p->wish) {
    case WISH_OPEN:
        return p->opened;
    case WISH_SENT:
        return p->out.len == 0;
    case WISH_LINE:
        return line_end(p) != NULL;
    case WISH_NOTHING:
        break;
    }
    return true;
}

static bool is_settled(const struct peer *p)
{
    return satisfied(p) || p->result != REMOTE_OK || p->closed;
}

static enum remote_result await(struct peer *p, enum wish wish)
{
    p->wish = wish;
    p->stirred = true;
    while (!is_settled(p))
        p->turn->park(p->turn);
    bool good = satisfied(p);
    p->wish = WISH_NOTHING;
    if (!good && p->result == REMOTE_OK)
        p->result = REMOTE_CLOSED;
    return good ? REMOTE_OK : p->result;
}

static bool is_idle(const struct peer *p)
{
    return !p->turn && !p->dropped;
}

static bool is_usable(const struct peer *p)
{
    return p->opened && !p->closed && p->result == REMOTE_OK && p->got == p->parsed;
}

static struct peer *find_idle(const struct peers *ps, const struct endpoint *to, bool login)
{
    for (struct peer *p = ps->first; p; p = p->next)
        if (is_idle(p) && is_usable(p) && p->remote.login == login && p->to.port == to->port &&
            ip_equal(&p->to.ip, &to->ip))
            return p;
    return NULL;
}

/* The one that was idle for longest makes room. */
static void limit_idle(struct peers *ps)
{
    struct peer *oldest = NULL;
    unsigned idle = 0;
    for (struct peer *p = ps->first; p; p = p->next) {
        if (!is_idle(p))
            continue;
        idle++;
        if (!oldest || p->since_us < oldest->since_us)
            oldest = p;
    }
    if (idle >= PEERS_IDLE)
        oldest->dropped = true;
}

static struct peer *peer_new(struct peers *ps, const struct endpoint *to)
{
    struct peer *p = ps->ended ? NULL : malloc(sizeof *p);
    if (!p)
        return NULL;
    limit_idle(ps);
    memset(p, 0, offsetof(struct peer, in));
    p->remote.db = -1;
    p->of = ps;
    p->to = *to;
    p->next = ps->first;
    ps->first = p;
    ps->n++;
    count_one(ps->counters, COUNTER_peers_made);
    return p;
}

static void peer_release(struct remote *r, bool keep)
{
    struct peer *p = (struct peer *)r;
    p->turn = NULL;
    p->stirred = true;
    p->dropped = !keep || !is_usable(p);
}

static enum remote_result peer_open(struct command_env *env, struct turn *turn, const struct endpoint *to,
                                    bool login, uint64_t timeout_ms, struct remote **r)
{
    struct peers *ps = &((struct worker *)env->worker)->peers;
    struct peer *p = find_idle(ps, to, login);
    if (!p)
        p = peer_new(ps, to);
    if (!p)
        return REMOTE_NOWHERE;
    p->remote.login = login;
    p->turn = turn;
    p->timeout_us = timeout_ms > UINT64_MAX / 2000 ? UINT64_MAX / 2 : timeout_ms * 1000;
    enum remote_result result = await(p, WISH_OPEN);
    if (result == REMOTE_OK)
        *r = &p->remote;
    else
        peer_release(&p->remote, false);
    return result;
}

static enum remote_result send_out(struct peer *p, struct slice bytes)
{
    p->out = bytes;
    enum remote_result result = await(p, WISH_SENT);
    p->out.len = 0;
    return result;
}

static enum remote_result peer_flush(struct remote *r)
{
    struct peer *p = (struct peer *)r;
    size_t n = p->gathered;
    p->gathered = 0;
    return n ? send_out(p, (struct slice){p->small, n}) : p->result;
}

static enum remote_result peer_send(struct remote *r, struct slice bytes)
{
    struct peer *p = (struct peer *)r;
    if (bytes.len > GATHERED - p->gathered) {
        enum remote_result result = peer_flush(r);
        if (result != REMOTE_OK || bytes.len > GATHERED)
            return result == REMOTE_OK ? send_out(p, bytes) : result;
    }
    if (bytes.len)
        memcpy(p->small + p->gathered, bytes.p, bytes.len);
    p->gathered += bytes.len;
    return p->result;
}

static enum remote_result peer_line(struct remote *r, bool wait, struct slice *line)
{
    struct peer *p = (struct peer *)r;
    if (!wait && !line_end(p))
        return REMOTE_NOTHING;
    enum remote_result result = await(p, WISH_LINE);
    if (result != REMOTE_OK)
        return result;
    const uint8_t *begin = p->in + p->parsed, *end = line_end(p);
    p->parsed += (size_t)(end + 1 - begin);
    if (end > begin && end[-1] == '\r')
        end--;
    *line = (struct slice){p->line, (size_t)(end - begin)};
    if (line->len > REMOTE_LINE)
        return p->result = REMOTE_GARBAGE;
    memcpy(p->line, begin, line->len);
    return REMOTE_OK;
}

const struct remote_ops worker_remote_ops = {
    .open = peer_open,
    .send = peer_send,
    .flush = peer_flush,
    .line = peer_line,
    .release = peer_release,
};

/* -- the worker's side */

static void dial(struct peer *p, uint64_t now_us)
{
    struct endpoint local = {.port = 0};
    p->begun = true;
    if (net_source_for(p->of->nif, &p->to.ip, &local.ip))
        p->conn = tcp_connect(p->of->tcp, &local, &p->to, now_us);
    if (p->conn)
        tcp_set_user(p->conn, p);
    else
        p->result = REMOTE_NOWHERE;
}

static void write_out(struct peer *p, uint64_t now_us)
{
    size_t room;
    bool any = false;
    for (uint8_t *to; p->opened && p->out.len && (to = tcp_tx_reserve(p->conn, &room)); any = true) {
        size_t n = room < p->out.len ? room : p->out.len;
        memcpy(to, p->out.p, n);
        tcp_tx_commit(p->conn, n);
        p->out.p += n;
        p->out.len -= n;
    }
    if (any)
        tcp_push(p->conn, now_us);
    p->stirred |= any;
}

/* As much as finds room. */
static void read_in(struct peer *p, uint64_t now_us)
{
    for (struct slice s; (s = tcp_rx_peek(p->conn, 0)).len;) {
        if (p->parsed) {
            memmove(p->in, p->in + p->parsed, p->got - p->parsed);
            p->got -= p->parsed;
            p->parsed = 0;
        }
        size_t n = s.len < INPUT - p->got ? s.len : INPUT - p->got;
        if (!n)
            break;
        memcpy(p->in + p->got, s.p, n);
        p->got += n;
        p->stirred = true;
        tcp_rx_consume(p->conn, n, now_us);
    }
    if (p->got - p->parsed == INPUT && !line_end(p)) /* not the begin of one behind many that were taken */
        p->result = REMOTE_GARBAGE;
}

void peers_event(struct peers *ps, struct tcp_conn *c, unsigned events, uint64_t now_us)
{
    struct peer *p = tcp_user(c);
    if (!p || ps->ended)
        return;
    p->opened |= (events & TCP_OPENED) != 0;
    p->stirred |= (events & TCP_OPENED) != 0;
    p->closed |= (events & (TCP_PEER_CLOSED | TCP_CLOSED)) != 0;
    if (!(events & TCP_CLOSED))
        return;
    read_in(p, now_us);
    p->conn = NULL;
}

/* True if it goes: nobody has it, and nobody will. */
static bool is_over(const struct peer *p, uint64_t now_us)
{
    bool old = now_us - p->since_us >= PEER_IDLE_US;
    return !p->turn && (p->dropped || old || !is_usable(p));
}

static void step(struct peer *p, uint64_t now_us)
{
    if (!p->begun && p->turn)
        dial(p, now_us);
    if (p->conn) {
        write_out(p, now_us);
        read_in(p, now_us);
    }
    if (p->stirred)
        p->since_us = now_us;
    p->stirred = false;
    if (p->turn && !is_settled(p) && now_us - p->since_us >= p->timeout_us)
        p->result = REMOTE_TIMEOUT;
    if (p->turn && is_settled(p))
        turns_wake(p->turn);
}

/* What a command was told has failed must not arrive later. */
static void hang_up(struct peer *p, uint64_t now_us)
{
    if (!p->conn)
        return;
    tcp_set_user(p->conn, NULL);
    if (p->result == REMOTE_OK)
        tcp_close(p->conn, now_us);
    else
        tcp_abort(p->conn, now_us);
    p->conn = NULL;
}

static void peer_free(struct peer *p)
{
    count_one(p->of->counters, COUNTER_peers_gone);
    p->of->n--;
    free(p);
}

/* A worker that had no core for a while has not listened: of that time only so much is the others' silence. */
static void excuse(struct peers *ps, uint64_t now_us)
{
    uint64_t away = now_us - ps->round_us;
    ps->round_us = now_us;
    for (struct peer *p = away > AWAY_US ? ps->first : NULL; p; p = p->next)
        if (p->turn)
            p->since_us += away - AWAY_US;
}

void peers_round(struct peers *ps, uint64_t now_us)
{
    excuse(ps, now_us);
    for (struct peer **at = &ps->first, *p; (p = *at);) {
        step(p, now_us);
        if (!is_over(p, now_us)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        hang_up(p, now_us);
        peer_free(p);
    }
}

void peers_end(struct peers *ps, uint64_t now_us)
{
    ps->ended = true;
    for (struct peer *p = ps->first; p; p = p->next) {
        p->closed = true;
        p->result = REMOTE_NOWHERE;
        hang_up(p, now_us);
        if (p->turn)
            turns_wake(p->turn);
    }
}

void peers_free(struct peers *ps)
{
    for (struct peer *p = ps->first, *next; p; p = next) {
        next = p->next;
        peer_free(p);
    }
    ps->first = NULL;
}
