/* script.c: rows of commands: their text, their requests in RESP2 and the check of replies (redis.io, "Redis
 * serialization protocol specification"). */
#include <stdio.h>
#include <stdlib.h>

#include "script.h"
#include "workload.h"

enum {
    LINE_SHIFT = 32 - SCRIPT_LINE_BITS,
    NUMBER_MASK = (1 << LINE_SHIFT) - 1,
    ELEMENT_MASK = (1 << SCRIPT_ELEMENTS_BITS) - 1,
    KEY_STRIDE = 7919, /* sequential rows go through the keys in steps of it */
    FILE_MAX = 1 << 16,
    TEXT_MAX = 1 << 18,
    WORDS_MAX = 40
};

struct parser {
    struct script *s;
    char *text; /* where literal text goes */
    size_t room;
    const char *wrong;
};

static const struct {
    const char *name;
    int kind;
    unsigned size;
} placeholders[] = {{"key", PIECE_KEY, 16},    {"value", PIECE_VALUE, 64}, {"element", PIECE_ELEMENT, 4},
                    {"cycle", PIECE_CYCLE, 6}, {"salt", PIECE_SALT, 3},    {"int", PIECE_INT, 0},
                    {"any", PIECE_ANY, 0}};

/* -- reading */

static void add_text(struct parser *ps, struct script_text *t, const char *text, size_t n)
{
    struct script_piece *last = t->pieces ? &t->piece[t->pieces - 1] : NULL;
    if (n > ps->room || (t->pieces == SCRIPT_PIECES_MAX && (!last || last->kind != PIECE_TEXT))) {
        ps->wrong = "line too long";
        return;
    }
    memcpy(ps->text, text, n);
    if (last && last->kind == PIECE_TEXT && last->text + last->size == ps->text)
        last->size += (unsigned)n;
    else
        t->piece[t->pieces++] =
            (struct script_piece){.kind = PIECE_TEXT, .size = (unsigned)n, .text = ps->text};
    ps->text += n;
    ps->room -= n;
    t->size += (unsigned)n;
}

/* "{key+3}" at p; returns what stands behind it. */
static const char *add_placeholder(struct parser *ps, struct script_text *t, const char *p)
{
    const char *end = strchr(p, '}');
    size_t n = strcspn(p + 1, "+*}");
    for (size_t i = 0; end && i < sizeof placeholders / sizeof *placeholders; i++) {
        if (strlen(placeholders[i].name) != n || memcmp(placeholders[i].name, p + 1, n) != 0)
            continue;
        if (t->pieces == SCRIPT_PIECES_MAX)
            break;
        unsigned shift = p[1 + n] == '}' ? 0 : (unsigned)strtoul(p + 2 + n, NULL, 10);
        t->piece[t->pieces++] =
            (struct script_piece){.kind = placeholders[i].kind, .size = placeholders[i].size, .shift = shift};
        t->size += placeholders[i].size;
        return end + 1;
    }
    ps->wrong = "unknown {word}, or too many";
    return "";
}

/* One word without its end; returns its size in bytes. */
static unsigned add_word(struct parser *ps, struct script_text *t, const char *p)
{
    unsigned before = t->size;
    while (*p && !ps->wrong) {
        size_t n = strcspn(p, "{");
        if (n)
            add_text(ps, t, p, n);
        p += n;
        if (*p)
            p = add_placeholder(ps, t, p);
    }
    return t->size - before;
}

static unsigned word_size(struct parser *ps, const char *word)
{
    struct script_text t = {0};
    struct parser before = *ps;
    unsigned size = add_word(ps, &t, word);
    ps->text = before.text; /* measured only */
    ps->room = before.room;
    return size;
}

static void read_line(struct parser *ps, struct script_line *line, char **words, unsigned n)
{
    char head[32];
    unsigned arrow = 1;
    while (arrow < n && strcmp(words[arrow], "=>") != 0)
        arrow++;
    if (arrow + 1 >= n || arrow == 1) {
        ps->wrong = "no command, or no '=> reply'";
        return;
    }
    add_text(ps, &line->request, head, (size_t)sprintf(head, "*%u\r\n", arrow - 1));
    for (unsigned i = 1; i < arrow && !ps->wrong; i++) {
        add_text(ps, &line->request, head, (size_t)sprintf(head, "$%u\r\n", word_size(ps, words[i])));
        add_word(ps, &line->request, words[i]);
        add_text(ps, &line->request, "\r\n", 2);
    }
    for (unsigned i = arrow + 1; i < n && !ps->wrong; i++) {
        add_word(ps, &line->reply, words[i]);
        const struct script_text *reply = &line->reply;
        if (!ps->wrong && reply->piece[reply->pieces - 1].kind != PIECE_ANY) /* which has its own end */
            add_text(ps, &line->reply, "\r\n", 2);
    }
    if (line->request.size > SCRIPT_REQUEST_MAX)
        ps->wrong = "request too long";
}

static void read_row(struct parser *ps, char **words, unsigned n)
{
    struct script *s = ps->s;
    unsigned elements = n > 2 ? (unsigned)strtoul(words[2], NULL, 10) : 0;
    bool sequential = n == 4 && strcmp(words[3], "sequential") == 0;
    if (n < 3 || n > 4 || (n == 4 && !sequential) || elements == 0 || elements > 9999 ||
        s->rows == SCRIPT_ROWS_MAX) {
        ps->wrong = "row NAME ELEMENTS [sequential], and not too many of them";
        return;
    }
    s->row[s->rows++] = (struct script_row){.name = words[1], .elements = elements, .sequential = sequential};
}

static void read_words(struct parser *ps, char **words, unsigned n)
{
    static const char *const kinds[] = {"once", "keys", "fill", "send"};
    struct script *s = ps->s;
    if (strcmp(words[0], "row") == 0) {
        read_row(ps, words, n);
        return;
    }
    struct script_row *row = s->rows ? &s->row[s->rows - 1] : NULL;
    for (unsigned kind = 0; row && kind < 4; kind++) {
        if (strcmp(words[0], kinds[kind]) != 0)
            continue;
        if (row->lines == SCRIPT_LINES_MAX || (row->sends && kind != SCRIPT_SEND))
            break;
        if (kind == SCRIPT_SEND && row->sends++ == 0)
            row->first_send = row->lines;
        row->line[row->lines].kind = (enum script_kind)kind;
        read_line(ps, &row->line[row->lines++], words, n);
        return;
    }
    ps->wrong = "a line is row, once, keys, fill or send; send comes last";
}

static char *read_all(const char *path, const char *text)
{
    char *bytes = malloc(FILE_MAX + TEXT_MAX);
    FILE *f = path ? fopen(path, "r") : NULL;
    size_t n = 0;
    if (bytes && f)
        n = fread(bytes, 1, FILE_MAX - 1, f);
    else if (bytes && text)
        n = (size_t)snprintf(bytes, FILE_MAX, "%s", text);
    if (f)
        fclose(f);
    if (bytes)
        bytes[n < FILE_MAX ? n : 0] = 0;
    return bytes;
}

struct script *script_read(const char *path, const char *text, char *error, size_t size)
{
    struct script *s = calloc(1, sizeof *s);
    char *bytes = read_all(path, text);
    struct parser ps = {.s = s, .text = bytes ? bytes + FILE_MAX : NULL, .room = TEXT_MAX};
    unsigned number = 0;
    if (!s || !bytes)
        ps.wrong = "out of memory";
    for (char *line = bytes, *next; line && !ps.wrong; line = next) {
        char *words[WORDS_MAX], *at = NULL;
        unsigned n = 0;
        number++;
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        for (char *w = strtok_r(line, " ", &at); w && n < WORDS_MAX && *w != '#';
             w = strtok_r(NULL, " ", &at))
            words[n++] = w;
        if (n)
            read_words(&ps, words, n);
    }
    for (unsigned i = 0; s && !ps.wrong && i < s->rows; i++)
        if (s->row[i].sends == 0)
            ps.wrong = "a row that sends nothing";
    if (!ps.wrong && s->rows == 0)
        ps.wrong = "no row, or no file";
    if (s)
        s->bytes = bytes;
    if (!ps.wrong) {
        script_size(s, 1 << SCRIPT_ELEMENTS_BITS);
        return s;
    }
    snprintf(error, size, "%s:%u: %s", path ? path : "script", number, ps.wrong);
    script_free(s);
    return NULL;
}

void script_free(struct script *s)
{
    if (s)
        free(s->bytes);
    free(s);
}

bool script_chosen(const struct script_row *row, const char *only)
{
    size_t n = strlen(row->name);
    for (const char *p = only; p && *p; p += strcspn(p, " "), p += *p == ' ')
        if (strcspn(p, " ") == n && memcmp(p, row->name, n) == 0)
            return true;
    return !only;
}

void script_size(struct script *s, uint32_t elements)
{
    elements = elements < 1 << SCRIPT_ELEMENTS_BITS ? elements : 1 << SCRIPT_ELEMENTS_BITS;
    for (unsigned i = 0; i < s->rows; i++) {
        struct script_row *row = &s->row[i];
        row->keys = elements > row->elements ? elements / row->elements : 1;
        while (row->keys > 1 && row->keys % KEY_STRIDE == 0)
            row->keys--; /* so that the steps reach all of them */
    }
}

/* -- numbers */

uint32_t script_count(const struct script_row *row, const struct script_line *line)
{
    return line->kind == SCRIPT_ONCE ? 1 : line->kind == SCRIPT_KEYS ? row->keys : row->keys * row->elements;
}

uint32_t script_fill(const struct script_row *row, unsigned line, uint32_t nth)
{
    if (row->line[line].kind == SCRIPT_KEYS && !row->sequential)
        nth *= row->elements;
    return (uint32_t)line << LINE_SHIFT | (nth & NUMBER_MASK);
}

uint32_t script_next(const struct script_row *row, uint64_t nth, uint32_t random)
{
    uint32_t line = row->first_send + (uint32_t)(nth % row->sends), number;
    if (row->sequential) {
        number = (uint32_t)(nth / row->sends) & NUMBER_MASK;
    } else {
        number = (uint32_t)((uint64_t)(random * 2654435769u) * row->keys * row->elements >> 32);
        number |= (random << SCRIPT_ELEMENTS_BITS) & NUMBER_MASK;
    }
    return line << LINE_SHIFT | number;
}

struct meaning {
    uint32_t key, element, cycle, salt;
};

static struct meaning meaning_of(const struct script_row *row, uint32_t request)
{
    uint32_t n = request & NUMBER_MASK, at = n & ELEMENT_MASK;
    if (!row->sequential)
        return (struct meaning){at / row->elements, at % row->elements, 1, n >> SCRIPT_ELEMENTS_BITS};
    uint32_t key = (uint32_t)((uint64_t)(n % row->keys) * KEY_STRIDE % row->keys);
    return (struct meaning){key, 0, n / row->keys + 1, 0};
}

static void digits(uint8_t *to, unsigned size, uint32_t v)
{
    while (size--) {
        to[size] = (uint8_t)('0' + v % 10);
        v /= 10;
    }
}

static void piece_write(const struct script_row *row, const struct meaning *m, const struct script_piece *p,
                        uint8_t *to)
{
    uint8_t key[16];
    switch (p->kind) {
    case PIECE_TEXT:
        memcpy(to, p->text, p->size);
        break;
    case PIECE_KEY:
        key_text((m->key + p->shift) % row->keys, to);
        break;
    case PIECE_VALUE:
        key_text((m->key + p->shift) % row->keys, key);
        value_write(value_seed(key), to, p->size);
        break;
    case PIECE_ELEMENT:
        digits(to, p->size, (m->element + p->shift) % row->elements);
        break;
    case PIECE_CYCLE:
        digits(to, p->size, m->cycle);
        break;
    case PIECE_SALT:
        digits(to, p->size, m->salt);
        break;
    default:
        break;
    }
}

static const struct script_line *line_of(const struct script_row *row, uint32_t request)
{
    return &row->line[request >> LINE_SHIFT];
}

unsigned script_request_size(const struct script_row *row, uint32_t request)
{
    return line_of(row, request)->request.size;
}

void script_write(const struct script_row *row, uint32_t request, uint8_t *to)
{
    const struct script_text *t = &line_of(row, request)->request;
    struct meaning m = meaning_of(row, request);
    for (unsigned i = 0; i < t->pieces; to += t->piece[i++].size)
        piece_write(row, &m, &t->piece[i], to);
}

/* -- replies */

enum { MORE = 0, WRONG = -1 };

/* ":12\r\n" without its first byte and its end: a number. */
static int match_int(const uint8_t *p, size_t n)
{
    size_t i = n && *p == '-';
    while (i < n && p[i] >= '0' && p[i] <= '9')
        i++;
    return i == n ? MORE : i == 0 ? WRONG : (int)i;
}

/* The line at p: its length with its end, 0 if that is not there yet; *size is the number it begins with, -1
 * if there is none. Without calls: the replies of a row may be a hundred lines each. */
static size_t match_line(const uint8_t *p, size_t n, int64_t *size)
{
    size_t i = 1;
    int64_t v = 0;
    for (; i < n && i < 18 && (uint8_t)(p[i] - '0') <= 9; i++)
        v = v * 10 + (p[i] - '0');
    *size = i == 1 ? -1 : v;
    while (i < n && p[i] != '\n')
        i++;
    return i < n ? i + 1 : 0;
}

/* Whole RESP2 values but errors; arrays of arrays without recursion: `values` counts what is still to come.
 */
static int match_any(const uint8_t *p, size_t n, unsigned values)
{
    size_t at = 0;
    for (; values; values--) {
        if (at >= n)
            return MORE;
        uint8_t kind = p[at];
        if (kind != '$' && kind != '*' && kind != ':' && kind != '+')
            return WRONG;
        int64_t size;
        size_t line = match_line(p + at, n - at, &size);
        if (!line)
            return MORE;
        at += line;
        if (kind == '$' && size >= 0)
            at += (size_t)size + 2;
        else if (kind == '*' && size > 0)
            values += (unsigned)size;
    }
    return at > n ? MORE : (int)at;
}

int script_match(const struct script_row *row, uint32_t request, const uint8_t *p, size_t n)
{
    const struct script_text *t = &line_of(row, request)->reply;
    struct meaning m = meaning_of(row, request);
    uint8_t expected[64];
    size_t at = 0;
    for (unsigned i = 0; i < t->pieces; i++) {
        const struct script_piece *piece = &t->piece[i];
        int taken = (int)piece->size;
        if (piece->kind == PIECE_INT || piece->kind == PIECE_ANY) {
            taken = piece->kind == PIECE_INT ? match_int(p + at, n - at)
                                             : match_any(p + at, n - at, piece->shift ? piece->shift : 1);
            if (taken <= 0)
                return taken;
        } else {
            const uint8_t *right = expected;
            if (piece->kind == PIECE_TEXT)
                right = (const uint8_t *)piece->text;
            else
                piece_write(row, &m, piece, expected);
            size_t there = n - at < piece->size ? n - at : piece->size;
            if (memcmp(p + at, right, there) != 0)
                return WRONG;
            if (there < piece->size)
                return MORE;
        }
        at += (size_t)taken;
    }
    return (int)at;
}
