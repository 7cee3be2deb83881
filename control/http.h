/* http.h: the head of a request of the management API over HTTPS, read within bounds (RFC 9112, RFC 9110, of which a
 * part is enough). Knows no connection.
 *
 * Refused, because nobody who means well sends it and parsers disagree about it: bare LF, folded lines, blanks before
 * a colon, two lengths, two hosts, a transfer coding, bytes that are no visible ASCII in names and targets. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX = 16384, HTTP_FIELDS_MAX = 64, HTTP_QUERY_MAX = 32, HTTP_WORD_MAX = 32 };

struct http_pair {
    const char *name, *value;
};
struct http_head {
    enum { HTTP_GET, HTTP_POST } method;      /* PUT is read as POST */
    char op[HTTP_WORD_MAX], what[HTTP_WORD_MAX]; /* of /v1/OP/WHAT; what may be "" */
    struct http_pair query[HTTP_QUERY_MAX];   /* decoded; into the text */
    unsigned queries;
    uint64_t length;                          /* of the body */
    const char *token;                        /* of "Authorization: Bearer"; NULL */
    bool authorized;                          /* there is an Authorization, of whatever kind */
    bool keep;                                /* the connection goes on */
    bool expects;                             /* Expect: 100-continue */
    bool upgrades;                            /* Connection: Upgrade and Upgrade: sluice */
    bool json;                                /* Content-Type: application/json */
};

/* Bytes of the head at the beginning of these, with the empty line; 0: it is not whole yet. */
size_t http_head_length(const char *bytes, size_t len);
/* Reads one, of len bytes, in place (text[len] is 0); h points into it. 0, or the status it is refused with and one
 * line in *why. */
int http_read(char *text, size_t len, struct http_head *h, const char **why);
const char *http_reason(int status);
/* The status for the code of a failed operation (call_fail). */
int http_status_of(const char *code);

/* A request as operations take it: "op" and "what" of the path, and of the query what the row `takes` (api.h), in its
 * type. body: NULL, or a JSON object that the rest is put into. NULL and one line in *why. A new reference. */
json_t *http_request(const struct http_head *h, json_t *body, const char *takes, const char **why);
