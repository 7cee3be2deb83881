/* block_random_test.c: two workers over wires that lose and reorder frames, clients that wait for keys of
 * both, in random orders: step by step against a single-threaded model, and all at once with every element
 * counted. */
#include "block_model.h"
#include "box_rig.h"
#include "job.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 1000, CONTROL = MODEL_CLIENTS, HURRIES = 300 };

static struct box_rig rig;
static const char *const two[] = {"workers", "2", NULL};
static struct rig_client *client[MODEL_CLIENTS + 1];
static struct model model;
static uint64_t chance;

static unsigned below(unsigned n)
{
    chance = chance * 6364136223846793005 + 1442695040888963407;
    return (unsigned)(chance >> 33) % n;
}

static void start(const struct memwire_fault *fault, uint64_t seed)
{
    static char name[MODEL_KEYS][8];
    rig_start(&rig, two, fault);
    chance = seed;
    for (int i = 0; i <= MODEL_CLIENTS; i++)
        client[i] = rig_connect(&rig, (unsigned)i);
    memset(&model, 0, sizeof model);
    for (int i = 0; i < MODEL_CLIENTS; i++)
        model.client[i].text = calloc(1, MODEL_TEXT);
    for (unsigned i = 0, n = 0; n < MODEL_KEYS; i++) { /* two of each shard */
        sprintf(name[n], "k%u", i);
        model.name[n] = name[n];
        n += keyspace_shard_of(rig.box.ks, slice_str(name[n])) == n % 2;
    }
}

static bool stop(void)
{
    for (int i = 0; i < MODEL_CLIENTS; i++)
        free(model.client[i].text);
    return rig_stop(&rig);
}

static bool is_idle(int i)
{
    struct rig_client *c = client[i];
    return !model.client[i].waits && c->sent == c->to_send_len;
}

static bool same(int i)
{
    return client[i]->got_len == model.client[i].len &&
           memcmp(client[i]->got, model.client[i].text, client[i]->got_len) == 0;
}

static uint64_t blocked(void)
{
    return rig.box.worker[0]->blocking.clients + rig.box.worker[1]->blocking.clients;
}

/* Until everybody has been told what the model says, and as many wait. */
static bool settled(void)
{
    uint64_t waiting = 0;
    for (int i = 0; i < MODEL_CLIENTS; i++)
        waiting += model.client[i].waits;
    for (int step = 0; step < 4000; step++) {
        bool all = blocked() == waiting;
        for (int i = 0; i < MODEL_CLIENTS; i++)
            all &= same(i);
        if (all)
            return true;
        rig_run(&rig, 2000);
    }
    for (int i = 0; i < MODEL_CLIENTS; i++)
        if (!same(i))
            printf("# client %d was told\n%.*s\n# and not\n%s\n", i, (int)client[i]->got_len,
                   (char *)client[i]->got, model.client[i].text);
    printf("# %d wait, and not %d\n", (int)blocked(), (int)waiting);
    return false;
}

static char text[MODEL_CLIENTS + 1][256];

static void ask(int i, const char *request)
{
    snprintf(text[i], sizeof text[i], "%s", request);
    rig_exchange(&rig, client[i], text[i], strlen(text[i]), 0);
}

static bool push(int *next)
{
    int element[5], n = 1 + (int)below(5), key = (int)below(MODEL_KEYS);
    bool head = below(2);
    char request[256], reply[16];
    int at = sprintf(request, "%s %s", head ? "LPUSH" : "RPUSH", model.name[key]);
    for (int i = 0; i < n; i++)
        at += sprintf(request + at, " %d", element[i] = (*next)++);
    sprintf(request + at, "\r\n");
    sprintf(reply, ":%d\r\n", model_push(&model, key, element, n, head));
    return rig_says(&rig, client[CONTROL], request, reply);
}

static void wait_for_keys(int i)
{
    int key[3], keys = 0, at = 0;
    char request[256];
    if (below(3) == 0) {
        int from = (int)below(MODEL_KEYS), to = (int)below(MODEL_KEYS);
        sprintf(request, "BRPOPLPUSH %s %s 0\r\n", model.name[from], model.name[to]);
        model_move(&model, i, from, to);
    } else {
        bool tail = below(2);
        at = sprintf(request, "%s", tail ? "BRPOP" : "BLPOP");
        for (unsigned n = 1 + below(3), k = below(MODEL_KEYS); n--; k = (k + 1) % MODEL_KEYS) {
            key[keys++] = (int)k;
            at += sprintf(request + at, " %s", model.name[k]);
        }
        sprintf(request + at, " 0\r\n");
        model_pop(&model, i, key, keys, tail);
    }
    ask(i, request);
}

/* As CLIENT UNBLOCK names it: worker and port tell which it is. */
static uint64_t id_of(int i)
{
    for (unsigned w = 0; w < 2; w++)
        for (struct session *s = rig.box.worker[w]->live_sessions; s; s = s->live_next)
            if (s->client.peer.port % RIG_CLIENTS == (20000 + i) % RIG_CLIENTS)
                return s->client.id;
    return 0;
}

static bool unblock(int i)
{
    char request[64];
    sprintf(request, "CLIENT UNBLOCK %d\r\n", (int)id_of(i));
    model_told(&model, i, "*-1\r\n");
    return rig_says(&rig, client[CONTROL], request, ":1\r\n");
}

static void hang_up(int i)
{
    struct model_client *c = &model.client[i];
    if (below(2))
        tcp_abort(client[i]->conn, rig.now_us);
    else
        tcp_close(client[i]->conn, rig.now_us);
    client[i]->conn = NULL;
    c->waits = false;
    c->len = 0;
    c->text[0] = 0;
    for (int step = 0; step < 4000 && id_of(i); step++)
        rig_run(&rig, 2000);
    client[i] = rig_connect(&rig, (unsigned)i);
}

static bool step(int *next)
{
    int i = (int)below(MODEL_CLIENTS);
    if (is_idle(i) && below(3))
        wait_for_keys(i);
    else if (model.client[i].waits && below(8) == 0)
        hang_up(i);
    else if (model.client[i].waits && below(8) == 0)
        return unblock(i);
    else
        return push(next);
    return true;
}

static void against_the_model(const struct memwire_fault *fault, uint64_t seed)
{
    bool good = true;
    int next = 0;
    start(fault, seed);
    for (int n = 0; n < STEPS && good; n++) {
        good = step(&next) && settled();
        if (!good)
            printf("# step %d of seed %d\n", n, (int)seed);
    }
    CU_ASSERT_TRUE(good);
    CU_ASSERT_TRUE(stop());
}

static void test_step_by_step_as_the_model(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        against_the_model(NULL, seed);
}

static void test_a_bad_wire_changes_nothing(void)
{
    static const struct memwire_fault bad = {
        .loss = 10000, .duplicate = 10000, .reorder = 30000, .delay_us = 200, .jitter_us = 300};
    for (uint64_t seed = 11; seed <= 12; seed++)
        against_the_model(&bad, seed);
}

/* -- all at once */

static char seen[HURRIES * 4];

/* Elements in a client's replies: each that follows "$n". Those of moves are in a list as well. */
static int tally(const uint8_t *p, size_t len)
{
    int n = 0;
    for (size_t i = 0; i + 1 < len; i++)
        if (p[i] == '\n' && p[i + 1] >= '0' && p[i + 1] <= '9') {
            seen[atoi((const char *)p + i + 1)]++;
            n++;
        }
    return n;
}

/* Nobody waits for anybody: pushes and pops of all cross each other, with short timeouts and clients that
 * give up by CLIENT UNBLOCK. In the end every element was given to one client or lies in a list. */
static void test_in_a_hurry_nothing_is_lost_or_given_twice(void)
{
    for (uint64_t seed = 21; seed <= 23; seed++) {
        static const struct memwire_fault slow = {.delay_us = 50, .jitter_us = 400, .reorder = 20000};
        int next = 0;
        start(&slow, seed);
        memset(seen, 0, sizeof seen);
        for (int n = 0; n < HURRIES; n++) {
            int i = (int)below(MODEL_CLIENTS + 1);
            char request[160];
            const char *a = model.name[below(MODEL_KEYS)], *b = model.name[below(MODEL_KEYS)];
            if (client[i]->sent < client[i]->to_send_len)
                continue;
            if (i == CONTROL || below(3) == 0) {
                sprintf(request, "RPUSH %s %d %d\r\n", a, next, next + 1);
                next += 2;
            } else if (below(4) == 0) {
                sprintf(request, "CLIENT UNBLOCK %d\r\n", (int)id_of((int)below(MODEL_CLIENTS)));
            } else {
                sprintf(request, "BLPOP %s %s 0.0%u\r\n", a, b, 1 + below(3));
            }
            snprintf(text[i], sizeof text[i], "%s", request);
            client[i]->to_send = (const uint8_t *)text[i];
            client[i]->to_send_len = strlen(text[i]);
            client[i]->sent = 0;
            rig_run(&rig, below(600));
        }
        rig_run(&rig, 2000000);
        CU_ASSERT_EQUAL(blocked(), 0);
        CU_ASSERT_EQUAL(rig.box.worker[0]->waits->keys + rig.box.worker[1]->waits->keys, 0);
        for (int i = 0; i < MODEL_CLIENTS; i++) {
            client[i]->got[client[i]->got_len] = 0;
            tally(client[i]->got, client[i]->got_len);
        }
        for (int k = 0; k < MODEL_KEYS; k++) {
            char request[64];
            struct rig_client *c = client[CONTROL];
            sprintf(request, "LRANGE %s 0 -1\r\n", model.name[k]);
            c->got_len = 0;
            rig_exchange(&rig, c, request, strlen(request), 4);
            rig_run(&rig, 20000);
            c->got[c->got_len] = 0;
            tally(c->got, c->got_len);
        }
        int wrong = 0;
        for (int i = 0; i < next; i++)
            wrong += seen[i] != 1;
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_TRUE(stop());
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_step_by_step_as_the_model),
        UNIT(test_a_bad_wire_changes_nothing),
        UNIT(test_in_a_hurry_nothing_is_lost_or_given_twice),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/block_random", tests);
}
