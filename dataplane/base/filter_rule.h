/* filter_rule.h: one rule of the data port's packet filter as text and as fields:
 *
 *     permit|deny|reject [tcp|icmp|any] [from PREFIX] [to PREFIX] [port N|N-M]
 *
 * What is left out matches everything; a port stands for tcp. control/ checks the same grammar with a parser
 * of its own (control/check_filter.c), and tests/unit/control/test_filter.c holds both against each other. */
#pragma once
#include "base/endpoint.h"

enum filter_action {
    FILTER_PERMIT,
    FILTER_DENY,  /* no answer */
    FILTER_REJECT /* TCP: a reset; ICMP echo: "administratively prohibited" */
};

enum filter_protocol { FILTER_ANY, FILTER_TCP, FILTER_ICMP }; /* ICMP: ICMPv6 as well */
enum filter_family { FILTER_V4 = 1, FILTER_V6 = 2 };
enum { FILTER_RULES = 1024, FILTER_TEXT = 192 /* every rule fits, zero byte included */ };

struct filter_rule {
    uint8_t action, protocol;
    uint8_t families;             /* enum filter_family, both if no prefix is named */
    uint8_t from_bits, to_bits;   /* of 128, IPv4 as ::ffff:a.b.c.d; 0 = not named */
    uint16_t port_low, port_high; /* of the destination; 0 to 65535 = not named */
    struct ip_addr from, to;      /* bits beyond the prefix are 0 */
};

/* False if text is no rule. */
bool filter_rule_parse(const char *text, struct filter_rule *out);
/* The rule as filter_rule_parse reads it. */
void filter_rule_print(const struct filter_rule *r, char text[FILTER_TEXT]);
const char *filter_action_name(enum filter_action a);
bool filter_action_parse(const char *word, uint8_t *out);
/* What lies beyond the first `bits` of 128 becomes 0. */
void filter_mask(struct ip_addr *ip, unsigned bits);
