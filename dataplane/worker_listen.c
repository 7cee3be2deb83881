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

static bool among(const struct config_listener *listener, unsigned n, const struct config_listener *l)
{
    for (unsigned i = 0; i < n; i++)
        if (same_place(&listener[i], l))
            return true;
    return false;
}

/* TLS, certificates and users are looked up when a connection comes. Held against what this worker listens to, not
 * against the generation before, which may be gone: a worker that slept has missed some. What finds no room (all places
 * taken by half-open connections of listeners that went) is tried again with the next generation. */
bool worker_follow_listeners(struct worker *w, const struct config *conf)
{
    struct config_listener now[CONFIG_LISTENERS];
    unsigned n = 0;
    for (unsigned i = 0; i < w->listeners; i++)
        if (!among(conf->listener, conf->listeners, &w->listener[i]))
            tcp_listen_end(w->tcp, w->listener[i].port);
    for (unsigned i = 0; i < conf->listeners; i++) {
        const struct config_listener *l = &conf->listener[i];
        if (among(w->listener, w->listeners, l) || tcp_listen_at(w->tcp, l->port, l->address, l->addresses))
            now[n++] = *l;
        else
            notes_add(&w->notes, "No room to listen on port %u", l->port);
    }
    memcpy(w->listener, now, n * sizeof *now);
    w->listeners = n;
    return n == conf->listeners;
}

bool worker_listens(struct worker *w)
{
    const struct config *conf = w->conf;
    return (!conf->port || tcp_listen(w->tcp, conf->port)) && (!conf->tls_port || tcp_listen(w->tcp, conf->tls_port)) &&
           (conf->cluster_view == CLUSTER_VIEW_NONE ||
            tcp_listen(w->tcp, (uint16_t)(conf->cluster_view_port + w->id))) &&
           worker_follow_listeners(w, conf);
}
