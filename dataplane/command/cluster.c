/* cluster.c: where a request belongs in the cluster view: slots, MOVED, CROSSSLOT; and READONLY and kin.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
#include "command/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/sha1.h"

/* -- slots -- */

static int join(int slot, struct slice name)
{
    int its = (int)key_slot(name);
    return slot == CLUSTER_NO_SLOT || slot == its ? its : CLUSTER_SLOTS;
}

/* Of the channels of SSUBSCRIBE and kin, which are no keys. */
static int slot_of_channels(const struct request *rq)
{
    const struct key_spec *k = &rq->cmd->key[0];
    int slot = CLUSTER_NO_SLOT, last = k->last < 0 ? rq->argc + k->last : k->index + k->last;
    for (int i = k->index; i <= last && slot != CLUSTER_SLOTS; i++)
        slot = join(slot, rq->argv[i]);
    return slot;
}

int cluster_slot(const struct request *rq)
{
    enum { HERE = 64 };
    int here[HERE], *position = here, slot = CLUSTER_NO_SLOT;
    const struct command *cmd = rq->cmd;
    if (cmd->key_kind == COMMAND_NO_KEY)
        return slot;
    if (cmd->key_kind == COMMAND_ONE_KEY)
        return (int)key_slot(rq->key.name);
    if (cmd->key[0].flags & KEY_NOT_KEY)
        return slot_of_channels(rq);
    int n = command_keys(cmd, rq->argc, rq->argv, position, HERE);
    if (n > HERE) {
        position = malloc((size_t)n * sizeof *position);
        if (!position)
            return CLUSTER_SLOTS;
        command_keys(cmd, rq->argc, rq->argv, position, n);
    }
    for (int i = 0; i < n && slot != CLUSTER_SLOTS; i++)
        slot = join(slot, rq->argv[position[i]]);
    if (position != here)
        free(position);
    return slot;
}

static unsigned owner_of(const struct request *rq, int slot)
{
    return keyspace_owner(rq->env->ks, (unsigned)slot);
}

/* -- names -- */

/* The address to which the client came: whatever others the box has, this one reaches it. */
void cluster_names(const struct request *rq, struct cluster_names *names)
{
    const struct config *conf = rq->env->conf;
    ip_format(&rq->client->local.ip, names->address);
    names->ip = *conf->cluster_announce_ip ? conf->cluster_announce_ip : names->address;
    names->hostname = conf->cluster_announce_hostname;
    names->preferred = names->ip;
    if (conf->cluster_endpoint == CLUSTER_ENDPOINT_HOSTNAME)
        names->preferred = *names->hostname ? names->hostname : "?";
    else if (conf->cluster_endpoint == CLUSTER_ENDPOINT_UNKNOWN)
        names->preferred = "";
}

uint16_t cluster_port(const struct request *rq, unsigned worker)
{
    return (uint16_t)(rq->env->conf->cluster_view_port + worker);
}

void cluster_node_id(const struct config *conf, unsigned worker, char id[CLUSTER_NODE_ID + 1])
{
    char text[ENDPOINT_TEXT + 64], ip[ENDPOINT_TEXT] = "";
    uint8_t digest[SHA1_BYTES];
    if (conf->addresses)
        ip_format(&conf->address[0].ip, ip);
    snprintf(text, sizeof text, "sluice cluster view %s %u %u", ip, conf->cluster_view_port, worker);
    sha1(slice_str(text), digest);
    bytes_hex(digest, SHA1_BYTES, id);
}

/* -- where it belongs -- */

static void moved(const struct request *rq, int slot, char text[CLUSTER_ERROR])
{
    struct cluster_names names;
    cluster_names(rq, &names);
    snprintf(text, CLUSTER_ERROR, "MOVED %d %s:%u", slot, names.preferred,
             cluster_port(rq, owner_of(rq, slot)));
}

bool cluster_strays(const struct request *rq, char text[CLUSTER_ERROR])
{
    int slot = cluster_slot(rq);
    if (slot == CLUSTER_SLOTS)
        snprintf(text, CLUSTER_ERROR, CLUSTER_CROSSSLOT);
    else if (slot != CLUSTER_NO_SLOT && owner_of(rq, slot) != rq->env->self)
        moved(rq, slot, text);
    else
        return false;
    return true;
}

const char *cluster_script_strays(const struct request *rq, int *slot, bool one_slot)
{
    int its = cluster_slot(rq);
    if (its == CLUSTER_NO_SLOT)
        return NULL;
    if (its == CLUSTER_SLOTS || owner_of(rq, its) != rq->env->self)
        return "Script attempted to access a non local key in a cluster node";
    if (one_slot && *slot != CLUSTER_NO_SLOT && *slot != its)
        return "Script attempted to access keys that do not hash to the same slot";
    *slot = its;
    return NULL;
}

bool cluster_refuses(const struct request *rq, const char *error)
{
    if (!in_cluster(rq))
        return false;
    reply_error(rq->out, error);
    return true;
}

/* -- what a connection says of itself -- */

static enum command_result said(struct request *rq, uint32_t set, uint32_t cleared)
{
    if (in_cluster(rq)) {
        rq->client->flags = (rq->client->flags & ~cleared) | set;
        reply_ok(rq->out);
    } else {
        reply_error(rq->out, CLUSTER_DISABLED);
    }
    return CMD_DONE;
}

enum command_result readonly_run(struct request *rq)
{
    return said(rq, CLIENT_READONLY, 0);
}

enum command_result readwrite_run(struct request *rq)
{
    return said(rq, 0, CLIENT_READONLY);
}

/* No slot is ever on its way from node to node: nothing to be asked for. */
enum command_result asking_run(struct request *rq)
{
    return said(rq, 0, 0);
}
