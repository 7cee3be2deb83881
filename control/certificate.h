/* certificate.h: a server's X.509 certificate with its chain and private key, as PEM texts have them (RFC
 * 5280, RFC 7468): read within bounds, judged, tried in a handshake with ourselves, described, made. Knows no
 * files.
 *
 * Texts with a private key are on the heap and end with secret_free (secret_memory.h); OpenSSL wipes its own.
 */
#pragma once
#include "control/text.h"

#include <jansson.h>
#include <openssl/x509.h>
#include <time.h>

enum {
    CERTIFICATE_TEXT_MAX = 256 << 10, /* bytes of a PEM text */
    CERTIFICATE_CHAIN_MAX = 10,       /* certificates behind the server's own */
    CERTIFICATE_SAN_MAX = 100,
    CERTIFICATE_DAYS_MAX = 3650,
};

struct certificate {
    X509 *leaf;             /* the server's own: the first of the text */
    STACK_OF(X509) * chain; /* what follows it, in the order of the text; may be empty */
    EVP_PKEY *key;          /* NULL: read without one */
};

/* key: PEM text that holds the private key (it may be the same text), NULL for none; pass: what it is
 * encrypted with, or NULL. Other things between the PEM blocks are passed over. NULL and one line in error.
 */
struct certificate *certificate_read(const char *pem, const char *key, const char *pass, char *error,
                                     size_t size);
void certificate_free(struct certificate *c);

/* -- judging -- */

struct findings {
    struct words errors;   /* it must not be served */
    struct words warnings; /* it can be, but somebody will be sorry */
};
void findings_free(struct findings *f);

/* Pair, dates at `now`, names, strength, purpose, chain. ca: PEM text of authorities that must have issued
 * it, or NULL. One line each: what; remedy. A certificate that is not valid yet is a warning: it may be
 * stored, but its handshake fails. */
void certificate_check(const struct certificate *c, const char *ca, time_t now, struct findings *f);
/* A server with this pair and a client that trusts the top of its chain talk in memory, TLS 1.2 and 1.3:
 * keys, dates and names as a client sees them. False and one line. */
bool certificate_handshake(const struct certificate *c, char *error, size_t size);

/* -- texts -- */

/* Subject, issuer, dates (Unix time and RFC 3339), names, key, fingerprint, chain. */
json_t *certificate_json(const struct certificate *c, time_t now);
time_t certificate_ends(const struct certificate *c); /* notAfter, of the first in the chain that ends */
/* Private key and certificates in one text, so that they can only change together. */
char *certificate_bundle(const struct certificate *c);
/* Certificates alone; with `top` only the last one, which clients are to trust. */
char *certificate_pem(const struct certificate *c, bool top);

/* -- making (certificate_make.c) -- */

struct certificate_wish {
    const char *key;         /* p256, p384, rsa2048, rsa3072 */
    const char *name;        /* common name */
    const struct words *san; /* DNS names, IP addresses, URIs */
    unsigned days;
};
extern const char certificate_keys[]; /* the kinds of key, for messages */

/* NULL and one line in error. */
struct certificate *certificate_self_signed(const struct certificate_wish *w, time_t now, char *error,
                                            size_t size);
/* A new private key and a signing request (RFC 2986) for it, in one text. NULL and one line in error. */
char *certificate_request(const struct certificate_wish *w, char *error, size_t size);
/* The request alone out of that text; NULL if there is none. Heap. */
char *certificate_request_pem(const char *text);

/* What OpenSSL says last went wrong, as a few words; forgets it. */
const char *certificate_reason(void);
