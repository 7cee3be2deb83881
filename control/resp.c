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
