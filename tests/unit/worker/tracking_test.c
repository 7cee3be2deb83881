/* tracking_test.c: client-side caching over whole workers in virtual time: who is told what, when, and by
 * which way. Expected texts as redis-server 7.0.15 gives them.
 * https://redis.io/docs/latest/develop/reference/client-side-caching/ */
#include "box_rig.h"
#include "nomem.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;

static void nothing_left(void)
{
    rig_run(&rig, 200000);
    for (unsigned i = 0; i < rig.box.workers; i++) {
        const struct tracking *t = rig.box.worker[i]->env.tracking;
        CU_ASSERT_EQUAL(t->trackers.n, 0);
        CU_ASSERT_EQUAL(atomic_load(&t->members), 0);
        CU_ASSERT_FALSE(tracking_due(t));
        CU_ASSERT_EQUAL(rig.box.worker[i]->query_bytes, 0);
    }
    CU_ASSERT_EQUAL(atomic_load(&rig.box.tracking.clients), 0);
}

static void each_number_of_workers(void (*test)(void))
{
    CU_ASSERT_TRUE(rig_each_number_of_workers(&rig, test, nothing_left));
}

static bool says(struct rig_client *c, const char *request, const char *expected)
{
    return rig_says(&rig, c, request, expected);
}

static bool heard(struct rig_client *c, const char *expected)
{
    return rig_heard(&rig, c, expected);
}

static struct rig_client *connect3(unsigned i)
{
    struct rig_client *c = rig_connect(&rig, i);
    rig_exchange(&rig, c, "HELLO 3\r\n", 9, 1);
    rig_run(&rig, 5000);
    c->got_len = 0;
    return c;
}

static uint64_t id_of(struct rig_client *c)
{
    c->got_len = 0;
    rig_exchange(&rig, c, "CLIENT ID\r\n", 11, 4);
    uint64_t id = strtoull((const char *)c->got + 1, NULL, 10);
    c->got_len = 0;
    return id;
}

#define GONE(key) ">2\r\n$10\r\ninvalidate\r\n*1\r\n" key "\r\n"
#define ALL_GONE  ">2\r\n$10\r\ninvalidate\r\n_\r\n"
#define PASSED(v) "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n" v
#define A         "$1\r\na"
#define B         "$1\r\nb"

/* Keys of both workers, clients of both. */
static void keys(void)
{
    struct rig_client *c[2] = {connect3(0), connect3(1)}, *p = rig_connect(&rig, 2);
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT(says(c[i], "CLIENT TRACKING ON\r\n", "+OK\r\n"));
        CU_ASSERT(says(c[i], "GET a\r\nMGET b c d e f g\r\n", "_\r\n*6\r\n_\r\n_\r\n_\r\n_\r\n_\r\n_\r\n"));
        c[i]->got_len = 0;
    }
    CU_ASSERT(says(p, "SET a 1\r\nSET a 2\r\nSET x 1\r\nDEL x\r\n", "+OK\r\n+OK\r\n+OK\r\n:1\r\n"));
    CU_ASSERT(heard(c[0], GONE(A)));
    CU_ASSERT(heard(c[1], GONE(A)));
    CU_ASSERT(says(c[0], "GET a\r\n", "$1\r\n2\r\n"));
    CU_ASSERT(says(c[0], "MULTI\r\nINCR a\r\nGET b\r\nEXEC\r\n",
                   "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n_\r\n" GONE(A)));
    CU_ASSERT(says(c[0], "GET a\r\nSET a 5\r\nGET a\r\n", "$1\r\n3\r\n+OK\r\n" GONE(A) "$1\r\n5\r\n"));
    CU_ASSERT(says(p, "MSET a 1 b 2\r\n", "+OK\r\n"));
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(c[0]->got_len, strlen("$1\r\n3\r\n+OK\r\n" GONE(A) "$1\r\n5\r\n" GONE(A) GONE(B)));
    c[0]->got_len = 0;
    CU_ASSERT(heard(c[1], GONE(B)));
    CU_ASSERT(says(p, "FLUSHALL\r\n", "+OK\r\n"));
    CU_ASSERT(heard(c[0], ALL_GONE));
    CU_ASSERT(says(c[1], "FLUSHDB\r\n", "+OK\r\n" ALL_GONE));
    c[0]->got_len = c[1]->got_len = 0;
    CU_ASSERT(says(p, "SET a 1 PX 20\r\n", "+OK\r\n"));
    CU_ASSERT(says(c[1], "GET a\r\n", "$1\r\n1\r\n"));
}

static void test_keys_that_were_read(void)
{
    each_number_of_workers(keys);
}

static void options(void)
{
    struct rig_client *a = connect3(0), *b = connect3(1);
    CU_ASSERT(says(a, "CLIENT TRACKING ON NOLOOP\r\nGET a\r\nSET a 1\r\n", "+OK\r\n_\r\n+OK\r\n"));
    CU_ASSERT(
        says(a, "CLIENT TRACKING OFF\r\nCLIENT TRACKING ON OPTIN\r\nGET a\r\n", "+OK\r\n+OK\r\n$1\r\n1\r\n"));
    a->got_len = 0;
    CU_ASSERT(says(b, "SET a 2\r\n", "+OK\r\n"));
    CU_ASSERT(heard(a, ""));
    CU_ASSERT(says(a, "CLIENT CACHING YES\r\nGET a\r\nGET b\r\n", "+OK\r\n$1\r\n2\r\n_\r\n"));
    a->got_len = 0;
    CU_ASSERT(says(b, "SET a 3\r\nSET b 3\r\n", "+OK\r\n+OK\r\n"));
    CU_ASSERT(heard(a, GONE(A)));
    CU_ASSERT(says(a, "CLIENT CACHING YES\r\nMULTI\r\nGET a\r\nGET b\r\nEXEC\r\n",
                   "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n3\r\n$1\r\n3\r\n"));
    a->got_len = 0;
    CU_ASSERT(says(b, "SET b 3\r\n", "+OK\r\n"));
    CU_ASSERT(heard(a, GONE(B)));
    CU_ASSERT(
        says(a, "CLIENT TRACKING OFF\r\nCLIENT TRACKING ON OPTOUT\r\nCLIENT CACHING NO\r\nGET a\r\nGET b\r\n",
             "+OK\r\n+OK\r\n+OK\r\n$1\r\n3\r\n$1\r\n3\r\n"));
    CU_ASSERT(says(a, "CLIENT CACHING NO\r\nCLIENT TRACKINGINFO\r\n",
                   "+OK\r\n%3\r\n$5\r\nflags\r\n~3\r\n$2\r\non\r\n$6\r\noptout\r\n$10\r\ncaching-no\r\n$"
                   "8\r\nredirect\r\n:0\r\n"
                   "$8\r\nprefixes\r\n*0\r\n"));
    CU_ASSERT(says(a, "CLIENT TRACKING OFF\r\nCLIENT GETREDIR\r\n", "+OK\r\n:-1\r\n"));
}

static void test_options(void)
{
    each_number_of_workers(options);
}

static void prefixes(void)
{
    struct rig_client *a = connect3(0), *b = connect3(1), *p = rig_connect(&rig, 2);
    CU_ASSERT(says(a, "CLIENT TRACKING ON BCAST PREFIX x: PREFIX y:\r\n", "+OK\r\n"));
    CU_ASSERT(says(b, "CLIENT TRACKING ON BCAST NOLOOP\r\n", "+OK\r\n"));
    a->got_len = b->got_len = 0;
    CU_ASSERT(says(p, "MSET y:1 1 x:2 1 x:1 1 z 1\r\n", "+OK\r\n"));
    CU_ASSERT(heard(a, ">2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\nx:1\r\n$3\r\nx:2\r\n>2\r\n$"
                       "10\r\ninvalidate\r\n*1\r\n$3\r\ny:1\r\n"));
    CU_ASSERT(
        heard(b, ">2\r\n$10\r\ninvalidate\r\n*4\r\n$3\r\nx:1\r\n$3\r\nx:2\r\n$3\r\ny:1\r\n$1\r\nz\r\n"));
    CU_ASSERT(says(b, "SET x:1 2\r\n", "+OK\r\n"));
    CU_ASSERT(heard(a, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nx:1\r\n"));
    b->got_len = 0;
    CU_ASSERT(heard(b, ""));
    CU_ASSERT(says(a, "CLIENT TRACKING ON BCAST PREFIX x:y\r\n",
                   "-ERR Prefix 'x:y' overlaps with an existing prefix 'x:'. Prefixes for a single client "
                   "must not overlap.\r\n"));
    CU_ASSERT(says(a, "CLIENT TRACKING ON\r\n",
                   "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and "
                   "then re-enabling "
                   "it with a different mode.\r\n"));
    CU_ASSERT(says(a, "RESET\r\n", "+RESET\r\n"));
    a->got_len = 0;
    CU_ASSERT(says(p, "SET x:1 2\r\n", "+OK\r\n"));
    CU_ASSERT(heard(a, ""));
    CU_ASSERT(heard(b, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nx:1\r\n"));
}

static void test_prefixes(void)
{
    each_number_of_workers(prefixes);
}

#define WAITS(tag, to)   "LRANGE " to tag " 0 -1\r\nBLMOVE s" tag " " to tag " LEFT LEFT 0\r\n"
#define SERVED(v, tag, to) "*0\r\n$1\r\n" v "\r\n" GONE("$4\r\n" to tag)

/* Who waited for a list and has read the one that he fills hears of it behind his element, wherever he, the list and who pushed are; and of two who
 * have one worker, each. (In slices the second one is served later: of the first one's list he would hear before.) */
static void served(void)
{
    static const char *const waits[2][2] = {{WAITS("{a}", "d"), WAITS("{a}", "e")}, {WAITS("{b}", "d"), WAITS("{b}", "e")}},
                      *const got[2][2] = {{SERVED("v", "{a}", "d"), SERVED("w", "{a}", "e")}, {SERVED("v", "{b}", "d"), SERVED("w", "{b}", "e")}},
                      *const pushes[2] = {"RPUSH s{a} v w\r\n", "RPUSH s{b} v w\r\n"};
    struct rig_client *waiting[4] = {connect3(0), connect3(1), connect3(2), connect3(3)}, *pushing[2] = {rig_connect(&rig, 4), rig_connect(&rig, 5)};
    for (unsigned i = 0; i < 8; i++) { /* where the waiting ones are, who pushes is, and the lists */
        struct rig_client *c[2] = {waiting[i & 1], waiting[2 + (i & 1)]}, *p = pushing[i >> 1 & 1];
        for (unsigned k = 0; k < 2; k++) {
            CU_ASSERT(says(c[k], "CLIENT TRACKING ON\r\n", "+OK\r\n"));
            c[k]->got_len = 0;
            rig_exchange(&rig, c[k], waits[i >> 2][k], strlen(waits[i >> 2][k]), 4);
            rig_run(&rig, 2000);
        }
        CU_ASSERT(says(p, pushes[i >> 2], ":2\r\n"));
        for (unsigned k = 0; k < 2; k++) {
            CU_ASSERT(heard(c[k], got[i >> 2][k]));
            CU_ASSERT(says(c[k], "CLIENT TRACKING OFF\r\n", "+OK\r\n"));
        }
        CU_ASSERT(says(p, "FLUSHALL\r\n", "+OK\r\n"));
    }
}

static void test_who_is_served_hears_his_reply_first(void)
{
    each_number_of_workers(served);
}

static void redirections(void)
{
    struct rig_client *a = connect3(0), *b = rig_connect(&rig, 1), *p = rig_connect(&rig, 2);
    char text[100];
    snprintf(text, sizeof text, "CLIENT TRACKING ON REDIRECT %u\r\n", (unsigned)id_of(b));
    CU_ASSERT(says(b, "SUBSCRIBE q\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nq\r\n:1\r\n"));
    CU_ASSERT(says(a, text, "+OK\r\n"));
    CU_ASSERT(says(a, "GET a\r\n", "_\r\n"));
    b->got_len = 0;
    CU_ASSERT(says(p, "SET a 1\r\n", "+OK\r\n"));
    CU_ASSERT(heard(b, PASSED("*1\r\n$1\r\na\r\n")));
    CU_ASSERT(says(p, "FLUSHALL\r\n", "+OK\r\n"));
    CU_ASSERT(heard(b, PASSED("_\r\n")));
    CU_ASSERT(says(a, "GET a\r\n", "_\r\n"));
    CU_ASSERT(says(b, "QUIT\r\n", "+OK\r\n"));
    rig_run(&rig, 10000);
    a->got_len = 0;
    CU_ASSERT(says(p, "SET a 1\r\n", "+OK\r\n"));
    rig_run(&rig, 10000);
    CU_ASSERT_TRUE(a->got_len > 30 && memcmp(a->got, ">2\r\n$21\r\ntracking-redir-broken\r\n:", 33) == 0);
    CU_ASSERT(says(a, "CLIENT TRACKING ON REDIRECT 12345\r\n",
                   "-ERR The client ID you want redirect to does not exist\r\n"));
}

static void test_redirections(void)
{
    each_number_of_workers(redirections);
}

/* Beyond tracking-table-max-keys keys are forgotten, and whoever has read them is told. */
static void bounds(void)
{
    enum { KEYS = 300 };
    static const char *const few[] = {"tracking-table-max-keys", "2", NULL};
    struct rig_client *a = connect3(0);
    char text[40];
    CU_ASSERT(says(a, "CLIENT TRACKING ON\r\n", "+OK\r\n"));
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(text, sizeof text, "GET k%u\r\n", i);
        CU_ASSERT(says(a, text, "_\r\n"));
    }
    rig_reconfigure(&rig, few);
    rig_run(&rig, 20000);
    uint64_t left = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        left += rig.box.worker[i]->env.tracking->keys.n;
    CU_ASSERT_EQUAL(left, 2);
    a->got_len = 0;
}

static void test_the_table_is_bounded(void)
{
    each_number_of_workers(bounds);
}

static bool has(const struct rig_client *c, const char *text)
{
    return memmem(c->got, c->got_len, text, strlen(text)) != NULL;
}

/* One request while the n-th allocation fails. True if it was answered by an error. */
static bool refused(struct rig_client *c, const char *request, long n)
{
    c->got_len = 0;
    fail_at = n;
    rig_exchange(&rig, c, request, strlen(request), 3);
    rig_run(&rig, 5000);
    return has(c, "-ERR");
}

/* Whatever finds no memory, whoever has read a key is told when it changes. */
static void memory(void)
{
    static const char *const modes[] = {"CLIENT TRACKING ON\r\n", "CLIENT TRACKING ON BCAST\r\n",
                                        "CLIENT TRACKING ON BCAST PREFIX b\r\n"};
    for (unsigned mode = 0; mode < 3; mode++) {
        struct rig_client *a = connect3(3 * mode), *p = rig_connect(&rig, 3 * mode + 1);
        bool ran_out = true;
        rig_run(&rig, 5000);
        for (long n = 0; n < 20; n++) {
            refused(a, modes[mode], n);
            fail_at = -1;
            CU_ASSERT_FALSE(refused(a, "CLIENT TRACKING OFF\r\n", -1));
            CU_ASSERT_FALSE(refused(a, modes[mode], -1));
            CU_ASSERT_FALSE(refused(a, "CLIENT TRACKING OFF\r\n", -1));
        }
        CU_ASSERT(says(a, modes[mode], "+OK\r\n"));
        for (long n = 0; ran_out || n < 60; n++) {
            bool read = !refused(a, "GET b\r\n", n % 2 ? -1 : n / 2);
            ran_out = n % 2 || fail_at < 0;
            fail_at = -1;
            rig_run(&rig, 5000);
            bool told = has(a, "invalidate");
            a->got_len = 0;
            bool written = !refused(p, "SET b 1\r\n", n % 2 ? n / 2 : -1) && has(p, "+OK");
            ran_out = n % 2 ? fail_at < 0 : ran_out;
            fail_at = -1;
            rig_run(&rig, 5000);
            told |= has(a, "invalidate");
            CU_ASSERT(told || !written || !read);
        }
    }
}

static void test_without_memory_everybody_is_told(void)
{
    each_number_of_workers(memory);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_keys_that_were_read),
        UNIT(test_options),
        UNIT(test_prefixes),
        UNIT(test_who_is_served_hears_his_reply_first),
        UNIT(test_redirections),
        UNIT(test_the_table_is_bounded),
        UNIT(test_without_memory_everybody_is_told),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/tracking", tests);
}
