/* config.h: one generation of configuration as the dataplane sees it. Control parses, checks and versions the
 * file (control/); the dataplane gets name/value pairs, turns those it acts on into fields and keeps all of
 * them as text for CONFIG GET. A generation is immutable once built: workers hold a pointer to the current
 * one and pick up the next between two bursts. */
#pragma once
#include "base/config_listener.h"
#include "base/endpoint.h"
#include "base/filter_rule.h"
#include "base/slice.h"

enum maxmemory_policy {
    POLICY_NOEVICTION,
    POLICY_ALLKEYS_LRU,
    POLICY_ALLKEYS_LFU,
    POLICY_ALLKEYS_RANDOM,
    POLICY_VOLATILE_LRU,
    POLICY_VOLATILE_LFU,
    POLICY_VOLATILE_RANDOM,
    POLICY_VOLATILE_TTL,
};

enum cross_node { CROSS_NODE_NO, CROSS_NODE_SOCKET, CROSS_NODE_YES };
enum fsync_policy { FSYNC_EVERYSEC, FSYNC_ALWAYS, FSYNC_NO };
enum idle_policy { IDLE_ADAPTIVE, IDLE_BUSY };
enum congestion_control { CONGESTION_NEWRENO, CONGESTION_CUBIC };
enum cluster_view { CLUSTER_VIEW_NONE, CLUSTER_VIEW_WORKERS };
enum cluster_endpoint { CLUSTER_ENDPOINT_IP, CLUSTER_ENDPOINT_HOSTNAME, CLUSTER_ENDPOINT_UNKNOWN };
enum link_type { LINK_TAP, LINK_AF_PACKET, LINK_VHOST, LINK_VIRTIO_USER, LINK_MEMIF, LINK_PCI };
enum certificate_name { CERTIFICATE_CN, CERTIFICATE_DNS, CERTIFICATE_URI }; /* of a client; by tls-auth-clients-user */
enum { CONFIG_ADDRESSES = 8, CONFIG_ROUTES = 64, CONFIG_WORKERS = 64 };

struct config_pair {
    const char *name, *value; /* names in lower case; a repeated directive is one pair per occurrence */
};

struct output_limit {
    uint64_t hard, soft; /* bytes, 0 = none */
    uint32_t soft_seconds;
};

/* When a collection leaves its compact form, and how the parts of a large one are cut: Redis' directives. */
struct collection_limits {
    uint64_t hash_entries, hash_value; /* hash-max-listpack-entries, -value */
    uint64_t set_ints;                 /* set-max-intset-entries */
    uint64_t set_entries, set_value, zset_entries, zset_value;
    int list_size; /* list-max-listpack-size: elements, or -1 .. -5 = 4 .. 64 KB */
    unsigned list_depth;
    uint64_t stream_bytes, stream_entries;
};

enum notify_class { /* the letters of notify-keyspace-events */
    NOTIFY_KEYSPACE = 1 << 0, /* K */
    NOTIFY_KEYEVENT = 1 << 1, /* E */
    NOTIFY_GENERIC = 1 << 2,  /* g */
    NOTIFY_STRING = 1 << 3,   /* $ */
    NOTIFY_LIST = 1 << 4,     /* l */
    NOTIFY_SET = 1 << 5,      /* s */
    NOTIFY_HASH = 1 << 6,     /* h */
    NOTIFY_ZSET = 1 << 7,     /* z */
    NOTIFY_EXPIRED = 1 << 8,  /* x */
    NOTIFY_EVICTED = 1 << 9,  /* e */
    NOTIFY_STREAM = 1 << 10,  /* t */
    NOTIFY_MODULE = 1 << 11,  /* d: no modules here, no events */
    NOTIFY_NEW = 1 << 12,     /* n */
    NOTIFY_MISS = 1 << 13,    /* m */
    NOTIFY_ALL = 0xffc        /* A */
};

/* What control has read from the files that tls-* directives name. It comes in pairs whose names begin with
 * CONFIG_SECRET, several in a row for a long one, which are kept apart from the others. */
#define CONFIG_SECRET "tls:"
enum config_pem { PEM_CERTIFICATE, PEM_KEY, PEM_AUTHORITIES, PEM_DH, CONFIG_PEMS };

struct tls_set;

struct config {
    uint64_t generation;

    /* Changeable at run time. */
    uint64_t maxmemory; /* bytes, 0 = the whole arena */
    enum maxmemory_policy maxmemory_policy;
    enum fsync_policy log_policy; /* appendfsync; always: replies wait until the log is on the disk */
    unsigned maxmemory_samples, lfu_log_factor, lfu_decay_time;
    struct collection_limits limits;
    const char *requirepass; /* "" = none */
    bool acl_all_channels;   /* acl-pubsub-default: what new users begin with */
    const char *tls_auth_clients_user; /* "off", or enum certificate_name's words in the order of preference */
    uint64_t acllog_max_len;
    bool protected_mode;
    unsigned timeout_s, tcp_keepalive_s; /* 0 = never */
    bool tcp_syn_cookies;
    unsigned tcp_user_timeout_ms; /* 0 = as retransmissions go */
    unsigned maxclients;
    uint64_t proto_max_bulk_len, client_query_buffer_limit;
    int64_t maxmemory_clients; /* bytes of all clients, negative: per cent of maxmemory, 0 = any */
    struct output_limit limit_normal, limit_pubsub, limit_replica;
    unsigned notify; /* notify-keyspace-events: enum notify_class */
    int64_t slowlog_log_slower_than_us; /* -1 = off */
    uint64_t slowlog_max_len;
    uint64_t tracking_table_max_keys; /* of client-side caching, 0 = any number */
    uint64_t latency_monitor_ms; /* latency-monitor-threshold: what takes that long is noted; 0 = nothing */
    uint64_t busy_reply_threshold_ms; /* a script may take; 0 = as long as it may at most */
    uint64_t script_memory_limit;     /* bytes of an interpreter */
    uint64_t hll_sparse_max_bytes;
    const char *cluster_announce_ip, *cluster_announce_hostname; /* "" = none */
    enum cluster_endpoint cluster_endpoint;                      /* cluster-preferred-endpoint-type */
    enum idle_policy idle_policy;
    enum congestion_control tcp_congestion_control;
    bool tcp_ecn;
    uint32_t tcp_send_buffer; /* bytes a connection may have queued at most */
    struct filter_rule *filter; /* the data port's packet filter: the first that matches decides */
    unsigned filters;
    enum filter_action filter_default;
    unsigned connection_rate_limit; /* new connections a second from one source prefix, 0 = any number */
    unsigned connection_rate_burst; /* at once, 0 = as many as a second's */
    unsigned connection_rate_bits4, connection_rate_bits6; /* what a source prefix is */

    struct config_listener listener[CONFIG_LISTENERS]; /* ports beside those below */
    unsigned listeners;

    enum tls_auth tls_auth_clients;
    const char *tls_protocols, *tls_ciphers, *tls_ciphersuites; /* "" = the box's choice */
    bool tls_prefer_server_ciphers, tls_session_caching;
    unsigned tls_session_cache_size, tls_session_cache_timeout_s;

    /* Follows from the above. */
    uint64_t long_us; /* a command that takes that long is one for the slow log or the latency monitor */
    bool times_all;   /* fast commands are to be timed each, not one of many */

    /* Fixed at start. */
    unsigned databases, workers;
    int worker_core[CONFIG_WORKERS]; /* -1 = chosen by the box */
    enum cross_node cross_node; /* workers on other NUMA nodes than the NIC's */
    uint16_t port, tls_port; /* 0 = none */
    enum cluster_view cluster_view;
    uint16_t cluster_view_port; /* of worker 0; that of worker i is i more */
    unsigned tcp_backlog;
    uint32_t tcp_receive_buffer; /* bytes: the largest window announced */
    uint64_t arena_size;
    int hugepages;       /* 1 yes, 0 no, -1 if there are any */
    bool warm_restart;   /* the arena outlives the process */
    unsigned mbuf_count; /* 0 = chosen by the box */
    enum link_type link_type;
    const char *link_name, *link_path, *link_peer, *link_role, *link_options;
    const char *link_mac; /* "" = made from the name */
    unsigned link_mtu, link_queue_size;
    bool link_offload; /* use what the port can do for us */
    struct {
        struct ip_addr ip;
        unsigned bits;
    } address[CONFIG_ADDRESSES];
    unsigned addresses;
    struct ip_addr gateway4, gateway6; /* all zero = none */
    struct {
        struct ip_addr prefix, gateway;
        unsigned bits;
    } route[CONFIG_ROUTES];
    unsigned routes;
    bool link_dad; /* are our addresses free? */

    /* The rules compiled (net/filter.h): set, shared between generations and let go by the box. */
    struct filter *compiled;
    struct tls_set *tls; /* NULL = no TLS; shared likewise */

    /* Private keys and certificates as text, NULL = none: until config_forget_secrets(). */
    char *pem[CONFIG_PEMS];

    /* Everything, as text, in the order control sent it. */
    unsigned pairs;
    struct config_pair *pair;
};

/* Builds a generation from pairs (copied). Unknown names are kept as text only. Returns NULL and writes one
 * line to error (size bytes) if a value that the dataplane acts on cannot be used. Free with config_free. */
struct config *config_build(uint64_t generation, const struct config_pair *pairs, unsigned n, char *error,
                            size_t size);
void config_free(struct config *c);
/* Wipes what is no longer needed when the contexts for TLS have been made. */
void config_forget_secrets(struct config *c);
/* Wipes and frees a text that held a secret. NULL: no effect. */
void config_wipe(char *secret);

/* Bytes that all clients together may take by maxmemory-clients; 0 = any number. */
uint64_t config_clients_bytes(const struct config *c);

/* The worker whose own port in the cluster view this is; -1 = it is none of them. */
static inline int config_worker_of_port(const struct config *c, uint16_t port)
{
    unsigned worker = (unsigned)port - c->cluster_view_port; /* a port before the first is far behind the last */
    return c->cluster_view == CLUSTER_VIEW_WORKERS && worker < c->workers ? (int)worker : -1;
}

/* The listener of this port; NULL: it is none of the directive's. */
static inline const struct config_listener *config_listener_of(const struct config *c, uint16_t port)
{
    for (unsigned i = 0; i < c->listeners; i++)
        if (c->listener[i].port == port)
            return &c->listener[i];
    return NULL;
}

/* Does any port speak TLS? */
bool config_has_tls(const struct config *c);
/* Does any of them ask for certificates of clients? */
bool config_asks_clients(const struct config *c);

/* The text of a directive's first occurrence, or NULL. Valid as long as the generation. */
const char *config_text(const struct config *c, const char *name);

/* The directives that the dataplane acts on, by number from 0; NULL after the last. Static strings. */
const char *config_directive(unsigned i);

/* Writes the value of one of those directives as Redis' CONFIG GET prints it (sizes in bytes, lists joined by
 * blanks), its default if control sent none; cut to size bytes. False if it is no directive of ours. */
bool config_print(const struct config *c, const char *name, char *line, size_t size);
