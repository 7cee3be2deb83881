/* acl_test.c: users, their rules, and what follows for clients. Texts as Redis 7.2 has them. */
#include "engine.h"
#include "nomem.h"
#include "unit.h"

#include "command/acl.h"

#include <stdio.h>
#include <stdlib.h>

static struct engine *e;

static void fresh(const char *directives)
{
    engine_free(e);
    e = engine_new(directives);
}

/* What ACL LIST says of a user, without name. */
static const char *described(const char *name)
{
    static char line[2048];
    struct acl_user *u = acl_user_find(e->env.acl, slice_str(name));
    struct text text = {0};
    if (!u)
        return "nobody";
    rights_describe(&u->rights, &text);
    snprintf(line, sizeof line, "%.*s", (int)text.len, text.p);
    free(text.p);
    return line + 1;
}

static void test_rules(void)
{
    static const char *const rows[][2] = {
        {"", "off sanitize-payload resetchannels -@all"},
        {"on nopass ~a* ~b %R~c %W~c %r~d &x &y +@all",
         "on nopass sanitize-payload ~a* ~b ~c %R~d resetchannels &x &y +@all"},
        {"-@all +get +set -get", "off sanitize-payload resetchannels -@all +set -get"},
        {"+@all -config +config|get -config", "off sanitize-payload resetchannels +@all -config"},
        {"+select|0 +select|1 +select|0", "off sanitize-payload resetchannels -@all +select|1 +select|0"},
        {"+@Read -@STRING +Get", "off sanitize-payload resetchannels -@all +@read -@string +get"},
        {"(~a +get) ( ~b  -@all ) ()", "off sanitize-payload resetchannels -@all (~a resetchannels -@all "
                                       "+get) (~b resetchannels -@all) (resetchannels -@all)"},
        {"(~a +get) clearselectors ~b", "off sanitize-payload ~b resetchannels -@all"},
        {"on nopass ~* &* +@all reset", "off sanitize-payload resetchannels -@all"},
        {"allkeys allchannels allcommands skip-sanitize-payload", "off skip-sanitize-payload ~* &* +@all"},
        {">x >x >y <x",
         "off sanitize-payload #a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa "
         "resetchannels -@all"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        engine_cmd(e, "ACL DELUSER u");
        CU_ASSERT(engine_same(engine_cmd(e, "ACL SETUSER u %s", rows[i][0]), "+OK\r\n"));
        CU_ASSERT(engine_same(described("u"), rows[i][1]));
        /* What is told makes the same user. */
        CU_ASSERT(engine_same(engine_cmd(e, "ACL SETUSER again reset %s", rows[i][1]), "+OK\r\n"));
        CU_ASSERT(engine_same(described("again"), rows[i][1]));
    }
}

/* What control asks for, which no client can. */
static void test_users_of_a_configuration(void)
{
    static const char *const hash = "#a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"; /* y */
    struct slice argv[5] = {SLICE_LIT("ACL"), SLICE_LIT("SETUSER"), SLICE_LIT("\nuse"), SLICE_LIT("b on >y ~b +get"),
                            SLICE_LIT("c on nopass +ping")};
    fresh("");
    engine_cmd(e, "ACL SETUSER a on nopass +ping");
    const char *said = engine_argv(e, 5, argv);
    CU_ASSERT(strstr(said, "Usernames can't contain spaces") != NULL); /* of a client: a user's name */
    CU_ASSERT(engine_same(described("a"), "on nopass sanitize-payload resetchannels -@all +ping"));
    e->client->flags |= CLIENT_INTERNAL;
    argv[2] = SLICE_LIT("\nread");
    said = engine_argv(e, 5, argv);
    CU_ASSERT(strstr(said, "user b on sanitize-payload #") && strstr(said, hash) && strstr(said, "user default on nopass"));
    CU_ASSERT(engine_same(described("b"), "nobody")); /* only told */
    argv[2] = SLICE_LIT("\nuse");
    argv[4] = SLICE_LIT("c on +nosuch");
    CU_ASSERT(strstr(engine_argv(e, 5, argv), "Unknown command or category name in ACL") != NULL);
    argv[4] = SLICE_LIT("b on");
    CU_ASSERT(strstr(engine_argv(e, 5, argv), "Duplicate user") != NULL);
    CU_ASSERT(engine_same(described("a"), "on nopass sanitize-payload resetchannels -@all +ping")); /* nothing has changed */
    argv[4] = SLICE_LIT("c on nopass +ping");
    CU_ASSERT(engine_same(engine_argv(e, 5, argv), "+OK\r\n"));
    CU_ASSERT(engine_same(described("a"), "nobody"));
    CU_ASSERT(strncmp(described("b"), "on sanitize-payload #", 21) == 0 && strstr(described("b"), "~b resetchannels -@all +get"));
    CU_ASSERT(engine_same(described("default"), "on nopass sanitize-payload ~* &* +@all"));
    fresh("");
}

static void test_errors(void)
{
    static const char *const rows[][2] = {
        {"+nosuch", "'+nosuch': Unknown command or category name in ACL"},
        {"+@nosuch", "'+@nosuch': Unknown command or category name in ACL"},
        {"-select|0", "'-select|0': Unknown command or category name in ACL"},
        {"+select|", "'+select|': Syntax error"},
        {"+config|get|x", "'+config|get|x': Allowing first-arg of a subcommand is not supported"},
        {"%~a", "'%~a': Syntax error"},
        {"junk", "'junk': Syntax error"},
        {"(junk)", "'(junk)': Syntax error"},
        {"#12",
         "'#12': The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
         "characters"},
        {"<x", "'<x': The password you are trying to remove from the user does not exist"},
    };
    char want[512];
    engine_cmd(e, "ACL SETUSER u reset on +get");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(want, sizeof want, "-ERR Error in ACL SETUSER modifier %s\r\n", rows[i][1]);
        CU_ASSERT(engine_same(engine_cmd(e, "ACL SETUSER u -get %s", rows[i][0]), want));
    }
    EXPECT(e, "ACL SETUSER u (+get ~a",
           "-ERR Unmatched parenthesis in acl selector starting at '(+get'.\r\n");
    EXPECT(e, "ACL SETUSER \"a b\"", "-ERR Usernames can't contain spaces or null characters\r\n");
    EXPECT(e, "ACL DELUSER default", "-ERR The 'default' user cannot be removed\r\n");
    CU_ASSERT(engine_same(described("u"), "on sanitize-payload resetchannels -@all +get"));
}

static void test_login(void)
{
    EXPECT(e, "AUTH x",
           "-ERR AUTH <password> called without any password configured for the default user. Are you "
           "sure your configuration is correct?\r\n");
    engine_cmd(e, "ACL SETUSER u off >one >two +@all");
    EXPECT(e, "AUTH u one", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    engine_cmd(e, "ACL SETUSER u on");
    EXPECT(e, "AUTH u three", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    EXPECT(e, "AUTH nobody one", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    EXPECT(e, "AUTH u two", "+OK\r\n");
    EXPECT(e, "ACL WHOAMI", "$1\r\nu\r\n");
    EXPECT_STARTS(e, "HELLO 3 AUTH u one", "%7\r\n");
    EXPECT(e, "RESET", "+RESET\r\n");
    EXPECT(e, "ACL WHOAMI", "$7\r\ndefault\r\n");
}

/* Who came by a listener's user is not let further in without a password than protected mode lets anybody in. */
static void test_a_listener_is_no_way_round_protected_mode(void)
{
    static const char wrong[] = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    fresh("listener guests port 7000 user guest\n");
    EXPECT(e, "ACL SETUSER guest on nopass ~* +@all", "+OK\r\n");
    e->client->local.port = 7000;
    EXPECT(e, "RESET", "+RESET\r\n");
    EXPECT(e, "ACL WHOAMI", "$5\r\nguest\r\n");
    EXPECT(e, "AUTH default x", wrong);
    EXPECT(e, "HELLO 3 AUTH default x", wrong);
    EXPECT(e, "ACL SETUSER guest off", "+OK\r\n");
    EXPECT(e, "RESET", "+RESET\r\n");
    EXPECT_STARTS(e, "GET a", "-NOAUTH");
    EXPECT_STARTS(e, "HELLO 3", "-NOAUTH");
    EXPECT(e, "AUTH default x", wrong);
    fresh("protected-mode no\nlistener guests port 7000 user guest\n");
    e->client->local.port = 7000;
    EXPECT(e, "AUTH default x", "+OK\r\n");
    fresh("");
}

/* The directive's password is the default user's until ACL SETUSER gives it another one. */
static void test_requirepass(void)
{
    fresh("requirepass secret\n");
    EXPECT(e, "PING", "-NOAUTH Authentication required.\r\n");
    EXPECT(e, "AUTH secret", "+OK\r\n");
    EXPECT(e, "ACL SETUSER default >more", "+OK\r\n");
    struct client *other = engine_connect(e);
    e->client = other;
    EXPECT(e, "AUTH more", "+OK\r\n");
    EXPECT(e, "AUTH secret", "+OK\r\n");
    /* A new generation wins. */
    struct config *conf =
        config_build(2, (struct config_pair[]){{"requirepass", "next"}}, 1, (char[64]){0}, 64);
    const struct config *before = e->env.conf;
    e->env.conf = conf;
    EXPECT(e, "AUTH more", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    EXPECT(e, "AUTH next", "+OK\r\n");
    EXPECT(e, "ACL SETUSER default >last", "+OK\r\n");
    EXPECT(e, "AUTH next", "+OK\r\n");
    EXPECT(e, "AUTH secret", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    e->env.conf = before;
    config_free(conf);
    fresh(NULL);
}

static void test_configured(void)
{
    fresh("user alice on >x ~a* +@read\nuser bob off \"(~b +get)\"\nuser default on nopass ~* +@all\n");
    CU_ASSERT(engine_same(described("bob"),
                          "off sanitize-payload resetchannels -@all (~b resetchannels -@all +get)"));
    CU_ASSERT(engine_same(described("default"), "on nopass sanitize-payload ~* resetchannels +@all"));
    EXPECT(e, "PUBLISH a b", "-NOPERM No permissions to access a channel\r\n");
    EXPECT(e, "AUTH alice x", "+OK\r\n");
    EXPECT(e, "SET a 1", "-NOPERM User alice has no permissions to run the 'set' command\r\n");
    fresh(NULL);
}

static void test_clients_follow(void)
{
    struct client *me = e->client, *other = engine_connect(e);
    EXPECT(e, "ACL SETUSER u on nopass +@all ~* &*", "+OK\r\n");
    e->client = other;
    EXPECT(e, "AUTH u any", "+OK\r\n");
    EXPECT(e, "SET k v", "+OK\r\n");
    CU_ASSERT(other->flags & CLIENT_UNLIMITED);
    e->client = me;
    EXPECT(e, "ACL SETUSER u -set", "+OK\r\n");
    e->client = other;
    EXPECT(e, "SET k v", "-NOPERM User u has no permissions to run the 'set' command\r\n");
    EXPECT(e, "GET k", "$1\r\nv\r\n");
    e->client = me;
    EXPECT(e, "ACL DELUSER u", ":1\r\n");
    CU_ASSERT(other->flags & CLIENT_KILLED && !other->user);
    CU_ASSERT(!(me->flags & CLIENT_KILLED));
    EXPECT(e, "ACL SETUSER default -set", "+OK\r\n");
    EXPECT(e, "SET k v", "-NOPERM User default has no permissions to run the 'set' command\r\n");
    EXPECT(e, "ACL SETUSER default +@all", "+OK\r\n");
    EXPECT(e, "SET k v", "+OK\r\n");
    CU_ASSERT(me->flags & CLIENT_UNLIMITED);
    EXPECT(e, "ACL SETUSER default off", "+OK\r\n");
    EXPECT(e, "PING", "+PONG\r\n"); /* who is in stays */
    e->client = engine_connect(e);
    EXPECT(e, "PING", "-NOAUTH Authentication required.\r\n");
    e->client = me;
    EXPECT(e, "ACL SETUSER default on", "+OK\r\n");
}

static void test_keys(void)
{
    EXPECT(e, "ACL SETUSER v on nopass +@all %R~r* %W~w* (+mget ~m)", "+OK\r\n");
    static const char *const rows[][2] = {
        {"GET r", "+OK\r\n"},
        {"GET w", "$"},
        {"SET w 1", "+OK\r\n"},
        {"SET w 1 GET", "$"},
        {"COPY r w", "+OK\r\n"},
        {"COPY w r", "$"},
        {"BITFIELD r GET u4 0", "+OK\r\n"},
        {"BITFIELD r SET u4 0 1", "$"},
        {"SORT r STORE w", "+OK\r\n"},
        {"SORT r STORE r", "$"},
        {"MGET m m", "+OK\r\n"},
        {"MGET m r", "$"},
        {"EVAL x -1 z", "+OK\r\n"},
        {"EVAL x 1 z", "$"},
        {"PING", "+OK\r\n"},
        {"STRLEN w", "+OK\r\n"},
        {"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"NOSUCH", "-ERR Command 'NOSUCH' not found\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = engine_cmd(e, "ACL DRYRUN v %s", rows[i][0]);
        CU_ASSERT(rows[i][1][0] == '$' ? got[0] == '$' : engine_same(got, rows[i][1]));
        if (rows[i][1][0] == '$' && got[0] != '$')
            printf("# %s: %s\n", rows[i][0], got);
    }
    EXPECT(e, "ACL DRYRUN v GET w", "$47\r\nUser v has no permissions to access the 'w' key\r\n");
}

/* Checked when it is queued, and once more when it runs. */
static void test_transactions_and_scripts(void)
{
    struct client *me = e->client, *other = engine_connect(e);
    EXPECT(e, "ACL SETUSER t on nopass +@all ~a", "+OK\r\n");
    e->client = other;
    EXPECT(e, "AUTH t x", "+OK\r\n");
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "SET b 1", "-NOPERM No permissions to access a key\r\n");
    EXPECT(e, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "SET a 1", "+QUEUED\r\n");
    EXPECT(e, "GET a", "+QUEUED\r\n");
    e->client = me;
    EXPECT(e, "ACL SETUSER t -set", "+OK\r\n");
    e->client = other;
    EXPECT(e, "EXEC",
           "*2\r\n-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC "
           "call. This "
           "command is no longer allowed for the following reason: no permission to execute the command or "
           "subcommand\r\n$-1\r\n");
    EXPECT_STARTS(
        e, "EVAL \"return redis.call('set','a','1')\" 0",
        "-NOPERM ACL failure in script: User t has no permissions to run the 'set' command script: ");
    EXPECT(e, "EVAL \"return redis.acl_check_cmd('get','b')\" 0", "$-1\r\n");
    EXPECT(e, "EVAL \"return redis.acl_check_cmd('get','a')\" 0", ":1\r\n");
    EXPECT(e, "EVAL \"return redis.acl_check_cmd('get')\" 0", ":1\r\n"); /* as Redis: it has no key that were forbidden */
    EXPECT(e, "SORT a BY w_*", "-ERR BY option of SORT denied due to insufficient ACL permissions.\r\n");
    e->client = me;
    EXPECT_STARTS(
        e, "ACL LOG 1",
        "*1\r\n*20\r\n$5\r\ncount\r\n:1\r\n$6\r\nreason\r\n$7\r\ncommand\r\n$7\r\ncontext\r\n$3\r\nlua\r\n$"
        "6\r\nobject\r\n"
        "$3\r\nset\r\n$8\r\nusername\r\n$1\r\nt\r\n$11\r\nage-seconds\r\n$1\r\n0\r\n$11\r\nclient-info\r\n");
}

static void test_log(void)
{
    struct client *me = e->client;
    EXPECT(e, "ACL LOG RESET", "+OK\r\n");
    EXPECT(e, "ACL LOG", "*0\r\n");
    for (int i = 0; i < 3; i++)
        engine_cmd(e, "AUTH nobody x");
    EXPECT_STARTS(
        e, "ACL LOG",
        "*1\r\n*20\r\n$5\r\ncount\r\n:3\r\n$6\r\nreason\r\n$4\r\nauth\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n"
        "$6\r\nobject\r\n$4\r\nAUTH\r\n$8\r\nusername\r\n$6\r\nnobody\r\n");
    engine_sleep(e, 61000);
    engine_cmd(e, "AUTH nobody x");
    EXPECT_STARTS(e, "ACL LOG", "*2\r\n");
    for (int i = 0; i < 200; i++)
        engine_cmd(e, "AUTH nobody%d x", i);
    EXPECT_STARTS(e, "ACL LOG 1000", "*128\r\n");
    EXPECT(e, "ACL LOG 0", "*0\r\n");
    e->client = me;
}

/* With the Nth allocation failing a change is made or it is not. */
static void test_no_memory(void)
{
    static const struct slice args[] = {SLICE_LIT("ACL"), SLICE_LIT("SETUSER"), SLICE_LIT("n"),
                                        SLICE_LIT("on"),  SLICE_LIT(">p"),      SLICE_LIT("~a*"),
                                        SLICE_LIT("&c"),  SLICE_LIT("+get"),    SLICE_LIT("+select|0"),
                                        SLICE_LIT("(~b"), SLICE_LIT("+set)")};
    const int argc = sizeof args / sizeof *args;
    engine_cmd(e, "ACL SETUSER n off -@all ~z +ping resetpass");
    char before[2048];
    snprintf(before, sizeof before, "%s", described("n"));
    e->chunk = 8192;
    bool done = false;
    for (long n = 0; n < 200 && !done; n++) {
        fail_at = n;
        done = engine_argv(e, argc, args)[0] == '+' && fail_at >= 0;
        bool made = fail_at >= 0 || strcmp(described("n"), before) != 0;
        fail_at = -1;
        CU_ASSERT(made || engine_same(described("n"), before));
        if (made && !done) {
            engine_cmd(e, "ACL SETUSER n reset -@all ~z +ping");
            CU_ASSERT(engine_same(described("n"), before));
        }
    }
    CU_ASSERT(done);
    static const struct slice login[] = {SLICE_LIT("AUTH"), SLICE_LIT("nobody"), SLICE_LIT("x")};
    for (long n = 0; n < 12; n++) { /* a login that is refused is noted or not */
        fail_at = n;
        CU_ASSERT_NOT_EQUAL(engine_argv(e, 3, login)[0], '+'); /* the engine's own: no reply */
        fail_at = -1;
    }
    for (long n = 0; n < 60; n++) {
        char error[128];
        fail_at = n;
        struct acl *a = acl_new(e->env.conf, error, sizeof error);
        fail_at = -1;
        acl_free(a);
    }
}

/* Odd rules are refused or taken, and what is taken can be told and taken again. */
static void test_odd_rules(void)
{
    static const char letters[] = "+-@~%&()RWrw|*a>#<! getonf\xff\n";
    unsigned seed = 7;
    for (int round = 0; round < 20000; round++) {
        char word[3][16], why[ACL_WHY];
        struct slice rule[3];
        struct rights r;
        for (int i = 0; i < 3; i++) {
            size_t len = (size_t)rand_r(&seed) % 12;
            for (size_t k = 0; k < len; k++)
                word[i][k] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
            rule[i] = (struct slice){(uint8_t *)word[i], len};
        }
        CU_ASSERT_FATAL(rights_init(&r, false));
        if (rights_rules(&r, 3, rule, false, why, sizeof why)) {
            struct text text = {0}, again = {0};
            struct slice parts[64];
            int n = 0;
            rights_describe(&r, &text);
            for (size_t at = 1; at <= text.len && n < 64; n++) {
                const char *blank = memchr(text.p + at, ' ', text.len - at);
                size_t end = blank ? (size_t)(blank - text.p) : text.len;
                parts[n] = (struct slice){(uint8_t *)text.p + at, end - at};
                at = end + 1;
            }
            struct rights copy;
            CU_ASSERT_FATAL(rights_init(&copy, false));
            CU_ASSERT(rights_rules(&copy, n, parts, false, why, sizeof why));
            rights_describe(&copy, &again);
            CU_ASSERT(text.len == again.len && memcmp(text.p, again.p, text.len) == 0);
            rights_free(&copy);
            free(text.p);
            free(again.p);
        }
        rights_free(&r);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_rules),
                                             UNIT(test_errors),
                                             UNIT(test_login),
                                             UNIT(test_a_listener_is_no_way_round_protected_mode),
                                             UNIT(test_requirepass),
                                             UNIT(test_configured),
                                             UNIT(test_users_of_a_configuration),
                                             UNIT(test_keys),
                                             UNIT(test_transactions_and_scripts),
                                             UNIT(test_clients_follow),
                                             UNIT(test_log),
                                             UNIT(test_no_memory),
                                             UNIT(test_odd_rules),
                                             {NULL, NULL}};
    e = engine_new(NULL);
    if (!e)
        return 1;
    int status = unit_main(argc, argv, "command/acl", tests);
    engine_free(e);
    return status;
}
