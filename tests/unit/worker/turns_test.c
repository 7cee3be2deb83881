/* turns_test.c: commands in slices, over whole workers in virtual time: what goes on meanwhile, what waits,
 * and in which order (dataplane/turns.h). A slice is one element here, so every place to stop at is one. */
#include "turns_rig.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void others_are_served_meanwhile(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    sends(client[0], "SMEMBERS set\r\n");
    CU_ASSERT_EQUAL(client[0]->got_len, 0);
    CU_ASSERT(rig_says(&rig, client[1], "SET a 1\r\n", "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "GET a\r\n", "$1\r\n1\r\n"));
    CU_ASSERT(rig_says(&rig, client[2], "SCARD set\r\n", ":300\r\n")); /* reads what is only read */
    CU_ASSERT_EQUAL(client[0]->got_len, 0);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    CU_ASSERT(memcmp(client[0]->got, "*300\r\n$", 7) == 0);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_long_commands], 1);
    CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] >= MEMBERS);
    CU_ASSERT(end());
}

static void a_pipeline_behind_it_stays_in_order(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    sends(client[0], "PING\r\nSMEMBERS set\r\nECHO end\r\n");
    CU_ASSERT(completes(client[0], 7 + members_size(MEMBERS) + 9));
    CU_ASSERT(memcmp(client[0]->got, "+PONG\r\n*300", 11) == 0);
    CU_ASSERT(memcmp(client[0]->got + client[0]->got_len - 9, "$3\r\nend\r\n", 9) == 0);
    CU_ASSERT(end());
}

static void a_writer_waits_and_nobody_passes_it(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    sends(client[0], "SMEMBERS set\r\n");
    sends(client[1], "SADD set new\r\n");
    sends(client[2], "SCARD set\r\n");
    sends(client[3], "SADD set newer\r\nSCARD set\r\n");
    CU_ASSERT_EQUAL(client[0]->got_len + client[1]->got_len + client[2]->got_len + client[3]->got_len, 0);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    CU_ASSERT(has(client[1], ":1\r\n") && has(client[2], ":301\r\n") && has(client[3], ":1\r\n:302\r\n"));
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_pinned_key_waits], 3); /* the second SCARD came later */
    CU_ASSERT(end());
}

static void what_concerns_all_keys_waits(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    sends(client[0], "SMEMBERS set\r\n");
    sends(client[1], "SWAPDB 0 1\r\n");
    sends(client[2], "SMEMBERS set\r\n");                           /* long ones wait behind it, */
    CU_ASSERT(rig_says(&rig, client[3], "SET a 1\r\n", "+OK\r\n")); /* short ones do not */
    CU_ASSERT_EQUAL(client[1]->got_len + client[2]->got_len, 0);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    CU_ASSERT(has(client[1], "+OK\r\n") && has(client[2], "*0\r\n"));
    CU_ASSERT(rig_says(&rig, client[3], "DBSIZE\r\n", ":0\r\n"));
    CU_ASSERT(end());
}

static void a_client_may_go_meanwhile(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    sends(client[0], "SMEMBERS set\r\n");
    sends(client[1], "SADD set new\r\n");
    sends(client[2], "SADD set newer\r\n");
    tcp_close(client[0]->conn, rig.now_us);
    tcp_abort(client[1]->conn, rig.now_us);
    rig_run(&rig, 100000);
    CU_ASSERT(has(client[2], ":1\r\n"));
    CU_ASSERT(rig_says(&rig, client[3], "SCARD set\r\n", ":302\r\n")); /* what was sent is done */
    sends(client[3], "SMEMBERS set\r\n");
    CU_ASSERT(rig_stop(&rig)); /* in the middle of one */
}

static void time_stands_still_for_it(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    char text[64];
    struct shard *s = rig.box.ks->shard[0];
    uint64_t until = shard_time(s) + 100;
    sprintf(text, "PEXPIREAT set %llu\r\n", (unsigned long long)until);
    CU_ASSERT(rig_says(&rig, client[0], text, ":1\r\n"));
    sends(client[0], "SMEMBERS set\r\n");
    CU_ASSERT(rig.worker->turns.running == 1);
    while (shard_time(s) <= until) { /* all others live on */
        rig.worker->turns.running = 0;
        rig_run(&rig, 100);
        rig.worker->turns.running = 1;
    }
    CU_ASSERT(rig_says(&rig, client[1], "SCARD set\r\n", ":0\r\n"));
    shard_upkeep(s, 1000);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    CU_ASSERT(rig_says(&rig, client[1], "SCARD set\r\n", ":0\r\n"));
    uint64_t keys, expires, ttl;
    shard_db_size(s, 0, &keys, &expires, &ttl);
    CU_ASSERT_EQUAL(keys, 0);
    CU_ASSERT(end());
}

static void a_long_text_is_sent_in_slices(void)
{
    begin(one);
    CU_ASSERT(rig_says(&rig, client[0], "SETRANGE text 1000000 x\r\n", ":1000001\r\n"));
    sends(client[0], "GET text\r\nPING\r\n");
    CU_ASSERT(rig_says(&rig, client[1], "STRLEN text\r\n", ":1000001\r\n"));
    CU_ASSERT(completes(client[0], 10 + 1000001 + 2 + 7));
    CU_ASSERT(memcmp(client[0]->got + client[0]->got_len - 10, "x\r\n+PONG\r\n", 10) == 0);
    CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] > 50);
    CU_ASSERT(end());
}

static void a_silent_one_is_silent(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    sends(client[0], "CLIENT REPLY SKIP\r\nSMEMBERS set\r\nPING\r\n");
    rig_run(&rig, 100000);
    CU_ASSERT(has(client[0], "+PONG\r\n"));
    sends(client[0], "CLIENT REPLY OFF\r\nSMEMBERS set\r\nPING\r\nCLIENT REPLY ON\r\n");
    rig_run(&rig, 100000);
    CU_ASSERT(has(client[0], "+OK\r\n"));
    CU_ASSERT(end());
}

static void more_than_there_are_stacks_take_turns(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    static char request[5 * 16 + 1];
    for (unsigned i = 0; i < 5; i++)
        strcat(request, "SMEMBERS set\r\n");
    for (unsigned i = 0; i < 6; i++)
        sends(client[i], request);
    for (unsigned i = 0; i < 6; i++)
        CU_ASSERT(completes(client[i], 5 * members_size(MEMBERS)));
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_long_commands], 30);
    CU_ASSERT(end());
}

static void it_runs_where_its_shard_is(void)
{
    begin(two);
    const char *here = key_of(0), *there = key_of(1);
    char text[64];
    add("SADD", here, MEMBERS);
    add("SADD", there, MEMBERS);
    for (unsigned i = 0; i < 2; i++) { /* on its worker and from the other one */
        sprintf(text, "SMEMBERS %s\r\n", here);
        sends(client[i], text);
        sprintf(text, "SADD %s new%u\r\n", here, i);
        sends(client[2], text);
        sends(client[3], text);
        sprintf(text, "SCARD %s\r\n", there);
        CU_ASSERT(rig_says(&rig, client[4], text, ":300\r\n"));
        CU_ASSERT_EQUAL(client[2]->got_len + client[3]->got_len, 0);
        CU_ASSERT(completes(client[i], members_size(MEMBERS) + i * 10));
        CU_ASSERT(has(client[2], ":1\r\n") && has(client[3], ":0\r\n"));
    }
    CU_ASSERT(end());
}

static void what_stops_all_workers_waits_too(void)
{
    begin(two);
    char text[64];
    add("SADD", key_of(0), MEMBERS);
    CU_ASSERT(rig_says(&rig, client[4], "SET other 1\r\n", "+OK\r\n"));
    sprintf(text, "SMEMBERS %s\r\n", key_of(0));
    sends(client[0], text);
    sprintf(text, "SMOVE %s %s 7\r\n", key_of(0), key_of(1));
    sends(client[1], text);
    sends(client[2], "SWAPDB 0 1\r\n");
    sprintf(text, "SCARD %s\r\n", key_of(0));
    sends(client[3], text); /* behind SMOVE */
    CU_ASSERT(rig_says(&rig, client[4], "GET other\r\n", "$1\r\n1\r\n"));
    CU_ASSERT(rig_says(&rig, client[4], "DBSIZE\r\n", ":2\r\n"));
    CU_ASSERT_EQUAL(client[1]->got_len + client[2]->got_len + client[3]->got_len, 0);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    CU_ASSERT(has(client[1], ":1\r\n") && has(client[2], "+OK\r\n"));
    CU_ASSERT(has(client[3], ":0\r\n") || has(client[3], ":299\r\n"));
    CU_ASSERT(end());
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(others_are_served_meanwhile),
                                             UNIT(a_pipeline_behind_it_stays_in_order),
                                             UNIT(a_writer_waits_and_nobody_passes_it),
                                             UNIT(what_concerns_all_keys_waits),
                                             UNIT(a_client_may_go_meanwhile),
                                             UNIT(time_stands_still_for_it),
                                             UNIT(a_long_text_is_sent_in_slices),
                                             UNIT(a_silent_one_is_silent),
                                             UNIT(more_than_there_are_stacks_take_turns),
                                             UNIT(it_runs_where_its_shard_is),
                                             UNIT(what_stops_all_workers_waits_too),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/turns", tests);
}
