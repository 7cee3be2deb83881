/* box_calls.c: see box_calls.h. */
#include "box_calls.h"

#include <stdlib.h>

/* A place keeps its room for replies: it is large, and half a million callers need not take it anew. */
struct rig_client *rig_call(struct box_rig *r, unsigned i, uint16_t port)
{
    struct rig_client *c = &r->client[i];
    struct endpoint local = {.port = (uint16_t)(20000 + i + RIG_CLIENTS * (r->connects++ % 2500))}, remote = {.port = port};
    ip_parse("10.0.0.1", &local.ip);
    ip_parse("10.0.0.2", &remote.ip);
    *c = (struct rig_client){.got = c->got ? c->got : malloc(RIG_REPLY)};
    c->conn = tcp_connect(r->client_tcp, &local, &remote, r->now_us);
    if (!c->conn || !c->got)
        abort();
    tcp_set_user(c->conn, c);
    return c;
}

void rig_drop(struct box_rig *r, unsigned i)
{
    struct rig_client *c = &r->client[i];
    if (c->conn && !c->closed) {
        tcp_set_user(c->conn, NULL);
        tcp_abort(c->conn, r->now_us);
    }
    c->conn = NULL;
}
