/* block_shards_test.c: a waiter for keys of several shards that is served on one of them: its worker leaves the other shard alone
 * while the other worker runs, whoever wants to know of changes; and a move between shards, which has all stopped, is told whole. */
#undef _FORTIFY_SOURCE /* formats that leave out arguments end a program with it */
#include "box_rig.h"
#include "channel/messages.h"
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    DECOY = 1 << 20, /* bytes; more than a struct shard */
    WATCHED = OBSERVE_EVENTS | OBSERVE_TRACKING | OBSERVE_LOG | OBSERVE_SNAPSHOT
};

static struct box_rig lane[2];
static struct rig_client *waits, *writes, *listens;

/* -- two workers, each with rounds of its own */

/* Both run, or the first one alone. */
static void run(bool both)
{
    for (unsigned i = 0; i < 300; i++) {
        lane[0].now_us += 20;
        rig_round(&lane[0]);
        lane[1].now_us = lane[0].now_us;
        if (both)
            rig_round(&lane[1]);
    }
}

/* -- a shard that nobody may touch: whoever does is counted */

static void *decoy;
static volatile sig_atomic_t touched;

static void note_touch(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if ((uintptr_t)info->si_addr - (uintptr_t)decoy >= DECOY || mprotect(decoy, DECOY, PROT_READ | PROT_WRITE) != 0) {
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL); /* not ours: it happens again, and ends us */
        return;
    }
    touched++;
}

/* The first worker alone, as if the other one were in the middle of something. */
static void run_guarded(void)
{
    struct shard **shard = &lane[0].box.ks->shard[1], *real = *shard;
    const struct sigaction ours = {.sa_sigaction = note_touch, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    touched = 0;
    decoy = mmap(NULL, DECOY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(decoy, MAP_FAILED);
    sigaction(SIGSEGV, &ours, &before);
    *shard = decoy;
    run(false);
    *shard = real;
    sigaction(SIGSEGV, &before, NULL);
    munmap(decoy, DECOY);
    CU_ASSERT_EQUAL(touched, 0);
}

/* -- what is asked, told and logged */

/* %1$s and %2$s are keys of the first shard, %3$s one of the second. */
static const char *fill(const char *format)
{
    static char text[8][1000];
    static unsigned turn;
    char *t = text[turn++ % 8];
    snprintf(t, sizeof text[0], format, rig_key(&lane[0], 0, 0), rig_key(&lane[0], 0, 1), rig_key(&lane[0], 1, 0));
    return t;
}

static void ask(struct rig_client *c, const char *format)
{
    c->got_len = 0;
    rig_send(c, fill(format));
    run(true);
}

static bool got(struct rig_client *c, const char *format)
{
    const char *expected = fill(format);
    bool same = c->got_len == strlen(expected) && memcmp(c->got, expected, c->got_len) == 0;
    if (!same)
        printf("# expected: %s\n# got: %.*s\n", expected, (int)c->got_len, (char *)c->got);
    c->got_len = 0;
    return same;
}

static struct ring_end log_ring; /* of the first worker */

static void begin_log(struct box *box)
{
    box->bulk = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(box->bulk, MAP_FAILED);
    worker_log_begin(box);
    for (unsigned i = 0; i < box->workers; i++)
        worker_log_join(box->worker[i]);
    log_ring = log_to_control(box->bulk, 0);
}

/* Is this all that the first worker has logged since it was last asked? Control, which takes it, is the test. */
static bool logged(const char *format)
{
    enum { HEAD = 1 + 8 + 4 + 1 };
    static uint8_t message[CHANNEL_MESSAGE_MAX];
    char text[1000] = "";
    bool wake;
    for (size_t len; ring_get(&log_ring, message, &len, &wake) == RING_OK;)
        if (message[0] == LOG_PART)
            strncat(text, (const char *)message + HEAD, len - HEAD);
    if (strcmp(text, fill(format)) != 0)
        printf("# expected: %s\n# logged: %s\n", fill(format), text);
    return strcmp(text, fill(format)) == 0;
}

/* Two clients of the first worker, and one that hears of all events. */
static void start(void)
{
    static const char *const pairs[] = {"workers", "2", "notify-keyspace-events", "EA", NULL};
    rig_start_lanes(lane, 2, pairs);
    begin_log(&lane[0].box);
    waits = rig_connect(&lane[0], 0);
    writes = rig_connect(&lane[0], 1);
    listens = rig_connect(&lane[0], 2);
    ask(listens, "PSUBSCRIBE __key*\r\n");
    ask(waits, "HELLO 3\r\nCLIENT TRACKING ON NOLOOP\r\n");
    lane[0].box.worker[0]->env.observers |= OBSERVE_SNAPSHOT;
    CU_ASSERT_EQUAL(lane[0].box.worker[0]->env.observers & WATCHED, WATCHED);
}

static void stop(void)
{
    for (unsigned i = 0; i < 2; i++)
        rig_hang_up(&lane[i]);
    for (unsigned i = 0; i < 40; i++) /* until what the connections leave behind has gone */
        run(true);
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(lane[0].box.worker[i]->blocking.clients, 0);
        CU_ASSERT_EQUAL(lane[0].box.worker[i]->waits->keys, 0);
    }
    munmap(lane[0].box.bulk, CHANNEL_BULK_SIZE);
    lane[0].box.bulk = NULL;
    CU_ASSERT_TRUE(rig_stop_lanes(lane, 2));
}

static bool heard(const char *event)
{
    listens->got[listens->got_len] = 0;
    bool is = strstr((const char *)listens->got, fill(event)) != NULL;
    if (!is)
        printf("# heard: %s\n", listens->got);
    return is;
}

/* -- */

#define A     "$1\r\na\r\n"
#define K     "$2\r\n%1$s\r\n"
#define RPUSH "*3\r\n$5\r\nRPUSH\r\n" K A
#define ZADD  "*4\r\n$4\r\nZADD\r\n" K "$1\r\n1\r\n" A
#define XADD  "*5\r\n$4\r\nXADD\r\n" K "$3\r\n1-1\r\n" A "$1\r\nb\r\n"
#define GONE  ">2\r\n$10\r\ninvalidate\r\n*1\r\n" K
#define ENTRY "%%1\r\n" K "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n" A "$1\r\nb\r\n"

static const struct row {
    const char *waits, *writes; /* requests */
    const char *reply, *event, *record;
} rows[] = {
    {"BLPOP %3$s %1$s 0\r\n", "RPUSH %1$s a\r\n", "*2\r\n" K A, ":lpop\r\n" K, RPUSH "*2\r\n$4\r\nLPOP\r\n" K},
    {"BRPOP %1$s %3$s 0\r\n", "RPUSH %1$s a\r\n", "*2\r\n" K A, ":rpop\r\n" K, RPUSH "*2\r\n$4\r\nRPOP\r\n" K},
    {"BLMPOP 0 2 %3$s %1$s LEFT\r\n", "RPUSH %1$s a\r\n", "*2\r\n" K "*1\r\n" A, ":lpop\r\n" K,
     RPUSH "*4\r\n$5\r\nLMPOP\r\n$1\r\n1\r\n" K "$4\r\nLEFT\r\n"},
    {"BZPOPMIN %3$s %1$s 0\r\n", "ZADD %1$s 1 a\r\n", "*3\r\n" K A ",1\r\n", ":zpopmin\r\n" K,
     ZADD "*2\r\n$7\r\nZPOPMIN\r\n" K},
    {"BZMPOP 0 2 %3$s %1$s MAX\r\n", "ZADD %1$s 1 a\r\n", "*2\r\n" K "*1\r\n*2\r\n" A ",1\r\n", ":zpopmax\r\n" K,
     ZADD "*4\r\n$5\r\nZMPOP\r\n$1\r\n1\r\n" K "$3\r\nMAX\r\n"},
    {"XREAD BLOCK 0 STREAMS %3$s %1$s $ $\r\n", "XADD %1$s 1-1 a b\r\n", GONE ENTRY, ":xadd\r\n" K, XADD},
};

static void test_who_is_served_on_one_shard_leaves_the_other_alone(void)
{
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        start();
        ask(waits, r->waits);
        CU_ASSERT(got(waits, ""));
        CU_ASSERT_EQUAL(lane[0].box.worker[1]->waits->keys, 1);
        CU_ASSERT(logged(""));
        rig_send(writes, fill(r->writes));
        run_guarded();
        CU_ASSERT(logged(r->record));
        run(true); /* what is left of who waited, in the other shard, goes */
        CU_ASSERT(got(waits, r->reply));
        CU_ASSERT(heard(r->event));
        CU_ASSERT_EQUAL(lane[0].box.worker[1]->waits->keys, 0);
        stop();
    }
}

/* It names the shard where it goes, and runs there. */
static void test_an_exec_on_its_way_leaves_the_other_alone(void)
{
    start();
    rig_send(writes, fill("MULTI\r\nSET %3$s a\r\nEXEC\r\n"));
    run_guarded();
    run(true);
    CU_ASSERT(got(writes, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"));
    CU_ASSERT(heard(":set\r\n$2\r\n%3$s\r\n"));
    stop();
}

static void test_a_move_between_shards_is_told_and_logged_whole(void)
{
    start();
    ask(waits, "BLMOVE %1$s %3$s LEFT RIGHT 0\r\n");
    ask(writes, "RPUSH %1$s a\r\n");
    CU_ASSERT(got(waits, A));
    CU_ASSERT(heard(":lpop\r\n" K));
    CU_ASSERT(heard(":rpush\r\n$2\r\n%3$s\r\n"));
    CU_ASSERT(logged(RPUSH "*5\r\n$5\r\nLMOVE\r\n" K "$2\r\n%3$s\r\n$4\r\nLEFT\r\n$5\r\nRIGHT\r\n"));
    stop();
}

/* Served with all others stopped, by whoever has stopped them. */
static void test_what_a_rename_makes_ready_is_told_and_logged(void)
{
    start();
    ask(waits, "BLPOP %1$s %2$s 0\r\n");
    ask(writes, "RPUSH %3$s a\r\nRENAME %3$s %1$s\r\n");
    CU_ASSERT(got(waits, "*2\r\n" K A));
    CU_ASSERT(heard(":lpop\r\n" K));
    CU_ASSERT(logged("*3\r\n$6\r\nRENAME\r\n$2\r\n%3$s\r\n" K "*2\r\n$4\r\nLPOP\r\n" K));
    stop();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_who_is_served_on_one_shard_leaves_the_other_alone),
        UNIT(test_an_exec_on_its_way_leaves_the_other_alone),
        UNIT(test_a_move_between_shards_is_told_and_logged_whole),
        UNIT(test_what_a_rename_makes_ready_is_told_and_logged),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/block_shards", tests);
}
