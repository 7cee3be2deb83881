/* rate.c: token buckets of source prefixes. A prefix may stand in TCP_RATE_WAYS places of one set, which a
 * keyed hash chooses. When all are taken by others, the one that is full first makes room: a bucket that is
 * full already says nothing and is lost without loss; else its prefix begins again with a full bucket, which
 * needs more than four thousand prefixes opening connections faster than their limit at one time. */
#include "tcp/rate.h"
#include "base/filter_rule.h"

#include <stdlib.h>

enum { SECOND_NS = 1000000000 };

bool tcp_rate_new(struct tcp_rate *r, struct tcp_secret secret)
{
    *r = (struct tcp_rate){.secret = secret};
    r->bucket = calloc((size_t)TCP_RATE_SETS * TCP_RATE_WAYS, sizeof *r->bucket);
    return r->bucket != NULL;
}

void tcp_rate_set(struct tcp_rate *r, unsigned per_second, unsigned burst, unsigned bits4, unsigned bits6)
{
    if (r->bits4 != bits4 || r->bits6 != bits6)
        memset(r->bucket, 0, sizeof *r->bucket * TCP_RATE_SETS * TCP_RATE_WAYS);
    r->bits4 = (uint8_t)bits4;
    r->bits6 = (uint8_t)bits6;
    r->step = per_second ? SECOND_NS / per_second : 0;
    r->depth = r->step * (burst ? burst - 1 : 0);
}

void tcp_rate_free(struct tcp_rate *r)
{
    free(r->bucket);
}

static struct ip_addr prefix_of(const struct tcp_rate *r, const struct ip_addr *source)
{
    struct ip_addr prefix = *source;
    filter_mask(&prefix, ip_is_v4(source) ? 96u + r->bits4 : r->bits6);
    return prefix;
}

/* The prefix' own bucket, or the one that makes room for it. */
static struct tcp_rate_bucket *find(struct tcp_rate *r, const struct ip_addr *prefix)
{
    uint64_t hash = tcp_siphash(&r->secret, prefix, sizeof *prefix);
    struct tcp_rate_bucket *set = &r->bucket[hash % TCP_RATE_SETS * TCP_RATE_WAYS], *first = set;
    for (unsigned i = 0; i < TCP_RATE_WAYS; i++) {
        if (ip_equal(&set[i].prefix, prefix))
            return &set[i];
        if (set[i].full_at < first->full_at)
            first = &set[i];
    }
    *first = (struct tcp_rate_bucket){.prefix = *prefix};
    return first;
}

bool tcp_rate_take(struct tcp_rate *r, const struct ip_addr *source, uint64_t now_us)
{
    if (!r->step)
        return true;
    struct ip_addr prefix = prefix_of(r, source);
    struct tcp_rate_bucket *b = find(r, &prefix);
    uint64_t now = now_us * 1000;
    uint64_t from = b->full_at > now ? b->full_at : now;
    if (from - now > r->depth)
        return false;
    b->full_at = from + r->step;
    return true;
}
