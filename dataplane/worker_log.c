/* worker_log.c: the append-only log on its way to control: records of what commands have done (command/effects.h) get a number
 * and go into the worker's ring (channel/messages.h). What finds no room there waits in memory, and when that is much, writers
 * wait (as by CLIENT PAUSE): nothing is lost. With appendfsync always nothing leaves for a client before everything that had been
 * done when it was said is on the disk: replies go into chunks, and the session into a list. */
#include "worker.h"

#include "command/effects.h"

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 14, PART = 32 * 1024, REST_MOST = 8 << 20, LATER_US = 1000 };

/* -- messages -- */

static bool keep(struct worker_log *l, const uint8_t *message, size_t len)
{
    uint32_t size = (uint32_t)len;
    if (l->rest_at > l->rest_len / 2) {
        l->rest_len -= l->rest_at;
        memmove(l->rest, l->rest + l->rest_at, l->rest_len);
        l->rest_at = 0;
    }
    size_t need = l->rest_len + sizeof size + len;
    if (need > l->rest_cap) {
        size_t cap = need * 2;
        uint8_t *p = realloc(l->rest, cap);
        if (!p)
            return false;
        l->rest = p;
        l->rest_cap = cap;
    }
    memcpy(l->rest + l->rest_len, &size, sizeof size);
    memcpy(l->rest + l->rest_len + sizeof size, message, len);
    l->rest_len = need;
    return true;
}

/* False without memory. */
static bool send(struct worker *w, const uint8_t *message, size_t len)
{
    struct worker_log *l = &w->log;
    if (!l->rest_len && ring_put(&l->ring, message, len) == RING_OK)
        return true;
    w->next_upkeep_us = 0;
    return keep(l, message, len);
}

static void flush(struct worker_log *l)
{
    uint32_t size;
    while (l->rest_at < l->rest_len) {
        memcpy(&size, l->rest + l->rest_at, sizeof size);
        if (ring_put(&l->ring, l->rest + l->rest_at + sizeof size, size) != RING_OK)
            return;
        l->rest_at += sizeof size + size;
    }
    l->rest_at = l->rest_len = 0;
    if (l->rest_cap > REST_MOST) {
        free(l->rest);
        l->rest = NULL;
        l->rest_cap = 0;
    }
}

/* The record is in the ring before we look whether control sleeps; control says so before it looks for records. */
static void wake_control(struct worker_log *l)
{
    if (!__atomic_exchange_n(&l->shared->asleep, 0, __ATOMIC_SEQ_CST)) /* a full barrier, too */
        return;
    syscall(SYS_futex, &l->shared->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint64_t next_order(struct worker *w)
{
    return __atomic_fetch_add(&w->log.shared->order, 1, __ATOMIC_ACQ_REL) + 1;
}

/* -- records -- */

static bool send_part(struct worker *w, uint64_t order, uint32_t db, unsigned part, const uint8_t *p, size_t n)
{
    uint8_t message[HEAD + PART];
    message[0] = LOG_PART;
    memcpy(message + 1, &order, sizeof order);
    memcpy(message + 9, &db, sizeof db);
    message[13] = (uint8_t)part;
    memcpy(message + HEAD, p, n);
    return send(w, message, HEAD + n);
}

static bool send_command(struct worker *w, uint64_t order, uint32_t db, const uint8_t *p, size_t n, bool last)
{
    unsigned part = LOG_BEGINS;
    for (; n > PART; p += PART, n -= PART, part = 0)
        if (!send_part(w, order, db, part, p, PART))
            return false;
    return send_part(w, order, db, part | (last ? LOG_ENDS : 0), p, n);
}

static bool send_record(struct worker *w, uint64_t order, const struct effects *e)
{
    static const char multi[] = "*1\r\n$5\r\nMULTI\r\n", exec[] = "*1\r\n$4\r\nEXEC\r\n";
    struct effect item = {0};
    memcpy(&item, e->p, sizeof item);
    if (e->n > 1 && !send_command(w, order, item.db, (const uint8_t *)multi, sizeof multi - 1, false))
        return false;
    for (size_t at = 0; at < e->len; at += item.len) {
        memcpy(&item, e->p + at, sizeof item);
        at += sizeof item;
        bool last = e->n == 1 && at + item.len == e->len;
        if (!send_command(w, order, item.db, e->p + at, item.len, last))
            return false;
    }
    return e->n == 1 || send_command(w, order, item.db, (const uint8_t *)exec, sizeof exec - 1, true);
}

void worker_log(struct command_env *env, const struct effects *record)
{
    struct worker *w = env->worker;
    struct worker_log *l = &w->log;
    uint64_t order = next_order(w);
    if (l->broken)
        return; /* until the next mark */
    if (record->failed || !send_record(w, order, record))
        l->broken = order;
    wake_control(l);
}

static void send_number(struct worker *w, enum log_type type, uint64_t order, uint64_t v)
{
    uint8_t message[17];
    message[0] = (uint8_t)type;
    memcpy(message + 1, &order, sizeof order);
    memcpy(message + 9, &v, sizeof v);
    if (!send(w, message, sizeof message))
        w->log.broken = order;
    wake_control(&w->log);
}

/* Nothing of the broken record, or behind it, may be taken for whole. */
static void tell_broken(struct worker *w)
{
    struct worker_log *l = &w->log;
    uint8_t buffer[128];
    struct message_writer m;
    if (!l->broken || l->rest_len)
        return;
    message_begin(&m, buffer, (enum message_type)LOG_BROKEN);
    put_u64(&m, l->broken);
    put_text(&m, "out of memory");
    if (l->broken != UINT64_MAX && ring_put(&l->ring, buffer, m.len) == RING_OK)
        l->broken = UINT64_MAX;
}

bool worker_log_tells_broken(const struct box *box)
{
    bool tells = false;
    for (unsigned i = 0; i < box->workers; i++)
        tells |= box->worker[i]->log.broken && box->worker[i]->log.broken != UINT64_MAX;
    return tells;
}

/* -- begin and end -- */

void worker_log_begin(struct box *box)
{
    for (unsigned i = 0; i < box->workers; i++) {
        struct worker_log *l = &box->worker[i]->log;
        l->ring = log_to_control(box->bulk, i);
        l->shared = log_shared(box->bulk);
        l->rest_at = l->rest_len = 0;
        l->broken = 0;
        ring_reset(&l->ring);
    }
    struct channel_log *shared = log_shared(box->bulk);
    uint64_t order = __atomic_load_n(&shared->order, __ATOMIC_SEQ_CST);
    /* `synced` stays: replies that wait for a log before this one wait for control's word, that their data is in a base. */
    __atomic_store_n(&shared->first, order + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&shared->begun, 1, __ATOMIC_SEQ_CST);
}

void worker_log_join(struct worker *w)
{
    w->log.active = true;
    w->env.observers |= OBSERVE_LOG;
    waits_want_log(w->waits, w->env.ks->databases, effects_by_itself, effects_fields_gone, &w->env);
    w->next_upkeep_us = 0;
    worker_log_follow(w);
}

void worker_log_mark(struct worker *w, uint64_t file)
{
    for (unsigned i = 0; i < w->box->workers; i++)
        w->box->worker[i]->log.broken = 0;
    send_number(w, LOG_MARK, next_order(w), file);
}

void worker_log_end(struct worker *w)
{
    struct box *box = w->box;
    send_number(w, LOG_LAST, next_order(w), 0);
    __atomic_store_n(&w->log.shared->begun, 0, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < box->workers; i++) {
        box->worker[i]->env.observers &= ~(unsigned)OBSERVE_LOG;
        waits_want_log(box->worker[i]->waits, box->ks->databases, NULL, NULL, NULL);
        box->worker[i]->next_upkeep_us = 0;
    }
}

/* -- replies that wait -- */

/* Also when the log has ended: that may be because the disk has failed. If nothing need be there any more, control says so. */
static bool is_synced(const struct worker_log *l, uint64_t order)
{
    return __atomic_load_n(&l->shared->synced, __ATOMIC_ACQUIRE) >= order;
}

static void leave_list(struct session *s)
{
    struct worker_log *l = &s->worker->log;
    struct held *h = s->held;
    if (!h->until)
        return;
    *(h->prev ? &h->prev->held->next : &l->held_first) = h->next;
    *(h->next ? &h->next->held->prev : &l->held_last) = h->prev;
    h->prev = h->next = NULL;
    h->until = 0;
}

static void enter_list(struct session *s, uint64_t until)
{
    struct worker_log *l = &s->worker->log;
    s->held->until = until;
    s->held->prev = l->held_last;
    *(l->held_last ? &l->held_last->held->next : &l->held_first) = s;
    l->held_last = s;
    s->worker->next_upkeep_us = 0;
}

void worker_log_holds(struct session *s)
{
    if (!s->held)
        s->held = calloc(1, sizeof *s->held);
    if (s->held) {
        s->indirect |= INDIRECT_HELD;
        s->held->free_bytes = s->chunk_bytes; /* said before that */
    } else if (!(s->flags & SESSION_BROKEN)) {
        s->flags |= SESSION_BROKEN | SESSION_DOOMED;
        s->worker->doomed++;
        session_first(s);
    }
}

static void lets_go(struct session *s)
{
    s->indirect &= (uint8_t)~INDIRECT_HELD;
    free(s->held);
    s->held = NULL;
}

void worker_log_forget(struct session *s)
{
    if (!s->held)
        return;
    leave_list(s);
    lets_go(s);
}

/* What is there may leave, up to what came while it was held: that waits for its own records, of which there are no more then.
 * So nobody waits for ever, however much is written. */
static void let_go(struct session *s)
{
    struct worker_log *l = &s->worker->log;
    struct held *h = s->held;
    uint64_t rest = s->chunk_bytes - h->free_bytes - h->bytes;
    leave_list(s);
    h->free_bytes += h->bytes;
    h->bytes = rest;
    if (rest && !is_synced(l, h->rest_until)) {
        enter_list(s, h->rest_until);
        return;
    }
    h->free_bytes = s->chunk_bytes;
    h->bytes = 0;
}

void worker_log_hold(struct session *s)
{
    const struct worker_log *l = &s->worker->log;
    struct held *h = s->held;
    uint64_t order = __atomic_load_n(&l->shared->order, __ATOMIC_ACQUIRE);
    uint64_t fresh = s->chunk_bytes - h->free_bytes - h->bytes;
    if (is_synced(l, order)) {
        leave_list(s);
        h->free_bytes = s->chunk_bytes;
        h->bytes = 0;
    } else if (h->until) {
        h->rest_until = order;
    } else if (fresh) {
        h->bytes += fresh;
        enter_list(s, order);
    }
}

/* Those that enter it again meanwhile wait for something. */
static void release(struct worker_log *l)
{
    while (l->held_first && is_synced(l, l->held_first->held->until)) {
        struct session *s = l->held_first;
        let_go(s);
        if (!l->always && !s->held->until)
            lets_go(s);
        if (!(s->flags & SESSION_BROKEN))
            session_drain(s);
        session_settle(s);
    }
}

void worker_log_follow(struct worker *w)
{
    struct worker_log *l = &w->log;
    bool always = w->env.observers & OBSERVE_LOG && w->conf->log_policy == FSYNC_ALWAYS;
    if (always == l->always)
        return;
    l->always = always;
    for (struct session *s = w->live_sessions, *next; s; s = next) {
        next = s->live_next;
        if (always && !s->held)
            worker_log_holds(s);
        else if (!always && s->held && !s->held->until)
            lets_go(s); /* those in the list, when they leave it */
    }
}

/* -- each round -- */

static void hold_writers(struct worker *w)
{
    struct worker_log *l = &w->log;
    size_t waiting = l->rest_len - l->rest_at;
    bool logs = w->env.observers & OBSERVE_LOG;
    bool holds = logs && (waiting > REST_MOST || (l->holds && waiting > REST_MOST / 2));
    if (holds == l->holds)
        return;
    l->holds = holds;
    worker_follow_pause(w);
}

uint64_t worker_log_tend(struct worker *w)
{
    struct worker_log *l = &w->log;
    flush(l);
    tell_broken(w);
    hold_writers(w);
    release(l);
    worker_log_follow(w);
    if (!(w->env.observers & OBSERVE_LOG) && !l->rest_len && !l->held_first)
        l->active = false;
    return l->rest_len || l->held_first ? 0 : LATER_US;
}

void worker_log_finish(struct worker *w)
{
    const struct timespec pause = {0, 1000000};
    enum { MOST_MS = 3000 };
    for (unsigned i = 0; w->log.rest_len && i < MOST_MS; i++, flush(&w->log))
        nanosleep(&pause, NULL);
}

void worker_log_free(struct worker *w)
{
    free(w->log.rest);
    w->log.rest = NULL;
}
