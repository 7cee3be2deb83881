/* migrate.c: MIGRATE: keys to another server by RESTORE, and away from here once it has said that it has
 * them. https://redis.io/docs/latest/commands/migrate/
 *
 * It runs in slices, and parked while the network is waited for; its keys are its own until it ends. Other
 * than in Redis, AUTH and SELECT are answered before a key is sent (a key never comes into a wrong database),
 * nobody profits from another one's AUTH, replies are read while keys are sent, and only "+" is taken for
 * success. */
#include "base/number.h"
#include "command/generic.h"
#include "command/notify.h"
#include "command/remote.h"
#include "store/rdb.h"

#include <stdlib.h>

enum { DEFAULT_TIMEOUT_MS = 1000, DELETIONS = 64, MANY_KEYS = 256 };

struct parcel {
    int at; /* the key's argument */
    bool arrived;
};

struct migration {
    struct request *rq;
    bool copy, replace;
    struct slice user, password; /* p NULL: not given */
    int64_t timeout_ms, db;
    int first_key, key_args;

    struct parcel *parcel;           /* keys that exist */
    int parcels;                     /* of them ... */
    int sent, answered;              /* ... so many from the first on */
    bool refused;                    /* an error was replied */
    const char *fault;               /* what is to be replied if the connection fails now */
    const struct remote_ops *remote; /* the box's */
    struct remote *target;
};

static const char connecting[] = "IOERR error or timeout connecting to the client",
                  writing[] = "IOERR error or timeout writing to target instance",
                  reading[] = "IOERR error or timeout reading to target instance";

/* -- arguments */

int migrate_getkeys(int argc, const struct slice *argv, int *position, int room)
{
    int first = 3, n = 1;
    bool several = false;
    for (int i = 2; i + 1 < argc; i++) /* KEYS at the very end alone is no such word */
        several |= slice_is(argv[i], "keys");
    for (int i = 6; several && i < argc; i++) {
        if (slice_is(argv[i], "keys")) {
            first = argv[3].len ? 0 : i + 1;
            n = argv[3].len ? 0 : argc - first;
            break;
        }
        i += slice_is(argv[i], "auth") ? 1 : slice_is(argv[i], "auth2") ? 2 : 0;
    }
    for (int i = 0; i < n && i < room; i++)
        position[i] = first + i;
    return n;
}

/* The words from argument 6 on. */
static bool parse_words(struct migration *m)
{
    const struct request *rq = m->rq;
    for (int i = 6; i < rq->argc; i++) {
        int more = rq->argc - 1 - i;
        if (slice_is(rq->argv[i], "copy")) {
            m->copy = true;
        } else if (slice_is(rq->argv[i], "replace")) {
            m->replace = true;
        } else if (slice_is(rq->argv[i], "auth") && more >= 1) {
            m->password = rq->argv[++i];
        } else if (slice_is(rq->argv[i], "auth2") && more >= 2) {
            m->user = rq->argv[++i];
            m->password = rq->argv[++i];
        } else if (slice_is(rq->argv[i], "keys") && rq->argv[3].len) {
            reply_error(rq->out, "ERR When using MIGRATE KEYS option, the key argument must be set to the "
                                 "empty string");
            return false;
        } else if (slice_is(rq->argv[i], "keys")) {
            m->first_key = i + 1;
            m->key_args = more;
            return true;
        } else {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

static bool parse(struct migration *m)
{
    m->first_key = 3;
    m->key_args = 1;
    if (!parse_words(m) || !request_int(m->rq, 5, &m->timeout_ms, NULL) ||
        !request_int(m->rq, 4, &m->db, NULL))
        return false;
    if (m->timeout_ms <= 0)
        m->timeout_ms = DEFAULT_TIMEOUT_MS;
    return true;
}

static bool parse_target(const struct migration *m, struct endpoint *to)
{
    struct slice host = m->rq->argv[1];
    char text[ENDPOINT_TEXT];
    int64_t port;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.p, host.len);
    text[host.len] = 0;
    if (!ip_parse(text, &to->ip) || !parse_i64(m->rq->argv[2], &port) || port < 1 || port > UINT16_MAX)
        return false;
    to->port = (uint16_t)port;
    return true;
}

/* Notes which keys exist. False without memory. */
static bool find_keys(struct migration *m)
{
    struct request *rq = m->rq;
    m->parcel = malloc((size_t)(m->key_args > 0 ? m->key_args : 1) * sizeof *m->parcel);
    if (!m->parcel)
        return false;
    for (int i = 0; i < m->key_args; i++) {
        struct key k = request_key(rq, m->first_key + i);
        if (request_find(rq, &k, LOOK_READ))
            m->parcel[m->parcels++] = (struct parcel){.at = m->first_key + i};
        turn_take(rq->turn);
    }
    return true;
}

/* -- requests to the target */

static enum remote_result send_text(struct migration *m, const char *text)
{
    return m->remote->send(m->target, slice_str(text));
}

/* "*n" or "$n". */
static enum remote_result send_count(struct migration *m, char kind, uint64_t n)
{
    char text[24];
    size_t len = 0;
    text[len++] = kind;
    len += format_u64(text + len, n);
    text[len++] = '\r';
    text[len++] = '\n';
    return m->remote->send(m->target, (struct slice){(const uint8_t *)text, len});
}

static enum remote_result send_bulk(struct migration *m, struct slice s)
{
    enum remote_result result = send_count(m, '$', s.len);
    if (result == REMOTE_OK)
        result = m->remote->send(m->target, s);
    return result == REMOTE_OK ? send_text(m, "\r\n") : result;
}

static enum remote_result send_words(struct migration *m, const struct slice *word, unsigned n)
{
    enum remote_result result = send_count(m, '*', n);
    for (unsigned i = 0; i < n && result == REMOTE_OK; i++)
        result = send_bulk(m, word[i]);
    return result;
}

/* The next reply. *good: it was no error; the first error is replied. */
static enum remote_result take_reply(struct migration *m, bool wait, bool *good)
{
    struct slice line;
    enum remote_result result = m->remote->line(m->target, wait, &line);
    if (result != REMOTE_OK)
        return result;
    *good = line.len && *line.p == '+';
    if (!*good && (line.len == 0 || *line.p != '-'))
        return REMOTE_GARBAGE;
    if (!*good && !m->refused)
        reply_errorf(m->rq->out, "ERR Target instance replied with error: %.*s", (int)line.len - 1,
                     (const char *)line.p + 1);
    m->refused |= !*good;
    return REMOTE_OK;
}

static enum remote_result ask(struct migration *m, const struct slice *word, unsigned n)
{
    bool good;
    m->fault = writing;
    enum remote_result result = send_words(m, word, n);
    if (result == REMOTE_OK)
        result = m->remote->flush(m->target);
    if (result != REMOTE_OK)
        return result;
    m->fault = reading;
    return take_reply(m, true, &good);
}

static enum remote_result greet(struct migration *m)
{
    char db[24];
    struct slice select[] = {SLICE_LIT("SELECT"), {(const uint8_t *)db, format_i64(db, m->db)}};
    enum remote_result result = REMOTE_OK;
    if (m->user.p)
        result = ask(m, (struct slice[]){SLICE_LIT("AUTH"), m->user, m->password}, 3);
    else if (m->password.p)
        result = ask(m, (struct slice[]){SLICE_LIT("AUTH"), m->password}, 2);
    if (result != REMOTE_OK || m->refused || m->target->db == m->db)
        return result;
    result = ask(m, select, 2);
    m->target->db = result == REMOTE_OK && !m->refused ? m->db : -1;
    return result;
}

/* -- keys */

static uint64_t time_left(const struct request *rq, const struct entry *e)
{
    uint64_t at = entry_expire_at(e), now = rq->env->now_ms;
    return at == 0 ? 0 : at > now ? at - now : 1;
}

/* RESTORE of a key. REMOTE_NOTHING: there was no memory, and nothing was sent. */
static enum remote_result send_key(struct migration *m, int at)
{
    struct request *rq = m->rq;
    struct key k = request_key(rq, at);
    const struct entry *e = request_find(rq, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
    char ttl[24];
    struct rdb_writer w;
    struct slice left = {(const uint8_t *)ttl, format_u64(ttl, time_left(rq, e))};
    dump_value(&w, rq, request_shard(rq, &k), e);
    struct slice word[] = {SLICE_LIT("RESTORE"), k.name, left, {w.p, w.len}, SLICE_LIT("REPLACE")};
    enum remote_result result = w.failed ? REMOTE_NOTHING : send_words(m, word, m->replace ? 5 : 4);
    rdb_writer_free(&w);
    return result;
}

/* Replies that are there; with wait, all that are to come. */
static enum remote_result take_answers(struct migration *m, bool wait)
{
    enum remote_result result = REMOTE_OK;
    while (m->answered < m->sent && result == REMOTE_OK) {
        result = take_reply(m, wait, &m->parcel[m->answered].arrived);
        m->answered += result == REMOTE_OK;
    }
    return result == REMOTE_NOTHING ? REMOTE_OK : result;
}

static enum remote_result send_keys(struct migration *m)
{
    enum remote_result result = REMOTE_OK;
    while (m->sent < m->parcels && result == REMOTE_OK) {
        m->fault = writing;
        result = send_key(m, m->parcel[m->sent].at);
        if (result == REMOTE_NOTHING) {
            reply_oom(m->rq->out);
            m->refused = true;
            m->parcels = m->sent;
            result = REMOTE_OK;
        } else if (result == REMOTE_OK) {
            m->sent++;
            m->fault = reading;
            result = take_answers(m, false);
        }
        turn_take(m->rq->turn);
    }
    m->fault = result == REMOTE_OK ? writing : m->fault;
    return result == REMOTE_OK ? m->remote->flush(m->target) : result;
}

/* Those that have arrived. Notifications tell of them before others run. */
static void remove_arrived(struct migration *m)
{
    struct request *rq = m->rq;
    for (int i = 0, end; i < m->answered; i = end, turn_take(rq->turn)) {
        for (end = i; end < m->answered && end < i + DELETIONS; end++) {
            struct key k = request_key(rq, m->parcel[end].at);
            if (m->parcel[end].arrived)
                store_delete(request_shard(rq, &k), rq->client->db, &k);
        }
        if (rq->env->conf->notify)
            notify_of(rq);
    }
}

/* All keys over one connection. Nothing is removed before all were sent: a key that is named twice is sent
 * twice, as by Redis. */
static enum remote_result transfer(struct migration *m)
{
    enum remote_result result = greet(m);
    if (result != REMOTE_OK || m->refused)
        return result;
    result = send_keys(m);
    if (result == REMOTE_OK) {
        m->fault = reading;
        result = take_answers(m, true);
    } else {
        take_answers(m, false);
    }
    return result;
}

static enum remote_result attempt(struct migration *m, const struct endpoint *to)
{
    m->sent = m->answered = 0;
    m->fault = connecting;
    enum remote_result result = m->remote->open(m->rq->env, m->rq->turn, to, m->password.p != NULL,
                                                (uint64_t)m->timeout_ms, &m->target);
    if (result == REMOTE_CLOSED)
        m->fault = writing; /* that is how Redis learns of it */
    if (result != REMOTE_OK)
        return result;
    result = transfer(m);
    if (m->refused)
        m->target->db = -1;
    m->remote->release(m->target, result == REMOTE_OK);
    return result;
}

static void migrate(struct migration *m)
{
    struct endpoint to;
    if (!parse_target(m, &to)) {
        reply_error(m->rq->out,
                    "IOERR the target must be a numeric address and a port: names are not resolved");
        return;
    }
    enum remote_result result = attempt(m, &to);
    /* It may have been an old connection. What has been answered is not asked for again. */
    if (result == REMOTE_CLOSED && m->answered == 0 && !m->refused)
        result = attempt(m, &to);
    if (!m->copy)
        remove_arrived(m);
    if (m->refused)
        return;
    if (result == REMOTE_OK)
        reply_ok(m->rq->out);
    else
        reply_error(m->rq->out, m->fault);
}

enum command_result migrate_command(struct request *rq)
{
    struct migration m = {.rq = rq, .remote = rq->env->box ? rq->env->box->remote : NULL};
    bool may_wait = request_may_turn(rq) && m.remote;
    if (!parse(&m))
        return CMD_DONE;
    if (may_wait && m.key_args > MANY_KEYS) /* even to look for them takes long */
        return CMD_LONG;
    if (!find_keys(&m))
        reply_error(rq->out, "ERR out of memory for a table of the keys");
    else if (m.parcels == 0)
        reply_simple(rq->out, "NOKEY");
    else if (rq->turn)
        migrate(&m);
    else if (rq->again)
        reply_error(rq->out, "ERR too many commands wait for other servers, try again");
    else if (!may_wait)
        reply_error(rq->out, "ERR MIGRATE waits for another server: not in a transaction or a script");
    bool later = may_wait && m.parcels > 0;
    free(m.parcel);
    return later ? CMD_LONG : CMD_DONE;
}
