/* plan_kernel.c: what the kernel should be told at boot, and whether it was.
 * https://docs.kernel.org/admin-guide/kernel-parameters.html */
#include "board/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The value of NAME=VALUE among the words of a command line; NULL if there is none. What stands after "--"
 * is not the kernel's. */
static const char *argument(const char *line, const char *name, char *value, size_t size)
{
    size_t len = strlen(name);
    for (const char *p = line; *(p += strspn(p, " \t")); p += strcspn(p, " \t")) {
        size_t word = strcspn(p, " \t");
        if (word == 2 && strncmp(p, "--", 2) == 0)
            return NULL;
        if (word > len && strncmp(p, name, len) == 0 && p[len] == '=' && word - len <= size) {
            memcpy(value, p + len + 1, word - len - 1);
            value[word - len - 1] = 0;
            return value;
        }
    }
    return NULL;
}

static struct plan_argument *add(struct board_plan *p, const char *name, const char *flags,
                                 const struct cpus *set)
{
    struct plan_argument *a = &p->argument[p->arguments++];
    char list[128] = "";
    if (set)
        cpus_print(set, list, sizeof list);
    snprintf(a->text, sizeof a->text, "%s=%s%s", name, flags, list);
    return a;
}

/* A list of CPUs that is in effect says more than what was written. */
static void add_list(struct board_plan *p, const struct topology *t, const char *name, const char *flags,
                     const struct cpus *set, const struct cpus *in_effect)
{
    char value[512];
    struct cpus written;
    struct plan_argument *a = add(p, name, flags, set);
    const char *is = argument(t->cmdline, name, value, sizeof value);
    if (!in_effect) {
        cpus_parse(&written, is ? is : "");
        in_effect = &written;
    }
    a->state = cpus_within(set, in_effect) ? ARGUMENT_SET : is ? ARGUMENT_OTHER : ARGUMENT_MISSING;
}

/* "hugepages=N", or by node (Linux 5.15): "hugepages=0:N,1:M". However they came: what counts is that they
 * are there. */
static void add_pages(struct board_plan *p, const struct topology *t)
{
    char list[192] = "", value[64];
    size_t used = 0;
    bool there = true, nodes = cpus_count(&t->nodes) > 1;
    for (unsigned n = 0; n < NODES_MOST && used < sizeof list; n++) {
        uint64_t pages = p->node[n].pages;
        if (pages == 0)
            continue;
        there &= pages <= t->node[n].pages;
        used += nodes ? (size_t)snprintf(list + used, sizeof list - used, "%s%u:%" PRIu64, used ? "," : "", n,
                                         pages)
                      : (size_t)snprintf(list + used, sizeof list - used, "%" PRIu64, pages);
    }
    if (t->hugepage_kb && t->hugepage_kb != HUGEPAGE_KB) {
        add(p, "default_hugepagesz", "2M", NULL)->state = ARGUMENT_OTHER;
        plan_remark(p, "hugepages are of %lu kB by default, of 2 MB are wanted", t->hugepage_kb);
    }
    bool written = argument(t->cmdline, "hugepages", value, sizeof value) != NULL;
    add(p, "hugepagesz=2M hugepages", list, NULL)->state = there     ? ARGUMENT_SET
                                                           : written ? ARGUMENT_OTHER
                                                                     : ARGUMENT_MISSING;
}

static void add_word(struct board_plan *p, const struct topology *t, const char *name, const char *wanted,
                     bool in_effect)
{
    char value[64];
    const char *is = argument(t->cmdline, name, value, sizeof value);
    add(p, name, wanted, NULL)->state = in_effect || (is && strcmp(is, wanted) == 0) ? ARGUMENT_SET
                                        : is                                         ? ARGUMENT_OTHER
                                                                                     : ARGUMENT_MISSING;
}

void plan_kernel(struct board_plan *p, const struct topology *t, const struct plan_wish *w)
{
    struct cpus quiet = p->cpus, rest = t->online;
    for (unsigned i = cpus_next(&p->idle, 0); i < CPUS_MOST; i = cpus_next(&p->idle, i + 1))
        cpus_add(&quiet, i);
    for (unsigned i = cpus_next(&quiet, 0); i < CPUS_MOST; i = cpus_next(&quiet, i + 1))
        cpus_remove(&rest, i);
    /* The kernel needs a CPU that is not isolated. */
    if (cpus_count(&rest)) {
        add_list(p, t, "isolcpus", "managed_irq,domain,", &quiet, &t->isolated);
        add_list(p, t, "nohz_full", "", &quiet, &t->nohz_full);
        add_list(p, t, "rcu_nocbs", "", &quiet, NULL);
        add_list(p, t, "irqaffinity", "", &rest, NULL);
    } else {
        plan_remark(p, "workers have all cores: none can be isolated from the system");
    }
    if (w->hugepages)
        add_pages(p, t);
    if (w->pci) {
        if (t->intel)
            add_word(p, t, "intel_iommu", "on", t->iommu);
        add_word(p, t, "iommu", "pt", false);
        if (!t->iommu && !t->intel)
            plan_remark(p, "the machine shows no IOMMU: switch it on in the firmware (vfio-pci needs one)");
    }
}
