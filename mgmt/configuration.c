/* configuration.c: see configuration.h; `show configuration`, `show history`, `config import`, and how well
 * the box is. */
#include "mgmt/configuration.h"
#include "mgmt/operations.h"
#include "mgmt/shell.h"
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1000000 };

/* -- files -------------------------------------------------------------------------------------------- */

/* Up to the end, to a line with a dot alone if that is one, and to the limit. */
static char *read_stream(FILE *f, bool dot)
{
    char *text = malloc(FILE_BYTES_MAX + 2);
    size_t len = 0;
    while (text && len <= FILE_BYTES_MAX && fgets(text + len, (int)(FILE_BYTES_MAX + 2 - len), f)) {
        if (dot && strcmp(text + len, ".\n") == 0)
            break;
        len += strlen(text + len);
    }
    if (text)
        text[len] = 0;
    return text;
}

/* The same from whoever sits at the prompt; NULL if it was called off. */
static char *read_prompt(struct shell *sh)
{
    char *text = NULL, *line;
    size_t size;
    FILE *into = open_memstream(&text, &size);
    puts("type or paste lines; one with a dot alone ends them, Ctrl-C drops them");
    while (into && (line = sh->ask(sh, "")) && strcmp(line, ".") != 0) {
        fprintf(into, "%s\n", line);
        free(line);
    }
    bool good = into && !sh->cancelled;
    if (good && line)
        free(line);
    if (into)
        fclose(into);
    if (good)
        return text;
    free(text);
    return NULL;
}

static char *read_from(struct shell *sh, const char *path, const char **why)
{
    bool terminal = strcmp(path, "terminal") == 0;
    *why = "called off";
    if (terminal && sh->ask)
        return read_prompt(sh);
    FILE *f = terminal ? stdin : fopen(path, "re");
    *why = f ? "out of memory" : strerror(errno);
    char *text = f ? read_stream(f, terminal) : NULL;
    if (f && !terminal)
        fclose(f);
    return text;
}

char *read_text_file(struct shell *sh, const char *path)
{
    const char *why;
    char *text = read_from(sh, path, &why);
    if (text && strlen(text) <= FILE_BYTES_MAX)
        return text;
    fprintf(stderr, "sluice: %s: %s\n", path, text ? "larger than 1 MB" : why);
    free(text);
    return NULL;
}

/* -- configurations ----------------------------------------------------------------------------------- */

bool put_compare(json_t *request, const char *compare)
{
    char *end;
    if (!compare)
        return true;
    long n = strtol(compare, &end, 10);
    if (*end || n < 0) {
        fprintf(stderr, "sluice: | compare: '%s' is not the number of a revision\n", compare);
        return false;
    }
    json_object_set_new(request, "compare", *compare ? json_integer(n) : json_true());
    return true;
}

/* A value as the file has it. */
static void print_value_line(FILE *out, char mark, const char *name, const json_t *value, bool list)
{
    const char *text = json_string_value(value);
    fprintf(out, "%c %s ", mark, name);
    if (list || (*text && strpbrk(text, " ") && !strpbrk(text, "\"'\\#")))
        print_safe(out, text);
    else
        print_word(out, text);
    fputc('\n', out);
}

static bool among(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

static void print_change(FILE *out, const json_t *change)
{
    const json_t *before = json_object_get(change, "before"), *after = json_object_get(change, "after"), *v;
    bool list = json_array_size(before) != 1 || json_array_size(after) != 1, reordered = true;
    const char *name = text_of(change, "directive");
    size_t i;
    json_array_foreach(before, i, v) reordered = reordered && among(after, v);
    json_array_foreach(after, i, v) reordered = reordered && among(before, v);
    json_array_foreach(before, i, v) if (reordered || !among(after, v))
        print_value_line(out, '-', name, v, list);
    json_array_foreach(after, i, v) if (reordered || !among(before, v))
        print_value_line(out, '+', name, v, list);
}

void print_configuration(FILE *out, const json_t *data)
{
    const json_t *lines = json_object_get(data, "lines"), *changes = json_object_get(data, "changes"), *v;
    size_t i;
    json_array_foreach(lines, i, v)
    {
        print_safe(out, json_string_value(v));
        fputc('\n', out);
    }
    json_array_foreach(changes, i, v) print_change(out, v);
}

void print_shown(struct invocation *in, const json_t *data)
{
    print_configuration(in->out, data);
    if (!in->shell->interactive || json_array_size(json_object_get(data, "lines")) || json_array_size(json_object_get(data, "changes")))
        return;
    fputs(in->compare ? "nothing differs\n" : in->argc ? "nothing of that name is set\n" : "nothing is set\n", in->out);
}

void print_effects(FILE *out, const json_t *changes)
{
    static const char *const effects[] = {"restart of the dataplane", "restart of control"};
    static const char *const meanings[] = {
        "takes effect when the dataplane is started again, which closes all connections: ",
        "takes effect when control is started again, which no client notices: "};
    for (unsigned e = 0; e < 2; e++) {
        unsigned n = 0;
        size_t i;
        const json_t *v;
        json_array_foreach(changes, i, v) if (strcmp(text_of(v, "effect"), effects[e]) == 0)
            fprintf(out, "%s%s", n++ ? ", " : meanings[e], text_of(v, "directive"));
        if (n)
            fputc('\n', out);
    }
}

int run_show_configuration(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    int at = 0;
    if (in->argc > at && strncmp("revision", in->argv[at], strlen(in->argv[at])) == 0) {
        char *end = NULL;
        long n = in->argc > at + 1 ? strtol(in->argv[at + 1], &end, 10) : -1;
        if (n < 0 || *end) {
            fprintf(stderr, "sluice: show configuration revision: the number of a revision is missing; see "
                            "show history\n");
            json_decref(request);
            return EXIT_USAGE;
        }
        json_object_set_new(request, "revision", json_integer(n));
    } else if (in->argc) {
        json_object_set_new(request, "name", json_string(in->argv[0]));
    }
    if (!put_compare(request, in->compare)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    int code = ask(in, request, &j);
    if (j)
        print_shown(in, j);
    json_decref(j);
    return code;
}

/* -- revisions ---------------------------------------------------------------------------------------- */

/* "uid 0 (root), pid 12" -> root; others as they are. */
static void print_author(FILE *out, const char *who)
{
    const char *open = strncmp(who, "uid ", 4) == 0 ? strchr(who, '(') : NULL,
               *close = open ? strchr(open, ')') : NULL;
    char name[64];
    if (close && strncmp(open, "(no name)", 9) != 0) {
        snprintf(name, sizeof name, "%.*s", (int)(close - open - 1), open + 1);
        who = name;
    }
    print_safe(out, who);
}

void print_revision(FILE *out, const json_t *about)
{
    fprintf(out, "%3" JSON_INTEGER_FORMAT "  revision %-5" JSON_INTEGER_FORMAT " ", number_of(about, "back"),
            number_of(about, "revision"));
    print_time(out, number_of(about, "time_ms"));
    fprintf(out, "  %s by ", text_of(about, "way"));
    print_author(out, text_of(about, "who"));
    if (*text_of(about, "comment")) {
        fputs(": ", out);
        print_safe(out, text_of(about, "comment"));
    }
    fputc('\n', out);
}

int run_show_history(struct invocation *in)
{
    json_t *j, *row;
    size_t i;
    int code = ask(in, request_for(in), &j);
    json_array_foreach(j, i, row) print_revision(in->out, row);
    json_decref(j);
    return code;
}

/* -- import ------------------------------------------------------------------------------------------- */

void print_import(FILE *out, const json_t *report)
{
    static const struct column columns[] = {
        {"line", "line", COLUMN_NUMBER}, {"directive", "directive"}, {"", "status"}, {"", "note"}, {0}};
    print_table(out, columns, json_object_get(report, "rows"));
    fprintf(out,
            "%" JSON_INTEGER_FORMAT " taken, %" JSON_INTEGER_FORMAT
            " with another meaning, %" JSON_INTEGER_FORMAT " ignored, %" JSON_INTEGER_FORMAT " errors\n",
            number_of(report, "taken"), number_of(report, "mapped"), number_of(report, "ignored"),
            number_of(report, "errors"));
}

/* config import FILE, or -- the arguments of a redis-server */
int run_import(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    bool arguments = in->argc > 1 || strncmp(in->argv[0], "--", 2) == 0;
    char *text = arguments ? NULL : read_text_file(in->shell, in->argv[0]);
    if (!arguments && !text) {
        json_decref(request);
        return EXIT_FAILED;
    }
    if (arguments) {
        json_t *words = json_array();
        for (int i = 0; i < in->argc; i++)
            json_array_append_new(words, json_string(in->argv[i]));
        json_object_set_new(request, "words", words);
    } else {
        json_object_set_new(request, "text", json_string(text));
    }
    free(text);
    int code = api_request(in->socket, request, &j);
    if (code != EXIT_DONE)
        return code;
    if (in->json) {
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
    } else {
        print_import(in->out, j);
        fputs("\nwhat would change:\n", in->out);
        print_configuration(in->out, j);
        fputs("\nnothing has been changed: `configure`, `import FILE`, `commit` does it\n", in->out);
    }
    code = number_of(j, "errors") ? EXIT_FAILED : EXIT_DONE;
    json_decref(j);
    return code;
}

/* -- health ------------------------------------------------------------------------------------------- */

static void print_health(FILE *out, const json_t *j)
{
    static const struct column columns[] = {
        {"severity", "severity"}, {"alarm", "alarm"}, {"since", "since_ms", COLUMN_TIME}, {"what", "text"}, {0}};
    const json_t *alarms = json_object_get(j, "alarms");
    fprintf(out, "%-24s %s\n", "health", text_of(j, "health"));
    fprintf(out, "%-24s %s\n", "clock",
            json_is_true(json_object_get(json_object_get(j, "clock"), "synchronized")) ? "synchronized" : "not synchronized");
    if (!json_array_size(alarms)) {
        fprintf(out, "%-24s none\n", "alarms");
        return;
    }
    fputc('\n', out);
    print_table(out, columns, alarms);
}

/* Its exit code tells whether the box serves. */
int run_show_health(struct invocation *in)
{
    json_t *j;
    int code = api_request(in->socket, request_for(in), &j);
    if (code != EXIT_DONE)
        return code;
    bool good = json_is_true(json_object_get(j, "serves"));
    if (in->json) {
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
    } else {
        print_health(in->out, j);
    }
    json_decref(j);
    return good ? EXIT_DONE : EXIT_FAILED;
}

int run_show_alarms(struct invocation *in)
{
    static const struct column columns[] = {{"time", "time_ms", COLUMN_TIME}, {"", "what"},  {"severity", "severity"},
                                            {"alarm", "alarm"},               {"what", "text"}, {0}};
    json_t *j;
    int code = ask(in, request_for(in), &j);
    if (j && json_array_size(j))
        print_table(in->out, columns, j);
    else if (j)
        fputs("none since control was started\n", in->out);
    json_decref(j);
    return code;
}
