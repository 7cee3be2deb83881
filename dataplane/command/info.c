/* info.c: INFO: which sections are asked for, and how a section's rows become lines. The sections and fields
 * are Redis 7.2's in Redis' order; fields of features that the box does not have are zero.
 * https://redis.io/docs/latest/commands/info/ */
#include "command/info.h"

#include <inttypes.h>
#include <stdio.h>

/* -- lines
 * ----------------------------------------------------------------------------------------------------- */

void info_u64(struct info *i, const char *name, uint64_t v)
{
    text_addf(&i->out, "%s:%" PRIu64 "\r\n", name, v);
}

void info_text(struct info *i, const char *name, const char *v)
{
    text_addf(&i->out, "%s:%s\r\n", name, v);
}

/* As Redis' bytesToHuman: 1024 bytes are 1.00K. */
void info_human(struct info *i, const char *name, uint64_t bytes)
{
    static const char unit[] = "KMGTP";
    if (bytes < 1024) {
        text_addf(&i->out, "%s:%" PRIu64 "B\r\n", name, bytes);
        return;
    }
    double v = (double)bytes / 1024;
    unsigned u = 0;
    for (; v >= 1024 && u < sizeof unit - 2; u++)
        v /= 1024;
    text_addf(&i->out, "%s:%.2f%c\r\n", name, v, unit[u]);
}

void info_bytes(struct info *i, const char *name, uint64_t bytes)
{
    char human[64];
    snprintf(human, sizeof human, "%s_human", name);
    info_u64(i, name, bytes);
    info_human(i, human, bytes);
}

void info_ratio(struct info *i, const char *name, uint64_t a, uint64_t b)
{
    text_addf(&i->out, "%s:%.2f\r\n", name, b ? (double)a / (double)b : 0.0);
}

/* -- sections
 * --------------------------------------------------------------------------------------------------- */

static const struct info_section {
    const char *name, *title;
    bool on_request; /* only when named, and in all and everything */
    const struct info_row *rows;
    void (*print)(struct info *i);
} sections[] = {
    {"server", "Server", false, info_server},
    {"clients", "Clients", false, info_clients},
    {"memory", "Memory", false, info_memory},
    {"persistence", "Persistence", false, info_persistence},
    {"stats", "Stats", false, info_stats},
    {"replication", "Replication", false, info_replication},
    {"cpu", "CPU", false, info_cpu},
    {"modules", "Modules"}, /* there are none */
    {"commandstats", "Commandstats", true, .print = info_commandstats},
    {"errorstats", "Errorstats", false, .print = info_errorstats},
    {"latencystats", "Latencystats", true, .print = info_latencystats},
    {"cluster", "Cluster", false, info_cluster},
    {"keyspace", "Keyspace", false, .print = info_keyspace},
};
enum { SECTIONS = sizeof sections / sizeof sections[0] };

static void print_row(struct info *i, const struct info_row *row)
{
    if (row->print)
        row->print(i, row->name);
    else if (row->counter)
        info_u64(i, row->name, i->env->box->counter_sum(i->env, (enum counter)(row->counter - 1)));
    else if (row->fact)
        info_text(i, row->name, server_fact(i->env, row->fact, row->absent));
    else
        info_text(i, row->name, row->fixed);
}

static void print_section(struct info *i, const struct info_section *section)
{
    text_addf(&i->out, "%s# %s\r\n", i->out.len ? "\r\n" : "", section->title);
    for (const struct info_row *row = section->rows; row && row->name; row++)
        print_row(i, row);
    if (section->print)
        section->print(i);
}

/* A bit for every section that an argument names. */
static uint32_t selected_by(struct slice word)
{
    const bool all = slice_is(word, "all") || slice_is(word, "everything"),
               standard = slice_is(word, "default");
    uint32_t bits = 0;
    for (unsigned s = 0; s < SECTIONS; s++)
        if (all || (standard && !sections[s].on_request) || slice_is(word, sections[s].name))
            bits |= 1u << s;
    return bits;
}

enum command_result info_run(struct request *rq)
{
    enum { WORK_A_CLIENT = 4 };
    uint32_t selected = rq->argc == 1 ? selected_by(SLICE_LIT("default")) : 0;
    if (turn_wanted(rq, WORK_A_CLIENT * rq->env->box->clients_now(rq->env)))
        return CMD_LONG;
    struct info i = {.rq = rq, .env = rq->env, .turn = rq->turn, .memory = server_account(rq->env)};
    for (int a = 1; a < rq->argc; a++)
        selected |= selected_by(rq->argv[a]);
    for (unsigned s = 0; s < SECTIONS; s++)
        if (selected & 1u << s)
            print_section(&i, &sections[s]);
    text_reply(&i.out, rq->out);
    return CMD_DONE;
}
