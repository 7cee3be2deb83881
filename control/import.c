/* import.c: see import.h. The grammar is redis.conf's; every line is judged on its own. */
#include "control/import.h"
#include "control/conffile.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINES_MAX = 20000 };

struct import {
    struct settings *into;
    json_t *rows;
    unsigned count[4];
    bool *seen; /* lists and what is gathered begin anew with their first line */
    const char *source;
    bool of_cluster; /* the file of a node of a Redis Cluster (cluster-enabled yes) */
    bool further;    /* ... that is not the first of them: it adds to what is there */
    uint64_t others; /* maxmemory of the nodes before */
};

enum status { TAKEN, MAPPED, IGNORED, WRONG };
static const char *const status_names[] = {"taken", "mapped", "ignored", "error"};

/* What a box does otherwise. Names end a list with NULL; the first rule that names the directive holds. */
static const struct {
    const char *names[14];
    const char *why;
} ignored[] = {
    {{"daemonize", "pidfile", "supervised", "set-proc-title", "proc-title-template", "always-show-logo"},
     "the box starts, watches and stops its own programs"},
    {{"logfile", "syslog-enabled", "syslog-ident", "syslog-facility", "crash-log-enabled",
      "crash-memcheck-enabled"},
     "logs: `show log`, `log-remote`, `support-bundle`"},
    {{"dir"}, "the box keeps its files in its own folder; `snapshot list`, `import` and `export` reach them"},
    {{"unixsocket", "unixsocketperm"}, "the data port is reached over the network alone"},
    {{"io-threads", "io-threads-do-reads", "server-cpulist", "server_cpulist", "bio-cpulist", "bio_cpulist",
      "aof-rewrite-cpulist", "aof_rewrite_cpulist", "bgsave-cpulist", "bgsave_cpulist"},
     "the box has workers, a core each: `workers`, `worker-cores`"},
    {{"hz", "dynamic-hz", "activerehashing", "disable-thp", "oom-score-adj", "oom-score-adj-values",
      "jemalloc-bg-thread", "locale-collate", "ignore-warnings"},
     "the box looks after this by itself"},
    {{"activedefrag", "active-defrag-ignore-bytes", "active-defrag-threshold-lower",
      "active-defrag-threshold-upper", "active-defrag-cycle-min", "active-defrag-cycle-max",
      "active-defrag-max-scan-fields"},
     "memory is compacted without being told"},
    {{"loadmodule", "enable-module-command"}, "modules cannot be loaded into a box"},
    {{"bind-source-addr", "socket-mark-id"}, "the addresses of the data port are those of link-address"},
    {{"cluster-config-file"}, "the box keeps its own files"},
};

static void row(struct import *m, unsigned line, const char *name, enum status status, const char *note)
{
    json_t *word = json_string(name), *text = json_string(note);
    m->count[status]++;
    json_array_append_new(m->rows,
                          json_pack("{s:I,s:o,s:s,s:o}", "line", (json_int_t)line, "directive",
                                    word ? word : json_string("(not UTF-8)"), "status", status_names[status],
                                    "note", text ? text : json_string("(not UTF-8)")));
}

static const char *why_ignored(const char *name)
{
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        for (unsigned j = 0; j < 14 && ignored[i].names[j]; j++)
            if (strcasecmp(ignored[i].names[j], name) == 0)
                return ignored[i].why;
    return NULL;
}

static void grow_arena(struct import *m, unsigned line, const char *added)
{
    uint64_t wanted = strtoull(settings_get(m->into, "maxmemory"), NULL, 10),
             arena = strtoull(settings_get(m->into, "arena-size"), NULL, 10);
    char value[32], size[32], note[200], error[128];
    if (wanted <= arena - arena / 8)
        return row(m, line, "maxmemory", *added ? MAPPED : TAKEN, added);
    uint64_t more = (wanted / 7 * 8 + (1 << 20)) >> 20 << 20;
    snprintf(value, sizeof value, "%llu", (unsigned long long)more);
    memory_print(more, size, sizeof size);
    if (settings_replace(m->into, directive_find("arena-size"), value, error, sizeof error))
        snprintf(note, sizeof note,
                 "%sarena-size is set to %s, so that there is room for it (restart of the dataplane)", added, size);
    else
        snprintf(note, sizeof note, "%smake arena-size larger than this: %s", added, error);
    row(m, line, "maxmemory", MAPPED, note);
}

/* Memory of the nodes of a cluster adds up. */
static void take_memory(struct import *m, unsigned line)
{
    uint64_t own = strtoull(settings_get(m->into, "maxmemory"), NULL, 10);
    char value[32], error[128];
    if (!m->further || !m->others || !own) {
        grow_arena(m, line, "");
        return;
    }
    snprintf(value, sizeof value, "%llu", (unsigned long long)(m->others + own));
    settings_replace(m->into, directive_find("maxmemory"), value, error, sizeof error);
    grow_arena(m, line, "added to that of the nodes before. ");
}

/* -- nodes of a Redis Cluster on one machine, a file each: shards of the cluster view -- */

static void set_number(struct import *m, const char *name, long v)
{
    char value[24], error[128];
    snprintf(value, sizeof value, "%ld", v);
    settings_replace(m->into, directive_find(name), value, error, sizeof error);
}

/* `port` of such a file: the worker whose own port it is. Their ports follow one another. */
static void take_node(struct import *m, unsigned line, const char *value)
{
    long port = strtol(value, NULL, 10), first = settings_number(m->into, "cluster-view-port"),
         workers = settings_number(m->into, "workers"), node;
    bool view = strcmp(settings_get(m->into, "cluster-view"), "workers") == 0;
    char note[256], error[128];
    if (!view) {
        settings_replace(m->into, directive_find("cluster-view"), "workers", error, sizeof error);
        first = port;
        workers = 1;
    } else if (port == first - 1) {
        first = port;
        workers++;
    } else if (port == first + workers) {
        workers++;
    } else if (port < first || port > first + workers) {
        snprintf(note, sizeof note, "the nodes' ports must follow one another: those there are have %ld to %ld", first,
                 first + workers - 1);
        row(m, line, "port", WRONG, note);
        return;
    }
    node = port - first;
    set_number(m, "cluster-view-port", first);
    set_number(m, "workers", workers);
    snprintf(note, sizeof note,
             "cluster-view workers: worker %ld is the node at this port, with its part of the slots; workers is %ld now, "
             "import the other nodes' files, too (restart of the dataplane). The whole of the keys is at port %s",
             node, workers, settings_get(m->into, "port"));
    row(m, line, "port", MAPPED, note);
}

/* The first word behind a directive's name in its last line; 0 if there is none. For a look before the lines are taken. */
static size_t value_in(const char *text, const char *name, const char **value)
{
    size_t len = 0;
    for (const char *l = text; *l; l += strcspn(l, "\n"), l += *l == '\n') {
        const char *p = l + strspn(l, " \t");
        size_t n = strlen(name);
        if (strncasecmp(p, name, n) == 0 && (p[n] == ' ' || p[n] == '\t')) {
            *value = p + n + strspn(p + n, " \t");
            len = strcspn(*value, " \t\r\n");
        }
    }
    return len;
}

static void look_for_node(struct import *m, const char *text)
{
    const char *value;
    long first = settings_number(m->into, "cluster-view-port"), workers = settings_number(m->into, "workers"), port;
    m->of_cluster = value_in(text, "cluster-enabled", &value) == 3 && strncasecmp(value, "yes", 3) == 0;
    if (!m->of_cluster || !value_in(text, "port", &value) || strcmp(settings_get(m->into, "cluster-view"), "workers") != 0)
        return;
    port = strtol(value, NULL, 10);
    m->further = port < first || port >= first + workers;
}

/* Takes a line of such a file that has another meaning there. */
static bool take_cluster_line(struct import *m, unsigned line, const struct words *w)
{
    if (!m->of_cluster || w->n != 2)
        return false;
    if (strcasecmp(w->p[0], "port") == 0 && strspn(w->p[1], "0123456789") == strlen(w->p[1]) && strcmp(w->p[1], "0") != 0)
        take_node(m, line, w->p[1]);
    else if (strcasecmp(w->p[0], "tls-port") == 0 && strcmp(w->p[1], "0") != 0)
        row(m, line, w->p[0], IGNORED, "nodes of the cluster view speak no TLS; `tls-port` and `listener` do, with all keys");
    else if (strcasecmp(w->p[0], "cluster-enabled") == 0)
        row(m, line, w->p[0], MAPPED, "the workers of the box are the nodes: nothing is to be created or joined (see port)");
    else
        return false;
    return true;
}

/* What is taken but does not mean what it meant. NULL: it does. */
static const char *other_meaning(const char *name, const struct words *w)
{
    const char *value = w->n > 1 ? w->p[1] : "";
    if (strcasecmp(name, "bind") == 0)
        return "kept and told by CONFIG GET; the box answers on all of its link-address, and 127.0.0.1 or an "
               "address of "
               "another host means nothing here: `filter` says who may connect";
    if (strcasecmp(name, "protected-mode") == 0 && strcasecmp(value, "yes") == 0)
        return "the data port has no loopback: without a password or users every client is refused (DENIED)";
    if (strncasecmp(name, "tls-", 4) == 0 && (strstr(name, "-file") || strstr(name, "-dir")) && *value)
        return "the file must be on the box: `certificate install NAME FILE KEY`, then `certificate rotate "
               "NAME`";
    if (strcasecmp(name, "rename-command") == 0)
        return strcasecmp(value, "config") == 0
                   ? "the CLI does not need CONFIG; monitoring and GUIs do: an ACL rule hides it from "
                     "applications alone"
                   : "takes effect when the dataplane starts; ACL rules know the command by its own name";
    if (strcasecmp(name, "aclfile") == 0)
        return "the file must be on the box, and the dataplane does not start without it";
    if (strcasecmp(name, "port") == 0 && strcmp(value, "0") == 0)
        return "no plain port: the box serves TLS alone, which needs tls-port and a certificate";
    if (strcasecmp(name, "replicaof") == 0 || strcasecmp(name, "slaveof") == 0)
        return "replication is not there yet: the box starts as a master with its own keys";
    return NULL;
}

/* One line that stands for itself; its report has no place in front of the words. */
static bool parse_one(struct import *m, const char *line, char *note, size_t size, bool *warned)
{
    struct report r = {0};
    bool good = conf_parse_alone("", line, strlen(line), m->into, &r);
    const char *said = text_str(&r.lines), *colon;
    said += strncmp(said, ":1: ", 4) == 0 ? 4 : 0;
    *warned = r.warnings > 0;
    colon = strstr(said, ": "); /* the directive, or "warning: " and the directive */
    if (colon && *warned)
        colon = strstr(colon + 2, ": ");
    snprintf(note, size, "%.*s", (int)strcspn(colon ? colon + 2 : said, "\n"), colon ? colon + 2 : said);
    report_free(&r);
    return good;
}

static void import_line(struct import *m, unsigned number, const char *line)
{
    struct words w = {0};
    char *comment = NULL, note[600];
    bool warned;
    line += strspn(line, " \t\r");
    if (!*line || *line == '#')
        return;
    if (!line_split(line, &w, UINT_MAX, &comment) || w.n == 0) {
        row(m, number, w.n ? w.p[0] : "line", WRONG, "unbalanced quotes");
        words_free(&w);
        return;
    }
    int d = directive_find(w.p[0]);
    const char *why = why_ignored(w.p[0]), *meaning = other_meaning(w.p[0], &w);
    if (strcasecmp(w.p[0], "include") == 0) {
        row(m, number, w.p[0], IGNORED, "import the included file on its own, before or after this one");
    } else if (why) {
        row(m, number, w.p[0], IGNORED, why);
    } else if (!take_cluster_line(m, number, &w)) {
        if (d >= 0 && !m->seen[d] && directives[d].flags & (DIRECTIVE_REPEATED | DIRECTIVE_GATHERED)) {
            settings_clear(m->into, d);
            m->seen[d] = true;
        }
        if (!parse_one(m, line, note, sizeof note, &warned)) {
            row(m, number, w.p[0], WRONG, note);
        } else if (d >= 0 && strcmp(directives[d].name, "maxmemory") == 0) {
            take_memory(m, number);
        } else if (d < 0 || (directives[d].flags & DIRECTIVE_KEPT && !meaning)) {
            row(m, number, w.p[0], IGNORED, warned ? note : "has no effect on a box");
        } else if (meaning) {
            row(m, number, w.p[0], MAPPED, meaning);
        } else {
            row(m, number, w.p[0], TAKEN, warned ? note : "");
        }
    }
    words_free(&w);
}

static struct import begin(struct settings *into)
{
    return (struct import){
        .into = into,
        .rows = json_array(),
        .seen = must_alloc(directive_count(), sizeof(bool)),
        .others = strtoull(settings_get(into, "maxmemory"), NULL, 10)};
}

static json_t *end(struct import *m)
{
    free(m->seen);
    return json_pack("{s:o,s:i,s:i,s:i,s:i}", "rows", m->rows, "taken", (int)m->count[TAKEN], "mapped",
                     (int)m->count[MAPPED], "ignored", (int)m->count[IGNORED], "errors",
                     (int)m->count[WRONG]);
}

json_t *import_text(const char *text, struct settings *into)
{
    struct import m = begin(into);
    unsigned n = 0;
    look_for_node(&m, text);
    while (*text && n < LINES_MAX) {
        size_t len = strcspn(text, "\n");
        char *line = must_copy_n(text, len);
        import_line(&m, ++n, line);
        free(line);
        text += len + (text[len] == '\n');
    }
    if (*text)
        row(&m, n, "line", WRONG, "too many lines");
    return end(&m);
}

json_t *import_arguments(const struct words *a, struct settings *into)
{
    struct import m = begin(into);
    unsigned i = 0;
    if (i < a->n && strstr(a->p[i], "redis-server"))
        i++;
    if (i < a->n && strncmp(a->p[i], "--", 2) != 0)
        row(&m, i + 1, a->p[i], IGNORED, "a file: import it on its own first"), i++;
    while (i < a->n) {
        struct text line = {0};
        unsigned first = i;
        if (strpbrk(a->p[i], "\r\n")) { /* it is put into the line as it stands: not to become two */
            row(&m, ++i, "argument", WRONG, "holds a line end");
            continue;
        }
        text_add(&line,
                 strncmp(a->p[i], "--", 2) == 0 ? a->p[i] + 2 : a->p[i]); /* "--save 900 1" may be one word */
        for (i++; i < a->n && strncmp(a->p[i], "--", 2) != 0; i++) {
            text_add(&line, " ");
            text_add_word(&line, a->p[i]);
        }
        import_line(&m, first + 1, text_str(&line));
        text_free(&line);
    }
    return end(&m);
}
