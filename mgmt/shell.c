/* shell.c: command lines in their two modes. */
#include "mgmt/shell.h"
#include "mgmt/operations.h"
#include "mgmt/pipe.h"
#include "mgmt/remote.h"
#include "mgmt/words.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const struct node *shell_table(const struct shell *sh)
{
    return sh->session >= 0 ? grammar_configure : grammar;
}

/* The way an operator asks for an operational command in configuration mode. */
static bool is_run(const struct shell *sh, char **words, int n)
{
    return sh->session >= 0 && n > 0 && strlen(words[0]) > 1 &&
           strncmp("run", words[0], strlen(words[0])) == 0;
}

/* The option, or what the environment says. */
static const char *or_env(const char *option, const char *name)
{
    const char *s = option ? option : getenv(name);
    return s && *s ? s : NULL;
}

/* Which box is meant: a socket of this machine, or a host. */
static void choose_box(const struct invocation *in)
{
    const struct remote r = {or_env(in->host, "SLUICE_HOST"), or_env(in->token_file, "SLUICE_TOKEN_FILE"),
                             or_env(in->host_certificate, "SLUICE_CERTIFICATE"),
                             or_env(in->host_ca, "SLUICE_HOST_CA")};
    remote_use(&r);
}

void shell_start(void)
{
    choose_box(&(struct invocation){0});
}

static int run(struct shell *sh, struct invocation *in, struct pipeline *p)
{
    if (p->json)
        in->json = true;
    if (in->match)
        pipe_match(p, in->match);
    choose_box(in);
    in->compare = p->compare;
    in->shell = sh;
    if (sh->interactive && in->leaf->asks && !shell_confirms(sh, in->leaf->asks)) {
        fputs("sluice: not done\n", stderr);
        return EXIT_FAILED;
    }
    p->paged = sh->interactive;
    if (in->compare && !in->leaf->compares) {
        fprintf(stderr, "sluice: | compare goes with the configuration alone\n");
        return EXIT_USAGE;
    }
    in->out = pipe_open(p, in->leaf->live || in->follow);
    if (!in->out) {
        fputs("sluice: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    int code = in->leaf->run(in);
    bool written = fclose(in->out) == 0;
    return code == EXIT_DONE && !written ? EXIT_FAILED : code;
}

/* `help show`, as people type it; `show ?`, where no terminal makes the key of it; behind a bar. */
static int help(struct shell *sh, const struct node *table, char **words, int n, bool bar)
{
    const bool first = strcmp(words[0], "help") == 0;
    struct pipeline p = {.paged = sh->interactive};
    FILE *out = pipe_open(&p, false);
    if (!out)
        return EXIT_FAILED;
    if (bar)
        pipe_help(out, "");
    else
        grammar_help(out, table, words + first, n - 1, "");
    return fclose(out) == 0 ? EXIT_DONE : EXIT_FAILED;
}

int shell_words(struct shell *sh, char **words, int n)
{
    struct invocation in = {.socket = sh->socket};
    struct pipeline p = {0};
    char error[256];
    const struct node *table = shell_table(sh);
    int bar = 0;
    if (is_run(sh, words, n)) {
        table = grammar;
        words++;
        n--;
    }
    while (bar < n && strcmp(words[bar], "|") != 0)
        bar++;
    if (n && (strcmp(words[0], "help") == 0 || strcmp(words[n - 1], "?") == 0))
        return help(sh, table, words, n, bar < n - 1);
    bool good = bar + 1 != n || n == 0;
    if (!good)
        snprintf(error, sizeof error, "something must follow the bar; try | ?");
    good = good && (bar == n || pipe_parse(&p, words + bar + 1, n - bar - 1, error, sizeof error));
    good = good && grammar_parse(table, &in, words, bar, error, sizeof error);
    if (good)
        return run(sh, &in, &p);
    fprintf(stderr, "sluice: %s\n", error);
    return EXIT_USAGE;
}

int shell_line(struct shell *sh, const char *line)
{
    struct words words;
    char *copy[WORDS_MAX]; /* parsing moves words about */
    int code = EXIT_DONE;
    if (line[strspn(line, " \t\r\n")] == '#') /* in a script */
        return EXIT_DONE;
    if (!words_split(&words, line)) {
        fputs("sluice: unbalanced quotes, or too many words\n", stderr);
        code = EXIT_USAGE;
    } else if (words.n) {
        memcpy(copy, words.p, (size_t)words.n * sizeof *copy);
        code = shell_words(sh, copy, words.n);
    }
    words_free(&words);
    return code;
}

int shell_script(struct shell *sh)
{
    char *line = NULL;
    size_t room = 0;
    int code = EXIT_DONE;
    while (!sh->leave && code == EXIT_DONE && getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\r\n")] = 0;
        code = shell_line(sh, line);
        fflush(stdout);
    }
    free(line);
    shell_end(sh);
    return code;
}

void shell_end(struct shell *sh)
{
    if (sh->session >= 0)
        close(sh->session);
    sh->session = -1;
}

bool shell_confirms(struct shell *sh, const char *question)
{
    if (!sh->interactive || !sh->ask)
        return false;
    puts(question);
    char *answer = sh->ask(sh, "[yes/no] ");
    bool yes = answer && (strcasecmp(answer, "yes") == 0 || strcasecmp(answer, "y") == 0);
    free(answer);
    return yes;
}

int shell_ask(struct shell *sh, json_t *request, json_t **data)
{
    int code = api_again(sh->socket, sh->session, request, data);
    if (code == EXIT_UNREACHABLE) {
        fputs("sluice: the edits are lost\n", stderr);
        shell_end(sh);
    }
    return code;
}
