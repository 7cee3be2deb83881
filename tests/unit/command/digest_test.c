/* digest_test.c: DEBUG DIGEST and DIGEST-VALUE have the very digests of redis-server 7.0.15, whatever the
 * number of shards; DEBUG RELOAD and LOADAOF leave the data what it is. */
#include "base/sha1.h"
#include "engine.h"
#include "store/store.h"
#include "unit.h"

static void expect_sha1(const char *text, const char *digest)
{
    uint8_t got[SHA1_BYTES];
    char hex[2 * SHA1_BYTES + 1];
    sha1(slice_str(text), got);
    for (unsigned i = 0; i < SHA1_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", got[i]);
    CU_ASSERT_STRING_EQUAL(hex, digest);
}

/* FIPS 180's examples, and lengths around the end of a block. */
static void test_sha1(void)
{
    expect_sha1("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect_sha1("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    expect_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    expect_sha1("0123456789012345678901234567890123456789012345678901234",
                "9f3a4ce7f66b1b74c34da2c5d732c39f81e0f8df");
    expect_sha1("0123456789012345678901234567890123456789012345678901234567890123",
                "cf0800f7644ace3cb4c3fa33388d3ba0ea3c8b6e");
}

static void fill(struct engine *e)
{
    static const char *const commands[] = {
        "SET s 12",       "RPUSH l a b 3 a",    "SADD m x y 7",   "ZADD z 1.5 a -inf b 0.1 c",
        "HSET h f v g 2", "XADD t 5-1 f v g 7", "XADD t 6-0 h x", "SET e v PX 100000000",
        "SELECT 3",       "SET only here",      "SELECT 0"};
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++)
        CU_ASSERT_NOT_EQUAL(engine_cmd(e, "%s", commands[i])[0], '-');
}

#define WHOLE "+8a76152d3c164bb00a61d8d4e9c3bebf490c8768\r\n"

static void test_digests_are_redis(void)
{
    for (unsigned workers = 1; workers <= 3; workers += 2) {
        char directives[64];
        snprintf(directives, sizeof directives, "enable-debug-command yes\nworkers %u\n", workers);
        struct engine *e = engine_new(directives);
        EXPECT(e, "DEBUG DIGEST", "+0000000000000000000000000000000000000000\r\n");
        fill(e);
        EXPECT(e, "DEBUG DIGEST", WHOLE);
        EXPECT(
            e, "DEBUG DIGEST-VALUE s l m z h t e nokey",
            "*8\r\n+655ac46b180ad2f61a3cee25f0b1780fa2ec879a\r\n+ee0459df5c2bca088b4d9863708e524cbad04efc\r\n"
            "+a6afcc473373536adb071da403abcb70a693d104\r\n+68e3e45b8d85c6bd776092d51acc9c222f498aad\r\n"
            "+9dc7e1ed596e8ccab4b91d04b8317fc85b68294a\r\n+5eca4bde24f53fc068bf27fc1720c5e4d777f9d8\r\n"
            "+311b17018163335616e089f6b951c82c477335ac\r\n+0000000000000000000000000000000000000000\r\n");
        engine_cmd(e, "SELECT 3");
        engine_cmd(e, "SET only there");
        EXPECT(e, "DEBUG DIGEST", "+6779d463c7a34dda89d5b884fc98f9c76ce6df90\r\n");
        engine_free(e);
    }
}

/* As Redis since 7.4: whether a field expires counts, and not when. By hand: the oracle has no such fields. */
static void test_times_of_fields_count(void)
{
    static const char digest[] = "*1\r\n+79b81ea0b632cca3914d199b544033875e6ba0ff\r\n";
    struct engine *e = engine_new("enable-debug-command yes\n");
    fill(e);
    engine_cmd(e, "HEXPIRE h 100 FIELDS 1 f");
    EXPECT(e, "DEBUG DIGEST-VALUE h", digest);
    EXPECT(e, "DEBUG RELOAD", "+OK\r\n");
    EXPECT(e, "DEBUG DIGEST-VALUE h", digest);
    EXPECT(e, "HTTL h FIELDS 2 f g", "*2\r\n:100\r\n:-1\r\n");
    engine_cmd(e, "HPERSIST h FIELDS 1 f");
    EXPECT(e, "DEBUG DIGEST", WHOLE);
    engine_free(e);
}

static void test_reload_leaves_the_data(void)
{
    struct engine *e = engine_new("enable-debug-command yes\nworkers 2\nmaxmemory-policy allkeys-lru\n");
    fill(e);
    engine_sleep(e, 5000);
    EXPECT(e, "OBJECT IDLETIME l", ":5\r\n");
    static const char *const ways[] = {"DEBUG RELOAD", "DEBUG LOADAOF", "DEBUG RELOAD NOFLUSH MERGE"};
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(e, ways[i], "+OK\r\n");
        EXPECT(e, "DEBUG DIGEST", WHOLE);
        EXPECT(e, "DBSIZE", ":7\r\n");
        EXPECT(e, "OBJECT IDLETIME l", ":5\r\n");
        EXPECT(e, "PTTL e", ":99995000\r\n");
        EXPECT(e, "OBJECT ENCODING m", "$8\r\nlistpack\r\n");
    }
    EXPECT(e, "DEBUG RELOAD FOO",
           "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.\r\n");
    EXPECT_STARTS(e, "DEBUG RELOAD NOSAVE", "-ERR Error trying to load the RDB dump");
    EXPECT_STARTS(e, "DEBUG RELOAD NOFLUSH", "-ERR Error trying to load the RDB dump: NOFLUSH needs MERGE");
    EXPECT(e, "DEBUG DIGEST", WHOLE);
    engine_free(e);
}

/* What has expired is not there any more, as after a restart. */
static void test_reload_drops_what_has_expired(void)
{
    struct engine *e = engine_new("enable-debug-command yes\n");
    EXPECT(e, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n");
    engine_cmd(e, "SET gone v PX 10");
    engine_cmd(e, "SET stays v");
    engine_sleep(e, 20);
    EXPECT(e, "DEBUG RELOAD", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":1\r\n");
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_sha1),
                                             UNIT(test_digests_are_redis),
                                             UNIT(test_times_of_fields_count),
                                             UNIT(test_reload_leaves_the_data),
                                             UNIT(test_reload_drops_what_has_expired),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/digest", tests);
}
