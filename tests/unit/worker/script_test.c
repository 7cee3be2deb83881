/* script_test.c: scripts over whole workers in virtual time: their keys on this worker, on another one, on
 * both, undeclared; known texts and new ones; inside EXEC and without replies.
 * https://redis.io/docs/latest/develop/interact/programmability/eval-intro/ */
#undef _FORTIFY_SOURCE /* formats that leave out arguments (%2$s alone) end a program with it */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct box_rig rig;
static const char *const one[] = {"workers", "1", NULL}, *const two[] = {"workers", "2", NULL};
static const char *here, *there; /* a key of each shard; of one worker's alone: two keys */

/* %1$s is `here`, %2$s `there`. */
static bool says(struct rig_client *c, const char *format, const char *expected)
{
    char request[1200], reply[1200];
    snprintf(request, sizeof request, format, here, there);
    snprintf(reply, sizeof reply, expected, here, there);
    return rig_says(&rig, c, request, reply);
}

static void each_number_of_workers(void (*test)(struct rig_client *c))
{
    const char *const *const pairs[] = {one, two};
    for (unsigned n = 0; n < 2; n++)
        for (unsigned client = 0; client < 2; client++) {
            rig_start(&rig, pairs[n], NULL);
            here = rig_key(&rig, 0, 0);
            there = rig_key(&rig, 1, 1);
            test(rig_connect(&rig, client));
            CU_ASSERT_TRUE(rig_stop(&rig));
        }
}

#define SET_GET "\"redis.call('set',KEYS[1],ARGV[1]) return redis.call('get',KEYS[1])\""

static void declared(struct rig_client *c)
{
    for (unsigned i = 0; i < 3; i++) { /* new, and known to all */
        CU_ASSERT(says(c, "EVAL " SET_GET " 1 %1$s a\r\n", "$1\r\na\r\n"));
        CU_ASSERT(says(c, "EVAL " SET_GET " 1 %2$s b\r\n", "$1\r\nb\r\n"));
        CU_ASSERT(says(c, "EVAL \"return redis.call('mget',KEYS[1],KEYS[2])\" 2 %1$s %2$s\r\n",
                       "*2\r\n$1\r\na\r\n$1\r\nb\r\n"));
        CU_ASSERT(says(c, "EVAL_RO \"return redis.call('get',KEYS[1])\" 1 %2$s\r\n", "$1\r\nb\r\n"));
        CU_ASSERT(says(c, "EVAL \"#!lua\\nreturn redis.call('append',KEYS[1],'')\" 1 %2$s\r\n", ":1\r\n"));
    }
}

static void test_declared_keys(void)
{
    each_number_of_workers(declared);
}

static void undeclared(struct rig_client *c)
{
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT(says(c, "EVAL \"return redis.call('mset','%1$s','a','%2$s','b')\" 0\r\n", "+OK\r\n"));
        CU_ASSERT(says(c, "EVAL \"return redis.call('get','%2$s')\" 1 %1$s\r\n", "$1\r\nb\r\n"));
        CU_ASSERT(says(c, "EVAL \"return redis.call('get','%1$s')\" 1 %2$s\r\n", "$1\r\na\r\n"));
        CU_ASSERT(says(
            c, "EVAL \"pcall(redis.call,'get','%1$s') pcall(redis.call,'get','%2$s') return 1\" 1 %2$s\r\n",
            ":1\r\n"));
        CU_ASSERT(says(c,
                       "EVAL \"redis.call('append','%1$s','x') redis.call('append','%2$s','x') return "
                       "redis.call('strlen','%1$s')+redis.call('strlen','%2$s')\" 1 %2$s\r\n",
                       ":4\r\n"));
        CU_ASSERT(says(c, "EVAL \"return redis.call('dbsize')\" 1 %2$s\r\n", ":2\r\n"));
        CU_ASSERT(says(c, "EVAL \"return {redis.call('flushall'),redis.call('dbsize')}\" 1 %2$s\r\n",
                       "*2\r\n+OK\r\n:0\r\n"));
    }
}

static void test_undeclared_keys(void)
{
    each_number_of_workers(undeclared);
}

/* A script that says it names no other keys, and does after it has written, is told so; before, it is not. */
static void test_what_cannot_start_anew(void)
{
    rig_start(&rig, two, NULL);
    here = rig_key(&rig, 0, 0);
    there = rig_key(&rig, 1, 1);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT(says(c, "SET %2$s b\r\n", "+OK\r\n"));
    CU_ASSERT(says(c, "SCRIPT LOAD \"return 1\"\r\n", "$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n"));
    const char *text = "EVAL \"#!lua\\nlocal late=ARGV[1] if late then redis.call('set',KEYS[1],'a') return "
                       "redis.pcall('get','%2$s').err end return 1\" 1 %1$s";
    char request[400];
    snprintf(request, sizeof request, "%s\r\n", text);
    CU_ASSERT(says(c, request, ":1\r\n"));
    snprintf(request, sizeof request, "%s late\r\n", text);
    CU_ASSERT(
        says(c, request,
             "$122\r\nERR Script has written and names a key of another shard now: declare it, or give the "
             "script the flag allow-cross-slot-keys\r\n"));
    CU_ASSERT(says(c, "GET %1$s\r\n", "$1\r\na\r\n"));
    CU_ASSERT(says(
        c,
        "EVAL \"#!lua\\nlocal v=redis.call('get','%2$s') redis.call('set',KEYS[1],v) return v\" 1 %1$s\r\n",
        "$1\r\nb\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void cached(struct rig_client *c)
{
    CU_ASSERT(says(c, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 %2$s\r\n",
                   "-NOSCRIPT No matching script. Please use EVAL.\r\n"));
    CU_ASSERT(says(
        c,
        "SCRIPT LOAD \"return 1\"\r\nEVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 %1$s\r\n"
        "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 %2$s\r\nEVALSHA "
        "E0e1f9fabfc9d4800c877a703b823ac0578ff8db 0\r\nSCRIPT FLUSH\r\nEVALSHA "
        "e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 %2$s\r\n",
        "$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n:1\r\n:1\r\n:1\r\n+OK\r\n-NOSCRIPT No matching "
        "script. Please use EVAL.\r\n"));
    CU_ASSERT(says(c, "EVAL \"return 1\" 0\r\nEVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 %2$s\r\n",
                   ":1\r\n:1\r\n"));
}

static void test_the_cache_is_everybodys(void)
{
    each_number_of_workers(cached);
}

static void in_exec(struct rig_client *c)
{
    CU_ASSERT(says(c,
                   "MULTI\r\nEVAL " SET_GET
                   " 1 %2$s x\r\nEVAL \"return redis.call('get','%2$s')\" 1 %1$s\r\nGET "
                   "%2$s\r\nEXEC\r\n",
                   "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n"));
    CU_ASSERT(says(c,
                   "CLIENT REPLY SKIP\r\nEVAL " SET_GET
                   " 1 %2$s y\r\nPING\r\nCLIENT REPLY OFF\r\nEVAL " SET_GET " 0 z\r\nEVAL " SET_GET
                   " 1 %1$s z\r\nCLIENT REPLY ON\r\nMGET %1$s %2$s\r\n",
                   "+PONG\r\n+OK\r\n*2\r\n$1\r\nz\r\n$1\r\ny\r\n"));
    CU_ASSERT(
        says(c, "SELECT 3\r\nEVAL " SET_GET " 1 %2$s three\r\nEVAL \"return redis.call('select',4)\" 0\r\n",
             "+OK\r\n$5\r\nthree\r\n+OK\r\n"));
    CU_ASSERT(says(c, "GET %2$s\r\nSELECT 0\r\nGET %2$s\r\n", "$5\r\nthree\r\n+OK\r\n$1\r\ny\r\n"));
}

static void test_in_exec_and_unheard(void)
{
    each_number_of_workers(in_exec);
}

/* What a script pushes serves who waits for it, after it. */
static void test_waiting_clients_are_served(void)
{
    rig_start(&rig, two, NULL);
    here = rig_key(&rig, 0, 0);
    there = rig_key(&rig, 1, 1);
    struct rig_client *c = rig_connect(&rig, 0), *d = rig_connect(&rig, 1);
    char request[200];
    snprintf(request, sizeof request, "BLPOP %s 0\r\n", there);
    rig_exchange(&rig, d, request, strlen(request), 0);
    CU_ASSERT(says(c, "EVAL \"redis.call('rpush',KEYS[1],'a') return redis.call('llen',KEYS[1])\" 1 %2$s\r\n",
                   ":1\r\n"));
    rig_run(&rig, 3000);
    snprintf(request, sizeof request, "*2\r\n$2\r\n%s\r\n$1\r\na\r\n", there);
    CU_ASSERT_EQUAL(d->got_len, strlen(request));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- scripts that take long -- */

static const char *const one_patient[] = {"workers", "1", "busy-reply-threshold", "50", NULL};
static const char *const two_patient[] = {"workers", "2", "busy-reply-threshold", "50", NULL};
#define BUSY_SCRIPT                                                                                          \
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
#define BUSY_FUNCTION                                                                                        \
    "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n"
#define ENDLESS "EVAL \"while true do end\" "

static void start_patient(bool several)
{
    rig_start(&rig, several ? two_patient : one_patient, NULL);
    here = rig_key(&rig, 0, 0);
    there = rig_key(&rig, 1, 1);
}

/* Sends without waiting for a reply. */
static void sends(struct rig_client *c, const char *format)
{
    static char request[2][400];
    char *text = request[c != &rig.client[0]];
    snprintf(text, sizeof request[0], format, here, there);
    c->got_len = 0;
    rig_exchange(&rig, c, text, strlen(text), 0);
    rig_run(&rig, 2000);
}

/* What has come, now or soon, contains a text. */
static bool has_got(struct rig_client *c, const char *part)
{
    char text[1000];
    for (unsigned i = 0; i < 100 && c->got_len == 0; i++)
        rig_run(&rig, 1000);
    size_t n = c->got_len < sizeof text - 1 ? c->got_len : sizeof text - 1;
    memcpy(text, c->got, n);
    text[n] = 0;
    bool found = strstr(text, part) != NULL;
    if (!found)
        printf("# got: %s\n# not in it: %s\n", text, part);
    return found;
}

/* Others are served, or told, and can end it. */
static void test_busy_and_killed(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_patient(several);
        struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 2), *d = rig_connect(&rig, 4);
        CU_ASSERT(says(a, "SET %1$s v\r\n", "+OK\r\n"));
        sends(a, ENDLESS "1 %1$s\r\n");
        CU_ASSERT(says(b, "PING\r\n", "+PONG\r\n"));
        sends(d, "GET %1$s\r\n");
        CU_ASSERT_EQUAL(d->got_len, 0);
        rig_run(&rig, 60000);
        CU_ASSERT(has_got(d, BUSY_SCRIPT));
        CU_ASSERT(says(b, "PING\r\n", BUSY_SCRIPT));
        CU_ASSERT(says(b, "GET %1$s\r\n", BUSY_SCRIPT));
        CU_ASSERT(says(b, "NOSUCH\r\n", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"));
        CU_ASSERT(says(b, "MULTI\r\nGET %1$s\r\n", "+OK\r\n" BUSY_SCRIPT));
        CU_ASSERT(
            says(b, "EXEC\r\n",
                 "-EXECABORT Transaction discarded because of: BUSY Redis is busy running a script. You can "
                 "only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"));
        CU_ASSERT(says(b, "FUNCTION KILL\r\n", BUSY_SCRIPT));
        CU_ASSERT(says(b, "FUNCTION STATS\r\n", BUSY_SCRIPT));
        CU_ASSERT(says(b, "SCRIPT KILL\r\n", "+OK\r\n"));
        CU_ASSERT(has_got(a, "-ERR Script killed by user with SCRIPT KILL... script: "));
        CU_ASSERT(says(b, "GET %1$s\r\nSCRIPT KILL\r\n",
                       "$1\r\nv\r\n-NOTBUSY No scripts in execution right now.\r\n"));
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

/* Its shard alone waits for it; one that names no key keeps all, on any worker. */
static void test_other_shards_go_on(void)
{
    start_patient(true);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *d = rig_connect(&rig, 3);
    CU_ASSERT(says(a, "SCRIPT LOAD \"while true do end\"\r\n",
                   "$40\r\n694a5fe1ddb97a4c6a1bf299d9537c7d3d0f84e7\r\n"));
    sends(a, ENDLESS "1 %1$s\r\n");
    rig_run(&rig, 60000);
    CU_ASSERT(says(b, "SET %2$s w\r\nPING\r\n", "+OK\r\n+PONG\r\n"));
    CU_ASSERT(says(b, "GET %1$s\r\n", BUSY_SCRIPT));
    CU_ASSERT(says(b, "MGET %1$s %2$s\r\n", BUSY_SCRIPT));
    CU_ASSERT(says(b, "DBSIZE\r\n", BUSY_SCRIPT));
    CU_ASSERT(says(b, "SCRIPT KILL\r\n", "+OK\r\n"));
    CU_ASSERT(has_got(a, "-ERR Script killed by user"));
    sends(a, ENDLESS "0\r\n");
    sends(d, "GET %2$s\r\n");
    CU_ASSERT(says(b, "PING\r\n", "+PONG\r\n"));
    rig_run(&rig, 60000);
    CU_ASSERT(has_got(d, BUSY_SCRIPT));
    CU_ASSERT(says(b, "PING\r\n", BUSY_SCRIPT));
    CU_ASSERT(says(b, "SCRIPT KILL\r\n", "+OK\r\n"));
    CU_ASSERT(has_got(a, "-ERR Script killed by user"));
    CU_ASSERT(says(b, "MGET %1$s %2$s\r\n", "*2\r\n$-1\r\n$1\r\nw\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* One that has written cannot be killed, but goes when the box does. */
static void test_unkillable(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_patient(several);
        struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 2);
        sends(a, "EVAL \"redis.call('set',KEYS[1],'x') while true do end\" 1 %1$s\r\n");
        rig_run(&rig, 60000);
        CU_ASSERT(says(
            b, "SCRIPT KILL\r\n",
            "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can "
            "either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE "
            "command.\r\n"));
        CU_ASSERT_EQUAL(a->got_len, 0);
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

/* A stop ends the one in the middle, and does not wait for one that would begin then and never end. */
static void test_a_stop_begins_no_script(void)
{
    enum { HANGS_S = 60 };
    alarm(HANGS_S);
    for (unsigned i = 0; i < 4; i++) {
        start_patient(i / 2);
        struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *d = rig_connect(&rig, 2);
        CU_ASSERT(says(d, "WATCH %1$s %2$s\r\nMULTI\r\nINCR %1$s\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n"));
        sends(a, i % 2 ? "EVAL \"redis.call('set',KEYS[1],'x') while true do end\" 1 %1$s\r\n"
                       : ENDLESS "1 %1$s\r\n");
        sends(b, ENDLESS "1 %1$s\r\n");
        rig_exchange(&rig, d, "EXEC\r\n", 6, 0);
        rig_run(&rig, 2000);
        CU_ASSERT_PTR_NOT_NULL(rig.box.worker[0]->turns.waiting_first);
        CU_ASSERT_EQUAL(a->got_len + b->got_len, 0);
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
    alarm(0);
}

static void test_functions_are_killed_by_their_own_command(void)
{
    for (unsigned several = 0; several < 2; several++) {
        start_patient(several);
        struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 2);
        CU_ASSERT(says(a,
                       "FUNCTION LOAD \"#!lua name=l\\nredis.register_function('f',function() while true do "
                       "end end)\"\r\n",
                       "$1\r\nl\r\n"));
        sends(a, "FCALL f 1 %1$s x\r\n");
        rig_run(&rig, 60000);
        CU_ASSERT(says(b, "PING\r\n", BUSY_FUNCTION));
        CU_ASSERT(says(b, "SCRIPT KILL\r\n", BUSY_FUNCTION));
        CU_ASSERT(says(b, "FUNCTION FLUSH\r\n", BUSY_FUNCTION));
        sends(b, "FUNCTION STATS\r\n");
        CU_ASSERT(has_got(b, "$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n$1\r\nf\r\n$7\r\ncommand\r\n*"
                             "5\r\n$5\r\nFCALL\r\n"));
        b->got_len = 0;
        CU_ASSERT(says(b, "FUNCTION KILL\r\n", "+OK\r\n"));
        CU_ASSERT(
            has_got(a, "-ERR Script killed by user with SCRIPT KILL... script: f, on @user_function:2."));
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

/* Nobody sees it half done, and who waits for a key is served when it has ended. */
static void test_nobody_comes_between(void)
{
    static const char *const kinds[] = {"1 %1$s\r\n", "0\r\n"};
    for (unsigned i = 0; i < 4; i++) {
        rig_start(&rig, i / 2 ? two : one, NULL);
        here = rig_key(&rig, 0, 0);
        there = rig_key(&rig, 1, 1);
        struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *d = rig_connect(&rig, 3);
        char request[300], text[300];
        snprintf(text, sizeof text, "BLPOP %s 0\r\n", "l{%1$s}");
        sends(d, text);
        snprintf(request, sizeof request,
                 "EVAL \"local k,l='%%1$s','l{%%1$s}' redis.call('rpush',l,'a') for i=1,20000 do "
                 "redis.call('incr',k) "
                 "end return {redis.call('get',k),redis.call('lpop',l)}\" %s",
                 kinds[i % 2]);
        sends(a, request);
        sends(b, "INCR %1$s\r\n");
        CU_ASSERT(has_got(a, "*2\r\n$5\r\n20000\r\n$1\r\na\r\n"));
        CU_ASSERT(has_got(b, ":20001\r\n"));
        CU_ASSERT_EQUAL(d->got_len, 0);
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

#define SOME_MS "for i=1,600000 do x=x+i end " /* more than one, and many slices */
#define EXPIRES(THEN)                                                                                        \
    "local k,x=KEYS[1],0 " SOME_MS "redis.call('rpush',k,'a') redis.call('pexpire',k,1) " SOME_MS THEN       \
    "return redis.call('llen',k)"

/* A script in slices makes a key whose time is over meanwhile, and sees it to its end; one or two workers, a key here or
 * there. Somebody waits for the key, who is looked at between the slices, and gets `served` ("": nothing). */
static void play_waiter(const char *eval_here, const char *eval_there, const char *served)
{
    for (unsigned i = 0; i < 4; i++) {
        rig_start(&rig, i / 2 ? two : one, NULL);
        here = rig_key(&rig, 0, 0);
        there = rig_key(&rig, 1, 1);
        struct rig_client *a = rig_connect(&rig, 0), *d = rig_connect(&rig, 3);
        sends(d, i % 2 ? "BLPOP %2$s 0\r\n" : "BLPOP %1$s 0\r\n");
        sends(a, i % 2 ? eval_there : eval_here);
        CU_ASSERT(has_got(a, ":1\r\n"));
        CU_ASSERT(*served ? has_got(d, served) : d->got_len == 0);
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

/* Time stands still for it. */
static void test_nothing_goes_between_its_slices(void)
{
    play_waiter("EVAL \"" EXPIRES("") "\" 1 %1$s\r\n", "EVAL \"" EXPIRES("") "\" 1 %2$s\r\n", "");
}

/* And if the key stays after all, who waits for it has it. */
static void test_who_waits_is_served_what_stays(void)
{
#define STAYS EXPIRES("redis.call('persist',k) ")
    play_waiter("EVAL \"" STAYS "\" 1 %1$s\r\n", "EVAL \"" STAYS "\" 1 %2$s\r\n", "\r\n$1\r\na\r\n");
}

static struct box_rig lanes[2];

static void lanes_run(unsigned first, unsigned last)
{
    for (unsigned i = 0; i < 100; i++)
        for (unsigned n = first; n <= last; n++) {
            lanes[n].now_us += 20;
            rig_round(&lanes[n]);
        }
}

/* The script is new, and goes to the worker of its key, which needs all stopped for it. Its client is gone by then: it
 * must not run at home, with nobody stopped. */
static void test_a_client_that_is_gone_before_its_script_begins(void)
{
    char script[200], get[40];
    rig_start_lanes(lanes, 2, two);
    here = rig_key(&lanes[0], 0, 0);
    there = rig_key(&lanes[0], 1, 0);
    snprintf(script, sizeof script, "EVAL \"return redis.call('set','%s','x')\" 1 %s\r\n", here, there);
    snprintf(get, sizeof get, "GET %s\r\n", here);
    struct rig_client *c = rig_connect(&lanes[0], 0), *other = rig_connect(&lanes[0], 1);
    rig_send(c, script);
    lanes_run(0, 0);
    tcp_abort(c->conn, lanes[0].now_us);
    c->conn = NULL;
    lanes_run(0, 0);
    lanes_run(0, 1);
    rig_send(other, get);
    lanes_run(0, 1);
    CU_ASSERT(other->got_len == 5 && memcmp(other->got, "$-1\r\n", 5) == 0);
    CU_ASSERT_TRUE(rig_stop_lanes(lanes, 2));
}

/* A text is compiled where it comes, and then begins anew where its keys are; a long command is looked at, and then done in slices. */
static void test_what_runs_in_two_steps_is_in_the_slow_log_once(void)
{
    static const char *const pairs[] = {"workers", "2", "slowlog-log-slower-than", "0", NULL};
    rig_start(&rig, pairs, NULL);
    here = rig_key(&rig, 0, 0);
    there = rig_key(&rig, 1, 1);
    for (unsigned i = 0; i < 2; i++) {
        struct rig_client *c = rig_connect(&rig, i);
        CU_ASSERT(says(c, i ? "EVAL \"for i=1,3000 do redis.call('sadd',KEYS[1],i) end\" 1 %2$s\r\n"
                            : "EVAL \"for i=1,3000 do redis.call('sadd',KEYS[1],i) end\" 1 %1$s\r\n", "$-1\r\n"));
        CU_ASSERT(says(c, "SLOWLOG RESET\r\n", "+OK\r\n"));
        CU_ASSERT(says(c, i ? "EVAL \"return 5\" 0\r\n" : "EVAL \"return 6\" 1 %2$s\r\n", i ? ":5\r\n" : ":6\r\n"));
        CU_ASSERT(says(c, "SLOWLOG LEN\r\n", ":2\r\n"));
        CU_ASSERT(says(c, i ? "SUNIONSTORE %2$s %2$s\r\n" : "SUNIONSTORE %1$s %1$s\r\n", ":3000\r\n"));
        CU_ASSERT(says(c, "SLOWLOG LEN\r\n", ":4\r\n"));
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

#define REFUSED "\"redis.pcall('nosuch') redis.pcall('set','x') return redis.call('set',KEYS[1],1)\""

/* It meets its first write on one shard, and starts anew with all stopped. */
static void test_what_was_refused_before_is_counted_once(void)
{
    for (unsigned i = 0; i < 2; i++) {
        start_patient(true);
        struct rig_client *c = rig_connect(&rig, i);
        sends(c, "SCRIPT LOAD " REFUSED "\r\n"); /* known to all, so it begins where its key is */
        CU_ASSERT(has_got(c, "$40\r\n"));
        CU_ASSERT(says(c, i ? "EVAL " REFUSED " 1 %2$s\r\n" : "EVAL " REFUSED " 1 %1$s\r\n", "+OK\r\n"));
        sends(c, "INFO errorstats\r\n");
        CU_ASSERT(has_got(c, "errorstat_ERR:count=2\r\n"));
        sends(c, "INFO commandstats\r\n");
        CU_ASSERT(memmem(c->got, c->got_len, "cmdstat_set:calls=1", 19) && memmem(c->got, c->got_len, "rejected_calls=1", 16));
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_declared_keys),
        UNIT(test_undeclared_keys),
        UNIT(test_what_cannot_start_anew),
        UNIT(test_the_cache_is_everybodys),
        UNIT(test_in_exec_and_unheard),
        UNIT(test_waiting_clients_are_served),
        UNIT(test_busy_and_killed),
        UNIT(test_other_shards_go_on),
        UNIT(test_unkillable),
        UNIT(test_a_stop_begins_no_script),
        UNIT(test_functions_are_killed_by_their_own_command),
        UNIT(test_nobody_comes_between),
        UNIT(test_nothing_goes_between_its_slices),
        UNIT(test_who_waits_is_served_what_stays),
        UNIT(test_a_client_that_is_gone_before_its_script_begins),
        UNIT(test_what_runs_in_two_steps_is_in_the_slow_log_once),
        UNIT(test_what_was_refused_before_is_counted_once),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/script", tests);
}
