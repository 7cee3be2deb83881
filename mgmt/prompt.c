/* prompt.c: line editing over libedit's readline face. */
#include "mgmt/prompt.h"
#include "mgmt/operations.h"
#include "mgmt/pipe.h"
#include "mgmt/shell.h"
#include "mgmt/words.h"

#include <ctype.h>
#include <editline/readline.h>
#include <stdlib.h>
#include <string.h>

/* What completion knows, asked of control once; readline's callbacks have no argument of their own. */
static struct shell shell;
static char **directives, **certificates;
static json_t *schema; /* of the directives, or NULL */

static void load_names(const char *socket_path)
{
    json_t *data, *value;
    unsigned n = 0;
    size_t i;
    if (api_request(socket_path, json_pack("{s:s,s:s}", "op", "config", "what", "schema"), &schema) !=
        EXIT_DONE) {
        schema = NULL;
        return;
    }
    directives = calloc(json_array_size(schema) + 1, sizeof *directives);
    json_array_foreach(schema, i, value) if (directives) directives[n++] = strdup(text_of(value, "name"));
    if (api_request(socket_path, json_pack("{s:s,s:s}", "op", "certificate", "what", "list"), &data) !=
        EXIT_DONE)
        return;
    certificates = calloc(json_array_size(data) + 1, sizeof *certificates);
    json_array_foreach(data, i, value) if (certificates) certificates[i] = strdup(text_of(value, "name"));
    json_decref(data);
}

static void free_names(char **names)
{
    for (char **n = names; n && *n; n++)
        free(*n);
    free(names);
}

static const json_t *row_of(const char *directive)
{
    json_t *row;
    size_t i;
    json_array_foreach(schema, i, row) if (strcmp(text_of(row, "name"), directive) == 0) return row;
    return NULL;
}

/* Of the directive that was asked for last. */
static char *const *values_of(const char *directive)
{
    static char **values;
    const json_t *choices = json_object_get(row_of(directive), "choices"), *v;
    size_t i;
    free_names(values);
    values = calloc(json_array_size(choices) + 1, sizeof *values);
    json_array_foreach(choices, i, v) if (values) values[i] = strdup(json_string_value(v));
    return values;
}

static const struct known_names *known(void)
{
    static struct known_names names;
    names = (struct known_names){directives, certificates, values_of};
    return &names;
}

/* -- the line so far ---------------------------------------------------------------------------------- */

/* Its words without the one that is being typed, which begins at *prefix; the table that they are read by;
 * behind a bar? False: quotes are open. */
struct typed {
    struct words words;
    char **first;
    int n;
    const struct node *table;
    bool bar;
};

static bool read_typed(struct typed *t, const char *line, size_t len)
{
    char *before = strndup(line, len);
    bool good = before && words_split(&t->words, before);
    free(before);
    if (!before)
        t->words.n = 0;
    t->table = shell_table(&shell);
    t->first = t->words.p;
    t->n = t->words.n;
    t->bar = false;
    if (t->table == grammar_configure && t->n && strcmp(t->first[0], "run") == 0) {
        t->table = grammar;
        t->first++;
        t->n--;
    }
    for (int i = 0; i < t->n; i++)
        t->bar = t->bar || strcmp(t->first[i], "|") == 0;
    return good;
}

static char *complete_word(const char *prefix, int state)
{
    static unsigned index;
    struct typed t;
    index = state ? index + 1 : 0;
    const char *found = NULL;
    if (read_typed(&t, rl_line_buffer, strlen(rl_line_buffer) - strlen(prefix)))
        found = t.bar ? pipe_complete(prefix, index)
                      : grammar_complete(t.table, t.first, t.n, prefix, index, known());
    char *copy = found ? strdup(found) : NULL;
    words_free(&t.words);
    return copy;
}

static char **complete(const char *prefix, int start, int end)
{
    (void)start, (void)end;
    rl_attempted_completion_over = 1; /* never file names */
    return rl_completion_matches(prefix, complete_word);
}

/* -- help at `?` -------------------------------------------------------------------------------------- */

/* What is known of the directive whose value comes next. */
static void describe(const struct typed *t)
{
    const json_t *row = t->n >= 2 ? row_of(t->first[1]) : NULL;
    if (t->table != grammar_configure || !row)
        return;
    printf("  %s: %s%s; default %s; takes effect: %s\n", text_of(row, "name"), text_of(row, "kind"),
           json_is_true(json_object_get(row, "list")) ? ", a list" : "",
           json_object_get(row, "default") ? (*text_of(row, "default") ? text_of(row, "default") : "\"\"")
                                           : "none",
           text_of(row, "effect"));
}

static void help_for(const char *line)
{
    size_t len = strlen(line), start = len;
    struct typed t;
    const char *word;
    unsigned shown = 0;
    while (start && !isspace((unsigned char)line[start - 1]))
        start--;
    if (read_typed(&t, line, start)) {
        const char *prefix = line + start;
        if (t.bar) {
            pipe_help(prefix);
        } else {
            grammar_help(t.table, t.first, t.n, prefix);
            describe(&t);
            bool leaf = t.n > 0;
            for (const struct node *n = t.table; n->word; n++)
                leaf =
                    leaf && !(n->next && t.n == 1 && strncmp(n->word, t.first[0], strlen(t.first[0])) == 0);
            while (leaf && (word = grammar_complete(t.table, t.first, t.n, prefix, shown, known())))
                printf(shown++ ? " %s" : "  %s", word);
            if (shown)
                puts("");
        }
    }
    words_free(&t.words);
}

/* Inside of quotes it is a character like any other. */
static int on_question(int count, int c)
{
    bool single = false, twice = false;
    for (const char *p = rl_line_buffer; *p; p++) {
        single = single != (*p == '\'' && !twice);
        twice = twice != (*p == '"' && !single);
    }
    if (single || twice)
        return rl_insert(count, c);
    puts("?");
    help_for(rl_line_buffer);
    rl_forced_update_display();
    return 0;
}

/* -- the loop ----------------------------------------------------------------------------------------- */

int prompt_run(const char *socket_path)
{
    int code = EXIT_DONE;
    char *line;
    shell = (struct shell){.socket = socket_path, .interactive = true, .session = -1};
    setenv("EDITRC", "/dev/null", 1); /* its commands can start other programs */
    rl_readline_name = "sluice";
    rl_initialize();
    shell_start();
    load_names(socket_path);
    rl_attempted_completion_function = complete;
    rl_add_defun("help", on_question, '?');
    using_history();
    stifle_history(1000);
    while (!shell.leave) {
        line = readline(shell.session >= 0 ? "[edit] sluice# " : "sluice> ");
        if (!line && shell.session < 0)
            break;
        if (line && *line)
            add_history(line);
        bool quit = line && strcmp(line, "quit") == 0;
        code = !line || *line ? shell_line(&shell, line && !quit ? line : "exit") : code;
        fflush(stdout);
        free(line);
    }
    shell_end(&shell);
    free_names(directives);
    free_names(certificates);
    json_decref(schema);
    directives = certificates = NULL;
    return code;
}
