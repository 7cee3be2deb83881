/* main.c: sluice, the command line of the box: a client of control's management API and nothing more. */
#include "mgmt/operations.h"
#include "mgmt/prompt.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Prints text, or those of its lines that hold `match`, whatever the case. */
static void print_filtered(char *text, const char *match)
{
    if (!match) {
        fputs(text, stdout);
        return;
    }
    for (char *line = text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        end += *end == '\n';
        char kept = *end;
        *end = 0;
        if (strcasestr(line, match))
            fputs(line, stdout);
        *end = kept;
    }
}

int run_line(struct invocation *in, char **words, int n)
{
    char error[256], *text = NULL;
    size_t size;
    if (!grammar_parse(in, words, n, error, sizeof error)) {
        fprintf(stderr, "sluice: %s\n", error);
        return EXIT_USAGE;
    }
    if (in->leaf->live) {
        in->out = stdout;
        return in->leaf->run(in);
    }
    in->out = open_memstream(&text, &size);
    if (!in->out) {
        fputs("sluice: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    int code = in->leaf->run(in);
    fclose(in->out);
    print_filtered(text, in->match);
    free(text);
    if (fflush(stdout) != 0 && code == EXIT_DONE)
        code = EXIT_FAILED;
    return code;
}

static const char *default_socket(void)
{
    const char *s = getenv("SLUICE_SOCKET");
    return s && *s ? s : "/run/sluice/management.sock";
}

/* Only options given: what they say is for the prompt. */
static bool wants_prompt(int argc, char **argv, const char **socket_path)
{
    if (argc == 3 && strcmp(argv[1], "--socket") == 0)
        *socket_path = argv[2];
    return argc == 1 || (argc == 3 && *socket_path == argv[2]);
}

int main(int argc, char **argv)
{
    struct invocation in = {.socket = default_socket()};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("sluice " SLUICE_VERSION);
        return EXIT_DONE;
    }
    const char *last = argc > 1 ? argv[argc - 1] : "";
    if (strcmp(last, "--help") == 0 || strcmp(last, "-h") == 0 || strcmp(last, "?") == 0) {
        printf("usage: sluice [COMMAND] [options]\n\n");
        grammar_help(argv + 1, argc - 2);
        return EXIT_DONE;
    }
    if (wants_prompt(argc, argv, &in.socket)) {
        if (argc == 1 && !isatty(0)) {
            fputs("sluice: which command? try sluice --help\n", stderr);
            return EXIT_USAGE;
        }
        return prompt_run(in.socket);
    }
    return run_line(&in, argv + 1, argc - 1);
}
