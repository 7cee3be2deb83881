/* prompt.c: line editing over libedit's readline face. */
#include "mgmt/prompt.h"
#include "mgmt/operations.h"
#include "mgmt/words.h"

#include <editline/readline.h>
#include <stdlib.h>
#include <string.h>

/* Names for completion, asked of control once; readline's callbacks have no argument of their own. */
static char **directives, **certificates;

static void load_names(const char *socket_path)
{
    json_t *data, *value;
    const char *name;
    unsigned n = 0;
    size_t i;
    if (api_request(socket_path, json_pack("{s:s,s:s}", "op", "show", "what", "config"), &data) != EXIT_DONE)
        return;
    directives = calloc(json_object_size(data) + 1, sizeof *directives);
    json_object_foreach(data, name, value) if (directives) directives[n++] = strdup(name);
    json_decref(data);
    if (api_request(socket_path, json_pack("{s:s,s:s}", "op", "certificate", "what", "list"), &data) != EXIT_DONE)
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

static char *complete_word(const char *prefix, int state)
{
    static unsigned index;
    struct words words;
    index = state ? index + 1 : 0;
    char *before = strndup(rl_line_buffer, strlen(rl_line_buffer) - strlen(prefix));
    const char *found = NULL;
    if (before && words_split(&words, before))
        found = grammar_complete(words.p, words.n, prefix, index, &(struct known_names){directives, certificates});
    if (before)
        words_free(&words);
    free(before);
    return found ? strdup(found) : NULL;
}

static char **complete(const char *prefix, int start, int end)
{
    (void)start, (void)end;
    rl_attempted_completion_over = 1; /* never file names */
    return rl_completion_matches(prefix, complete_word);
}

/* "show log | match oom | json": returns how many words come before the first bar, or -1 if something else
 * follows one. */
static int take_filters(const struct words *w, struct invocation *in)
{
    int kept = 0;
    while (kept < w->n && strcmp(w->p[kept], "|") != 0)
        kept++;
    for (int i = kept; i < w->n; i++) {
        if (strcmp(w->p[i], "|") == 0)
            continue;
        if (strcmp(w->p[i], "json") == 0)
            in->json = true;
        else if (strcmp(w->p[i], "match") == 0 && i + 1 < w->n)
            in->match = w->p[++i];
        else if (strcmp(w->p[i], "no-more") != 0)
            return -1;
    }
    return kept;
}

static int run_text(const char *socket_path, const char *line)
{
    struct words words;
    struct invocation in = {.socket = socket_path};
    char *copy[WORDS_MAX]; /* parsing moves words about */
    int code = EXIT_USAGE, n = -1;
    if (!words_split(&words, line))
        fputs("sluice: unbalanced quotes, or too many words\n", stderr);
    else if ((n = take_filters(&words, &in)) < 0)
        fputs("sluice: after | comes json, match TEXT or no-more\n", stderr);
    memcpy(copy, words.p, (size_t)words.n * sizeof *copy);
    if (n == 0) {
        code = EXIT_DONE;
    } else if (n > 0 && strcmp(copy[n - 1], "?") == 0) {
        grammar_help(copy, n - 1);
        code = EXIT_DONE;
    } else if (n > 0) {
        code = run_line(&in, copy, n);
    }
    words_free(&words);
    return code;
}

int prompt_run(const char *socket_path)
{
    int code = EXIT_DONE;
    char *line;
    load_names(socket_path);
    rl_readline_name = "sluice";
    rl_attempted_completion_function = complete;
    using_history();
    stifle_history(1000);
    while ((line = readline("sluice> "))) {
        bool leave = strcmp(line, "exit") == 0 || strcmp(line, "quit") == 0;
        if (!leave && *line) {
            add_history(line);
            code = run_text(socket_path, line);
        }
        free(line);
        if (leave)
            break;
    }
    free_names(directives);
    free_names(certificates);
    directives = certificates = NULL;
    return code;
}
