/* config.c: name/value pairs to the fields that the dataplane acts on. Every directive is one row: where its
 * value goes, how it is read and printed, its bounds and its default (Redis 7.2's redis.conf where Redis has
 * it). */
#include "base/config.h"
#include "base/config_filter.h"
#include "base/number.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct row;

struct kind { /* how a value is read into its field, printed back, and what a good one looks like */
    bool (*parse)(struct config *c, const struct row *row, const char *text);
    void (*print)(const struct config *c, const struct row *row, char *text, size_t size);
    const char *wanted;
};

struct word {
    const char *text; /* NULL ends a list */
    int value;
};

struct row {
    const char *name;
    const struct kind *kind;
    const char *fallback; /* applied first, so that an absent directive has it */
    size_t offset, width;
    int64_t min, max;
    const struct word *words;
};

enum { LINE_MAX_BYTES = 1024 }; /* a directive that is a list fits this */

/* -- numbers, sizes and words -------------------------------------------------------------------------------
 */

static void put_integer(struct config *c, const struct row *row, int64_t v)
{
    void *field = (uint8_t *)c + row->offset;
    switch (row->width) {
    case 1:
        *(uint8_t *)field = (uint8_t)v;
        break;
    case 2:
        *(uint16_t *)field = (uint16_t)v;
        break;
    case 4:
        *(uint32_t *)field = (uint32_t)v;
        break;
    default:
        *(int64_t *)field = v;
    }
}

/* Fields of four bytes are signed only when the row allows negative values. */
static int64_t get_integer(const struct config *c, const struct row *row)
{
    const void *field = (const uint8_t *)c + row->offset;
    switch (row->width) {
    case 1:
        return *(const uint8_t *)field;
    case 2:
        return *(const uint16_t *)field;
    case 4:
        return row->min < 0 ? *(const int32_t *)field : (int64_t) * (const uint32_t *)field;
    default:
        return *(const int64_t *)field;
    }
}

static bool parse_number(struct config *c, const struct row *row, const char *text)
{
    int64_t v;
    if (!parse_i64(slice_str(text), &v) || v < row->min || v > row->max)
        return false;
    put_integer(c, row, v);
    return true;
}

static void print_number(const struct config *c, const struct row *row, char *text, size_t size)
{
    snprintf(text, size, "%" PRId64, get_integer(c, row));
}

static bool parse_size(struct config *c, const struct row *row, const char *text)
{
    uint64_t v;
    if (!parse_memory(text, &v) || v > INT64_MAX || (int64_t)v < row->min || (int64_t)v > row->max)
        return false;
    put_integer(c, row, (int64_t)v);
    return true;
}

/* Bytes, or so many per cent of something: kept as a negative number. */
static bool parse_part(struct config *c, const struct row *row, const char *text)
{
    size_t len = strlen(text);
    int64_t percent;
    if (len < 2 || text[len - 1] != '%')
        return parse_size(c, row, text);
    if (!parse_i64((struct slice){(const uint8_t *)text, len - 1}, &percent) || percent < 0 || percent > 100)
        return false;
    put_integer(c, row, -percent);
    return true;
}

static void print_part(const struct config *c, const struct row *row, char *text, size_t size)
{
    int64_t v = get_integer(c, row);
    snprintf(text, size, v < 0 ? "%" PRId64 "%%" : "%" PRId64, v < 0 ? -v : v);
}

static bool parse_word(struct config *c, const struct row *row, const char *text)
{
    for (const struct word *w = row->words; w->text; w++)
        if (strcasecmp(w->text, text) == 0) {
            put_integer(c, row, w->value);
            return true;
        }
    return false;
}

static void print_word(const struct config *c, const struct row *row, char *text, size_t size)
{
    int value = row->width == 1 ? (int)get_integer(c, row) : (int32_t)get_integer(c, row);
    for (const struct word *w = row->words; w->text; w++)
        if (w->value == value) {
            snprintf(text, size, "%s", w->text);
            return;
        }
}

/* Points into the generation's own copy of the pairs (or at a static default). */
static bool parse_text(struct config *c, const struct row *row, const char *text)
{
    *(const char **)((uint8_t *)c + row->offset) = text;
    return true;
}

static void print_text(const struct config *c, const struct row *row, char *text, size_t size)
{
    snprintf(text, size, "%s", *(const char *const *)((const uint8_t *)c + row->offset));
}

/* -- directives that are lists
 * -------------------------------------------------------------------------------- */

static const struct limit_class {
    const char *name, *alias;
    size_t offset;
} limit_classes[] = {
    {"normal", "normal", offsetof(struct config, limit_normal)},
    {"slave", "replica", offsetof(struct config, limit_replica)},
    {"pubsub", "pubsub", offsetof(struct config, limit_pubsub)},
};
enum { LIMIT_CLASSES = sizeof limit_classes / sizeof limit_classes[0] };

static const struct limit_class *limit_class(const char *name)
{
    for (unsigned i = 0; i < LIMIT_CLASSES; i++)
        if (strcasecmp(name, limit_classes[i].name) == 0 || strcasecmp(name, limit_classes[i].alias) == 0)
            return &limit_classes[i];
    return NULL;
}

/* Groups of "CLASS HARD SOFT SECONDS"; classes that are not named keep what they have. */
static bool parse_limits(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    char line[LINE_MAX_BYTES], *state;
    if (snprintf(line, sizeof line, "%s", text) >= (int)sizeof line)
        return false;
    char *name = strtok_r(line, " \t", &state);
    if (!name)
        return false;
    for (; name; name = strtok_r(NULL, " \t", &state)) {
        const struct limit_class *class = limit_class(name);
        const char *hard = strtok_r(NULL, " \t", &state), *soft = strtok_r(NULL, " \t", &state);
        const char *seconds = strtok_r(NULL, " \t", &state);
        struct output_limit limit;
        int64_t s;
        if (!class || !seconds || !parse_memory(hard, &limit.hard) || !parse_memory(soft, &limit.soft) ||
            !parse_i64(slice_str(seconds), &s) || s < 0 || s > UINT32_MAX)
            return false;
        limit.soft_seconds = (uint32_t)s;
        memcpy((uint8_t *)c + class->offset, &limit, sizeof limit);
    }
    return true;
}

static void print_limits(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = 0;
    for (unsigned i = 0; i < LIMIT_CLASSES && used < size; i++) {
        struct output_limit limit;
        memcpy(&limit, (const uint8_t *)c + limit_classes[i].offset, sizeof limit);
        used += (size_t)snprintf(text + used, size - used, "%s%s %" PRIu64 " %" PRIu64 " %u", i ? " " : "",
                                 limit_classes[i].name, limit.hard, limit.soft, limit.soft_seconds);
    }
}

/* In the order in which Redis prints them. */
static const struct {
    char letter;
    unsigned class;
} notify_letters[] = {{'A', NOTIFY_ALL},      {'g', NOTIFY_GENERIC}, {'$', NOTIFY_STRING},
                      {'l', NOTIFY_LIST},     {'s', NOTIFY_SET},     {'h', NOTIFY_HASH},
                      {'z', NOTIFY_ZSET},     {'x', NOTIFY_EXPIRED}, {'e', NOTIFY_EVICTED},
                      {'t', NOTIFY_STREAM},   {'d', NOTIFY_MODULE},  {'K', NOTIFY_KEYSPACE},
                      {'E', NOTIFY_KEYEVENT}, {'m', NOTIFY_MISS},    {'n', NOTIFY_NEW}};
enum { NOTIFY_LETTERS = sizeof notify_letters / sizeof *notify_letters };

static bool parse_events(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    c->notify = 0;
    for (; *text; text++) {
        unsigned i = 0;
        while (i < NOTIFY_LETTERS && notify_letters[i].letter != *text)
            i++;
        if (i == NOTIFY_LETTERS)
            return false;
        c->notify |= notify_letters[i].class;
    }
    return true;
}

static void print_events(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    unsigned left = c->notify;
    for (unsigned i = 0; i < NOTIFY_LETTERS && size > 1; i++) {
        if ((left & notify_letters[i].class) != notify_letters[i].class)
            continue;
        *text++ = notify_letters[i].letter;
        size--;
        left &= ~notify_letters[i].class;
    }
    *text = 0;
}

/* "auto", or one core a worker in order; workers beyond the list get a core of the box's choice. */
static bool parse_cores(struct config *c, const struct row *row, const char *text)
{
    char line[LINE_MAX_BYTES], *state;
    for (unsigned i = 0; i < CONFIG_WORKERS; i++)
        c->worker_core[i] = -1;
    if (strcasecmp(text, "auto") == 0)
        return true;
    if (snprintf(line, sizeof line, "%s", text) >= (int)sizeof line)
        return false;
    unsigned n = 0;
    for (char *word = strtok_r(line, " ,\t", &state); word; word = strtok_r(NULL, " ,\t", &state), n++) {
        int64_t core;
        if (n == CONFIG_WORKERS || !parse_i64(slice_str(word), &core) || core < row->min || core > row->max)
            return false;
        c->worker_core[n] = (int)core;
    }
    return n > 0;
}

static void print_cores(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = (size_t)snprintf(text, size, "%s", c->worker_core[0] < 0 ? "auto" : "");
    for (unsigned i = 0; i < CONFIG_WORKERS && c->worker_core[i] >= 0 && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%d", i ? " " : "", c->worker_core[i]);
}

/* One directive an address; the empty default adds none. */
static bool parse_address(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    if (!*text)
        return true;
    if (c->addresses == CONFIG_ADDRESSES ||
        !ip_parse_prefix(text, &c->address[c->addresses].ip, &c->address[c->addresses].bits))
        return false;
    c->addresses++;
    return true;
}

static void print_addresses(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = 0;
    *text = 0;
    for (unsigned i = 0; i < c->addresses && used < size; i++) {
        char ip[ENDPOINT_TEXT];
        ip_format(&c->address[i].ip, ip);
        used += (size_t)snprintf(text + used, size - used, "%s%s/%u", i ? " " : "", ip, c->address[i].bits);
    }
}

static bool parse_gateway(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    struct ip_addr ip;
    if (!*text)
        return true;
    if (!ip_parse(text, &ip))
        return false;
    *(ip_is_v4(&ip) ? &c->gateway4 : &c->gateway6) = ip;
    return true;
}

static void print_gateways(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    static const struct ip_addr none;
    char v4[ENDPOINT_TEXT] = "", v6[ENDPOINT_TEXT] = "";
    if (!ip_equal(&c->gateway4, &none))
        ip_format(&c->gateway4, v4);
    if (!ip_equal(&c->gateway6, &none))
        ip_format(&c->gateway6, v6);
    snprintf(text, size, "%s%s%s", v4, *v4 && *v6 ? " " : "", v6);
}

/* "PREFIX/BITS via GATEWAY", one directive a route. */
static bool parse_route(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    char line[LINE_MAX_BYTES], *state;
    if (!*text)
        return true;
    if (c->routes == CONFIG_ROUTES || snprintf(line, sizeof line, "%s", text) >= (int)sizeof line)
        return false;
    const char *prefix = strtok_r(line, " \t", &state), *via = strtok_r(NULL, " \t", &state);
    const char *gateway = strtok_r(NULL, " \t", &state);
    struct ip_addr to, hop;
    unsigned bits;
    if (!gateway || strcasecmp(via, "via") != 0 || strtok_r(NULL, " \t", &state) ||
        !ip_parse_prefix(prefix, &to, &bits) || !ip_parse(gateway, &hop) || ip_is_v4(&to) != ip_is_v4(&hop))
        return false;
    c->route[c->routes].prefix = to;
    c->route[c->routes].bits = bits;
    c->route[c->routes++].gateway = hop;
    return true;
}

static void print_routes(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = 0;
    *text = 0;
    for (unsigned i = 0; i < c->routes && used < size; i++) {
        char to[ENDPOINT_TEXT], hop[ENDPOINT_TEXT];
        ip_format(&c->route[i].prefix, to);
        ip_format(&c->route[i].gateway, hop);
        used += (size_t)snprintf(text + used, size - used, "%s%s/%u via %s", i ? " " : "", to,
                                 c->route[i].bits, hop);
    }
}

/* -- the table
 * -------------------------------------------------------------------------------------------------- */

static const struct kind
    number = {parse_number, print_number, "a whole number within its bounds"},
    bytes = {parse_size, print_number, "a size such as 1048576, 100mb or 2gb, within its bounds"},
    part = {parse_part, print_part, "a size such as 100mb, or a share such as 5%"},
    word = {parse_word, print_word, "one of its words"}, text = {parse_text, print_text, "a text"},
    limits = {parse_limits, print_limits, "CLASS HARD SOFT SECONDS with the class normal, replica or pubsub"},
    events = {parse_events, print_events, "letters of Ag$lshzxeKEtmdn"},
    cores = {parse_cores, print_cores, "auto, or core numbers with blanks between, at most 64"},
    address = {parse_address, print_addresses, "ADDRESS/BITS, at most 8 of them"},
    gateway = {parse_gateway, print_gateways, "an IPv4 or IPv6 address"},
    route = {parse_route, print_routes, "PREFIX/BITS via GATEWAY, both of one family, at most 64 of them"},
    filter = {config_parse_filter, config_print_filters,
              "permit|deny|reject [tcp|icmp|any] [from PREFIX] [to PREFIX] [port "
              "N|N-M], at most 1024 of them"},
    rate_prefix = {config_parse_rate_prefix, config_print_rate_prefix,
                   "two numbers of bits: of IPv4 (1 to 32) and of IPv6 (1 to 128)"};

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
    {"maxmemory", &bytes, "0", INTO(maxmemory), 0, INT64_MAX},
    {"maxmemory-policy", &word, "noeviction", INTO(maxmemory_policy), .words = policy_words},
    {"maxmemory-samples", &number, "5", INTO(maxmemory_samples), 1, 64},
    {"lfu-log-factor", &number, "10", INTO(lfu_log_factor), 0, INT_MAX},
    {"lfu-decay-time", &number, "1", INTO(lfu_decay_time), 0, INT_MAX},
    {"hash-max-listpack-entries", &number, "512", INTO(limits.hash_entries), 0, INT64_MAX},
    {"hash-max-listpack-value", &bytes, "64", INTO(limits.hash_value), 0, INT64_MAX},
    {"list-max-listpack-size", &number, "-2", INTO(limits.list_size), INT_MIN, INT_MAX},
    {"list-compress-depth", &number, "0", INTO(limits.list_depth), 0, INT_MAX},
    {"set-max-intset-entries", &number, "512", INTO(limits.set_ints), 0, INT64_MAX},
    {"set-max-listpack-entries", &number, "128", INTO(limits.set_entries), 0, INT64_MAX},
    {"set-max-listpack-value", &number, "64", INTO(limits.set_value), 0, INT64_MAX},
    {"zset-max-listpack-entries", &number, "128", INTO(limits.zset_entries), 0, INT64_MAX},
    {"zset-max-listpack-value", &bytes, "64", INTO(limits.zset_value), 0, INT64_MAX},
    {"stream-node-max-bytes", &bytes, "4096", INTO(limits.stream_bytes), 0, INT64_MAX},
    {"stream-node-max-entries", &number, "100", INTO(limits.stream_entries), 0, INT64_MAX},
    {"requirepass", &text, "", INTO(requirepass)},
    {"tls-auth-clients-user", &text, "off", INTO(tls_auth_clients_user)},
    {"acl-pubsub-default", &word, "resetchannels", INTO(acl_all_channels), .words = channel_words},
    {"acllog-max-len", &number, "128", INTO(acllog_max_len), 0, INT64_MAX},
    {"protected-mode", &word, "yes", INTO(protected_mode), .words = yes_no},
    {"timeout", &number, "0", INTO(timeout_s), 0, INT_MAX},
    {"tcp-keepalive", &number, "300", INTO(tcp_keepalive_s), 0, INT_MAX},
    {"tcp-syn-cookies", &word, "yes", INTO(tcp_syn_cookies), .words = yes_no},
    {"tcp-user-timeout", &number, "0", INTO(tcp_user_timeout_ms), 0, INT_MAX},
    {"maxclients", &number, "10000", INTO(maxclients), 1, UINT_MAX},
    {"proto-max-bulk-len", &bytes, "512mb", INTO(proto_max_bulk_len), MIB, INT64_MAX},
    {"client-query-buffer-limit", &bytes, "1gb", INTO(client_query_buffer_limit), MIB, INT64_MAX},
    {"maxmemory-clients", &part, "0", INTO(maxmemory_clients), 0, INT64_MAX},
    {"client-output-buffer-limit", &limits, "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", 0, 0},
    {"notify-keyspace-events", &events, "", 0, 0},
    {"slowlog-log-slower-than", &number, "10000", INTO(slowlog_log_slower_than_us), -1, INT64_MAX},
    {"busy-reply-threshold", &number, "5000", INTO(busy_reply_threshold_ms), 0, INT64_MAX},
    {"script-memory-limit", &bytes, "128mb", INTO(script_memory_limit), 2 * MIB, INT64_MAX},
    {"tracking-table-max-keys", &number, "1000000", INTO(tracking_table_max_keys), 0, INT64_MAX},
    {"slowlog-max-len", &number, "128", INTO(slowlog_max_len), 0, INT64_MAX},
    {"latency-monitor-threshold", &number, "0", INTO(latency_monitor_ms), 0, INT64_MAX},
    {"hll-sparse-max-bytes", &bytes, "3000", INTO(hll_sparse_max_bytes), 0, INT64_MAX},
    {"cluster-announce-ip", &text, "", INTO(cluster_announce_ip)},
    {"cluster-announce-hostname", &text, "", INTO(cluster_announce_hostname)},
    {"cluster-preferred-endpoint-type", &word, "ip", INTO(cluster_endpoint), .words = endpoint_words},
    {"appendfsync", &word, "everysec", INTO(log_policy), .words = fsync_words},
    {"idle-policy", &word, "adaptive", INTO(idle_policy), .words = idle_words},
    {"tcp-congestion-control", &word, "cubic", INTO(tcp_congestion_control), .words = congestion_words},
    {"tcp-ecn", &word, "yes", INTO(tcp_ecn), .words = yes_no},
    {"tcp-send-buffer", &bytes, "4mb", INTO(tcp_send_buffer), 256 * 1024, 64 * MIB},
    {"filter", &filter, "", 0, 0},
    {"filter-default", &word, "permit", INTO(filter_default), .words = filter_words},
    {"connection-rate-limit", &number, "0", INTO(connection_rate_limit), 0, 1000000},
    {"connection-rate-burst", &number, "0", INTO(connection_rate_burst), 0, 1000000},
    {"connection-rate-prefix", &rate_prefix, "32 64", 0, 0},
    {"tls-auth-clients", &word, "yes", INTO(tls_auth_clients), .words = tls_auth_words},
    {"tls-protocols", &text, "", INTO(tls_protocols)},
    {"tls-ciphers", &text, "", INTO(tls_ciphers)},
    {"tls-ciphersuites", &text, "", INTO(tls_ciphersuites)},
    {"tls-prefer-server-ciphers", &word, "no", INTO(tls_prefer_server_ciphers), .words = yes_no},
    {"tls-session-caching", &word, "yes", INTO(tls_session_caching), .words = yes_no},
    {"tls-session-cache-size", &number, "20480", INTO(tls_session_cache_size), 0, INT_MAX},
    {"tls-session-cache-timeout", &number, "300", INTO(tls_session_cache_timeout_s), 0, INT_MAX},
    {"databases", &number, "16", INTO(databases), 1, UINT16_MAX},
    {"workers", &number, "1", INTO(workers), 1, CONFIG_WORKERS},
    {"worker-cores", &cores, "auto", 0, 0, 0, 1023},
    {"cross-node", &word, "no", INTO(cross_node), .words = cross_words},
    {"port", &number, "6379", INTO(port), 0, UINT16_MAX},
    {"tls-port", &number, "0", INTO(tls_port), 0, UINT16_MAX},
    {"cluster-view", &word, "none", INTO(cluster_view), .words = view_words},
    {"cluster-view-port", &number, "7000", INTO(cluster_view_port), 1, UINT16_MAX},
    {"tcp-backlog", &number, "511", INTO(tcp_backlog), 0, INT_MAX},
    {"tcp-receive-buffer", &bytes, "256kb", INTO(tcp_receive_buffer), 65536, 64 * MIB},
    {"arena-size", &bytes, "256mb", INTO(arena_size), MIB, INT64_MAX},
    {"hugepages", &word, "auto", INTO(hugepages), .words = auto_yes_no},
    {"warm-restart", &word, "yes", INTO(warm_restart), .words = yes_no},
    {"mbuf-count", &number, "0", INTO(mbuf_count), 0, INT_MAX},
    {"link-type", &word, "tap", INTO(link_type), .words = link_words},
    {"link-name", &text, "slu0", INTO(link_name)},
    {"link-path", &text, "", INTO(link_path)},
    {"link-peer", &text, "", INTO(link_peer)},
    {"link-role", &text, "", INTO(link_role)},
    {"link-options", &text, "", INTO(link_options)},
    {"link-mac", &text, "", INTO(link_mac)},
    {"link-mtu", &number, "1500", INTO(link_mtu), 576, 9600},
    {"link-queue-size", &number, "1024", INTO(link_queue_size), 32, 32768},
    {"link-offload", &word, "auto", INTO(link_offload), .words = offload_words},
    {"link-address", &address, "", 0, 0},
    {"link-gateway", &gateway, "", 0, 0},
    {"link-route", &route, "", 0, 0},
    {"link-dad", &word, "yes", INTO(link_dad), .words = yes_no},
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
    enum { FAST_US = 1000 }; /* commands that are always fast take less */
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
    snprintf(error, size, "cluster-view-port: %u workers from port %u on do not fit beside port %u", c->workers,
             c->cluster_view_port, c->port);
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
    if (has_ports(c, error, size))
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
