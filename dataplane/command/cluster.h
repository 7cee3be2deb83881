/* cluster.h: the cluster view. With `cluster-view workers` each worker is announced as a shard of a Redis
 * Cluster, on a port of its own; who comes there (CLIENT_CLUSTER) sees a node of a cluster: keys of this
 * worker's slots alone, one slot a command, database 0. On the box' own port nothing of this is seen.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
#pragma once
#include "command/command.h"

static inline bool in_cluster(const struct request *rq)
{
    return rq->client->flags & CLIENT_CLUSTER;
}

enum { CLUSTER_NODE_ID = 40, CLUSTER_ERROR = 512 };
enum { CLUSTER_NO_SLOT = -1, CLUSTER_SLOTS = -2 };

#define CLUSTER_CROSSSLOT "CROSSSLOT Keys in request don't hash to the same slot"

/* The slot of all keys, or channels, that a request of a client in the view names; CLUSTER_NO_SLOT if it
 * names none, CLUSTER_SLOTS if they are of several. */
int cluster_slot(const struct request *rq);
/* Does the request belong to another node, or to none? Then `text` is the error that says so (MOVED,
 * CROSSSLOT). */
bool cluster_strays(const struct request *rq, char text[CLUSTER_ERROR]);
/* The same for a command of a script, whose error is another. *slot is that of the script's keys so far. */
const char *cluster_script_strays(const struct request *rq, int *slot, bool one_slot);
/* How the nodes of this client's view are named. */
struct cluster_names {
    char address[ENDPOINT_TEXT];
    const char *ip, *hostname;
    const char *preferred; /* of the two, as MOVED names it */
};
void cluster_names(const struct request *rq, struct cluster_names *names);
uint16_t cluster_port(const struct request *rq, unsigned worker);
/* The ID of a worker's node: the same as long as the box has its first address and the port. */
void cluster_node_id(const struct config *conf, unsigned worker, char id[CLUSTER_NODE_ID + 1]);

/* The shards that a command on all keys looks at: first ... end - 1. In the view its worker's alone. */
struct shard_span {
    unsigned first, end;
};
static inline struct shard_span request_shards(const struct request *rq)
{
    unsigned self = rq->env->self;
    return in_cluster(rq) ? (struct shard_span){self, self + 1} : (struct shard_span){0, rq->env->ks->shards};
}

/* Replies `error` and returns true if the client is in the view: for what a cluster does not have. */
bool cluster_refuses(const struct request *rq, const char *error);

#define CLUSTER_DISABLED "ERR This instance has cluster support disabled"

command_handler readonly_run, readwrite_run, asking_run;
command_handler cluster_countkeysinslot_run, cluster_failure_reports_run, cluster_fixed_run,
    cluster_getkeysinslot_run, cluster_help_run, cluster_info_run, cluster_keyslot_run, cluster_links_run,
    cluster_myid_run, cluster_myshardid_run, cluster_nodes_run, cluster_replicas_run, cluster_saveconfig_run,
    cluster_shards_run, cluster_slots_run;
