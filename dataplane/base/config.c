/* config.c: name/value pairs to the fields that the dataplane acts on. Every directive is one row: where its
 * value goes, how it is read and printed, its bounds and its default (Redis 7.2's redis.conf where Redis has
 * it). */
#include "base/config.h"
#include "base/config_values.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* -- the table
 * -------------------------------------------------------------------------------------------------- */

static const struct word yes_no[] = {{"yes", 1}, {"no", 0}, {NULL, 0}};
static const struct word auto_yes_no[] = {{"auto", -1}, {"yes", 1}, {"no", 0}, {NULL, 0}};
static const struct word offload_words[] = {{"auto", true}, {"off", false}, {NULL, 0}};
static const struct word tls_auth_words[] = {
    {"no", TLS_AUTH_NO}, {"yes", TLS_AUTH_YES}, {"optional", TLS_AUTH_OPTIONAL}, {NULL, 0}};
static const struct word fsync_words[] = {
    {"everysec", FSYNC_EVERYSEC}, {"always", FSYNC_ALWAYS}, {"no", FSYNC_NO}, {NULL, 0}};
static const struct word idle_words[] = {{"adaptive", IDLE_ADAPTIVE}, {"busy", IDLE_BUSY}, {NULL, 0}};
static const struct word view_words[] = {
    {"none", CLUSTER_VIEW_NONE}, {"workers", CLUSTER_VIEW_WORKERS}, {NULL, 0}};
static const struct word endpoint_words[] = {{"ip", CLUSTER_ENDPOINT_IP},
                                             {"hostname", CLUSTER_ENDPOINT_HOSTNAME},
                                             {"unknown-endpoint", CLUSTER_ENDPOINT_UNKNOWN},
                                             {NULL, 0}};
static const struct word cross_words[] = {
    {"no", CROSS_NODE_NO}, {"socket", CROSS_NODE_SOCKET}, {"yes", CROSS_NODE_YES}, {NULL, 0}};
static const struct word channel_words[] = {{"allchannels", true}, {"resetchannels", false}, {NULL, 0}};
static const struct word congestion_words[] = {
    {"cubic", CONGESTION_CUBIC}, {"newreno", CONGESTION_NEWRENO}, {NULL, 0}};
static const struct word filter_words[] = {{"permit", FILTER_PERMIT}, {"deny", FILTER_DENY}, {NULL, 0}};
static const struct word policy_words[] = {{"noeviction", POLICY_NOEVICTION},
                                           {"allkeys-lru", POLICY_ALLKEYS_LRU},
                                           {"allkeys-lfu", POLICY_ALLKEYS_LFU},
                                           {"allkeys-random", POLICY_ALLKEYS_RANDOM},
                                           {"volatile-lru", POLICY_VOLATILE_LRU},
                                           {"volatile-lfu", POLICY_VOLATILE_LFU},
                                           {"volatile-random", POLICY_VOLATILE_RANDOM},
                                           {"volatile-ttl", POLICY_VOLATILE_TTL},
                                           {NULL, 0}};
static const struct word link_words[] = {{"tap", LINK_TAP},
                                         {"af_packet", LINK_AF_PACKET},
                                         {"vhost", LINK_VHOST},
                                         {"virtio-user", LINK_VIRTIO_USER},
                                         {"memif", LINK_MEMIF},
                                         {"pci", LINK_PCI},
                                         {NULL, 0}};

#define INTO(member) offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define MIB          (1024 * 1024)

static const struct row rows[] = {
    {"maxmemory", &kind_bytes, "0", INTO(maxmemory), 0, INT64_MAX},
    {"maxmemory-policy", &kind_word, "noeviction", INTO(maxmemory_policy), .words = policy_words},
    {"maxmemory-samples", &kind_number, "5", INTO(maxmemory_samples), 1, 64},
    {"lfu-log-factor", &kind_number, "10", INTO(lfu_log_factor), 0, INT_MAX},
    {"lfu-decay-time", &kind_number, "1", INTO(lfu_decay_time), 0, INT_MAX},
    {"hash-max-listpack-entries", &kind_number, "512", INTO(limits.hash_entries), 0, INT64_MAX},
    {"hash-max-listpack-value", &kind_bytes, "64", INTO(limits.hash_value), 0, INT64_MAX},
    {"list-max-listpack-size", &kind_number, "-2", INTO(limits.list_size), INT_MIN, INT_MAX},
    {"list-compress-depth", &kind_number, "0", INTO(limits.list_depth), 0, INT_MAX},
    {"set-max-intset-entries", &kind_number, "512", INTO(limits.set_ints), 0, INT64_MAX},
    {"set-max-listpack-entries", &kind_number, "128", INTO(limits.set_entries), 0, INT64_MAX},
    {"set-max-listpack-value", &kind_number, "64", INTO(limits.set_value), 0, INT64_MAX},
    {"zset-max-listpack-entries", &kind_number, "128", INTO(limits.zset_entries), 0, INT64_MAX},
    {"zset-max-listpack-value", &kind_bytes, "64", INTO(limits.zset_value), 0, INT64_MAX},
    {"stream-node-max-bytes", &kind_bytes, "4096", INTO(limits.stream_bytes), 0, INT64_MAX},
    {"stream-node-max-entries", &kind_number, "100", INTO(limits.stream_entries), 0, INT64_MAX},
    {"requirepass", &kind_text, "", INTO(requirepass)},
    {"tls-auth-clients-user", &kind_text, "off", INTO(tls_auth_clients_user)},
    {"acl-pubsub-default", &kind_word, "resetchannels", INTO(acl_all_channels), .words = channel_words},
    {"acllog-max-len", &kind_number, "128", INTO(acllog_max_len), 0, INT64_MAX},
    {"protected-mode", &kind_word, "yes", INTO(protected_mode), .words = yes_no},
    {"timeout", &kind_number, "0", INTO(timeout_s), 0, INT_MAX},
    {"tcp-keepalive", &kind_number, "300", INTO(tcp_keepalive_s), 0, INT_MAX},
    {"tcp-syn-cookies", &kind_word, "yes", INTO(tcp_syn_cookies), .words = yes_no},
    {"tcp-user-timeout", &kind_number, "0", INTO(tcp_user_timeout_ms), 0, INT_MAX},
    {"maxclients", &kind_number, "10000", INTO(maxclients), 1, UINT_MAX},
    {"proto-max-bulk-len", &kind_bytes, "512mb", INTO(proto_max_bulk_len), MIB, INT64_MAX},
    {"client-query-buffer-limit", &kind_bytes, "1gb", INTO(client_query_buffer_limit), MIB, INT64_MAX},
    {"maxmemory-clients", &kind_part, "0", INTO(maxmemory_clients), 0, INT64_MAX},
    {"client-output-buffer-limit", &kind_limits, "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", 0,
     0},
    {"notify-keyspace-events", &kind_events, "", 0, 0},
    {"slowlog-log-slower-than", &kind_number, "10000", INTO(slowlog_log_slower_than_us), -1, INT64_MAX},
    {"busy-reply-threshold", &kind_number, "5000", INTO(busy_reply_threshold_ms), 0, INT64_MAX},
    {"script-memory-limit", &kind_bytes, "128mb", INTO(script_memory_limit), 2 * MIB, INT64_MAX},
    {"tracking-table-max-keys", &kind_number, "1000000", INTO(tracking_table_max_keys), 0, INT64_MAX},
    {"slowlog-max-len", &kind_number, "128", INTO(slowlog_max_len), 0, INT64_MAX},
    {"latency-monitor-threshold", &kind_number, "0", INTO(latency_monitor_ms), 0, INT64_MAX},
    {"hll-sparse-max-bytes", &kind_bytes, "3000", INTO(hll_sparse_max_bytes), 0, INT64_MAX},
    {"cluster-announce-ip", &kind_text, "", INTO(cluster_announce_ip)},
    {"cluster-announce-hostname", &kind_text, "", INTO(cluster_announce_hostname)},
    {"cluster-preferred-endpoint-type", &kind_word, "ip", INTO(cluster_endpoint), .words = endpoint_words},
    {"appendfsync", &kind_word, "everysec", INTO(log_policy), .words = fsync_words},
    {"idle-policy", &kind_word, "adaptive", INTO(idle_policy), .words = idle_words},
    {"tcp-congestion-control", &kind_word, "cubic", INTO(tcp_congestion_control), .words = congestion_words},
    {"tcp-ecn", &kind_word, "yes", INTO(tcp_ecn), .words = yes_no},
    {"tcp-send-buffer", &kind_bytes, "4mb", INTO(tcp_send_buffer), 256 * 1024, 64 * MIB},
    {"listener", &kind_listener, "", 0, 0},
    {"filter", &kind_filter, "", 0, 0},
    {"filter-default", &kind_word, "permit", INTO(filter_default), .words = filter_words},
    {"connection-rate-limit", &kind_number, "0", INTO(connection_rate_limit), 0, 1000000},
    {"connection-rate-burst", &kind_number, "0", INTO(connection_rate_burst), 0, 1000000},
    {"connection-rate-prefix", &kind_rate_prefix, "32 64", 0, 0},
    {"tls-auth-clients", &kind_word, "yes", INTO(tls_auth_clients), .words = tls_auth_words},
    {"tls-protocols", &kind_text, "", INTO(tls_protocols)},
    {"tls-ciphers", &kind_text, "", INTO(tls_ciphers)},
    {"tls-ciphersuites", &kind_text, "", INTO(tls_ciphersuites)},
    {"tls-prefer-server-ciphers", &kind_word, "no", INTO(tls_prefer_server_ciphers), .words = yes_no},
    {"tls-session-caching", &kind_word, "yes", INTO(tls_session_caching), .words = yes_no},
    {"tls-session-cache-size", &kind_number, "20480", INTO(tls_session_cache_size), 0, INT_MAX},
    {"tls-session-cache-timeout", &kind_number, "300", INTO(tls_session_cache_timeout_s), 0, INT_MAX},
    {"databases", &kind_number, "16", INTO(databases), 1, UINT16_MAX},
    {"workers", &kind_number, "1", INTO(workers), 1, CONFIG_WORKERS},
    {"worker-cores", &kind_cores, "auto", 0, 0, 0, 1023},
    {"cross-node", &kind_word, "no", INTO(cross_node), .words = cross_words},
    {"port", &kind_number, "6379", INTO(port), 0, UINT16_MAX},
    {"tls-port", &kind_number, "0", INTO(tls_port), 0, UINT16_MAX},
    {"cluster-view", &kind_word, "none", INTO(cluster_view), .words = view_words},
    {"cluster-view-port", &kind_number, "7000", INTO(cluster_view_port), 1, UINT16_MAX},
    {"tcp-backlog", &kind_number, "511", INTO(tcp_backlog), 0, INT_MAX},
    {"tcp-receive-buffer", &kind_bytes, "256kb", INTO(tcp_receive_buffer), 65536, 64 * MIB},
    {"arena-size", &kind_bytes, "256mb", INTO(arena_size), MIB, INT64_MAX},
    {"hugepages", &kind_word, "auto", INTO(hugepages), .words = auto_yes_no},
    {"warm-restart", &kind_word, "yes", INTO(warm_restart), .words = yes_no},
    {"mbuf-count", &kind_number, "0", INTO(mbuf_count), 0, INT_MAX},
    {"link-type", &kind_word, "tap", INTO(link_type), .words = link_words},
    {"link-name", &kind_text, "slu0", INTO(link_name)},
    {"link-path", &kind_text, "", INTO(link_path)},
    {"link-peer", &kind_text, "", INTO(link_peer)},
    {"link-role", &kind_text, "", INTO(link_role)},
    {"link-options", &kind_text, "", INTO(link_options)},
    {"link-mac", &kind_text, "", INTO(link_mac)},
    {"link-mtu", &kind_number, "1500", INTO(link_mtu), 576, 9600},
    {"link-queue-size", &kind_number, "1024", INTO(link_queue_size), 32, 32768},
    {"link-offload", &kind_word, "auto", INTO(link_offload), .words = offload_words},
    {"link-address", &kind_address, "", 0, 0},
    {"link-gateway", &kind_gateway, "", 0, 0},
    {"link-route", &kind_route, "", 0, 0},
    {"link-dad", &kind_word, "yes", INTO(link_dad), .words = yes_no},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const struct row *find_row(const char *name)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

/* -- a generation
 * ------------------------------------------------------------------------------------------------ */

static bool is_secret(const struct config_pair *pair)
{
    return strncmp(pair->name, CONFIG_SECRET, sizeof CONFIG_SECRET - 1) == 0;
}

/* The generation with its pairs, its filter rules and all texts in one allocation. */
static struct config *copy_pairs(const struct config_pair *pairs, unsigned n)
{
    size_t rules = 0, size = sizeof(struct config) + n * sizeof(struct config_pair);
    for (unsigned i = 0; i < n; i++) {
        if (is_secret(&pairs[i]))
            continue;
        size += strlen(pairs[i].name) + strlen(pairs[i].value) + 2;
        rules += strcmp(pairs[i].name, "filter") == 0;
    }
    size += rules * sizeof(struct filter_rule);
    struct config *c = calloc(1, size);
    if (!c)
        return NULL;
    c->pair = (struct config_pair *)(c + 1);
    c->filter = (struct filter_rule *)(c->pair + n);
    char *p = (char *)(c->filter + rules);
    for (unsigned i = 0; i < n; i++) {
        if (is_secret(&pairs[i]))
            continue;
        struct config_pair *pair = &c->pair[c->pairs++];
        pair->name = p;
        p = stpcpy(p, pairs[i].name) + 1;
        pair->value = p;
        p = stpcpy(p, pairs[i].value) + 1;
    }
    return c;
}

/* Puts the parts of one text together. */
static bool copy_secret(char **whole, const char *name, const struct config_pair *pairs, unsigned n)
{
    size_t len = 0;
    for (unsigned i = 0; i < n; i++)
        if (is_secret(&pairs[i]) && strcmp(pairs[i].name + sizeof CONFIG_SECRET - 1, name) == 0)
            len += strlen(pairs[i].value);
    char *p = *whole = len ? malloc(len + 1) : NULL;
    for (unsigned i = 0; p && i < n; i++)
        if (is_secret(&pairs[i]) && strcmp(pairs[i].name + sizeof CONFIG_SECRET - 1, name) == 0)
            p = stpcpy(p, pairs[i].value);
    return !len || *whole;
}

static bool copy_secrets(struct config *c, const struct config_pair *pairs, unsigned n)
{
    static const char *const name[CONFIG_PEMS] = {"certificate", "key", "authorities", "dh"};
    for (unsigned i = 0; i < CONFIG_PEMS; i++)
        if (!copy_secret(&c->pem[i], name[i], pairs, n))
            return false;
    return true;
}

void config_wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void config_forget_secrets(struct config *c)
{
    for (unsigned i = 0; i < CONFIG_PEMS; i++) {
        config_wipe(c->pem[i]);
        c->pem[i] = NULL;
    }
}

/* One line for the operator: the directive, its value, and what would be accepted. */
static void explain(const struct row *row, const char *value, char *error, size_t size)
{
    int used = snprintf(error, size, "%s: '%.64s' is not %s", row->name, value, row->kind->wanted);
    if (row->words)
        for (const struct word *w = row->words; w->text && used >= 0 && (size_t)used < size; w++)
            used +=
                snprintf(error + used, size - (size_t)used, "%s%s", w == row->words ? ": " : ", ", w->text);
    else if (row->max && used >= 0 && (size_t)used < size)
        snprintf(error + used, size - (size_t)used, " (%" PRId64 " to %" PRId64 ")", row->min, row->max);
}

/* What follows from several directives together. */
static void conclude(struct config *c)
{
    enum { FAST_US = 1000 };                                 /* commands that are always fast take less */
    uint64_t slow = (uint64_t)c->slowlog_log_slower_than_us; /* -1: never */
    uint64_t ms = c->latency_monitor_ms, spike = ms && ms < UINT64_MAX / 1000 ? ms * 1000 : UINT64_MAX;
    c->long_us = slow < spike ? slow : spike;
    c->times_all = c->latency_monitor_ms || slow < FAST_US;
}

/* A port of its own for every worker. */
static bool has_ports(const struct config *c, char *error, size_t size)
{
    unsigned last = c->cluster_view_port + c->workers - 1;
    if (c->tls_port && (c->tls_port == c->port || config_worker_of_port(c, c->tls_port) >= 0)) {
        snprintf(error, size, "tls-port: %u is taken by another listener", c->tls_port);
        return false;
    }
    if (c->cluster_view == CLUSTER_VIEW_NONE || (last <= UINT16_MAX && config_worker_of_port(c, c->port) < 0))
        return true;
    snprintf(error, size, "cluster-view-port: %u workers from port %u on do not fit beside port %u",
             c->workers, c->cluster_view_port, c->port);
    return false;
}

struct config *config_build(uint64_t generation, const struct config_pair *pairs, unsigned n, char *error,
                            size_t size)
{
    struct config *c = copy_pairs(pairs, n);
    if (!c || !copy_secrets(c, pairs, n)) {
        config_free(c);
        snprintf(error, size, "no memory for a configuration of %u directives", n);
        return NULL;
    }
    c->generation = generation;
    for (unsigned i = 0; i < ROWS; i++)
        rows[i].kind->parse(c, &rows[i], rows[i].fallback);
    for (unsigned i = 0; i < c->pairs; i++) {
        const struct row *row = find_row(c->pair[i].name);
        if (!row || row->kind->parse(c, row, c->pair[i].value))
            continue;
        explain(row, c->pair[i].value, error, size);
        config_free(c);
        return NULL;
    }
    conclude(c);
    if (has_ports(c, error, size) && config_listeners_fit(c, error, size))
        return c;
    config_free(c);
    return NULL;
}

uint64_t config_clients_bytes(const struct config *c)
{
    enum { LEAST = 128 * 1024 }; /* so that somebody can be talked to, as in Redis */
    uint64_t limit = (uint64_t)c->maxmemory_clients;
    if (c->maxmemory_clients < 0)
        limit = (uint64_t)((double)c->maxmemory * (double)-c->maxmemory_clients / 100);
    if (limit == 0 || (c->maxmemory_clients < 0 && !c->maxmemory))
        return 0;
    return limit > LEAST ? limit : LEAST;
}

void config_free(struct config *c)
{
    if (c)
        config_forget_secrets(c);
    free(c);
}

const char *config_text(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->pairs; i++)
        if (strcmp(c->pair[i].name, name) == 0)
            return c->pair[i].value;
    return NULL;
}

const char *config_directive(unsigned i)
{
    return i < ROWS ? rows[i].name : NULL;
}

bool config_print(const struct config *c, const char *name, char *line, size_t size)
{
    const struct row *row = find_row(name);
    if (!row)
        return false;
    *line = 0;
    row->kind->print(c, row, line, size);
    return true;
}
