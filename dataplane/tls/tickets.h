/* tickets.h: keys for session tickets (RFC 5077, RFC 8446 section 4.6.1), the same on all workers without a
 * word between them: each goes from one key to the next by the wall clock. A key that is gone cannot be
 * computed from those that follow. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { TICKET_SECRET = 32 };

struct ticket_key {
    uint8_t name[16], cipher[32], mac[32];
};

struct tickets {
    uint8_t secret[TICKET_SECRET]; /* of `epoch` */
    uint64_t epoch, start_ms, period_ms;
    struct ticket_key now, before; /* tickets of both are taken, with the first one they are made */
    uint64_t now_ms;               /* as the last handshake has said */
};

void tickets_init(struct tickets *t, const uint8_t secret[TICKET_SECRET], uint64_t now_ms,
                  uint64_t period_ms);
/* Follows the clock. A clock that was set back changes nothing. */
void tickets_follow(struct tickets *t, uint64_t now_ms);
