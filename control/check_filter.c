/* check_filter.c: `filter` and `connection-rate-prefix`: the grammar of dataplane/base/filter_rule.h, with an
 * error that names the wrong word. tests/unit/control/test_filter.c holds both parsers against each other. */
#include "control/directives.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct rule {
    char *state; /* of strtok_r */
    const char *word;
    struct text *out;
    const char **error;
    int family; /* of the prefix that was named, 0 = none */
};

/* The next word becomes the present one. */
static void step(struct rule *r)
{
    r->word = strtok_r(NULL, " \t", &r->state);
}

static bool is(const struct rule *r, const char *word)
{
    return r->word && strcasecmp(r->word, word) == 0;
}

/* Takes one of the words, NULL-terminated; adds it in lower case. */
static bool take(struct rule *r, const char *const *words)
{
    for (; *words; words++)
        if (is(r, *words)) {
            text_printf(r->out, "%s%s", r->out->len ? " " : "", *words);
            step(r);
            return true;
        }
    return false;
}

/* directive_check wants a text that stays: control has one thread. */
static bool wrong(const struct rule *r, const char *why)
{
    static char text[256];
    snprintf(text, sizeof text, "%.60s: %s", r->word ? r->word : "end of the rule", why);
    *r->error = text;
    return false;
}

/* Up to five digits without leading zeros; *end is what follows. */
static bool digits(const char *s, long most, long *out, const char **end)
{
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n > 5 || (*s == '0' && n > 1))
        return false;
    *out = strtol(s, NULL, 10);
    *end = s + n;
    return *out <= most;
}

/* The family of ADDRESS or ADDRESS/BITS; 0: neither. */
static int prefix_family(const char *word)
{
    uint8_t ip[16];
    const char *slash = strchr(word, '/'), *end;
    char *address = must_copy_n(word, slash ? (size_t)(slash - word) : strlen(word));
    long bits;
    int family = inet_pton(AF_INET, address, ip) == 1    ? AF_INET
                 : inet_pton(AF_INET6, address, ip) == 1 ? AF_INET6
                                                         : 0;
    free(address);
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (family == AF_INET6 && memcmp(ip, mapped, sizeof mapped) == 0)
        return 0;
    if (slash && (!digits(slash + 1, family == AF_INET ? 32 : 128, &bits, &end) || *end))
        return 0;
    return family;
}

static bool prefix(struct rule *r)
{
    int family = r->word ? prefix_family(r->word) : 0;
    if (!family)
        return wrong(r, "not ADDRESS or ADDRESS/BITS, IPv4 or IPv6");
    if (r->family && r->family != family)
        return wrong(r, "from and to must both be IPv4 or both IPv6");
    r->family = family;
    text_add(r->out, " ");
    for (const char *c = r->word; *c; c++) {
        char small = (char)tolower((unsigned char)*c);
        text_add_n(r->out, &small, 1);
    }
    step(r);
    return true;
}

static bool ports(struct rule *r)
{
    long low, high;
    const char *end = "x";
    bool good = r->word && digits(r->word, 65535, &low, &end);
    if (good && *end == '-')
        good = digits(end + 1, 65535, &high, &end) && high >= low;
    if (!good || *end)
        return wrong(r, "not a port from 0 to 65535, or LOW-HIGH");
    text_printf(r->out, " %s", r->word);
    step(r);
    return true;
}

static bool rule(struct rule *r)
{
    static const char *const actions[] = {"permit", "deny", "reject", NULL},
                             *const other[] = {"icmp", "any", NULL}, *const tcp[] = {"tcp", NULL},
                             *const from[] = {"from", NULL}, *const to[] = {"to", NULL},
                             *const port[] = {"port", NULL};
    if (!take(r, actions))
        return wrong(r, "a rule begins with permit, deny or reject");
    bool portless = !take(r, tcp) && take(r, other);
    if ((take(r, from) && !prefix(r)) || (take(r, to) && !prefix(r)))
        return false;
    if (is(r, "port") && portless)
        return wrong(r, "a port needs tcp");
    if (take(r, port) && !ports(r))
        return false;
    return !r->word ||
           wrong(r, "not expected here; the order is ACTION [tcp|icmp|any] [from PREFIX] [to PREFIX] "
                    "[port N|N-M]");
}

/* The words, each of which may hold several, in one line. */
static char *line_of(const struct words *w)
{
    struct text line = {0};
    text_add(&line, "");
    for (unsigned i = 0; i < w->n; i++)
        text_printf(&line, "%s%s", i ? " " : "", w->p[i]);
    return line.p;
}

bool check_filter(const struct words *w, const char *before, struct text *out, const char **error)
{
    (void)before;
    char *line = line_of(w);
    struct rule r = {.out = out, .error = error};
    r.word = strtok_r(line, " \t", &r.state);
    bool good = rule(&r);
    free(line);
    return good;
}

bool check_rate_prefix(const struct words *w, const char *before, struct text *out, const char **error)
{
    (void)before;
    char *line = line_of(w), *state;
    const char *v4 = strtok_r(line, " \t", &state), *v6 = v4 ? strtok_r(NULL, " \t", &state) : NULL, *end4,
               *end6;
    long bits4, bits6;
    *error = "not two numbers of bits: of IPv4 (1 to 32) and of IPv6 (1 to 128)";
    bool good = v6 && !strtok_r(NULL, " \t", &state) && digits(v4, 32, &bits4, &end4) && !*end4 && bits4 &&
                digits(v6, 128, &bits6, &end6) && !*end6 && bits6;
    if (good)
        text_printf(out, "%ld %ld", bits4, bits6);
    free(line);
    return good;
}
