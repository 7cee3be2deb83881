/* check_listener.c: `listener`: the grammar of dataplane/base/config_listener.h, with an error that names the wrong word.
 * tests/unit/control/test_listener.c holds both parsers against each other. Whether ports and addresses go together is
 * the dataplane's to say. */
#include "control/directives.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_BYTES = 31, USER_MAX_BYTES = 63, ADDRESSES_MAX = 8, WORD_MAX = 127 };

/* directive_check wants a text that stays: control has one thread. */
static bool wrong(const char **error, const char *word, const char *why)
{
    static char text[256];
    snprintf(text, sizeof text, "%.60s: %s", word, why);
    *error = text;
    return false;
}

static bool is_name(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("-_.", s[n])))
        n++;
    return n > 0 && n <= NAME_MAX_BYTES && !s[n];
}

static bool is_port(const char *s)
{
    size_t digits = strspn(s, "0123456789");
    return digits && digits < 6 && !s[digits] && *s != '0' && strtol(s, NULL, 10) <= 65535;
}

bool address_canonical(const char *s, char canonical[INET6_ADDRSTRLEN])
{
    unsigned char bytes[16];
    int family = strchr(s, ':') ? AF_INET6 : AF_INET;
    return inet_pton(family, s, bytes) == 1 && inet_ntop(family, bytes, canonical, INET6_ADDRSTRLEN);
}

static bool one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(s, *words) == 0)
            return true;
    return false;
}

struct listener {
    const char *port, *tls, *auth, *user;
    struct words bind;
};

static const char *take(struct listener *l, const char *word, const char *value)
{
    static const char *const yes_no[] = {"yes", "no", NULL}, *const auth[] = {"yes", "no", "optional", NULL};
    char address[INET6_ADDRSTRLEN];
    if (strcasecmp(word, "port") == 0) {
        const char *before = l->port;
        l->port = value;
        return before ? "one port a listener" : is_port(value) ? NULL : "is no port (1 to 65535)";
    }
    if (strcasecmp(word, "bind") == 0) {
        if (!address_canonical(value, address))
            return "is no address";
        words_add(&l->bind, must_copy(address));
        return l->bind.n > ADDRESSES_MAX ? "more than 8 addresses" : NULL;
    }
    if (strcasecmp(word, "tls") == 0) {
        l->tls = value;
        return one_of(value, yes_no) ? NULL : "yes or no is needed";
    }
    if (strcasecmp(word, "auth-clients") == 0) {
        l->auth = value;
        return one_of(value, auth) ? NULL : "yes, no or optional is needed";
    }
    if (strcasecmp(word, "user") == 0) {
        l->user = value;
        return strlen(value) <= USER_MAX_BYTES ? NULL : "a name of at most 63 bytes is needed";
    }
    return "not known; port, bind, tls, auth-clients or user is needed";
}

static void add_lower(struct text *out, const char *name, const char *value)
{
    text_printf(out, " %s ", name);
    for (; *value; value++)
        text_printf(out, "%c", tolower((unsigned char)*value));
}

static bool read_words(struct listener *l, const struct words *w, const char **error)
{
    if (w->n == 0 || !is_name(w->p[0]))
        return wrong(error, w->n ? w->p[0] : "listener", "a name of letters, digits, '-', '_' and '.' is needed (31 at most)");
    for (unsigned i = 1; i < w->n; i += 2) {
        const char *value = i + 1 < w->n ? w->p[i + 1] : NULL;
        const char *why = !value                     ? "a value is missing"
                          : strlen(value) > WORD_MAX ? "is too long"
                                                     : take(l, w->p[i], value);
        if (why)
            return wrong(error, value && strncmp(why, "not known", 9) != 0 ? value : w->p[i], why);
    }
    if (!l->port)
        return wrong(error, w->p[0], "a port is needed: listener NAME port N");
    if (l->auth && (!l->tls || strcasecmp(l->tls, "yes") != 0))
        return wrong(error, w->p[0], "auth-clients needs tls yes");
    return true;
}

bool check_listener(const struct words *given, const char *before, struct text *out, const char **error)
{
    struct listener l = {0};
    struct words w = {0};
    (void)before;
    for (unsigned i = 0; i < given->n; i++) /* CONFIG SET has them in one word */
        for (const char *s = given->p[i] + strspn(given->p[i], " \t"); *s; s += strspn(s, " \t")) {
            size_t n = strcspn(s, " \t");
            words_add(&w, must_copy_n(s, n));
            s += n;
        }
    bool good = read_words(&l, &w, error);
    if (good) {
        text_printf(out, "%s port %s", w.p[0], l.port);
        for (unsigned i = 0; i < l.bind.n; i++)
            text_printf(out, " bind %s", l.bind.p[i]);
        if (l.tls && strcasecmp(l.tls, "yes") == 0)
            text_add(out, " tls yes");
        if (l.auth)
            add_lower(out, "auth-clients", l.auth);
        if (l.user)
            text_printf(out, " user %s", l.user);
    }
    words_free(&l.bind);
    words_free(&w);
    return good;
}
