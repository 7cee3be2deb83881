/* handshakes_test.c: thousands of clients of the port with TLS that come, shake hands (anew, resumed, by TLS 1.2, with right and
 * wrong certificates, not to the end, not at all), say PING and go: each ends as it is to, and nothing of them stays. Half
 * of OpenSSL's memory is the clients', in the same heap: that is to stay flat as well.
 *
 *     HANDSHAKES=1000000 build/tests/unit/worker/worker_handshakes_test     for longer */
#include "box_calls.h"
#include "tls_rig.h"
#include "unit.h"

#include <openssl/err.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
enum { HANDSHAKES = 2000 };
#else
enum { HANDSHAKES = 10000 };
#endif
enum { PORT = 6380, ROUNDS_MOST = 100000, CUT_AT = 40, KEPT_MOST = 64 * 1024 };

static struct box_rig rig;

/* -- who comes */

enum party { NEW, OLD, NUMBERED, SHOWING, STRANGER, DISTRUSTING, PARTIES };
static struct {
    SSL_CTX *ctx;
    SSL_SESSION *kept;
} parties[PARTIES];

enum manner {
    TALKS,     /* PING, PONG, and is gone */
    CLOSES,    /* the same, and says that nothing follows */
    RENEWS,    /* asks for a new key before */
    REFUSED,   /* by the box, or the box by it */
    CUT,       /* goes in the middle of its hello */
    TURNS_AWAY, /* goes when the box's flight has come */
    SPOILS,    /* its first record is damaged */
    MUTE,      /* says nothing at all */
    MANNERS
};
static const struct kind {
    const char *name;
    enum party party;
    enum manner manner;
    bool resumes;
    const char *words; /* instead of a hello */
} resumed = {"resumed", NEW, TALKS, true, NULL}, resumed_old = {"TLS 1.2, resumed", OLD, CLOSES, true, NULL},
  others[] = {{"anew", NEW, TALKS, false, NULL},
              {"TLS 1.2", OLD, TALKS, false, NULL},
              {"TLS 1.2, resumed by number", NUMBERED, CLOSES, true, NULL},
              {"certificate", SHOWING, CLOSES, false, NULL},
              {"a stranger's certificate", STRANGER, REFUSED, false, NULL},
              {"trusts nobody", DISTRUSTING, REFUSED, false, NULL},
              {"half a hello", NEW, CUT, false, NULL},
              {"gone in the middle", NEW, TURNS_AWAY, false, NULL},
              {"TLS 1.2, gone in the middle", OLD, TURNS_AWAY, false, NULL},
              {"new keys", NEW, RENEWS, false, NULL},
              {"a damaged record", NEW, SPOILS, false, NULL},
              {"no TLS", NEW, REFUSED, false, "\x16\x03\x01\x00\x05garbage"},
              {"plain words", NEW, REFUSED, false, "PING\r\n"},
              {"mute", NEW, MUTE, false, ""}};
enum { OTHERS = sizeof others / sizeof *others };

/* Nine of ten resume. */
static const struct kind *kind_of(unsigned n)
{
    return n % 10 == 0 ? &others[n / 10 % OTHERS] : n % 10 == 5 ? &resumed_old : &resumed;
}

static int keep(SSL *ssl, SSL_SESSION *session)
{
    unsigned p = (unsigned)(uintptr_t)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(parties[p].kept);
    parties[p].kept = session;
    return 1;
}

static void invite(const struct rig_pair *app, const struct rig_pair *stranger)
{
    for (unsigned i = 0; i < PARTIES; i++) {
        SSL_CTX *ctx = parties[i].ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, keep);
        SSL_CTX_set_app_data(ctx, (char *)(uintptr_t)i);
        if (i == OLD || i == NUMBERED)
            SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    }
    SSL_CTX_set_options(parties[NUMBERED].ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_verify(parties[DISTRUSTING].ctx, SSL_VERIFY_PEER, NULL);
    rig_show(parties[SHOWING].ctx, app);
    rig_show(parties[STRANGER].ctx, stranger);
}

/* -- one of them */

static struct guest {
    const struct kind *kind; /* NULL: the place is free */
    SSL *ssl;
    bool asked, answered;
    unsigned rounds;
    uint8_t out[1 << 13];
} guests[RIG_CLIENTS];
static unsigned come, gone, ended[MANNERS], reused;

static void welcome(unsigned i)
{
    struct guest *g = &guests[i];
    const struct kind *k = kind_of(come++);
    struct rig_client *c = rig_call(&rig, i, PORT);
    g->kind = k;
    g->asked = g->answered = false;
    g->rounds = 0;
    if (k->words) {
        rig_send(c, k->words);
        c->to_send_len = k->manner == MUTE ? 0 : strlen(k->words + 5) + 5; /* a head has zeros */
        return;
    }
    g->ssl = SSL_new(parties[k->party].ctx);
    SSL_set_bio(g->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(g->ssl);
    if (k->resumes && parties[k->party].kept)
        SSL_set_session(g->ssl, parties[k->party].kept);
}

static void carry(unsigned i)
{
    struct guest *g = &guests[i];
    struct rig_client *c = &rig.client[i];
    char got[16] = "";
    if (g->kind->manner == TURNS_AWAY && c->got_len)
        return;
    BIO_write(SSL_get_rbio(g->ssl), c->got, (int)c->got_len);
    c->got_len = 0;
    if (!SSL_is_init_finished(g->ssl))
        SSL_do_handshake(g->ssl);
    if (SSL_is_init_finished(g->ssl) && SSL_read(g->ssl, got, sizeof got - 1) > 0)
        g->answered |= strcmp(got, "+PONG\r\n") == 0;
    if (SSL_is_init_finished(g->ssl) && !g->asked && g->kind->manner != REFUSED) {
        if (g->kind->manner == RENEWS)
            SSL_key_update(g->ssl, SSL_KEY_UPDATE_REQUESTED);
        g->asked = SSL_write(g->ssl, "PING\r\n", 6) == 6;
    }
    if (g->answered && g->kind->manner == CLOSES)
        SSL_shutdown(g->ssl);
    ERR_clear_error();
}

static void send(unsigned i)
{
    struct guest *g = &guests[i];
    struct rig_client *c = &rig.client[i];
    if (c->sent < c->to_send_len || (g->kind->manner == CUT && c->to_send_len))
        return;
    int n = BIO_read(SSL_get_wbio(g->ssl), g->out, g->kind->manner == CUT ? CUT_AT : (int)sizeof g->out);
    c->to_send = g->out;
    c->to_send_len = n > 0 ? (size_t)n : 0;
    c->sent = 0;
    if (n > 0 && g->asked && g->kind->manner == SPOILS)
        g->out[n - 1] ^= 1;
}

static bool is_over(unsigned i)
{
    const struct guest *g = &guests[i];
    const struct rig_client *c = &rig.client[i];
    switch (g->kind->manner) {
    case TALKS:
    case RENEWS:
        return g->answered;
    case CUT:
        return c->to_send_len == CUT_AT && c->sent == CUT_AT && g->rounds > 20;
    case TURNS_AWAY:
        return c->got_len > 0;
    case MUTE:
        return c->opened && g->rounds > 20;
    default:
        return c->closed || c->peer_closed;
    }
}

/* Has it gone as it was to? */
static void part(unsigned i)
{
    struct guest *g = &guests[i];
    const enum manner m = g->kind->manner;
    bool again = g->ssl && SSL_session_reused(g->ssl), good = again <= g->kind->resumes;
    if (m == TALKS || m == CLOSES || m == RENEWS)
        good &= g->answered;
    else
        good &= !g->answered;
    if (!good)
        printf("# %s: %s\n", g->kind->name, again ? "resumed" : g->answered ? "answered" : "no answer");
    CU_ASSERT(good);
    ended[m]++;
    reused += again;
    if (g->answered) /* else OpenSSL thinks the session bad */
        SSL_set_shutdown(g->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(g->ssl);
    g->ssl = NULL;
    g->kind = NULL;
    rig_drop(&rig, i);
    gone++;
}

static void turn(unsigned i)
{
    struct guest *g = &guests[i];
    if (g->ssl && rig.client[i].opened) {
        carry(i);
        send(i);
    }
    if (is_over(i)) {
        part(i);
    } else if (++g->rounds == ROUNDS_MOST) {
        printf("# %s: no end\n", g->kind->name);
        CU_FAIL_FATAL("no end");
    }
}

static void until(unsigned all)
{
    while (gone < all) {
        for (unsigned i = 0; i < RIG_CLIENTS; i++)
            if (!guests[i].kind && come < all && !rig.worker->secure.waiting) /* the newest go first: the oldest would wait for ever */
                welcome(i);
        rig.worker->secure.allowed_cycles = 0; /* a share of real time: not what is tested here */
        rig_run(&rig, 100);
        for (unsigned i = 0; i < RIG_CLIENTS; i++)
            if (guests[i].kind)
                turn(i);
    }
    rig_run(&rig, 200000);
}

/* -- what stays */

static size_t heap(void)
{
    tls_memory_trim(); /* buffers that are kept for the next handshake */
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#endif
}

static size_t resident(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*s %zu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t told(const char *when)
{
    size_t now = heap();
    printf("# %s: %u clients, %zu bytes of heap, %lld of OpenSSL's, %zu KB resident\n", when, gone, now, (long long)tls_memory(),
           resident() / 1024);
    return now;
}

static uint64_t counted(enum counter c)
{
    return count_read(&rig.counters, c);
}

static void counts_are_right(void)
{
    const uint64_t refused = ended[REFUSED];
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshakes), ended[TALKS] + ended[CLOSES] + ended[RENEWS] + ended[SPOILS]);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_resumptions), reused);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_failed_bad_certificate) + counted(COUNTER_tls_failed_alert) +
                        counted(COUNTER_tls_failed_garbage) + counted(COUNTER_tls_failed_plain),
                    refused);
    CU_ASSERT(counted(COUNTER_tls_failed_bad_certificate) && counted(COUNTER_tls_failed_alert) &&
              counted(COUNTER_tls_failed_garbage) && counted(COUNTER_tls_failed_plain));
    CU_ASSERT_EQUAL(counted(COUNTER_tls_bad_records), ended[SPOILS]);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_failed_other) + counted(COUNTER_tls_failed_memory), 0);
    CU_ASSERT_EQUAL(counted(COUNTER_tls_handshake_timeouts) + counted(COUNTER_tls_handshakes_shed), 0);
    CU_ASSERT(reused > come / 2);
    CU_ASSERT(ended[CUT] && ended[TURNS_AWAY] && ended[MUTE]);
}

static void nobody_is_left(void)
{
    const struct secure_worker *sw = &rig.worker->secure;
    CU_ASSERT_EQUAL(rig.worker->sessions, 0);
    CU_ASSERT(!sw->silent.oldest && !sw->silent.newest && !sw->shaking.oldest && !sw->shaking.newest);
    CU_ASSERT_EQUAL(sw->begun + sw->waiting, 0);
}

static void start(const struct rig_pair *authority, const struct rig_pair *own)
{
    const char *directives[] = {"tls-port", "6380", "tls-auth-clients", "optional", "tls-session-cache-size", "20", "tls:certificate",
                                own->certificate, "tls:key", own->key, "tls:authorities", authority->certificate, NULL};
    rig_start(&rig, directives, NULL);
}

static void test_whoever_has_gone_leaves_nothing(void)
{
    unsigned all = getenv("HANDSHAKES") ? (unsigned)atoi(getenv("HANDSHAKES")) : HANDSHAKES;
    struct rig_pair authority = rig_make("authority", NULL, NULL), own = rig_make("box", "DNS:box.example", &authority),
                    app = rig_make("app", NULL, &authority), stranger = rig_make("app", NULL, NULL);
    invite(&app, &stranger);
    start(&authority, &own);
    until(all / 10);
    size_t first = told("warm");
    until(all / 2);
    size_t middle = told("half-way");
    nobody_is_left();
    until(all);
    size_t last = told("at the end");
    nobody_is_left();
    counts_are_right();
    printf("# %u anew, %u resumed, %u refused, %u gone before their end\n", (unsigned)counted(COUNTER_tls_handshakes) - reused, reused,
           ended[REFUSED], ended[CUT] + ended[TURNS_AWAY] + ended[MUTE]);
    CU_ASSERT(middle < first + KEPT_MOST && last < first + KEPT_MOST);
    CU_ASSERT(rig_stop(&rig));
    for (unsigned i = 0; i < PARTIES; i++) {
        SSL_SESSION_free(parties[i].kept);
        SSL_CTX_free(parties[i].ctx);
    }
    struct rig_pair *pairs[] = {&authority, &own, &app, &stranger};
    for (unsigned i = 0; i < 4; i++)
        rig_pair_free(pairs[i]);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_whoever_has_gone_leaves_nothing), {NULL, NULL}};
    return tls_start() ? unit_main(argc, argv, "worker/handshakes", tests) : 1;
}
