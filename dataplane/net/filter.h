/* filter.h: the data port's packet filter: rules (base/filter_rule.h) compiled with rte_acl, a context a
 * family. The first rule that matches decides, else the default. It is asked for packets that belong to no
 * connection, never for those of an established one.
 *
 * A filter is immutable but for its hit counters, of which each worker has its own. The main thread makes it
 * with a generation of configuration; generations with the same rules share one, so that counters survive
 * other changes. */
#pragma once
#include "base/filter_rule.h"
#include "net/net.h"

struct filter;

struct filter_packet { /* destination and source as the sender wrote them */
    uint8_t protocol;  /* FILTER_TCP, FILTER_ICMP, or FILTER_ANY: neither */
    uint16_t port;     /* of the destination, 0 for ICMP */
    struct ip_addr src, dst;
};

/* Needs EAL. The rules are copied. workers: how many sets of counters. NULL and one line in error: no memory.
 * One reference is the caller's. Takes up to a tenth of a second for 1000 rules: never on a worker. */
struct filter *filter_new(const struct filter_rule *rules, unsigned n, enum filter_action otherwise,
                          unsigned workers, char *error, size_t size);
/* References are counted on the main thread alone. */
struct filter *filter_ref(struct filter *f);
void filter_unref(struct filter *f); /* NULL: no effect */
bool filter_same(const struct filter *f, const struct filter_rule *rules, unsigned n,
                 enum filter_action otherwise);

/* Number of the rule that matches, from 0; filter_rules(f) is the default's. */
unsigned filter_match(const struct filter *f, const struct filter_packet *p);
unsigned filter_rules(const struct filter *f);
enum filter_action filter_action(const struct filter *f, unsigned rule);
const struct filter_rule *filter_rule(const struct filter *f, unsigned rule);
/* Over all workers; may be a moment old. */
uint64_t filter_hits(const struct filter *f, unsigned rule);
/* Differs between any two filters, however their memory is used again. */
uint64_t filter_serial(const struct filter *f);

/* -- in an interface ---------------------------------------------------------------------------------- */

/* Borrowed until the next call. NULL: everything is permitted. worker: whose counters. */
void net_set_filter(struct net_if *n, struct filter *f, unsigned worker);
/* Counts the rule's hit and, unless it permits, filter_denied or filter_rejected. */
enum filter_action net_filter(struct net_if *n, const struct filter_packet *p);
/* The same without counting: for connections that stand already. */
bool net_filter_permits(const struct net_if *n, const struct filter_packet *p);
