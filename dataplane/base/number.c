/* number.c: numbers as Redis reads and prints them (util.c of Redis 7.2: string2ll, string2d, string2ld,
 * ll2string, d2string, ld2string, memtoull). */
#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool parse_i64(struct slice s, int64_t *out)
{
    if (s.len == 0 || s.len > 20)
        return false;
    const uint8_t *p = s.p, *end = s.p + s.len;
    bool negative = *p == '-';
    if (negative && ++p == end)
        return false;
    if (*p == '0') { /* a lone zero; "-0" and leading zeros are not numbers */
        *out = 0;
        return s.len == 1;
    }
    uint64_t v = 0;
    for (; p < end; p++) {
        unsigned digit = *p - '0';
        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Is this a result that strtod reports as out of range and Redis refuses? Denormals pass. */
#define RANGE_ERROR(v, huge) (errno == ERANGE && ((v) == (huge) || (v) == -(huge) || (v) == 0))

/* Up to 15 digits, perhaps with a point among them: an integer and a power of ten that are exact, whose
 * quotient is rounded as strtod() rounds (Clinger 1990). False for all other text, right or wrong. */
static bool parse_plain_double(struct slice s, double *out)
{
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};
    const uint8_t *p = s.p, *end = s.p + s.len, *point = NULL;
    bool negative = p < end && *p == '-';
    p += negative;
    if (end - p < 1 || end - p > 15 || *p == '.' || end[-1] == '.')
        return false;
    uint64_t v = 0;
    for (; p < end; p++) {
        unsigned digit = *p - '0';
        if (digit <= 9)
            v = v * 10 + digit;
        else if (*p == '.' && !point)
            point = p + 1;
        else
            return false;
    }
    double magnitude = (double)v / power[point ? end - point : 0];
    *out = negative ? -magnitude : magnitude;
    return true;
}

bool parse_double(struct slice s, double *out)
{
    if (parse_plain_double(s, out))
        return true;
    char text[NUMBER_TEXT], *end;
    if (s.len == 0 || s.len >= sizeof text || isspace(s.p[0]))
        return false;
    memcpy(text, s.p, s.len);
    text[s.len] = 0;
    errno = 0;
    double v = strtod(text, &end);
    if (end != text + s.len || RANGE_ERROR(v, HUGE_VAL) || isnan(v))
        return false;
    *out = v;
    return true;
}

bool parse_long_double(struct slice s, long double *out)
{
    char text[NUMBER_TEXT], *end; /* Redis' MAX_LONG_DOUBLE_CHARS */
    if (s.len == 0 || s.len >= sizeof text || isspace(s.p[0]))
        return false;
    memcpy(text, s.p, s.len);
    text[s.len] = 0;
    errno = 0;
    long double v = strtold(text, &end);
    if (end != text + s.len || RANGE_ERROR(v, HUGE_VALL) || isnan(v))
        return false;
    *out = v;
    return true;
}

const char number_pair[200] = "00010203040506070809101112131415161718192021222324"
                              "25262728293031323334353637383940414243444546474849"
                              "50515253545556575859606162636465666768697071727374"
                              "75767778798081828384858687888990919293949596979899";

#define E(n) UINT64_C(1##n)
const uint64_t number_power[20] = {0,
                                   E(0),
                                   E(00),
                                   E(000),
                                   E(0000),
                                   E(00000),
                                   E(000000),
                                   E(0000000),
                                   E(00000000),
                                   E(000000000),
                                   E(0000000000),
                                   E(00000000000),
                                   E(000000000000),
                                   E(0000000000000),
                                   E(00000000000000),
                                   E(000000000000000),
                                   E(0000000000000000),
                                   E(00000000000000000),
                                   E(000000000000000000),
                                   E(0000000000000000000)};

size_t format_u64(char *text, uint64_t v)
{
    unsigned n = number_digits(v);
    number_put((uint8_t *)text, v, n);
    return n;
}

size_t format_i64(char *text, int64_t v)
{
    if (v >= 0)
        return format_u64(text, (uint64_t)v);
    *text = '-';
    return 1 + format_u64(text + 1, 0 - (uint64_t)v);
}

/* The digits d1d2..dn and the exponent k with value = d1d2..dn * 10^k, shortest that reads back as v (> 0).
 */
static int shortest_digits(double v, char digits[20], int *k)
{
    char text[DOUBLE_TEXT];
    /* Fifteen digits are exact for every normal number; a denormal may need fewer than it would print. */
    for (int precision = v < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, v);
        if (precision == 17 || strtod(text, NULL) == v)
            break;
    }
    int n = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p != '.')
            digits[n++] = *p;
    *k = atoi(p + 1) - (n - 1);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
        ++*k;
    }
    return n;
}

static size_t layout_scientific(char *text, const char *digits, int n, int exponent)
{
    char *p = text;
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)n - 1);
        p += n - 1;
    }
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    p += format_u64(p, (uint64_t)abs(exponent));
    return (size_t)(p - text);
}

/* The layout of Redis' fpconv_dtoa: plain digits where that is short, else scientific. */
static size_t layout_double(char *text, const char *digits, int n, int k)
{
    int exponent = k + n - 1;
    if (k >= 0 && abs(exponent) < n + 7) {
        memcpy(text, digits, (size_t)n);
        memset(text + n, '0', (size_t)k);
        return (size_t)(n + k);
    }
    if (k >= 0 || (k <= -7 && abs(exponent) >= 4))
        return layout_scientific(text, digits, n, exponent);
    int whole = n + k; /* digits before the point */
    if (whole > 0) {
        memcpy(text, digits, (size_t)whole);
        text[whole] = '.';
        memcpy(text + whole + 1, digits + whole, (size_t)-k);
        return (size_t)n + 1;
    }
    memcpy(text, "0.", 2);
    memset(text + 2, '0', (size_t)-whole);
    memcpy(text + 2 - whole, digits, (size_t)n);
    return (size_t)(n + 2 - whole);
}

static size_t put(char *text, const char *word)
{
    size_t len = strlen(word);
    memcpy(text, word, len + 1);
    return len;
}

size_t format_double(char text[DOUBLE_TEXT], double v)
{
    if (isnan(v))
        return put(text, "nan");
    if (isinf(v))
        return put(text, v < 0 ? "-inf" : "inf");
    if (v == 0)
        return put(text, signbit(v) ? "-0" : "0");
    if (fabs(v) < (double)(INT64_MAX / 2) && (double)(int64_t)v == v)
        return format_i64(text, (int64_t)v);
    size_t sign = v < 0;
    if (sign)
        text[0] = '-';
    char digits[20];
    int k, n = shortest_digits(fabs(v), digits, &k);
    return sign + layout_double(text + sign, digits, n, k);
}

size_t format_long_double(char text[NUMBER_TEXT], long double v)
{
    if (isnan(v))
        return put(text, "nan");
    if (isinf(v))
        return put(text, v < 0 ? "-inf" : "inf");
    int n = snprintf(text, NUMBER_TEXT, "%.17Lf", v);
    if (n < 0 || n >= NUMBER_TEXT)
        return put(text, "0");
    while (text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    text[n] = 0;
    return strcmp(text, "-0") == 0 ? put(text, "0") : (size_t)n;
}

bool parse_memory(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1024},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30}};
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    if (p == text)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(p, units[i].unit) == 0)
            return !__builtin_mul_overflow(v, units[i].factor, bytes);
    return false;
}
