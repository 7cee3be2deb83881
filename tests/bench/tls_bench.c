/* tls_bench.c: what TLS costs the box's core: a whole worker on the in-memory wire, clients that are OpenSSL's own, and
 * the clock read around worker_round() alone, so that neither the clients' half of TLS nor a kernel counts.
 *
 *     tls_bench [SECONDS]     (about; at least 0.05)
 *
 * prints requests a second of the box's time at pipeline 1 and bytes a second of 16-KB GETs, plain and over TLS 1.3
 * (AES-256-GCM), and what one core seals in records of 16 KiB by OpenSSL beside them: medians of TURNS turns, in each of
 * which all of them follow each other. The port has TSO and checks checksums, as NICs do, and takes none of the box's time.
 * Then a storm: half of the clients ask at pipeline 1, the others do nothing but shake hands, hang up and come again, and always
 * have more than the box lets begin; what the first half has of the box's time, beside the same without the others, and how long
 * (of the box's time) a reply takes, for a pair of ECDSA (P-256) and one of RSA (2048 bits).
 *
 *     valgrind --tool=callgrind --toggle-collect=worker_round tls_bench SECONDS ROW     (a row as it is printed: "P1 TLS")
 *
 * counts what the box spends on one row, and prints how many requests that were; "storm ECDSA" and "storm RSA" are that alone, SECONDS
 * of the box's time a turn. */
#include "box_calls.h"
#include "tls_rig.h"

#include <openssl/evp.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define COUNT_FROM_HERE() CALLGRIND_ZERO_STATS
#define COUNT_TO_HERE() CALLGRIND_DUMP_STATS_AT("counted")
#else
#define COUNT_FROM_HERE() ((void)0)
#define COUNT_TO_HERE() ((void)0)
#endif

enum { CLIENTS = RIG_CLIENTS, SMALL = 64, BULK = 16384, BULK_DEEP = 4, TURNS = 5 };

static const char small[] = "*2\r\n$3\r\nGET\r\n$5\r\nsmall\r\n";
static struct box_rig rig;
static SSL *ssl[CLIENTS]; /* NULL: plain */
static size_t opened[CLIENTS];
static uint64_t round_cycles, port_cycles;

/* Records that have come are opened, records that are ready leave. */
static void move(unsigned i)
{
    static uint8_t out[CLIENTS][1 << 18], in[1 << 16];
    struct rig_client *c = &rig.client[i];
    int n;
    if (!ssl[i]) {
        opened[i] += c->got_len;
        c->got_len = 0;
        return;
    }
    BIO_write(SSL_get_rbio(ssl[i]), c->got, (int)c->got_len);
    c->got_len = 0;
    if (!SSL_is_init_finished(ssl[i]))
        SSL_do_handshake(ssl[i]);
    else
        while ((n = SSL_read(ssl[i], in, sizeof in)) > 0)
            opened[i] += (size_t)n;
    if (c->sent == c->to_send_len && (n = BIO_read(SSL_get_wbio(ssl[i]), out[i], sizeof out[i])) > 0) {
        c->to_send = out[i];
        c->to_send_len = (size_t)n;
        c->sent = 0;
    }
}

static void until_opened(size_t want)
{
    for (bool all = false; !all;) {
        rig.worker->secure.allowed_cycles = 0; /* clients that connect are no storm */
        rig_run(&rig, 100);
        all = true;
        for (unsigned i = 0; i < CLIENTS; i++) {
            move(i);
            all &= opened[i] >= want && (!ssl[i] || SSL_is_init_finished(ssl[i]));
        }
    }
}

/* Every client sends the request; all replies have come when it returns. */
static void round_of(const char *request, size_t want)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct rig_client *c = &rig.client[i];
        opened[i] = 0;
        if (ssl[i]) {
            SSL_write(ssl[i], request, (int)strlen(request));
            move(i);
        } else {
            c->to_send = (const uint8_t *)request;
            c->to_send_len = strlen(request);
            c->sent = 0;
        }
    }
    until_opened(want);
}

/* Seconds of the box for so many rounds. */
static double play(const char *request, size_t want, unsigned rounds)
{
    round_of(request, want);
    round_cycles = port_cycles = 0;
    COUNT_FROM_HERE();
    for (unsigned i = 0; i < rounds; i++)
        round_of(request, want);
    COUNT_TO_HERE();
    return (double)(round_cycles - port_cycles) / (double)rte_get_tsc_hz();
}

static void speak(unsigned i, SSL_CTX *ctx)
{
    opened[i] = 0;
    SSL_free(ssl[i]);
    ssl[i] = ctx ? SSL_new(ctx) : NULL;
    if (!ctx)
        return;
    SSL_set_bio(ssl[i], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl[i]);
    SSL_do_handshake(ssl[i]);
}

static void connect_all(SSL_CTX *ctx)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        rig_connect_to(&rig, i, ctx ? 6380 : 6379);
        speak(i, ctx);
    }
    until_opened(0);
}

static void drop_all(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        rig_drop(&rig, i);
}

static double limit(double seconds)
{
    static uint8_t plain[BULK], sealed[BULK + 16], key[32], nonce[12];
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint64_t begin = rte_rdtsc(), end = begin + (uint64_t)(seconds * (double)rte_get_tsc_hz()), n = 0;
    int len;
    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce);
    for (; rte_rdtsc() < end; n++) {
        EVP_EncryptInit_ex(c, NULL, NULL, NULL, nonce);
        EVP_EncryptUpdate(c, sealed, &len, plain, BULK);
        EVP_EncryptFinal_ex(c, sealed, &len);
    }
    double rate = (double)(n * BULK) / ((double)(rte_rdtsc() - begin) / (double)rte_get_tsc_hz());
    EVP_CIPHER_CTX_free(c);
    return rate;
}

enum { ROWS = 5 };
static const struct row {
    const char *name, *unit;
    bool sealed, bulk;
} rows[ROWS] = {{"P1 plain", "requests", false, false},
                {"bulk plain", "bytes", false, true},
                {"P1 TLS", "requests", true, false},
                {"bulk TLS", "bytes", true, true},
                {"seal", "bytes", false, false}};
enum { P1_PLAIN, BULK_PLAIN, P1_TLS, BULK_TLS, SEAL };

/* What a row has in a second of the box; at pipeline 1 so many rounds. */
static double rate_of(const struct row *row, SSL_CTX *ctx, unsigned rounds)
{
    static const char big[] = "*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n";
    static char bulk[BULK_DEEP * sizeof big];
    if (row == &rows[SEAL])
        return limit(0.2);
    for (unsigned i = 0; i < BULK_DEEP; i++)
        strcpy(bulk + i * strlen(big), big);
    drop_all();
    connect_all(row->sealed ? ctx : NULL);
    if (!row->bulk)
        return (double)rounds * CLIENTS / play(small, SMALL + 7, rounds);
    return (double)(rounds / 20) * CLIENTS * BULK_DEEP * BULK / play(bulk, BULK_DEEP * (BULK + 10), rounds / 20);
}

static void fill(void)
{
    static char value[BULK + 64];
    connect_all(NULL);
    rig_says(&rig, &rig.client[0], "SET small 0123456789012345678901234567890123456789012345678901234567890123\r\n", "+OK\r\n");
    size_t head = (size_t)sprintf(value, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", BULK);
    memset(value + head, 'v', BULK);
    strcpy(value + head + BULK, "\r\n");
    rig_says(&rig, &rig.client[0], value, "+OK\r\n");
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *of, unsigned n)
{
    qsort(of, n, sizeof *of, by_size);
    return of[n / 2];
}

static double median(double *of)
{
    return median_of(of, TURNS);
}

/* -- a storm */

enum { ASKING = CLIENTS / 2, STORMS = 3, REPLIES_MOST = 1 << 22 };

/* What a turn was like. */
struct weather {
    double rate, p999_us, handshakes; /* replies and handshakes a second of the box's time */
};

static double seconds_of(uint64_t cycles)
{
    return (double)cycles / (double)rte_get_tsc_hz();
}

/* What handshakes took is paid for with the box's time: that which the clients took meanwhile does not count. */
static void only_the_box(uint64_t *clock, uint64_t *box)
{
    uint64_t now = rte_rdtsc(), own = round_cycles - port_cycles;
    rig.worker->secure.allowed_cycles += now - *clock - (own - *box);
    rig.worker->secure.served_cycles += now - *clock - (own - *box);
    *clock = now;
    *box = own;
}

static void ask(unsigned i)
{
    opened[i] = 0;
    SSL_write(ssl[i], small, (int)strlen(small));
    move(i);
}

static int by_length(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* One of the others: comes, shakes hands, is gone. */
static void shake(unsigned i, SSL_CTX *ctx)
{
    const struct rig_client *c = &rig.client[i];
    if (!c->conn) {
        rig_call(&rig, i, 6380);
        speak(i, ctx);
        return;
    }
    move(i);
    if ((SSL_is_init_finished(ssl[i]) && c->to_send_len && c->sent == c->to_send_len) || c->closed || c->peer_closed)
        rig_drop(&rig, i);
}

/* So many seconds of the box. */
static struct weather turn_of(SSL_CTX *ctx, double length, bool storm)
{
    static float took[REPLIES_MOST];
    uint64_t asked[ASKING], clock, box;
    unsigned done = 0;
    drop_all();
    connect_all(ctx);
    round_of(small, SMALL + 7);
    const uint64_t before = count_read(&rig.counters, COUNTER_tls_handshakes);
    rig.worker->secure.allowed_cycles = clock = rte_rdtsc();
    round_cycles = port_cycles = box = 0;
    for (unsigned i = 0; i < ASKING; i++) {
        asked[i] = 0;
        ask(i);
    }
    while (seconds_of(round_cycles - port_cycles) < length && done < REPLIES_MOST - ASKING) {
        rig_run(&rig, 100);
        for (unsigned i = 0; i < ASKING; i++) {
            move(i);
            if (opened[i] < SMALL + 7)
                continue;
            took[done++] = (float)(seconds_of(round_cycles - port_cycles - asked[i]) * 1e6);
            asked[i] = round_cycles - port_cycles;
            ask(i);
        }
        for (unsigned i = ASKING; storm && i < CLIENTS; i++)
            shake(i, ctx);
        only_the_box(&clock, &box);
    }
    const double seconds = seconds_of(round_cycles - port_cycles);
    qsort(took, done, sizeof *took, by_length);
    return (struct weather){done / seconds, took[(size_t)(done * 0.999)],
                            (double)(count_read(&rig.counters, COUNTER_tls_handshakes) - before) / seconds};
}

static void storm(SSL_CTX *ctx, const char *pair, double length)
{
    double ratio[STORMS], rate[STORMS], fair[STORMS], foul[STORMS], shaken[STORMS];
    for (unsigned turn = 0; turn < STORMS; turn++) {
        const struct weather a = turn_of(ctx, length, true), b = turn_of(ctx, length, false);
        ratio[turn] = a.rate / b.rate;
        rate[turn] = a.rate;
        fair[turn] = b.p999_us;
        foul[turn] = a.p999_us;
        shaken[turn] = a.handshakes;
    }
    printf("P1 TLS in a storm, %s %.0f requests/s, %.0f handshakes/s, p99.9 %.0f us, without %.0f us\n", pair, median_of(rate, STORMS),
           median_of(shaken, STORMS), median_of(foul, STORMS), median_of(fair, STORMS));
    double all = median_of(ratio, STORMS);
    printf("storm / without, %s %.3f (%.3f to %.3f)\n", pair, all, ratio[0], ratio[STORMS - 1]);
}

static void table(SSL_CTX *ctx, unsigned rounds)
{
    double rate[ROWS][TURNS], p1[TURNS], bulk[TURNS];
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned i = 0; i < ROWS; i++)
            rate[i][turn] = rate_of(&rows[i], ctx, rounds / TURNS);
        p1[turn] = rate[P1_TLS][turn] / rate[P1_PLAIN][turn];
        bulk[turn] = rate[BULK_TLS][turn] / rate[SEAL][turn];
    }
    for (unsigned i = 0; i < ROWS; i++)
        printf("%s %.0f %s/s\n", rows[i].name, median(rate[i]), rows[i].unit);
    double of_plain = median(p1), of_seal = median(bulk);
    printf("P1 TLS / plain %.3f (%.3f to %.3f)\n", of_plain, p1[0], p1[TURNS - 1]);
    printf("bulk TLS / seal %.3f (%.3f to %.3f)\n", of_seal, bulk[0], bulk[TURNS - 1]);
}

/* A box with this pair, the values that are asked for, and clients that are about to come. */
static void start(const struct rig_pair *pair)
{
    const char *directives[] = {"tls-port", "6380", "tls-auth-clients", "no", "tls:certificate", pair->certificate, "tls:key", pair->key,
                                "save", "", NULL};
    rig_port = (struct rig_port){
        .cut = true, .verified = true, .round_cycles = &round_cycles, .port_cycles = &port_cycles};
    rig_start(&rig, directives, NULL);
    fill();
}

static bool stop(void)
{
    drop_all();
    return rig_stop(&rig);
}

static bool storms(SSL_CTX *ctx, const char *name, const struct rig_pair *pair, double length)
{
    start(pair);
    storm(ctx, name, length);
    return stop();
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    const char *only = argc > 2 ? argv[2] : "";
    unsigned rounds = (unsigned)(seconds * 4000);
    if (!tls_start())
        return 1;
    struct rig_pair pair = rig_make("box", NULL, NULL), rsa = rig_make_rsa("box");
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384");
    if (strncmp(only, "storm ", 6) == 0)
        return storms(ctx, only + 6, strcmp(only, "storm RSA") == 0 ? &rsa : &pair, seconds) ? 0 : 1;
    start(&pair);
    if (!*only) {
        table(ctx, rounds);
        return stop() && storms(ctx, "ECDSA", &pair, seconds / 20) && storms(ctx, "RSA", &rsa, seconds / 20) ? 0 : 1;
    }
    for (unsigned i = 0; i < SEAL; i++)
        if (strcmp(only, rows[i].name) == 0) {
            rate_of(&rows[i], ctx, rounds);
            printf("%u requests\n", rows[i].bulk ? rounds / 20 * CLIENTS * BULK_DEEP : rounds * CLIENTS);
            return 0;
        }
    return 1;
}
