/* fuzz_api.c: what a stranger may send to the management API. The first byte says how the rest is meant: 0: a head of
 * HTTP and, behind it, a body, as far as the operation that is asked for and its parameters; 1: a `management-role`
 * line; 2: a token; 3: the same head, cut at every byte. What is refused has a status and a line; what is taken names an
 * operation by words that can stand in a path. */
#include "control/api.h"
#include "control/http.h"
#include "control/role.h"
#include "control/token.h"
#include "fuzz.h"

static void judge(const struct http_head *h)
{
    const char *why = NULL;
    const struct operation_row *row = operation_find(h->op, h->what);
    MUST(strlen(h->op) > 0 && strlen(h->op) < HTTP_WORD_MAX && strlen(h->what) < HTTP_WORD_MAX, "words of the path");
    MUST(strspn(h->op, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(h->op), "a path with other bytes");
    MUST(h->queries <= HTTP_QUERY_MAX, "too many parameters");
    json_t *request = http_request(h, NULL, row ? row->takes : "name #limit ?authority [san {set", &why);
    MUST(request || why, "refused without a line");
    if (request)
        MUST(strcmp(json_string_value(json_object_get(request, "op")), h->op) == 0 &&
                 strcmp(json_string_value(json_object_get(request, "what")), h->what) == 0,
             "the query has changed the operation");
    json_decref(request);
}

static void head(const uint8_t *data, size_t size)
{
    struct http_head h;
    const char *why = NULL;
    size_t len = http_head_length((const char *)data, size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX);
    if (!len)
        return;
    char *text = malloc(len + 1);
    memcpy(text, data, len);
    text[len] = 0;
    int status = http_read(text, len, &h, &why);
    MUST(status == 0 || (status >= 400 && status < 600 && why && *why), "refused without a status and a line");
    MUST(status == 0 || strcmp(http_reason(status), "Unknown") != 0, "a status without a name");
    if (status == 0)
        judge(&h);
    free(text);
}

static void role(const char *text)
{
    struct role_rule rule;
    const char *error = NULL;
    struct words w = {(char *[]){(char *)(uintptr_t)text}, 1};
    struct text out = {0}, again = {0};
    if (!role_rule_parse(text, &rule, &error)) {
        MUST(error, "refused without a line");
        return;
    }
    MUST(rule.role > ROLE_NONE && rule.role < ROLES && *rule.name, "no role, or nobody's");
    MUST(check_management_role(&w, NULL, &out, &error), "the directive refuses what the parser takes");
    struct words second = {(char *[]){out.p}, 1};
    MUST(check_management_role(&second, NULL, &again, &error) && strcmp(out.p, again.p) == 0, "it does not read back");
    text_free(&out);
    text_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *text = must_copy_n((const char *)data + 1, size - 1), id[9], hash[65];
    if (data[0] % 4 == 0)
        head(data + 1, size - 1);
    else if (data[0] % 4 == 1)
        role(text);
    else if (data[0] % 4 == 2)
        MUST(!token_parse(text, id, hash) || (strlen(id) == 8 && strlen(hash) == 64), "a token without its parts");
    else
        for (size_t cut = 0; cut < size && cut < 600; cut++)
            head(data + 1, cut);
    free(text);
    return 0;
}
