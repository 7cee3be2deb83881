/* operations.c: what each command asks of control and how the answer is printed. */
#include "mgmt/operations.h"
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* -- asking ------------------------------------------------------------------------------------------- */

json_t *request_for(const struct invocation *in)
{
    return json_pack("{s:i,s:s,s:s}", "id", 1, "op", in->leaf->op, "what", in->leaf->what);
}

int ask(struct invocation *in, json_t *request, json_t **data)
{
    int code = api_request(in->socket, request, data);
    if (code != EXIT_DONE) {
        *data = NULL;
    } else if (in->json) {
        json_dumpf(*data, in->out, JSON_INDENT(2) | JSON_ENCODE_ANY);
        fputc('\n', in->out);
        json_decref(*data);
        *data = NULL;
    }
    return code;
}

int show_table(struct invocation *in, const struct column *columns)
{
    json_t *j;
    int code = ask(in, request_for(in), &j);
    if (j)
        print_table(in->out, columns, j);
    json_decref(j);
    return code;
}

const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_value(FILE *out, const json_t *v)
{
    if (json_is_string(v))
        print_safe(out, json_string_value(v));
    else if (json_is_integer(v))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        fprintf(out, "%.15g", json_real_value(v));
    else if (json_is_boolean(v))
        fputs(json_is_true(v) ? "yes" : "no", out);
    else if (json_is_array(v))
        for (size_t i = 0; i < json_array_size(v); i++) {
            fputs(i ? ", " : "", out);
            print_value(out, json_array_get(v, i));
        }
}

void print_time(FILE *out, json_int_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    char date[64];
    struct tm tm;
    localtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
    fputs(date, out);
}

void print_field(FILE *out, const char *name, const json_t *v)
{
    fprintf(out, "%-24s ", name);
    print_value(out, v);
    fputc('\n', out);
}

/* -- show --------------------------------------------------------------------------------------------- */

static void print_duration(FILE *out, json_int_t s)
{
    if (s >= 86400)
        fprintf(out, "%" JSON_INTEGER_FORMAT " d ", s / 86400);
    fprintf(out, "%02d:%02d:%02d", (int)(s % 86400 / 3600), (int)(s % 3600 / 60), (int)(s % 60));
}

int run_show_status(struct invocation *in)
{
    json_t *j;
    int code = ask(in, request_for(in), &j);
    if (!j)
        return code;
    const json_t *health = json_object_get(j, "health"), *dp = json_object_get(j, "dataplane"),
                 *conf = json_object_get(j, "configuration");
    const json_t *reasons = json_object_get(health, "reasons"),
                 *waits = json_object_get(conf, "waits_for_restart");
    const char *state = text_of(dp, "state");
    fprintf(in->out, "%-24s %s", "health", json_is_true(json_object_get(health, "ok")) ? "ok" : "not ok: ");
    print_value(in->out, reasons);
    fprintf(in->out, "\n%-24s %s", "dataplane", *state ? state : text_of(dp, "phase"));
    if (number_of(dp, "pid")) {
        fprintf(in->out, ", pid %" JSON_INTEGER_FORMAT ", version %s, attached for ", number_of(dp, "pid"),
                text_of(dp, "version"));
        print_duration(in->out, number_of(dp, "attached_seconds"));
    }
    fputc('\n', in->out);
    for (size_t i = 0; i < json_array_size(json_object_get(j, "alarms")); i++)
        print_field(in->out, "alarm", json_array_get(json_object_get(j, "alarms"), i));
    if (*text_of(dp, "reason"))
        print_field(in->out, "last end", json_object_get(dp, "reason"));
    print_field(in->out, "restarts", json_object_get(dp, "restarts"));
    print_field(in->out, "workers", json_object_get(j, "workers"));
    fprintf(in->out, "%-24s pid %" JSON_INTEGER_FORMAT ", version %s, up for ", "control",
            number_of(json_object_get(j, "control"), "pid"),
            text_of(json_object_get(j, "control"), "version"));
    print_duration(in->out, number_of(json_object_get(j, "control"), "uptime_seconds"));
    fprintf(in->out, "\n%-24s generation %" JSON_INTEGER_FORMAT ", file %s\n", "configuration",
            number_of(conf, "generation"), *text_of(conf, "file") ? text_of(conf, "file") : "(none)");
    if (json_array_size(waits))
        print_field(in->out, "waits for a restart", waits);
    print_field(in->out, "clients connect to", json_object_get(j, "endpoints"));
    print_field(in->out, "statistics", json_object_get(j, "stats"));
    json_decref(j);
    return code;
}

int run_show_fields(struct invocation *in)
{
    json_t *j, *v;
    const char *name;
    int code = ask(in, request_for(in), &j);
    json_object_foreach(j, name, v) print_field(in->out, name, v);
    json_decref(j);
    return code;
}

static bool among(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

/* The directives whose value is a list of words: no quotes around the whole. */
static bool is_list(const char *name)
{
    static const char *const lists[] = {"bind",
                                        "save",
                                        "client-output-buffer-limit",
                                        "oom-score-adj-values",
                                        "rename-command",
                                        "latency-tracking-info-percentiles",
                                        "user",
                                        "loadmodule",
                                        "replicaof",
                                        "slaveof",
                                        "worker-cores",
                                        "filter",
                                        "connection-rate-prefix",
                                        "tls-auth-clients-user",
                                        NULL};
    return among(name, lists);
}

static void print_directive(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s ", name);
    if (is_list(name) && *value)
        print_safe(out, value);
    else
        print_word(out, value);
    fputc('\n', out);
}

int run_show_config(struct invocation *in)
{
    json_t *j, *v, *request = request_for(in);
    const char *name;
    if (in->argc)
        json_object_set_new(request, "name", json_string(in->argv[0]));
    int code = ask(in, request, &j);
    json_object_foreach(j, name, v)
    {
        if (json_is_string(v))
            print_directive(in->out, name, json_string_value(v));
        for (size_t i = 0; i < json_array_size(v); i++)
            print_directive(in->out, name, json_string_value(json_array_get(v, i)));
    }
    json_decref(j);
    return code;
}

int run_show_clients(struct invocation *in)
{
    static const struct column columns[] = {{"id", "id"},
                                            {"addr", "addr"},
                                            {"name", "name"},
                                            {"db", "db"},
                                            {"resp", "resp"},
                                            {"age", "age"},
                                            {"idle", "idle"},
                                            {"cmd", "cmd"},
                                            {"lib-name", "lib-name"},
                                            {0}};
    return show_table(in, columns);
}

int run_show_stats(struct invocation *in)
{
    json_t *j, *v;
    const char *name;
    int code = ask(in, request_for(in), &j);
    if (!j)
        return code;
    if (!json_is_true(json_object_get(j, "up")))
        fputs("the dataplane is not serving\n", in->out);
    fputs("counters of all workers\n", in->out);
    json_object_foreach(json_object_get(j, "counters"), name, v)
        fprintf(in->out, "  %-32s %" JSON_INTEGER_FORMAT "\n", name, json_integer_value(v));
    fputs("gauges\n", in->out);
    json_object_foreach(json_object_get(j, "gauges"), name, v)
        fprintf(in->out, "  %-32s %.15g\n", name, json_number_value(v));
    fprintf(in->out, "%-34s %12s %12s %10s %10s %10s\n", "commands", "calls", "usec", "usec/call", "rejected",
            "failed");
    json_object_foreach(json_object_get(j, "commands"), name, v)
    {
        json_int_t calls = number_of(v, "calls"), usec = number_of(v, "usec");
        fprintf(in->out,
                "  %-32s %12" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT " %10.2f %10" JSON_INTEGER_FORMAT
                " %10" JSON_INTEGER_FORMAT "\n",
                name, calls, usec, calls ? (double)usec / (double)calls : 0.0, number_of(v, "rejected"),
                number_of(v, "failed"));
    }
    json_decref(j);
    return code;
}

int run_show_links(struct invocation *in)
{
    static const char *const first[] = {"name", "type", "up", "speed_mbps", "addresses", NULL};
    json_t *j, *link, *v;
    size_t i;
    const char *name;
    int code = ask(in, request_for(in), &j);
    json_array_foreach(j, i, link)
    {
        for (const char *const *key = first; *key; key++)
            print_field(in->out, *key, json_object_get(link, *key));
        json_object_foreach(link, name, v) if (!json_is_object(v) && !among(name, first)) print_field(in->out, name, v);
        json_object_foreach(json_object_get(link, "traffic"), name, v) print_field(in->out, name, v);
    }
    json_decref(j);
    return code;
}

static json_t *duration_text(json_int_t ns)
{
    if (ns < 1000)
        return json_sprintf("%" JSON_INTEGER_FORMAT "ns", ns);
    if (ns < 1000000)
        return json_sprintf("%.1fus", (double)ns / 1e3);
    return ns < 1000000000 ? json_sprintf("%.2fms", (double)ns / 1e6)
                           : json_sprintf("%.2fs", (double)ns / 1e9);
}

int run_show_latency(struct invocation *in)
{
    static const struct column columns[] = {{"family", "family"},
                                            {"stage", "stage"},
                                            {"count", "count", COLUMN_NUMBER},
                                            {"mean", "mean_ns", COLUMN_NUMBER},
                                            {"p50", "p50_ns", COLUMN_NUMBER},
                                            {"p90", "p90_ns", COLUMN_NUMBER},
                                            {"p99", "p99_ns", COLUMN_NUMBER},
                                            {"p99.9", "p99.9_ns", COLUMN_NUMBER},
                                            {"max", "max_ns", COLUMN_NUMBER},
                                            {0}};
    json_t *j, *stages, *stage, *rows = json_array();
    const char *family, *name;
    int code = ask(in, request_for(in), &j);
    json_object_foreach(j, family, stages) json_object_foreach(stages, name, stage)
    {
        json_t *row = json_pack("{s:s,s:s,s:O}", "family", family, "stage", name, "count",
                                json_object_get(stage, "count"));
        for (const struct column *c = columns + 3; c->head; c++)
            json_object_set_new(row, c->key, duration_text(number_of(stage, c->key)));
        json_array_append_new(rows, row);
    }
    if (json_array_size(rows))
        print_table(in->out, columns, rows);
    json_decref(rows);
    json_decref(j);
    return code;
}

/* -- doing -------------------------------------------------------------------------------------------- */

static int print_change(struct invocation *in, json_t *request)
{
    json_t *j;
    int code = ask(in, request, &j);
    if (!j)
        return code;
    fprintf(in->out, "generation %" JSON_INTEGER_FORMAT " is running\n", number_of(j, "generation"));
    if (json_array_size(json_object_get(j, "waits_for_restart"))) {
        fputs("waits for `sluice restart dataplane`: ", in->out);
        print_value(in->out, json_object_get(j, "waits_for_restart"));
        fputc('\n', in->out);
    }
    json_decref(j);
    return code;
}

int run_change(struct invocation *in)
{
    return print_change(in, request_for(in));
}

int change_directives(struct invocation *in, json_t *set)
{
    return print_change(in, json_pack("{s:i,s:s,s:s,s:o}", "id", 1, "op", "config", "what", "set", "set", set));
}

/* A name that comes again has several values: control knows which directives may. */
static bool put_value(json_t *set, const char *name, const char *text)
{
    json_t *value = json_string(text), *before = json_object_get(set, name);
    if (!value)
        return false;
    if (!before)
        return json_object_set_new(set, name, value) == 0;
    if (!json_is_array(before)) {
        json_object_set_new(set, name, json_pack("[O]", before));
        before = json_object_get(set, name);
    }
    return json_array_append_new(before, value) == 0;
}

int run_config_set(struct invocation *in)
{
    json_t *set = json_object();
    for (int i = 0; i + 1 < in->argc; i += 2) {
        if (!put_value(set, in->argv[i], in->argv[i + 1])) {
            fprintf(stderr, "sluice: config set: the value of %s is not UTF-8\n", in->argv[i]);
            json_decref(set);
            return EXIT_USAGE;
        }
    }
    return change_directives(in, set);
}

int run_rewrite(struct invocation *in)
{
    json_t *j;
    int code = ask(in, request_for(in), &j);
    if (j)
        fprintf(in->out, "written to %s\n", text_of(j, "file"));
    json_decref(j);
    return code;
}

int run_simple(struct invocation *in)
{
    json_t *j;
    int code = ask(in, request_for(in), &j);
    if (j)
        fputs("ok\n", in->out);
    json_decref(j);
    return code;
}

_Noreturn void become_program(const char *name, const char *folder, char *const argv[])
{
    char own[4000], path[4096];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    own[n > 0 ? n : 0] = 0;
    char *slash = strrchr(own, '/');
    if (slash)
        *slash = 0;
    snprintf(path, sizeof path, "%s/%.32s", own, name);
    execv(path, argv);
    snprintf(path, sizeof path, "%s/../%.32s/%.32s", own, folder, name); /* where it was built */
    execv(path, argv);
    snprintf(path, sizeof path, "%s/../lib/sluice/%.32s", own, name); /* as on the image */
    execv(path, argv);
    execvp(name, argv);
    fprintf(stderr, "%s is not installed beside sluice, nor on the PATH\n", name);
    _exit(127);
}

pid_t control_begin(const char *option, const char *file, int output, int to)
{
    char first[32], second[PATH_MAX];
    snprintf(first, sizeof first, "%s", option);
    snprintf(second, sizeof second, "%s", file);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(to, output);
        become_program("sluice-control", "control", (char *[]){(char[]){"sluice-control"}, first, second, NULL});
    }
    return pid;
}

FILE *control_of_file(const char *option, const char *file, int output, pid_t *pid)
{
    int pipes[2];
    if (pipe(pipes) < 0)
        return NULL;
    *pid = control_begin(option, file, output, pipes[1]);
    close(pipes[1]);
    return fdopen(pipes[0], "r");
}

bool control_writes(const char *option, const char *file, int to)
{
    return control_was_content(control_begin(option, file, STDOUT_FILENO, to));
}

bool control_was_content(pid_t pid)
{
    int status = 0;
    if (pid <= 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSIGNALED(status)) /* then it has not said why */
        fprintf(stderr, "sluice: a process that was to help was ended: %s\n", strsignal(WTERMSIG(status)));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int run_config_check(struct invocation *in)
{
    json_t *lines = json_array();
    char *line = NULL;
    size_t room = 0;
    pid_t pid;
    FILE *from = control_of_file("--check", in->argv[0], STDERR_FILENO, &pid);
    if (!from)
        return EXIT_FAILED;
    for (ssize_t n; (n = getline(&line, &room, from)) > 0;)
        json_array_append_new(lines, json_stringn(line, (size_t)(n - (line[n - 1] == '\n'))));
    free(line);
    fclose(from);
    bool good = control_was_content(pid);
    if (in->json) {
        json_t *j = json_pack("{s:b,s:O}", "ok", good, "lines", lines);
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
        json_decref(j);
    } else {
        for (size_t i = 0; i < json_array_size(lines); i++) {
            print_safe(good ? in->out : stderr, json_string_value(json_array_get(lines, i)));
            fputc('\n', good ? in->out : stderr);
        }
    }
    json_decref(lines);
    return good ? EXIT_DONE : EXIT_FAILED;
}
