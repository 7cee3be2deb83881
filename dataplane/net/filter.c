/* filter.c: rules to rte_acl contexts and back. rte_acl wants a first field of one byte and then groups of
 * four: protocol | source | destination | port and two bytes that match always. */
#include "net/filter.h"
#include "net/internal.h"

#include <rte_acl.h>

#include <stdio.h>
#include <stdlib.h>

enum { WORDS_4 = 1, WORDS_6 = 4, FIELDS_MAX = 1 + 2 * WORDS_6 + 2 };
enum { KEY_ADDRESSES = 4, KEY_MAX = KEY_ADDRESSES + 8 * WORDS_6 + 4 };
enum { FAMILIES = 2, CATEGORIES = 1 };

RTE_ACL_RULE_DEF(acl_rule, FIELDS_MAX);

static const uint8_t protocols[] = {[FILTER_ANY] = 0, IPPROTO_TCP, IPPROTO_ICMP};

struct filter {
    unsigned rules, workers, refs;
    enum filter_action otherwise;
    uint64_t serial;
    struct rte_acl_ctx *acl[FAMILIES]; /* NULL: no rule for this family */
    struct filter_rule *rule;
    uint64_t *hits; /* a worker's row of rules + 1, padded to whole cache lines */
    size_t row;
};

/* -- compiling ---------------------------------------------------------------------------------------- */

static unsigned words_of(unsigned family)
{
    return family ? WORDS_6 : WORDS_4;
}

static void describe_fields(struct rte_acl_config *c, unsigned words)
{
    unsigned n = 0;
    c->defs[n++] = (struct rte_acl_field_def){.type = RTE_ACL_FIELD_TYPE_BITMASK, .size = 1};
    for (unsigned i = 0; i < 2 * words; i++, n++)
        c->defs[n] = (struct rte_acl_field_def){.type = RTE_ACL_FIELD_TYPE_MASK,
                                                .size = 4,
                                                .field_index = (uint8_t)n,
                                                .input_index = (uint8_t)n,
                                                .offset = KEY_ADDRESSES + 4 * i};
    for (unsigned i = 0; i < 2; i++)
        c->defs[n + i] = (struct rte_acl_field_def){.type = RTE_ACL_FIELD_TYPE_RANGE,
                                                    .size = 2,
                                                    .field_index = (uint8_t)(n + i),
                                                    .input_index = (uint8_t)n,
                                                    .offset = KEY_ADDRESSES + 8 * words + 2 * i};
    c->num_fields = n + 2;
    c->num_categories = CATEGORIES;
}

/* The last `words` words of a prefix of 128 bits. */
static void put_prefix(struct rte_acl_field *field, const struct ip_addr *ip, unsigned bits, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        unsigned first = 32 * (4 - words + i);
        uint32_t word;
        memcpy(&word, ip->b + first / 8, 4);
        field[i].value.u32 = rte_be_to_cpu_32(word);
        field[i].mask_range.u32 = bits <= first ? 0 : RTE_MIN(bits - first, 32u);
    }
}

static void put_rule(struct acl_rule *to, const struct filter_rule *r, unsigned number, unsigned words)
{
    memset(to, 0, sizeof *to);
    to->data = (struct rte_acl_rule_data){
        .category_mask = 1, .priority = (int32_t)(RTE_ACL_MAX_PRIORITY - number), .userdata = number + 1};
    to->field[0].value.u8 = protocols[r->protocol];
    to->field[0].mask_range.u8 = r->protocol == FILTER_ANY ? 0 : 0xff;
    put_prefix(&to->field[1], &r->from, r->from_bits, words);
    put_prefix(&to->field[1 + words], &r->to, r->to_bits, words);
    struct rte_acl_field *port = &to->field[1 + 2 * words];
    port[0].value.u16 = r->port_low;
    port[0].mask_range.u16 = r->port_high;
    port[1].mask_range.u16 = UINT16_MAX;
}

static int add_rules(struct filter *f, struct rte_acl_ctx *acl, unsigned family)
{
    int status = 0;
    for (unsigned i = 0; i < f->rules && status == 0; i++) {
        struct acl_rule rule;
        if (!(f->rule[i].families & 1u << family))
            continue;
        put_rule(&rule, &f->rule[i], i, words_of(family));
        status = rte_acl_add_rules(acl, (const struct rte_acl_rule *)&rule, 1);
    }
    return status;
}

static bool compile(struct filter *f, unsigned family)
{
    unsigned n = 0, fields = 3 + 2 * words_of(family);
    char name[RTE_ACL_NAMESIZE];
    for (unsigned i = 0; i < f->rules; i++)
        n += f->rule[i].families >> family & 1;
    if (n == 0)
        return true;
    /* A name that is taken would give us the other's context. */
    snprintf(name, sizeof name, "filter%u.%" PRIx64, family ? 6 : 4, f->serial);
    struct rte_acl_param param = {
        .name = name, .socket_id = SOCKET_ID_ANY, .rule_size = RTE_ACL_RULE_SZ(fields), .max_rule_num = n};
    struct rte_acl_config config = {0};
    describe_fields(&config, words_of(family));
    f->acl[family] = rte_acl_create(&param);
    return f->acl[family] && add_rules(f, f->acl[family], family) == 0 &&
           rte_acl_build(f->acl[family], &config) == 0;
}

struct filter *filter_new(const struct filter_rule *rules, unsigned n, enum filter_action otherwise,
                          unsigned workers, char *error, size_t size)
{
    static uint64_t serial; /* of the main thread */
    struct filter *f = calloc(1, sizeof *f);
    if (!f)
        goto failed;
    f->refs = 1;
    f->serial = ++serial;
    f->rules = n;
    f->workers = workers;
    f->otherwise = otherwise;
    f->row = RTE_ALIGN(n + 1, RTE_CACHE_LINE_SIZE / sizeof(uint64_t));
    f->rule = calloc(n + 1, sizeof *f->rule);
    f->hits = aligned_alloc(RTE_CACHE_LINE_SIZE, workers * f->row * sizeof *f->hits);
    if (!f->rule || !f->hits)
        goto failed;
    memset(f->hits, 0, workers * f->row * sizeof *f->hits);
    if (n)
        memcpy(f->rule, rules, n * sizeof *rules);
    if (compile(f, 0) && compile(f, 1))
        return f;
failed:
    snprintf(error, size, "filter: no memory for %u rules; write fewer", n);
    filter_unref(f);
    return NULL;
}

struct filter *filter_ref(struct filter *f)
{
    f->refs++;
    return f;
}

void filter_unref(struct filter *f)
{
    if (!f || --f->refs)
        return;
    for (unsigned i = 0; i < FAMILIES; i++)
        rte_acl_free(f->acl[i]);
    free(f->rule);
    free(f->hits);
    free(f);
}

/* -- asking ------------------------------------------------------------------------------------------- */

static bool rule_equal(const struct filter_rule *a, const struct filter_rule *b)
{
    return a->action == b->action && a->protocol == b->protocol && a->families == b->families &&
           a->from_bits == b->from_bits && a->to_bits == b->to_bits && a->port_low == b->port_low &&
           a->port_high == b->port_high && ip_equal(&a->from, &b->from) && ip_equal(&a->to, &b->to);
}

bool filter_same(const struct filter *f, const struct filter_rule *rules, unsigned n,
                 enum filter_action otherwise)
{
    bool same = f->rules == n && f->otherwise == otherwise;
    for (unsigned i = 0; same && i < n; i++)
        same = rule_equal(&f->rule[i], &rules[i]);
    return same;
}

unsigned filter_match(const struct filter *f, const struct filter_packet *p)
{
    bool v4 = ip_is_v4(&p->src);
    const struct rte_acl_ctx *acl = f->acl[v4 ? 0 : 1];
    if (!acl)
        return f->rules;
    uint8_t key[KEY_MAX] = {protocols[p->protocol]};
    unsigned bytes = v4 ? 4 : 16;
    memcpy(key + KEY_ADDRESSES, p->src.b + 16 - bytes, bytes);
    memcpy(key + KEY_ADDRESSES + bytes, p->dst.b + 16 - bytes, bytes);
    uint16_t port = rte_cpu_to_be_16(p->port);
    memcpy(key + KEY_ADDRESSES + 2 * bytes, &port, 2);
    const uint8_t *data = key;
    uint32_t result = 0;
    rte_acl_classify(acl, &data, &result, 1, CATEGORIES);
    return result ? result - 1 : f->rules;
}

unsigned filter_rules(const struct filter *f)
{
    return f->rules;
}

enum filter_action filter_action(const struct filter *f, unsigned rule)
{
    return rule < f->rules ? f->rule[rule].action : f->otherwise;
}

const struct filter_rule *filter_rule(const struct filter *f, unsigned rule)
{
    return &f->rule[rule];
}

uint64_t filter_hits(const struct filter *f, unsigned rule)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < f->workers; w++)
        sum += __atomic_load_n(&f->hits[w * f->row + rule], __ATOMIC_RELAXED);
    return sum;
}

uint64_t filter_serial(const struct filter *f)
{
    return f->serial;
}

/* -- in an interface ---------------------------------------------------------------------------------- */

void net_set_filter(struct net_if *n, struct filter *f, unsigned worker)
{
    n->filter = f;
    n->worker = worker;
}

enum filter_action net_filter(struct net_if *n, const struct filter_packet *p)
{
    struct filter *f = n->filter;
    if (!f)
        return FILTER_PERMIT;
    unsigned rule = filter_match(f, p);
    uint64_t *hits = &f->hits[n->worker * f->row + rule];
    __atomic_store_n(hits, *hits + 1, __ATOMIC_RELAXED);
    enum filter_action action = filter_action(f, rule);
    if (action == FILTER_DENY)
        count_one(n->counters, COUNTER_filter_denied);
    else if (action == FILTER_REJECT)
        count_one(n->counters, COUNTER_filter_rejected);
    return action;
}

bool net_filter_permits(const struct net_if *n, const struct filter_packet *p)
{
    return !n->filter || filter_action(n->filter, filter_match(n->filter, p)) == FILTER_PERMIT;
}
