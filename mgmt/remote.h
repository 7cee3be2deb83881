/* remote.h: a box's management API over HTTPS (`sluice --host`), as if its socket were here. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct remote {
    const char *host;        /* HOST, HOST:PORT or [ADDRESS]:PORT */
    const char *token_file;  /* or NULL */
    const char *certificate; /* PEM file with certificate and key, or NULL */
    const char *ca;          /* PEM file of who must have signed the box's, or NULL: the system's authorities */
};
/* What connections from here on use; the texts must stay. */
void remote_use(const struct remote *r);
bool remote_is_used(void);

/* A descriptor that speaks the socket's protocol: a process of our own carries it through TLS, and ends with it. -1:
 * *code is the exit code, and a line is on stderr. */
int remote_connect(int *code);

/* A snapshot file to the box, from a descriptor of `size` bytes; mode "" for its default. Exit code; with EXIT_DONE
 * *data is the caller's. */
int remote_upload(int from, long long size, const char *mode, json_t **data);
/* The box's snapshot into a descriptor. Exit code. */
int remote_export(int to);
