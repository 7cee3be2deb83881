/* https_tls.h: TLS of the management API: 1.2 and 1.3, forward secrecy, no sessions kept, no renegotiation; the
 * certificate is one of the store's, and follows it when it is replaced. */
#pragma once
#include "control/control.h"

#include <openssl/ssl.h>

struct https_tls;
/* certificate: its name in the store, made self-signed for `address` and this host's name if there is none. ca: PEM
 * file of the authorities of clients' certificates, or "". NULL and one line in error. */
struct https_tls *https_tls_open(struct control *c, const char *certificate, const char *ca, const char *address,
                                 char *error, size_t size);
void https_tls_close(struct https_tls *t);
/* For a connection that comes. If what lies in the store now cannot be used, it is served what was there before. NULL:
 * out of memory. */
SSL *https_tls_new(struct https_tls *t);
/* CN, DNS and URI names of the client's certificate, which has been verified; none if it has sent none. */
void https_tls_names(const SSL *ssl, struct words *names);
