/* script.h: rows of commands to be measured, as text: what fills the keyspace, what is sent, and what has to
 * come back. As in workload.h a request is a number, and its bytes and its reply are functions of it.
 *
 *     row HGET 20                                              name, elements a key, perhaps `sequential`
 *     once FLUSHALL => +OK                                     one request
 *     fill HSET h:{key} f:{element} v:{element} => :1          one for each element of each key
 *     send HGET h:{key} f:{element} => $6 v:{element}          measured; several lines take turns
 *
 * Words are separated by spaces; a reply's words end with CRLF each. `keys` instead of `fill`: one for each
 * key. {key} is 16 hexadecimal digits, {value} 64 bytes that belong to the key, {element} four digits, {salt}
 * three random ones; {key+1}, {value+1} and {element+1} are those of the next key or element. In replies
 * {int} is any number and {any} any reply but an error, {any*10} ten of them. A sequential row takes its keys
 * in turn, and {cycle} is how often a key has had its turn, with six digits. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCRIPT_ROWS_MAX = 64,
    SCRIPT_LINES_MAX = 8, /* of a row */
    SCRIPT_PIECES_MAX = 64,
    SCRIPT_ELEMENTS_BITS = 20,
    SCRIPT_LINE_BITS = 3,
    SCRIPT_REQUEST_MAX = 4096
};

enum script_kind { SCRIPT_ONCE, SCRIPT_KEYS, SCRIPT_FILL, SCRIPT_SEND };

struct script_piece {
    enum {
        PIECE_TEXT,
        PIECE_KEY,
        PIECE_VALUE,
        PIECE_ELEMENT,
        PIECE_CYCLE,
        PIECE_SALT,
        PIECE_INT,
        PIECE_ANY
    } kind;
    unsigned size;  /* bytes; in replies 0 = as many as there are */
    unsigned shift; /* of {key+N}; how many of {any*N} */
    const char *text;
};

struct script_text {
    unsigned pieces, size; /* size: in bytes, of requests only */
    struct script_piece piece[SCRIPT_PIECES_MAX];
};

struct script_line {
    enum script_kind kind;
    struct script_text request, reply;
};

struct script_row {
    const char *name;
    unsigned elements, lines, sends, first_send;
    bool sequential;
    uint32_t keys; /* set by script_size */
    struct script_line line[SCRIPT_LINES_MAX];
};

struct script {
    char *bytes; /* the file, and the literal text made of it */
    unsigned rows;
    struct script_row row[SCRIPT_ROWS_MAX];
};

/* Reads a file, or text if path is NULL. NULL and one line in error if it cannot be read or understood. */
struct script *script_read(const char *path, const char *text, char *error, size_t size);
void script_free(struct script *s);
/* Is the row's name one of those in only, which are separated by blanks? NULL = all are. */
bool script_chosen(const struct script_row *row, const char *only);
/* From now on every row has about so many elements (at most 2^20) in all its keys. */
void script_size(struct script *s, uint32_t elements);

/* How many of all connections take part, so that with any pipeline as many requests are under way as with
 * none: more than the link's queue holds would measure how TCP repairs losses. */
static inline unsigned script_connections(unsigned all, unsigned pipeline)
{
    return all > pipeline ? all / pipeline : 1;
}

/* How many requests a line of the filling kinds stands for. */
uint32_t script_count(const struct script_row *row, const struct script_line *line);
/* The number of the nth request of a line of the filling kinds. */
uint32_t script_fill(const struct script_row *row, unsigned line, uint32_t nth);
/* The number of the nth request that is measured; random: 32 bits. */
uint32_t script_next(const struct script_row *row, uint64_t nth, uint32_t random);

unsigned script_request_size(const struct script_row *row, uint32_t request);
/* Writes the request's bytes (script_request_size of them). */
void script_write(const struct script_row *row, uint32_t request, uint8_t *to);
/* Bytes that the right reply takes at p; 0: more than n are needed; -1: it is not the right one. */
int script_match(const struct script_row *row, uint32_t request, const uint8_t *p, size_t n);
