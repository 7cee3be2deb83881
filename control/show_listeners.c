/* show_listeners.c: where the box takes connections: data ports with what they speak, management. */
#include "control/show.h"

#include <stdlib.h>
#include <string.h>

static json_t *add(json_t *list, const char *plane, const char *service, const char *transport,
                   const char *address, long port, const char *state)
{
    json_t *row = json_pack("{s:s,s:s,s:s,s:o,s:I,s:s}", "plane", plane, "service", service, "transport", transport,
                            "address", safe_string(address), "port", (json_int_t)port, "state", state);
    json_array_append_new(list, row);
    return row;
}

/* A `listener`, in its canonical form: "NAME port N [bind A]... [tls yes] [auth-clients W] [user NAME]". */
static void add_listener(json_t *list, const char *line, const char *address, const char *state)
{
    struct words w = {0}, bind = {0};
    const char *port = "0", *auth = NULL, *user = NULL, *transport = "tcp";
    char *copy = must_copy(line), *rest = copy;
    for (char *word; (word = strsep(&rest, " "));)
        words_add(&w, must_copy(word));
    for (unsigned i = 1; i + 1 < w.n; i += 2) {
        const char *value = w.p[i + 1];
        if (strcmp(w.p[i], "bind") == 0)
            words_add(&bind, must_copy(value));
        else if (strcmp(w.p[i], "tls") == 0)
            transport = "tls";
        else
            *(strcmp(w.p[i], "port") == 0 ? &port : strcmp(w.p[i], "user") == 0 ? &user : &auth) = value;
    }
    bool here = bind.n == 0;
    for (unsigned i = 0; i < bind.n; i++)
        here = here || strcmp(bind.p[i], address) == 0;
    json_t *row = here ? add(list, "data", "redis", transport, address, strtol(port, NULL, 10), state) : NULL;
    if (row)
        json_object_set_new(row, "name", safe_string(w.p[0]));
    if (row && auth)
        json_object_set_new(row, "auth_clients", json_string(auth));
    if (row && user)
        json_object_set_new(row, "user", safe_string(user));
    words_free(&w);
    words_free(&bind);
    free(copy);
}

/* On one address: what is the same for all clients, and the ports that are workers' own. */
static void add_data_ports(json_t *list, const struct settings *s, const char *address, const char *state)
{
    const long port = settings_number(s, "port"), tls = settings_number(s, "tls-port");
    if (port)
        add(list, "data", "redis", "tcp", address, port, state);
    if (tls)
        add(list, "data", "redis", "tls", address, tls, state);
    if (strcmp(settings_get(s, "cluster-view"), "workers") == 0)
        for (long i = 0; i < settings_number(s, "workers"); i++)
            add(list, "data", "redis-cluster", "tcp", address, settings_number(s, "cluster-view-port") + i,
                state);
    const struct words *more = &s->value[directive_find("listener")];
    for (unsigned i = 0; i < more->n; i++)
        add_listener(list, more->p[i], address, state);
}

void show_listeners(struct call *call, const json_t *request)
{
    const struct control *c = call_control(call);
    const struct supervise_status *dataplane = supervise_status(c->supervisor);
    const bool serves = dataplane->phase == PHASE_ATTACHED && strcmp(dataplane->state, "serving") == 0;
    struct settings *s = commit_effective(c->commit);
    const struct words *addresses = &s->value[directive_find("link-address")];
    json_t *list = json_array();
    (void)request;
    for (unsigned i = 0; i < addresses->n; i++) {
        char *address = must_copy_n(addresses->p[i], strcspn(addresses->p[i], "/"));
        add_data_ports(list, s, address, serves ? "listening" : "down");
        free(address);
    }
    add(list, "management", "sluice", "unix", settings_get(s, "management-socket"), 0, "listening");
    if (settings_number(s, "management-port"))
        add(list, "management", "https", "tls", settings_get(s, "management-bind"),
            settings_number(s, "management-port"), "listening");
    if (settings_number(s, "stats-port"))
        add(list, "management", "metrics", "tcp", settings_get(s, "stats-address"),
            settings_number(s, "stats-port"), "listening");
    settings_free(s);
    call_reply(call, list);
}
