/* prompt.c: line editing over libedit's readline face. */
#include "mgmt/prompt.h"
#include "mgmt/interrupt.h"
#include "mgmt/operations.h"
#include "mgmt/pipe.h"
#include "mgmt/shell.h"
#include "mgmt/words.h"

#include <ctype.h>
#include <editline/readline.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static bool plain; /* an answer or a text is typed, no command */

/* What completion knows, asked of control once; readline's callbacks have no argument of their own. */
static struct shell shell;
static char **directives, **certificates;
static json_t *schema; /* of the directives, or NULL */

static void free_names(char **names)
{
    for (char **n = names; n && *n; n++)
        free(*n);
    free(names);
}

static void forget_names(void)
{
    free_names(directives);
    free_names(certificates);
    json_decref(schema);
    directives = certificates = NULL;
    schema = NULL;
}

static void load_names(const char *socket_path)
{
    json_t *data, *value;
    unsigned n = 0;
    size_t i;
    forget_names();
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

/* Its words without the one that is being typed; the table that they are read by; behind a bar? */
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
static void describe(FILE *out, const struct typed *t)
{
    const json_t *row = t->n >= 2 ? row_of(t->first[1]) : NULL;
    if (t->table != grammar_configure || !row)
        return;
    fprintf(out, "  %s: %s%s; default %s; takes effect: %s\n", text_of(row, "name"), text_of(row, "kind"),
            json_is_true(json_object_get(row, "list")) ? ", a list" : "",
            json_object_get(row, "default") ? (*text_of(row, "default") ? text_of(row, "default") : "\"\"")
                                            : "none",
            text_of(row, "effect"));
}

/* Of a command whose parameter comes next: what it may be, as far as that is known. */
static void print_choices(FILE *out, const struct typed *t, const char *prefix)
{
    char path[GRAMMAR_PATH];
    const struct node *at = grammar_path(t->table, t->first, t->n, path);
    const char *word;
    unsigned shown = 0;
    while (at && !at->next && (word = grammar_complete(t->table, t->first, t->n, prefix, shown, known()))) {
        grammar_row(out, word, 0, "");
        shown++;
    }
}

static void print_help(FILE *out, const char *line)
{
    size_t start = strlen(line);
    struct typed t;
    while (start && !isspace((unsigned char)line[start - 1]))
        start--;
    const char *prefix = line + start;
    bool good = read_typed(&t, line, start);
    if (good && t.bar) {
        pipe_help(out, prefix);
    } else if (good) {
        grammar_help(out, t.table, t.first, t.n, prefix);
        describe(out, &t);
        print_choices(out, &t, prefix);
    }
    words_free(&t.words);
}

static void help_for(const char *line)
{
    struct pipeline p = {.paged = true};
    FILE *out = pipe_open(&p, false);
    if (!out)
        return;
    print_help(out, line);
    fclose(out);
}

/* Inside of quotes, and in an answer, it is a character like any other. (libedit's rl_insert would give it to this function again.) */
static int on_question(int count, int c)
{
    (void)count, (void)c;
    bool single = false, twice = false;
    for (const char *p = rl_line_buffer; *p; p++) {
        single = single != (*p == '\'' && !twice);
        twice = twice != (*p == '"' && !single);
    }
    if (single || twice || plain) {
        rl_insert_text("?");
        rl_forced_update_display();
        return 0;
    }
    char *before = strndup(rl_line_buffer, (size_t)rl_point);
    puts("?");
    help_for(before ? before : "");
    free(before);
    rl_forced_update_display();
    return 0;
}

/* -- the terminal ------------------------------------------------------------------------------------- */

static struct termios usual; /* as it was given to us */
static bool cancelled;       /* the line, by Ctrl-C */

/* While a line is edited Ctrl-C is a key of ours. */
static void for_a_line(void)
{
    struct termios t = usual;
    t.c_cc[VINTR] = _POSIX_VDISABLE;
    tcsetattr(0, TCSADRAIN, &t);
}

/* While a command runs Ctrl-C is a signal, and what is typed ahead is not shown twice. */
static void for_a_command(void)
{
    struct termios t = usual;
    t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(0, TCSADRAIN, &t);
}

static int on_cancel(int count, int c)
{
    (void)count, (void)c;
    cancelled = true;
    rl_done = 1;
    return 0;
}

/* A line without its end, on the heap; NULL: Ctrl-C (cancelled) or Ctrl-D. */
static char *edit(const char *before)
{
    cancelled = false;
    fflush(stdout);
    for_a_line();
    char *line = readline(before);
    for_a_command();
    rl_done = 0;
    if (cancelled) {
        puts("^C");
        free(line);
        return NULL;
    }
    return line;
}

/* One that is no command. */
static char *edit_answer(struct shell *sh, const char *before)
{
    plain = true;
    rl_inhibit_completion = 1;
    char *line = edit(before);
    rl_inhibit_completion = 0;
    plain = false;
    sh->cancelled = cancelled;
    if (!line && !cancelled)
        puts("");
    return line;
}

/* -- the loop ----------------------------------------------------------------------------------------- */

/* "admin@box1> ", "[edit] admin@box1# ": who does something, and to which box. */
static void name_prompt(char *text, size_t size)
{
    char host[65] = "box";
    const char *user = getenv("USER"), *remote = getenv("SLUICE_HOST");
    const struct passwd *who = getpwuid(geteuid());
    gethostname(host, sizeof host - 1);
    if (remote && *remote)
        snprintf(host, sizeof host, "%.64s", remote);
    else
        host[strcspn(host, ".")] = 0;
    user = who ? who->pw_name : user ? user : "?";
    snprintf(text, size, "%s%.32s@%.64s%s ", shell.session >= 0 ? "[edit] " : "", user, host, shell.session >= 0 ? "#" : ">");
}

/* What whoever logs in should know first. */
static void greet(void)
{
    json_t *j;
    if (api_request(shell.socket, json_pack("{s:s,s:s}", "op", "show", "what", "health"), &j) != EXIT_DONE)
        return;
    size_t n = json_array_size(json_object_get(j, "alarms"));
    printf("Sluice %s: health %s", SLUICE_VERSION, text_of(j, "health"));
    printf(n ? ", %zu alarm%s (show health); ? helps\n" : "; ? helps\n", n, n == 1 ? "" : "s");
    json_decref(j);
    load_names(shell.socket);
}

static int run_line(const char *line)
{
    int code = shell_line(&shell, line);
    fflush(stdout);
    if (interrupt_taken())
        puts("^C");
    if (code == EXIT_DONE && (!schema || strncmp(line, "cert", 4) == 0))
        load_names(shell.socket); /* control was away before; a certificate came or went */
    return code;
}

static void begin_editing(void)
{
    setenv("EDITRC", "/dev/null", 1); /* its commands can start other programs */
    rl_readline_name = "sluice";
    rl_initialize();
    rl_attempted_completion_function = complete;
    rl_add_defun("help", on_question, '?');
    rl_add_defun("cancel", on_cancel, 3);
    using_history();
    stifle_history(1000);
    signal(SIGQUIT, SIG_IGN);
    interrupt_at_prompt();
}

/* As often as it is not the same again. */
static void remember(const char *line)
{
    const HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (line[strspn(line, " \t")] && (!last || !last->line || strcmp(last->line, line) != 0))
        add_history(line);
}

int prompt_run(const char *socket_path)
{
    char text[160];
    int code = EXIT_DONE;
    shell = (struct shell){.socket = socket_path, .interactive = true, .session = -1, .ask = edit_answer};
    tcgetattr(0, &usual);
    begin_editing();
    shell_start();
    greet();
    while (!shell.leave) {
        name_prompt(text, sizeof text);
        char *line = edit(text);
        if (cancelled)
            continue;
        if (!line)
            puts(""); /* Ctrl-D: as `exit` */
        else
            remember(line);
        bool quit = !line || strcmp(line, "quit") == 0;
        code = quit || *line ? run_line(quit ? "exit" : line) : code;
        free(line);
    }
    shell_end(&shell);
    forget_names();
    tcsetattr(0, TCSADRAIN, &usual);
    return code;
}
