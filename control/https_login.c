/* https_login.c: who asks: a token, or the names of a certificate. A refused login is answered late, the
 * later the more of them came from there. */
#include "control/audit.h"
#include "control/https_connection.h"
#include "control/metrics.h"

#include <event2/bufferevent_ssl.h>
#include <stdio.h>
#include <string.h>

/* The audit log tells of a session, not of each of its requests. */
static void note_login(struct https_connection *k, const char *identity)
{
    enum { SESSION_MS = 600000 };
    struct source *s = k->source;
    uint64_t now = monotonic_ms();
    bool same = strncmp(s->login, identity, sizeof s->login - 1) == 0 && now - s->login_ms < SESSION_MS;
    s->login_ms = now;
    snprintf(s->login, sizeof s->login, "%s", identity);
    if (!same)
        audit_note(k->carrier.control->audit, k->carrier.who, k->carrier.from, "login",
                   json_pack("{s:s}", "role", role_name(k->carrier.role)), "ok");
}

static bool by_token(struct https_connection *k)
{
    struct token_view view;
    struct carrier *c = &k->carrier;
    if (!k->head.token || !tokens_check(c->control->tokens, k->head.token, time(NULL), &view))
        return false;
    c->role = view.role;
    c->until = view.expires;
    memcpy(c->token, view.id, sizeof c->token);
    snprintf(c->who, sizeof c->who, "token %s (%s) at %s", view.id, view.name, k->address);
    note_login(k, view.id);
    return true;
}

static bool by_certificate(struct https_connection *k)
{
    struct words names = {0};
    struct carrier *c = &k->carrier;
    https_tls_names(bufferevent_openssl_get_ssl(k->stream), &names);
    bool sent = names.n > 0;
    if (sent) {
        c->role = role_of_certificate(commit_running(c->control->commit), &names);
        snprintf(c->who, sizeof c->who, "certificate %.100s at %s", names.p[0], k->address);
        if (c->role)
            note_login(k, names.p[0]);
    }
    words_free(&names);
    return sent;
}

/* Nobody: the answer is held back. */
static void refuse_login(struct https_connection *k, const char *why)
{
    const unsigned ms = source_failed(k->source, monotonic_ms());
    const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    k->https->refused_logins++;
    audit_refusal(k->carrier.control->audit, k->address, k->carrier.from, "login", why);
    https_forget(k);
    k->keep = false;
    k->phase = HTTPS_HELD;
    bufferevent_disable(k->stream, EV_READ);
    evtimer_del(k->deadline);
    evtimer_add(k->deadline, &wait);
}

bool https_identify(struct https_connection *k)
{
    k->carrier.role = ROLE_NONE;
    k->carrier.until = 0;
    *k->carrier.token = 0;
    snprintf(k->carrier.who, sizeof k->carrier.who, "somebody at %s", k->address);
    if (k->head.authorized ? by_token(k) : by_certificate(k))
        return true;
    refuse_login(k, !k->head.authorized ? "refused: neither a token nor a certificate"
                    : k->head.token     ? "refused: no such token, or it has expired"
                                        : "refused: not a bearer token");
    return false;
}
