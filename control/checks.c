/* checks.c: directives whose words need a check of their own. Texts are those of Redis' CONFIG SET where it
 * has the directive. */
#include "control/directives.h"
#include "control/remote_line.h"
#include "control/snapshot_keep.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static bool number(const char *s, long min, long max, long *out)
{
    char *end;
    *out = strtol(s, &end, 10);
    return (isdigit((unsigned char)*s) || *s == '-') && end != s && *end == 0 && *out >= min && *out <= max;
}

/* A CONFIG SET value arrives as one word that holds several: split it at blanks. */
static struct words split(const struct words *w)
{
    struct words all = {0};
    for (unsigned i = 0; i < w->n; i++) {
        const char *s = w->p[i];
        for (s += strspn(s, " \t"); *s; s += strspn(s, " \t")) {
            size_t len = strcspn(s, " \t");
            words_add(&all, must_copy_n(s, len));
            s += len;
        }
    }
    return all;
}

static void join(const struct words *w, struct text *out)
{
    text_add(out, "");
    for (unsigned i = 0; i < w->n; i++)
        text_printf(out, "%s%s", i ? " " : "", w->p[i]);
}

bool check_words(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct words all = split(w);
    (void)before, (void)error;
    join(&all, out);
    words_free(&all);
    return true;
}

/* A folder that is there, named from the root on: as Redis, which goes there. The default may be still to come. */
bool check_dir(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct stat st;
    int dir = directive_find("dir");
    if (w->n == 1 && strcmp(w->p[0], directives[dir].fallback) == 0) {
        text_add(out, w->p[0]);
        return true;
    }
    char *path = w->n == 1 ? realpath(w->p[0], NULL) : NULL;
    bool good = path && stat(path, &st) == 0;
    (void)before;
    if (good && !S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        good = false;
    }
    *error = w->n == 1 ? strerror(errno) : "wrong number of arguments";
    if (good)
        text_add(out, path);
    free(path);
    return good;
}

bool check_file_name(const struct words *w, const char *before, struct text *out, const char **error)
{
    const bool single = w->n == 1, good = single && !strchr(w->p[0], '/');
    (void)before;
    *error = single ? "dbfilename can't be a path, just a filename" : "wrong number of arguments";
    if (good)
        text_add(out, w->p[0]);
    return good;
}

bool check_save(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct words all = split(w);
    bool good = all.n % 2 == 0;
    long v;
    for (unsigned i = 0; good && i < all.n; i++)
        good = number(all.p[i], i % 2 == 0, INT32_MAX, &v);
    if (good && all.n && before && *before)
        text_printf(out, "%s ", before);
    join(&all, out);
    words_free(&all);
    *error = "Invalid save parameters";
    return good;
}

/* -- client-output-buffer-limit ----------------------------------------------------------------------- */

enum { CLASSES = 3 };
struct limit {
    uint64_t hard, soft;
    long seconds;
};

static int class_of(const char *name)
{
    static const char *const names[] = {"normal", "slave", "pubsub"};
    for (int i = 0; i < CLASSES; i++)
        if (strcasecmp(name, names[i]) == 0)
            return i;
    return strcasecmp(name, "replica") == 0 ? 1 : -1;
}

static bool read_limits(const struct words *all, struct limit limit[CLASSES], const char **error)
{
    if (all->n % 4) {
        *error = "Wrong number of arguments in buffer limit configuration.";
        return false;
    }
    for (unsigned i = 0; i < all->n; i += 4) {
        struct limit l;
        int class = class_of(all->p[i]);
        if (class < 0) {
            *error = "Invalid client class specified in buffer limit configuration.";
            return false;
        }
        if (!memory_parse(all->p[i + 1], &l.hard) || !memory_parse(all->p[i + 2], &l.soft) ||
            !number(all->p[i + 3], 0, INT32_MAX, &l.seconds)) {
            *error = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
            return false;
        }
        limit[class] = l;
    }
    return true;
}

bool check_output_limits(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct limit limit[CLASSES] = {{0, 0, 0}, {268435456, 67108864, 60}, {33554432, 8388608, 60}};
    struct words all = split(w), old = {0};
    bool good = true;
    if (before) { /* classes that are not named keep their limits */
        struct words one = {0};
        words_add(&one, must_copy(before));
        old = split(&one);
        words_free(&one);
        good = read_limits(&old, limit, error);
    }
    good = good && read_limits(&all, limit, error);
    if (good)
        text_printf(out,
                    "normal %" PRIu64 " %" PRIu64 " %ld slave %" PRIu64 " %" PRIu64 " %ld pubsub %" PRIu64
                    " %" PRIu64 " %ld",
                    limit[0].hard, limit[0].soft, limit[0].seconds, limit[1].hard, limit[1].soft,
                    limit[1].seconds, limit[2].hard, limit[2].soft, limit[2].seconds);
    words_free(&old);
    words_free(&all);
    return good;
}

/* -- others of Redis' --------------------------------------------------------------------------------- */

bool check_events(const struct words *w, const char *before, struct text *out, const char **error)
{
    /* "A" stands for the classes; K, E, m and n are beside them. Printed in this order, as Redis does. */
    static const char classes[] = "g$lshzxetd", print[] = "g$lshzxetdKEmn";
    (void)before;
    unsigned seen = 0, all = (1u << (sizeof classes - 1)) - 1;
    *error = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
    if (w->n != 1)
        return false;
    for (const char *s = w->p[0]; *s; s++) {
        const char *at = strchr(print, *s);
        if (*s == 'A')
            seen |= all;
        else if (at)
            seen |= 1u << (at - print);
        else
            return false;
    }
    text_add(out, (seen & all) == all ? "A" : "");
    for (unsigned i = (seen & all) == all ? sizeof classes - 1 : 0; print[i]; i++)
        if (seen & 1u << i)
            text_add_n(out, &print[i], 1);
    return true;
}

bool check_percentiles(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct words all = split(w);
    bool good = true;
    (void)before;
    text_add(out, "");
    for (unsigned i = 0; good && i < all.n; i++) {
        char *end;
        double p = strtod(all.p[i], &end);
        *error = "Invalid latency-tracking-info-percentiles parameters";
        good = end != all.p[i] && *end == 0;
        if (good && !(p >= 0 && p <= 100)) {
            *error = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
            good = false;
        }
        if (good)
            text_printf(out, "%s%.17g", i ? " " : "", p);
        if (good && strlen(all.p[i]) < 17) { /* 99.9 stays 99.9 */
            char shortest[32];
            out->len -= (size_t)snprintf(shortest, sizeof shortest, "%.17g", p);
            out->p[out->len] = 0;
            text_printf(out, "%.15g", p);
        }
    }
    words_free(&all);
    return good;
}

bool check_oom_values(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct words all = split(w);
    (void)before;
    long v[3] = {0, 0, 0};
    bool good = all.n == 3;
    *error = "wrong number of arguments";
    for (unsigned i = 0; good && i < 3; i++) {
        *error = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
        good = number(all.p[i], -2000, 2000, &v[i]);
    }
    if (good)
        join(&all, out);
    words_free(&all);
    return good;
}

bool check_replicaof(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct words all = split(w);
    (void)before;
    long port;
    bool none =
        all.n == 0 || (all.n == 2 && strcasecmp(all.p[0], "no") == 0 && strcasecmp(all.p[1], "one") == 0);
    bool good = none || (all.n == 2 && number(all.p[1], 0, 65535, &port));
    *error = all.n == 2 ? "Invalid master port" : "wrong number of arguments";
    if (none)
        text_add(out, "");
    else if (good)
        join(&all, out);
    words_free(&all);
    return good;
}

bool check_rename(const struct words *w, const char *before, struct text *out, const char **error)
{
    (void)before;
    *error = "wrong number of arguments: the old name and the new one (\"\" removes the command)";
    if (w->n != 2 || !*w->p[0])
        return false;
    text_add_word(out, w->p[0]);
    text_add(out, " ");
    text_add_word(out, w->p[1]);
    return true;
}

/* -- ours --------------------------------------------------------------------------------------------- */

static int family_of(const char *s)
{
    uint8_t ip[16];
    return inet_pton(AF_INET, s, ip) == 1 ? AF_INET : inet_pton(AF_INET6, s, ip) == 1 ? AF_INET6 : 0;
}

bool check_address(const struct words *w, const char *before, struct text *out, const char **error)
{
    (void)before;
    *error = "not an address with its prefix length";
    if (w->n != 1)
        return false;
    const char *slash = strchr(w->p[0], '/');
    char *ip = must_copy_n(w->p[0], slash ? (size_t)(slash - w->p[0]) : strlen(w->p[0]));
    long bits;
    int family = family_of(ip);
    free(ip);
    if (!family || (slash && !number(slash + 1, 0, family == AF_INET ? 32 : 128, &bits)))
        return false;
    text_add(out, w->p[0]);
    return true;
}

bool check_gateway(const struct words *w, const char *before, struct text *out, const char **error)
{
    (void)before;
    *error = "not an IPv4 or IPv6 address";
    if (w->n != 1 || !family_of(w->p[0]))
        return false;
    text_add(out, w->p[0]);
    return true;
}

bool check_route(const struct words *w, const char *before, struct text *out, const char **error)
{
    (void)before;
    struct words all = split(w);
    const char *slash = all.n == 3 ? strchr(all.p[0], '/') : NULL;
    char *ip = slash ? must_copy_n(all.p[0], (size_t)(slash - all.p[0])) : NULL;
    int family = ip ? family_of(ip) : 0;
    long bits;
    *error = "not PREFIX/BITS via GATEWAY, both IPv4 or both IPv6";
    bool good = family && number(slash + 1, 0, family == AF_INET ? 32 : 128, &bits) &&
                strcasecmp(all.p[1], "via") == 0 && family_of(all.p[2]) == family;
    for (unsigned i = 0; good && i < 3; i++) {
        text_add(out, i ? " " : "");
        text_add(out, all.p[i]);
    }
    free(ip);
    words_free(&all);
    return good;
}

bool check_mac(const struct words *w, const char *before, struct text *out, const char **error)
{
    (void)before;
    unsigned b[6];
    int used = 0;
    *error = "not an Ethernet address of one station (six bytes in hexadecimal, the first one even)";
    if (w->n != 1)
        return false;
    if (*w->p[0] &&
        (strlen(w->p[0]) != 17 ||
         sscanf(w->p[0], "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used) != 6 ||
         used != 17 || (b[0] & 1)))
        return false;
    text_add(out, w->p[0]);
    return true;
}

bool check_cores(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct words all = split(w);
    (void)before;
    long core;
    bool good = all.n > 0 && all.n <= 64;
    *error = "not auto and not a list of at most 64 core numbers";
    for (unsigned i = 0; good && i < all.n; i++)
        good = (all.n == 1 && strcasecmp(all.p[i], "auto") == 0) || number(all.p[i], 0, 1023, &core);
    if (good)
        join(&all, out);
    words_free(&all);
    return good;
}

/* "off", or the kinds of names in the order of preference, as Valkey's directive of this name writes them. */
bool check_certificate_names(const struct words *w, const char *before, struct text *out, const char **error)
{
    static const char *const kinds[] = {"CN", "DNS", "URI"};
    struct words all = split(w);
    unsigned seen = 0;
    bool off = all.n == 1 && strcasecmp(all.p[0], "off") == 0, good = all.n > 0;
    (void)before;
    *error = "not off and not a list of CN, DNS and URI, each at most once";
    for (unsigned i = 0; good && !off && i < all.n; i++) {
        unsigned k = 0;
        while (k < 3 && strcasecmp(all.p[i], kinds[k]) != 0)
            k++;
        good = k < 3 && !(seen >> k & 1);
        if (good)
            text_printf(out, "%s%s", i ? " " : "", kinds[k]);
        seen |= 1u << k;
    }
    if (off)
        text_add(out, "off");
    words_free(&all);
    return good;
}

bool check_schedule(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct schedule schedule;
    struct words all = split(w);
    struct text given = {0};
    join(&all, &given);
    bool good = all.n > 0 && given.len < 64 && schedule_read(given.p, &schedule);
    (void)before;
    *error = "not off, `every N` with s, m, h or d (a minute at least), and not `daily HH:MM`";
    if (good)
        text_add(out, given.p);
    words_free(&all);
    text_free(&given);
    return good;
}

bool check_log_remote(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct remote_target t;
    (void)before;
    *error = "must be udp://HOST[:PORT], tcp://HOST[:PORT] or tls://HOST[:PORT]";
    if (w->n != 1 || !remote_target_read(w->p[0], &t))
        return false;
    text_add(out, w->p[0]);
    return true;
}

bool check_name_server(const struct words *w, const char *before, struct text *out, const char **error)
{
    char canonical[INET6_ADDRSTRLEN];
    (void)before;
    *error = "must be the IPv4 or IPv6 address of a name server";
    if (w->n != 1 || !address_canonical(w->p[0], canonical))
        return false;
    text_add(out, canonical);
    return true;
}
