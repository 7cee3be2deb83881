/* endpoint.h: an IP address and a port, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
    uint8_t b[16]; /* network byte order */
};

struct endpoint {
    struct ip_addr ip;
    uint16_t port; /* host byte order */
};

enum { ENDPOINT_TEXT = 56 }; /* "[v6]:port" with its zero byte always fits */

static inline bool ip_is_v4(const struct ip_addr *a)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(a->b, prefix, sizeof prefix) == 0;
}

static inline bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* Text forms of an address ("127.0.77.2", "fe80::1") and of an endpoint as Redis' CLIENT LIST prints it
 * ("127.0.77.1:50412", "[fe80::1]:50412"). Write a zero-terminated string of at most ENDPOINT_TEXT bytes. */
void ip_format(const struct ip_addr *a, char text[ENDPOINT_TEXT]);
void endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT]);

/* Parses "a.b.c.d" or an IPv6 address without brackets. False if it is neither. */
bool ip_parse(const char *text, struct ip_addr *out);

/* Parses "ADDRESS/BITS"; without "/BITS" the prefix is the whole address. *bits counts in the address'
 * own family (0-32 or 0-128). */
bool ip_parse_prefix(const char *text, struct ip_addr *out, unsigned *bits);
