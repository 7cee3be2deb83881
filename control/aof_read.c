/* aof_read.c: see aof_read.h. Memory: a window, and a piece. */
#include "control/aof_read.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOW = 256 * 1024, ARGUMENTS_MOST = 1 << 28 };
#define BULK_MOST (9ull << 30) /* a value that is restored may be larger than what a client may send */

struct input {
    int file;
    uint64_t base, end; /* place of window[0]; of the end of what is read */
    size_t at, len;
    bool failed; /* it cannot be read */
    uint8_t *window;
};

static uint64_t place(const struct input *in)
{
    return in->base + in->at;
}

/* At least one byte in the window; false at the end. */
static bool more(struct input *in)
{
    if (in->at < in->len)
        return true;
    in->base += in->len;
    in->at = in->len = 0;
    uint64_t left = in->end > in->base ? in->end - in->base : 0;
    if (!left)
        return false;
    ssize_t n = pread(in->file, in->window, left < WINDOW ? (size_t)left : WINDOW, (off_t)in->base);
    in->failed |= n < 0;
    in->len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

enum found { FOUND, FOUND_END, FOUND_BAD }; /* END: the file is over before it is whole */

static enum found read_byte(struct input *in, uint8_t *c)
{
    if (!more(in))
        return FOUND_END;
    *c = in->window[in->at++];
    return FOUND;
}

static enum found read_crlf(struct input *in)
{
    uint8_t c;
    for (unsigned i = 0; i < 2; i++) {
        enum found found = read_byte(in, &c);
        if (found != FOUND)
            return found;
        if (c != "\r\n"[i])
            return FOUND_BAD;
    }
    return FOUND;
}

/* The rest of "*3\r\n" behind its first byte. */
static enum found read_number(struct input *in, uint64_t most, uint64_t *v)
{
    uint8_t c;
    *v = 0;
    for (unsigned digits = 0;; digits++) {
        enum found found = read_byte(in, &c);
        if (found != FOUND)
            return found;
        if (c == '\r' && digits) {
            in->at--;
            return read_crlf(in);
        }
        if (c < '0' || c > '9' || digits > 18)
            return FOUND_BAD;
        *v = *v * 10 + (uint64_t)(c - '0');
        if (*v > most)
            return FOUND_BAD;
    }
}

static enum found skip(struct input *in, uint64_t n)
{
    while (n) {
        if (!more(in))
            return FOUND_END;
        size_t step = in->len - in->at;
        if (step > n)
            step = (size_t)n;
        in->at += step;
        n -= step;
    }
    return FOUND;
}

static enum found skip_line(struct input *in)
{
    uint8_t c;
    do {
        enum found found = read_byte(in, &c);
        if (found != FOUND)
            return found;
    } while (c != '\n');
    return FOUND;
}

enum what { AN_ANNOTATION, A_COMMAND, A_MULTI, AN_EXEC };

/* An argument; its first bytes to word, if that is not NULL. */
static enum found read_argument(struct input *in, char word[6])
{
    uint8_t c;
    uint64_t len;
    enum found found = read_byte(in, &c);
    if (found == FOUND)
        found = c == '$' ? read_number(in, BULK_MOST, &len) : FOUND_BAD;
    if (found != FOUND)
        return found;
    for (unsigned i = 0; word && len <= 5 && i < len; i++) {
        if ((found = read_byte(in, (uint8_t *)&word[i])) != FOUND)
            return found;
        word[i + 1] = 0;
    }
    if (!word || len > 5)
        found = skip(in, len);
    return found == FOUND ? read_crlf(in) : found;
}

static enum found read_one(struct input *in, enum what *what)
{
    char word[6] = "";
    uint8_t c;
    uint64_t argc;
    enum found found = read_byte(in, &c);
    *what = AN_ANNOTATION;
    if (found == FOUND && c == '#')
        return skip_line(in);
    *what = A_COMMAND;
    if (found == FOUND)
        found = c == '*' ? read_number(in, ARGUMENTS_MOST, &argc) : FOUND_BAD;
    if (found == FOUND && argc == 0)
        return FOUND_BAD;
    for (uint64_t i = 0; found == FOUND && i < argc; i++)
        found = read_argument(in, i == 0 ? word : NULL);
    if (found == FOUND && argc == 1)
        *what = strcasecmp(word, "multi") == 0 ? A_MULTI : strcasecmp(word, "exec") == 0 ? AN_EXEC : A_COMMAND;
    return found;
}

static bool open_input(struct input *in, int file, uint64_t from, uint64_t end)
{
    *in = (struct input){.file = file, .base = from, .end = end, .window = malloc(WINDOW)};
    return in->window;
}

bool aof_check(int file, uint64_t from, struct aof_check *check)
{
    struct input in;
    struct stat st;
    enum found found = FOUND;
    enum what what;
    bool open = false;
    *check = (struct aof_check){.good = from, .why = "it cannot be read"};
    if (fstat(file, &st) < 0 || !open_input(&in, file, from, (uint64_t)st.st_size))
        return false;
    check->size = (uint64_t)st.st_size;
    while (found == FOUND && place(&in) < check->size) {
        found = read_one(&in, &what);
        if (found != FOUND)
            break;
        if ((what == A_MULTI && open) || (what == AN_EXEC && !open)) {
            found = FOUND_BAD;
            break;
        }
        open = what == A_MULTI || (open && what != AN_EXEC);
        check->commands += what != AN_ANNOTATION;
        if (!open)
            check->good = place(&in);
    }
    free(in.window);
    if (in.failed)
        return false;
    check->truncated = found == FOUND_END || (found == FOUND && open);
    check->why = found == FOUND_BAD ? "there is no command, but something else," : "the end of a command, or of a transaction, is missing";
    return found == FOUND && !open;
}

/* -- pieces -- */

struct pieces {
    aof_commands *fn;
    void *ctx;
    int file;
    uint64_t from, to; /* of the file: what is to be given next */
    uint8_t *piece;
};

/* Gives what has been gathered, which ends with a command. */
static bool give(struct pieces *p)
{
    while (p->from < p->to) {
        uint64_t left = p->to - p->from;
        size_t n = left < AOF_PIECE ? (size_t)left : AOF_PIECE;
        if (pread(p->file, p->piece, n, (off_t)p->from) != (ssize_t)n)
            return false;
        p->from += n;
        p->fn(p->ctx, p->from, p->piece, n, p->from == p->to);
    }
    return true;
}

bool aof_read(int file, uint64_t from, uint64_t good, aof_commands *fn, void *ctx)
{
    struct input in = {.window = NULL};
    struct pieces p = {.fn = fn, .ctx = ctx, .file = file, .from = from, .to = from, .piece = malloc(AOF_PIECE)};
    enum what what;
    bool ok = p.piece && open_input(&in, file, from, good);
    for (uint64_t at; ok && (at = place(&in)) < good;) {
        ok = read_one(&in, &what) == FOUND;
        if (!ok)
            break;
        if (what == A_COMMAND && place(&in) - p.from <= AOF_PIECE && at == p.to) {
            p.to = place(&in); /* one piece with those before it */
            continue;
        }
        ok = give(&p);
        p.from = what == A_COMMAND ? at : place(&in);
        p.to = place(&in);
    }
    ok = ok && give(&p);
    free(in.window);
    free(p.piece);
    return ok;
}
