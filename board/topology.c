/* topology.c: see topology.h. */
#include "board/topology.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct topology *t;
    const struct tree *tree;
};

static void note(struct topology *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct topology *t, const char *format, ...)
{
    va_list args;
    if (t->notes == NOTES_MOST)
        return;
    va_start(args, format);
    vsnprintf(t->note[t->notes++], sizeof t->note[0], format, args);
    va_end(args);
}

/* -- files -- */

static bool text_at(const struct tree *tree, char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool text_at(const struct tree *tree, char *text, size_t size, const char *format, ...)
{
    char path[TREE_PATH];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    text[0] = 0;
    return n < (int)sizeof path && tree->read(tree->ctx, path, text, size);
}

static bool number_at(const struct tree *tree, long max, long *value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool number_at(const struct tree *tree, long max, long *value, const char *format, ...)
{
    char path[TREE_PATH];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    return n < (int)sizeof path && tree_number(tree, path, 0, max, value);
}

/* A list that need not be there; one that cannot be read is noted. */
static bool list_at(struct reading *r, struct cpus *set, const char *path)
{
    char text[4096];
    memset(set, 0, sizeof *set);
    if (!r->tree->read(r->tree->ctx, path, text, sizeof text))
        return false;
    if (strcmp(text, "(null)\n") == 0 || strcmp(text, "\n") == 0) /* how some kernels say "none" */
        return true;
    if (cpus_parse(set, text))
        return true;
    note(r->t, "%.90s is no list of numbers", path);
    return false;
}

/* "NAME: 123 kB" or "Node 0 NAME: 123 kB" in a meminfo. */
static bool meminfo(const char *text, const char *name, uint64_t *kb)
{
    size_t len = strlen(name);
    for (const char *p = text; (p = strstr(p, name)); p += len)
        if ((p == text || p[-1] == '\n' || p[-1] == ' ') && p[len] == ':') {
            char *end;
            unsigned long long v = strtoull(p + len + 1, &end, 10);
            if (end == p + len + 1 || v > UINT64_MAX / 1024)
                return false;
            *kb = v;
            return true;
        }
    return false;
}

/* -- CPUs -- */

static void read_cpu(struct reading *r, unsigned cpu)
{
    struct board_cpu *c = &r->t->cpu[cpu];
    char text[4096];
    struct cpus siblings;
    long package;
    *c = (struct board_cpu){.package = -1, .core = (int16_t)cpu};
    if (number_at(r->tree, INT16_MAX, &package, "sys/devices/system/cpu/cpu%u/topology/physical_package_id",
                  cpu))
        c->package = (int16_t)package;
    if (!text_at(r->tree, text, sizeof text, "sys/devices/system/cpu/cpu%u/topology/thread_siblings_list",
                 cpu))
        return;
    if (!cpus_parse(&siblings, text) || !cpus_has(&siblings, cpu)) {
        note(r->t, "cpu%u: its thread_siblings_list makes no sense: taken as a core of its own", cpu);
        return;
    }
    unsigned first = CPUS_MOST;
    for (unsigned s = cpus_next(&siblings, 0); s <= cpu; s = cpus_next(&siblings, s + 1)) {
        if (!cpus_has(&r->t->online, s))
            continue;
        first = first == CPUS_MOST ? s : first;
        c->sibling = (uint8_t)(c->sibling + (s < cpu && c->sibling < UINT8_MAX));
    }
    c->core = (int16_t)first;
}

static bool read_cpus(struct reading *r, char *error, size_t size)
{
    struct topology *t = r->t;
    if (!list_at(r, &t->online, "sys/devices/system/cpu/online") || cpus_count(&t->online) == 0) {
        snprintf(error, size, "the kernel does not tell its CPUs (sys/devices/system/cpu/online)");
        return false;
    }
    list_at(r, &t->isolated, "sys/devices/system/cpu/isolated");
    list_at(r, &t->nohz_full, "sys/devices/system/cpu/nohz_full");
    for (unsigned c = cpus_next(&t->online, 0); c < CPUS_MOST; c = cpus_next(&t->online, c + 1))
        read_cpu(r, c);
    return true;
}

/* -- nodes -- */

static void read_distances(struct reading *r, unsigned node)
{
    char text[1024], *at = text, *end;
    struct board_node *n = &r->t->node[node];
    memset(n->distance, 255, sizeof n->distance);
    n->distance[node] = 10;
    text_at(r->tree, text, sizeof text, "sys/devices/system/node/node%u/distance", node);
    /* One number an online node, in their order. */
    for (unsigned i = cpus_next(&r->t->nodes, 0); i < NODES_MOST; i = cpus_next(&r->t->nodes, i + 1)) {
        unsigned long d = strtoul(at, &end, 10);
        if (end == at || d < 10 || d > 255)
            return;
        n->distance[i] = (uint8_t)d;
        at = end;
    }
}

static void read_pages(struct reading *r, struct board_node *n, const char *folder)
{
    long total = 0, free = 0;
    number_at(r->tree, 1L << 40, &total, "%s/hugepages-%dkB/nr_hugepages", folder, HUGEPAGE_KB);
    number_at(r->tree, 1L << 40, &free, "%s/hugepages-%dkB/free_hugepages", folder, HUGEPAGE_KB);
    n->pages = (uint64_t)total;
    n->pages_free = (uint64_t)(free < total ? free : total);
}

static void read_memory(struct reading *r, struct board_node *n, const char *path)
{
    char text[8192];
    uint64_t kb;
    n->memory = true; /* unless it is told that there is none */
    if (!text_at(r->tree, text, sizeof text, "%s", path))
        return;
    if (meminfo(text, "MemTotal", &kb)) {
        n->memory_mb = kb / 1024;
        n->memory = kb > 0;
    }
    if (meminfo(text, "MemFree", &kb))
        n->free_mb = kb / 1024;
}

static void read_node(struct reading *r, unsigned number)
{
    struct topology *t = r->t;
    struct board_node *n = &t->node[number];
    char path[TREE_PATH];
    snprintf(path, sizeof path, "sys/devices/system/node/node%u/cpulist", number);
    list_at(r, &n->cpus, path);
    for (unsigned c = cpus_next(&n->cpus, 0); c < CPUS_MOST; c = cpus_next(&n->cpus, c + 1)) {
        if (cpus_has(&t->online, c))
            t->cpu[c].node = (int16_t)number;
        else
            cpus_remove(&n->cpus, c);
    }
    unsigned first = cpus_next(&n->cpus, 0);
    n->package = first < CPUS_MOST ? t->cpu[first].package : -1;
    snprintf(path, sizeof path, "sys/devices/system/node/node%u/meminfo", number);
    read_memory(r, n, path);
    snprintf(path, sizeof path, "sys/devices/system/node/node%u/hugepages", number);
    read_pages(r, n, path);
    read_distances(r, number);
}

/* A CPU that no node names, or that two name, is taken as one of the lowest node, or of the last that names
 * it. */
static void settle_cpus(struct topology *t)
{
    unsigned lowest = cpus_next(&t->nodes, 0), lost = 0;
    for (unsigned c = cpus_next(&t->online, 0); c < CPUS_MOST; c = cpus_next(&t->online, c + 1)) {
        unsigned home = (unsigned)t->cpu[c].node;
        if (!cpus_has(&t->nodes, home) || !cpus_has(&t->node[home].cpus, c)) {
            home = lowest;
            lost++;
        }
        for (unsigned n = lowest; n < NODES_MOST; n = cpus_next(&t->nodes, n + 1))
            cpus_remove(&t->node[n].cpus, c);
        t->cpu[c].node = (int16_t)home;
        cpus_add(&t->node[home].cpus, c);
    }
    if (lost)
        note(t, "%u CPUs belong to no node: taken as node %u's", lost, lowest);
}

static void read_nodes(struct reading *r)
{
    struct topology *t = r->t;
    list_at(r, &t->nodes, "sys/devices/system/node/online");
    for (unsigned n = cpus_next(&t->nodes, NODES_MOST); n < CPUS_MOST; n = cpus_next(&t->nodes, n + 1)) {
        note(t, "node %u and above are not looked at", n);
        cpus_remove(&t->nodes, n);
    }
    t->numa = cpus_count(&t->nodes) > 0;
    if (t->numa) {
        for (unsigned n = cpus_next(&t->nodes, 0); n < NODES_MOST; n = cpus_next(&t->nodes, n + 1))
            read_node(r, n);
        settle_cpus(t);
        return;
    }
    struct board_node *n = &t->node[0];
    cpus_add(&t->nodes, 0);
    n->cpus = t->online;
    n->package = -1;
    n->distance[0] = 10;
    read_memory(r, n, "proc/meminfo");
    read_pages(r, n, "sys/kernel/mm/hugepages");
}

/* -- NICs -- */

/* The value of "NAME=value" on a line of its own in a uevent file. */
static bool uevent(const char *text, const char *name, char *value, size_t size)
{
    size_t len = strlen(name);
    value[0] = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, name, len) == 0 && line[len] == '=') {
            size_t n = strcspn(line + len + 1, "\n");
            if (n >= size)
                return false;
            memcpy(value, line + len + 1, n);
            value[n] = 0;
            return true;
        }
    return false;
}

static void add_pci(void *arg, const char *name)
{
    struct reading *r = arg;
    struct topology *t = r->t;
    struct board_nic nic = {.node = -1};
    char text[1024];
    long node;
    /* Class 02: network controllers. */
    if (strlen(name) >= sizeof nic.address ||
        !text_at(r->tree, text, sizeof text, "sys/bus/pci/devices/%s/class", name) ||
        strncmp(text, "0x02", 4) != 0)
        return;
    if (t->nics == NICS_MOST) {
        note(t, "more than %d NICs: %s is not looked at", NICS_MOST, name);
        return;
    }
    snprintf(nic.address, sizeof nic.address, "%s", name);
    text_at(r->tree, text, sizeof text, "sys/bus/pci/devices/%s/uevent", name);
    uevent(text, "DRIVER", nic.driver, sizeof nic.driver);
    uevent(text, "PCI_ID", nic.id, sizeof nic.id);
    if (number_at(r->tree, NODES_MOST - 1, &node, "sys/bus/pci/devices/%s/numa_node", name) &&
        cpus_has(&t->nodes, (unsigned)node))
        nic.node = (int)node; /* the kernel says -1 where the firmware said nothing */
    unsigned at = t->nics++;
    for (; at && strcmp(t->nic[at - 1].address, nic.address) > 0; at--)
        t->nic[at] = t->nic[at - 1];
    t->nic[at] = nic;
}

static void add_interface(void *arg, const char *name)
{
    struct reading *r = arg;
    char text[1024], slot[32];
    /* A virtio device's PCI device is the one above it. */
    for (unsigned i = 0; i < 2 && strlen(name) < sizeof r->t->nic[0].interface; i++) {
        text_at(r->tree, text, sizeof text, "sys/class/net/%s/device/%suevent", name, i ? "../" : "");
        if (!uevent(text, "PCI_SLOT_NAME", slot, sizeof slot))
            continue;
        for (unsigned n = 0; n < r->t->nics; n++)
            if (strcmp(r->t->nic[n].address, slot) == 0)
                snprintf(r->t->nic[n].interface, sizeof r->t->nic[n].interface, "%.31s", name);
        return;
    }
}

const struct board_nic *topology_nic(const struct topology *t, const char *name)
{
    for (unsigned i = 0; *name && i < t->nics; i++)
        if (strcmp(t->nic[i].address, name) == 0 || strcmp(t->nic[i].interface, name) == 0)
            return &t->nic[i];
    return NULL;
}

/* -- the rest -- */

static void found(void *arg, const char *name)
{
    (void)name;
    *(bool *)arg = true;
}

static void read_rest(struct reading *r)
{
    struct topology *t = r->t;
    char text[8192];
    uint64_t kb;
    r->tree->list(r->tree->ctx, "sys/class/iommu", found, &t->iommu);
    text_at(r->tree, t->cmdline, sizeof t->cmdline, "proc/cmdline");
    t->cmdline[strcspn(t->cmdline, "\n")] = 0;
    if (text_at(r->tree, text, sizeof text, "proc/meminfo") && meminfo(text, "Hugepagesize", &kb))
        t->hugepage_kb = kb;
    /* "cpu:type:x86,ven0000fam...": the vendors are numbered, Intel is the first. */
    t->intel = text_at(r->tree, text, sizeof text, "sys/devices/system/cpu/modalias") &&
               strncmp(text, "cpu:type:x86,ven0000", 20) == 0;
}

bool topology_read(struct topology *t, const struct tree *tree, char *error, size_t size)
{
    struct reading r = {t, tree};
    memset(t, 0, sizeof *t);
    if (!read_cpus(&r, error, size))
        return false;
    read_nodes(&r);
    tree->list(tree->ctx, "sys/bus/pci/devices", add_pci, &r);
    tree->list(tree->ctx, "sys/class/net", add_interface, &r);
    read_rest(&r);
    return true;
}

/* Isolated CPUs are in nobody's affinity until somebody asks for them; a cpuset refuses. */
void topology_allowed(const struct topology *t, struct cpus *allowed)
{
    cpu_set_t before, one;
    memset(allowed, 0, sizeof *allowed);
    if (sched_getaffinity(0, sizeof before, &before))
        return;
    for (unsigned i = 0; i < CPUS_MOST; i++)
        if (CPU_ISSET(i, &before))
            cpus_add(allowed, i);
    for (unsigned i = cpus_next(&t->isolated, 0); i < CPUS_MOST; i = cpus_next(&t->isolated, i + 1)) {
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        if (!cpus_has(allowed, i) && cpus_has(&t->online, i) && sched_setaffinity(0, sizeof one, &one) == 0)
            cpus_add(allowed, i);
    }
    sched_setaffinity(0, sizeof before, &before);
}
