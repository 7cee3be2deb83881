/* client.c: what a command may change of a connection. */
#include "command/client.h"

#include "command/acl.h"

#include <stdlib.h>

void client_init(struct client *c, uint64_t id, uint64_t now_ms)
{
    *c = (struct client){.id = id, .proto = 2, .created_ms = now_ms, .last_ms = now_ms};
}

struct client_measure client_measured(const struct client *c)
{
    return c->measured ? *c->measured : (struct client_measure){0};
}

void client_release(struct client *c)
{
    free(c->name);
    free(c->lib_name);
    free(c->lib_ver);
    c->name = c->lib_name = c->lib_ver = NULL;
    acl_user_drop(c->user);
    acl_user_drop(c->certified);
    c->user = c->certified = NULL;
}

void client_reset(struct client *c)
{
    free(c->name);
    c->name = NULL;
    acl_user_drop(c->user);
    c->user = NULL;
    c->db = 0;
    c->proto = 2;
    c->flags &= CLIENT_CLOSE_AFTER_REPLY | CLIENT_KILLED | CLIENT_INTERNAL | CLIENT_WAITING | CLIENT_CLUSTER;
}
