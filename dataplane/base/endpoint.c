/* endpoint.c: text forms of IP addresses. */
#include "base/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

void ip_format(const struct ip_addr *a, char text[ENDPOINT_TEXT])
{
    if (ip_is_v4(a))
        inet_ntop(AF_INET, a->b + 12, text, ENDPOINT_TEXT);
    else
        inet_ntop(AF_INET6, a->b, text, ENDPOINT_TEXT);
}

void endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT])
{
    char ip[ENDPOINT_TEXT];
    ip_format(&e->ip, ip);
    snprintf(text, ENDPOINT_TEXT, ip_is_v4(&e->ip) ? "%.45s:%u" : "[%.45s]:%u", ip, e->port);
}

bool ip_parse(const char *text, struct ip_addr *out)
{
    struct ip_addr a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    if (inet_pton(AF_INET, text, a.b + 12) != 1 && inet_pton(AF_INET6, text, a.b) != 1)
        return false;
    *out = a;
    return true;
}

bool ip_parse_prefix(const char *text, struct ip_addr *out, unsigned *bits)
{
    char ip[ENDPOINT_TEXT];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof ip)
        return false;
    memcpy(ip, text, n);
    ip[n] = 0;
    if (!ip_parse(ip, out))
        return false;
    unsigned most = ip_is_v4(out) ? 32 : 128;
    *bits = most;
    if (!slash)
        return true;
    char *end;
    unsigned long b = strtoul(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end || b > most)
        return false;
    *bits = (unsigned)b;
    return true;
}
