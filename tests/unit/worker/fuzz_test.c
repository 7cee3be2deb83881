/* fuzz_test.c: mutated pipelines at random splits into two workers: whatever comes, a fresh client gets its
 * PONG and no packet buffer is lost. And the worker with every allocation failing once. */
#include "box_rig.h"
#include "job.h"
#include "nomem.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct box_rig rig;
static const char *const seed[] = {
    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n",
    "*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
    "*3\r\n$6\r\nAPPEND\r\n$1\r\nb\r\n$3\r\nxyz\r\n",
    "MSET a 1 b 2 c 3\r\n",
    "MGET a b c d\r\n",
    "PING\r\n",
    "SETRANGE z 70000 x\r\nGET z\r\nGET z\r\n",
    "*1\r\n$4\r\nINFO\r\n",
    "KEYS *\r\n",
    "SCAN 0 COUNT 100\r\n",
    "CLIENT LIST\r\nCLIENT INFO\r\n",
    "CLIENT REPLY SKIP\r\nGET a\r\n",
    "CLIENT REPLY OFF\r\nCLIENT REPLY ON\r\n",
    "HELLO 3\r\n",
    "SELECT 3\r\nSWAPDB 0 3\r\n",
    "RESET\r\n",
    "QUIT\r\n",
    "*0\r\n\r\n",
    "FLUSHALL\r\n",
    "CLIENT KILL TYPE normal\r\n",
    "CLIENT SETNAME n\r\n",
    "BITFIELD a SET u8 #0 255\r\n",
    "RENAME a b\r\n",
    "COPY a c REPLACE\r\nDEL a b c\r\n",
    "SLOWLOG GET\r\nOBJECT ENCODING a\r\n",
    "COMMAND DOCS get\r\n",
    "CONFIG SET maxmemory 10mb\r\nPING\r\n",
    "LCS a b\r\n",
    "EXPIRE a 100\r\nTTL a\r\n",
};

static uint32_t draw(uint32_t below)
{
    static uint64_t x = 88172645463325252ull;
    return (uint32_t)(unit_random(&x) >> 20) % below;
}

static size_t make_bytes(char *bytes, size_t room)
{
    size_t len = 0;
    for (unsigned n = 1 + draw(40); n; n--) {
        const char *s = seed[draw(sizeof seed / sizeof *seed)];
        if (len + strlen(s) > room)
            break;
        memcpy(bytes + len, s, strlen(s));
        len += strlen(s);
    }
    for (unsigned n = draw(4) ? draw(6) : 0; n; n--) {
        size_t at = draw((uint32_t)len);
        switch (draw(4)) {
        case 0:
            bytes[at] = (char)draw(256);
            break;
        case 1:
            bytes[at] = "0123456789*$-\r\n \""[draw(17)];
            break;
        case 2: /* a byte less */
            memmove(bytes + at, bytes + at + 1, len - at - 1);
            len -= len > 1;
            break;
        default: /* a part twice */
            memmove(bytes + at, bytes + at / 2, len - at);
        }
    }
    return len;
}

/* Answers, refuses or forgets what was asked of control. */
static void be_control(void)
{
    struct fabric *f = rig.box.fabric;
    for (struct job *j; (j = fabric_receive(f, fabric_main(f)));) {
        job_set_reply(j, draw(2) ? SLICE_LIT("+OK\r\n") : SLICE_LIT("-ERR no\r\n"));
        while (!fabric_send(f, fabric_main(f), j->home, j))
            rig_run(&rig, 100);
    }
}

static void one_client(unsigned i)
{
    static char bytes[8192];
    size_t len = make_bytes(bytes, sizeof bytes);
    struct rig_client *c = rig_connect(&rig, i);
    c->paused = draw(4) == 0;
    for (size_t at = 0; at < len && !c->closed;) {
        size_t part = 1 + draw(draw(3) ? 40 : 2000);
        part = part < len - at ? part : len - at;
        rig_exchange(&rig, c, bytes + at, part, 0);
        if (draw(2))
            rig_run(&rig, 100 * draw(5));
        if (draw(8) == 0)
            be_control();
        c->paused = c->paused && draw(4);
        at += part;
    }
    if (draw(2))
        rig_run(&rig, draw(2000));
    if (!c->closed && draw(2))
        tcp_abort(c->conn, rig.now_us);
    else if (!c->closed)
        tcp_close(c->conn, rig.now_us);
    c->conn = NULL;
    c->to_send_len = 0;
}

static void test_mutated_pipelines(void)
{
    static const char *const pairs[] = {"workers", "2", "slowlog-log-slower-than", "0", NULL};
    static const struct memwire_fault lossy = {.loss = 5000, .delay_us = 50};
    for (unsigned pass = 0; pass < 2; pass++) {
        time_t end = time(NULL) + 3;
        unsigned n = 0;
        rig_start(&rig, pairs, pass ? &lossy : NULL);
        atomic_store(&rig.box.control_present, true);
        for (; time(NULL) < end; n++) {
            one_client(n % 14);
            if (n % 50)
                continue;
            be_control();
            rig_run(&rig, 1500000);
            struct rig_client *c = rig_connect(&rig, 14 + n / 50 % 2);
            if (!rig_says(&rig, c, "PING\r\n", "+PONG\r\n")) {
                CU_FAIL("no PONG");
                break;
            }
            tcp_close(c->conn, rig.now_us);
            c->conn = NULL;
            rig_run(&rig, 1500000);
            for (unsigned k = 0; k < 50 && atomic_load(&rig.box.clients); k++) { /* each may have several questions */
                be_control();
                rig_run(&rig, 10000);
            }
            if (pass == 0) /* else a reset may have been lost: the client lives until keepalive */
                CU_ASSERT_EQUAL(atomic_load(&rig.box.clients), 0);
        }
        printf("# %u clients\n", n);
        rig_run(&rig, 3000000);
        be_control();
        rig_run(&rig, 1000);
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

static void test_every_allocation_fails_once(void)
{
    static const char *const pairs[] = {"workers", "2", "slowlog-log-slower-than", "0", NULL};
    static char big[40000], request[256];
    memset(big, 'x', sizeof big);
    sprintf(
        request,
        "CLIENT SETNAME n\r\nMSET a 1 b 2 c 3 d 4\r\nGET a\r\nGET b\r\nGET c\r\nGET d\r\nSETRANGE z 300000 "
        "x\r\nGET z\r\nCLIENT LIST\r\nCONFIG SET a b\r\nPING\r\nSET ");
    for (long n = 0; n < 40; n++) {
        rig_start(&rig, pairs, NULL);
        struct rig_client *c = rig_connect(&rig, 0);
        rig_connect(&rig, 1);
        atomic_store(&rig.box.control_present, true);
        fail_at = n;
        rig_exchange(&rig, c, request, strlen(request), 0);
        rig_run(&rig, 5000);
        be_control();
        rig_run(&rig, 100000);
        rig_exchange(&rig, c, big, sizeof big, 0);
        rig_run(&rig, 5000);
        fail_at = -1;
        struct rig_client *fresh = rig_connect(&rig, 2);
        CU_ASSERT_TRUE(rig_says(&rig, fresh, "PING\r\n", "+PONG\r\n"));
        CU_ASSERT_TRUE(rig_stop(&rig));
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_mutated_pipelines),
        UNIT(test_every_allocation_fails_once),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/fuzz", tests);
}
