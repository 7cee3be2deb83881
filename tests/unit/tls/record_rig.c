/* record_rig.c: see record_rig.h. */
#include "record_rig.h"

#include "unit.h"

#include <openssl/err.h>

struct rig_pair own;
struct rig_box box;
const char *const suite_names[SUITES] = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
                                          "TLS_CHACHA20_POLY1305_SHA256"};
uint8_t sent[ROOM], got[ROOM];

bool record_rig_start(void)
{
    if (!tls_start())
        return false;
    own = rig_make("box", "DNS:box.example", NULL);
    box = rig_box(NULL, &own, NULL);
    for (size_t i = 0; i < ROOM; i++)
        sent[i] = (uint8_t)(i * 2654435761u >> 24);
    return box.set;
}

void record_rig_stop(void)
{
    rig_box_free(&box);
    rig_pair_free(&own);
}

struct rig_talk *talk_in(const char *suite)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_ciphersuites(ctx, suite);
    struct rig_talk *t = rig_talk(tls_set_context(box.set, 0), ctx, NULL);
    SSL_CTX_free(ctx);
    CU_ASSERT_EQUAL_FATAL(rig_shake(t), TLS_DONE);
    CU_ASSERT_FATAL(t->server->ours);
    CU_ASSERT_STRING_EQUAL(tls_cipher(t->server), suite);
    tls_settle(t->server);
    return t;
}

struct rig_talk *talk(void)
{
    return talk_in(suite_names[0]);
}

struct record_way key_of_client(const struct rig_talk *t)
{
    struct record_way w = {.number = t->server->in.number};
    memcpy(w.secret, t->server->in.secret, sizeof w.secret);
    CU_ASSERT_FATAL(record_key(&w, t->server->in.suite));
    return w;
}

void arrive(struct rig_talk *t, const uint8_t *p, size_t n)
{
    rig_move(t);
    memcpy(t->up + t->up_len, p, n);
    t->up_len += n;
}

int alert_heard(struct rig_talk *t)
{
    uint8_t byte;
    ERR_clear_error();
    rig_move(t);
    SSL_read(t->client, &byte, 1);
    int reason = ERR_GET_REASON(ERR_peek_error());
    ERR_clear_error();
    return reason - SSL_AD_REASON_OFFSET;
}
