/* main.c: sluice, the command line of the box: a client of control's management API and nothing more. */
#include "mgmt/operations.h"
#include "mgmt/prompt.h"
#include "mgmt/shell.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *default_socket(void)
{
    const char *s = getenv("SLUICE_SOCKET");
    return s && *s ? s : "/run/sluice/management.sock";
}

/* Nothing but where control is: what else there is to do comes from the terminal, or from a script. */
static bool no_command(int argc, char **argv, const char **socket_path)
{
    if (argc == 3 && strcmp(argv[1], "--socket") == 0)
        *socket_path = argv[2];
    return argc == 1 || (argc == 3 && *socket_path == argv[2]);
}

/* As sshd starts a login shell: -c COMMAND, of one or more lines. */
static int run_text(struct shell *sh, char *text)
{
    int code = EXIT_DONE;
    for (char *line; code == EXIT_DONE && !sh->leave && (line = strsep(&text, "\n"));)
        code = shell_line(sh, line);
    shell_end(sh);
    return code;
}

/* What is typed and shown is UTF-8, also where nobody has chosen a locale (sshd on the box). */
static void choose_locale(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv)
{
    struct shell sh = {.socket = default_socket(), .session = -1};
    choose_locale();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("sluice " SLUICE_VERSION);
        return EXIT_DONE;
    }
    const char *last = argc > 1 ? argv[argc - 1] : "";
    if (argc == 3 && strcmp(argv[1], "-c") == 0)
        return run_text(&sh, argv[2]);
    if (strcmp(last, "--help") == 0 || strcmp(last, "-h") == 0 || strcmp(last, "?") == 0) {
        printf("usage: sluice [COMMAND] [options]\n\n");
        if (argc > 2)
            grammar_help(stdout, grammar, argv + 1, argc - 2, "");
        else
            grammar_help_all(stdout);
        return EXIT_DONE;
    }
    if (no_command(argc, argv, &sh.socket)) {
        int c = isatty(0) ? 0 : getchar();
        if (c == EOF) {
            fputs("sluice: which command? try sluice --help\n", stderr);
            return EXIT_USAGE;
        }
        if (isatty(0))
            return prompt_run(sh.socket);
        ungetc(c, stdin);
        return shell_script(&sh);
    }
    return shell_words(&sh, argv + 1, argc - 1);
}
