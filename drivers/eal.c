/* eal.c: DPDK's environment from our configuration. Memory is anonymous (--in-memory), so that neither a stop
 * nor a kill -9 leaves a hugepage file behind; the link itself is attached by port_open. */
#include "drivers/internal.h"
#include "drivers/link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

enum { ARGS = 24, ARG_SIZE = 1024 };

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

/* lcore 0 is the main thread: it floats over the cores that workers leave; lcore i + 1 is worker i, pinned. */
static bool add_lcores(struct arguments *a, const struct board_plan *plan, unsigned worker_lcore[], char *error,
                       size_t size)
{
    char text[ARG_SIZE], list[ARG_SIZE / 2];
    size_t used = (size_t)snprintf(text, sizeof text, "0@(%s)",
                                   cpus_print(&plan->housekeeping, list, sizeof list));
    for (unsigned i = 0; i < plan->workers && used < sizeof text; i++) {
        worker_lcore[i] = i + 1;
        used += (size_t)snprintf(text + used, sizeof text - used, ",%u@%d", i + 1, plan->worker[i].cpu);
    }
    if (used >= sizeof text)
        return fail(error, size, "too many cores for one command line");
    return add(a, "--lcores=%s", text);
}

/* Free hugepage memory of the default size, in MB: the kernel counts pages that others have mapped and not touched yet as
 * free, and as reserved. */
static unsigned long huge_free_mb(void)
{
    unsigned long pages = 0, reserved = 0, size_kb = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "HugePages_Free: %lu", &pages);
        sscanf(line, "HugePages_Rsvd: %lu", &reserved);
        sscanf(line, "Hugepagesize: %lu", &size_kb);
    }
    if (f)
        fclose(f);
    return reserved < pages ? (pages - reserved) * size_kb / 1024 : 0;
}

_Static_assert(sizeof(struct rte_mbuf) == 128 && RTE_PKTMBUF_HEADROOM == 128 && RTE_CACHE_LINE_SIZE == 64,
               "board/plan_memory.c counts with these");

static unsigned long memory_mb(const struct config *conf, bool huge)
{
    struct plan_wish wish;
    wish_of(conf, &wish);
    return PLAN_BASE_MB + conf->workers * (PLAN_WORKER_MB + plan_packet_bytes(&wish, huge) / (1 << 20));
}

static bool add_memory(struct arguments *a, const struct config *conf, const struct board_plan *plan, char *error,
                       size_t size)
{
    unsigned long need = memory_mb(conf, true), there = plan->huge ? huge_free_mb() : 0;
    if (plan->huge && there >= need && geteuid() == 0)
        return add(a, "--in-memory") && add(a, "--single-file-segments");
    if (conf->hugepages > 0)
        return fail(error, size, "hugepages: %lu MB needed, %lu MB free%s", need, there,
                    geteuid() ? ", and only root may take them" : "");
    return add(a, "--no-huge") && add(a, "--no-shconf") && add(a, "-m") &&
           add(a, "%lu", memory_mb(conf, false));
}

static bool add_all(struct arguments *a, const struct config *conf, const struct board_plan *plan,
                    const char *instance, unsigned worker_lcore[], char *error, size_t size)
{
    bool ok = add(a, "sluice") && add(a, "--file-prefix=%s", instance) && add(a, "--no-telemetry") &&
              add(a, "--log-level=error") && add(a, "--log-level=pmd.net.tap:critical");
    if (conf->link_type == LINK_PCI)
        ok &= add(a, "-a") && add(a, "%s", conf->link_name);
    else
        ok &= add(a, "--no-pci") && add(a, "--iova-mode=va");
    if (!ok)
        return fail(error, size, "EAL: no memory for its arguments");
    return add_lcores(a, plan, worker_lcore, error, size) && add_memory(a, conf, plan, error, size);
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

bool eal_start(const struct config *conf, const struct board_plan *plan, const char *instance,
               unsigned worker_lcore[], char *error, size_t size)
{
    if (!check_rights(conf, error, size))
        return false;
    instance_claim = claim("instance", instance);
    if (instance_claim < 0)
        return fail(error, size, "instance \"%s\" runs already: stop it or choose another --instance",
                    instance);
    leave_open = link_kind(conf)->leave_open;
    bool ok = add_all(&arguments, conf, plan, instance, worker_lcore, error, size);
    static struct arguments given;
    given = arguments; /* EAL puts the program's name in the last one's place */
    if (ok && rte_eal_init((int)given.n, given.arg) < 0)
        ok = fail(error, size, "EAL does not start: %s", rte_strerror(rte_errno));
    if (ok)
        rmdir(rte_eal_get_runtime_dir()); /* nothing comes into it, and later we may not: root's */
    if (!ok) {
        drop_arguments();
        close(instance_claim);
        instance_claim = -1;
    }
    return ok;
}

void eal_stop(void)
{
    if (!leave_open)
        rte_eal_cleanup();
    drop_arguments();
    close(instance_claim);
    instance_claim = -1;
}
