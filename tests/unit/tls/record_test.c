/* record_test.c: tls/record.h, and records that are ours (tls/traffic.c): against RFC 8448, OpenSSL's own client and
 * one that breaks rules. */
#include "record_rig.h"
#include "unit.h"

#include <stdlib.h>

/* -- keys and records by the book ------------------------------------------------------------------------ */

/* RFC 8448 section 3: the client's application data under its secret, octets 0 to 49. */
static void test_the_record_of_rfc_8448(void)
{
    static const uint8_t secret[] = {0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8,
                                     0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
                                     0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};
    static const uint8_t record[] = {
        0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28,
        0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8,
        0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62,
        0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};
    struct record_way seals = {0}, opens = {0}, nothing = {0};
    uint8_t out[sizeof record], type;
    size_t n, len;
    for (unsigned i = 0; i < 50; i++)
        sent[i] = (uint8_t)i;
    memcpy(seals.secret, secret, sizeof secret);
    memcpy(opens.secret, secret, sizeof secret);
    CU_ASSERT_FATAL(record_key(&seals, record_suite(0x1301)) && record_key(&opens, record_suite(0x1301)));
    CU_ASSERT(record_seal(&seals, RECORD_DATA, sent, 50, out));
    CU_ASSERT(memcmp(out, record, sizeof record) == 0);
    CU_ASSERT_EQUAL(record_head(record, &len), 0);
    CU_ASSERT_EQUAL(len, sizeof record - RECORD_HEAD);
    CU_ASSERT_EQUAL(record_open(&opens, record, record + RECORD_HEAD, len, got, &n, &type), 0);
    CU_ASSERT(n == 50 && type == RECORD_DATA && memcmp(got, sent, 50) == 0);
    record_wipe(&seals);
    record_wipe(&opens);
    CU_ASSERT(memcmp(&seals, &nothing, sizeof seals) == 0 && memcmp(&opens, &nothing, sizeof opens) == 0);
    CU_ASSERT_FALSE(record_seal(&seals, RECORD_DATA, sent, 50, out));
}

/* -- against OpenSSL ------------------------------------------------------------------------------------- */

static void test_every_length_both_ways(void)
{
    for (unsigned s = 0; s < SUITES; s++) {
        struct rig_talk *t = talk_in(suite_names[s]);
        for (size_t n = 1; n <= RECORD_PLAIN; n += s == 0 || n < 300 || n > 16300 ? 1 : 7) {
            size_t read = 0;
            sent[0] = sent[n - 1] = (uint8_t)n;
            SSL_write(t->client, sent, (int)n);
            rig_move(t);
            CU_ASSERT_EQUAL_FATAL(tls_read(t->server, got, ROOM, &read), TLS_DONE);
            CU_ASSERT_FATAL(read == n && memcmp(sent, got, n) == 0);
            CU_ASSERT_FATAL(tls_write(t->server, sent, n));
            CU_ASSERT_EQUAL_FATAL(t->down_len, n + RECORD_EXTRA);
            rig_move(t);
            CU_ASSERT_FATAL(SSL_read(t->client, got, ROOM) == (int)n && memcmp(sent, got, n) == 0);
        }
        rig_talk_free(t);
    }
}

/* Records of all lengths that arrive in pieces of all lengths, read in pieces of all lengths. */
static void test_pieces_of_all_lengths(void)
{
    enum { BYTES = 1 << 21 };
    struct rig_talk *t = talk();
    uint8_t *wire = malloc(ROOM);
    size_t written = 0, read = 0, at = 0, wire_len = 0;
    uint32_t seed = 7;
    while (read < BYTES) {
        seed = seed * 1664525 + 1013904223;
        if (at == wire_len) {
            size_t n = 1 + (seed >> 8) % ((seed >> 30) ? 200 : RECORD_PLAIN);
            for (size_t i = 0; i < n; i++)
                sent[i] = (uint8_t)((written + i) * 2654435761u >> 24);
            SSL_write(t->client, sent, (int)n);
            written += n;
            wire_len = (size_t)BIO_read(SSL_get_wbio(t->client), wire, ROOM);
            at = 0;
        }
        size_t some = 1 + (seed >> 4) % 3000, n;
        some = some < wire_len - at ? some : wire_len - at;
        arrive(t, wire + at, some);
        at += some;
        enum tls_result r;
        while ((r = tls_read(t->server, got, 1 + (seed >> 12) % 5000, &n)) == TLS_DONE)
            for (size_t i = 0; i < n; i++, read++)
                CU_ASSERT_FATAL(got[i] == (uint8_t)(read * 2654435761u >> 24));
        CU_ASSERT_EQUAL_FATAL(r, TLS_WAIT);
        CU_ASSERT_EQUAL(tls_pending(t->server), 0);
        if (at == wire_len) {
            CU_ASSERT_EQUAL_FATAL(read, written);
            CU_ASSERT_EQUAL(tls_gathered(t->server), 0);
        }
    }
    free(wire);
    rig_talk_free(t);
}

/* A record of 40 bytes, each of whose bytes is changed in turn. */
static void test_no_changed_byte_passes(void)
{
    for (unsigned s = 0; s < SUITES; s++)
        for (size_t at = 0; at < 40 + RECORD_EXTRA; at++) {
            struct rig_talk *t = talk_in(suite_names[s]);
            size_t n;
            memset(got, 0, 64);
            SSL_write(t->client, "0123456789012345678901234567890123456789", 40);
            rig_move(t);
            t->up[at] ^= (uint8_t)(1 << at % 8);
            enum tls_result r = tls_read(t->server, got, ROOM, &n);
            /* of a longer one the rest is waited for */
            CU_ASSERT(r == TLS_FAILED || (r == TLS_WAIT && (at == 3 || at == 4)));
            CU_ASSERT_EQUAL(n, 0);
            CU_ASSERT_EQUAL(memchr(got, '0', 64), NULL);
            if (at > 4)
                CU_ASSERT_EQUAL(alert_heard(t), ALERT_BAD_RECORD_MAC);
            if (r == TLS_FAILED) {
                CU_ASSERT_FALSE(tls_write(t->server, "x", 1));
                CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), TLS_FAILED);
            }
            rig_talk_free(t);
        }
}

/* Two records: in the other order, the second alone, the first twice. */
static void test_records_count(void)
{
    for (unsigned how = 0; how < 4; how++) {
        struct rig_talk *t = talk();
        struct record_way w = key_of_client(t);
        uint8_t one[64], two[64];
        size_t n, len = 10 + RECORD_EXTRA;
        CU_ASSERT(record_seal(&w, RECORD_DATA, sent, 10, one) && record_seal(&w, RECORD_DATA, sent, 10, two));
        arrive(t, how == 0 || how == 3 ? one : two, len);
        arrive(t, how == 0 ? two : one, len);
        CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), how == 0 || how == 3 ? TLS_DONE : TLS_FAILED);
        CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), how == 0 ? TLS_DONE : TLS_FAILED);
        record_wipe(&w);
        rig_talk_free(t);
    }
}

/* -- what a client with the right keys may say ----------------------------------------------------------- */

static void test_what_a_record_may_hold(void)
{
    static const struct {
        uint8_t type, inner[6];
        uint8_t n;
        enum tls_result result;
        int alert; /* 0: none */
    } cases[] = {
        {RECORD_DATA, "", 0, TLS_WAIT, 0},
        {RECORD_ALERT, {1, 0}, 2, TLS_CLOSED, 0},
        {RECORD_ALERT, {2, 0}, 2, TLS_CLOSED, 0},
        {RECORD_ALERT, {1, ALERT_USER_CANCELED}, 2, TLS_WAIT, 0},
        {RECORD_ALERT, {2, 40}, 2, TLS_FAILED, 0},
        {RECORD_ALERT, {1}, 1, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {RECORD_ALERT, "", 0, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {RECORD_ALERT, {1, 0, 1, 0}, 4, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {RECORD_HANDSHAKE, {24, 0, 0, 1, 0}, 5, TLS_WAIT, 0},
        {RECORD_HANDSHAKE, {24, 0, 0, 1, 1}, 5, TLS_WAIT, 0},
        {RECORD_HANDSHAKE, {24, 0, 0, 1, 2}, 5, TLS_FAILED, ALERT_ILLEGAL_PARAMETER},
        {RECORD_HANDSHAKE, {24, 0, 0, 1}, 4, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {RECORD_HANDSHAKE, {24, 0, 0, 1, 0, 24}, 6, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {RECORD_HANDSHAKE, {1, 0, 0, 1, 0}, 5, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {RECORD_HANDSHAKE, "", 0, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {20, {1}, 1, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {0, "", 0, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {0, {0, 0, 0}, 3, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {24, {1}, 1, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
        {24, {24, 0, 0, 1, 0}, 5, TLS_FAILED, ALERT_UNEXPECTED_MESSAGE},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig_talk *t = talk();
        struct record_way w = key_of_client(t);
        uint8_t record[64];
        size_t n;
        CU_ASSERT(record_seal(&w, cases[i].type, cases[i].inner, cases[i].n, record));
        arrive(t, record, cases[i].n + RECORD_EXTRA);
        CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), cases[i].result);
        CU_ASSERT_EQUAL(n, 0);
        CU_ASSERT_EQUAL(t->down_len > 0, cases[i].alert > 0);
        if (cases[i].alert)
            CU_ASSERT_EQUAL(alert_heard(t), cases[i].alert);
        if (cases[i].result == TLS_CLOSED) { /* nothing is read behind it, but we may still say something */
            arrive(t, record, cases[i].n + RECORD_EXTRA);
            CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), TLS_CLOSED);
            CU_ASSERT(tls_write(t->server, "+", 1));
        }
        record_wipe(&w);
        rig_talk_free(t);
    }
}

/* Padding counts (section 5.4): 2^14 bytes and a type, not one more. */
static void test_padding_and_the_longest_records(void)
{
    static const size_t lens[] = {RECORD_PLAIN - 1, RECORD_PLAIN, RECORD_PLAIN + 1, RECORD_PLAIN + 100};
    for (unsigned i = 0; i < 4; i++) {
        struct rig_talk *t = talk();
        struct record_way w = key_of_client(t);
        static uint8_t record[RECORD_PLAIN + 256 + RECORD_EXTRA];
        size_t body = lens[i] + 1 + RECORD_TAG, n;
        uint8_t nonce[RECORD_IV], *inner = record + RECORD_HEAD;
        memcpy(record, (const uint8_t[]){RECORD_DATA, 3, 3, (uint8_t)(body >> 8), (uint8_t)body}, RECORD_HEAD);
        memset(inner, 0, lens[i] + 1);
        memcpy(inner, "hello\x17", 6);
        memcpy(nonce, w.iv, sizeof nonce);
        nonce[RECORD_IV - 1] ^= (uint8_t)w.number;
        aead_seal(&w.aead, nonce, record, RECORD_HEAD, inner, lens[i] + 1, inner, inner + lens[i] + 1);
        arrive(t, record, RECORD_HEAD + body);
        CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), lens[i] <= RECORD_PLAIN ? TLS_DONE : TLS_FAILED);
        CU_ASSERT_EQUAL(n, lens[i] <= RECORD_PLAIN ? 5u : 0u);
        if (lens[i] > RECORD_PLAIN)
            CU_ASSERT_EQUAL(alert_heard(t), ALERT_RECORD_OVERFLOW);
        record_wipe(&w);
        rig_talk_free(t);
    }
}

/* Heads that no record may have; nothing behind them is waited for. */
static void test_heads(void)
{
    static const struct {
        uint8_t head[RECORD_HEAD];
        int alert;
    } cases[] = {{{20, 3, 3, 0, 1}, ALERT_UNEXPECTED_MESSAGE},    {{21, 3, 3, 0, 2}, ALERT_UNEXPECTED_MESSAGE},
                 {{22, 3, 3, 0, 40}, ALERT_UNEXPECTED_MESSAGE},   {{23, 2, 3, 0, 40}, ALERT_UNEXPECTED_MESSAGE},
                 {{23, 3, 3, 0, 0}, ALERT_BAD_RECORD_MAC},        {{23, 3, 3, 0, 16}, ALERT_BAD_RECORD_MAC},
                 {{23, 3, 3, 0x41, 1}, ALERT_RECORD_OVERFLOW},    {{23, 3, 3, 0xff, 0xff}, ALERT_RECORD_OVERFLOW},
                 {{'*', '1', 13, 10, '$'}, ALERT_UNEXPECTED_MESSAGE}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned piecewise = 0; piecewise < 2; piecewise++) {
            struct rig_talk *t = talk();
            size_t n;
            if (piecewise) {
                arrive(t, cases[i].head, 2);
                CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), TLS_WAIT);
            }
            arrive(t, cases[i].head + 2 * piecewise, RECORD_HEAD - 2 * piecewise);
            CU_ASSERT_EQUAL(tls_read(t->server, got, ROOM, &n), TLS_FAILED);
            CU_ASSERT_EQUAL(alert_heard(t), cases[i].alert);
            rig_talk_free(t);
        }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_the_record_of_rfc_8448),
                                             UNIT(test_every_length_both_ways),
                                             UNIT(test_pieces_of_all_lengths),
                                             UNIT(test_no_changed_byte_passes),
                                             UNIT(test_records_count),
                                             UNIT(test_what_a_record_may_hold),
                                             UNIT(test_padding_and_the_longest_records),
                                             UNIT(test_heads),
                                             {NULL, NULL}};
    int status = record_rig_start() ? unit_main(argc, argv, "tls/record", tests) : 1;
    record_rig_stop();
    return status;
}
