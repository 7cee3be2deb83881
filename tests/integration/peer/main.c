/* main.c: sluice-peer: the checks of this folder as TAP. After each, no client may be left. */
#include "peer.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    check *run;
} checks[] = {
    {"bulk: long values both ways", bulk_large_values},
    {"bulk: many connections", bulk_many_connections},
    {"churn: closed by the client", churn_orderly},
    {"churn: reset by the client, 50 ports a thread", churn_reset},
    {"churn: closed by the server, 50 ports a thread", churn_server_closes},
    {"churn: every ending, 500 ports a thread", churn_mixed},
    {"many open at once", churn_many_open},
    {"half-close: every reply still comes", manner_half_close},
    {"zero window: all comes when the reader reads on", manner_zero_window},
    {"slow reader with a tiny buffer", manner_slow_reader},
    {"requests a byte a segment", manner_one_byte},
    {"reset while replies are on their way", manner_reset_in_the_middle},
    {"requests abandoned half-way", manner_abandoned_request},
    {"urgent data stays in line", manner_urgent},
    {"small segments (TCP_MAXSEG)", manner_small_mss},
    {"QUIT behind replies that do not fit", manner_pipeline_then_quit},
    {"forgotten by the peer: keepalive notices", manner_forgotten},
    {"forgotten by the peer: the same port again", manner_forgotten_port_again},
};
enum { CHECKS = sizeof checks / sizeof *checks };

static bool parse_target(struct target *t, const char *host, unsigned port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&t->addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&t->addr;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        t->len = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    t->len = sizeof *v6;
    return true;
}

static int usage(void)
{
    fprintf(
        stderr,
        "usage: sluice-peer --host ADDRESS [--port N] [--only TEXT[,TEXT...]] [--name SUITE] [--kernel]\n"
        "           [--bulk-mb N] [--churn-seconds N] [--churn-floor N] [--threads N] [--first-port N]\n");
    return 2;
}

static bool chosen(const char *name, const char *only)
{
    char list[256];
    if (!only)
        return true;
    snprintf(list, sizeof list, "%s", only);
    for (char *rest, *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        if (strstr(name, word))
            return true;
    return false;
}

struct options {
    struct target target;
    const char *only, *name;
};

static bool parse_options(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {
        {"host", 1, NULL, 'h'},
        {"port", 1, NULL, 'p'},
        {"only", 1, NULL, 'o'},
        {"name", 1, NULL, 'n'},
        {"kernel", 0, NULL, 'k'},
        {"bulk-mb", 1, NULL, 'b'},
        {"churn-seconds", 1, NULL, 'c'},
        {"churn-floor", 1, NULL, 'f'},
        {"threads", 1, NULL, 't'},
        {"first-port", 1, NULL, 'F'},
        {NULL, 0, NULL, 0},
    };
    const char *host = "127.0.77.2", *value[128] = {[0] = NULL};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == '?')
            return false;
        value[c] = optarg ? optarg : "";
    }
    struct target *t = &o->target;
    *o = (struct options){.only = value['o'], .name = value['n'] ? value['n'] : "peer"};
    t->kernel = value['k'] != NULL;
    t->bulk_mb = value['b'] ? (unsigned)strtoul(value['b'], NULL, 10) : 256;
    t->churn_seconds = value['c'] ? strtod(value['c'], NULL) : 1;
    t->churn_floor = value['f'] ? (unsigned)strtoul(value['f'], NULL, 10) : 0;
    t->threads = value['t'] ? (unsigned)strtoul(value['t'], NULL, 10) : 4;
    t->first_port = value['F'] ? (uint16_t)strtoul(value['F'], NULL, 10) : 20000;
    unsigned port = value['p'] ? (unsigned)strtoul(value['p'], NULL, 10) : 6379;
    return parse_target(t, value['h'] ? value['h'] : host, port) && t->threads > 0 && t->threads <= 64;
}

int main(int argc, char **argv)
{
    struct options o;
    if (!parse_options(&o, argc, argv))
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsigned n = 0, failed = 0;
    for (unsigned i = 0; i < CHECKS; i++) {
        if (!chosen(checks[i].name, o.only))
            continue;
        double start = seconds();
        bool ok = checks[i].run(&o.target);
        ok = settled(&o.target) && ok;
        failed += !ok;
        because("%.1f s", seconds() - start);
        printf("%sok %u - %s: %s\n", ok ? "" : "not ", ++n, o.name, checks[i].name);
    }
    printf("1..%u\n", n);
    return failed || !n;
}
