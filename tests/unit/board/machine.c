/* machine.c: see machine.h. */
#include "machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CPU  "sys/devices/system/cpu/"
#define NODE "sys/devices/system/node/"

void machine_set_bytes(struct machine *m, const char *path, const void *bytes, size_t len)
{
    unsigned i = 0;
    while (i < m->files && strcmp(m->file[i].path, path) != 0)
        i++;
    if (i == MACHINE_FILES || strlen(path) >= sizeof m->file[0].path)
        abort();
    if (i == m->files)
        strcpy(m->file[m->files++].path, path);
    free(m->file[i].text);
    m->file[i].text = malloc(len + 1);
    memcpy(m->file[i].text, bytes, len);
    m->file[i].text[len] = 0;
    m->file[i].len = len;
}

void machine_set(struct machine *m, const char *path, const char *format, ...)
{
    static char text[16384];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    machine_set_bytes(m, path, text, (size_t)n);
}

void machine_drop(struct machine *m, const char *prefix)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->files; i++)
        if (strncmp(m->file[i].path, prefix, strlen(prefix)) == 0)
            free(m->file[i].text);
        else
            m->file[kept++] = m->file[i];
    m->files = kept;
}

static void add_cpus(struct machine *m, const struct shape *s)
{
    unsigned cores = s->sockets * s->nodes * s->cores;
    char path[128], text[256];
    machine_set(m, CPU "online", "0-%u\n", cores * s->threads - 1);
    machine_set(m, CPU "isolated", "\n");
    machine_set(m, CPU "modalias", "cpu:type:x86,ven0000fam0006mod006A:feature:,0000,\n");
    for (unsigned cpu = 0; cpu < cores * s->threads; cpu++) {
        size_t used = 0;
        for (unsigned t = 0; t < s->threads; t++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", t ? "," : "",
                                     cpu % cores + t * cores);
        snprintf(path, sizeof path, CPU "cpu%u/topology/thread_siblings_list", cpu);
        machine_set(m, path, "%s\n", text);
        snprintf(path, sizeof path, CPU "cpu%u/topology/physical_package_id", cpu);
        machine_set(m, path, "%u\n", cpu % cores / (s->nodes * s->cores));
    }
}

static void add_node(struct machine *m, const struct shape *s, unsigned node)
{
    unsigned nodes = s->sockets * s->nodes, cores = nodes * s->cores;
    char path[128], text[1024];
    size_t used = 0;
    for (unsigned t = 0; t < s->threads; t++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u-%u", t ? "," : "",
                                 t * cores + node * s->cores, t * cores + (node + 1) * s->cores - 1);
    snprintf(path, sizeof path, NODE "node%u/cpulist", node);
    machine_set(m, path, "%s\n", text);
    snprintf(path, sizeof path, NODE "node%u/meminfo", node);
    machine_set(m, path, "Node %u MemTotal:  %8u kB\nNode %u MemFree:   %8u kB\n", node, s->memory_mb * 1024,
                node, s->memory_mb * 512);
    snprintf(path, sizeof path, NODE "node%u/hugepages/hugepages-2048kB/nr_hugepages", node);
    machine_set(m, path, "%u\n", s->pages);
    snprintf(path, sizeof path, NODE "node%u/hugepages/hugepages-2048kB/free_hugepages", node);
    machine_set(m, path, "%u\n", s->pages);
    used = 0;
    for (unsigned to = 0; to < nodes; to++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", to ? " " : "",
                                 to == node                         ? 10
                                 : to / s->nodes == node / s->nodes ? 12
                                                                    : 21);
    snprintf(path, sizeof path, NODE "node%u/distance", node);
    machine_set(m, path, "%s\n", text);
}

struct machine *machine_new(const struct shape *s)
{
    struct machine *m = calloc(1, sizeof *m);
    unsigned nodes = s->sockets * s->nodes;
    add_cpus(m, s);
    for (unsigned n = 0; n < nodes && !s->flat; n++)
        add_node(m, s, n);
    if (!s->flat)
        machine_set(m, NODE "online", nodes > 1 ? "0-%u\n" : "%u\n", nodes - 1);
    machine_set(m, "proc/meminfo", "MemTotal:  %8u kB\nMemFree:  %8u kB\nHugepagesize:       2048 kB\n",
                nodes * s->memory_mb * 1024, nodes * s->memory_mb * 512);
    machine_set(m, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "%u\n", nodes * s->pages);
    machine_set(m, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "%u\n", nodes * s->pages);
    machine_set(m, "proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet\n");
    return m;
}

void machine_free(struct machine *m)
{
    for (unsigned i = 0; i < m->files; i++)
        free(m->file[i].text);
    free(m);
}

void machine_nic(struct machine *m, const char *address, const char *interface, int node)
{
    char path[128];
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s/class", address);
    machine_set(m, path, "0x020000\n");
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s/numa_node", address);
    machine_set(m, path, "%d\n", node);
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s/uevent", address);
    machine_set(m, path, "DRIVER=%s\nPCI_CLASS=20000\nPCI_ID=8086:1592\nPCI_SLOT_NAME=%s\n",
                *interface ? "ice" : "vfio-pci", address);
    if (!*interface)
        return;
    snprintf(path, sizeof path, "sys/class/net/%s/device/uevent", interface);
    machine_set(m, path, "DRIVER=ice\nPCI_SLOT_NAME=%s\n", address);
}

/* -- as a tree ---------------------------------------------------------------------------------------- */

static bool read_text(const void *ctx, const char *path, char *text, size_t size)
{
    const struct machine *m = ctx;
    text[0] = 0;
    for (unsigned i = 0; i < m->files; i++)
        if (strcmp(m->file[i].path, path) == 0) {
            if (m->file[i].len >= size || memchr(m->file[i].text, 0, m->file[i].len))
                return false;
            memcpy(text, m->file[i].text, m->file[i].len + 1);
            return true;
        }
    return false;
}

/* The name below `path` that a file's own path has next, or NULL. */
static const char *name_below(const char *file, const char *path, char name[TREE_NAME])
{
    size_t len = strlen(path);
    if (strncmp(file, path, len) != 0 || file[len] != '/')
        return NULL;
    size_t n = strcspn(file + len + 1, "/");
    if (n == 0 || n >= TREE_NAME)
        return NULL;
    memcpy(name, file + len + 1, n);
    name[n] = 0;
    return name;
}

static void list_names(const void *ctx, const char *path, void (*each)(void *arg, const char *name),
                       void *arg)
{
    const struct machine *m = ctx;
    char name[TREE_NAME], before[TREE_NAME];
    for (unsigned i = 0; i < m->files; i++) {
        bool seen = !name_below(m->file[i].path, path, name);
        for (unsigned k = 0; k < i && !seen; k++)
            seen = name_below(m->file[k].path, path, before) && strcmp(before, name) == 0;
        if (!seen)
            each(arg, name);
    }
}

struct tree machine_tree(const struct machine *m)
{
    return (struct tree){read_text, list_names, m};
}

bool machine_unpack(const struct machine *m, const char *folder)
{
    for (unsigned i = 0; i < m->files; i++) {
        char full[512];
        snprintf(full, sizeof full, "%s/%s", folder, m->file[i].path);
        for (char *p = full + strlen(folder) + 1; *p; p++)
            if (*p == '/') {
                *p = 0;
                if (mkdir(full, 0755) && errno != EEXIST)
                    return false;
                *p = '/';
            }
        FILE *f = fopen(full, "we");
        if (!f || fwrite(m->file[i].text, 1, m->file[i].len, f) != m->file[i].len || fclose(f))
            return false;
    }
    return true;
}
