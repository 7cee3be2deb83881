/* certificate_rotate.c: another certificate for the data port, key and certificate as one unit:
 *
 *     judge, handshake with ourselves -> the store's file replaced -> a generation of configuration
 *         -> accepted: served
 *         -> refused: the file is put back as it was
 *
 * The file holds key and certificate together, and is replaced by a rename: whenever control or the machine
 * ends, what is there is the old pair or the new one. A control that starts again sends what it finds. */
#include "control/certificates.h"
#include "control/log.h"
#include "control/secret_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rotation {
    struct call *call;
    struct certificates *all;
    char *name, *before;  /* the file's old text; NULL: there was none */
    bool replaced, known; /* the configuration names this file already */
    json_t *reply;
};

static void end(struct rotation *r)
{
    certificates_set_busy(r->all, false);
    free(r->name);
    secret_free(r->before);
    json_decref(r->reply);
    free(r);
}

static void put_back(struct rotation *r)
{
    char error[512];
    const char *folder = certificates_folder(r->all);
    bool good =
        !r->replaced || (r->before ? store_write(folder, r->name, STORE_PAIR, r->before, error, sizeof error)
                                   : store_delete(folder, r->name, STORE_PAIR, error, sizeof error));
    if (!good)
        log_line(LOG_LEVEL_WARNING, "Certificate %s cannot be put back: %s", r->name, error);
    certificates_refresh(r->all);
}

static void committed(void *ctx, const char *error)
{
    struct rotation *r = ctx;
    struct control *c = certificates_control(r->all);
    if (error) {
        put_back(r);
        log_line(LOG_LEVEL_WARNING, "Certificate %s is not served: %s", r->name, error);
        call_fail(r->call, "refused", "%s", strncmp(error, "ERR ", 4) == 0 ? error + 4 : error);
    } else {
        certificates_refresh(r->all);
        log_line(LOG_LEVEL_NOTICE, "Certificate %s is served from generation %llu on", r->name,
                 (unsigned long long)commit_generation(c->commit));
        json_object_set_new(r->reply, "generation", json_integer((json_int_t)commit_generation(c->commit)));
        json_object_set_new(r->reply, "kept", json_boolean(r->known));
        call_reply(r->call, json_incref(r->reply));
    }
    end(r);
}

/* What there is to be served: of the request, or of the store. NULL: the call has failed. */
static struct certificate *candidate(struct call *call, struct certificates *all, const char *name,
                                     const json_t *request, struct findings *f)
{
    char error[512];
    bool given = *request_word(request, "certificate");
    struct certificate *c = given ? certificates_given(all, name, request, error, sizeof error)
                                  : certificates_stored(all, name, error, sizeof error);
    if (c)
        certificates_judge(all, c, request_word(request, "ca"), true, f);
    if (c && f->errors.n == 0)
        return c;
    call_fail(call, "refused", "%s", c ? f->errors.p[0] : error);
    certificate_free(c);
    findings_free(f);
    return NULL;
}

static void commit_pair(struct rotation *r)
{
    char *path = store_path(certificates_folder(r->all), r->name, STORE_PAIR);
    const struct change change[] = {
        {"tls-cert-file", path}, {"tls-key-file", path}, {"tls-key-file-pass", ""}};
    r->known = certificates_is_used(r->all, r->name);
    commit_set(certificates_control(r->all)->commit, change, sizeof change / sizeof *change, false,
               "certificate rotate", committed, r);
    free(path);
}

void certificate_rotate(struct call *call, const json_t *request)
{
    struct certificates *all = call_control(call)->certificates;
    const char *name = certificates_name(call, request);
    struct findings f = {0};
    char error[512];
    if (!name)
        return;
    if (*request_word(request, "certificate") && !certificates_may_change(call, name))
        return;
    if (certificates_busy(all)) {
        call_fail(call, "busy", "certificates are being rotated; try again");
        return;
    }
    struct certificate *c = candidate(call, all, name, request, &f);
    if (!c)
        return;
    struct rotation *r = must_alloc(1, sizeof *r);
    *r = (struct rotation){
        .call = call, .all = all, .name = must_copy(name), .reply = certificate_json(c, time(NULL))};
    json_object_set_new(r->reply, "name", json_string(name));
    json_object_set_new(r->reply, "findings", certificates_findings(&f));
    certificates_set_busy(all, true);
    bool good = true;
    if (*request_word(request, "certificate")) {
        char *path = store_path(certificates_folder(all), name, STORE_PAIR);
        if (store_has(certificates_folder(all), name, STORE_PAIR))
            good = (r->before = store_read(path, error, sizeof error)) != NULL;
        good = good && certificates_store(all, name, c, error, sizeof error);
        r->replaced = good;
        free(path);
    }
    certificate_free(c);
    if (good) {
        commit_pair(r);
    } else {
        call_fail(call, "failed", "%s", error);
        end(r);
    }
}
