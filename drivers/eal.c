/* eal.c: DPDK's environment from our configuration. Memory is anonymous (--in-memory), so that neither a stop
 * nor a kill -9 leaves a hugepage file behind; the link itself is attached by port_open. */
#include "drivers/internal.h"
#include "drivers/link.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

enum { ARGS = 24, ARG_SIZE = 1024, EAL_MEMORY_MB = 64, WORKER_MEMORY_MB = 4, SMALL_PAGE = 4096 };

struct arguments {
    unsigned n;
    char *arg[ARGS + 1];
};

static struct arguments arguments; /* EAL keeps pointers to them */
static int instance_claim = -1;
static bool leave_open; /* EAL's cleanup would close the port */

static bool add(struct arguments *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool add(struct arguments *a, const char *format, ...)
{
    char text[ARG_SIZE];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text || a->n == ARGS)
        return false;
    return (a->arg[a->n++] = strdup(text)) != NULL;
}

static void drop_arguments(void)
{
    while (arguments.n)
        free(arguments.arg[--arguments.n]);
}

/* Cores this process may use, ascending. */
static unsigned allowed_cores(unsigned core[CPU_SETSIZE])
{
    cpu_set_t set;
    unsigned n = 0;
    if (sched_getaffinity(0, sizeof set, &set))
        return 0;
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set))
            core[n++] = i;
    return n;
}

/* lcore 0 is the main thread and may float over all cores; lcore i + 1 is worker i, pinned. Workers take the
 * last cores first free of the operating system's habits, and share when there are more workers than cores.
 */
static bool add_lcores(struct arguments *a, const struct config *conf, unsigned worker_lcore[], char *error,
                       size_t size)
{
    static unsigned core[CPU_SETSIZE];
    char text[ARG_SIZE], *at = text, *end = text + sizeof text;
    unsigned n = allowed_cores(core);
    if (n == 0)
        return fail(error, size, "no core to run on: %s", strerror(errno));
    unsigned first = n > conf->workers ? n - conf->workers : 0;
    at += snprintf(at, (size_t)(end - at), "0@(");
    for (unsigned i = 0; i < n && end - at > 16; i++)
        at += snprintf(at, (size_t)(end - at), "%s%u", i ? "," : "", core[i]);
    at += snprintf(at, (size_t)(end - at), ")");
    for (unsigned i = 0; i < conf->workers; i++) {
        int wanted = conf->worker_core[i];
        unsigned cpu = wanted >= 0 ? (unsigned)wanted : core[(first + i) % n];
        bool there = false;
        for (unsigned k = 0; k < n; k++)
            there |= core[k] == cpu;
        if (!there)
            return fail(error, size, "worker %u: core %u does not exist or is not ours to use", i, cpu);
        if (end - at < 16)
            return fail(error, size, "too many cores for one command line");
        at += snprintf(at, (size_t)(end - at), ",%u@%u", i + 1, cpu);
        worker_lcore[i] = i + 1;
    }
    return add(a, "--lcores=%s", text);
}

/* Free hugepage memory of the default size, in MB. */
static unsigned long huge_free_mb(void)
{
    unsigned long pages = 0, size_kb = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "HugePages_Free: %lu", &pages);
        sscanf(line, "Hugepagesize: %lu", &size_kb);
    }
    if (f)
        fclose(f);
    return pages * size_kb / 1024;
}

unsigned mbuf_count(const struct config *conf)
{
    unsigned most = 1u << 18, n = conf->mbuf_count;
    if (n == 0)
        n = 16384 + conf->maxclients / (conf->workers ? conf->workers : 1);
    return n < 2048 ? 2047 : n > most ? most - 1 : n;
}

/* Bytes of EAL's memory one packet buffer takes: in ordinary memory none crosses a page, as the pool knows no
 * more than a page to be contiguous there. */
static unsigned long mbuf_share(const struct config *conf, bool huge)
{
    unsigned long size = sizeof(struct rte_mbuf) + mbuf_room(conf) + 2 * RTE_CACHE_LINE_SIZE;
    if (huge)
        return size + RTE_CACHE_LINE_SIZE; /* spread over memory channels */
    return size > SMALL_PAGE ? RTE_ALIGN_CEIL(size, SMALL_PAGE) : SMALL_PAGE / (SMALL_PAGE / size);
}

static unsigned long memory_mb(const struct config *conf, bool huge)
{
    unsigned long pool = mbuf_count(conf) * mbuf_share(conf, huge) / (1 << 20);
    return EAL_MEMORY_MB + conf->workers * (WORKER_MEMORY_MB + pool);
}

static bool add_memory(struct arguments *a, const struct config *conf, char *error, size_t size)
{
    unsigned long need = memory_mb(conf, true), there = conf->hugepages ? huge_free_mb() : 0;
    if (conf->hugepages && there >= need && geteuid() == 0)
        return add(a, "--in-memory") && add(a, "--single-file-segments");
    if (conf->hugepages > 0)
        return fail(error, size, "hugepages: %lu MB needed, %lu MB free%s", need, there,
                    geteuid() ? ", and only root may take them" : "");
    return add(a, "--no-huge") && add(a, "--no-shconf") && add(a, "-m") &&
           add(a, "%lu", memory_mb(conf, false));
}

static bool add_all(struct arguments *a, const struct config *conf, const char *instance,
                    unsigned worker_lcore[], char *error, size_t size)
{
    bool ok = add(a, "sluice") && add(a, "--file-prefix=%s", instance) && add(a, "--no-telemetry") &&
              add(a, "--log-level=error") && add(a, "--log-level=pmd.net.tap:critical");
    if (conf->link_type == LINK_PCI)
        ok &= add(a, "-a") && add(a, "%s", conf->link_name);
    else
        ok &= add(a, "--no-pci") && add(a, "--iova-mode=va");
    if (!ok)
        return fail(error, size, "EAL: no memory for its arguments");
    return add_lcores(a, conf, worker_lcore, error, size) && add_memory(a, conf, error, size);
}

static bool check_rights(const struct config *conf, char *error, size_t size)
{
    if (geteuid() != 0 && link_kind(conf)->root)
        return fail(error, size, "link type %s needs root: start as root, rights are dropped after start-up",
                    link_kind(conf)->driver);
    if (conf->workers == 0 || conf->workers > CONFIG_WORKERS)
        return fail(error, size, "workers: %u is not between 1 and %u", conf->workers, CONFIG_WORKERS);
    return true;
}

bool eal_start(const struct config *conf, const char *instance, unsigned worker_lcore[], char *error,
               size_t size)
{
    if (!check_rights(conf, error, size))
        return false;
    instance_claim = claim("instance", instance);
    if (instance_claim < 0)
        return fail(error, size, "instance \"%s\" runs already: stop it or choose another --instance",
                    instance);
    leave_open = link_kind(conf)->leave_open;
    bool ok = add_all(&arguments, conf, instance, worker_lcore, error, size);
    static struct arguments given;
    given = arguments; /* EAL puts the program's name in the last one's place */
    if (ok && rte_eal_init((int)given.n, given.arg) < 0)
        ok = fail(error, size, "EAL does not start: %s", rte_strerror(rte_errno));
    if (!ok) {
        drop_arguments();
        close(instance_claim);
        instance_claim = -1;
    }
    return ok;
}

void eal_stop(void)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", rte_eal_get_runtime_dir());
    if (!leave_open)
        rte_eal_cleanup();
    drop_arguments();
    rmdir(dir); /* only if it is empty */
    close(instance_claim);
    instance_claim = -1;
}
