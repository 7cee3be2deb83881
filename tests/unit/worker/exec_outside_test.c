/* exec_outside_test.c: what an EXEC with a script that takes long has to do with around it: commands that scripts may not call,
 * which step out of its slices; control, the append-only log, the slow log, CLIENT PAUSE. Whole workers in virtual time.
 * https://redis.io/docs/latest/develop/interact/transactions/ */
#include "exec_rig.h"

#include "channel/messages.h"
#include "job.h"
#include "load.h"

#include <stdlib.h>
#include <sys/mman.h>

/* A library's text may need more stack than a slice has (functions in functions that match patterns), and what lies below it
 * may be another one's: it steps out of the slices of its EXEC. */
static void test_a_library_beside_a_script(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        CU_ASSERT(says(a,
                       "MULTI\r\nEVAL \"return 1\" 0\r\n"
                       "FUNCTION LOAD \"#!lua name=x\\nlocal function f() ('a'):gsub('a',function() f() end) end f()\"\r\n",
                       QUEUED(2)));
        sends(a, "EXEC\r\n");
        for (unsigned i = 0; i < WAITS && !a->got_len; i++)
            rig_run(&rig, 1000);
        static const char error[] = "*2\r\n:1\r\n-ERR Error registering functions: ";
        CU_ASSERT(a->got_len > strlen(error) && memcmp(a->got, error, strlen(error)) == 0);
        CU_ASSERT_EQUAL(rig.counters.v[COUNTER_long_commands] + rig.second_counters.v[COUNTER_long_commands], 1);
        CU_ASSERT(says(b, "PING\r\n", "+PONG\r\n"));
        stop();
    }
}

/* What scripts may not call is run between the slices, on the client itself: what it has made of it holds for the rest of EXEC, and
 * behind it. The scripts around it are ended by nobody but who kills them. */
static void test_what_scripts_may_not_call(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(d, "ACL SETUSER u on nopass ~* &* +@all -get\r\n", "+OK\r\n"));
        CU_ASSERT(says(a,
                       "MULTI\r\nSELECT 2\r\nCLIENT SETNAME one\r\n" ENDLESS "0\r\nCLIENT GETNAME\r\nSET %2$s v\r\n"
                       "FUNCTION LOAD \"#!lua name=m\\nredis.register_function('f',function() return 7 end)\"\r\nFCALL f 0\r\n"
                       "AUTH u x\r\nGET %2$s\r\nACL WHOAMI\r\nPING\r\nCONFIG GET port\r\nSELECT 3\r\nREADONLY\r\nECHO last\r\n",
                       "+OK\r\n" QUEUED_4 QUEUED_4 QUEUED_4 QUEUED_3));
        sends(a, "EXEC\r\n");
        is_in_the_middle();
        sends(b, "INCR n\r\n");
        CU_ASSERT_EQUAL(b->got_len, 0);
        rig_run(&rig, 4 * THRESHOLD_US);
        CU_ASSERT(hears(b, BUSY_SCRIPT));
        CU_ASSERT_EQUAL(a->got_len, 0);
        CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        comes(a, "last\r\n");
        static const char begin[] = "*15\r\n+OK\r\n+OK\r\n" KILLED "$3\r\none\r\n+OK\r\n$1\r\nm\r\n:7\r\n+OK\r\n-NOPERM ";
        CU_ASSERT(a->got_len > strlen(begin) && memcmp(a->got, begin, strlen(begin)) == 0);
        CU_ASSERT(shown(a, "\r\n$1\r\nu\r\n+PONG\r\n") && shown(a, "*2\r\n$4\r\nport\r\n$4\r\n6379\r\n+OK\r\n"));
        a->got_len = 0;
        CU_ASSERT(says(a, "CLIENT GETNAME\r\nACL WHOAMI\r\nEXISTS %2$s\r\nSELECT 2\r\nEXISTS %2$s\r\nCONFIG GET port\r\n",
                       "$3\r\none\r\n$1\r\nu\r\n:0\r\n+OK\r\n:1\r\n*2\r\n$4\r\nport\r\n$4\r\n6379\r\n"));
        stop();
    }
}

/* ... or on one that nobody sees any more. */
static void test_what_scripts_may_not_call_of_a_client_that_goes(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "CLIENT SETNAME one\r\nMULTI\r\n" ENDLESS "0\r\nCLIENT SETNAME two\r\nCLIENT SETINFO lib-name three\r\nCLIENT LIST\r\n"
                          "SET %1$s w\r\n",
                       "+OK\r\n" QUEUED(4) "+QUEUED\r\n"));
        sends(a, "EXEC\r\n");
        is_in_the_middle();
        tcp_abort(a->conn, rig.now_us);
        a->conn = NULL;
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        rig_run(&rig, 2000);
        CU_ASSERT(says(d, "GET %1$s\r\n", "$1\r\nw\r\n"));
        stop();
    }
}

#define LOAD_M "FUNCTION LOAD \"#!lua name=m\\nredis.register_function('f',function() return 7 end)\"\r\n"

/* Nothing of an EXEC that waits, and whose client goes meanwhile, is done. */
static void test_a_client_that_goes_while_it_waits(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "CLIENT SETNAME one\r\n", "+OK\r\n"));
        sends(b, ENDLESS "2 %1$s %2$s\r\n");
        CU_ASSERT(says(d, "PING\r\n", "+PONG\r\n"));
        CU_ASSERT(says(a, "MULTI\r\nCLIENT SETNAME two\r\nHELLO 3 SETNAME three\r\nREADONLY\r\nSET %1$s w\r\n" LOAD_M, QUEUED(4) "+QUEUED\r\n"));
        sends(a, "EXEC\r\n");
        CU_ASSERT_EQUAL(a->got_len, 0);
        tcp_abort(a->conn, rig.now_us);
        a->conn = NULL;
        rig_run(&rig, 2000);
        CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(b, KILLED));
        rig_run(&rig, 2000);
        CU_ASSERT(says(d, "GET %1$s\r\nFUNCTION LIST\r\n", "$-1\r\n*0\r\n"));
        stop();
    }
}

/* An EXEC that waits may do what its user may when it begins. */
static void test_a_user_that_changes_while_it_waits(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        struct rig_client *other = rig_connect(&rig, 6);
        CU_ASSERT(says(d, "ACL SETUSER u on nopass ~* &* +@all\r\n", "+OK\r\n"));
        CU_ASSERT(says(a, "AUTH u x\r\nMULTI\r\nEVAL \"return 7\" 0\r\nSET %1$s w\r\n", "+OK\r\n" QUEUED(2)));
        sends(b, ENDLESS "2 %1$s %2$s\r\n");
        CU_ASSERT(says(d, "PING\r\n", "+PONG\r\n"));
        sends(other, "ACL SETUSER u -set\r\n");
        rig_run(&rig, 2000);
        sends(a, "EXEC\r\n");
        rig_run(&rig, 2000);
        CU_ASSERT(a->got_len == 0 && other->got_len == 0);
        CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(b, KILLED));
        CU_ASSERT(hears(other, "+OK\r\n"));
        comes(a, "NOPERM ");
        static const char begin[] = "*2\r\n:7\r\n-NOPERM ";
        CU_ASSERT(a->got_len > strlen(begin) && memcmp(a->got, begin, strlen(begin)) == 0);
        CU_ASSERT(says(d, "EXISTS %1$s\r\n", ":0\r\n"));
        stop();
    }
}

/* What is pushed to who has just subscribed must not come before the reply that says so: one go, and the threshold ends scripts. */
static void test_who_subscribes_in_it(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\nSUBSCRIBE c\r\n" ENDLESS "0\r\nPING\r\n", QUEUED(3)));
        sends(b, "PUBLISH c m\r\n");
        sends(a, "EXEC\r\n");
        comes(a, "pong");
        static const char begin[] = "*3\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n-ERR ";
        CU_ASSERT(a->got_len > strlen(begin) && memcmp(a->got, begin, strlen(begin)) == 0);
        CU_ASSERT_PTR_NOT_NULL(shown(a, "longer than busy-reply-threshold"));
        CU_ASSERT_EQUAL(rig.counters.v[COUNTER_long_commands] + rig.second_counters.v[COUNTER_long_commands], 0);
        stop();
    }
}

/* ... nor what is pushed in another protocol before the reply that says so: HELLO. */
static void test_who_changes_its_protocol_in_it(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\nHELLO 3\r\n" ENDLESS "0\r\nCONFIG GET port\r\n", QUEUED(3)));
        sends(a, "EXEC\r\n");
        comes(a, "\r\n6379\r\n");
        static const char begin[] = "*3\r\n%7\r\n";
        CU_ASSERT(a->got_len > strlen(begin) && memcmp(a->got, begin, strlen(begin)) == 0);
        CU_ASSERT(shown(a, "longer than busy-reply-threshold") && shown(a, "\r\n%1\r\n$4\r\nport\r\n"));
        CU_ASSERT_EQUAL(rig.counters.v[COUNTER_long_commands] + rig.second_counters.v[COUNTER_long_commands], 0);
        stop();
    }
}

static struct job *control_asks(int argc, const char *const *word)
{
    static const struct client control = {.flags = CLIENT_AUTHENTICATED | CLIENT_INTERNAL};
    struct slice argv[4];
    for (int i = 0; i < argc; i++)
        argv[i] = slice_str(word[i]);
    struct job *j = job_new(JOB_EXEC, 0, &control, argc, argv);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(j, NULL);
    return j;
}

/* Control asks again for a snapshot while it is told BUSY, and says at once that it does not want one, but not before one that
 * it has asked for; the end of a log, and what is loaded, waits. */
static void test_what_control_asks_meanwhile(void)
{
    static const char *const words[3][2] = {{SNAPSHOT_WORD, "begin"}, {SNAPSHOT_WORD, "end"}, {SNAPSHOT_WORD, "nolog"}};
    const struct slice counted = SLICE_LIT("restore-asking");
    start(0);
    worker_snapshot_init();
    struct worker *w = rig.box.worker[0];
    sends(a, ENDLESS "0\r\n");
    rig_run(&rig, THRESHOLD_US);
    CU_ASSERT(says(b, "PING\r\n", BUSY_SCRIPT));
    for (unsigned i = 0; i < 3; i++) {
        struct job *j = control_asks(2, words[i]);
        job_prepare(j, &w->env);
        CU_ASSERT(worker_snapshot_asked(w, j));
        CU_ASSERT_EQUAL(j->rq.cmd->id, command_lookup(1, &counted)->id); /* rejected_calls is not a client's */
        CU_ASSERT_EQUAL(turns_conflict(&w->env, &j->rq, true), i != 1);
        CU_ASSERT_EQUAL(turns_busy(&w->env, &j->rq) != NULL, i == 0);
        job_free(j);
    }
    struct job *both[2];
    for (unsigned i = 0; i < 2; i++) {
        both[i] = control_asks(2, words[i]);
        job_prepare(both[i], &w->env);
        CU_ASSERT(worker_snapshot_asked(w, both[i]));
        w->barrier_first = both[0];
    }
    w->barrier_first = NULL;
    CU_ASSERT_TRUE(turns_conflict(&w->env, &both[1]->rq, true));
    job_free(both[0]);
    job_free(both[1]);
    struct load_batch batch = {.order = LOAD_RECORDS};
    struct job *j = control_asks(1, words[0]);
    j->load = &batch;
    load_prepare(j, &w->env);
    CU_ASSERT_TRUE(turns_conflict(&w->env, &j->rq, true));
    CU_ASSERT_PTR_EQUAL(turns_busy(&w->env, &j->rq), NULL);
    j->load = NULL;
    job_free(j);
    CU_ASSERT(says(b, "SCRIPT KILL\r\n", "+OK\r\n"));
    CU_ASSERT(hears(a, KILLED));
    stop();
}

/* The log gets nothing of an EXEC that is in the middle, and one record of all of it behind its end: also of what steps out. */
static void test_the_log(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        rig.box.bulk = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CU_ASSERT_PTR_NOT_EQUAL_FATAL(rig.box.bulk, MAP_FAILED);
        struct channel_log *log = log_shared(rig.box.bulk);
        worker_log_begin(&rig.box);
        for (unsigned i = 0; i < rig.box.workers; i++)
            worker_log_join(rig.box.worker[i]);
        CU_ASSERT(says(a, "SET n 1\r\n", "+OK\r\n"));
        uint64_t before = __atomic_load_n(&log->order, __ATOMIC_ACQUIRE);
        CU_ASSERT(says(a,
                       "MULTI\r\nSET %1$s v\r\nEVAL \"redis.call('incr',KEYS[1]) return 1\" 1 n\r\n" ENDLESS "0\r\nFUNCTION LOAD "
                       "\"#!lua name=m\\nredis.register_function('f',function() return 7 end)\"\r\n" ENDLESS "0\r\nSET %2$s w\r\n",
                       QUEUED(4) QUEUED_2));
        sends(a, "EXEC\r\n");
        for (unsigned i = 0; i < 2; i++) {
            is_in_the_middle();
            rig_run(&rig, THRESHOLD_US);
            CU_ASSERT_EQUAL(__atomic_load_n(&log->order, __ATOMIC_ACQUIRE), before);
            CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        }
        CU_ASSERT(hears(a, "*6\r\n+OK\r\n:1\r\n" KILLED "$1\r\nm\r\n" KILLED "+OK\r\n"));
        CU_ASSERT_EQUAL(__atomic_load_n(&log->order, __ATOMIC_ACQUIRE), before + 1);
        stop();
        munmap(rig.box.bulk, CHANNEL_BULK_SIZE);
    }
}

/* The slow log has the script, once, with all of its time, and not EXEC. */
static void test_the_slow_log(void)
{
    enum { LEAST_US = 1000 }; /* 3 million turns of a loop */
    static const char *const pairs[] = {"busy-reply-threshold", "0", "slowlog-log-slower-than", "500", NULL};
    for (unsigned several = 0; several < 2; several++) {
        start_with(several, pairs);
        CU_ASSERT(says(a, "MULTI\r\nGET %2$s\r\nEVAL \"local x=0 for i=1,3000000 do x=x+i end return 7\" 1 %1$s\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        CU_ASSERT(hears(a, "*2\r\n$-1\r\n:7\r\n"));
        sends(b, "SLOWLOG GET -1\r\n");
        const uint8_t *eval = comes(b, "\r\n*4\r\n$4\r\nEVAL\r\n");
        CU_ASSERT_PTR_NOT_NULL_FATAL(eval);
        const uint8_t *behind = eval + strlen("\r\n*4\r\n$4\r\nEVAL");
        CU_ASSERT_PTR_NULL(memmem(behind, b->got_len - (size_t)(behind - b->got), "\nEVAL\r", 6));
        CU_ASSERT_PTR_NULL(shown(b, "\nEXEC\r"));
        while (*eval != ':')
            eval--;
        CU_ASSERT(strtoull((const char *)eval + 1, NULL, 10) >= LEAST_US);
        stop();
    }
}

/* CLIENT PAUSE: an EXEC that has begun goes on, one that has not waits; within EXEC it stops who comes behind. */
static void test_a_pause(void)
{
    enum { LONG_MS = 1000000 };
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\nSET %1$s 1\r\n" ENDLESS "0\r\nINCR %2$s\r\n", QUEUED(3)));
        CU_ASSERT(says(d, "MULTI\r\nINCR %2$s\r\nEVAL \"return 7\" 0\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        is_in_the_middle();
        worker_pause(&rig.box.worker[0]->env, PAUSE_WRITE, rig.box.worker[0]->env.now_ms + LONG_MS);
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(says(b, "SCRIPT KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(a, "*3\r\n+OK\r\n" KILLED ":1\r\n"));
        sends(d, "EXEC\r\n");
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT_EQUAL(d->got_len, 0);
        CU_ASSERT(says(b, "GET %2$s\r\nCLIENT UNPAUSE\r\n", "$1\r\n1\r\n+OK\r\n"));
        CU_ASSERT(hears(d, "*2\r\n:2\r\n:7\r\n"));
        CU_ASSERT(says(a, "MULTI\r\nEVAL \"return 7\" 0\r\nCLIENT PAUSE 1000000 WRITE\r\nINCR %2$s\r\n", QUEUED(3)));
        CU_ASSERT(says(a, "EXEC\r\n", "*3\r\n:7\r\n+OK\r\n:3\r\n"));
        sends(d, "INCR %2$s\r\n");
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT_EQUAL(d->got_len, 0);
        CU_ASSERT(says(b, "GET %2$s\r\nCLIENT UNPAUSE\r\n", "$1\r\n3\r\n+OK\r\n"));
        CU_ASSERT(hears(d, ":4\r\n"));
        stop();
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_library_beside_a_script),
        UNIT(test_what_scripts_may_not_call),
        UNIT(test_what_scripts_may_not_call_of_a_client_that_goes),
        UNIT(test_a_client_that_goes_while_it_waits),
        UNIT(test_a_user_that_changes_while_it_waits),
        UNIT(test_who_subscribes_in_it),
        UNIT(test_who_changes_its_protocol_in_it),
        UNIT(test_what_control_asks_meanwhile),
        UNIT(test_the_log),
        UNIT(test_the_slow_log),
        UNIT(test_a_pause),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/exec_outside", tests);
}
