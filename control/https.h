/* https.h: the management API over HTTPS on the management address (management-bind, management-port):
 *
 *     GET  /v1/show/status                     an operation that only reads; its parameters are the query
 *     POST /v1/config/set   {"set":{...}}      any operation; JSON in, JSON out, as on the socket
 *     GET  /v1/snapshot/export                 the snapshot that the box loads at its start, as a file
 *     PUT  /v1/snapshot/upload?mode=replace    a snapshot file, loaded when it is here
 *     GET  /v1/openapi.json                    all of it, for programs
 *     GET  /v1/session, Upgrade: sluice        the socket's protocol from here on (api.c), for `sluice --host`
 *
 * Who asks shows a client certificate or a token ("Authorization: Bearer"); a role follows from either. */
#pragma once
#include "control/api.h"

/* One line in error and NULL; with management-port 0 it listens nowhere. */
struct https *https_open(struct control *c, char *error, size_t size);
void https_close(struct https *h);
/* The token is no longer valid: who uses it is cut off. */
void https_revoke(struct https *h, const char *id);
void https_metrics(struct text *out, const struct https *h);
