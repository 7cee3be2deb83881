/* source.c: see source.h. */
#include "control/source.h"

#include <string.h>

static struct in6_addr prefix_of(const struct sockaddr *from)
{
    struct in6_addr a = {0};
    if (from->sa_family == AF_INET6) {
        a = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&a))
            memset(a.s6_addr + 8, 0, 8);
    } else if (from->sa_family == AF_INET) {
        a.s6_addr[10] = a.s6_addr[11] = 0xff;
        memcpy(a.s6_addr + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    }
    return a;
}

struct source *source_of(struct sources *s, const struct sockaddr *from, uint64_t now_ms)
{
    const struct in6_addr prefix = prefix_of(from);
    struct source *oldest = NULL;
    for (unsigned i = 0; i < s->n; i++) {
        struct source *at = &s->all[i];
        if (memcmp(&at->prefix, &prefix, sizeof prefix) == 0) {
            at->seen_ms = now_ms;
            return at;
        }
        if (at->connections == 0 && (!oldest || at->seen_ms < oldest->seen_ms))
            oldest = at;
    }
    struct source *fresh = s->n < SOURCES_MAX ? &s->all[s->n++] : oldest;
    if (fresh)
        *fresh = (struct source){
            .prefix = prefix, .seen_ms = now_ms, .filled_ms = now_ms, .tokens = SOURCE_BURST};
    return fresh;
}

bool source_may(struct source *s, uint64_t now_ms, unsigned *seconds)
{
    s->tokens += (double)(now_ms - s->filled_ms) * SOURCE_RATE / 1000;
    s->tokens = s->tokens < SOURCE_BURST ? s->tokens : SOURCE_BURST;
    s->filled_ms = now_ms;
    *seconds = 1;
    if (s->tokens < 1)
        return false;
    s->tokens -= 1;
    return true;
}

unsigned source_failed(struct source *s, uint64_t now_ms)
{
    if (now_ms - s->failed_ms > SOURCE_FORGETS_S * 1000u)
        s->failures = 0;
    s->failed_ms = now_ms;
    const unsigned ms = s->failures < 16 ? 250u << s->failures : SOURCE_DELAY_MAX_MS;
    s->failures++;
    return ms < SOURCE_DELAY_MAX_MS ? ms : SOURCE_DELAY_MAX_MS;
}
