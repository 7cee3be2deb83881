/* exec_script_test.c: scripts inside EXEC that take long, over whole workers in virtual time: EXEC stops in the middle of one with all
 * its shards, others are told, the script can be ended, and the rest goes on.
 * https://redis.io/docs/latest/develop/interact/transactions/ */
#include "exec_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void test_others_are_told_and_end_it(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\nSET %2$s v\r\n" ENDLESS "1 %1$s\r\nINCR n\r\n", QUEUED(3)));
        sends(a, "EXEC\r\n");
        is_in_the_middle();
        sends(d, "GET %2$s\r\n");
        CU_ASSERT_EQUAL(d->got_len, 0);
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(hears(d, BUSY_SCRIPT));
        CU_ASSERT(says(b, "PING\r\n", BUSY_SCRIPT));
        CU_ASSERT(says(d, "GET %1$s\r\nMGET %1$s %2$s\r\n", BUSY_SCRIPT BUSY_SCRIPT));
        CU_ASSERT(says(b, "EXEC\r\n",
                       "-EXECABORT Transaction discarded because of: BUSY Redis is busy running a script. You can only "
                       "call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"));
        CU_ASSERT(says(b, "FUNCTION KILL\r\n", BUSY_SCRIPT));
        CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(a, "*3\r\n+OK\r\n" KILLED ":1\r\n"));
        CU_ASSERT(says(d, "GET %2$s\r\nSCRIPT KILL\r\n",
                       "$1\r\nv\r\n-NOTBUSY No scripts in execution right now.\r\n"));
        stop();
    }
}

/* Each script of an EXEC has the threshold for itself: when one has ended nobody is told for the next one's time. */
static void test_each_script_has_its_time(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\n" ENDLESS "0\r\n" ENDLESS "1 %2$s\r\nEVALSHA " SHA_ENDLESS " 0\r\nSET %1$s 1\r\n",
                       QUEUED(4)));
        sends(a, "EXEC\r\n");
        for (unsigned i = 0; i < 3; i++) {
            is_in_the_middle();
            rig_run(&rig, THRESHOLD_US);
            CU_ASSERT(says(d, "PING\r\n", BUSY_SCRIPT));
            CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        }
        CU_ASSERT(hears(a, "*4\r\n" KILLED KILLED KILLED "+OK\r\n"));
        CU_ASSERT(says(d, "GET %1$s\r\n", "$1\r\n1\r\n"));
        stop();
    }
}

#define LIBRARY "FUNCTION LOAD \"#!lua name=l\\nredis.register_function('f',function() while true do end end)\"\r\n"

static void test_functions(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, LIBRARY, "$1\r\nl\r\n"));
        CU_ASSERT(says(a, "MULTI\r\nFCALL f 1 %2$s x\r\nSET %1$s 1\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(says(d, "PING\r\nSCRIPT KILL\r\nFUNCTION FLUSH\r\n", BUSY_FUNCTION BUSY_FUNCTION BUSY_FUNCTION));
        sends(b, "FUNCTION STATS\r\n");
        char command[REQUEST];
        snprintf(command, sizeof command, "$4\r\nname\r\n$1\r\nf\r\n$7\r\ncommand\r\n*5\r\n$5\r\nFCALL\r\n$1\r\nf\r\n$1\r\n1\r\n$%zu\r\n%s\r\n",
                 strlen(there), there);
        CU_ASSERT(memmem(b->got, b->got_len, command, strlen(command)) != NULL);
        CU_ASSERT(says(d, "FUNCTION KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(a, "*2\r\n-ERR Script killed by user with SCRIPT KILL... script: f, on @user_function:2.\r\n+OK\r\n"));
        stop();
    }
}

/* That EXEC has written before does not matter; that the script has, does. It ends with the box. */
static void test_unkillable(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\nEVAL \"redis.call('set',KEYS[1],'x') while true do end\" 1 %1$s\r\nSET %2$s 1\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(says(d, "SCRIPT KILL\r\n",
                       "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either "
                       "wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.\r\n"));
        CU_ASSERT_EQUAL(a->got_len, 0);
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

/* Its client is gone in the middle: it goes on, to its end. */
static void test_a_client_that_goes(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\nSET %2$s v\r\n" ENDLESS "1 %1$s\r\nSET %1$s w\r\n", QUEUED(3)));
        sends(a, "EXEC\r\n");
        is_in_the_middle();
        tcp_abort(a->conn, rig.now_us);
        a->conn = NULL;
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        rig_run(&rig, 2000);
        CU_ASSERT(says(d, "MGET %1$s %2$s\r\n", "*2\r\n$1\r\nw\r\n$1\r\nv\r\n"));
        stop();
    }
}

/* Nobody sees half of it, whatever it writes between the slices, and who waits for a key is served behind it. */
static void test_nobody_comes_between(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        sends(d, "BLPOP l 0\r\n");
        CU_ASSERT(says(a,
                       "MULTI\r\nINCR %1$s\r\n"
                       "EVAL \"redis.call('rpush','l','a') for i=1,20000 do redis.call('incr',KEYS[1]) end return "
                       "redis.call('get',KEYS[1])\" 1 %1$s\r\nLPOP l\r\nINCR %1$s\r\n",
                       QUEUED(4)));
        sends(a, "EXEC\r\n");
        sends(b, "INCR %1$s\r\n");
        CU_ASSERT(hears(a, "*4\r\n:1\r\n$5\r\n20001\r\n$1\r\na\r\n:20002\r\n"));
        CU_ASSERT(hears(b, ":20003\r\n"));
        CU_ASSERT_EQUAL(d->got_len, 0);
        stop();
    }
}

/* Long commands around a script, and inside it; a large reply of it; a database that is chosen on the way. */
static void test_what_else_takes_long(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        for (unsigned i = 0; i < rig.box.workers; i++) {
            rig.box.worker[i]->turns.each = 1; /* each look is the end of a slice */
            rig.box.worker[i]->env.turn_work = 10;
        }
        CU_ASSERT(says(a,
                       "MULTI\r\nSELECT 3\r\nEVAL \"for i=1,300 do redis.call('sadd',KEYS[1],i) end return "
                       "#redis.call('smembers',KEYS[1])\" 1 %1$s\r\nSUNIONSTORE %2$s %1$s\r\nEVAL \"local t={} for i=1,5 do "
                       "t[i]=redis.call('scard',KEYS[1]) end return t\" 1 %2$s\r\n",
                       "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"));
        sends(a, "EXEC\r\n");
        CU_ASSERT(hears(a, "*4\r\n+OK\r\n:300\r\n:300\r\n*5\r\n:300\r\n:300\r\n:300\r\n:300\r\n:300\r\n"));
        CU_ASSERT(says(a, "SCARD %2$s\r\nSELECT 0\r\nEXISTS %1$s %2$s\r\n", ":300\r\n+OK\r\n:0\r\n"));
        CU_ASSERT(says(a, "MULTI\r\nEVAL \"return string.rep('x',100000)\" 0\r\nEVAL \"return 7\" 0\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        for (unsigned i = 0; i < WAITS && a->got_len < 4 + 9 + 100000 + 2 + 4; i++)
            rig_run(&rig, 1000);
        CU_ASSERT(a->got_len == 4 + 9 + 100000 + 2 + 4 && memcmp(a->got + a->got_len - 7, "x\r\n:7\r\n", 7) == 0);
        stop();
    }
}

/* WATCH is not told to wait: what the script changes behind it is seen by its EXEC. */
static void test_watch_meanwhile(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\n" ENDLESS "0\r\nSET %2$s new\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        sends(d, "WATCH %1$s %2$s\r\n"); /* it waits, until that takes long */
        CU_ASSERT_EQUAL(d->got_len, 0);
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(hears(d, "+OK\r\n"));
        CU_ASSERT(says(b, "WATCH %1$s\r\nWATCH %1$s %2$s\r\nUNWATCH\r\nWATCH %1$s\r\n", "+OK\r\n+OK\r\n+OK\r\n+OK\r\n"));
        CU_ASSERT(says(b, "SCRIPT KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(a, "*2\r\n" KILLED "+OK\r\n"));
        CU_ASSERT(says(d, "MULTI\r\nGET %2$s\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n"));
        CU_ASSERT(says(b, "MULTI\r\nGET %2$s\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n$3\r\nnew\r\n"));
        stop();
    }
}

/* Who watches and EXECs a script is told nil if somebody came before, who need not wait for its place. */
static void test_watched_and_run(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        CU_ASSERT(says(a, "WATCH %2$s\r\nMULTI\r\nEVAL \"return redis.call('get',KEYS[1])\" 1 %2$s\r\nGET %1$s\r\n", "+OK\r\n" QUEUED(2)));
        CU_ASSERT(says(d, "SET %2$s 1\r\n", "+OK\r\n"));
        CU_ASSERT(says(a, "EXEC\r\n", "*-1\r\n"));
        CU_ASSERT(says(a, "WATCH %2$s\r\nMULTI\r\nEVAL \"return redis.call('incr',KEYS[1])\" 1 %2$s\r\nGET %1$s\r\nEXEC\r\n",
                       "+OK\r\n" QUEUED(2) "*2\r\n:2\r\n$-1\r\n"));
        stop();
    }
}

/* The box ends: the script does, and the rest is done. */
static void test_a_stop_in_the_middle(void)
{
    enum { HANGS_S = 120 };
    alarm(HANGS_S);
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\nSET %2$s v\r\n" ENDLESS "0\r\n" ENDLESS "0\r\nSET %1$s w\r\n", QUEUED(4)));
        sends(a, "EXEC\r\n");
        is_in_the_middle();
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
    alarm(0);
}

/* What INFO commandstats says that a command has taken. */
static unsigned long long usec_of(const char *command)
{
    char text[64];
    b->got[b->got_len] = 0;
    snprintf(text, sizeof text, "cmdstat_%s:calls=1,usec=", command);
    const char *at = strstr((const char *)b->got, text);
    return at ? strtoull(at + strlen(text), NULL, 10) : 0;
}

/* A script has its own time, all of it, and not that of others who came between. */
static void test_what_a_script_takes(void)
{
    enum { LEAST_US = 1000 }; /* 3 million turns of a loop, of which the first 50 us are no slice */
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        CU_ASSERT(says(a, "MULTI\r\nEVAL \"local x=0 for i=1,3000000 do x=x+i end return 7\" 1 %1$s\r\nGET %2$s\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        CU_ASSERT(hears(a, "*2\r\n:7\r\n$-1\r\n"));
        sends(b, "INFO commandstats\r\n");
        CU_ASSERT(usec_of("eval") >= LEAST_US);
        CU_ASSERT(usec_of("eval") <= usec_of("exec") + 2); /* each is rounded */
        stop();
    }
}

/* The end of a function is none for what is loaded behind it. */
static void test_a_library_after_a_kill(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, LIBRARY, "$1\r\nl\r\n"));
        sends(a, "FCALL f 0\r\n");
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(says(b, "FUNCTION KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(a, "-ERR Script killed by user with SCRIPT KILL... script: f, on @user_function:2.\r\n"));
        CU_ASSERT(says(a,
                       "FUNCTION LOAD \"#!lua name=m\\nfor i=1,9999 do local x=i end "
                       "redis.register_function('g',function() return 1 end)\"\r\n",
                       "$1\r\nm\r\n"));
        stop();
    }
}

/* That writes are refused from now on takes no EXEC apart that has begun, nor its scripts; the next one is refused whole, also if it
 * only might write (SORT). */
static void test_writes_are_refused_in_the_middle(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start(several);
        CU_ASSERT(says(a, "MULTI\r\n" ENDLESS "0\r\nEVAL \"return redis.call('incr',KEYS[1])\" 1 %1$s\r\nSET %2$s v\r\n", QUEUED(3)));
        CU_ASSERT(says(b, several ? "MULTI\r\nSORT %1$s\r\n" : "MULTI\r\nSET %1$s x\r\n", "+OK\r\n+QUEUED\r\n"));
        sends(a, "EXEC\r\n");
        is_in_the_middle_of(d);
        atomic_store(&rig.box.refuses_writes, true);
        rig_run(&rig, THRESHOLD_US);
        CU_ASSERT(says(d, "SCRIPT KILL\r\n", "+OK\r\n"));
        CU_ASSERT(hears(a, "*3\r\n" KILLED ":1\r\n+OK\r\n"));
        static const char refused[] = "-EXECABORT Transaction discarded because of: MISCONF ";
        sends(b, "EXEC\r\n");
        rig_run(&rig, 10000);
        CU_ASSERT(b->got_len > strlen(refused) && memcmp(b->got, refused, strlen(refused)) == 0);
        CU_ASSERT(says(d, "GET %1$s\r\n", "$1\r\n1\r\n"));
        /* What was refused has not written: the script's next one is refused, too. */
        CU_ASSERT(says(d, "EVAL \"redis.pcall('set', KEYS[1], 2) return redis.pcall('set', KEYS[1], 3).err:sub(1, 7)\" 1 %1$s\r\n", "$7\r\nMISCONF\r\n"));
        CU_ASSERT(says(d, "GET %1$s\r\n", "$1\r\n1\r\n"));
        stop();
    }
}

/* NOLOOP: a client is not told of what its own EXEC has changed, in whatever slice; others' changes it is told. */
static void test_noloop(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        sends(a, "HELLO 3\r\nCLIENT TRACKING ON NOLOOP\r\nMGET %1$s n\r\n");
        rig_run(&rig, 10000);
        a->got_len = 0;
        CU_ASSERT(says(a, "MULTI\r\nEVAL \"for i=1,20000 do redis.call('incr',KEYS[1]) end return 1\" 1 %1$s\r\nSET n 1\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        CU_ASSERT(hears(a, "*2\r\n:1\r\n+OK\r\n"));
        sends(a, "MGET %1$s n\r\n");
        rig_run(&rig, 10000);
        a->got_len = 0;
        CU_ASSERT(says(d, "SET n 2\r\n", "+OK\r\n"));
        CU_ASSERT(hears(a, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nn\r\n"));
        stop();
    }
}

/* MONITOR: EXEC behind its commands, once. */
static void test_monitored(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_without_threshold(several);
        CU_ASSERT(says(d, "MONITOR\r\n", "+OK\r\n"));
        d->got_len = 0;
        CU_ASSERT(says(a, "MULTI\r\nEVAL \"for i=1,200000 do local x=i end return 1\" 0\r\nSET n 1\r\n", QUEUED(2)));
        sends(a, "EXEC\r\n");
        CU_ASSERT(hears(a, "*2\r\n:1\r\n+OK\r\n"));
        comes(d, "\"EXEC\"");
        rig_run(&rig, 10000);
        const uint8_t *exec = shown(d, "\"EXEC\""), *eval = shown(d, "\"EVAL\""), *set = shown(d, "\"SET\"");
        CU_ASSERT(eval && set && exec && eval < set && set < exec);
        CU_ASSERT(exec && !memmem(exec + 1, d->got_len - (size_t)(exec + 1 - d->got), "\"EXEC\"", 6));
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

/* ... and a script once that needs another shard, in the middle on its own or before it has taken long, and begins anew. */
static void test_monitored_anew(void)
{
    static const char *const text[] = {"\"for i=1,200000 do local x=i end return redis.call('exists',ARGV[1])\"",
                                       "\"return redis.call('exists',ARGV[1])\""};
    for (unsigned i = 0; i < 4; i++) {
        char line[REQUEST];
        start_without_threshold(i & 1);
        snprintf(line, sizeof line, "SCRIPT LOAD %s\r\n", text[i / 2]);
        sends(a, line);
        CU_ASSERT_PTR_NOT_NULL(comes(a, "$40\r\n"));
        CU_ASSERT(says(d, "MONITOR\r\n", "+OK\r\n"));
        d->got_len = 0;
        snprintf(line, sizeof line, "EVAL %s 1 %%1$s %%2$s\r\n", text[i / 2]);
        sends(a, line);
        CU_ASSERT(hears(a, ":0\r\n"));
        CU_ASSERT_PTR_NOT_NULL(comes(d, "\"exists\""));
        rig_run(&rig, 10000);
        const uint8_t *eval = shown(d, "\"EVAL\"");
        CU_ASSERT(eval && !memmem(eval + 1, d->got_len - (size_t)(eval + 1 - d->got), "\"EVAL\"", 6));
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_others_are_told_and_end_it),
        UNIT(test_each_script_has_its_time),
        UNIT(test_functions),
        UNIT(test_unkillable),
        UNIT(test_a_client_that_goes),
        UNIT(test_nobody_comes_between),
        UNIT(test_what_else_takes_long),
        UNIT(test_watch_meanwhile),
        UNIT(test_watched_and_run),
        UNIT(test_what_a_script_takes),
        UNIT(test_a_library_after_a_kill),
        UNIT(test_writes_are_refused_in_the_middle),
        UNIT(test_noloop),
        UNIT(test_monitored),
        UNIT(test_monitored_anew),
        UNIT(test_a_stop_in_the_middle),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/exec_script", tests);
}
