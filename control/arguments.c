/* arguments.c: the command line of sluice-control. See program.h. */
#include "control/program.h"
#include "control/show.h"

#include <stdio.h>
#include <string.h>

const char program_usage[] =
    "usage: sluice-control [FILE] [--dataplane PROGRAM] [--dataplane-updates DIR] [--instance NAME] [--directive value ...]\n"
    "       sluice-control --check FILE      report every error of a configuration file\n"
    "       sluice-control --plan FILE       print how the box would be laid out on this machine, as JSON\n"
    "       sluice-control --snapshot FILE   read an RDB file and print what is in it, as JSON\n"
    "       sluice-control --aof FILE        read an RDB file and write it to stdout as an append-only log\n"
    "       sluice-control --log LOG         read an append-only log (a file, or a folder) and write its items to stdout, for sluice-replay;\n"
    "                                        --log-cut LOG: one whose end is not whole, up to there\n"
    "       sluice-control --version\n"
    "  --dataplane-updates DIR   where root puts updates of the dataplane alone (programs.h)\n"
    "  --inventory DIR   the machine that a copy of its /sys and /proc in DIR describes (show plan, "
    "--plan)\n"
    "  --running yes     for --plan: the box runs, and the hugepages that are taken are its own\n";

bool arguments_read(struct arguments *a, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **into;
    } own[] = {{"--check", &a->file},
               {"--plan", &a->file},
               {"--snapshot", &a->file},
               {"--aof", &a->file},
               {"--log", &a->file},
               {"--log-cut", &a->file},
               {"--dataplane", &a->dataplane},
               {"--dataplane-updates", &a->updates},
               {"--instance", &a->instance},
               {"--inventory", &a->inventory},
               {"--running", &a->running}};
    const unsigned known = sizeof own / sizeof *own;
    int kept = 0;
    *a = (struct arguments){.argv = argv + 1, .inventory = ""};
    for (int i = 1; i < argc; i++) {
        unsigned o = 0;
        while (o < known && strcmp(argv[i], own[o].name) != 0)
            o++;
        if (o < known && i + 1 == argc)
            return false;
        a->check = a->check || o == 0;
        a->plan = a->plan || o == 1;
        a->snapshot = a->snapshot || o == 2;
        a->aof = a->aof || o == 3;
        a->log = a->log || o == 4 || o == 5;
        a->log_cut = a->log_cut || o == 5;
        if (o < known)
            *own[o].into = argv[++i];
        else if (i == 1 && argv[i][0] != '-')
            a->file = argv[i];
        else
            a->argv[kept++] = argv[i];
    }
    a->argc = kept;
    return kept == 0 ||
           (strncmp(a->argv[0], "--", 2) == 0 && strcmp(a->argv[0], "--help") != 0 && a->argv[0][2]);
}

struct settings *arguments_settings(const struct arguments *a)
{
    struct settings *s = settings_defaults();
    struct report r = {0};
    bool good = !a->file || conf_load(a->file, s, NULL, &r);
    good = conf_overrides(a->argc, a->argv, s, &r) && good;
    fputs(text_str(&r.lines), stderr);
    if (a->check || !good)
        fprintf(stderr, "%s: %u error%s, %u warning%s\n", a->file ? a->file : "command line", r.errors,
                r.errors == 1 ? "" : "s", r.warnings, r.warnings == 1 ? "" : "s");
    report_free(&r);
    if (good)
        return s;
    settings_free(s);
    return NULL;
}

int arguments_plan(const struct settings *s, const char *inventory, bool running)
{
    char error[512];
    json_t *topology = board_json(s, inventory, running, false, error, sizeof error);
    json_t *plan = topology ? board_json(s, inventory, running, true, error, sizeof error) : NULL;
    if (plan) {
        json_t *both = json_pack("{s:o,s:o}", "topology", topology, "plan", plan);
        json_dumpf(both, stdout, JSON_INDENT(2));
        puts("");
        json_decref(both);
        return 0;
    }
    fprintf(stderr, "sluice-control: %s\n", error);
    json_decref(topology);
    return 1;
}
