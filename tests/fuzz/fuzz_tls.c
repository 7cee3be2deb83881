/* fuzz_tls.c: what a client may send to the port with TLS. The first byte says how the rest is cut, the
 * second whether it comes before or after a handshake that a client of OpenSSL's has done, and whether each piece
 * is a record under the client's key, its first byte the type. Whatever comes: a verdict, nothing left behind, and not
 * more bytes taken than there were. FUZZ_TLS=handshakes or records in the environment: those alone, for a long run. */
#include "fuzz.h"
#include "tls/private.h"
#include "tls_rig.h"

#include <openssl/err.h>

#include <stdlib.h>

static struct rig_box box;
static int only = -1; /* 0: before the handshake, 1: after it */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    MUST(tls_start(), "OpenSSL does not start");
    struct rig_pair own = rig_make("box", "DNS:box.example", NULL);
    box = rig_box((const char *[]){"tls-auth-clients", "optional", NULL}, &own, &own);
    MUST(box.set, "no context");
    rig_pair_free(&own);
    const char *part = getenv("FUZZ_TLS");
    MUST(!part || strcmp(part, "handshakes") == 0 || strcmp(part, "records") == 0, "FUZZ_TLS: handshakes or records");
    only = part ? strcmp(part, "records") == 0 : -1;
    return 0;
}

/* Bytes that have arrived are offered until nothing more happens. */
static void offer(struct rig_talk *t, bool open)
{
    static uint8_t to[1 << 15];
    enum tls_result r = TLS_DONE;
    size_t n;
    while (r == TLS_DONE) {
        r = open ? tls_read(t->server, to, sizeof to, &n) : tls_handshake(t->server, t->now_ms);
        if (r == TLS_DONE && !open)
            open = true;
        size_t taken = tls_taken(t->server);
        MUST(taken <= t->up_len, "more taken than there was");
        memmove(t->up, t->up + taken, t->up_len - taken);
        t->up_len -= taken;
    }
    t->down_len = 0;
    tls_flush(t->server);
}

/* Puts what has arrived before and this piece in front of the box, as it is or sealed. */
static void arrive(struct rig_talk *t, const uint8_t *p, size_t n, bool sealed)
{
    struct record_way w = {.number = t->server->in.number};
    if (sealed && t->server->ours && !t->server->failed) {
        memcpy(w.secret, t->server->in.secret, sizeof w.secret);
        MUST(record_key(&w, t->server->in.suite), "no key");
        MUST(record_seal(&w, p[0], p + 1, n - 1, t->up + t->up_len), "it does not seal");
        record_wipe(&w);
        n += RECORD_EXTRA - 1;
    } else
        memcpy(t->up + t->up_len, p, n);
    t->up_len += n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    if (len < 2)
        return 0;
    size_t step = p[0] ? p[0] * 4u : len;
    bool shaken = p[1] & 1;
    if (only >= 0 && shaken != only)
        return 0;
    struct rig_talk *t =
        shaken ? rig_talk(tls_set_context(box.set, 0), NULL, NULL) : rig_listen(tls_set_context(box.set, 0));
    if (shaken)
        MUST(rig_shake(t) == TLS_DONE, "the handshake failed");
    for (size_t at = 2; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        if (n > RECORD_PLAIN || n + RECORD_EXTRA > sizeof t->up - t->up_len)
            break;
        arrive(t, p + at, n, shaken && p[1] & 2);
        offer(t, shaken);
    }
    tls_end(t->server);
    rig_talk_free(t);
    ERR_clear_error();
    return 0;
}
