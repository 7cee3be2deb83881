/* model.c: a sequential server of few keys, in Redis' words (history.h). Semantics and texts: redis.io/commands. */
#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const linear_key[LINEAR_KEYS] = {"s2", "s3", "s0", "s1", "l3", "l2", "l1", "l0"};

typedef struct linear_state state;
typedef const struct linear_command command;
typedef struct linear_reply reply;

__attribute__((format(printf, 2, 3))) static void say(reply *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out->text + out->len, sizeof out->text - out->len, format, args);
    va_end(args);
    out->len += n > 0 ? (size_t)n : 0;
    if (out->len >= sizeof out->text) { /* never: loads are small */
        fprintf(stderr, "linear: a reply of more than %d bytes\n", LINEAR_REPLY);
        abort();
    }
}

static void say_bulk(reply *out, int32_t v)
{
    char digits[16];
    say(out, "$%d\r\n%s\r\n", snprintf(digits, sizeof digits, "%d", v), digits);
}

static void say_value(reply *out, const struct linear_value *v)
{
    if (v->n)
        say_bulk(out, v->v[0]);
    else
        say(out, "$-1\r\n");
}

static void say_key(reply *out, unsigned key)
{
    say(out, "$%zu\r\n%s\r\n", strlen(linear_key[key]), linear_key[key]);
}

/* The key has changed: whoever watches it will be told with EXEC. */
static void changed(state *s, unsigned key)
{
    for (unsigned i = 0; i < LINEAR_CLIENTS; i++)
        if (s->watched[i] >> key & 1)
            s->dirty |= 1ull << i;
}

static void put(state *s, unsigned key, int32_t value)
{
    s->key[key] = (struct linear_value){.n = 1, .v = {value}};
    changed(s, key);
}

static int del(state *s, unsigned key)
{
    if (!s->key[key].n)
        return 0;
    s->key[key] = (struct linear_value){0};
    changed(s, key);
    return 1;
}

/* -- strings */

static void do_get(state *s, command *c, reply *out)
{
    say_value(out, &s->key[c->key[0]]);
}

static void do_set(state *s, command *c, reply *out)
{
    put(s, c->key[0], c->value[0]);
    say(out, "+OK\r\n");
}

static void do_setnx(state *s, command *c, reply *out)
{
    bool set = !s->key[c->key[0]].n;
    if (set)
        put(s, c->key[0], c->value[0]);
    say(out, ":%d\r\n", set);
}

static void do_getset(state *s, command *c, reply *out)
{
    say_value(out, &s->key[c->key[0]]);
    put(s, c->key[0], c->value[0]);
}

static void do_getdel(state *s, command *c, reply *out)
{
    say_value(out, &s->key[c->key[0]]);
    del(s, c->key[0]);
}

static void do_incr(state *s, command *c, reply *out)
{
    put(s, c->key[0], s->key[c->key[0]].v[0] + 1);
    say(out, ":%d\r\n", s->key[c->key[0]].v[0]);
}

static void do_del(state *s, command *c, reply *out)
{
    int n = 0;
    for (unsigned i = 0; i < linear_verbs[c->verb].keys; i++)
        n += del(s, c->key[i]);
    say(out, ":%d\r\n", n);
}

static void do_exists(state *s, command *c, reply *out)
{
    int n = 0;
    for (unsigned i = 0; i < linear_verbs[c->verb].keys; i++)
        n += s->key[c->key[i]].n != 0;
    say(out, ":%d\r\n", n);
}

static void do_mget(state *s, command *c, reply *out)
{
    unsigned n = linear_verbs[c->verb].keys;
    say(out, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++)
        say_value(out, &s->key[c->key[i]]);
}

static void do_mset(state *s, command *c, reply *out)
{
    for (unsigned i = 0; i < linear_verbs[c->verb].keys; i++)
        put(s, c->key[i], c->value[i]);
    say(out, "+OK\r\n");
}

static void do_msetnx(state *s, command *c, reply *out)
{
    bool set = !s->key[c->key[0]].n && !s->key[c->key[1]].n;
    for (unsigned i = 0; set && i < 2; i++)
        put(s, c->key[i], c->value[i]);
    say(out, ":%d\r\n", set);
}

/* -- either kind */

static void do_rename(state *s, command *c, reply *out)
{
    if (!s->key[c->key[0]].n) {
        say(out, "-ERR no such key\r\n");
        return;
    }
    s->key[c->key[1]] = s->key[c->key[0]];
    changed(s, c->key[1]);
    del(s, c->key[0]);
    say(out, "+OK\r\n");
}

static void do_copy(state *s, command *c, reply *out)
{
    bool any = s->key[c->key[0]].n != 0;
    if (any) {
        s->key[c->key[1]] = s->key[c->key[0]];
        changed(s, c->key[1]);
    }
    say(out, ":%d\r\n", any);
}

static void do_dbsize(state *s, command *c, reply *out)
{
    (void)c;
    int n = 0;
    for (unsigned i = 0; i < LINEAR_KEYS; i++)
        n += s->key[i].n != 0;
    say(out, ":%d\r\n", n);
}

static void do_flushall(state *s, command *c, reply *out)
{
    (void)c;
    for (unsigned i = 0; i < LINEAR_KEYS; i++)
        del(s, i);
    say(out, "+OK\r\n");
}

/* -- lists */

static void push(state *s, unsigned key, int32_t value, bool left)
{
    struct linear_value *list = &s->key[key];
    if (list->n == LINEAR_ELEMENTS)
        return; /* and so nothing explains the reply */
    if (left)
        memmove(list->v + 1, list->v, list->n * sizeof *list->v);
    list->v[left ? 0 : list->n] = value;
    list->n++;
    changed(s, key);
}

static int32_t pop(state *s, unsigned key, bool left)
{
    struct linear_value *list = &s->key[key];
    int32_t value = list->v[left ? 0 : list->n - 1];
    list->n--;
    if (left)
        memmove(list->v, list->v + 1, list->n * sizeof *list->v);
    list->v[list->n] = 0; /* states are compared byte by byte */
    changed(s, key);
    return value;
}

static void do_rpush(state *s, command *c, reply *out)
{
    push(s, c->key[0], c->value[0], false);
    say(out, ":%u\r\n", s->key[c->key[0]].n);
}

static void do_lpush2(state *s, command *c, reply *out)
{
    push(s, c->key[0], c->value[0], true);
    push(s, c->key[0], c->value[1], true);
    say(out, ":%u\r\n", s->key[c->key[0]].n);
}

static void do_lpop(state *s, command *c, reply *out)
{
    if (s->key[c->key[0]].n)
        say_bulk(out, pop(s, c->key[0], true));
    else
        say(out, "$-1\r\n");
}

static void do_rpop(state *s, command *c, reply *out)
{
    if (s->key[c->key[0]].n)
        say_bulk(out, pop(s, c->key[0], false));
    else
        say(out, "$-1\r\n");
}

static void do_llen(state *s, command *c, reply *out)
{
    say(out, ":%u\r\n", s->key[c->key[0]].n);
}

static void do_lrange(state *s, command *c, reply *out)
{
    const struct linear_value *list = &s->key[c->key[0]];
    say(out, "*%u\r\n", list->n);
    for (unsigned i = 0; i < list->n; i++)
        say_bulk(out, list->v[i]);
}

/* LMOVE source destination LEFT RIGHT, and BLMOVE, which has waited in vain when there is nothing. */
static bool move(state *s, command *c, reply *out)
{
    if (!s->key[c->key[0]].n)
        return false;
    int32_t value = pop(s, c->key[0], true);
    push(s, c->key[1], value, false);
    say_bulk(out, value);
    return true;
}

static void do_lmove(state *s, command *c, reply *out)
{
    if (!move(s, c, out))
        say(out, "$-1\r\n");
}

static void do_blmove(state *s, command *c, reply *out)
{
    if (!move(s, c, out))
        say(out, "*-1\r\n");
}

/* Was the client told this key? Any will do for one that nobody saw a reply of. */
static bool names_key(const struct linear_op *op, unsigned key)
{
    static const size_t at = sizeof "*2\r\n$2\r\n" - 1;
    return !op->reply || (op->reply_len > at + 2 && memcmp(op->reply + at, linear_key[key], 2) == 0);
}

/* Who has not waited gets the first of his keys that has anything. Who has waited gets the one that was made first, and
 * a transaction may have made several at once: so it is enough that the key he was told has something. */
static void blocking_pop(state *s, command *c, reply *out, bool left)
{
    unsigned n = 0;
    for (unsigned i = 0; i < linear_verbs[c->verb].keys; i++) {
        n += s->key[c->key[i]].n;
        if (s->key[c->key[i]].n && names_key(out->op, c->key[i])) {
            say(out, "*2\r\n");
            say_key(out, c->key[i]);
            say_bulk(out, pop(s, c->key[i], left));
            return;
        }
    }
    if (!n)
        say(out, "*-1\r\n");
}

static void do_blpop(state *s, command *c, reply *out)
{
    blocking_pop(s, c, out, true);
}

static void do_brpop(state *s, command *c, reply *out)
{
    blocking_pop(s, c, out, false);
}

/* -- scripts */

static void do_transfer(state *s, command *c, reply *out)
{
    put(s, c->key[0], s->key[c->key[0]].v[0] - 1);
    put(s, c->key[1], s->key[c->key[1]].v[0] + 1);
    say(out, "*2\r\n");
    say_value(out, &s->key[c->key[0]]);
    say_value(out, &s->key[c->key[1]]);
}

static void do_swap(state *s, command *c, reply *out)
{
    const int32_t a = s->key[c->key[0]].v[0], b = s->key[c->key[1]].v[0];
    put(s, c->key[0], b);
    put(s, c->key[1], a);
    say(out, ":%d\r\n", a + b);
}

static void do_slow_incr(state *s, command *c, reply *out)
{
    put(s, c->key[0], s->key[c->key[0]].v[0] + 1);
    say(out, ":%d\r\n", s->key[c->key[0]].v[0]);
}


/* -- WATCH */

static void do_watch(state *s, command *c, reply *out)
{
    (void)s; /* linear_apply does the rest: it knows the client */
    (void)c;
    say(out, "+OK\r\n");
}

/* -- the table */

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char transfer[] = "redis.call('decr',KEYS[1]) redis.call('incr',KEYS[2]) return redis.call('mget',KEYS[1],KEYS[2])";
static const char transfer_undeclared[] =
    "redis.call('decr',ARGV[1]) redis.call('incr',ARGV[2]) return redis.call('mget',ARGV[1],ARGV[2])";
static const char swap[] = "local v=redis.call('mget',KEYS[1],KEYS[2]) local a,b=v[1] or 0,v[2] or 0 "
                           "redis.call('set',KEYS[1],b) redis.call('set',KEYS[2],a) return a+b";
#define SLOW_INCR(text)                                                                                                \
    text "local v=tonumber(redis.call('get',KEYS[1]) or 0) local x=0 for i=1,20000 do x=x+i end "                      \
         "redis.call('set',KEYS[1],v+1) return v+1"

const struct linear_verb linear_verbs[] = {
    /* name, words, apply, keys, values, lists, flags, weight */
    {"GET", WORDS("GET", "K0"), do_get, 1, 0, false, VERB_QUEUED, 10},
    {"SET", WORDS("SET", "K0", "V0"), do_set, 1, 1, false, VERB_QUEUED, 8},
    {"SETNX", WORDS("SETNX", "K0", "V0"), do_setnx, 1, 1, false, VERB_QUEUED, 2},
    {"GETSET", WORDS("GETSET", "K0", "V0"), do_getset, 1, 1, false, VERB_QUEUED, 3},
    {"GETDEL", WORDS("GETDEL", "K0"), do_getdel, 1, 0, false, VERB_QUEUED, 1},
    {"INCR", WORDS("INCR", "K0"), do_incr, 1, 0, false, VERB_QUEUED, 8},
    {"DEL", WORDS("DEL", "K0"), do_del, 1, 0, false, VERB_QUEUED, 1},
    {"DEL2", WORDS("DEL", "K0", "K1"), do_del, 2, 0, false, VERB_QUEUED, 1},
    {"EXISTS", WORDS("EXISTS", "K0", "K1", "K2"), do_exists, 3, 0, false, VERB_QUEUED, 2},
    {"MGET2", WORDS("MGET", "K0", "K1"), do_mget, 2, 0, false, VERB_QUEUED, 6},
    {"MGET4", WORDS("MGET", "K0", "K1", "K2", "K3"), do_mget, 4, 0, false, VERB_QUEUED, 6},
    {"MSET2", WORDS("MSET", "K0", "V0", "K1", "V1"), do_mset, 2, 2, false, VERB_QUEUED, 6},
    {"MSET4", WORDS("MSET", "K0", "V0", "K1", "V1", "K2", "V2", "K3", "V3"), do_mset, 4, 4, false, VERB_QUEUED, 5},
    {"MSETNX", WORDS("MSETNX", "K0", "V0", "K1", "V1"), do_msetnx, 2, 2, false, VERB_QUEUED, 2},
    {"RENAME", WORDS("RENAME", "K0", "K1"), do_rename, 2, 0, false, VERB_QUEUED, 2},
    {"COPY", WORDS("COPY", "K0", "K1", "REPLACE"), do_copy, 2, 0, false, VERB_QUEUED, 2},
    {"RPUSH", WORDS("RPUSH", "K0", "V0"), do_rpush, 1, 1, true, VERB_QUEUED, 9},
    {"LPUSH2", WORDS("LPUSH", "K0", "V0", "V1"), do_lpush2, 1, 2, true, VERB_QUEUED, 3},
    {"LPOP", WORDS("LPOP", "K0"), do_lpop, 1, 0, true, VERB_QUEUED, 5},
    {"RPOP", WORDS("RPOP", "K0"), do_rpop, 1, 0, true, VERB_QUEUED, 4},
    {"LLEN", WORDS("LLEN", "K0"), do_llen, 1, 0, true, VERB_QUEUED, 2},
    {"LRANGE", WORDS("LRANGE", "K0", "0", "-1"), do_lrange, 1, 0, true, VERB_QUEUED, 6},
    {"LMOVE", WORDS("LMOVE", "K0", "K1", "LEFT", "RIGHT"), do_lmove, 2, 0, true, VERB_QUEUED, 5},
    {"RENAME", WORDS("RENAME", "K0", "K1"), do_rename, 2, 0, true, VERB_QUEUED, 1},
    {"DEL", WORDS("DEL", "K0"), do_del, 1, 0, true, VERB_QUEUED, 2},
    {"DEL2", WORDS("DEL", "K0", "K1"), do_del, 2, 0, true, VERB_QUEUED, 2},
    {"BLPOP", WORDS("BLPOP", "K0", "T0"), do_blpop, 1, 1, true, 0, 4},
    {"BLPOP2", WORDS("BLPOP", "K0", "K1", "T0"), do_blpop, 2, 1, true, 0, 4},
    {"BRPOP3", WORDS("BRPOP", "K0", "K1", "K2", "T0"), do_brpop, 3, 1, true, 0, 3},
    {"BLMOVE", WORDS("BLMOVE", "K0", "K1", "LEFT", "RIGHT", "T0"), do_blmove, 2, 1, true, 0, 4},
    {"transfer", WORDS("EVAL", transfer, "2", "K0", "K1"), do_transfer, 2, 0, false, VERB_QUEUED, 4},
    {"transfer, undeclared", WORDS("EVAL", transfer_undeclared, "0", "K0", "K1"), do_transfer, 2, 0, false, VERB_QUEUED, 2},
    {"swap", WORDS("EVAL", swap, "2", "K0", "K1"), do_swap, 2, 0, false, VERB_QUEUED, 3},
    {"slow INCR", WORDS("EVAL", SLOW_INCR(""), "1", "K0"), do_slow_incr, 1, 0, false, VERB_QUEUED, 2},
    {"DBSIZE", WORDS("DBSIZE"), do_dbsize, 0, 0, false, VERB_QUEUED | VERB_WHOLE, 1},
    {"FLUSHALL", WORDS("FLUSHALL"), do_flushall, 0, 0, false, VERB_QUEUED | VERB_WHOLE, 1},
    {"WATCH", WORDS("WATCH", "K0"), do_watch, 1, 0, false, VERB_WATCH, 0},
    {"WATCH2", WORDS("WATCH", "K0", "K1"), do_watch, 2, 0, false, VERB_WATCH, 0},
    {"WATCH list", WORDS("WATCH", "K0"), do_watch, 1, 0, true, VERB_WATCH, 0},
    /* where a text runs changes once: more texts, more changes */
    {"slow INCR b", WORDS("EVAL", SLOW_INCR("local b "), "1", "K0"), do_slow_incr, 1, 0, false, VERB_QUEUED, 0},
    {"slow INCR c", WORDS("EVAL", SLOW_INCR("local c "), "1", "K0"), do_slow_incr, 1, 0, false, VERB_QUEUED, 0},
    {"slow INCR d", WORDS("EVAL", SLOW_INCR("local d "), "1", "K0"), do_slow_incr, 1, 0, false, VERB_QUEUED, 0},
};
const unsigned linear_verb_count = sizeof linear_verbs / sizeof *linear_verbs;

unsigned linear_verb(const char *name)
{
    for (unsigned i = 0; i < linear_verb_count; i++)
        if (strcmp(linear_verbs[i].name, name) == 0)
            return i;
    abort();
}
