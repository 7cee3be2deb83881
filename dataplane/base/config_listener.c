/* config_listener.c: see config_listener.h. */
#include "base/config_listener.h"
#include "base/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { WORD = 128 };

/* The next word; false at the end, or if it is too long. */
static bool take(const char **at, char word[WORD])
{
    *at += strspn(*at, " \t");
    size_t n = strcspn(*at, " \t");
    if (n == 0 || n >= WORD)
        return false;
    memcpy(word, *at, n);
    word[n] = 0;
    *at += n;
    return true;
}

static bool is_name(const char *s, size_t room)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("-_.", s[n])))
        n++;
    return n > 0 && n < room && !s[n];
}

static bool read_port(const char *s, uint16_t *port)
{
    size_t digits = strspn(s, "0123456789");
    unsigned long v = digits && digits < 6 && !s[digits] && *s != '0' ? strtoul(s, NULL, 10) : 0;
    *port = (uint16_t)v;
    return v > 0 && v <= UINT16_MAX;
}

static bool read_auth(const char *s, enum tls_auth *auth)
{
    static const char *const words[] = {[TLS_AUTH_NO] = "no", [TLS_AUTH_YES] = "yes", [TLS_AUTH_OPTIONAL] = "optional"};
    for (unsigned i = 0; i < 3; i++)
        if (strcasecmp(s, words[i]) == 0) {
            *auth = (enum tls_auth)i;
            return true;
        }
    return false;
}

static bool read_one(struct config_listener *l, const char *word, const char *value)
{
    if (strcasecmp(word, "port") == 0)
        return !l->port && read_port(value, &l->port);
    if (strcasecmp(word, "bind") == 0)
        return l->addresses < LISTENER_ADDRESSES && ip_parse(value, &l->address[l->addresses++]);
    if (strcasecmp(word, "tls") == 0) {
        l->tls = strcasecmp(value, "yes") == 0;
        return l->tls || strcasecmp(value, "no") == 0;
    }
    if (strcasecmp(word, "auth-clients") == 0) {
        l->own_auth = true;
        return read_auth(value, &l->auth);
    }
    if (strcasecmp(word, "user") == 0 && strlen(value) < LISTENER_USER) {
        memset(l->user, 0, sizeof l->user); /* the last one counts */
        strcpy(l->user, value);
        return true;
    }
    return false;
}

bool config_listener_parse(const char *text, struct config_listener *l)
{
    char word[WORD], value[WORD];
    *l = (struct config_listener){0};
    if (!take(&text, word) || !is_name(word, LISTENER_NAME))
        return false;
    strcpy(l->name, word);
    while (text += strspn(text, " \t"), *text)
        if (!take(&text, word) || !take(&text, value) || !read_one(l, word, value))
            return false;
    return l->port && (l->tls || !l->own_auth);
}

/* -- the directive -- */

bool config_parse_listener(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    if (!*text)
        return true;
    if (c->listeners == CONFIG_LISTENERS || !config_listener_parse(text, &c->listener[c->listeners]))
        return false;
    c->listeners++;
    return true;
}

void config_print_listeners(const struct config *c, const struct row *row, char *text, size_t size)
{
    size_t used = 0;
    (void)row;
    *text = 0;
    for (unsigned i = 0; i < c->listeners && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s:%u", i ? " " : "", c->listener[i].name,
                                 c->listener[i].port);
}

static bool has_address(const struct config *c, const struct ip_addr *a)
{
    for (unsigned i = 0; i < c->addresses; i++)
        if (ip_equal(&c->address[i].ip, a))
            return true;
    return false;
}

static bool fits(const struct config *c, unsigned at, char *error, size_t size)
{
    const struct config_listener *l = &c->listener[at];
    char address[ENDPOINT_TEXT];
    bool taken = l->port == c->port || l->port == c->tls_port || config_worker_of_port(c, l->port) >= 0;
    for (unsigned i = 0; i < at; i++) {
        taken = taken || c->listener[i].port == l->port;
        if (strcasecmp(c->listener[i].name, l->name) == 0) {
            snprintf(error, size, "listener: there are two of the name %s", l->name);
            return false;
        }
    }
    if (taken) {
        snprintf(error, size, "listener %s: port %u is taken by another listener", l->name, l->port);
        return false;
    }
    for (unsigned i = 0; i < l->addresses; i++)
        if (!has_address(c, &l->address[i])) {
            ip_format(&l->address[i], address);
            snprintf(error, size, "listener %s: %s is none of link-address", l->name, address);
            return false;
        }
    return true;
}

bool config_listeners_fit(const struct config *c, char *error, size_t size)
{
    for (unsigned i = 0; i < c->listeners; i++)
        if (!fits(c, i, error, size))
            return false;
    return true;
}

bool config_has_tls(const struct config *c)
{
    for (unsigned i = 0; i < c->listeners; i++)
        if (c->listener[i].tls)
            return true;
    return c->tls_port != 0;
}

bool config_asks_clients(const struct config *c)
{
    bool usual = c->tls_port;
    for (unsigned i = 0; i < c->listeners; i++) {
        const struct config_listener *l = &c->listener[i];
        if (l->tls && l->own_auth && l->auth != TLS_AUTH_NO)
            return true;
        usual = usual || (l->tls && !l->own_auth);
    }
    return usual && c->tls_auth_clients != TLS_AUTH_NO;
}
