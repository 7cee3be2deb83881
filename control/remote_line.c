/* remote_line.c: see remote_line.h. */
#include "control/remote_line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name, *port;
} ways[] = {{"udp://", "514"}, {"tcp://", "601"}, {"tls://", "6514"}};

static bool port_is_good(const char *port)
{
    size_t len = strspn(port, "0123456789");
    long n = strtol(port, NULL, 10);
    return len > 0 && len < sizeof((struct remote_target *)0)->port && !port[len] && n > 0 && n < 65536;
}

bool remote_target_read(const char *word, struct remote_target *t)
{
    unsigned w = 0;
    while (w < 3 && strncmp(word, ways[w].name, strlen(ways[w].name)) != 0)
        w++;
    if (w == 3)
        return false;
    const char *host = word + strlen(ways[w].name);
    const bool bracket = *host == '[';
    host += bracket;
    size_t len = strcspn(host, bracket ? "]" : ":");
    const char *behind = host + len + (bracket && host[len] == ']');
    const char *port = *behind == ':' ? behind + 1 : ways[w].port;
    static const char in_names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_",
                      in_addresses[] = "0123456789abcdefABCDEF:.";
    if (len == 0 || len >= sizeof t->host || strspn(host, bracket ? in_addresses : in_names) != len ||
        (bracket && host[len] != ']') || (*behind && *behind != ':') || !port_is_good(port))
        return false;
    *t = (struct remote_target){.way = (enum remote_way)w};
    memcpy(t->host, host, len);
    snprintf(t->port, sizeof t->port, "%s", port);
    return true;
}

int remote_facility(const char *name)
{
    if (strcmp(name, "user") == 0)
        return 1;
    if (strcmp(name, "audit") == 0)
        return 13;
    return strncmp(name, "local", 5) == 0 && name[5] >= '0' && name[5] <= '7' && !name[6] ? 16 + name[5] - '0'
                                                                                          : -1;
}

/* Printable US-ASCII without blanks; "-" for nothing (RFC 5424 section 6.2). */
static void add_field(struct text *out, const char *field, size_t most)
{
    size_t len = strnlen(field ? field : "", most);
    text_add(out, len ? " " : " -");
    for (size_t i = 0; i < len; i++)
        text_add_n(out, isgraph((unsigned char)field[i]) ? &field[i] : "?", 1);
}

void remote_line_add(struct text *out, const struct remote_line *l, size_t most)
{
    static const int severities[] = {7, 6, 5, 4}; /* debug, informational, notice, warning */
    const size_t start = out->len;
    time_t seconds = (time_t)(l->ms / 1000);
    char date[32], pid[24];
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(pid, sizeof pid, "%ld", l->pid);
    text_printf(out, "<%d>1 %s.%03uZ", l->facility * 8 + severities[l->level], date,
                (unsigned)(l->ms % 1000));
    add_field(out, l->host, 255);
    add_field(out, l->name, 48);
    add_field(out, l->pid ? pid : NULL, 128);
    add_field(out, l->id, 32);
    text_add(out, " - ");
    text_add(out, l->text);
    if (out->len - start > most) { /* not in the middle of a character of UTF-8 */
        out->len = start + most;
        while (out->len > start && ((unsigned char)out->p[out->len] & 0xc0) == 0x80)
            out->len--;
        out->p[out->len] = 0;
    }
}
