/* fuzz_board.c: a machine whose kernel says anything, and a plan for it. The first bytes choose a shape and a
 * wish; each of the rest names a file (modulo those there are) and gives it new text, up to a byte 0xff. */
#include "fuzz.h"
#include "machine.h"

static void check(const struct board_plan *p, const struct topology *t, const struct plan_wish *w)
{
    for (unsigned i = 0; i < p->workers; i++) {
        const struct plan_worker *one = &p->worker[i];
        MUST(one->cpu >= 0 && cpus_has(&t->online, (unsigned)one->cpu),
             "a worker on a CPU that is not there");
        MUST(cpus_has(&t->nodes, (unsigned)one->node), "a worker on a node that is not there");
        MUST(one->memory < 0 || cpus_has(&t->nodes, (unsigned)one->memory),
             "memory on a node that is not there");
        MUST(w->cross != CROSS_NO || one->node == p->home, "another node, unasked");
    }
    MUST(cpus_count(&p->housekeeping), "no CPU for the main thread");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct topology t;
    static struct board_plan p;
    struct input in = {data, size};
    struct shape shape = {
        1 + take8(&in) % 3, 1 + take8(&in) % 2,         1 + take8(&in) % 4, 1 + take8(&in) % 2, 1024,
        take8(&in),         .flat = take8(&in) % 8 == 0};
    struct plan_wish w = {.workers = 1 + take8(&in) % PLAN_WORKERS,
                          .cross = (enum plan_cross)(take8(&in) % 3),
                          .hugepages = take8(&in) % 3 - 1,
                          .pci = take8(&in) % 2,
                          .device = "0000:81:00.0",
                          .arena = 1 << 28,
                          .mtu = 1500,
                          .maxclients = 10000};
    struct machine *m = machine_new(&shape);
    char error[512] = "";
    machine_nic(m, "0000:81:00.0", "ens1", take8(&in) % 4 - 1);
    for (unsigned i = 0; i < PLAN_WORKERS; i++)
        w.core[i] = -1;
    if (take8(&in) % 4 == 0)
        w.core[0] = take8(&in);
    while (in.left > 2) {
        unsigned file = take16(&in) % m->files;
        const uint8_t *end = memchr(in.p, 0xff, in.left);
        size_t len;
        const uint8_t *text = take(&in, end ? (size_t)(end - in.p) : in.left, &len);
        machine_set_bytes(m, m->file[file].path, text, len);
        take8(&in);
    }
    struct tree tree = machine_tree(m);
    if (topology_read(&t, &tree, error, sizeof error)) {
        w.allowed = t.online;
        if (plan_make(&p, &t, &w, error, sizeof error))
            check(&p, &t, &w);
    }
    MUST(!strchr(error, '\n'), "an error of several lines");
    machine_free(m);
    return 0;
}
