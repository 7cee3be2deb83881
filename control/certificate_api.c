/* certificate_api.c: what the management API offers for certificates. Keys come in and never go out. */
#include "control/certificates.h"
#include "control/log.h"
#include "control/secret_memory.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DAYS_DEFAULT = 365 };

static struct certificates *all(const struct call *call)
{
    return call_control(call)->certificates;
}

const char *certificates_name(struct call *call, const json_t *request)
{
    const char *name = request_word(request, "name");
    if (store_is_name(name))
        return name;
    call_fail(
        call, "bad-value",
        "a certificate's name has 1 to %d letters, digits, '-', '_' or '.' and begins with a letter or digit",
        STORE_NAME_MAX);
    return NULL;
}

/* -- reading ------------------------------------------------------------------------------------------ */

struct certificate *certificates_stored(const struct certificates *cs, const char *name, char *error,
                                        size_t size)
{
    const struct settings *s = commit_running(certificates_control(cs)->commit);
    char *path = *name ? store_path(certificates_folder(cs), name, STORE_PAIR)
                       : must_copy(settings_get(s, "tls-cert-file"));
    const char *key_path = *name ? path : settings_get(s, "tls-key-file");
    struct certificate *c = NULL;
    if (*name && !store_has(certificates_folder(cs), name, STORE_PAIR)) {
        snprintf(error, size, "there is no certificate %s; see `sluice certificate list`", name);
    } else if (!*path) {
        snprintf(error, size, "no certificate is in use (tls-cert-file is empty)");
    } else {
        char *text = store_read(path, error, size), *key = text ? store_read(key_path, error, size) : NULL;
        c = key ? certificate_read(text, key, *name ? NULL : settings_get(s, "tls-key-file-pass"), error,
                                   size)
                : NULL;
        secret_free(key);
        secret_free(text);
    }
    free(path);
    return c;
}

/* A renewed certificate comes without its key, which never left the box. */
static struct certificate *with_stored_key(const struct certificates *cs, const char *name, const char *pem,
                                           char *error, size_t size)
{
    for (enum store_kind kind = STORE_PAIR; kind <= STORE_REQUEST; kind++) {
        char *path = store_path(certificates_folder(cs), name, kind), why[256];
        char *text =
            store_has(certificates_folder(cs), name, kind) ? store_read(path, why, sizeof why) : NULL;
        struct certificate *c = text ? certificate_read(pem, text, NULL, why, sizeof why) : NULL;
        secret_free(text);
        free(path);
        if (c && X509_check_private_key(c->leaf, c->key) == 1)
            return c;
        certificate_free(c);
    }
    certificate_reason();
    struct certificate *c = certificate_read(pem, NULL, NULL, error, size);
    if (c)
        snprintf(error, size, "no private key was given, and none is stored as %s that fits; give its file",
                 name);
    certificate_free(c);
    return NULL;
}

struct certificate *certificates_given(const struct certificates *cs, const char *name, const json_t *request,
                                       char *error, size_t size)
{
    const char *pem = request_word(request, "certificate"), *key = request_word(request, "key"),
               *pass = request_word(request, "passphrase");
    if (!*key && strstr(pem, "PRIVATE KEY-----"))
        key = pem;
    return *key ? certificate_read(pem, key, pass, error, size) : with_stored_key(cs, name, pem, error, size);
}

/* -- judging ------------------------------------------------------------------------------------------ */

/* Only names that we know to be ours can be compared: addresses. */
static bool names_the_box(const struct certificates *cs, X509 *x)
{
    const struct settings *s = commit_running(certificates_control(cs)->commit);
    int d = directive_find("link-address");
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool named = s->value[d].n == 0, has_ip = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        named = named || sk_GENERAL_NAME_value(names, i)->type == GEN_DNS;
        has_ip = has_ip || sk_GENERAL_NAME_value(names, i)->type == GEN_IPADD;
    }
    GENERAL_NAMES_free(names);
    for (unsigned i = 0; i < s->value[d].n && !named; i++) {
        char *ip = must_copy_n(s->value[d].p[i], strcspn(s->value[d].p[i], "/"));
        named = X509_check_ip_asc(x, ip, 0) == 1;
        free(ip);
    }
    return named || !has_ip; /* without any name, that is said elsewhere */
}

void certificates_judge(const struct certificates *cs, const struct certificate *c, const char *ca,
                        bool handshake, struct findings *f)
{
    char error[256];
    certificate_check(c, ca, time(NULL), f);
    if (!names_the_box(cs, c->leaf))
        words_add(&f->warnings,
                  must_copy("the certificate names none of the box's addresses (link-address)"));
    if (handshake && c->key && f->errors.n == 0 && !certificate_handshake(c, error, sizeof error))
        words_add(&f->errors, must_copy(error));
}

static json_t *lines_json(struct words *w)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < w->n; i++)
        json_array_append_new(list, safe_string(w->p[i]));
    return list;
}

json_t *certificates_findings(struct findings *f)
{
    json_t *j = json_pack("{s:b,s:o,s:o}", "ok", f->errors.n == 0, "errors", lines_json(&f->errors),
                          "warnings", lines_json(&f->warnings));
    findings_free(f);
    return j;
}

/* -- looking ------------------------------------------------------------------------------------------ */

static void add_row(json_t *list, const struct certificates *cs, const char *name, const char *shown,
                    bool used)
{
    char error[512];
    struct certificate *c = certificates_stored(cs, name, error, sizeof error);
    json_t *row = c ? certificate_json(c, time(NULL)) : json_object();
    json_object_set_new(row, "name", safe_string(shown));
    json_object_set_new(row, "used", json_boolean(used));
    json_object_set_new(row, "request",
                        json_boolean(*name && store_has(certificates_folder(cs), name, STORE_REQUEST)));
    if (!c)
        json_object_set_new(row, "trouble", safe_string(error));
    json_array_append_new(list, row);
    certificate_free(c);
}

void certificate_list(struct call *call, const json_t *request)
{
    const struct certificates *cs = all(call);
    struct words names = {0}, requests = {0};
    json_t *list = json_array();
    const char *used = settings_get(commit_running(call_control(call)->commit), "tls-cert-file");
    bool seen = !*used;
    (void)request;
    store_names(certificates_folder(cs), STORE_PAIR, &names);
    for (unsigned i = 0; i < names.n; i++) {
        bool is = certificates_is_used(cs, names.p[i]);
        add_row(list, cs, names.p[i], names.p[i], is);
        seen = seen || is;
    }
    if (!seen)
        add_row(list, cs, "", used, true);
    store_names(certificates_folder(cs), STORE_REQUEST, &requests);
    for (unsigned i = 0; i < requests.n; i++)
        if (!store_has(certificates_folder(cs), requests.p[i], STORE_PAIR))
            json_array_append_new(list,
                                  json_pack("{s:s,s:b,s:b}", "name", requests.p[i], "used", 0, "request", 1));
    words_free(&names);
    words_free(&requests);
    call_reply(call, list);
}

void certificate_show(struct call *call, const json_t *request)
{
    const struct certificates *cs = all(call);
    const char *name = request_word(request, "name");
    struct findings f = {0};
    char error[512];
    if (*name && !certificates_name(call, request))
        return;
    struct certificate *c = certificates_stored(cs, name, error, sizeof error);
    if (!c) {
        call_fail(call, "failed", "%s", error);
        return;
    }
    json_t *j = certificate_json(c, time(NULL));
    char *pem = certificate_pem(c, false);
    json_object_set_new(j, "used", json_boolean(!*name || certificates_is_used(cs, name)));
    json_object_set_new(j, "pem", json_string(pem));
    free(pem);
    certificates_judge(cs, c, NULL, true, &f);
    json_object_set_new(j, "findings", certificates_findings(&f));
    certificate_free(c);
    call_reply(call, j);
}

/* Of what is stored, or of what the request brings. */
void certificate_verdict(struct call *call, const json_t *request)
{
    const struct certificates *cs = all(call);
    struct findings f = {0};
    char error[512];
    bool given = *request_word(request, "certificate");
    if (!given && !certificates_name(call, request))
        return;
    struct certificate *c = given
                                ? certificates_given(cs, "", request, error, sizeof error)
                                : certificates_stored(cs, request_word(request, "name"), error, sizeof error);
    if (c)
        certificates_judge(cs, c, request_word(request, "ca"), true, &f);
    else
        words_add(&f.errors, must_copy(error));
    certificate_free(c);
    call_reply(call, certificates_findings(&f));
}

void certificate_export(struct call *call, const json_t *request)
{
    const char *name = request_word(request, "name");
    bool top = json_is_true(json_object_get(request, "authority"));
    char error[512];
    if (*name && !certificates_name(call, request))
        return;
    struct certificate *c = certificates_stored(all(call), name, error, sizeof error);
    if (!c) {
        call_fail(call, "failed", "%s", error);
        return;
    }
    char *pem = certificate_pem(c, top);
    certificate_free(c);
    call_reply(call, json_pack("{s:s}", "pem", pem));
    free(pem);
}

/* -- changing ----------------------------------------------------------------------------------------- */

/* Whom it lets in as a client certificate decides about roles, which is admin's (role.c). */
bool certificates_may_change(struct call *call, const char *name)
{
    struct certificates *cs = all(call);
    const char *ca = settings_get(commit_running(certificates_control(cs)->commit), "management-ca-cert-file");
    char *path = store_path(certificates_folder(cs), name, STORE_PAIR);
    struct stat a, b;
    bool same = *ca && (strcmp(path, ca) == 0 || (stat(path, &a) == 0 && stat(ca, &b) == 0 && a.st_dev == b.st_dev &&
                                                  a.st_ino == b.st_ino));
    free(path);
    if (!same || call_role(call) == ROLE_ADMIN)
        return true;
    call_forbid(call, "management-ca-cert-file");
    return false;
}

/* What is served changes by rotation alone. */
static bool is_free(struct call *call, const char *name)
{
    if (!certificates_may_change(call, name))
        return false;
    if (certificates_is_used(all(call), name))
        call_fail(call, "refused",
                  "certificate %s is in use; see `sluice certificate rotate`, or choose another name", name);
    else if (certificates_busy(all(call)))
        call_fail(call, "busy", "certificates are being rotated; try again");
    else
        return true;
    return false;
}

/* It has been answered by a certificate for its key. */
static void drop_request(const struct certificates *cs, const char *name, const struct certificate *c)
{
    char *path = store_path(certificates_folder(cs), name, STORE_REQUEST), *pem = certificate_pem(c, false),
         error[512];
    char *text = store_has(certificates_folder(cs), name, STORE_REQUEST)
                     ? store_read(path, error, sizeof error)
                     : NULL;
    struct certificate *answered = text ? certificate_read(pem, text, NULL, error, sizeof error) : NULL;
    if (answered && EVP_PKEY_eq(answered->key, c->key) == 1 &&
        !store_delete(certificates_folder(cs), name, STORE_REQUEST, error, sizeof error))
        log_line(LOG_LEVEL_WARNING, "%s", error);
    certificate_free(answered);
    secret_free(text);
    free(pem);
    free(path);
}

bool certificates_store(struct certificates *cs, const char *name, const struct certificate *c, char *error,
                        size_t size)
{
    char *text = certificate_bundle(c);
    bool good = store_write(certificates_folder(cs), name, STORE_PAIR, text, error, size);
    secret_free(text);
    if (good) {
        drop_request(cs, name, c);
        certificates_refresh(cs);
    }
    return good;
}

/* Replies with what was stored and what is to be said about it. */
static void stored(struct call *call, const char *name, const struct certificate *c, struct findings *f)
{
    json_t *j = certificate_json(c, time(NULL));
    json_object_set_new(j, "name", json_string(name));
    json_object_set_new(j, "findings", certificates_findings(f));
    log_line(LOG_LEVEL_NOTICE, "Certificate %s is stored", name);
    call_reply(call, j);
}

static void refuse(struct call *call, struct findings *f)
{
    call_fail(call, "refused", "%s", f->errors.p[0]);
    findings_free(f);
}

void certificate_install(struct call *call, const json_t *request)
{
    struct certificates *cs = all(call);
    const char *name = certificates_name(call, request);
    struct findings f = {0};
    char error[512];
    if (!name || !is_free(call, name))
        return;
    struct certificate *c = certificates_given(cs, name, request, error, sizeof error);
    if (c)
        certificates_judge(cs, c, request_word(request, "ca"), false, &f);
    if (!c)
        call_fail(call, "refused", "%s", error);
    else if (f.errors.n)
        refuse(call, &f);
    else if (certificates_store(cs, name, c, error, sizeof error)) {
        stored(call, name, c, &f);
    } else {
        call_fail(call, "failed", "%s", error);
        findings_free(&f);
    }
    certificate_free(c);
}

/* -- making ------------------------------------------------------------------------------------------- */

/* The names that are asked for; otherwise the box's addresses. */
static void wanted_names(const struct certificates *cs, const json_t *request, struct words *san)
{
    const struct settings *s = commit_running(certificates_control(cs)->commit);
    const json_t *asked = json_object_get(request, "san"), *v;
    int d = directive_find("link-address");
    size_t i;
    json_array_foreach(asked, i, v) words_add(san, must_copy(json_is_string(v) ? json_string_value(v) : ""));
    for (unsigned a = 0; !asked && a < s->value[d].n; a++)
        words_add(san, must_copy_n(s->value[d].p[a], strcspn(s->value[d].p[a], "/")));
}

static struct certificate_wish wish_of(const json_t *request, const struct words *san, const char *name)
{
    const char *common = request_word(request, "common_name"), *key = request_word(request, "key_type");
    json_int_t days = request_number(request, "days", DAYS_DEFAULT);
    return (struct certificate_wish){.key = *key ? key : "p256",
                                     .name = *common                             ? common
                                             : san->n && strlen(san->p[0]) <= 64 ? san->p[0]
                                                                                 : name,
                                     .san = san,
                                     .days = days < 0 || days > UINT32_MAX ? 0 : (unsigned)days};
}

void certificate_make(struct call *call, const json_t *request)
{
    struct certificates *cs = all(call);
    const char *name = certificates_name(call, request);
    struct words san = {0};
    struct findings f = {0};
    char error[512];
    if (!name || !is_free(call, name))
        return;
    if (store_has(certificates_folder(cs), name, STORE_PAIR)) {
        call_fail(call, "refused", "there is a certificate %s; delete it, or choose another name", name);
        return;
    }
    wanted_names(cs, request, &san);
    struct certificate_wish wish = wish_of(request, &san, name);
    struct certificate *c = certificate_self_signed(&wish, time(NULL), error, sizeof error);
    if (c && certificates_store(cs, name, c, error, sizeof error)) {
        certificates_judge(cs, c, NULL, false, &f);
        stored(call, name, c, &f);
    } else {
        call_fail(call, "refused", "%s", error);
    }
    certificate_free(c);
    words_free(&san);
}

void certificate_csr(struct call *call, const json_t *request)
{
    struct certificates *cs = all(call);
    const char *name = certificates_name(call, request);
    struct words san = {0};
    char error[512];
    if (!name)
        return;
    if (store_has(certificates_folder(cs), name, STORE_REQUEST)) {
        call_fail(call, "refused", "a request of %s waits for its certificate; install that, or delete %s",
                  name, name);
        return;
    }
    wanted_names(cs, request, &san);
    struct certificate_wish wish = wish_of(request, &san, name);
    char *text = certificate_request(&wish, error, sizeof error),
         *pem = text ? certificate_request_pem(text) : NULL;
    if (pem && store_write(certificates_folder(cs), name, STORE_REQUEST, text, error, sizeof error)) {
        log_line(LOG_LEVEL_NOTICE, "A signing request for certificate %s is stored", name);
        call_reply(call, json_pack("{s:s,s:s}", "name", name, "pem", pem));
    } else {
        call_fail(call, "refused", "%s", error);
    }
    secret_free(text);
    free(pem);
    words_free(&san);
}

/* A request that waits goes first: the certificate that is in use stays. */
void certificate_delete(struct call *call, const json_t *request)
{
    struct certificates *cs = all(call);
    const char *name = certificates_name(call, request), *folder = certificates_folder(cs);
    char error[512];
    if (!name)
        return;
    enum store_kind kind = store_has(folder, name, STORE_REQUEST) ? STORE_REQUEST : STORE_PAIR;
    if (!store_has(folder, name, kind)) {
        call_fail(call, "failed", "there is no certificate %s; see `sluice certificate list`", name);
    } else if (kind == STORE_REQUEST || is_free(call, name)) {
        if (!store_delete(folder, name, kind, error, sizeof error)) {
            call_fail(call, "failed", "%s", error);
            return;
        }
        certificates_refresh(cs);
        log_line(LOG_LEVEL_NOTICE, "%s %s is deleted", kind == STORE_PAIR ? "Certificate" : "The request of",
                 name);
        call_reply(call, json_pack("{s:s}", "deleted", kind == STORE_PAIR ? "certificate" : "request"));
    }
}
