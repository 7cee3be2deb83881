/* connection.c: one connection: OpenSSL's SSL object over a BIO that borrows received bytes where they lie
 * and writes records straight into what they leave in. */
#include "tls/private.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

enum { SPILL_MOST = 1 << 20 }; /* a handshake's flight and some records; more is never asked for */

/* -- the BIO
 * ---------------------------------------------------------------------------------------------------- */

static int wire_read(BIO *b, char *to, size_t room, size_t *n)
{
    struct tls *t = BIO_get_data(b);
    *n = 0;
    BIO_clear_retry_flags(b);
    while (*n < room) {
        struct slice part = t->ops->peek(t->wire, t->taken);
        size_t some = part.len < room - *n ? part.len : room - *n;
        if (some == 0)
            break;
        memcpy(to + *n, part.p, some);
        *n += some;
        t->taken += some;
    }
    if (*n == 0)
        BIO_set_retry_read(b);
    return *n > 0;
}

static bool spill(struct tls *t, const void *p, size_t n)
{
    if (t->spill_cap - t->spill_len < n) {
        size_t cap = t->spill_len + n;
        uint8_t *more = cap <= SPILL_MOST ? realloc(t->spill, cap) : NULL;
        if (!more)
            return false;
        t->spill = more;
        t->spill_cap = cap;
    }
    memcpy(t->spill + t->spill_len, p, n);
    t->spill_len += n;
    return true;
}

/* As many bytes as the wire has room for. */
static size_t put(struct tls *t, const uint8_t *p, size_t n)
{
    size_t done = 0, room;
    for (uint8_t *to; done < n && (to = t->ops->reserve(t->wire, &room));) {
        size_t some = room < n - done ? room : n - done;
        memcpy(to, p + done, some);
        t->ops->commit(t->wire, some);
        done += some;
    }
    return done;
}

bool connection_put(struct tls *t, const uint8_t *p, size_t n)
{
    size_t done = t->spill_len ? 0 : put(t, p, n);
    return done == n || spill(t, p + done, n - done);
}

/* Takes everything: a record that was begun must not wait in OpenSSL. */
static int wire_write(BIO *b, const char *p, size_t n, size_t *written)
{
    BIO_clear_retry_flags(b);
    *written = n;
    return connection_put(BIO_get_data(b), (const uint8_t *)p, n);
}

static long wire_control(BIO *b, int command, long number, void *p)
{
    (void)b, (void)number, (void)p;
    return command == BIO_CTRL_FLUSH;
}

static int wire_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *wire_method; /* made by tls_start, before there are workers */

bool connection_start(void)
{
    if (wire_method)
        return true;
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (m && BIO_meth_set_read_ex(m, wire_read) && BIO_meth_set_write_ex(m, wire_write) &&
        BIO_meth_set_ctrl(m, wire_control) && BIO_meth_set_create(m, wire_create))
        wire_method = m;
    else
        BIO_meth_free(m);
    return wire_method;
}

/* -- life
 * ------------------------------------------------------------------------------------------------------- */

struct tls *tls_new(struct tls_context *context, const struct tls_wire *ops, void *wire)
{
    struct tls *t = calloc(1, sizeof *t);
    SSL *ssl = t ? SSL_new(context_ssl(context)) : NULL;
    BIO *b = ssl ? BIO_new(wire_method) : NULL;
    if (t)
        *t = (struct tls){.ssl = ssl, .ops = ops, .wire = wire};
    if (!b || !traffic_begin(t)) {
        BIO_free(b);
        SSL_free(ssl);
        free(t);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(b, t);
    SSL_set_bio(ssl, b, b);
    SSL_set_accept_state(ssl);
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    traffic_free(t);
    SSL_free(t->ssl);
    free(t->spill);
    free(t);
}

void tls_settle(struct tls *t)
{
    if (!t->ours || !t->ssl)
        return;
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* it did not end badly */
    SSL_free(t->ssl);
    t->ssl = NULL;
}

/* -- failures
 * --------------------------------------------------------------------------------------------------- */

static const struct {
    int reason;
    enum tls_failure failure;
} reasons[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAILURE_NO_CERTIFICATE},
    {SSL_R_CERTIFICATE_VERIFY_FAILED, TLS_FAILURE_BAD_CERTIFICATE},
    {SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAILURE_NO_COMMON},
    {SSL_R_NO_SHARED_CIPHER, TLS_FAILURE_NO_COMMON},
    {SSL_R_NO_SHARED_GROUPS, TLS_FAILURE_NO_COMMON},
    {SSL_R_NO_SUITABLE_KEY_SHARE, TLS_FAILURE_NO_COMMON},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, TLS_FAILURE_NO_COMMON},
    {SSL_R_VERSION_TOO_LOW, TLS_FAILURE_NO_COMMON},
    {SSL_R_WRONG_VERSION_NUMBER, TLS_FAILURE_GARBAGE},
    {SSL_R_HTTP_REQUEST, TLS_FAILURE_GARBAGE},
    {SSL_R_HTTPS_PROXY_REQUEST, TLS_FAILURE_GARBAGE},
    {SSL_R_UNEXPECTED_MESSAGE, TLS_FAILURE_GARBAGE},
    {SSL_R_BAD_RECORD_TYPE, TLS_FAILURE_GARBAGE},
    {ERR_R_MALLOC_FAILURE, TLS_FAILURE_MEMORY},
};

static enum tls_failure failure_of(unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL && reason != ERR_R_MALLOC_FAILURE)
        return TLS_FAILURE_OTHER;
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return TLS_FAILURE_ALERT;
    for (unsigned i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].reason == reason)
            return reasons[i].failure;
    return TLS_FAILURE_OTHER;
}

/* What came of a call that did not succeed. */
static enum tls_result verdict(struct tls *t, int returned)
{
    int error = SSL_get_error(t->ssl, returned);
    if (error == SSL_ERROR_WANT_READ)
        return TLS_WAIT;
    if (error == SSL_ERROR_ZERO_RETURN)
        return TLS_CLOSED;
    t->failed = true;
    t->failure = failure_of(ERR_peek_error());
    if (t->failure == TLS_FAILURE_OTHER) /* the first may be what a cipher said, of which the last says what it was about */
        t->failure = failure_of(ERR_peek_last_error());
    ERR_clear_error();
    return TLS_FAILED;
}

/* -- bytes
 * ------------------------------------------------------------------------------------------------------ */

/* Has the server's flight, with what is dear, been made? In TLS 1.3 our Finished is its end; a HelloRetryRequest, after which
 * OpenSSL's state is the same, has none: the key agreement and the signature are yet to come. */
static bool flight_has_left(const SSL *ssl)
{
    const OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
    uint8_t finished[1];
    return state != TLS_ST_BEFORE && state != TLS_ST_SR_CLNT_HELLO &&
           (SSL_version(ssl) < TLS1_3_VERSION || SSL_get_finished(ssl, finished, sizeof finished) > 0);
}

enum tls_result tls_handshake(struct tls *t, uint64_t now_ms)
{
    struct tickets *tickets = context_tickets(t->ssl);
    if (tickets)
        tickets_follow(tickets, now_ms);
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    t->under_way = flight_has_left(t->ssl);
    if (r != 1)
        return verdict(t, r);
    traffic_take(t);
    t->done = true;
    t->resumed = SSL_session_reused(t->ssl);
    t->version = SSL_get_version(t->ssl);
    t->cipher = SSL_get_cipher(t->ssl);
    return TLS_DONE;
}

bool tls_under_way(const struct tls *t)
{
    return t->under_way;
}

enum tls_result tls_read(struct tls *t, uint8_t *to, size_t room, size_t *n)
{
    *n = 0;
    if (t->ours)
        return traffic_read(t, to, room, n);
    ERR_clear_error();
    int r = SSL_read_ex(t->ssl, to, room, n);
    return r == 1 ? TLS_DONE : verdict(t, r);
}

bool tls_drained(const struct tls *t, size_t available)
{
    return t->ours && traffic_drained(t, available);
}

size_t tls_pending(const struct tls *t)
{
    return t->ours ? t->opened_len - t->opened_off : (size_t)SSL_pending(t->ssl);
}

size_t tls_gathered(const struct tls *t)
{
    return t->part_len;
}

size_t tls_taken(struct tls *t)
{
    size_t n = t->taken;
    t->taken = 0;
    return n;
}

bool tls_write(struct tls *t, const void *p, size_t n)
{
    size_t written;
    if (n == 0)
        return true;
    if (t->ours)
        return !t->failed && traffic_write(t, p, n);
    ERR_clear_error();
    return !t->failed && (SSL_write_ex(t->ssl, p, n, &written) == 1 || verdict(t, 0) == TLS_WAIT);
}

bool tls_spilled(const struct tls *t)
{
    return t->spill_len > 0;
}

bool tls_flush(struct tls *t)
{
    if (t->spill_len == 0)
        return true;
    t->spill_off += put(t, t->spill + t->spill_off, t->spill_len - t->spill_off);
    if (t->spill_off < t->spill_len)
        return false;
    free(t->spill);
    t->spill = NULL;
    t->spill_off = t->spill_len = t->spill_cap = 0;
    return true;
}

void tls_end(struct tls *t)
{
    if (!t->done || t->failed || t->ended)
        return;
    if (t->ours) {
        traffic_end(t);
        return;
    }
    t->ended = true;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

/* -- what it is
 * ------------------------------------------------------------------------------------------------- */

enum tls_failure tls_failure(const struct tls *t)
{
    return t->failure;
}

bool tls_resumed(const struct tls *t)
{
    return t->resumed;
}

const char *tls_version(const struct tls *t)
{
    return t->version;
}

const char *tls_cipher(const struct tls *t)
{
    return t->cipher;
}

static bool give_name(const ASN1_STRING *name, enum certificate_name kind,
                      bool (*fn)(enum certificate_name kind, struct slice name, void *arg), void *arg)
{
    int n = ASN1_STRING_length(name);
    const uint8_t *p = ASN1_STRING_get0_data(name);
    if (n <= 0 || memchr(p, 0, (size_t)n)) /* a zero byte has been used to deceive */
        return true;
    return fn(kind, (struct slice){p, (size_t)n}, arg);
}

static void each_alternative(X509 *x, bool (*fn)(enum certificate_name kind, struct slice name, void *arg),
                             void *arg)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool on = true;
    for (int i = 0; on && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            on = give_name(name->d.dNSName, CERTIFICATE_DNS, fn, arg);
        else if (name->type == GEN_URI)
            on = give_name(name->d.uniformResourceIdentifier, CERTIFICATE_URI, fn, arg);
    }
    GENERAL_NAMES_free(names);
}

bool tls_each_name(const struct tls *t, bool (*fn)(enum certificate_name kind, struct slice name, void *arg),
                   void *arg)
{
    X509 *x = t->ssl ? SSL_get0_peer_certificate(t->ssl) : NULL;
    if (!x || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return false;
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 ||
        give_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), CERTIFICATE_CN, fn, arg))
        each_alternative(x, fn, arg);
    ERR_clear_error();
    return true;
}
