/* inspect_net.c: what workers tell of their network: connections, neighbours, routes, addresses. */
#include "inspect_ops.h"
#include "json.h"
#include "worker.h"

enum verdict inspect_workers(struct visit *v)
{
    struct json j = json_begin(v->out);
    json_u64(&j, "worker", v->worker->id);
    json_u64(&j, "connections", tcp_conn_count(v->worker->tcp));
    json_u64(&j, "sessions", v->worker->sessions);
    json_end(&j);
    return VISIT_DONE;
}
