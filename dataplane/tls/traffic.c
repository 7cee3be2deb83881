/* traffic.c: the records of a connection whose handshake OpenSSL has done (TLS 1.3, RFC 8446 sections 4.6.3,
 * 5 and 6). They are opened from received frames into the reader's buffer and sealed into the frames they
 * leave in. A client may send data, alerts and KeyUpdates; whatever else it sends ends the connection. A
 * KeyUpdate has a record to itself, as section 5.1 wants it of messages before a change of keys, and does not
 * come in pieces, which nobody does. */
#include "tls/private.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <string.h>

enum { KEY_UPDATE = 24, CLOSE_NOTIFY = 0, WARNING = 1, FATAL = 2 };
enum { IDLE_MOST = 32 }; /* records without data, one behind the other: each costs us more than its sender */

uint64_t traffic_records_most = 1 << 24;

/* -- from OpenSSL ---------------------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of hexadecimal digits to the end of the line; how many bytes. */
static size_t secret_of(const char *hex, uint8_t secret[RECORD_SECRET])
{
    size_t n = 0;
    for (; n < RECORD_SECRET; n++, hex += 2) {
        int high = digit(hex[0]), low = high < 0 ? -1 : digit(hex[1]);
        if (low < 0)
            break;
        secret[n] = (uint8_t)(high << 4 | low);
    }
    return *hex ? 0 : n;
}

/* "LABEL client-random secret", SSL_CTX_set_keylog_callback(3). OpenSSL wipes the line. */
static void secret_told(const SSL *ssl, const char *line)
{
    static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ", server[] = "SERVER_TRAFFIC_SECRET_0 ";
    struct tls *t = SSL_get_app_data(ssl);
    bool reads = strncmp(line, client, sizeof client - 1) == 0;
    const char *hex = strrchr(line, ' ');
    if (!t || t->done || !hex || (!reads && strncmp(line, server, sizeof server - 1) != 0))
        return;
    struct record_way *w = reads ? &t->in : &t->out;
    w->suite = record_suite(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)));
    w->number = 0;
    if (!w->suite || secret_of(hex + 1, w->secret) != record_secret_len(w->suite))
        record_wipe(w);
    t->both_secrets = t->in.suite && t->in.suite == t->out.suite;
}

/* Counts the records that OpenSSL seals under the secret that it has told (tickets), so that ours go on from
 * there. */
static void record_told(int writes, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
    struct tls *t = arg;
    (void)version, (void)p, (void)n, (void)ssl;
    if (writes && type == SSL3_RT_HEADER && !t->done)
        t->out.number++;
}

void traffic_follow(SSL_CTX *ssl)
{
    SSL_CTX_set_keylog_callback(ssl, secret_told);
}

bool traffic_begin(struct tls *t)
{
    SSL_set_msg_callback(t->ssl, record_told);
    SSL_set_msg_callback_arg(t->ssl, t);
    return SSL_set_app_data(t->ssl, t) == 1;
}

/* RFC 6066 section 4. */
static bool wants_short_records(const SSL *ssl)
{
    const SSL_SESSION *s = SSL_get_session(ssl);
    return s && SSL_SESSION_get_max_fragment_length(s) != TLSEXT_max_fragment_length_DISABLED;
}

/* Does it wait for nothing that was received, and is everything known? */
static bool can_be_ours(const struct tls *t)
{
    return SSL_version(t->ssl) == TLS1_3_VERSION && t->both_secrets && !SSL_has_pending(t->ssl) &&
           SSL_get_state(t->ssl) == TLS_ST_OK && !wants_short_records(t->ssl);
}

void traffic_take(struct tls *t)
{
    t->ours =
        can_be_ours(t) && record_key(&t->in, t->in.suite) && record_key(&t->out, t->out.suite);
    SSL_set_msg_callback(t->ssl, NULL);
    if (t->ours)
        return;
    record_wipe(&t->in);
    record_wipe(&t->out);
    ERR_clear_error();
}

void traffic_free(struct tls *t)
{
    record_wipe(&t->in);
    record_wipe(&t->out);
    OPENSSL_free(t->part);
    OPENSSL_clear_free(t->opened, t->opened_len);
}

/* -- out ------------------------------------------------------------------------------------------------- */

static bool fail(struct tls *t, enum tls_failure why)
{
    t->failed = true;
    t->failure = why;
    ERR_clear_error();
    return false;
}

/* Into the frame it leaves in, if that has room for all of it. A longer record is sealed aside: the cipher is slower over
 * pieces of a frame's length than over the whole and a copy (seal_bench). */
static bool emit(struct tls *t, enum record_type type, const uint8_t *p, size_t n)
{
    static __thread uint8_t record[RECORD_PLAIN + RECORD_EXTRA];
    size_t room = 0, len = n + RECORD_EXTRA;
    uint8_t *to = t->spill_len ? NULL : t->ops->reserve(t->wire, &room);
    if (to && room >= len) {
        if (!record_seal(&t->out, type, p, n, to))
            return fail(t, TLS_FAILURE_OTHER);
        t->ops->commit(t->wire, len);
        return true;
    }
    if (!record_seal(&t->out, type, p, n, record))
        return fail(t, TLS_FAILURE_OTHER);
    return connection_put(t, record, len) || fail(t, TLS_FAILURE_MEMORY);
}

/* A new key for what we send; the peer need not answer with one of its own. */
static bool renew(struct tls *t)
{
    static const uint8_t update[] = {KEY_UPDATE, 0, 0, 1, 0};
    t->renew = false;
    if (!emit(t, RECORD_HANDSHAKE, update, sizeof update))
        return false;
    return record_renew(&t->out) || fail(t, TLS_FAILURE_MEMORY);
}

bool traffic_write(struct tls *t, const uint8_t *p, size_t n)
{
    if (t->ended)
        return false;
    for (size_t some; n; p += some, n -= some) {
        some = n < RECORD_PLAIN ? n : RECORD_PLAIN;
        if ((t->renew || t->out.number >= traffic_records_most) && !renew(t))
            return false;
        if (!emit(t, RECORD_DATA, p, some))
            return false;
    }
    return true;
}

static void alert(struct tls *t, uint8_t level, uint8_t what)
{
    if (!t->ended)
        (void)emit(t, RECORD_ALERT, (const uint8_t[]){level, what}, 2);
    t->ended = true;
}

void traffic_end(struct tls *t)
{
    alert(t, WARNING, CLOSE_NOTIFY);
}

/* -- in -------------------------------------------------------------------------------------------------- */

/* Ends the connection because of what has come. */
static enum tls_result refuse(struct tls *t, unsigned what)
{
    alert(t, FATAL, (uint8_t)what);
    fail(t, TLS_FAILURE_OTHER);
    return TLS_FAILED;
}

/* What is neither data nor damaged. TLS_DONE: go on reading. */
static enum tls_result understand(struct tls *t, uint8_t type, const uint8_t *p, size_t n)
{
    static const uint8_t update[] = {KEY_UPDATE, 0, 0, 1};
    if (type == RECORD_ALERT && n == 2) {
        if (p[1] == ALERT_USER_CANCELED)
            return TLS_DONE;
        t->closed = p[1] == CLOSE_NOTIFY;
        if (!t->closed)
            fail(t, TLS_FAILURE_ALERT);
        return t->closed ? TLS_CLOSED : TLS_FAILED;
    }
    if (type != RECORD_HANDSHAKE || n != sizeof update + 1 || memcmp(p, update, sizeof update) != 0)
        return refuse(t, ALERT_UNEXPECTED_MESSAGE);
    if (p[4] > 1)
        return refuse(t, ALERT_ILLEGAL_PARAMETER);
    t->renew |= p[4];
    return record_renew(&t->in) ? TLS_DONE : refuse(t, ALERT_INTERNAL_ERROR);
}

/* Adds to the record that has come in pieces until it is whole. */
static enum tls_result gather(struct tls *t)
{
    while (t->part_len < t->part_want) {
        struct slice s = t->ops->peek(t->wire, t->taken);
        size_t missing = t->part_want - t->part_len, some = s.len < missing ? s.len : missing, body;
        if (some == 0)
            return TLS_WAIT;
        memcpy(t->part + t->part_len, s.p, some);
        t->part_len += some;
        t->taken += some;
        if (t->part_len != RECORD_HEAD)
            continue;
        unsigned what = record_head(t->part, &body);
        if (what)
            return refuse(t, what);
        uint8_t *whole = OPENSSL_realloc(t->part, RECORD_HEAD + body);
        if (!whole)
            return refuse(t, ALERT_INTERNAL_ERROR);
        t->part = whole;
        t->part_want = RECORD_HEAD + body;
    }
    return TLS_DONE;
}

/* The next record, whole: where it lies, and how long its body is. */
static enum tls_result next(struct tls *t, const uint8_t **record, size_t *body)
{
    struct slice s = t->part ? (struct slice){NULL, 0} : t->ops->peek(t->wire, t->taken);
    if (s.len >= RECORD_HEAD) {
        unsigned what = record_head(s.p, body);
        if (what)
            return refuse(t, what);
        if (s.len >= RECORD_HEAD + *body) {
            t->taken += RECORD_HEAD + *body;
            *record = s.p;
            return TLS_DONE;
        }
    }
    if (!t->part) {
        if (!t->ops->peek(t->wire, t->taken).len)
            return TLS_WAIT;
        t->part = OPENSSL_malloc(RECORD_HEAD);
        t->part_want = RECORD_HEAD;
        t->part_len = 0;
        if (!t->part)
            return refuse(t, ALERT_INTERNAL_ERROR);
    }
    enum tls_result r = gather(t);
    *record = t->part;
    *body = t->part_want - RECORD_HEAD;
    return r;
}

/* What is left of a record that was more than the reader had room for. */
static size_t rest(struct tls *t, uint8_t *to, size_t room)
{
    size_t left = t->opened_len - t->opened_off, some = left < room ? left : room;
    memcpy(to, t->opened + t->opened_off, some);
    t->opened_off += some;
    if (some == left) {
        OPENSSL_clear_free(t->opened, t->opened_len);
        t->opened = NULL;
        t->opened_off = t->opened_len = 0;
    }
    return some;
}

/* Opens the next record: into `to` if all of it has room there, with *n bytes of data, else into t->opened.
 */
static enum tls_result open_next(struct tls *t, uint8_t *to, size_t room, size_t *n)
{
    const uint8_t *record;
    uint8_t type, *into = to;
    size_t body, len;
    enum tls_result r = next(t, &record, &body);
    if (r != TLS_DONE)
        return r;
    bool fits = body - RECORD_TAG <= room;
    if (!fits && !(into = OPENSSL_malloc(body - RECORD_TAG)))
        return refuse(t, ALERT_INTERNAL_ERROR);
    unsigned what = record_open(&t->in, record, record + RECORD_HEAD, body, into, &len, &type);
    if (record == t->part) {
        OPENSSL_free(t->part);
        t->part = NULL;
        t->part_len = t->part_want = 0;
    }
    t->idle = !what && type == RECORD_DATA && len ? 0 : t->idle + 1;
    if (!what && t->idle > IDLE_MOST)
        what = ALERT_UNEXPECTED_MESSAGE;
    if (!what && type == RECORD_DATA && fits)
        *n = len;
    else if (!what && type == RECORD_DATA) {
        t->opened = into;
        t->opened_len = len;
        return TLS_DONE;
    } else
        r = what ? refuse(t, what) : understand(t, type, into, len);
    if (!fits)
        OPENSSL_clear_free(into, body - RECORD_TAG);
    return r;
}

bool traffic_drained(const struct tls *t, size_t available)
{
    return !t->opened && t->taken >= available;
}

enum tls_result traffic_read(struct tls *t, uint8_t *to, size_t room, size_t *n)
{
    enum tls_result r = TLS_DONE;
    if (t->failed)
        return TLS_FAILED;
    while (r == TLS_DONE && *n == 0 && room) {
        if (t->opened)
            *n = rest(t, to, room);
        else
            r = t->closed ? TLS_CLOSED : open_next(t, to, room, n);
    }
    return r;
}
