/* history.c: histories in memory and on paper; commands in RESP (history.h). */
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool history_add(struct history *h, const struct linear_op *op)
{
    if (h->n == h->cap) {
        unsigned cap = h->cap ? 2 * h->cap : 64;
        struct linear_op *grown = realloc(h->op, cap * sizeof *grown);
        if (!grown)
            return false;
        h->op = grown;
        h->cap = cap;
    }
    h->op[h->n++] = *op;
    return true;
}

static int by_call(const void *a, const void *b)
{
    const struct linear_op *x = a, *y = b;
    return x->call < y->call ? -1 : x->call > y->call;
}

void history_sort(struct history *h)
{
    qsort(h->op, h->n, sizeof *h->op, by_call); /* no two have the same */
}

void history_free(struct history *h)
{
    for (unsigned i = 0; i < h->n; i++)
        free(h->op[i].reply);
    free(h->op);
    *h = (struct history){0};
}

/* A word of a command as it is sent; numbers go to `digits`. */
static const char *word_of(const struct linear_command *c, const char *word, char *digits, size_t size)
{
    unsigned i = (unsigned)(word[0] ? word[1] - '0' : LINEAR_ARGS);
    if (i >= LINEAR_ARGS || word[2])
        return word;
    if (*word == 'K')
        return linear_key[c->key[i]];
    if (*word == 'V')
        snprintf(digits, size, "%d", c->value[i]);
    else if (*word == 'T')
        snprintf(digits, size, "%d.%03d", c->value[i] / 1000, c->value[i] % 1000);
    else
        return word;
    return digits;
}

size_t linear_write(const struct linear_command *c, char *to, size_t size)
{
    const char *const *words = linear_verbs[c->verb].words;
    unsigned n = 0;
    while (words[n])
        n++;
    size_t len = (size_t)snprintf(to, size, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++) {
        char digits[24];
        const char *word = word_of(c, words[i], digits, sizeof digits);
        len += (size_t)snprintf(to + len, size - len, "$%zu\r\n%s\r\n", strlen(word), word);
    }
    return len;
}

uint8_t linear_keys(const struct linear_command *c)
{
    const struct linear_verb *verb = &linear_verbs[c->verb];
    uint8_t set = verb->flags & VERB_WHOLE ? 0xff : 0;
    for (unsigned i = 0; i < verb->keys; i++)
        set |= (uint8_t)(1u << c->key[i]);
    return set;
}

static void apply_one(struct linear_state *s, const struct linear_command *c, struct linear_reply *out)
{
    linear_verbs[c->verb].apply(s, c, out);
}

static void forget_watched(struct linear_state *s, unsigned client)
{
    s->watched[client] = 0;
    s->dirty &= ~(1ull << client);
}

void linear_apply(struct linear_state *s, const struct linear_op *op, struct linear_reply *out)
{
    out->len = 0;
    out->op = op;
    if (!op->multi) {
        apply_one(s, &op->command[0], out);
        if (linear_verbs[op->command[0].verb].flags & VERB_WATCH)
            s->watched[op->client] |= linear_keys(&op->command[0]);
        return;
    }
    static const char ok[] = "+OK\r\n", queued[] = "+QUEUED\r\n", nothing[] = "*-1\r\n";
    memcpy(out->text, ok, sizeof ok - 1);
    out->len = sizeof ok - 1;
    for (unsigned i = 0; i < op->commands; i++, out->len += sizeof queued - 1)
        memcpy(out->text + out->len, queued, sizeof queued - 1);
    bool stale = s->dirty >> op->client & 1;
    forget_watched(s, op->client);
    if (stale) {
        memcpy(out->text + out->len, nothing, sizeof nothing - 1);
        out->len += sizeof nothing - 1;
        return;
    }
    out->len += (size_t)sprintf(out->text + out->len, "*%u\r\n", op->commands);
    for (unsigned i = 0; i < op->commands; i++)
        apply_one(s, &op->command[i], out);
}

/* The end of the line that begins at p, behind its CRLF; NULL: it is not there yet. */
static const char *line_end(const char *p, const char *end)
{
    const char *lf = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    return lf ? lf + 1 : NULL;
}

size_t linear_reply_size(const char *p, size_t len)
{
    const char *end = p + len, *at = p;
    for (long left = 1; left > 0; left--) {
        const char *next = line_end(at, end);
        if (!next)
            return 0;
        long n = *at == '$' || *at == '*' ? atol(at + 1) : 0;
        if (*at == '$' && n >= 0)
            next += n + 2;
        if (*at == '*' && n > 0)
            left += n;
        if (next > end)
            return 0;
        at = next;
    }
    return (size_t)(at - p);
}

static void print_text(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] == '\n')
            putchar(' ');
        else if (p[i] != '\r')
            putchar(p[i]);
}

static void print_command(const struct linear_command *c)
{
    const struct linear_verb *verb = &linear_verbs[c->verb];
    printf(" %s", verb->name);
    for (unsigned i = 0; i < LINEAR_ARGS; i++) {
        if (i < verb->keys)
            printf(" %s", linear_key[c->key[i]]);
        if (i < verb->values)
            printf(" %d", c->value[i]);
    }
}

void history_print(const struct history *h)
{
    for (unsigned i = 0; i < h->n; i++) {
        const struct linear_op *op = &h->op[i];
        printf("# %6llu - ", (unsigned long long)op->call);
        if (op->end == UINT64_MAX)
            printf("     ?");
        else
            printf("%6llu", (unsigned long long)op->end);
        printf("  client %2u: %s", op->client, op->multi ? "MULTI" : "");
        for (unsigned k = 0; k < op->commands; k++) {
            printf("%s", k ? ";" : "");
            print_command(&op->command[k]);
        }
        printf("  =>  ");
        print_text(op->reply ? op->reply : "?", op->reply ? op->reply_len : 1);
        printf("\n");
    }
}
