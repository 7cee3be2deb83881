/* test_filter.c: control's parser of filter rules against the dataplane's, and errors that name the wrong
 * word. */
#include "base/config.h"
#include "control/conffile.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252ull;

static unsigned draw(unsigned n)
{
    return (unsigned)(unit_random(&state) >> 33) % n;
}

/* Control's verdict; the canonical text in *out. */
static bool control_takes(const char *line, char *out, size_t size, char *why, size_t why_size)
{
    struct words w = {0};
    struct text t = {0};
    words_add(&w, must_copy(line));
    bool good = directive_value(&directives[directive_find("filter")], &w, NULL, &t, why, why_size);
    snprintf(out, size, "%s", good ? text_str(&t) : "");
    text_free(&t);
    words_free(&w);
    return good;
}

static void test_both_parsers_agree(void)
{
    static const char *const words[] = {
        "permit",  "deny",        "reject",    "tcp",  "icmp",       "any",      "from",  "to",
        "port",    "from",        "to",        "port", "10.0.0.0/8", "10.1.1.1", "::/0",  "2001:db8::/32",
        "fe80::1", "10.0.0.0/33", "::1/129",   "6379", "1-5",        "5-1",      "65536", "0",
        "TCP",     "Deny",        "0.0.0.0/0", "x",    "10.0.0.0/",  "1-",       "1-2-3", "/8"};
    enum { WORDS = sizeof words / sizeof words[0] };
    unsigned taken = 0, apart = 0;
    for (unsigned i = 0; i < 400000; i++) {
        char line[256] = "", canonical[256], why[512], printed[FILTER_TEXT];
        struct filter_rule r, again;
        unsigned n = 1 + draw(8);
        for (unsigned j = 0; j < n; j++) {
            unsigned word = j == 0 && draw(8) ? draw(3) : draw(WORDS);
            snprintf(line + strlen(line), sizeof line - strlen(line), "%s%s", j ? " " : "", words[word]);
        }
        bool control = control_takes(line, canonical, sizeof canonical, why, sizeof why);
        bool dataplane = filter_rule_parse(line, &r);
        if (control != dataplane) {
            printf("# '%s': control %d (%s), dataplane %d\n", line, control, why, dataplane);
            apart++;
        }
        if (control && dataplane) {
            taken++;
            filter_rule_print(&r, printed);
            if (!filter_rule_parse(canonical, &again) || memcmp(&r, &again, sizeof r) != 0 ||
                !filter_rule_parse(printed, &again) || memcmp(&r, &again, sizeof r) != 0) {
                printf("# '%s' became '%s'\n", line, canonical);
                apart++;
            }
        }
    }
    CU_ASSERT_EQUAL(apart, 0);
    CU_ASSERT_TRUE(taken > 1000);
}

static void refuses(const char *line, const char *wanted)
{
    char canonical[256], why[512] = "";
    CU_ASSERT_FALSE(control_takes(line, canonical, sizeof canonical, why, sizeof why));
    CU_ASSERT_STRING_EQUAL(why, wanted);
    if (strcmp(why, wanted) != 0)
        printf("# %s: %s\n", line, why);
}

static void test_errors_name_the_word(void)
{
    refuses("drop tcp", "drop: a rule begins with permit, deny or reject");
    refuses("", "end of the rule: a rule begins with permit, deny or reject");
    refuses(
        "deny udp",
        "udp: not expected here; the order is ACTION [tcp|icmp|any] [from PREFIX] [to PREFIX] [port N|N-M]");
    refuses("deny from 10.0.0.0/40", "10.0.0.0/40: not ADDRESS or ADDRESS/BITS, IPv4 or IPv6");
    refuses("deny from", "end of the rule: not ADDRESS or ADDRESS/BITS, IPv4 or IPv6");
    refuses("deny from ::ffff:10.0.0.1", "::ffff:10.0.0.1: not ADDRESS or ADDRESS/BITS, IPv4 or IPv6");
    refuses("deny from 10.0.0.1 to ::1", "::1: from and to must both be IPv4 or both IPv6");
    refuses("deny icmp port 5", "port: a port needs tcp");
    refuses("deny tcp port 70000", "70000: not a port from 0 to 65535, or LOW-HIGH");
    refuses("deny tcp port 9-5", "9-5: not a port from 0 to 65535, or LOW-HIGH");
    refuses(
        "deny tcp port 5 to 10.0.0.1",
        "to: not expected here; the order is ACTION [tcp|icmp|any] [from PREFIX] [to PREFIX] [port N|N-M]");
}

static void reports(const char *text, const char *lines)
{
    struct report r = {0};
    struct settings *s = settings_defaults();
    conf_parse("f.conf", text, strlen(text), s, NULL, &r);
    CU_ASSERT_STRING_EQUAL(text_str(&r.lines), lines);
    if (strcmp(text_str(&r.lines), lines) != 0)
        printf("# got: %s", text_str(&r.lines));
    settings_free(s);
    report_free(&r);
}

static void test_a_file_is_reported_line_word_remedy(void)
{
    reports("# rules\nfilter deny tcp from 10.0.0.0/8\nfilter deny tcp from 10.0.0/8\n",
            "f.conf:3: filter: 10.0.0/8: not ADDRESS or ADDRESS/BITS, IPv4 or IPv6; write for example: "
            "filter deny tcp "
            "from 192.0.2.0/24 port 6379\n");
    reports("filter-default reject\n",
            "f.conf:1: filter-default: 'reject': argument(s) must be one of the following: permit, deny; "
            "choose one of these, for example filter-default permit\n");
    reports("connection-rate-prefix 32\n",
            "f.conf:1: connection-rate-prefix: '32': not two numbers of bits: of IPv4 (1 to 32) and of "
            "IPv6 (1 to 128); write for example: connection-rate-prefix 32 64\n");
    reports("connection-rate-prefix 0 64\nconnection-rate-prefix 33 64\nconnection-rate-prefix 24 48\n",
            "f.conf:1: connection-rate-prefix: not two numbers of bits: of IPv4 (1 to 32) and of IPv6 (1 to "
            "128); write for "
            "example: connection-rate-prefix 32 64\n"
            "f.conf:2: connection-rate-prefix: not two numbers of bits: of IPv4 (1 to 32) and of IPv6 (1 to "
            "128); write for "
            "example: connection-rate-prefix 32 64\n");
}

static void test_a_thousand_and_twenty_four_rules(void)
{
    struct text t = {0};
    for (unsigned i = 0; i < FILTER_RULES; i++)
        text_add(&t, "filter deny\n");
    reports(text_str(&t), "");
    text_add(&t, "filter permit\n");
    reports(text_str(&t),
            "f.conf:1025: filter: 'permit': more than 1024 of them; join or remove some; write for example: "
            "filter deny tcp from 192.0.2.0/24 port 6379\n");
    text_free(&t);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_both_parsers_agree),
                                             UNIT(test_errors_name_the_word),
                                             UNIT(test_a_file_is_reported_line_word_remedy),
                                             UNIT(test_a_thousand_and_twenty_four_rules),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "control/filter", tests);
}
