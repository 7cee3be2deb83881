/* audit.c: see audit.h. */
#include "command/audit.h"

#include "command/acl.h"
#include "command/slowlog.h"
#include "command/text.h"

#include <stdlib.h>

enum { ARGUMENTS = 12, ARGUMENT_BYTES = 64, RULES_BYTES = 380, HASH_HEX = 64, HASH_SHOWN = 8 };

static void add_quoted(struct text *t, struct slice s, size_t most)
{
    char quoted[TEXT_QUOTED];
    for (size_t i = 0; i < s.len && i < most; i++)
        text_add(t, (struct slice){(const uint8_t *)quoted, text_quote(quoted, s.p[i])});
    if (s.len > most)
        text_add(t, SLICE_LIT("..."));
}

/* Nobody has to be told of what control asked for itself: it knows. */
static bool is_wanted(const struct request *rq)
{
    return rq->env->box && rq->env->box->audit && !(rq->client->flags & CLIENT_INTERNAL);
}

static void add_who(struct text *t, const struct request *rq)
{
    const bool script = rq->client->flags & CLIENT_SCRIPT && rq->env->caller;
    const struct client *c = script ? rq->env->caller->client : rq->client; /* who called it */
    const struct acl_user *u = acl_user_of(rq->env, c);
    char peer[ENDPOINT_TEXT];
    endpoint_format(&c->peer, peer);
    text_add(t, SLICE_LIT("user "));
    add_quoted(t, u->name, ARGUMENT_BYTES);
    text_addf(t, " at %s%s\t%s\t", peer, script ? " (script)" : "", rq->cmd->full_name);
}

static void send(const struct request *rq, struct text *t, bool refused)
{
    text_add(t, refused ? SLICE_LIT("\trefused") : SLICE_LIT("\tok"));
    text_add(t, (struct slice){(const uint8_t *)"", 1});
    rq->env->box->audit(rq->env, t->failed ? "a client\tunknown\t(out of memory)\tunknown" : t->p);
    free(t->p);
}

void audit_command(const struct request *rq, bool refused)
{
    struct text t = {0};
    if (!is_wanted(rq))
        return;
    add_who(&t, rq);
    for (int i = 1; i < rq->argc && i < ARGUMENTS; i++) {
        if (i > 1)
            text_add(&t, SLICE_LIT(" "));
        add_quoted(&t, request_is_secret(rq, i) ? SLICE_LIT("(redacted)") : rq->argv[i], ARGUMENT_BYTES);
    }
    if (rq->argc > ARGUMENTS)
        text_addf(&t, " ... (%d more)", rq->argc - ARGUMENTS);
    send(rq, &t, refused);
}

/* -- users -- */

void audit_rules(struct text *t, const struct rights *r)
{
    if (r)
        rights_describe(r, t);
    else
        text_add(t, SLICE_LIT(" (none)"));
}

static bool is_hash(const char *p, size_t left)
{
    if (left < HASH_HEX + 1 || *p != '#')
        return false;
    for (size_t i = 1; i <= HASH_HEX; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
    return true;
}

/* A whole hash could be tried against lists of words. */
static void add_rules(struct text *t, const struct text *rules)
{
    const size_t most = rules->len < RULES_BYTES ? rules->len : RULES_BYTES;
    char quoted[TEXT_QUOTED];
    for (size_t i = 1; i < most; i++) {
        size_t shown = is_hash(rules->p + i, rules->len - i) ? HASH_SHOWN + 1 : 0;
        if (shown) {
            text_add(t, (struct slice){(const uint8_t *)rules->p + i, shown});
            text_add(t, SLICE_LIT("..."));
            i += HASH_HEX;
        } else {
            text_add(t, (struct slice){(const uint8_t *)quoted, text_quote(quoted, (uint8_t)rules->p[i])});
        }
    }
    if (most < rules->len)
        text_add(t, SLICE_LIT("..."));
}

void audit_user(const struct request *rq, struct slice name, const struct text *before, const struct text *after,
                bool refused)
{
    struct text t = {0};
    if (!is_wanted(rq))
        return;
    add_who(&t, rq);
    add_quoted(&t, name, ARGUMENT_BYTES);
    text_add(&t, SLICE_LIT(": "));
    add_rules(&t, before);
    text_add(&t, SLICE_LIT(" -> "));
    add_rules(&t, after);
    send(rq, &t, refused);
}
