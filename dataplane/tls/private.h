/* private.h: what the files of this folder share. */
#pragma once
#include "tls/tickets.h"
#include "tls/tls.h"

#include <openssl/ssl.h>

SSL_CTX *context_ssl(const struct tls_context *c);
/* Of the connection's context; NULL = it makes none. */
struct tickets *context_tickets(const SSL *ssl);
/* Once in the process. */
bool connection_start(void);
