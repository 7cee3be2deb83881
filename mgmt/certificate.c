/* certificate.c: `sluice certificate`: files are read here, so that control needs no right to an operator's
 * folders. */
#include "mgmt/operations.h"
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 256 << 10 };

/* -- requests ----------------------------------------------------------------------------------------- */

/* The text of a file into the request. False and a line on stderr. */
static bool put_file(json_t *request, const char *key, const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = calloc(1, FILE_MAX + 2);
    size_t len = 0;
    const char *why = NULL;
    if (f)
        setvbuf(f, NULL, _IONBF, 0); /* no second copy of a key */
    if (!f || !text || ((len = fread(text, 1, FILE_MAX + 1, f)) == 0 && ferror(f)))
        why = strerror(f && text ? EIO : errno);
    else if (len == 0)
        why = "it is empty";
    else if (len > FILE_MAX)
        why = "it is too long for a certificate or key";
    else if (json_object_set_new(request, key, json_stringn(text, len)) <
             0) /* UTF-8 is what the API speaks */
        why = "it is not a text; give it as PEM";
    if (why)
        fprintf(stderr, "sluice: %s: %s\n", path, why);
    if (f)
        fclose(f);
    if (text)
        explicit_bzero(text, len);
    free(text);
    return !why;
}

/* The first line of it. */
static bool put_passphrase(json_t *request, const char *path)
{
    if (!put_file(request, "passphrase", path))
        return false;
    const char *text = text_of(request, "passphrase");
    json_object_set_new(request, "passphrase", json_stringn(text, strcspn(text, "\r\n")));
    return true;
}

/* What the files given on the command line and the options say. NULL: that was said on stderr. */
static json_t *request_with(const struct invocation *in, const char *name, const char *certificate,
                            const char *key)
{
    json_t *request = request_for(in);
    if (name)
        json_object_set_new(request, "name", json_string(name));
    if ((!certificate || put_file(request, "certificate", certificate)) &&
        (!key || put_file(request, "key", key)) && (!in->ca || put_file(request, "ca", in->ca)) &&
        (!in->passphrase || put_passphrase(request, in->passphrase)))
        return request;
    json_decref(request);
    return NULL;
}

static const char *parameter(const struct invocation *in, int i)
{
    return i < in->argc ? in->argv[i] : NULL;
}

/* -- printing ----------------------------------------------------------------------------------------- */

static void print_lines(FILE *out, const char *head, const json_t *lines)
{
    size_t i;
    const json_t *line;
    json_array_foreach(lines, i, line) print_field(out, head, line);
}

static void print_findings(FILE *out, const json_t *findings)
{
    print_lines(out, "error", json_object_get(findings, "errors"));
    print_lines(out, "warning", json_object_get(findings, "warnings"));
}

/* What `show` and the changes print. */
static void print_certificate(FILE *out, const json_t *j)
{
    static const char *const fields[][2] = {
        {"subject", "subject"}, {"issuer", "issuer"},       {"names", "names"}, {"valid from", "not_before"},
        {"until", "not_after"}, {"days left", "days_left"}, {"key", "key"},     {"signature", "signature"},
        {"serial", "serial"},   {"SHA-256", "sha256"},      {"chain", "chain"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        print_field(out, fields[i][0], json_object_get(j, fields[i][1]));
    print_findings(out, json_object_get(j, "findings"));
}

static int print_pem(struct invocation *in, json_t *request)
{
    json_t *j;
    int code = ask(in, request, &j);
    if (j)
        fputs(text_of(j, "pem"), in->out);
    json_decref(j);
    return code;
}

/* -- the commands ------------------------------------------------------------------------------------- */

int run_certificate_list(struct invocation *in)
{
    static const struct column columns[] = {{"name", "name"},
                                            {"in use", "in use"},
                                            {"subject", "subject"},
                                            {"until", "not_after"},
                                            {"days left", "days_left", COLUMN_NUMBER},
                                            {"names", "shown names"},
                                            {"remark", "trouble"},
                                            {0}};
    json_t *j, *row;
    size_t i;
    int code = ask(in, request_for(in), &j);
    json_array_foreach(j, i, row)
    {
        const json_t *names = json_object_get(row, "names");
        json_object_set_new(row, "in use",
                            json_string(json_is_true(json_object_get(row, "used")) ? "yes" : "no"));
        if (json_array_size(names))
            json_object_set_new(row, "shown names",
                                json_sprintf(json_array_size(names) > 1 ? "%s, ..." : "%s",
                                             json_string_value(json_array_get(names, 0))));
        if (json_is_true(json_object_get(row, "request")))
            json_object_set_new(row, "trouble", json_string("a request waits for its certificate"));
    }
    if (j)
        print_table(in->out, columns, j);
    json_decref(j);
    return code;
}

int run_certificate_show(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    if (in->argc)
        json_object_set_new(request, "name", json_string(in->argv[0]));
    int code = ask(in, request, &j);
    if (j) {
        print_field(in->out, "in use", json_object_get(j, "used"));
        print_certificate(in->out, j);
    }
    json_decref(j);
    return code;
}

/* One word is a stored certificate, two are files. */
int run_certificate_check(struct invocation *in)
{
    json_t *j, *request = in->argc > 1 ? request_with(in, NULL, in->argv[0], in->argv[1])
                                       : request_with(in, in->argv[0], NULL, NULL);
    if (!request)
        return EXIT_FAILED;
    int code = api_request(in->socket, request, &j);
    if (code != EXIT_DONE)
        return code;
    bool good = json_is_true(json_object_get(j, "ok"));
    if (in->json) {
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
    } else {
        print_findings(in->out, j);
        fputs(good ? "it can be served\n" : "it must not be served\n", in->out);
    }
    json_decref(j);
    return good ? EXIT_DONE : EXIT_FAILED;
}

int run_certificate_install(struct invocation *in)
{
    json_t *j, *request = request_with(in, in->argv[0], in->argv[1], parameter(in, 2));
    if (!request)
        return EXIT_FAILED;
    int code = ask(in, request, &j);
    if (j) {
        print_certificate(in->out, j);
        fprintf(in->out, "stored; `sluice certificate rotate %s` serves it\n", text_of(j, "name"));
    }
    json_decref(j);
    return code;
}

int run_certificate_rotate(struct invocation *in)
{
    json_t *j, *request = request_with(in, in->argv[0], parameter(in, 1), parameter(in, 2));
    if (!request)
        return EXIT_FAILED;
    int code = ask(in, request, &j);
    if (j) {
        print_certificate(in->out, j);
        fprintf(in->out, "generation %" JSON_INTEGER_FORMAT " serves %s\n", number_of(j, "generation"),
                text_of(j, "name"));
        if (!json_is_true(json_object_get(j, "kept")))
            fputs("until control starts again: `sluice config rewrite` keeps it\n", in->out);
    }
    json_decref(j);
    return code;
}

/* "a,b" of --san as an array; without the option, control takes the box's addresses. */
static void put_names(json_t *request, const char *san)
{
    json_t *list = json_array();
    for (const char *p = san; *p; p += strspn(p, ", ")) {
        size_t len = strcspn(p, ", ");
        json_array_append_new(list, json_stringn(p, len));
        p += len;
    }
    json_object_set_new(request, "san", list);
}

static json_t *wish(const struct invocation *in)
{
    json_t *request = request_for(in);
    json_object_set_new(request, "name", json_string(in->argv[0]));
    if (in->san)
        put_names(request, in->san);
    if (in->subject)
        json_object_set_new(request, "common_name", json_string(in->subject));
    if (in->key_type)
        json_object_set_new(request, "key_type", json_string(in->key_type));
    if (!in->days || put_option(request, "days", "--days", in->days))
        return request;
    json_decref(request);
    return NULL;
}

int run_certificate_make(struct invocation *in)
{
    json_t *j, *request = wish(in);
    if (!request)
        return EXIT_USAGE;
    int code = ask(in, request, &j);
    if (j) {
        print_certificate(in->out, j);
        fprintf(in->out,
                "stored; `sluice certificate rotate %s` serves it, `sluice certificate export %s` is what "
                "clients trust\n",
                text_of(j, "name"), text_of(j, "name"));
    }
    json_decref(j);
    return code;
}

int run_certificate_csr(struct invocation *in)
{
    json_t *request = wish(in);
    return request ? print_pem(in, request) : EXIT_USAGE;
}

int run_certificate_delete(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    json_object_set_new(request, "name", json_string(in->argv[0]));
    int code = ask(in, request, &j);
    if (j)
        fprintf(in->out, "the %s is deleted\n", text_of(j, "deleted"));
    json_decref(j);
    return code;
}

int run_certificate_export(struct invocation *in)
{
    json_t *request = request_for(in);
    if (in->argc)
        json_object_set_new(request, "name", json_string(in->argv[0]));
    if (in->authority)
        json_object_set_new(request, "authority", json_true());
    return print_pem(in, request);
}
