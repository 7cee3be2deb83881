/* test_filter.c: rules of the packet filter: their text, and rte_acl's answers against a plain loop over the
 * rules. */
#include "net/filter.h"
#include "rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 88172645463325252ull;

static unsigned draw(unsigned n)
{
    return (unsigned)(unit_random(&state) >> 33) % n;
}

/* -- text --------------------------------------------------------------------------------------------- */

static void reads_as(const char *text, const char *printed)
{
    struct filter_rule r;
    char again[FILTER_TEXT] = "";
    CU_ASSERT_TRUE(filter_rule_parse(text, &r));
    filter_rule_print(&r, again);
    CU_ASSERT_STRING_EQUAL(again, printed);
    if (strcmp(again, printed) != 0)
        printf("# %s: %s\n", text, again);
}

static void test_rules_read_and_print(void)
{
    reads_as("permit", "permit");
    reads_as("deny any", "deny");
    reads_as("DENY TCP FROM 10.1.2.3/8", "deny tcp from 10.0.0.0/8");
    reads_as("reject icmp from 10.1.2.3", "reject icmp from 10.1.2.3/32");
    reads_as("deny from 2001:db8::1/32 to 2001:db8::5 port 6379",
             "deny tcp from 2001:db8::/32 to 2001:db8::5/128 port 6379");
    reads_as("permit tcp port 1-1024", "permit tcp port 1-1024");
    reads_as("permit port 0-65535", "permit tcp");
    reads_as("deny from 0.0.0.0/0", "deny from 0.0.0.0/0");
    reads_as("deny from ::/0", "deny from ::/0");
    reads_as("deny  from\t::/0 to ::1", "deny to ::1/128");
    reads_as("deny tcp from 0.0.0.0/0 to 10.0.0.1", "deny tcp from 0.0.0.0/0 to 10.0.0.1/32");
}

static void test_what_is_no_rule_is_refused(void)
{
    static const char *const bad[] = {
        "",
        "drop",
        "deny udp",
        "deny tcp tcp",
        "deny from",
        "deny from 10.0.0.0/33",
        "deny from 10.0.0.0/",
        "deny from ::/129",
        "deny from host",
        "deny to 10.0.0.1 from 10.0.0.2",
        "deny from 10.0.0.1 to ::1",
        "deny icmp port 5",
        "deny any port 5",
        "deny port",
        "deny port 65536",
        "deny port 5-4",
        "deny port 5-",
        "deny port -5",
        "deny port 5-6-7",
        "deny port 5 from 10.0.0.1",
        "deny tcp from 10.0.0.1 10.0.0.2",
    };
    struct filter_rule r;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_FALSE(filter_rule_parse(bad[i], &r));
        if (filter_rule_parse(bad[i], &r))
            printf("# %s\n", bad[i]);
    }
}

/* -- against a plain loop ----------------------------------------------------------------------------- */

static bool inside(const struct ip_addr *ip, const struct ip_addr *prefix, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if ((ip->b[i / 8] ^ prefix->b[i / 8]) & 0x80 >> i % 8)
            return false;
    return true;
}

static unsigned naive(const struct filter_rule *r, unsigned n, const struct filter_packet *p)
{
    for (unsigned i = 0; i < n; i++)
        if (r[i].families & (ip_is_v4(&p->src) ? FILTER_V4 : FILTER_V6) &&
            (r[i].protocol == FILTER_ANY || r[i].protocol == p->protocol) &&
            inside(&p->src, &r[i].from, r[i].from_bits) && inside(&p->dst, &r[i].to, r[i].to_bits) &&
            p->port >= r[i].port_low && p->port <= r[i].port_high)
            return i;
    return n;
}

/* Few different bytes, so that prefixes hold packets and overlap. */
static struct ip_addr draw_address(bool v4)
{
    struct ip_addr a = {{[10] = 0xff, [11] = 0xff}};
    static const uint8_t bytes[] = {0, 1, 10, 0x20, 0xff};
    for (unsigned i = v4 ? 12 : 0; i < 16; i++)
        a.b[i] = draw(4) ? 10 : bytes[draw(5)];
    if (!v4)
        a.b[0] = 0x20;
    return a;
}

static void draw_prefix(char *text, size_t size, const char *word, bool v4)
{
    char ip[ENDPOINT_TEXT];
    struct ip_addr a = draw_address(v4);
    size_t used = strlen(text);
    ip_format(&a, ip);
    if (draw(2))
        snprintf(text + used, size - used, " %s %s/%u", word, ip,
                 draw(4) ? draw(v4 ? 33 : 129)
                 : v4    ? 32
                         : 128);
}

static struct filter_rule draw_rule(void)
{
    static const char *const actions[] = {"permit", "deny", "reject"}, *const protocols[] = {"", " any",
                                                                                             " tcp", " icmp"};
    char text[FILTER_TEXT];
    unsigned protocol = draw(4), low = draw(20);
    bool v4 = draw(2);
    struct filter_rule r;
    snprintf(text, sizeof text, "%s%s", actions[draw(3)], protocols[protocol]);
    draw_prefix(text, sizeof text, "from", v4);
    draw_prefix(text, sizeof text, "to", v4);
    if (protocol % 2 == 0 && draw(2)) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, draw(2) ? " port %u" : " port %u-%u", low, low + draw(20));
    }
    CU_ASSERT_TRUE_FATAL(filter_rule_parse(text, &r));
    char printed[FILTER_TEXT];
    struct filter_rule again;
    filter_rule_print(&r, printed);
    CU_ASSERT_TRUE(filter_rule_parse(printed, &again) && memcmp(&r, &again, sizeof r) == 0);
    return r;
}

static struct filter_packet draw_packet(void)
{
    bool v4 = draw(2);
    struct filter_packet p = {.protocol = draw(2) ? FILTER_TCP : FILTER_ICMP};
    p.src = draw_address(v4);
    p.dst = draw_address(v4);
    p.port = p.protocol == FILTER_ICMP ? 0 : draw(8) ? (uint16_t)draw(40) : (uint16_t)draw(65536);
    return p;
}

static void compare(unsigned n, unsigned packets)
{
    static struct filter_rule rule[FILTER_RULES];
    char error[128];
    for (unsigned i = 0; i < n; i++)
        rule[i] = draw_rule();
    struct filter *f = filter_new(rule, n, FILTER_DENY, 1, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    unsigned wrong = 0, fell = 0;
    for (unsigned i = 0; i < packets; i++) {
        struct filter_packet p = draw_packet();
        unsigned want = naive(rule, n, &p), got = filter_match(f, &p);
        wrong += got != want;
        fell += want == n;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    if (n > 0)
        CU_ASSERT_TRUE(fell < packets);
    filter_unref(f);
}

static void test_first_match_as_a_plain_loop_finds_it(void)
{
    rig_pool();
    for (unsigned i = 0; i < 60; i++)
        compare(draw(24), 500);
    compare(200, 3000);
}

static void test_a_thousand_rules(void)
{
    rig_pool();
    compare(FILTER_RULES, 3000);
}

/* -- counters and sharing ----------------------------------------------------------------------------- */

static struct filter *filter_of(unsigned n, const char *const *text, enum filter_action otherwise)
{
    struct filter_rule rule[8];
    char error[128];
    rig_pool();
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_TRUE_FATAL(filter_rule_parse(text[i], &rule[i]));
    struct filter *f = filter_new(rule, n, otherwise, 2, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    return f;
}

static void test_hits_are_counted_a_rule_over_workers(void)
{
    static const char *const rules[] = {"permit tcp from 10.0.0.1", "reject tcp from 10.0.0.0/24"};
    struct filter *f = filter_of(2, rules, FILTER_DENY);
    struct rig r, other;
    rig_start(&r, NULL);
    rig_start(&other, NULL);
    struct filter_packet p = {FILTER_TCP, 6379, ip("10.0.0.1"), ip("10.0.0.2")};
    CU_ASSERT_EQUAL(net_filter(r.nif, &p), FILTER_PERMIT); /* without a filter */
    net_set_filter(r.nif, f, 0);
    net_set_filter(other.nif, f, 1);
    CU_ASSERT_EQUAL(net_filter(r.nif, &p), FILTER_PERMIT);
    CU_ASSERT_EQUAL(net_filter(other.nif, &p), FILTER_PERMIT);
    p.src = ip("10.0.0.9");
    CU_ASSERT_EQUAL(net_filter(r.nif, &p), FILTER_REJECT);
    p.src = ip("192.0.2.1");
    CU_ASSERT_EQUAL(net_filter(r.nif, &p), FILTER_DENY);
    CU_ASSERT_FALSE(net_filter_permits(r.nif, &p));
    CU_ASSERT_EQUAL(filter_hits(f, 0), 2);
    CU_ASSERT_EQUAL(filter_hits(f, 1), 1);
    CU_ASSERT_EQUAL(filter_hits(f, filter_rules(f)), 1);
    CU_ASSERT_EQUAL(count_read(&r.counters, COUNTER_filter_denied), 1);
    CU_ASSERT_EQUAL(count_read(&r.counters, COUNTER_filter_rejected), 1);
    rig_stop(&r);
    rig_stop(&other);
    filter_unref(f);
}

static void test_the_same_rules_are_known_again(void)
{
    static const char *const rules[] = {"permit tcp from 10.0.0.1", "deny port 1-9"};
    struct filter *f = filter_of(2, rules, FILTER_DENY), *g = filter_of(2, rules, FILTER_PERMIT);
    struct filter_rule rule[2] = {*filter_rule(f, 0), *filter_rule(f, 1)};
    CU_ASSERT_TRUE(filter_same(f, rule, 2, FILTER_DENY));
    CU_ASSERT_FALSE(filter_same(g, rule, 2, FILTER_DENY));
    CU_ASSERT_FALSE(filter_same(f, rule, 1, FILTER_DENY));
    CU_ASSERT_NOT_EQUAL(filter_serial(f), filter_serial(g));
    rule[1].port_high++;
    CU_ASSERT_FALSE(filter_same(f, rule, 2, FILTER_DENY));
    filter_unref(filter_ref(f));
    CU_ASSERT_EQUAL(filter_action(f, 1), FILTER_DENY); /* still there */
    filter_unref(f);
    filter_unref(g);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_rules_read_and_print),
                                             UNIT(test_what_is_no_rule_is_refused),
                                             UNIT(test_first_match_as_a_plain_loop_finds_it),
                                             UNIT(test_a_thousand_rules),
                                             UNIT(test_hits_are_counted_a_rule_over_workers),
                                             UNIT(test_the_same_rules_are_known_again),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/filter", tests);
}
