/* http.c: see http.h. */
#include "control/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

size_t http_head_length(const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    return end ? (size_t)(end - bytes) + 4 : 0;
}

static const struct {
    int status;
    const char *reason;
} reasons[] = {{100, "Continue"},
               {101, "Switching Protocols"},
               {200, "OK"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {408, "Request Timeout"},
               {409, "Conflict"},
               {411, "Length Required"},
               {413, "Content Too Large"},
               {415, "Unsupported Media Type"},
               {422, "Unprocessable Content"},
               {426, "Upgrade Required"},
               {429, "Too Many Requests"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {502, "Bad Gateway"},
               {503, "Service Unavailable"},
               {505, "HTTP Version Not Supported"},
               {507, "Insufficient Storage"}};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

int http_status_of(const char *code)
{
    static const struct {
        const char *code;
        int status;
    } codes[] = {{"bad-request", 400}, {"bad-value", 400},    {"unknown-operation", 404}, {"unknown-name", 404},
                 {"not-found", 404},   {"forbidden", 403},    {"busy", 409},              {"refused", 409},
                 {"exists", 409},      {"no-dataplane", 503}, {"dataplane", 502},         {"load-failed", 422}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].status;
    return 500;
}

/* -- the first line ----------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %XX and '+', in place. A zero byte is none of a text. */
static bool decode(char *s)
{
    char *to = s;
    for (; *s; s++) {
        int high, low;
        if (*s != '%') {
            *to++ = *s == '+' ? ' ' : *s;
            continue;
        }
        if ((high = digit_of(s[1])) < 0 || (low = digit_of(s[2])) < 0 || high + low == 0)
            return false;
        *to++ = (char)(high << 4 | low);
        s += 2;
    }
    *to = 0;
    return true;
}

static bool read_query(char *s, struct http_head *h)
{
    for (char *next; s; s = next) {
        next = strchr(s, '&');
        if (next)
            *next++ = 0;
        if (!*s)
            continue;
        char *value = strchr(s, '=');
        if (value)
            *value++ = 0;
        if (h->queries == HTTP_QUERY_MAX || !decode(s) || (value && !decode(value)))
            return false;
        h->query[h->queries++] = (struct http_pair){s, value ? value : ""};
    }
    return true;
}

/* A segment of the path into `into`; returns what follows it, or NULL. */
static const char *take_word(const char *s, char into[HTTP_WORD_MAX])
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    if (n == 0 || n >= HTTP_WORD_MAX || *s < 'a') /* a word, not ".." */
        return NULL;
    memcpy(into, s, n);
    into[n] = 0;
    return s + n;
}

static int read_target(char *target, struct http_head *h, const char **why)
{
    char *query = strchr(target, '?');
    const char *rest;
    if (query)
        *query++ = 0;
    *why = "paths are /v1/OPERATION or /v1/OPERATION/WHAT; see /v1/openapi.json";
    if (strncmp(target, "/v1/", 4) != 0 || !(rest = take_word(target + 4, h->op)))
        return 404;
    if (*rest == '/')
        rest = take_word(rest + 1, h->what);
    if (!rest || *rest)
        return 404;
    *why = "the query cannot be read";
    return read_query(query, h) ? 0 : 400;
}

static int read_method(const char *word, struct http_head *h, const char **why)
{
    *why = "methods are GET, POST and PUT";
    if (strcmp(word, "GET") == 0)
        h->method = HTTP_GET;
    else if (strcmp(word, "POST") == 0 || strcmp(word, "PUT") == 0)
        h->method = HTTP_POST;
    else
        return 405;
    return 0;
}

static int read_first(char *line, struct http_head *h, const char **why, bool *old)
{
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    *why = "the request line cannot be read";
    for (const char *p = line; *p; p++)
        if (*p < ' ' || *p > '~')
            return 400;
    if (!version || strchr(version + 1, ' '))
        return 400;
    *target++ = *version++ = 0;
    *old = strcmp(version, "HTTP/1.0") == 0;
    *why = "HTTP/1.1 is spoken here";
    if (!*old && strcmp(version, "HTTP/1.1") != 0)
        return strncmp(version, "HTTP/", 5) == 0 ? 505 : 400;
    h->keep = !*old;
    int status = read_method(line, h, why);
    return status ? status : read_target(target, h, why);
}

/* -- fields ------------------------------------------------------------------------------------------- */

/* Is the word among those of a list "a, b"? */
static bool lists(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *s = list; *s;) {
        s += strspn(s, ", \t");
        size_t len = strcspn(s, ",");
        size_t bare = len;
        while (bare && (s[bare - 1] == ' ' || s[bare - 1] == '\t'))
            bare--;
        if (bare == n && strncasecmp(s, word, n) == 0)
            return true;
        s += len;
    }
    return false;
}

struct fields {
    struct http_head *h;
    const char **why;
    bool host, length, upgrade, sluice, keeps, closes;
};

static int take_length(struct fields *f, const char *value)
{
    size_t n = strspn(value, "0123456789");
    *f->why = "one Content-Length is possible, a number";
    if (f->length || n == 0 || n > 18 || value[n])
        return 400;
    f->length = true;
    f->h->length = strtoull(value, NULL, 10);
    return 0;
}

static int take_host(struct fields *f, const char *value)
{
    (void)value;
    *f->why = "one Host is possible";
    if (f->host)
        return 400;
    f->host = true;
    return 0;
}

static int take_coding(struct fields *f, const char *value)
{
    (void)value;
    *f->why = "send a Content-Length; transfer codings are not taken";
    return 411;
}

static int take_authorization(struct fields *f, const char *value)
{
    *f->why = "one Authorization is possible";
    if (f->h->authorized)
        return 400;
    f->h->authorized = true;
    if (strncasecmp(value, "Bearer ", 7) == 0)
        f->h->token = value + 7 + strspn(value + 7, " ");
    return 0;
}

static int take_connection(struct fields *f, const char *value)
{
    f->closes = f->closes || lists(value, "close");
    f->keeps = f->keeps || lists(value, "keep-alive");
    f->upgrade = f->upgrade || lists(value, "upgrade");
    return 0;
}

static int take_upgrade(struct fields *f, const char *value)
{
    f->sluice = f->sluice || lists(value, "sluice");
    return 0;
}

static int take_expect(struct fields *f, const char *value)
{
    f->h->expects = strcasecmp(value, "100-continue") == 0;
    return 0;
}

static int take_type(struct fields *f, const char *value)
{
    size_t n = strcspn(value, "; \t");
    f->h->json = n == 16 && strncasecmp(value, "application/json", n) == 0;
    return 0;
}

/* A page of some other site asks through a browser, which may hold a certificate of an operator. */
static int take_origin(struct fields *f, const char *value)
{
    (void)value;
    *f->why = "pages of browsers are not served";
    return 403;
}

static int take_field(struct fields *f, const char *name, const char *value)
{
    static const struct {
        const char *name;
        int (*take)(struct fields *f, const char *value);
    } known[] = {{"content-length", take_length},       {"host", take_host},
                 {"transfer-encoding", take_coding},    {"authorization", take_authorization},
                 {"connection", take_connection},       {"upgrade", take_upgrade},
                 {"expect", take_expect},               {"content-type", take_type},
                 {"origin", take_origin}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(known[i].name, name) == 0)
            return known[i].take(f, value);
    return 0;
}

static int read_field(struct fields *f, char *line)
{
    size_t n = strcspn(line, ":");
    *f->why = "a header field cannot be read";
    if (n == 0 || !line[n])
        return 400;
    for (size_t i = 0; i < n; i++) /* field-name: token; a blank here has another meaning to every parser */
        if (line[i] <= ' ' || line[i] > '~' || strchr("\"(),/;<=>?@[\\]{}", line[i]))
            return 400;
    line[n] = 0;
    char *value = line + n + 1 + strspn(line + n + 1, " \t");
    size_t len = strlen(value);
    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        value[--len] = 0;
    for (const char *p = value; *p; p++)
        if ((*p > 0 && *p < ' ' && *p != '\t') || *p == 127)
            return 400;
    return take_field(f, line, value);
}

int http_read(char *text, size_t len, struct http_head *h, const char **why)
{
    struct fields f = {.h = h, .why = why};
    unsigned n = 0;
    int status = 0;
    bool old = false;
    *h = (struct http_head){0};
    *why = "a zero byte in the head";
    if (strlen(text) != len)
        return 400;
    for (char *line = text, *next; *line; line = next, n++) {
        char *end = strstr(line, "\r\n");
        if (!end)
            break;
        *end = 0;
        next = end + 2;
        *why = "lines end with CR and LF";
        if (strchr(line, '\n') || strchr(line, '\r'))
            return 400;
        if (!*line)
            break;
        if (n > HTTP_FIELDS_MAX) {
            *why = "too many header fields";
            return 431;
        }
        status = n == 0 ? read_first(line, h, why, &old) : read_field(&f, line);
        if (status)
            return status;
    }
    *why = n ? "a request names its host" : "there is no request";
    if (n == 0 || (!f.host && !old))
        return 400;
    h->keep = !f.closes && (h->keep || f.keeps);
    h->upgrades = f.upgrade && f.sluice && !old;
    return 0;
}

/* -- as an operation takes it ------------------------------------------------------------------------- */

/* The kind of a parameter in a row's `takes`: '#', '?', '{', '[', or 'a' for a string; 0: it is not taken. */
static char kind_of(const char *takes, const char *name)
{
    size_t len = strlen(name);
    for (const char *s = takes ? takes : ""; *s;) {
        s += strspn(s, " ");
        size_t n = strcspn(s, " ");
        char kind = strchr("#?{[", *s) && *s ? *s : 'a';
        size_t skip = kind != 'a';
        if (n == len + skip && strncmp(s + skip, name, len) == 0)
            return kind;
        s += n;
    }
    return 0;
}

static json_t *value_of(char kind, const char *text)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (kind == 'a')
        return json_string(text);
    if (kind == '#')
        return *text && !*end && !errno && (*text == '-' || digit_of(*text) >= 0) ? json_integer(number) : NULL;
    if (kind == '?')
        return !*text || strcmp(text, "true") == 0 ? json_true() : strcmp(text, "false") == 0 ? json_false() : NULL;
    return NULL;
}

json_t *http_request(const struct http_head *h, json_t *body, const char *takes, const char **why)
{
    json_t *request = body ? json_incref(body) : json_object();
    *why = "a parameter of the query is not one of this operation, or of another type; see /v1/openapi.json";
    for (unsigned i = 0; i < h->queries; i++) {
        char kind = kind_of(takes, h->query[i].name);
        json_t *value = kind ? value_of(kind, h->query[i].value) : NULL;
        if (!value || json_object_set_new(request, h->query[i].name, value) < 0) {
            json_decref(request);
            return NULL;
        }
    }
    json_object_set_new(request, "op", json_string(h->op));
    json_object_set_new(request, "what", json_string(h->what));
    return request;
}
