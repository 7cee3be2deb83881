/* record.h: records of TLS 1.3 (RFC 8446 section 5) under keys that OpenSSL's handshake has agreed on: one
 * direction of one connection. No wire, no connection: bytes in, bytes out. */
#pragma once
#include "tls/aead.h"

enum {
    RECORD_HEAD = 5,
    RECORD_TAG = AEAD_TAG,
    RECORD_EXTRA = RECORD_HEAD + 1 + RECORD_TAG, /* around what is sealed: head, inner type, tag */
    RECORD_PLAIN = 1 << 14,                      /* section 5.1: at most */
    RECORD_BODY = RECORD_PLAIN + 256,            /* section 5.2: what may follow a head */
    RECORD_SECRET = 48,                          /* of SHA-384 */
    RECORD_IV = AEAD_NONCE
};
enum record_type { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };
enum record_alert { /* section 6; never 0, which closes */
                    ALERT_UNEXPECTED_MESSAGE = 10,
                    ALERT_BAD_RECORD_MAC = 20,
                    ALERT_RECORD_OVERFLOW = 22,
                    ALERT_ILLEGAL_PARAMETER = 47,
                    ALERT_INTERNAL_ERROR = 80,
                    ALERT_USER_CANCELED = 90
};

struct record_suite;
struct record_way {
    struct aead aead; /* the key, if there is one */
    const struct record_suite *suite;
    uint64_t number; /* of the next record under this key */
    uint8_t iv[RECORD_IV], secret[RECORD_SECRET];
};

/* Once in the process. False without memory, or if a library lacks what it needs. */
bool record_start(void);
/* By number of the suite (RFC 8446 appendix B.4). NULL: none that we know, or that this CPU is made for. */
const struct record_suite *record_suite(uint16_t id);
/* Bytes of its secrets. */
size_t record_secret_len(const struct record_suite *suite);

/* A key from w->secret; w->number is left as it is. False without memory: there is no key then. */
bool record_key(struct record_way *w, const struct record_suite *suite);
/* The next generation of secret and key (section 7.2); numbers begin again. */
bool record_renew(struct record_way *w);
/* Forgets everything. Nothing to forget: no effect. */
void record_wipe(struct record_way *w);

/* Seals n <= RECORD_PLAIN bytes into n + RECORD_EXTRA bytes at out, which is elsewhere. */
bool record_seal(struct record_way *w, enum record_type type, const uint8_t *p, size_t n, uint8_t *out);
/* May a body of this head follow? 0, or the alert; *len: of the body. */
unsigned record_head(const uint8_t head[RECORD_HEAD], size_t *len);
/* Opens a body of record_head()'s length into `to`, which has room for len - RECORD_TAG bytes and may be the
 * body itself; *n are what it says, without type and padding. 0, or the alert that it is worth: then `to`
 * holds nothing that may be looked at. */
unsigned record_open(struct record_way *w, const uint8_t head[RECORD_HEAD], const uint8_t *body, size_t len,
                     uint8_t *to, size_t *n, uint8_t *type);
