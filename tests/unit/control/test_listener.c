/* test_listener.c: control's parser of `listener` against the dataplane's, errors that name the wrong word, and which
 * listeners go together. */
#include "base/config.h"
#include "control/conffile.h"
#include "unit.h"

#include <stdio.h>
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
    bool good = directive_value(&directives[directive_find("listener")], &w, NULL, &t, why, why_size);
    snprintf(out, size, "%s", good ? text_str(&t) : "");
    text_free(&t);
    words_free(&w);
    return good;
}

static void draw_line(char *line, size_t size)
{
    static const char *const words[] = {
        "port", "bind", "tls", "auth-clients", "user",      "port", "tls",   "yes",  "no",  "optional", "6379", "7001",
        "1",    "0",    "65535", "65536",      "10.0.0.1", "::1",  "fe80::1", "10.0.0", "app", "PORT",     "Yes",  "a_b.c-d",
        "06379", "x/y"};
    enum { WORDS = sizeof words / sizeof words[0] };
    unsigned pairs = 1 + draw(4);
    snprintf(line, size, "%s", draw(16) ? "one" : words[draw(WORDS)]);
    for (unsigned i = 0; i < pairs; i++) {
        unsigned key = draw(8) ? draw(5) : draw(WORDS);
        static const unsigned fits[5][4] = {{10, 11, 12, 14}, {16, 17, 18, 16}, {7, 8, 7, 22}, {7, 8, 9, 7}, {20, 23, 20, 23}};
        unsigned value = key < 5 && draw(8) ? fits[key][draw(4)] : draw(WORDS);
        snprintf(line + strlen(line), size - strlen(line), " %s %s", words[key], words[value]);
    }
    if (!draw(16))
        snprintf(line + strlen(line), size - strlen(line), " %s", words[draw(WORDS)]);
}

static void test_both_parsers_agree(void)
{
    unsigned taken = 0, apart = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char line[512], canonical[512], why[512];
        struct config_listener l, again;
        draw_line(line, sizeof line);
        bool control = control_takes(line, canonical, sizeof canonical, why, sizeof why);
        bool dataplane = config_listener_parse(line, &l);
        if (control != dataplane) {
            printf("# '%s': control %d (%s), dataplane %d\n", line, control, why, dataplane);
            apart++;
        }
        if (control && dataplane && (taken++, !config_listener_parse(canonical, &again) || memcmp(&l, &again, sizeof l) != 0)) {
            printf("# '%s' became '%s'\n", line, canonical);
            apart++;
        }
    }
    CU_ASSERT_EQUAL(apart, 0);
    CU_ASSERT_TRUE(taken > 1000);
}

static void refuses(const char *line, const char *wanted)
{
    char canonical[256], why[512] = "";
    CU_ASSERT_FALSE(control_takes(line, canonical, sizeof canonical, why, sizeof why));
    if (!strstr(why, wanted))
        printf("# %s: %s\n", line, why);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, wanted));
}

static void test_errors_name_the_word(void)
{
    refuses("", "listener: a name");
    refuses("a/b port 1", "a/b: a name");
    refuses("a", "a: a port is needed");
    refuses("a port 65536", "65536: is no port");
    refuses("a port 1 port 2", "one port a listener");
    refuses("a port 1 bind 10.0.0", "10.0.0: is no address");
    refuses("a port 1 tls maybe", "maybe: yes or no");
    refuses("a port 1 auth-clients yes", "a: auth-clients needs tls yes");
    refuses("a port 1 tls yes auth-clients never", "never: yes, no or optional");
    refuses("a port 1 tls", "tls: a value is missing");
    refuses("a port 1 colour red", "colour: not known");
}

/* The dataplane's word on the lines together. */
static void fits(const char *const *lines, unsigned n, const char *wanted)
{
    struct config_pair pair[8] = {{"port", "6379"}, {"tls-port", "6380"}, {"link-address", "10.0.0.1/24"}};
    char error[256] = "";
    for (unsigned i = 0; i < n; i++)
        pair[3 + i] = (struct config_pair){"listener", lines[i]};
    struct config *c = config_build(1, pair, 3 + n, error, sizeof error);
    CU_ASSERT_EQUAL(c != NULL, wanted == NULL);
    if (wanted && !strstr(error, wanted))
        printf("# %s\n", error);
    if (wanted)
        CU_ASSERT_PTR_NOT_NULL(strstr(error, wanted));
    config_free(c);
}

static void test_what_goes_together(void)
{
    fits((const char *const[]){"a port 7001", "b port 7002 bind 10.0.0.1 tls yes auth-clients no user app"}, 2, NULL);
    fits((const char *const[]){"a port 6379"}, 1, "listener a: port 6379 is taken");
    fits((const char *const[]){"a port 6380"}, 1, "listener a: port 6380 is taken");
    fits((const char *const[]){"a port 1", "b port 1"}, 2, "listener b: port 1 is taken");
    fits((const char *const[]){"a port 1", "A port 2"}, 2, "two of the name A");
    fits((const char *const[]){"a port 1 bind 10.0.0.2"}, 1, "10.0.0.2 is none of link-address");
}

/* Only a port that speaks TLS and asks needs authorities. */
static void test_who_asks_clients_for_certificates(void)
{
    static const struct {
        const char *listener, *usual, *tls_port;
        bool tls, asks;
    } rows[] = {{"a port 1", "yes", "0", false, false},
                {"a port 1 tls yes", "yes", "0", true, true},
                {"a port 1 tls yes", "no", "0", true, false},
                {"a port 1 tls yes auth-clients no", "yes", "0", true, false},
                {"a port 1 tls yes auth-clients no", "yes", "6380", true, true},
                {"a port 1 tls yes auth-clients optional", "no", "0", true, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char error[256] = "";
        struct config_pair pair[] = {{"listener", rows[i].listener}, {"tls-auth-clients", rows[i].usual}, {"tls-port", rows[i].tls_port}};
        struct config *c = config_build(1, pair, 3, error, sizeof error);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        CU_ASSERT_EQUAL(config_has_tls(c), rows[i].tls);
        CU_ASSERT_EQUAL(config_asks_clients(c), rows[i].asks);
        config_free(c);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_both_parsers_agree),
                                             UNIT(test_errors_name_the_word),
                                             UNIT(test_what_goes_together),
                                             UNIT(test_who_asks_clients_for_certificates),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "control/listener", tests);
}
