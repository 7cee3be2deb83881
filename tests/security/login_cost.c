/* login_cost.c: logs in so many times in one of the ways below; whoever counts the instructions of counted_login() (tests/security/timing.py) sees whether
 * they tell anything of users and passwords that must not be told.
 *
 *     login_cost          the ways: what they are about (in: the password is right), a name
 *     login_cost NUMBER   64 times the one of that line, from 00; 1 if something else came of it. A number of two digits, since the length of the
 *                         arguments moves the stack, and copies cost more or less where it begins otherwise (4 instructions a login) */
#include "engine.h"

#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOGINS = 64, BEFORE = 16 /* not counted: what is done only once, or finds the heap as it was left */, WORD = 32 };

/* The right password is that many bytes of the word that is tried, and others; or its hash has as many digits of the word's. Names and words
 * of all ways are of one length, as the length of what is asked is no secret. */
static const char tried[] = "0123456789abcdefghijklmnopqrstuv", right[] = "vutsrqponmlkjihgfedcba9876543210", user[] = "sesam";
static const struct way {
    const char *about, *name, *name_tried;
    int same_bytes, same_digits; /* -1: not so */
    unsigned before, behind;     /* other passwords */
    bool off, fits;
} ways[] = {
    {"word", "nothing of the password", user, 0, -1, 0, 0, false, false},
    {"word", "its first byte", user, 1, -1, 0, 0, false, false},
    {"word", "all but its last byte", user, WORD - 1, -1, 0, 0, false, false},
    {"hash", "no digit of its hash", user, -1, 0, 0, 0, false, false},
    {"hash", "the first digit of its hash", user, -1, 1, 0, 0, false, false},
    {"hash", "half of its hash", user, -1, SECRET_HEX / 2 - 1, 0, 0, false, false},
    {"hash", "all but the last digit of its hash", user, -1, SECRET_HEX - 1, 0, 0, false, false},
    {"who", "two passwords", user, 0, -1, 1, 0, false, false},
    {"who", "four passwords", user, 0, -1, 2, 1, false, false},
    {"who", "nobody of that name", "nimda", 0, -1, 0, 0, false, false},
    {"who", "nobody, and all but a letter of a name", "sesan", 0, -1, 0, 0, false, false},
    {"who", "off, with the right one", user, WORD, -1, 0, 0, true, false},
    {"in", "right, the only one", user, WORD, -1, 0, 0, false, true},
    {"in", "right, the first of four", user, WORD, -1, 0, 3, false, true},
    {"in", "right, the last of four", user, WORD, -1, 3, 0, false, true},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* The rule that sets the password of this way. */
static void password_of(const struct way *w, char rule[SECRET_HEX + 2])
{
    if (w->same_bytes >= 0) {
        snprintf(rule, SECRET_HEX + 2, ">%.*s%s", w->same_bytes, tried, right + w->same_bytes);
        return;
    }
    *rule = '#';
    if (!secret_hash(slice_str(tried), rule + 1))
        exit(1);
    char *other = rule + 1 + w->same_digits;
    *other = *other == '0' ? '1' : '0';
}

static bool done(struct engine *e, const char *rule)
{
    return strcmp(engine_cmd(e, "ACL SETUSER %s %s", user, rule), "+OK\r\n") == 0;
}

static bool add_others(struct engine *e, const char *prefix, unsigned n)
{
    char rule[WORD];
    for (unsigned i = 0; i < n; i++) {
        snprintf(rule, sizeof rule, ">%s%u", prefix, i);
        if (!done(e, rule))
            return false;
    }
    return true;
}

static __attribute__((noinline)) bool login(struct engine *e, const struct way *w)
{
    return strcmp(engine_cmd(e, "AUTH %s %s", w->name_tried, tried), "+OK\r\n") == 0;
}

__attribute__((noinline)) bool counted_login(struct engine *e, const struct way *w);
bool counted_login(struct engine *e, const struct way *w)
{
    return login(e, w);
}

static int log_in(const struct way *w)
{
    struct engine *e = engine_new(NULL);
    char rule[SECRET_HEX + 2];
    unsigned in = 0;
    password_of(w, rule);
    if (!e || !done(e, w->off ? "off" : "on") || !add_others(e, "before", w->before) || !done(e, rule) || !add_others(e, "behind", w->behind))
        return 1;
    for (unsigned i = 0; i < BEFORE; i++)
        in += login(e, w);
    for (unsigned i = 0; i < LOGINS; i++)
        in += counted_login(e, w);
    engine_free(e);
    return in == (w->fits ? BEFORE + LOGINS : 0) ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        unsigned long n = strtoul(argv[1], NULL, 10);
        return n < WAYS ? log_in(&ways[n]) : 2;
    }
    for (const struct way *w = ways; w < ways + WAYS; w++)
        printf("%s %s\n", w->about, w->name);
    return 0;
}
