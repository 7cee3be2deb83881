/* cluster_cmd.c: CLUSTER in the cluster view: the nodes are the workers, and nothing about them changes.
 * https://redis.io/docs/latest/commands/?group=cluster */
#include "command/cluster.h"

#include <inttypes.h>
#include <stdlib.h>

#include "command/scan.h"
#include "command/server.h"
#include "command/text.h"

/* True after an error: the client is not in the view. */
static bool outside(const struct request *rq)
{
    if (in_cluster(rq))
        return false;
    reply_error(rq->out, CLUSTER_DISABLED);
    return true;
}

static unsigned nodes(const struct request *rq)
{
    return rq->env->ks->shards;
}

static unsigned first_slot(const struct request *rq, unsigned node)
{
    return keyspace_first_slot(rq->env->ks, node);
}

static unsigned last_slot(const struct request *rq, unsigned node)
{
    return keyspace_first_slot(rq->env->ks, node + 1) - 1;
}

static void named_text(struct resp_writer *w, const char *name, const char *text)
{
    reply_bulk_str(w, name);
    reply_bulk_str(w, text);
}

/* As redis-cli --cluster create numbers them. */
static unsigned epoch(unsigned node)
{
    return node + 1;
}

/* The node that argument 2 names, or an error. */
static bool names_node(struct request *rq)
{
    char id[CLUSTER_NODE_ID + 1];
    struct slice name = rq->argv[2];
    for (unsigned i = 0; i < nodes(rq); i++) {
        cluster_node_id(rq->env->conf, i, id);
        if (name.len == CLUSTER_NODE_ID && memcmp(name.p, id, CLUSTER_NODE_ID) == 0)
            return true;
    }
    reply_errorf(rq->out, "ERR Unknown node %.*s", name.len < 256 ? (int)name.len : 256,
                 (const char *)name.p);
    return false;
}

/* -- the nodes -- */

/* One of CLUSTER SLOTS: what it is to be called by, and then what else there is to know of it. */
static void slots_node(struct request *rq, const struct cluster_names *names, unsigned node)
{
    struct resp_writer *w = rq->out;
    enum cluster_endpoint kind = rq->env->conf->cluster_endpoint;
    bool ip = kind != CLUSTER_ENDPOINT_IP, host = kind != CLUSTER_ENDPOINT_HOSTNAME && *names->hostname;
    char id[CLUSTER_NODE_ID + 1];
    cluster_node_id(rq->env->conf, node, id);
    reply_array(w, 4);
    if (kind == CLUSTER_ENDPOINT_UNKNOWN)
        reply_null(w);
    else
        reply_bulk_str(w, names->preferred);
    reply_int(w, cluster_port(rq, node));
    reply_bulk_str(w, id);
    reply_map(w, (size_t)ip + host);
    if (ip)
        named_text(w, "ip", names->ip);
    if (host)
        named_text(w, "hostname", names->hostname);
}

enum command_result cluster_slots_run(struct request *rq)
{
    struct cluster_names names;
    if (outside(rq))
        return CMD_DONE;
    cluster_names(rq, &names);
    reply_array(rq->out, nodes(rq));
    for (unsigned i = 0; i < nodes(rq); i++) {
        reply_array(rq->out, 3);
        reply_int(rq->out, first_slot(rq, i));
        reply_int(rq->out, last_slot(rq, i));
        slots_node(rq, &names, i);
    }
    return CMD_DONE;
}

static void shards_node(struct request *rq, const struct cluster_names *names, unsigned node)
{
    struct resp_writer *w = rq->out;
    char id[CLUSTER_NODE_ID + 1];
    cluster_node_id(rq->env->conf, node, id);
    reply_map(w, *names->hostname ? 8 : 7);
    named_text(w, "id", id);
    reply_bulk_str(w, "port");
    reply_int(w, cluster_port(rq, node));
    named_text(w, "ip", names->ip);
    named_text(w, "endpoint", names->preferred);
    if (*names->hostname)
        named_text(w, "hostname", names->hostname);
    named_text(w, "role", "master");
    reply_bulk_str(w, "replication-offset");
    reply_int(w, 0);
    named_text(w, "health", "online");
}

enum command_result cluster_shards_run(struct request *rq)
{
    struct resp_writer *w = rq->out;
    struct cluster_names names;
    if (outside(rq))
        return CMD_DONE;
    cluster_names(rq, &names);
    reply_array(w, nodes(rq));
    for (unsigned i = 0; i < nodes(rq); i++) {
        reply_map(w, 2);
        reply_bulk_str(w, "slots");
        reply_array(w, 2);
        reply_int(w, first_slot(rq, i));
        reply_int(w, last_slot(rq, i));
        reply_bulk_str(w, "nodes");
        reply_array(w, 1);
        shards_node(rq, &names, i);
    }
    return CMD_DONE;
}

/* Redis' port of the bus; nobody listens there. */
static unsigned bus_port(unsigned port)
{
    enum { BUS = 10000 };
    return port + BUS <= UINT16_MAX ? port + BUS : 0;
}

enum command_result cluster_nodes_run(struct request *rq)
{
    struct cluster_names names;
    struct text t = {0};
    if (outside(rq))
        return CMD_DONE;
    cluster_names(rq, &names);
    for (unsigned i = 0; i < nodes(rq); i++) {
        char id[CLUSTER_NODE_ID + 1];
        unsigned port = cluster_port(rq, i), first = first_slot(rq, i), last = last_slot(rq, i);
        bool self = i == rq->env->self;
        cluster_node_id(rq->env->conf, i, id);
        text_addf(&t, "%s %s:%u@%u%s%s %smaster - 0 %" PRIu64 " %u connected %u", id, names.ip, port,
                  bus_port(port), *names.hostname ? "," : "", names.hostname, self ? "myself," : "",
                  self ? 0 : rq->env->now_ms, epoch(i), first);
        text_addf(&t, last > first ? "-%u\n" : "\n", last);
    }
    text_reply(&t, rq->out);
    return CMD_DONE;
}

enum command_result cluster_info_run(struct request *rq)
{
    struct text t = {0};
    if (outside(rq))
        return CMD_DONE;
    text_addf(&t,
              "cluster_state:ok\r\n"
              "cluster_slots_assigned:%d\r\n"
              "cluster_slots_ok:%d\r\n"
              "cluster_slots_pfail:0\r\n"
              "cluster_slots_fail:0\r\n"
              "cluster_known_nodes:%u\r\n"
              "cluster_size:%u\r\n"
              "cluster_current_epoch:%u\r\n"
              "cluster_my_epoch:%u\r\n"
              "cluster_stats_messages_sent:0\r\n"
              "cluster_stats_messages_received:0\r\n"
              "total_cluster_links_buffer_limit_exceeded:0\r\n",
              SLOTS, SLOTS, nodes(rq), nodes(rq), epoch(nodes(rq) - 1), epoch(rq->env->self));
    text_reply(&t, rq->out);
    return CMD_DONE;
}

enum command_result cluster_myid_run(struct request *rq)
{
    char id[CLUSTER_NODE_ID + 1];
    if (outside(rq))
        return CMD_DONE;
    cluster_node_id(rq->env->conf, rq->env->self, id);
    reply_bulk_str(rq->out, id);
    return CMD_DONE;
}

/* Nobody but the node is in its shard: the one can stand for the other. */
enum command_result cluster_myshardid_run(struct request *rq)
{
    return cluster_myid_run(rq);
}

/* Workers need no links to each other. */
enum command_result cluster_links_run(struct request *rq)
{
    if (!outside(rq))
        reply_array(rq->out, 0);
    return CMD_DONE;
}

enum command_result cluster_replicas_run(struct request *rq)
{
    if (!outside(rq) && names_node(rq))
        reply_array(rq->out, 0);
    return CMD_DONE;
}

enum command_result cluster_failure_reports_run(struct request *rq)
{
    if (!outside(rq) && names_node(rq))
        reply_int(rq->out, 0);
    return CMD_DONE;
}

enum command_result cluster_saveconfig_run(struct request *rq)
{
    if (!outside(rq))
        reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result cluster_fixed_run(struct request *rq)
{
    if (!outside(rq))
        reply_error(rq->out, "ERR the nodes are the workers of one box: they cannot be changed from here");
    return CMD_DONE;
}

/* -- the slots -- */

enum command_result cluster_keyslot_run(struct request *rq)
{
    if (!outside(rq))
        reply_int(rq->out, key_slot(rq->argv[2]));
    return CMD_DONE;
}

/* Keys of a slot. Nothing changes the shard before they are replied (CMD_ALL_KEYS). */
struct slot_keys {
    unsigned slot;
    uint64_t count, most;
    struct slice *key; /* [most], or NULL: they are counted alone */
};

static void visit(struct entry *e, void *arg)
{
    struct slot_keys *k = arg;
    if (k->count == k->most || key_slot(entry_key(e)) != k->slot)
        return;
    if (k->key)
        k->key[k->count] = entry_key(e);
    k->count++;
}

static uint64_t keys_here(const struct request *rq)
{
    uint64_t keys, expires, ttl;
    shard_db_size(rq->env->ks->shard[rq->env->self], 0, &keys, &expires, &ttl);
    return keys;
}

/* There is no index by slot: all keys of the worker are looked at, in slices, or until there are enough. */
static void walk(struct request *rq, struct slot_keys *k)
{
    enum { STRIDE = 16 };
    struct shard *s = rq->env->ks->shard[rq->env->self];
    bool here = k->slot >= first_slot(rq, rq->env->self) && k->slot <= last_slot(rq, rq->env->self);
    uint64_t cursor = 0;
    if (!here || k->most == 0)
        return;
    do
        cursor = store_scan(s, 0, cursor, STRIDE, visit, k);
    while (turn_goes_on(rq->turn) && cursor && k->count < k->most);
}

enum command_result cluster_countkeysinslot_run(struct request *rq)
{
    int64_t slot;
    struct slot_keys k = {.most = UINT64_MAX};
    if (outside(rq) || !request_int(rq, 2, &slot, NULL))
        return CMD_DONE;
    if (slot < 0 || slot >= SLOTS) {
        reply_error(rq->out, "ERR Invalid slot");
        return CMD_DONE;
    }
    if (turn_wanted(rq, keys_here(rq)))
        return CMD_LONG;
    k.slot = (unsigned)slot;
    walk(rq, &k);
    reply_int(rq->out, (int64_t)k.count);
    return CMD_DONE;
}

enum command_result cluster_getkeysinslot_run(struct request *rq)
{
    int64_t slot, most;
    if (outside(rq) || !request_int(rq, 2, &slot, NULL) || !request_int(rq, 3, &most, NULL))
        return CMD_DONE;
    if (slot < 0 || slot >= SLOTS || most < 0) {
        reply_error(rq->out, "ERR Invalid slot or number of keys");
        return CMD_DONE;
    }
    uint64_t keys = keys_here(rq);
    if (turn_wanted(rq, keys))
        return CMD_LONG;
    struct slot_keys k = {.slot = (unsigned)slot, .most = (uint64_t)most < keys ? (uint64_t)most : keys};
    k.key = malloc((k.most ? k.most : 1) * sizeof *k.key);
    if (!k.key) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    walk(rq, &k);
    reply_array(rq->out, k.count);
    for (uint64_t i = 0; i < k.count && turn_goes_on(rq->turn); i++)
        reply_bulk(rq->out, k.key[i]);
    free(k.key);
    return CMD_DONE;
}

/* As Redis has it; what would change the nodes is refused here (cluster_fixed_run). */
enum command_result cluster_help_run(struct request *rq)
{
    static const char *const lines[] = {
        "ADDSLOTS <slot> [<slot> ...]",
        "    Assign slots to current node.",
        "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Assign slots which are between <start-slot> and <end-slot> to current node.",
        "BUMPEPOCH",
        "    Advance the cluster config epoch.",
        "COUNT-FAILURE-REPORTS <node-id>",
        "    Return number of failure reports for <node-id>.",
        "COUNTKEYSINSLOT <slot>",
        "    Return the number of keys in <slot>.",
        "DELSLOTS <slot> [<slot> ...]",
        "    Delete slots information from current node.",
        "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Delete slots information which are between <start-slot> and <end-slot> from current node.",
        "FAILOVER [FORCE|TAKEOVER]",
        "    Promote current replica node to being a master.",
        "FORGET <node-id>",
        "    Remove a node from the cluster.",
        "GETKEYSINSLOT <slot> <count>",
        "    Return key names stored by current node in a slot.",
        "FLUSHSLOTS",
        "    Delete current node own slots information.",
        "INFO",
        "    Return information about the cluster.",
        "KEYSLOT <key>",
        "    Return the hash slot for <key>.",
        "MEET <ip> <port> [<bus-port>]",
        "    Connect nodes into a working cluster.",
        "MYID",
        "    Return the node id.",
        "MYSHARDID",
        "    Return the node's shard id.",
        "NODES",
        "    Return cluster configuration seen by node. Output format:",
        "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
        "REPLICATE <node-id>",
        "    Configure current node as replica to <node-id>.",
        "RESET [HARD|SOFT]",
        "    Reset current node (default: soft).",
        "SET-CONFIG-EPOCH <epoch>",
        "    Set config epoch of current node.",
        "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
        "    Set slot state.",
        "REPLICAS <node-id>",
        "    Return <node-id> replicas.",
        "SAVECONFIG",
        "    Force saving cluster configuration on disk.",
        "SLOTS",
        "    Return information about slots range mappings. Each range is made of:",
        "    start, end, master and replicas IP addresses, ports and ids",
        "SHARDS",
        "    Return information about slot range mappings and the nodes associated with them.",
        "LINKS",
        "    Return information about all network links between this node and its peers.",
        "    Output format is an array where each array element is a map containing attributes of a link",
        NULL};
    return outside(rq) ? CMD_DONE : server_help(rq, lines);
}
