/* resp.c: answers and simple replies. */
#include "control/resp.h"

#include <stdlib.h>
#include <string.h>

void resp_error(struct text *out, const char *format, ...)
{
    va_list args;
    size_t from = out->len;
    text_add(out, "-");
    va_start(args, format);
    text_vprintf(out, format, args);
    va_end(args);
    for (size_t i = from; i < out->len; i++)
        if (out->p[i] == '\r' || out->p[i] == '\n')
            out->p[i] = ' ';
    text_add(out, "\r\n");
}

void resp_ok(struct text *out)
{
    text_add(out, "+OK\r\n");
}

enum resp_kind resp_read(const char *p, size_t len, const char **value, size_t *value_len)
{
    const char *end = len ? memchr(p, '\r', len) : NULL;
    if (!end || end + 1 >= p + len || end[1] != '\n')
        return RESP_NONE;
    if (*p == '+' || *p == '-') {
        *value = p + 1;
        *value_len = (size_t)(end - p - 1);
        return *p == '+' ? RESP_STATUS : RESP_ERROR;
    }
    if (*p != '$' && *p != '=')
        return RESP_NONE;
    char *stop;
    unsigned long n = strtoul(p + 1, &stop, 10);
    size_t head = (size_t)(end + 2 - p);
    if (stop != end || p[1] == '-' || n > len - head || len - head - n != 2)
        return RESP_NONE;
    *value = end + 2;
    *value_len = n;
    if (*p == '=' && n >= 4) { /* "txt:" before the text */
        *value += 4;
        *value_len -= 4;
    }
    return RESP_BULK;
}

/* A length after its mark; *p moves behind the line. -1: none. */
static long length(const char **p, const char *end, char mark)
{
    char *rest;
    if (*p == end || **p != mark)
        return -1;
    long n = strtol(*p + 1, &rest, 10);
    if (rest + 2 > end || rest[0] != '\r' || n < 0)
        return -1;
    *p = rest + 2;
    return n;
}

bool resp_texts(const char *p, size_t len, struct words *texts)
{
    const char *end = p + len;
    long n = length(&p, end, '*');
    for (long i = 0; i < n; i++) {
        long bytes = length(&p, end, '$');
        if (bytes < 0 || end - p < bytes + 2 || memchr(p, 0, (size_t)bytes))
            return false;
        words_add(texts, must_copy_n(p, (size_t)bytes));
        p += bytes + 2;
    }
    return n >= 0;
}
