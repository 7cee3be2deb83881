/* grammar_help.c: help from the tables of the grammar, as wide as the terminal is. */
#include "mgmt/grammar.h"
#include "mgmt/pipe.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LEFT_LEAST = 16, LEFT_MOST = 32, LEFT_OPTION = 24, NARROW = 24, INDENT = 4 };

/* Of the terminal; 0: there is none, and lines are as long as they are. */
static int columns(void)
{
    struct winsize w;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

/* Words of the text, in lines of at most `room` columns behind `indent` blanks; the first line has begun. */
static void print_wrapped(FILE *out, const char *text, int indent, int room)
{
    int used = 0;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (used && used + 1 + word > room) {
            fprintf(out, "\n%*s", indent, "");
            used = 0;
        }
        used += fprintf(out, "%s%.*s", used ? " " : "", word, text);
        text += word + (text[word] == ' ');
    }
    fputc('\n', out);
}

void grammar_row(FILE *out, const char *left, int width, const char *help)
{
    int all = columns(), len = (int)strlen(left), indent = width + 4;
    if (!all) {
        fprintf(out, "  %-*s  %s\n", width, left, help);
        return;
    }
    if (all - indent < NARROW)
        indent = INDENT;
    if (indent == INDENT || len > width)
        fprintf(out, "  %s\n%*s", left, indent, "");
    else
        fprintf(out, "  %-*s  ", width, left);
    print_wrapped(out, help, indent, all - indent - 1);
}

/* A command as it is typed. */
static void name_node(char *line, size_t size, const char *before, const struct node *n)
{
    int used = snprintf(line, size, "%s%s", before, n->word);
    for (int p = 0; p < PARAMETERS && n->parameter[p].kind && (size_t)used < size; p++)
        used += snprintf(line + used, size - (size_t)used, n->parameter[p].optional ? " [%s]" : " %s", n->parameter[p].name);
    if ((n->repeated || n->rest) && (size_t)used < size)
        snprintf(line + used, size - (size_t)used, " ...");
}

static void print_node(FILE *out, const struct node *n, const char *before, int width)
{
    char line[160];
    name_node(line, sizeof line, before, n);
    grammar_row(out, line, width, n->help);
}

static void print_option(FILE *out, const struct option *o, bool whose)
{
    char both[48], help[256];
    snprintf(both, sizeof both, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    snprintf(help, sizeof help, "%s%s%s", whose && o->of ? o->of : "", whose && o->of ? ": " : "", o->help);
    grammar_row(out, both, LEFT_OPTION, help);
}

/* Of one command: how it is typed, and the options that are its own. */
static void print_leaf(FILE *out, const struct node *leaf, const char *path)
{
    char before[GRAMMAR_PATH];
    snprintf(before, sizeof before, "%.*s", (int)(strlen(path) - strlen(leaf->word)), path);
    print_node(out, leaf, before, LEFT_OPTION);
    for (const struct option *o = options; o->name; o++)
        if (o->of && grammar_takes(path, o))
            print_option(out, o, false);
    grammar_row(out, "|", LEFT_OPTION, "match, except, count, last ...: | ? has them all");
}

/* The words that can follow; of each its own help has the rest. */
static void print_words(FILE *out, const struct node *first, const char *prefix)
{
    int width = LEFT_LEAST;
    for (const struct node *next = first; next->word; next++) {
        int len = (int)strlen(next->word);
        width = strncmp(next->word, prefix, strlen(prefix)) == 0 && len > width ? len : width;
    }
    for (const struct node *next = first; next->word; next++)
        if (strncmp(next->word, prefix, strlen(prefix)) == 0)
            grammar_row(out, next->word, width, next->help);
}

void grammar_help(FILE *out, const struct node *table, char **words, int n, const char *prefix)
{
    char path[GRAMMAR_PATH];
    const struct node *at = grammar_path(table, words, n, path);
    if (at && !at->next)
        print_leaf(out, at, path);
    else
        print_words(out, at ? at->next : table, prefix);
}

void grammar_help_all(FILE *out)
{
    for (const struct node *at = grammar; at->word; at++) {
        char before[48];
        snprintf(before, sizeof before, "%s ", at->word);
        for (const struct node *sub = at->next; sub && sub->word; sub++)
            print_node(out, sub, before, LEFT_MOST);
        if (!at->next)
            print_node(out, at, "", LEFT_MOST);
    }
    fputs("\noptions, anywhere:\n", out);
    for (const struct option *o = options; o->name; o++)
        print_option(out, o, true);
    fputs("\nbehind a bar, | :\n", out);
    pipe_help(out, "");
}
