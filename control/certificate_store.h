/* certificate_store.h: certificates on disk: state-dir/certificates, which control alone can read.
 *
 *     NAME.pem       private key, certificate, chain in one file: replaced as a whole, so that key and
 * certificate are of the same time whenever control or the machine ends NAME.request   a private key and the
 * signing request for it, until its certificate comes
 */
#pragma once
#include "control/text.h"

enum { STORE_NAME_MAX = 64, STORE_ENTRIES_MAX = 100 };

enum store_kind { STORE_PAIR, STORE_REQUEST };

/* Makes the folder, mode 0700, and takes away what a write that was cut short has left. False and one line.
 */
bool store_open(const char *folder, char *error, size_t size);
/* Letters, digits, '-', '_' and '.', the first one a letter or digit. */
bool store_is_name(const char *name);
char *store_path(const char *folder, const char *name, enum store_kind kind);
/* In the order of their names. */
void store_names(const char *folder, enum store_kind kind, struct words *names);
bool store_has(const char *folder, const char *name, enum store_kind kind);
/* The whole text, for secret_free; NULL and one line in error. */
char *store_read(const char *path, char *error, size_t size);
/* New or instead of what was there, durably and at once; mode 0600. False and one line. */
bool store_write(const char *folder, const char *name, enum store_kind kind, const char *text, char *error,
                 size_t size);
bool store_delete(const char *folder, const char *name, enum store_kind kind, char *error, size_t size);
