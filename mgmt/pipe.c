/* pipe.c: see pipe.h. The pager is our own: one that runs other programs would be a way out of the CLI. */
#include "mgmt/pipe.h"
#include "mgmt/grammar.h"
#include "mgmt/words.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

const struct pipe_word pipe_words[] = {
    {"match", "TEXT", "only lines that hold TEXT, whatever the case", PIPE_MATCH},
    {"except", "TEXT", "only lines that do not hold TEXT", PIPE_EXCEPT},
    {"count", NULL, "how many lines", PIPE_COUNT},
    {"first", "[N]", "the first N lines (10)", PIPE_FIRST},
    {"last", "[N]", "the last N lines (10)", PIPE_LAST},
    {"json", NULL, "as JSON", PIPE_JSON},
    {"no-more", NULL, "do not stop at the end of a page", PIPE_NO_MORE},
    {"compare", "[N]", "show, show configuration: what differs from the running one, or from revision N",
     PIPE_COMPARE},
    {0}};

enum { LAST_MAX = 100000 };

static const struct pipe_word *word_of(const char *text)
{
    const struct pipe_word *found = NULL;
    for (const struct pipe_word *w = pipe_words; w->word; w++) {
        if (strcmp(w->word, text) == 0)
            return w;
        if (*text && strncmp(w->word, text, strlen(text)) == 0) {
            if (found)
                return NULL; /* ambiguous */
            found = w;
        }
    }
    return found;
}

static bool number(const char *text, unsigned long *n)
{
    char *end;
    *n = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0;
}

static void add_stage(struct pipeline *p, int at, struct pipe_stage stage)
{
    memmove(&p->stage[at + 1], &p->stage[at], (size_t)(p->n - at) * sizeof *p->stage);
    p->stage[at] = stage;
    p->n++;
}

void pipe_match(struct pipeline *p, const char *text)
{
    if (p->n < PIPE_STAGES)
        add_stage(p, 0, (struct pipe_stage){.kind = PIPE_MATCH, .text = text});
}

/* One of them, at words[*i]. */
static bool take(struct pipeline *p, char **words, int n, int *i, char *error, size_t size)
{
    const struct pipe_word *w = word_of(words[*i]);
    const char *value = *i + 1 < n && strcmp(words[*i + 1], "|") != 0 ? words[*i + 1] : NULL;
    struct pipe_stage stage = {.n = 10};
    if (!w) {
        snprintf(error, size, "'%.60s' cannot stand behind a bar; try | ?", words[*i]);
        return false;
    }
    if (!value && w->value && *w->value != '[') {
        snprintf(error, size, "| %s: %s is missing", w->word, w->value);
        return false;
    }
    if (value && w->value && *w->value == '[' && (!number(value, &stage.n) || stage.n > LAST_MAX)) {
        snprintf(error, size, "| %s: '%.40s' is not a number up to %d", w->word, value, LAST_MAX);
        return false;
    }
    stage.kind = w->kind;
    stage.text = value;
    *i += value && w->value;
    if (w->kind == PIPE_JSON)
        p->json = true;
    else if (w->kind == PIPE_NO_MORE)
        p->no_more = true;
    else if (w->kind == PIPE_COMPARE)
        p->compare = value ? value : "";
    else
        add_stage(p, p->n, stage);
    return true;
}

bool pipe_parse(struct pipeline *p, char **words, int n, char *error, size_t size)
{
    for (int i = 0; i < n; i++) {
        if (p->n >= PIPE_STAGES - 1) {
            snprintf(error, size, "too many bars");
            return false;
        }
        if (!take(p, words, n, &i, error, size))
            return false;
        if (i + 1 < n && strcmp(words[i + 1], "|") != 0) {
            snprintf(error, size, "'%.60s' is one word too many; another | comes first", words[i + 1]);
            return false;
        }
        if (i + 1 < n && ++i + 1 == n) {
            snprintf(error, size, "something must follow the bar; try | ?");
            return false;
        }
    }
    return true;
}

/* -- the end ------------------------------------------------------------------------------------------ */

/* The key that somebody presses. */
static int key(void)
{
    struct termios old, raw;
    char c = 'q';
    if (tcgetattr(0, &old) < 0)
        return 'q';
    raw = old;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(0, TCSADRAIN, &raw);
    if (read(0, &c, 1) != 1)
        c = 'q';
    tcsetattr(0, TCSADRAIN, &old);
    return c;
}

static void measure(struct pipeline *p)
{
    struct winsize w;
    if (ioctl(1, TIOCGWINSZ, &w) < 0 || w.ws_row <= 3)
        return;
    p->rows = (unsigned)w.ws_row - 1;
    p->columns = w.ws_col;
}

/* The window may have another size since the last page. */
static void page_full(struct pipeline *p)
{
    const char *said = "--more-- (space: a page, enter: a line, q: no more)";
    int len = (int)strlen(said) < (int)p->columns ? (int)strlen(said) : 8;
    printf("%.*s", len, said);
    fflush(stdout);
    int c = key();
    printf("\r%*s\r", len, "");
    measure(p);
    p->quit = c == 'q' || c == 'Q' || c == 3 || c == 4;
    p->row = c == '\r' || c == '\n' ? p->rows - 1 : 0;
}

static void put(struct pipeline *p, const char *line)
{
    int wide = p->rows ? text_columns(line) : 0;
    unsigned rows = 1 + (p->columns && wide > 0 ? (unsigned)(wide - 1) / p->columns : 0);
    if (p->rows && !p->quit && p->row && p->row + rows > p->rows)
        page_full(p);
    if (p->quit)
        return;
    p->row += rows;
    fputs(line, stdout);
    fputc('\n', stdout);
}

/* Line through the stages from `at` on. */
static void pass(struct pipeline *p, int at, const char *line)
{
    for (; at < p->n; at++) {
        struct pipe_stage *s = &p->stage[at];
        bool holds = s->text && strcasestr(line, s->text);
        if ((s->kind == PIPE_MATCH && !holds) || (s->kind == PIPE_EXCEPT && holds) ||
            (s->kind == PIPE_FIRST && s->seen >= s->n))
            return;
        s->seen++;
        if (s->kind == PIPE_LAST && s->n) {
            if (!s->kept && !(s->kept = calloc(s->n, sizeof *s->kept)))
                return;
            char **place = &s->kept[(s->seen - 1) % s->n];
            free(*place);
            *place = strdup(line);
        }
        if (s->kind == PIPE_COUNT || s->kind == PIPE_LAST)
            return;
    }
    put(p, line);
}

/* What stages have held back. */
static void finish(struct pipeline *p)
{
    for (int at = 0; at < p->n; at++) {
        struct pipe_stage *s = &p->stage[at];
        char count[24];
        if (s->kind == PIPE_COUNT) {
            snprintf(count, sizeof count, "%lu", s->seen);
            pass(p, at + 1, count);
        }
        for (unsigned long i = s->seen > s->n ? s->seen - s->n : 0; s->kept && i < s->seen; i++) {
            if (s->kept[i % s->n])
                pass(p, at + 1, s->kept[i % s->n]);
            free(s->kept[i % s->n]);
        }
        free(s->kept);
        s->kept = NULL;
    }
}

static ssize_t on_write(void *cookie, const char *bytes, size_t len)
{
    struct pipeline *p = cookie;
    if (p->len + len + 1 > p->room) {
        size_t room = 2 * (p->len + len + 1);
        char *more = realloc(p->line, room);
        if (!more)
            return 0;
        p->line = more;
        p->room = room;
    }
    memcpy(p->line + p->len, bytes, len);
    p->len += len;
    p->line[p->len] = 0;
    char *line = p->line, *end;
    while ((end = memchr(line, '\n', p->len - (size_t)(line - p->line)))) {
        *end = 0;
        pass(p, 0, line);
        line = end + 1;
    }
    p->len -= (size_t)(line - p->line);
    memmove(p->line, line, p->len + 1);
    fflush(stdout);
    return (ssize_t)len;
}

static int on_close(void *cookie)
{
    struct pipeline *p = cookie;
    if (p->len)
        pass(p, 0, p->line);
    finish(p);
    free(p->line);
    p->line = NULL;
    p->len = p->room = 0;
    return fflush(stdout);
}

FILE *pipe_open(struct pipeline *p, bool live)
{
    const cookie_io_functions_t io = {.write = on_write, .close = on_close};
    if (p->paged && !live && !p->no_more && isatty(0) && isatty(1))
        measure(p);
    FILE *f = fopencookie(p, "w", io);
    if (f && live)
        setvbuf(f, NULL, _IOLBF, 4096);
    return f;
}

/* -- completion, help --------------------------------------------------------------------------------- */

const char *pipe_complete(const char *prefix, unsigned i)
{
    for (const struct pipe_word *w = pipe_words; w->word; w++)
        if (strncmp(w->word, prefix, strlen(prefix)) == 0 && i-- == 0)
            return w->word;
    return NULL;
}

void pipe_help(FILE *out, const char *prefix)
{
    for (const struct pipe_word *w = pipe_words; w->word; w++)
        if (strncmp(w->word, prefix, strlen(prefix)) == 0) {
            char both[40];
            snprintf(both, sizeof both, "%s%s%s", w->word, w->value ? " " : "", w->value ? w->value : "");
            grammar_row(out, both, 16, w->help);
        }
}
