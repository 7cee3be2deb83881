/* info.h: the sections of INFO, shared by info.c and info_*.c. */
#pragma once
#include "command/server.h"
#include "command/text.h"

struct info { /* one INFO command on its way */
    const struct request *rq;
    struct command_env *env;
    struct turn *turn;
    struct text out;
    struct store_account memory; /* of the whole box */
};

/* A line of a section: exactly one of the following makes its value. */
struct info_row {
    const char *name; /* NULL ends a section */
    const char *fixed;
    unsigned counter; /* COUNTER_x + 1: the sum over all workers */
    const char *fact; /* control's fact of this name, `absent` when there is none */
    const char *absent;
    void (*print)(struct info *i, const char *name); /* prints its line, perhaps several */
};

#define INFO_FIXED(n, text)                                                                                  \
    {                                                                                                        \
        .name = n, .fixed = text                                                                             \
    }
#define INFO_COUNTER(n, c)                                                                                   \
    {                                                                                                        \
        .name = n, .counter = COUNTER_##c + 1                                                                \
    }
#define INFO_FACT(n, otherwise)                                                                              \
    {                                                                                                        \
        .name = n, .fact = n, .absent = otherwise                                                            \
    }
#define INFO_PRINT(n, fn)                                                                                    \
    {                                                                                                        \
        .name = n, .print = fn                                                                               \
    }

extern const struct info_row info_server[], info_clients[], info_memory[], info_persistence[], info_stats[],
    info_replication[], info_cpu[], info_cluster[];

/* Sections whose lines are not known beforehand. */
void info_commandstats(struct info *i);
void info_errorstats(struct info *i);
void info_latencystats(struct info *i); /* latency_cmd.c */
void info_keyspace(struct info *i);
/* Lines about scripts and functions (script/eval.c, function.c). */
void info_scripts(struct info *i, const char *name);
void info_script_totals(struct info *i, const char *name);
void info_script_texts(struct info *i, const char *name);
void info_functions(struct info *i, const char *name);
void info_function_texts(struct info *i, const char *name);

/* Lines about client-side caching (tracking_cmd.c). */
void info_tracking_clients(struct info *i, const char *name);
void info_tracking(struct info *i, const char *name);

void info_u64(struct info *i, const char *name, uint64_t v);
void info_text(struct info *i, const char *name, const char *v);
/* name:bytes and name_human:1.50M */
void info_bytes(struct info *i, const char *name, uint64_t bytes);
void info_human(struct info *i, const char *name, uint64_t bytes);
/* a / b with two decimals; 0.00 when b is 0. */
void info_ratio(struct info *i, const char *name, uint64_t a, uint64_t b);
