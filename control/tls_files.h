/* tls_files.h: what the files that tls-* directives name hold, checked, as PEM text for the dataplane: it
 * reads no file. Certificate and key are read and change as one unit. */
#pragma once
#include "control/settings.h"

enum tls_text {
    TLS_CERTIFICATE, /* with its chain, leaf first */
    TLS_KEY,         /* without a pass phrase any more */
    TLS_AUTHORITIES, /* that sign clients' certificates */
    TLS_DH,          /* parameters */
    TLS_TEXTS
};

struct tls_files {
    struct words part[TLS_TEXTS]; /* a long text in parts that fit a message; none = there is none */
};

/* Is there anything for which these files are needed? */
bool tls_wanted(const struct settings *s);
/* Reads and checks them all: the pair fits, nothing is garbled, passwords open keys. NULL and one line in
 * error (never the text of a key). */
struct tls_files *tls_files_read(const struct settings *s, char *error, size_t size);
/* Wipes what is secret. NULL: no effect. */
void tls_files_free(struct tls_files *f);
/* Calls fn for the pairs that bring them to the dataplane (CONFIG_SECRET in dataplane/base/config.h). */
void tls_files_each(const struct tls_files *f, void (*fn)(const char *name, const char *value, void *arg),
                    void *arg);
