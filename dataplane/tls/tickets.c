/* tickets.c: see tickets.h. Each secret is an HMAC of the one before. */
#include "tls/tickets.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Without memory it is random, so that its tickets are of no use; getrandom(2) does not fail for so few. */
static void derive(const uint8_t secret[TICKET_SECRET], const char *what, uint8_t *out, size_t n)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = sizeof mac;
    if (!HMAC(EVP_sha256(), secret, TICKET_SECRET, (const uint8_t *)what, strlen(what), mac, &len) &&
        getrandom(mac, sizeof mac, 0) != sizeof mac)
        abort();
    memcpy(out, mac, n);
    explicit_bzero(mac, sizeof mac);
}

static void make(struct tickets *t)
{
    derive(t->secret, "name", t->now.name, sizeof t->now.name);
    derive(t->secret, "cipher", t->now.cipher, sizeof t->now.cipher);
    derive(t->secret, "mac", t->now.mac, sizeof t->now.mac);
}

void tickets_init(struct tickets *t, const uint8_t secret[TICKET_SECRET], uint64_t now_ms, uint64_t period_ms)
{
    *t = (struct tickets){.start_ms = now_ms, .now_ms = now_ms, .period_ms = period_ms};
    memcpy(t->secret, secret, TICKET_SECRET);
    make(t);
    t->before = t->now;
}

void tickets_follow(struct tickets *t, uint64_t now_ms)
{
    t->now_ms = now_ms;
    uint64_t epoch = now_ms > t->start_ms ? (now_ms - t->start_ms) / t->period_ms : 0;
    while (t->epoch < epoch) {
        t->before = t->now;
        derive(t->secret, "next", t->secret, TICKET_SECRET);
        t->epoch++;
        make(t);
    }
}
