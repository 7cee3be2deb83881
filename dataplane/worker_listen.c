/* worker_listen.c: on which ports a worker listens: those of the box, its own in the cluster view, and the `listener`
 * directives, which come and go with generations. Who is connected stays, whatever becomes of the listener. */
#include "worker.h"

static bool same_place(const struct config_listener *a, const struct config_listener *b)
{
    if (a->port != b->port || a->addresses != b->addresses)
        return false;
    for (unsigned i = 0; i < a->addresses; i++)
        if (!ip_equal(&a->address[i], &b->address[i]))
            return false;
    return true;
}

static bool has(const struct config *conf, const struct config_listener *l)
{
    const struct config_listener *its = config_listener_of(conf, l->port);
    return its && same_place(its, l);
}

/* TLS, certificates and users are looked up when a connection comes. */
bool worker_follow_listeners(struct worker *w, const struct config *before, const struct config *now)
{
    bool good = true;
    for (unsigned i = 0; before && i < before->listeners; i++)
        if (!has(now, &before->listener[i]))
            tcp_listen_end(w->tcp, before->listener[i].port);
    for (unsigned i = 0; i < now->listeners; i++) {
        const struct config_listener *l = &now->listener[i];
        if (!before || !has(before, l))
            good = tcp_listen_at(w->tcp, l->port, l->address, l->addresses) && good;
    }
    return good;
}

bool worker_listens(struct worker *w)
{
    const struct config *conf = w->conf;
    return (!conf->port || tcp_listen(w->tcp, conf->port)) && (!conf->tls_port || tcp_listen(w->tcp, conf->tls_port)) &&
           (conf->cluster_view == CLUSTER_VIEW_NONE ||
            tcp_listen(w->tcp, (uint16_t)(conf->cluster_view_port + w->id))) &&
           worker_follow_listeners(w, NULL, conf);
}
