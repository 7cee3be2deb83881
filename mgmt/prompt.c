/* prompt.c: line editing over libedit's readline face. */
#include "mgmt/prompt.h"
#include "control/conffile.h"

#include <editline/readline.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

static char *complete_word(const char *prefix, int state)
{
    static unsigned index;
    struct words words = {0};
    char *comment;
    if (state == 0)
        index = 0;
    /* The words before the one that is being typed. */
    char *before = must_copy_n(rl_line_buffer, strlen(rl_line_buffer) - strlen(prefix));
    line_split(before, &words, ~0u, &comment);
    const char *found = grammar_complete(words.p, (int)words.n, prefix, index++);
    char *copy = found ? strdup(found) : NULL;
    words_free(&words);
    free(before);
    return copy;
}

static char **complete(const char *prefix, int start, int end)
{
    (void)start, (void)end;
    rl_attempted_completion_over = 1; /* never file names */
    return rl_completion_matches(prefix, complete_word);
}

/* "show log | match oom | json" -> words and filters. False: something else follows the bar. */
static bool take_filters(struct words *words, struct invocation *in)
{
    unsigned kept = 0, i = 0;
    while (kept < words->n && strcmp(words->p[kept], "|") != 0)
        kept++;
    for (i = kept; i < words->n; i++) {
        if (strcmp(words->p[i], "|") == 0)
            continue;
        if (strcmp(words->p[i], "json") == 0)
            in->json = true;
        else if (strcmp(words->p[i], "match") == 0 && i + 1 < words->n)
            in->match = words->p[++i];
        else if (strcmp(words->p[i], "no-more") != 0)
            return false;
    }
    words->n = kept; /* the rest stays allocated until the line is done */
    return true;
}

static int run_text(const char *socket_path, const char *line)
{
    struct words words = {0};
    struct invocation in = {.socket = socket_path};
    char *comment;
    int code = EXIT_USAGE;
    bool split = line_split(line, &words, ~0u, &comment);
    unsigned all = words.n;
    if (!split)
        fputs("sluice: unbalanced quotes\n", stderr);
    else if (!take_filters(&words, &in))
        fputs("sluice: after | comes json, match TEXT or no-more\n", stderr);
    else if (words.n && strcmp(words.p[words.n - 1], "?") == 0) {
        grammar_help(words.p, (int)words.n - 1);
        code = EXIT_DONE;
    } else if (words.n) {
        char **copy = must_alloc(words.n, sizeof *copy); /* parsing moves words about */
        memcpy(copy, words.p, words.n * sizeof *copy);
        code = run_line(&in, copy, (int)words.n);
        free(copy);
    } else {
        code = EXIT_DONE;
    }
    words.n = all;
    words_free(&words);
    return code;
}

int prompt_run(const char *socket_path)
{
    int code = EXIT_DONE;
    char *line;
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
    return code;
}
