/* value.c: the words after a directive's name -> its canonical text, with the error texts of Redis' CONFIG
 * SET. */
#include "control/directives.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- numbers ------------------------------------------------------------------------------------------ */

/* Redis' string2ll: no blank, no '+', no leading zero. */
static bool integer_parse(const char *s, int64_t *out)
{
    const char *digits = s + (*s == '-');
    char *end;
    if (!isdigit((unsigned char)*digits) || (*digits == '0' && (digits[1] || digits != s)))
        return false;
    errno = 0;
    *out = strtoll(s, &end, 10);
    return errno == 0 && *end == 0;
}

bool memory_parse(const char *s, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1024},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30}};
    char *end;
    if (!isdigit((unsigned char)*s))
        return false;
    errno = 0;
    uint64_t n = strtoull(s, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcasecmp(end, units[i].unit) == 0)
            return errno == 0 && !__builtin_mul_overflow(n, units[i].factor, bytes);
    return false;
}

void memory_print(uint64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"", "kb", "mb", "gb"};
    unsigned u = 0;
    while (u < 3 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        u++;
    }
    snprintf(out, size, "%" PRIu64 "%s", bytes, units[u]);
}

static bool in_bounds(const struct directive *d, bool negative, uint64_t v, char *error, size_t size)
{
    bool good =
        negative ? d->min < 0 && (int64_t)v >= d->min : v <= d->max && (d->min <= 0 || v >= (uint64_t)d->min);
    if (!good && d->kind == KIND_OCTAL)
        snprintf(error, size, "argument must be between %" PRIo64 " and %" PRIo64 " inclusive",
                 (uint64_t)d->min, d->max);
    else if (!good)
        snprintf(error, size, "argument must be between %" PRId64 " and %" PRIu64 " inclusive", d->min,
                 d->max);
    return good;
}

static bool integer_value(const struct directive *d, const char *s, struct text *out, char *error,
                          size_t size)
{
    int64_t v;
    if (!integer_parse(s, &v)) {
        snprintf(error, size, "argument couldn't be parsed into an integer");
        return false;
    }
    if (!in_bounds(d, v < 0, (uint64_t)v, error, size))
        return false;
    text_printf(out, "%" PRId64, v);
    return true;
}

static bool octal_value(const struct directive *d, const char *s, struct text *out, char *error, size_t size)
{
    char *end;
    errno = 0;
    long v = strtol(s, &end, 8);
    if (errno || end == s || *end) {
        snprintf(error, size, "argument couldn't be parsed as an octal number");
        return false;
    }
    if (!in_bounds(d, v < 0, (uint64_t)v, error, size))
        return false;
    text_printf(out, "%lo", (unsigned long)v);
    return true;
}

static bool memory_value(const struct directive *d, const char *s, struct text *out, char *error, size_t size)
{
    uint64_t v;
    size_t len = strlen(s);
    if (d->kind == KIND_PERCENT && len > 1 && s[len - 1] == '%') {
        char *end;
        long percent = strtol(s, &end, 10);
        if (!isdigit((unsigned char)*s) || end != s + len - 1) {
            snprintf(error, size, "argument must be a memory or percent value");
            return false;
        }
        if (percent > 100) {
            snprintf(error, size, "percentage argument must be less or equal to 100");
            return false;
        }
        text_printf(out, "%ld%%", percent);
        return true;
    }
    if (!memory_parse(s, &v)) {
        snprintf(error, size, "argument must be a memory%s value",
                 d->kind == KIND_PERCENT ? " or percent" : "");
        return false;
    }
    if (!in_bounds(d, false, v, error, size))
        return false;
    text_printf(out, "%" PRIu64, v);
    return true;
}

/* -- words -------------------------------------------------------------------------------------------- */

static bool bool_value(const char *s, struct text *out, char *error, size_t size)
{
    bool yes = strcasecmp(s, "yes") == 0;
    if (!yes && strcasecmp(s, "no") != 0) {
        snprintf(error, size, "argument must be 'yes' or 'no'");
        return false;
    }
    text_add(out, yes ? "yes" : "no");
    return true;
}

static bool enum_value(const struct directive *d, const char *s, struct text *out, char *error, size_t size)
{
    struct text all = {0};
    for (const char *const *c = d->choices; *c; c++) {
        if (strcasecmp(*c, s) == 0) {
            text_add(out, *c);
            text_free(&all);
            return true;
        }
        text_printf(&all, "%s%s", c == d->choices ? "" : ", ", *c);
    }
    snprintf(error, size, "argument(s) must be one of the following: %s", text_str(&all));
    text_free(&all);
    return false;
}

static bool single_value(const struct directive *d, const char *s, struct text *out, char *error, size_t size)
{
    switch (d->kind) {
    case KIND_BOOL:
        return bool_value(s, out, error, size);
    case KIND_ENUM:
        return enum_value(d, s, out, error, size);
    case KIND_INT:
        return integer_value(d, s, out, error, size);
    case KIND_OCTAL:
        return octal_value(d, s, out, error, size);
    case KIND_MEMORY:
    case KIND_PERCENT:
        return memory_value(d, s, out, error, size);
    default:
        text_add(out, s);
        return true;
    }
}

bool directive_value(const struct directive *d, const struct words *w, const char *before, struct text *out,
                     char *error, size_t size)
{
    const char *why = NULL;
    if (d->kind == KIND_CHECKED) {
        if (d->check(w, before, out, &why))
            return true;
        snprintf(error, size, "%s", why);
        return false;
    }
    if (d->kind == KIND_LIST) {
        for (unsigned i = 0; i < w->n; i++) {
            const char *word = w->p[i];
            text_add(out, i ? " " : "");
            if (d->flags & DIRECTIVE_HASH_WORDS &&
                *word == '#') { /* no comment begins here: user's "#hash" stays bare */
                text_add(out, "#");
                word++;
            }
            text_add_word(out, word);
        }
        return true;
    }
    if (w->n != 1) {
        snprintf(error, size, "wrong number of arguments");
        return false;
    }
    text_add(out, "");
    return single_value(d, w->p[0], out, error, size);
}

void directive_remedy(const struct directive *d, char *line, size_t size)
{
    static const char *const wanted[] = {[KIND_BOOL] = "write yes or no",
                                         [KIND_MEMORY] = "write a size such as 100mb or 2gb",
                                         [KIND_OCTAL] = "write it as in chmod, for example 700",
                                         [KIND_PERCENT] = "write a size such as 100mb, or a share such as 5%",
                                         [KIND_STRING] =
                                             "write one word, in double quotes if it holds blanks",
                                         [KIND_LIST] = "write the words with blanks between them"};
    if (d->kind == KIND_ENUM)
        snprintf(line, size, "choose one of these, for example %s %s", d->name, d->fallback);
    else if (d->kind == KIND_INT)
        snprintf(line, size, "write a whole number from %" PRId64 " to %" PRIu64, d->min, d->max);
    else if (d->kind == KIND_CHECKED)
        snprintf(line, size, "write for example: %s %s", d->name,
                 strcmp(d->name, "link-address") == 0     ? "127.0.77.2/24"
                 : strcmp(d->name, "link-gateway") == 0   ? "192.168.1.1"
                 : strcmp(d->name, "filter") == 0         ? "deny tcp from 192.0.2.0/24 port 6379"
                 : strcmp(d->name, "listener") == 0       ? "NAME port N bind ADDRESS tls yes auth-clients no user NAME"
                 : strcmp(d->name, "link-mac") == 0       ? "02:00:00:00:00:01"
                 : strcmp(d->name, "log-remote") == 0     ? "tls://log.example.net:6514"
                 : strcmp(d->name, "system-name-server") == 0 ? "192.0.2.53"
                 : strcmp(d->name, "rename-command") == 0 ? "FLUSHALL \"\""
                 : d->fallback && *d->fallback            ? d->fallback
                                                          : "\"\"");
    else
        snprintf(line, size, "%s", wanted[d->kind]);
}
