/* load.c: see load.h. */
#include "load.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const linear_defect_name[LINEAR_DEFECTS] = {"sound",       "torn MSET",   "torn EXEC",
                                                        "torn script", "blind WATCH", "stale GET"};

uint64_t linear_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(struct linear_client *c, unsigned n)
{
    return (unsigned)(linear_random(&c->random) % n);
}

void linear_client_init(struct linear_client *c, const struct linear_load *load, unsigned number)
{
    *c = (struct linear_client){.load = load, .number = (uint8_t)number, .left = load->ops};
    c->random = load->seed * 1000003 + number;
    c->value = (int32_t)number * 100000;
}

void linear_client_free(struct linear_client *c)
{
    for (unsigned i = 0; i < LINEAR_STRINGS; i++) {
        free(c->last[i]);
        c->last[i] = NULL;
    }
    history_free(&c->h);
}

/* Relaxed: the clock must not order for the race detector what the server does not order. On the machines
 * that we run on its order is that of time nevertheless. */
static uint64_t tick(const struct linear_client *c)
{
    return atomic_fetch_add_explicit(c->load->clock, 1, memory_order_relaxed);
}

/* -- what to ask */

static void fill(struct linear_client *c, struct linear_command *command, unsigned verb)
{
    const struct linear_verb *v = &linear_verbs[verb];
    unsigned first = v->lists ? LINEAR_STRINGS : 0, kinds = v->lists ? LINEAR_KEYS - LINEAR_STRINGS : LINEAR_STRINGS;
    unsigned at = below(c, kinds), step = below(c, 2) ? 1 : kinds - 1; /* different keys, in either order */
    *command = (struct linear_command){.verb = (uint8_t)verb};
    for (unsigned i = 0; i < v->keys; i++, at += step)
        command->key[i] = (uint8_t)(first + at % kinds);
    for (unsigned i = 0; i < v->values; i++)
        command->value[i] = c->value += 10;
    if (v->values == 1 && !(v->flags & VERB_QUEUED)) /* how long to wait */
        command->value[0] = 1 + (int32_t)below(c, (unsigned)c->load->block_ms);
}

static void draw(struct linear_client *c, struct linear_command *command, bool queued)
{
    static unsigned total;
    if (!total)
        for (unsigned i = 0; i < linear_verb_count; i++)
            total += linear_verbs[i].weight;
    if (c->load->slow && below(c, 3) == 0) {
        static const char *const text[] = {"slow INCR", "slow INCR b", "slow INCR c", "slow INCR d"};
        fill(c, command, linear_verb(text[below(c, 4)]));
        return;
    }
    for (;;) {
        unsigned at = below(c, total), verb = 0;
        for (; at >= linear_verbs[verb].weight; verb++)
            at -= linear_verbs[verb].weight;
        const struct linear_verb *v = &linear_verbs[verb];
        if ((queued && !(v->flags & VERB_QUEUED)) || ((v->flags & VERB_WHOLE) && !c->load->whole))
            continue;
        fill(c, command, verb);
        return;
    }
}

static void draw_multi(struct linear_client *c, struct linear_op *op)
{
    op->multi = true;
    op->commands = (uint8_t)(1 + below(c, LINEAR_QUEUED));
    for (unsigned i = 0; i < op->commands; i++)
        draw(c, &op->command[i], true);
}

static void draw_watch(struct linear_client *c, struct linear_op *op)
{
    static const char *const kind[] = {"WATCH", "WATCH2", "WATCH list"};
    op->commands = 1;
    fill(c, &op->command[0], linear_verb(kind[below(c, 3)]));
}

static void draw_op(struct linear_client *c, struct linear_op *op)
{
    *op = (struct linear_op){.client = c->number, .end = UINT64_MAX};
    unsigned dice = below(c, 100);
    if (dice < (c->watching ? 60 : 15)) {
        draw_multi(c, op);
    } else if (dice < 75 && dice > 65) {
        draw_watch(c, op);
    } else {
        op->commands = 1;
        draw(c, &op->command[0], false);
    }
    op->keys = c->watching;
    for (unsigned i = 0; i < op->commands; i++)
        op->keys |= linear_keys(&op->command[i]);
    if (op->multi)
        c->watching = 0;
    else if (linear_verbs[op->command[0].verb].flags & VERB_WATCH)
        c->watching |= op->keys;
    else
        op->keys = linear_keys(&op->command[0]);
}

/* -- the wire */

static void put(struct linear_client *c, const char *text)
{
    size_t len = strlen(text);
    memcpy(c->request + c->request_len, text, len);
    c->request_len += len;
}

static void put_command(struct linear_client *c, const struct linear_command *command)
{
    c->request_len +=
        linear_write(command, c->request + c->request_len, sizeof c->request - c->request_len);
}

static bool is(const struct linear_op *op, const char *name)
{
    return !op->multi && strcmp(linear_verbs[op->command[0].verb].name, name) == 0;
}

/* Is this an operation that the broken server does not do as one step? */
static bool is_broken(const struct linear_client *c, const struct linear_op *op)
{
    switch (c->load->defect) {
    case TORN_MSET:
        return is(op, "MSET2") || is(op, "MSET4");
    case TORN_EXEC:
        return op->multi;
    case TORN_SCRIPT:
        return is(op, "transfer") || is(op, "transfer, undeclared");
    case BLIND_WATCH:
        return !op->multi && linear_verbs[op->command[0].verb].flags & VERB_WATCH;
    case STALE_GET:
        return is(op, "GET") && c->last[op->command[0].key[0]];
    default:
        return false;
    }
}

/* The parts of an operation that should be one; returns their number. */
static unsigned put_parts(struct linear_client *c, const struct linear_op *op)
{
    const struct linear_command *whole = &op->command[0];
    struct linear_command part = {0};
    if (op->multi) {
        for (unsigned i = 0; i < op->commands; i++)
            put_command(c, &op->command[i]);
        return op->commands;
    }
    if (c->load->defect == BLIND_WATCH || c->load->defect == STALE_GET) {
        put(c, "*1\r\n$4\r\nPING\r\n");
        return 1;
    }
    if (c->load->defect == TORN_MSET) {
        part.verb = (uint8_t)linear_verb("SET");
        for (unsigned i = 0; i < linear_verbs[whole->verb].keys; i++) {
            part.key[0] = whole->key[i];
            part.value[0] = whole->value[i];
            put_command(c, &part);
        }
        return linear_verbs[whole->verb].keys;
    }
    char text[256];
    const char *a = linear_key[whole->key[0]], *b = linear_key[whole->key[1]];
    snprintf(text, sizeof text, "DECR %s\r\nINCR %s\r\nMGET %s %s\r\n", a, b, a, b);
    put(c, text);
    return 3;
}

static unsigned put_op(struct linear_client *c, const struct linear_op *op)
{
    if (is_broken(c, op))
        return put_parts(c, op);
    if (!op->multi) {
        put_command(c, &op->command[0]);
        return 1;
    }
    put(c, "*1\r\n$5\r\nMULTI\r\n");
    for (unsigned i = 0; i < op->commands; i++)
        put_command(c, &op->command[i]);
    put(c, "*1\r\n$4\r\nEXEC\r\n");
    return op->commands + 2u;
}

bool linear_client_ask(struct linear_client *c)
{
    unsigned n = below(c, 4) ? 1 : 1 + below(c, LINEAR_PIPELINE);
    c->request_len = 0;
    for (; n && c->left; n--, c->left--) {
        struct linear_sent *s = &c->sent[c->waiting++];
        draw_op(c, &s->op);
        s->replies = put_op(c, &s->op);
        s->op.call = tick(c);
    }
    return c->waiting > 0;
}

/* -- what was told */

/* The first n replies in so many bytes; 0: they are not all there. */
static size_t replies_size(const char *bytes, size_t len, unsigned n)
{
    size_t at = 0;
    while (n--) {
        size_t size = linear_reply_size(bytes + at, len - at);
        if (!size)
            return 0;
        at += size;
    }
    return at;
}

/* What the broken server says to an operation whose parts got these replies. */
static size_t join(const struct linear_client *c, const struct linear_op *op, const char *parts, size_t len, char *to)
{
    if (op->multi) {
        size_t at = (size_t)sprintf(to, "+OK\r\n");
        for (unsigned i = 0; i < op->commands; i++)
            at += (size_t)sprintf(to + at, "+QUEUED\r\n");
        at += (size_t)sprintf(to + at, "*%u\r\n", op->commands);
        memcpy(to + at, parts, len);
        return at + len;
    }
    if (c->load->defect == TORN_SCRIPT) { /* the last of three */
        size_t skipped = replies_size(parts, len, 2);
        memcpy(to, parts + skipped, len - skipped);
        return len - skipped;
    }
    return (size_t)sprintf(to, "%s", c->load->defect == STALE_GET ? c->last[op->command[0].key[0]] : "+OK\r\n");
}

static char *copy(const char *text, size_t len)
{
    char *p = malloc(len + 1);
    if (!p)
        abort(); /* a test without memory has no result */
    memcpy(p, text, len);
    p[len] = 0;
    return p;
}

static void answered(struct linear_client *c, struct linear_op *op, const char *bytes, size_t len)
{
    static _Thread_local char joined[LINEAR_REPLY + 128];
    if (is_broken(c, op)) {
        len = join(c, op, bytes, len, joined);
        bytes = joined;
    } else if (c->load->defect == STALE_GET && is(op, "GET")) {
        char **last = &c->last[op->command[0].key[0]];
        free(*last);
        *last = copy(bytes, len);
    }
    op->reply = copy(bytes, len);
    op->reply_len = len;
    op->end = tick(c);
    if (!history_add(&c->h, op))
        abort();
}

size_t linear_client_told(struct linear_client *c, const char *bytes, size_t len)
{
    size_t at = 0;
    while (c->waiting) {
        size_t size = replies_size(bytes + at, len - at, c->sent[0].replies);
        if (!size)
            break;
        answered(c, &c->sent[0].op, bytes + at, size);
        at += size;
        memmove(c->sent, c->sent + 1, --c->waiting * sizeof *c->sent);
    }
    return at;
}

bool linear_client_may_go(const struct linear_client *c)
{
    for (unsigned i = 0; i < c->waiting; i++) {
        const struct linear_op *op = &c->sent[i].op;
        const struct linear_verb *verb = &linear_verbs[op->command[0].verb];
        if (!op->multi && !(verb->flags & (VERB_QUEUED | VERB_WATCH)) && verb->keys > 1)
            return false;
    }
    return c->waiting > 0;
}

void linear_client_lost(struct linear_client *c)
{
    for (unsigned i = 0; i < c->waiting; i++)
        if (!history_add(&c->h, &c->sent[i].op))
            abort();
    c->waiting = c->left = 0;
}

void linear_client_gather(struct linear_client *c, struct history *h)
{
    for (unsigned i = 0; i < c->h.n; i++) {
        if (!history_add(h, &c->h.op[i]))
            abort();
        c->h.op[i].reply = NULL;
    }
    c->h.n = 0;
}
