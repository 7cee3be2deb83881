/* script_test.c: scripts over whole workers in virtual time: their keys on this worker, on another one, on
 * both, undeclared; known texts and new ones; inside EXEC and without replies.
 * https://redis.io/docs/latest/develop/interact/programmability/eval-intro/ */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;
static const char *const one[] = {"workers", "1", NULL}, *const two[] = {"workers", "2", NULL};
static const char *here, *there; /* a key of each shard; of one worker's alone: two keys */

static const char *key_of(unsigned shard, unsigned n)
{
    static char text[2][8];
    char *key = text[n];
    for (unsigned i = 0;; i++) {
        sprintf(key, "k%u", i);
        if (keyspace_shard_of(rig.box.ks, slice_str(key)) == shard % rig.box.workers &&
            (n == 0 || strcmp(key, here) != 0))
            return key;
    }
}

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
            here = key_of(0, 0);
            there = key_of(1, 1);
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
    here = key_of(0, 0);
    there = key_of(1, 1);
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
    here = key_of(0, 0);
    there = key_of(1, 1);
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

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_declared_keys),
        UNIT(test_undeclared_keys),
        UNIT(test_what_cannot_start_anew),
        UNIT(test_the_cache_is_everybodys),
        UNIT(test_in_exec_and_unheard),
        UNIT(test_waiting_clients_are_served),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/script", tests);
}
