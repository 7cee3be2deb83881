/* hash_expire_test.c: HEXPIRE, HTTL, HPERSIST, HGETEX, HSETEX, HGETDEL and their kin against replies written
 * by hand from the documentation (the oracle is too old to know them), in the forms of a hash, with the clock
 * moved by the test. */
#include "engine.h"
#include "unit.h"
#include "store/shard.h"
#include <stdio.h>

#define NO_FIELDS(key)   EXPECT(e, "EXISTS " key, ":0\r\n")
#define ERR_FIELDS       "-ERR Mandatory argument FIELDS is missing or not at the right position\r\n"
#define ERR_MATCH        "-ERR The `numfields` parameter must match the number of arguments\r\n"
#define ERR_NUMBER       "-ERR Number of fields must be a positive integer\r\n"
#define ERR_INTEGER      "-ERR value is not an integer or out of range\r\n"
#define ERR_NEGATIVE     "-ERR invalid expire time, must be >= 0\r\n"
#define WRONG_TYPE       "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define ERR_LIFE         "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified\r\n"
#define ERR_CONDITION    "-ERR Only one of FXX or FNX arguments can be specified\r\n"
#define INVALID(command) "-ERR invalid expire time in '" command "' command\r\n"
#define ARITY(command)   "-ERR wrong number of arguments for '" command "' command\r\n"

/* Runs a test with hashes as packs, then as tables. */
static void in_both_forms(void (*test)(struct engine *e, bool table))
{
    for (int table = 0; table < 2; table++) {
        struct engine *e = engine_new(table ? "hash-max-listpack-entries 0\nenable-debug-command yes\n"
                                            : "enable-debug-command yes\n");
        test(e, table);
        engine_free(e);
    }
}

static void conditions(struct engine *e, bool table)
{
    EXPECT(e, "HSET h a 1 b 2 c 3", ":3\r\n");
    EXPECT(e, "HEXPIRE h 10 FIELDS 4 a b none a", "*4\r\n:1\r\n:1\r\n:-2\r\n:1\r\n");
    EXPECT(e, "OBJECT ENCODING h", table ? "$9\r\nhashtable\r\n" : "$10\r\nlistpackex\r\n");
    EXPECT(e, "HTTL h FIELDS 4 a b c none", "*4\r\n:10\r\n:10\r\n:-1\r\n:-2\r\n");
    EXPECT(e, "HEXPIRE h 20 NX FIELDS 2 a c", "*2\r\n:0\r\n:1\r\n");
    EXPECT(e, "HEXPIRE h 30 XX FIELDS 1 b", "*1\r\n:1\r\n");
    EXPECT(e, "HPERSIST h FIELDS 3 c none c", "*3\r\n:1\r\n:-2\r\n:-1\r\n");
    EXPECT(e, "HEXPIRE h 30 XX FIELDS 1 c", "*1\r\n:0\r\n");
    EXPECT(e, "HEXPIRE h 30 GT FIELDS 3 a b c", "*3\r\n:1\r\n:0\r\n:0\r\n");
    EXPECT(e, "HEXPIRE h 29 lt fields 3 a b c", "*3\r\n:1\r\n:1\r\n:1\r\n");
    EXPECT(e, "HPTTL h FIELDS 3 a b c", "*3\r\n:29000\r\n:29000\r\n:29000\r\n");
    EXPECT(e, "HEXPIRE h 29 LT FIELDS 1 a", "*1\r\n:0\r\n");
    EXPECT(e, "HEXPIRE h 29 GT FIELDS 1 a", "*1\r\n:0\r\n");
    EXPECT(e, "HEXPIRE none 10 FIELDS 2 a b", "*2\r\n:-2\r\n:-2\r\n");
    EXPECT(e, "HPERSIST none FIELDS 2 a b", "*2\r\n:-2\r\n:-2\r\n");
    EXPECT(e, "HTTL none FIELDS 1 a", "*1\r\n:-2\r\n");
    /* The condition comes before the past. */
    EXPECT(e, "HPEXPIREAT h 1 NX FIELDS 4 a b c none", "*4\r\n:0\r\n:0\r\n:0\r\n:-2\r\n");
    EXPECT(e, "HEXPIREAT h 1 LT FIELDS 2 a a", "*2\r\n:2\r\n:-2\r\n");
    EXPECT(e, "HEXPIRE h 0 FIELDS 3 b c b", "*3\r\n:2\r\n:2\r\n:-2\r\n");
    NO_FIELDS("h");
}

static void test_conditions(void)
{
    in_both_forms(conditions);
}

static void reads(struct engine *e, bool table)
{
    (void)table;
    EXPECT(e, "HSET h a 1 b 22 c 333 d x", ":4\r\n");
    EXPECT(e, "HPEXPIRE h 1000 FIELDS 2 a b", "*2\r\n:1\r\n:1\r\n");
    EXPECT(e, "HPEXPIRE h 2000 FIELDS 1 c", "*1\r\n:1\r\n");
    engine_sleep(e, 999);
    EXPECT(e, "HGET h a", "$1\r\n1\r\n");
    EXPECT(e, "HTTL h FIELDS 2 a c", "*2\r\n:1\r\n:2\r\n");
    EXPECT(e, "HPTTL h FIELDS 2 a c", "*2\r\n:1\r\n:1001\r\n");
    EXPECT(e, "HLEN h", ":4\r\n");
    engine_sleep(e, 2); /* nothing but accesses takes fields out here */
    EXPECT(e, "HGET h a", "$-1\r\n");
    EXPECT(e, "HMGET h a b c d", "*4\r\n$-1\r\n$-1\r\n$3\r\n333\r\n$1\r\nx\r\n");
    EXPECT(e, "HEXISTS h b", ":0\r\n");
    EXPECT(e, "HSTRLEN h b", ":0\r\n");
    EXPECT(e, "HSTRLEN h c", ":3\r\n");
    EXPECT(e, "HLEN h", ":2\r\n");
    EXPECT(e, "HPERSIST h FIELDS 1 a", "*1\r\n:-2\r\n");
    EXPECT(e, "HTTL h FIELDS 1 a", "*1\r\n:-2\r\n");
    EXPECT(e, "HEXPIRE h 10 FIELDS 1 a", "*1\r\n:-2\r\n");
    EXPECT(e, "HDEL h a none", ":0\r\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "HSCAN h 0"), "*4\r\n"));
    CU_ASSERT_EQUAL(strncmp(engine_cmd(e, "HGETALL h"), "*4\r\n", 4), 0);
    CU_ASSERT_EQUAL(strncmp(engine_cmd(e, "HKEYS h"), "*2\r\n", 4), 0);
    CU_ASSERT_EQUAL(strncmp(engine_cmd(e, "HRANDFIELD h 10"), "*2\r\n", 4), 0);
    EXPECT(e, "HSETNX h b new", ":1\r\n");
    EXPECT(e, "HSET h a new", ":1\r\n");
    EXPECT(e, "HTTL h FIELDS 3 a b c", "*3\r\n:-1\r\n:-1\r\n:1\r\n");
    EXPECT(e, "HDEL h a b d", ":3\r\n");
    engine_sleep(e, 1000);
    EXPECT(e, "HGETALL h", "*0\r\n");
    NO_FIELDS("h");
    EXPECT(e, "HLEN h", ":0\r\n");
    EXPECT(e, "TYPE h", "+none\r\n");
}

static void test_reads_see_no_field_whose_time_has_come(void)
{
    in_both_forms(reads);
}

static void writes(struct engine *e, bool table)
{
    (void)table;
    EXPECT(e, "HSET h n 1 f 1.5 s x", ":3\r\n");
    EXPECT(e, "HEXPIRE h 100 FIELDS 3 n f s", "*3\r\n:1\r\n:1\r\n:1\r\n");
    EXPECT(e, "HINCRBY h n 4", ":5\r\n");
    EXPECT(e, "HINCRBY h n 123456789012", ":123456789017\r\n");
    EXPECT(e, "HINCRBYFLOAT h f 1.25", "$4\r\n2.75\r\n");
    EXPECT(e, "HTTL h FIELDS 3 n f s", "*3\r\n:100\r\n:100\r\n:100\r\n");
    EXPECT(e, "HSET h s y", ":0\r\n");
    EXPECT(e, "HSETNX h f y", ":0\r\n");
    EXPECT(e, "HTTL h FIELDS 3 n f s", "*3\r\n:100\r\n:100\r\n:-1\r\n");
    EXPECT(e, "HMSET h f 2", "+OK\r\n");
    EXPECT(e, "HTTL h FIELDS 3 n f s", "*3\r\n:100\r\n:-1\r\n:-1\r\n");
    engine_sleep(e, 100001);
    EXPECT(e, "HINCRBY h n 4", ":4\r\n"); /* another field than before */
    EXPECT(e, "HTTL h FIELDS 1 n", "*1\r\n:-1\r\n");
    /* What carries a key carries the times. */
    EXPECT(e, "HEXPIRE h 50 FIELDS 1 n", "*1\r\n:1\r\n");
    EXPECT(e, "COPY h c", ":1\r\n");
    EXPECT(e, "RENAME h r", "+OK\r\n");
    EXPECT(e, "MOVE r 1", ":1\r\n");
    EXPECT(e, "HPTTL c FIELDS 2 n s", "*2\r\n:50000\r\n:-1\r\n");
    EXPECT(e, "SELECT 1", "+OK\r\n");
    EXPECT(e, "HPTTL r FIELDS 2 n s", "*2\r\n:50000\r\n:-1\r\n");
    EXPECT(e, "PERSIST r", ":0\r\n");
    EXPECT(e, "EXPIRE r 10", ":1\r\n");
    EXPECT(e, "HDEL r s f", ":2\r\n");
    EXPECT(e, "PERSIST r", ":1\r\n");
    EXPECT(e, "TTL r", ":-1\r\n");
    engine_sleep(e, 50001);
    NO_FIELDS("r");
    EXPECT(e, "SELECT 0", "+OK\r\n");
    EXPECT(e, "HLEN c", ":2\r\n");
    EXPECT(e, "DEL c", ":1\r\n");
    /* SORT looks at fields as well. */
    EXPECT(e, "RPUSH l 2 1", ":2\r\n");
    EXPECT(e, "HSET o 1 one 2 two", ":2\r\n");
    EXPECT(e, "HPEXPIRE o 10 FIELDS 1 2", "*1\r\n:1\r\n");
    EXPECT(e, "SORT l GET o->*", "*2\r\n$-1\r\n$-1\r\n");
    EXPECT(e, "HSET w_1 f 1", ":1\r\n");
    EXPECT(e, "HSETEX w_2 PX 5 FIELDS 1 f 2", ":1\r\n");
    EXPECT(e, "SORT l BY nosort GET w_*->f", "*2\r\n$1\r\n2\r\n$1\r\n1\r\n");
    engine_sleep(e, 6);
    EXPECT(e, "SORT l BY nosort GET w_*->f", "*2\r\n$-1\r\n$1\r\n1\r\n");
}

static void test_writes_and_the_times_they_leave(void)
{
    in_both_forms(writes);
}

static void gets(struct engine *e, bool table)
{
    (void)table;
    EXPECT(e, "HSET h a 1 b 2 c 3", ":3\r\n");
    EXPECT(e, "HGETEX h FIELDS 2 a none", "*2\r\n$1\r\n1\r\n$-1\r\n");
    EXPECT(e, "HGETEX h EX 10 FIELDS 2 a none", "*2\r\n$1\r\n1\r\n$-1\r\n");
    EXPECT(e, "HGETEX h PX 1500 FIELDS 1 b", "*1\r\n$1\r\n2\r\n");
    EXPECT(e, "HPTTL h FIELDS 3 a b c", "*3\r\n:10000\r\n:1500\r\n:-1\r\n");
    EXPECT(e, "HGETEX h FIELDS 1 b", "*1\r\n$1\r\n2\r\n");
    EXPECT(e, "HPTTL h FIELDS 1 b", "*1\r\n:1500\r\n");
    EXPECT(e, "HGETEX h PERSIST FIELDS 3 a b c", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    EXPECT(e, "HTTL h FIELDS 3 a b c", "*3\r\n:-1\r\n:-1\r\n:-1\r\n");
    EXPECT(e, "HGETEX h EXAT 99999999 FIELDS 1 a", "*1\r\n$1\r\n1\r\n"); /* long ago */
    EXPECT(e, "HGETEX h EXAT 9999999999 FIELDS 2 a b", "*2\r\n$-1\r\n$1\r\n2\r\n");
    EXPECT(e, "HEXPIRETIME h FIELDS 1 b", "*1\r\n:9999999999\r\n");
    EXPECT(e, "HGETEX h PXAT 9999999999001 FIELDS 1 b", "*1\r\n$1\r\n2\r\n");
    EXPECT(e, "HEXPIRETIME h FIELDS 1 b", "*1\r\n:10000000000\r\n"); /* rounded up */
    EXPECT(e, "HPEXPIRETIME h FIELDS 2 b c", "*2\r\n:9999999999001\r\n:-1\r\n");
    EXPECT(e, "HGETDEL h FIELDS 3 b none b", "*3\r\n$1\r\n2\r\n$-1\r\n$-1\r\n");
    EXPECT(e, "HGETALL h", "*2\r\n$1\r\nc\r\n$1\r\n3\r\n");
    EXPECT(e, "HGETEX h PX 0 FIELDS 2 c c", "*2\r\n$1\r\n3\r\n$-1\r\n");
    NO_FIELDS("h");
    EXPECT(e, "HGETEX h EX 10 FIELDS 2 c c", "*2\r\n$-1\r\n$-1\r\n");
    EXPECT(e, "HGETDEL h FIELDS 1 c", "*1\r\n$-1\r\n");
    EXPECT(e, "HSETEX h PX 10 FIELDS 2 a 1 b 2", ":1\r\n");
    engine_sleep(e, 11);
    EXPECT(e, "HGETDEL h FIELDS 2 a b", "*2\r\n$-1\r\n$-1\r\n");
}

static void test_hgetex_and_hgetdel(void)
{
    in_both_forms(gets);
}

static void sets(struct engine *e, bool table)
{
    (void)table;
    EXPECT(e, "HSETEX h FIELDS 2 a 1 b 2", ":1\r\n");
    EXPECT(e, "HTTL h FIELDS 2 a b", "*2\r\n:-1\r\n:-1\r\n");
    EXPECT(e, "HSETEX h FNX EX 10 FIELDS 2 b 3 c 3", ":0\r\n");
    EXPECT(e, "HGET h b", "$1\r\n2\r\n");
    EXPECT(e, "HSETEX h EX 10 FNX FIELDS 2 c 3 d 4", ":1\r\n");
    EXPECT(e, "HSETEX h FXX FIELDS 2 d 5 e 5", ":0\r\n");
    EXPECT(e, "HSETEX none FXX FIELDS 1 d 5", ":0\r\n");
    NO_FIELDS("none");
    EXPECT(e, "HTTL h FIELDS 5 a b c d e", "*5\r\n:-1\r\n:-1\r\n:10\r\n:10\r\n:-2\r\n");
    EXPECT(e, "HSETEX h KEEPTTL FXX FIELDS 2 a x d 5", ":1\r\n");
    EXPECT(e, "HTTL h FIELDS 2 a d", "*2\r\n:-1\r\n:10\r\n");
    EXPECT(e, "HSETEX h FIELDS 1 d 6", ":1\r\n");
    EXPECT(e, "HTTL h FIELDS 1 d", "*1\r\n:-1\r\n");
    EXPECT(e, "HSETEX h PXAT 9999999999999 FIELDS 1 a 6", ":1\r\n");
    EXPECT(e, "HPEXPIRETIME h FIELDS 1 a", "*1\r\n:9999999999999\r\n");
    EXPECT(e, "HSETEX h PX 10 FIELDS 1 a 6", ":1\r\n");
    engine_sleep(e, 11); /* a is none now */
    EXPECT(e, "HSETEX h FXX FIELDS 1 a 7", ":0\r\n");
    EXPECT(e, "HSETEX h FNX KEEPTTL FIELDS 1 a 7", ":1\r\n");
    EXPECT(e, "HTTL h FIELDS 1 a", "*1\r\n:-1\r\n");
    EXPECT(e, "HSETEX h EXAT 1 FIELDS 4 a 1 b 1 c 1 none 1", ":1\r\n");
    EXPECT(e, "HGETALL h", "*2\r\n$1\r\nd\r\n$1\r\n6\r\n");
    EXPECT(e, "HSETEX h EXAT 0 FIELDS 1 d 1", ":1\r\n");
    NO_FIELDS("h");
    EXPECT(e, "HSETEX h EXAT 1 FIELDS 1 d 1", ":1\r\n");
    NO_FIELDS("h");
}

static void test_hsetex(void)
{
    in_both_forms(sets);
}

static void test_errors_of_times(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT(e, "SET s x", "+OK\r\n");
    EXPECT(e, "HSET h a 1", ":1\r\n");
    EXPECT(e, "HEXPIRE s x FIELDS 1 a", WRONG_TYPE); /* the type comes first */
    EXPECT(e, "HTTL s x 1 a", WRONG_TYPE);
    EXPECT(e, "HPERSIST s FIELDS 1 a", WRONG_TYPE);
    EXPECT(e, "HGETDEL s FIELDS 1 a", WRONG_TYPE);
    EXPECT(e, "HGETEX s FIELDS 1 a", WRONG_TYPE);
    EXPECT(e, "HSETEX s FIELDS 1 a b", WRONG_TYPE);
    EXPECT(e, "HSETEX s FIELDS x a b", "-ERR invalid number of fields\r\n"); /* but not here */
    EXPECT(e, "HEXPIRE h 10 FIELDS 1", ARITY("hexpire"));
    EXPECT(e, "HEXPIRE h x FIELDS 1 a", ERR_INTEGER);
    EXPECT(e, "HEXPIRE h -1 FIELDS 1 a", ERR_NEGATIVE);
    EXPECT(e, "HEXPIRE h 70368744178 FIELDS 1 a", INVALID("hexpire"));
    EXPECT(e, "HEXPIREAT h 70368744178 FIELDS 1 a", INVALID("hexpireat"));
    EXPECT(e, "HEXPIREAT h 70368744177 FIELDS 1 a", "*1\r\n:1\r\n");
    EXPECT(e, "HPEXPIREAT h 70368744177664 FIELDS 1 a", INVALID("hpexpireat"));
    EXPECT(e, "HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1\r\n:1\r\n");
    EXPECT(e, "HPEXPIRE h 70368744177663 FIELDS 1 a", INVALID("hpexpire"));
    EXPECT(e, "HEXPIRE h 9223372036854775807 FIELDS 1 a", INVALID("hexpire"));
    EXPECT(e, "HEXPIRE h 10 NZ FIELDS 1 a", ERR_FIELDS);
    EXPECT(e, "HEXPIRE h 10 NX XX FIELDS 1 a", ERR_FIELDS);
    EXPECT(e, "HEXPIRE h 10 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0\r\n");
    EXPECT(e, "HEXPIRE h 10 FIELDS x a", "-ERR Parameter `numFields` should be greater than 0\r\n");
    EXPECT(e, "HEXPIRE h 10 FIELDS 2 a", ERR_MATCH);
    EXPECT(e, "HEXPIRE h 10 FIELDS 1 a b", ERR_MATCH);
    EXPECT(e, "HEXPIRE h 10 NX FIELDS 1", ERR_MATCH);
    EXPECT(e, "HEXPIRE h 10 FIELDS 9223372036854775807 a", ERR_MATCH);
    EXPECT(e, "HEXPIRE none 10 FIELDS 2 a", ERR_MATCH);
    EXPECT(e, "HTTL h FIELD 1 a", ERR_FIELDS);
    EXPECT(e, "HTTL h FIELDS 0 a", ERR_NUMBER);
    EXPECT(e, "HTTL h FIELDS -1 a", ERR_NUMBER);
    EXPECT(e, "HPERSIST h FIELDS x a", ERR_NUMBER);
    EXPECT(e, "HPEXPIRETIME h FIELDS 2 a", ERR_MATCH);
    EXPECT(e, "HGETDEL h FIELDS 0 a", ERR_NUMBER);
    EXPECT(e, "HGETDEL h FIELDS 3 a b", ERR_MATCH);
    engine_free(e);
}

static void test_errors_of_reading_and_setting(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT(e, "HSET h a 1", ":1\r\n");
    EXPECT(e, "HGETEX h FIELDS 1", ARITY("hgetex"));
    EXPECT(e, "HGETEX h NX FIELDS 1 a", ERR_FIELDS);
    EXPECT(e, "HGETEX h PXAT 1 1", ERR_FIELDS);
    EXPECT(e, "HGETEX h PX 1 FIELDS", ERR_NUMBER);
    EXPECT(e, "HGETEX h PERSIST FIELDS 1", ERR_MATCH);
    EXPECT(e, "HGETEX h PERSIST 1 FIELDS 1 a", ERR_FIELDS);
    EXPECT(e, "HGETEX h EX 10 PX 10 FIELDS 1 a", ERR_FIELDS);
    EXPECT(e, "HGETEX h EX x FIELDS 1 a", ERR_INTEGER);
    EXPECT(e, "HGETEX h EX -1 FIELDS 1 a", ERR_NEGATIVE);
    EXPECT(e, "HGETEX h EXAT 70368744178 FIELDS 1 a", INVALID("hgetex"));
    EXPECT(e, "HGETEX h FIELDS 0 a", ERR_NUMBER);
    EXPECT(e, "HSETEX h FIELDS 1 a", ARITY("hsetex"));
    EXPECT(e, "HSETEX h FIELDS 2 a b c", ARITY("hsetex"));
    EXPECT(e, "HSETEX h FIELDS 1 a b c d", ARITY("hsetex"));
    EXPECT(e, "HSETEX h FNX FIELDS 1 a", ARITY("hsetex"));
    EXPECT(e, "HSETEX h FNX EX 10 KEEPTTL FXX", ERR_LIFE);
    EXPECT(e, "HSETEX h FIELDS 0 a b", "-ERR invalid number of fields\r\n");
    EXPECT(e, "HSETEX h FIELDS 2147483648 a b", "-ERR invalid number of fields\r\n");
    EXPECT(e, "HSETEX h NX FIELDS 1 a b", "-ERR unknown argument: NX\r\n");
    EXPECT(e, "HSETEX h FXX FNX FIELDS 1 a b", ERR_CONDITION);
    EXPECT(e, "HSETEX h FXX FXX FIELDS 1 a b", ERR_CONDITION);
    EXPECT(e, "HSETEX h EX 1 EX 1 FIELDS 1 a b", ERR_LIFE);
    EXPECT(e, "HSETEX h KEEPTTL PX 1 FIELDS 1 a b", ERR_LIFE);
    EXPECT(e, "HSETEX h EX FIELDS 1 a b", ERR_INTEGER);
    EXPECT(e, "HSETEX h FXX FXX FXX PX", ERR_CONDITION);
    EXPECT(e, "HSETEX h KEEPTTL FXX a PX", "-ERR unknown argument: a\r\n");
    EXPECT(e, "HSETEX h EX 70368744177 FIELDS 1 a b", INVALID("hsetex"));
    EXPECT(e, "HGET h a", "$1\r\n1\r\n");
    engine_free(e);
}

static void test_figures(void)
{
    struct engine *e = engine_new("databases 3\n");
    EXPECT(e, "HSETEX h PX 100 FIELDS 2 a 1 b 2", ":1\r\n");
    EXPECT(e, "HSETEX g PX 900 FIELDS 1 a 1", ":1\r\n");
    EXPECT(e, "HSET g b 1", ":1\r\n");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(engine_cmd(e, "INFO keyspace"), "db0:keys=2,expires=0,avg_ttl=0,subexpiry=2\r\n"));
    engine_sleep(e, 101);
    NO_FIELDS("h");
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "INFO stats"), "\r\nexpired_subkeys:2\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "INFO stats"), "\r\nexpired_keys:0\r\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(engine_cmd(e, "INFO keyspace"), "db0:keys=1,expires=0,avg_ttl=0,subexpiry=1\r\n"));
    EXPECT(e, "HPERSIST g FIELDS 1 a", "*1\r\n:1\r\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "INFO keyspace"), "db0:keys=1,expires=0,avg_ttl=0\r\n"));
    EXPECT(e, "OBJECT ENCODING g", "$10\r\nlistpackex\r\n");
    EXPECT(e, "HPEXPIRE g 1 FIELDS 1 a", "*1\r\n:1\r\n");
    engine_sleep(e, 2);
    EXPECT(e, "DBSIZE", ":1\r\n");
    EXPECT(e, "HDEL g b", ":1\r\n"); /* the key goes with the last field that is not gone */
    EXPECT(e, "DBSIZE", ":0\r\n");
    engine_free(e);
}

/* Whatever allocation of the store fails: an OOM error, or it was done; and no field is lost. Returns whether
 * all allocations of the command were passed. */
static bool run_failing(const char *command, bool table, unsigned n, unsigned *refused)
{
    struct engine *e = engine_new(table ? "hash-max-listpack-entries 0\n" : NULL);
    EXPECT(e, "HSET h a 1 b 2", ":2\r\n");
    EXPECT(e, "HSETEX h EX 50 FIELDS 1 t 1", ":1\r\n");
    uint64_t *fail_in = &e->env.ks->shard[0]->heap.fail_in;
    *fail_in = n;
    const char *reply = engine_cmd(e, "%s", command);
    bool passed = *fail_in != 0, oom = strncmp(reply, "-OOM ", 5) == 0;
    *fail_in = 0;
    CU_ASSERT_TRUE(reply[0] != '-' || (oom && !passed));
    *refused += oom;
    EXPECT(e, "HLEN h", ":3\r\n");
    EXPECT(e, "HGET h b", "$1\r\n2\r\n");
    engine_sleep(e, 49999);
    EXPECT(e, "HEXISTS h t", ":1\r\n");
    engine_free(e);
    return passed;
}

/* DUMP and RESTORE carry the times, under a version that only knows them. */
static void test_dump_and_restore(void)
{
    for (int table = 0; table < 2; table++) {
        struct engine *e = engine_new(table ? "hash-max-listpack-entries 0\n" : NULL);
        char payload[512];
        EXPECT(e, "HSET h a 1 b 2 c 3", ":3\r\n");
        EXPECT(e, "HPEXPIRE h 700 FIELDS 1 a", "*1\r\n:1\r\n");
        EXPECT(e, "HPEXPIRE h 900 FIELDS 1 b", "*1\r\n:1\r\n");
        engine_cmd(e, "DUMP h");
        const char *text = strchr(e->reply, '\n') + 1;
        size_t n = e->reply_len - (size_t)(text - e->reply) - 2;
        CU_ASSERT_FATAL(n < sizeof payload);
        memcpy(payload, text, n);
        CU_ASSERT_EQUAL(payload[n - 10], 12);
        struct slice words[] = {
            slice_str("RESTORE"), slice_str("r"), slice_str("0"), {(const uint8_t *)payload, n}};
        CU_ASSERT(engine_same(engine_argv(e, 4, words), "+OK\r\n"));
        EXPECT(e, "HPTTL r FIELDS 3 a b c", "*3\r\n:700\r\n:900\r\n:-1\r\n");
        engine_sleep(e, 701);
        EXPECT(e, "HMGET r a b c", "*3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n");
        words[1] = slice_str("late");
        CU_ASSERT(engine_same(engine_argv(e, 4, words), "+OK\r\n"));
        EXPECT(e, "HLEN late", ":2\r\n");
        EXPECT(e, "HPERSIST h FIELDS 1 b", "*1\r\n:1\r\n");
        engine_cmd(e, "DUMP h"); /* no times any more */
        CU_ASSERT_EQUAL(e->reply[e->reply_len - 12], 10);
        engine_free(e);
    }
}

static void test_without_memory(void)
{
    static const char *const commands[] = {
        "HEXPIRE h 100 FIELDS 3 a b z", "HGETEX h EX 100 FIELDS 1 a", "HPERSIST h FIELDS 1 t",
        "HSETEX h EX 100 FIELDS 1 a 1234567890123", "HINCRBY h t 1234567890123"};
    unsigned refused = 0;
    for (unsigned table = 0; table < 2; table++)
        for (unsigned c = 0; c < sizeof commands / sizeof *commands; c++)
            for (unsigned n = 1; n < 50 && !run_failing(commands[c], table, n, &refused); n++)
                ;
    CU_ASSERT_TRUE(refused > 8);
}

/* Commands with several elements do all or nothing at the memory limit, in every form and with every bit of
 * room. */
static void test_all_or_nothing_at_the_limit(void)
{
    static const char *const commands[][2] = {{"HSET", "HLEN"},    {"HSETEX k EX 100 FIELDS 40", "HLEN"},
                                              {"SADD", "SCARD"},   {"ZADD", "ZCARD"},
                                              {"GEOADD", "ZCARD"}, {"RPUSH", "LLEN"}};
    char line[4096], add[4096], want[32];
    for (unsigned c = 0; c < 6; c++) {
        unsigned done = 0, refused = 0;
        struct engine *e = engine_new("maxmemory 1mb\nmaxmemory-policy noeviction\n");
        bool geo = c == 4, scored = c == 3, single = c == 2 || c == 5;
        int n = 0;
        for (int i = 0; i < 40; i++)
            n += snprintf(add + n, sizeof add - (size_t)n,
                          geo      ? " 1.5 2.5 member-%d"
                          : scored ? " 1.25 member-%d"
                          : single ? " member-%d-of-some-length"
                                   : " field-%d a-value-of-some-length",
                          i);
        snprintf(line, sizeof line, strchr(commands[c][0], ' ') ? "%s%s" : "%s k%s", commands[c][0], add);
        for (unsigned i = 0; engine_cmd(e, "SETRANGE fill%u 600 x", i)[0] == ':'; i++)
            ;
        for (unsigned i = 0; i < 150; i++) { /* a bit more room each time */
            engine_cmd(e, "DEL k fill%u", i);
            const char *reply = engine_cmd(e, "%s", line);
            bool oom = strncmp(reply, "-OOM ", 5) == 0;
            CU_ASSERT(oom || reply[0] == ':');
            done += !oom;
            refused += oom;
            snprintf(want, sizeof want, ":%d\r\n", oom ? 0 : 40);
            CU_ASSERT(engine_same(engine_cmd(e, "%s k", commands[c][1]), want));
        }
        CU_ASSERT_TRUE(done > 5 && refused > 1);
        engine_free(e);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_conditions),
                                             UNIT(test_reads_see_no_field_whose_time_has_come),
                                             UNIT(test_writes_and_the_times_they_leave),
                                             UNIT(test_hgetex_and_hgetdel),
                                             UNIT(test_hsetex),
                                             UNIT(test_errors_of_times), UNIT(test_errors_of_reading_and_setting),
                                             UNIT(test_figures),
                                             UNIT(test_dump_and_restore),
                                             UNIT(test_without_memory),
                                             UNIT(test_all_or_nothing_at_the_limit),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/hash_expire", tests);
}
