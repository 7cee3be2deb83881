/* show_board.c: operations on the machine itself: what it is made of, and how the box is laid out on it. */
#include "control/show.h"

#include "board/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *list_json(const struct cpus *set)
{
    char text[4096];
    return json_string(cpus_print(set, text, sizeof text));
}

static json_t *texts_json(const char *first, unsigned n, size_t step)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, safe_string(first + i * step));
    return list;
}

/* -- topology ----------------------------------------------------------------------------------------- */

static json_t *node_json(const struct topology *t, unsigned number)
{
    const struct board_node *n = &t->node[number];
    json_t *distances = json_array();
    for (unsigned i = cpus_next(&t->nodes, 0); i < NODES_MOST; i = cpus_next(&t->nodes, i + 1))
        json_array_append_new(distances, json_integer(n->distance[i]));
    return json_pack("{s:i,s:i,s:o,s:I,s:I,s:I,s:I,s:o}", "node", (int)number, "socket", n->package, "cpus",
                     list_json(&n->cpus), "memory_mb", (json_int_t)n->memory_mb, "free_mb",
                     (json_int_t)n->free_mb, "hugepages", (json_int_t)n->pages, "hugepages_free",
                     (json_int_t)n->pages_free, "distances", distances);
}

static json_t *nic_json(const struct board_nic *n)
{
    json_t *j =
        json_pack("{s:o,s:o,s:o,s:o}", "address", safe_string(n->address), "interface",
                  safe_string(n->interface), "driver", safe_string(n->driver), "id", safe_string(n->id));
    json_object_set_new(j, "node", n->node >= 0 ? json_integer(n->node) : json_null());
    return j;
}

static json_t *topology_json(const struct topology *t)
{
    json_t *nodes = json_array(), *nics = json_array();
    for (unsigned n = cpus_next(&t->nodes, 0); n < NODES_MOST; n = cpus_next(&t->nodes, n + 1))
        json_array_append_new(nodes, node_json(t, n));
    for (unsigned i = 0; i < t->nics; i++)
        json_array_append_new(nics, nic_json(&t->nic[i]));
    return json_pack("{s:o,s:o,s:o,s:b,s:o,s:o,s:I,s:b,s:o}", "cpus", list_json(&t->online), "isolated",
                     list_json(&t->isolated), "nohz_full", list_json(&t->nohz_full), "numa", t->numa, "nodes",
                     nodes, "nics", nics, "hugepage_kb", (json_int_t)t->hugepage_kb, "iommu", t->iommu,
                     "notes", texts_json(t->note[0], t->notes, sizeof t->note[0]));
}

/* -- plan --------------------------------------------------------------------------------------------- */

static int choice_of(const char *value, const char *const words[3])
{
    int i = 0;
    while (i < 2 && strcmp(words[i], value) != 0)
        i++;
    return i;
}

static void wish_of(const struct settings *s, struct plan_wish *w)
{
    static const char *const cross[] = {"no", "socket", "yes"}, *const pages[] = {"no", "yes", "auto"};
    const char *type = settings_get(s, "link-type"), *cores = settings_get(s, "worker-cores");
    uint64_t arena = 0;
    int huge = choice_of(settings_get(s, "hugepages"), pages);
    memory_parse(settings_get(s, "arena-size"), &arena);
    *w = (struct plan_wish){.workers = (unsigned)settings_number(s, "workers"),
                            .cross = (enum plan_cross)choice_of(settings_get(s, "cross-node"), cross),
                            .hugepages = huge == 2 ? -1 : huge,
                            .busy = strcmp(settings_get(s, "idle-policy"), "busy") == 0,
                            .pci = strcmp(type, "pci") == 0,
                            .device = "",
                            .arena = arena,
                            .mtu = (unsigned)settings_number(s, "link-mtu"),
                            .mbufs = (unsigned)settings_number(s, "mbuf-count"),
                            .maxclients = (unsigned)settings_number(s, "maxclients")};
    if (w->pci || strcmp(type, "af_packet") == 0)
        w->device = settings_get(s, "link-name");
    for (unsigned i = 0; i < PLAN_WORKERS; i++) {
        char *end;
        long core = strtol(cores, &end, 10);
        w->core[i] = end > cores ? (int)core : -1;
        cores = end + strspn(end, ", ");
    }
}

static json_t *workers_json(const struct board_plan *p)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < p->workers; i++) {
        const struct plan_worker *w = &p->worker[i];
        json_t *j = json_pack("{s:i,s:i,s:i,s:i,s:i,s:b}", "worker", (int)i, "cpu", w->cpu, "core", w->core,
                              "socket", w->package, "node", w->node, "isolated", w->isolated);
        json_object_set_new(j, "memory_node", w->memory >= 0 ? json_integer(w->memory) : json_null());
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *memory_json(const struct board_plan *p)
{
    json_t *list = json_array();
    for (unsigned n = 0; n < NODES_MOST; n++) {
        const struct plan_node *m = &p->node[n];
        if (m->pages)
            json_array_append_new(
                list, json_pack("{s:i,s:I,s:I,s:I,s:I,s:I}", "node", (int)n, "arena_mb",
                                (json_int_t)(m->arena >> 20), "packets_mb", (json_int_t)(m->packets >> 20),
                                "other_mb", (json_int_t)(m->other >> 20), "hugepages_needed",
                                (json_int_t)m->pages, "hugepages", (json_int_t)m->pages_there));
    }
    return list;
}

static json_t *kernel_json(const struct board_plan *p)
{
    static const char *const state[] = {"missing", "set", "different"};
    json_t *list = json_array();
    for (unsigned i = 0; i < p->arguments; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "argument", p->argument[i].text, "state",
                                              state[p->argument[i].state]));
    return list;
}

static json_t *plan_json(const struct board_plan *p, const struct plan_wish *w)
{
    json_t *j = json_pack("{s:o,s:i,s:b,s:o,s:o,s:o,s:o,s:i,s:b,s:o,s:o,s:o}", "link_device",
                          safe_string(w->device), "node", p->home, "node_is_links", p->home_told, "workers",
                          workers_json(p), "cpus", list_json(&p->cpus), "idle_siblings", list_json(&p->idle),
                          "system_cpus", list_json(&p->housekeeping), "most_workers", (int)p->most,
                          "hugepages", p->huge, "memory", memory_json(p), "kernel", kernel_json(p), "remarks",
                          texts_json(p->remark[0], p->remarks, sizeof p->remark[0]));
    return j;
}

/* -- asking ------------------------------------------------------------------------------------------- */

json_t *board_json(const struct settings *s, const char *inventory, bool running, bool plan, char *error,
                   size_t size)
{
    struct topology *t = must_alloc(1, sizeof *t);
    struct board_plan *p = must_alloc(1, sizeof *p);
    struct tree tree = tree_files(inventory);
    struct plan_wish w;
    json_t *j = NULL;
    if (topology_read(t, &tree, error, size) && !plan) {
        j = topology_json(t);
    } else if (cpus_count(&t->online)) {
        wish_of(s, &w);
        w.running = running;
        w.allowed = t->online;
        if (!*inventory)
            topology_allowed(t, &w.allowed);
        if (plan_make(p, t, &w, error, size))
            j = plan_json(p, &w);
    }
    free(p);
    free(t);
    return j;
}

static void show_board(struct call *call, bool plan)
{
    struct control *c = call_control(call);
    char error[512];
    bool running = supervise_status(c->supervisor)->pid != 0;
    json_t *j = board_json(commit_running(c->commit), c->inventory, running, plan, error, sizeof error);
    if (j)
        call_reply(call, j);
    else
        call_fail(call, "refused", "%s", error);
}

void show_topology(struct call *call, const json_t *request)
{
    (void)request;
    show_board(call, false);
}

void show_plan(struct call *call, const json_t *request)
{
    (void)request;
    show_board(call, true);
}
