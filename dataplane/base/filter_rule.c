/* filter_rule.c: rules of the packet filter, from text and back. */
#include "base/filter_rule.h"
#include "base/number.h"

#include <stdio.h>
#include <strings.h>

static const char *const actions[] = {"permit", "deny", "reject"};
static const char *const protocols[] = {"any", "tcp", "icmp"};

static int word_in(const char *const *list, int n, const char *word)
{
    for (int i = 0; word && i < n; i++)
        if (strcasecmp(list[i], word) == 0)
            return i;
    return -1;
}

const char *filter_action_name(enum filter_action a)
{
    return actions[a];
}

bool filter_action_parse(const char *word, uint8_t *out)
{
    int i = word_in(actions, 3, word);
    if (i >= 0)
        *out = (uint8_t)i;
    return i >= 0;
}

void filter_mask(struct ip_addr *ip, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;
        ip->b[i] &= keep >= 8 ? 0xff : (uint8_t)(0xff00 >> keep);
    }
}

/* Each prefix leaves the rule with its own family alone. */
static bool take_prefix(const char *text, struct filter_rule *r, struct ip_addr *ip, uint8_t *bits)
{
    unsigned b;
    if (!text || !ip_parse_prefix(text, ip, &b))
        return false;
    bool v4 = ip_is_v4(ip);
    *bits = (uint8_t)(v4 ? b + 96 : b);
    r->families &= v4 ? FILTER_V4 : FILTER_V6;
    filter_mask(ip, *bits);
    return r->families != 0;
}

static bool take_ports(const char *text, struct filter_rule *r)
{
    const char *dash = text ? strchr(text, '-') : NULL;
    int64_t low, high;
    if (!text ||
        !parse_i64((struct slice){(const uint8_t *)text, dash ? (size_t)(dash - text) : strlen(text)}, &low))
        return false;
    high = low;
    if ((dash && !parse_i64(slice_str(dash + 1), &high)) || low < 0 || high < low || high > UINT16_MAX)
        return false;
    r->port_low = (uint16_t)low;
    r->port_high = (uint16_t)high;
    if (r->protocol == FILTER_ANY)
        r->protocol = FILTER_TCP;
    return r->protocol == FILTER_TCP;
}

bool filter_rule_parse(const char *text, struct filter_rule *out)
{
    struct filter_rule r = {.families = FILTER_V4 | FILTER_V6, .port_high = UINT16_MAX};
    char line[FILTER_TEXT], *state;
    bool any = false;
    if (snprintf(line, sizeof line, "%s", text) >= (int)sizeof line ||
        !filter_action_parse(strtok_r(line, " \t", &state), &r.action))
        return false;
    char *word = strtok_r(NULL, " \t", &state);
    int protocol = word_in(protocols, 3, word);
    if (protocol >= 0) {
        r.protocol = (uint8_t)protocol;
        any = protocol == FILTER_ANY;
        word = strtok_r(NULL, " \t", &state);
    }
    if (word && strcasecmp(word, "from") == 0) {
        if (!take_prefix(strtok_r(NULL, " \t", &state), &r, &r.from, &r.from_bits))
            return false;
        word = strtok_r(NULL, " \t", &state);
    }
    if (word && strcasecmp(word, "to") == 0) {
        if (!take_prefix(strtok_r(NULL, " \t", &state), &r, &r.to, &r.to_bits))
            return false;
        word = strtok_r(NULL, " \t", &state);
    }
    if (word && strcasecmp(word, "port") == 0) {
        if (any || !take_ports(strtok_r(NULL, " \t", &state), &r))
            return false;
        word = strtok_r(NULL, " \t", &state);
    }
    *out = r;
    return word == NULL;
}

static size_t print_prefix(char *text, size_t used, const char *word, const struct ip_addr *ip, unsigned bits)
{
    char address[ENDPOINT_TEXT];
    ip_format(ip, address);
    return used + (size_t)snprintf(text + used, FILTER_TEXT - used, " %s %s/%u", word, address,
                                   ip_is_v4(ip) ? bits - 96 : bits);
}

/* A prefix of no bits at all still names its family. */
static bool named(const struct filter_rule *r, unsigned bits, unsigned other)
{
    return bits || (r->families != (FILTER_V4 | FILTER_V6) && !other);
}

void filter_rule_print(const struct filter_rule *r, char text[FILTER_TEXT])
{
    size_t used = (size_t)snprintf(text, FILTER_TEXT, "%s", actions[r->action]);
    if (r->protocol != FILTER_ANY)
        used += (size_t)snprintf(text + used, FILTER_TEXT - used, " %s", protocols[r->protocol]);
    if (named(r, r->from_bits, r->to_bits))
        used = print_prefix(text, used, "from", &r->from, r->from_bits);
    if (r->to_bits)
        used = print_prefix(text, used, "to", &r->to, r->to_bits);
    if (r->port_low || r->port_high != UINT16_MAX)
        snprintf(text + used, FILTER_TEXT - used, r->port_low == r->port_high ? " port %u" : " port %u-%u",
                 r->port_low, r->port_high);
}
