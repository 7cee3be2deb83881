/* certificates.h: the certificates of a running control: those in its store, the one that the data port is
 * configured with, when they end. */
#pragma once
#include "control/certificate.h"
#include "control/certificate_store.h"
#include "control/show.h"

struct certificates;

/* NULL and one line in error if the folder in state_dir cannot be used. */
struct certificates *certificates_open(struct control *c, const char *state_dir, char *error, size_t size);
void certificates_close(struct certificates *cs);

struct control *certificates_control(const struct certificates *cs);
const char *certificates_folder(const struct certificates *cs);
/* The pair that the configuration names is NAME of the store. */
bool certificates_is_used(const struct certificates *cs, const char *name);
/* Something has changed on disk or in the configuration: look again. Otherwise that happens once an hour. */
void certificates_refresh(struct certificates *cs);

/* -- certificate_watch.c -- */

/* A line for each certificate in use that has expired or soon will; a line of the log when it begins, then
 * daily. */
json_t *certificates_alarms(const struct certificates *cs);
/* Gauges of when each one ends. */
void certificates_metrics(struct text *out, const struct certificates *cs);

/* -- certificate_api.c, certificate_rotate.c -- */

operation certificate_list, certificate_show, certificate_verdict, certificate_install, certificate_rotate,
    certificate_make, certificate_csr, certificate_delete, certificate_export;

/* What installing and rotating share: the pair of the request, with a key that is stored if none is given.
 * NULL and one line. */
struct certificate *certificates_given(const struct certificates *cs, const char *name, const json_t *request,
                                       char *error, size_t size);
/* NAME of the store, or with "" the one in use. NULL and one line. */
struct certificate *certificates_stored(const struct certificates *cs, const char *name, char *error,
                                        size_t size);
/* Everything that can be said before it is served. */
void certificates_judge(const struct certificates *cs, const struct certificate *c, const char *ca,
                        bool handshake, struct findings *f);
/* {"ok","errors","warnings"}; ends the findings. */
json_t *certificates_findings(struct findings *f);
/* The name in the request if it can be one; otherwise the call has failed and it is NULL. */
const char *certificates_name(struct call *call, const json_t *request);
/* The caller's role may put another certificate in this one's place; false: the call has failed. */
bool certificates_may_change(struct call *call, const char *name);
/* Writes the pair, and lets go of a request that it answers. False and one line. */
bool certificates_store(struct certificates *cs, const char *name, const struct certificate *c, char *error,
                        size_t size);
/* Rotations are one at a time. */
bool certificates_busy(const struct certificates *cs);
void certificates_set_busy(struct certificates *cs, bool busy);
