/* glob.c: Redis' glob patterns (stringmatchlen in util.c of Redis 7.2, its odd corners included: a class that
 * is never closed ends with the pattern, a range may be given backwards, and no pattern but the empty one
 * matches the empty text). */
#include "base/glob.h"

enum { STARS = 1000 }; /* a pattern that needs more of them matches nothing, as in Redis (CVE-2024-31228) */

static uint8_t fold(uint8_t c, bool ignore_case)
{
    return ignore_case && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* p points behind '['. True if c is in the class; *p then points behind its ']'. */
static bool class_match(const uint8_t **at, const uint8_t *end, uint8_t c, bool ignore_case)
{
    const uint8_t *p = *at;
    bool negate = p < end && *p == '^', found = false;
    p += negate;
    for (; p < end && *p != ']'; p++) {
        if (*p == '\\' && end - p >= 2) {
            found |= fold(*++p, ignore_case) == c;
        } else if (end - p >= 3 && p[1] == '-') {
            uint8_t a = fold(p[0], ignore_case), b = fold(p[2], ignore_case);
            p += 2;
            found |= a <= b ? a <= c && c <= b : b <= c && c <= a;
        } else {
            found |= fold(*p, ignore_case) == c;
        }
    }
    *at = p < end ? p + 1 : p;
    return found != negate;
}

/* Does the pattern's next element, not a star, take the character c? Moves *at behind it. */
static bool element_match(const uint8_t **at, const uint8_t *end, uint8_t c, bool ignore_case)
{
    const uint8_t *p = *at;
    c = fold(c, ignore_case);
    if (*p == '[') {
        *at = p + 1;
        return class_match(at, end, c, ignore_case);
    }
    if (*p == '\\' && end - p >= 2)
        p++;
    else if (*p == '?')
        c = fold(*p, ignore_case);
    *at = p + 1;
    return fold(*p, ignore_case) == c;
}

bool glob_match(struct slice pattern, struct slice text, bool ignore_case)
{
    const uint8_t *p = pattern.p, *pattern_end = p + pattern.len;
    const uint8_t *t = text.p, *text_end = t + text.len;
    if (text.len == 0)
        return pattern.len == 0;

    /* Only the last star is ever tried again: a longer match of an earlier one cannot help the rest. */
    const uint8_t *star = NULL, *retry = NULL;
    unsigned stars = 0;
    while (t < text_end) {
        if (p < pattern_end && *p == '*') {
            while (p < pattern_end && *p == '*')
                p++;
            if (p == pattern_end)
                return true;
            if (++stars > STARS)
                return false;
            star = p;
            retry = t;
            continue;
        }
        if (p < pattern_end && element_match(&p, pattern_end, *t, ignore_case)) {
            t++;
            continue;
        }
        if (!star)
            return false;
        p = star;
        t = ++retry;
    }
    while (p < pattern_end && *p == '*')
        p++;
    return p == pattern_end;
}
