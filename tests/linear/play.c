/* play.c: see play.h. */
#include "play.h"

#include "fabric/delay.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEPS_MAX = 4000000, QUIET_ROUNDS = 300, ROUND_US = 20 };

static struct box_rig lanes[RIG_WORKERS];
static unsigned workers, per_lane;

struct lane { /* what a thread needs */
    unsigned number;
    const struct play *play;
    struct box_rig *rig;
    struct linear_client *client[PLAY_CLIENTS];
    uint64_t random;
    bool hung;
};

static struct lane lane[RIG_WORKERS];
static struct linear_client clients[LINEAR_CLIENTS];
static struct linear_load load;
static _Atomic(uint64_t) clock_ticks;
static _Atomic(unsigned) lanes_busy;

/* -- delays */

static struct {
    _Atomic(unsigned) per_mille;
    _Atomic(bool) pause; /* in real time, too */
} delay;
static _Thread_local uint64_t delay_random;

static void pass_time(void)
{
    switch (linear_random(&delay_random) % 8) {
    case 0:
        usleep((useconds_t)(linear_random(&delay_random) % 200));
        break;
    case 1:
    case 2:
    case 3:
        sched_yield();
        break;
    default:
        for (uint64_t n = linear_random(&delay_random) % 2000; n; n--)
            __builtin_ia32_pause();
    }
}

bool fabric_delay(enum fabric_point at, unsigned self)
{
    (void)at;
    (void)self;
    unsigned per_mille = atomic_load_explicit(&delay.per_mille, memory_order_relaxed);
    if (!per_mille || linear_random(&delay_random) % 1000 >= per_mille)
        return false;
    if (atomic_load_explicit(&delay.pause, memory_order_relaxed))
        pass_time();
    return linear_random(&delay_random) % 2;
}

/* -- clients of a lane */

static void connect_client(struct lane *l, unsigned i)
{
    rig_connect(l->rig, i);
}

static void start_client(struct lane *l, unsigned i)
{
    unsigned number = l->number * (LINEAR_CLIENTS / RIG_WORKERS) + i;
    l->client[i] = &clients[number];
    linear_client_init(l->client[i], &load, number);
}

static void client_turn(struct lane *l, unsigned i)
{
    struct linear_client *c = l->client[i];
    struct rig_client *rc = &l->rig->client[i];
    size_t taken = linear_client_told(c, (const char *)rc->got, rc->got_len);
    memmove(rc->got, rc->got + taken, rc->got_len - taken);
    rc->got_len -= taken;
    if (c->waiting || !c->left || linear_random(&l->random) % 3 == 0)
        return;
    linear_client_ask(c);
    rc->to_send = (const uint8_t *)c->request;
    rc->to_send_len = c->request_len;
    rc->sent = 0;
}

/* The client vanishes; another one comes in its place. */
static void hang_up(struct lane *l, unsigned i)
{
    struct linear_client *c = l->client[i];
    unsigned number = c->number, next = number + per_lane;
    if (!linear_client_may_go(c) || next / (LINEAR_CLIENTS / RIG_WORKERS) != l->number)
        return;
    unsigned left = c->left;
    tcp_abort(l->rig->client[i].conn, l->rig->now_us);
    l->rig->client[i].conn = NULL;
    linear_client_lost(c);
    rig_connect(l->rig, i);
    l->client[i] = &clients[next];
    linear_client_init(l->client[i], &load, next);
    l->client[i]->left = left;
}

static bool step(struct lane *l)
{
    bool busy = false;
    rig_round(l->rig);
    for (unsigned i = 0; i < per_lane; i++) {
        client_turn(l, i);
        if (l->play->hang_up && linear_random(&l->random) % 2000 == 0)
            hang_up(l, i);
        busy |= l->client[i]->waiting || l->client[i]->left;
    }
    return busy;
}

/* -- in one thread */

static bool in_turns(uint64_t *random, uint64_t *now)
{
    unsigned busy = (1u << workers) - 1;
    for (unsigned i = 0; busy && i < STEPS_MAX; i++) {
        unsigned n = (unsigned)(linear_random(random) % workers);
        struct box_rig *r = lane[n].rig;
        *now += linear_random(random) % ROUND_US;
        if (r->now_us < *now)
            r->now_us = *now;
        busy = step(&lane[n]) ? busy | 1u << n : busy & ~(1u << n);
        if (r->now_us > *now) /* somebody has connected meanwhile */
            *now = r->now_us;
    }
    return !busy;
}

/* -- in threads */

static uint64_t real_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* A lane's clock is never behind the real one by more than it is now. */
static void *lane_main(void *arg)
{
    struct lane *l = arg;
    struct fabric *fabric = l->rig->worker->box->fabric;
    uint64_t begin = real_us(), base = l->rig->now_us;
    bool busy = true;
    delay_random = l->random;
    fabric_wake(fabric, l->rig->worker->id);
    l->rig->thread = true;
    while (busy || atomic_load_explicit(&lanes_busy, memory_order_relaxed)) {
        uint64_t now = real_us() - begin;
        if (base + now > l->rig->now_us)
            l->rig->now_us = base + now;
        bool more = step(l);
        if (busy && !more)
            atomic_fetch_sub_explicit(&lanes_busy, 1, memory_order_relaxed);
        else if (!busy && more)
            atomic_fetch_add_explicit(&lanes_busy, 1, memory_order_relaxed);
        busy = more;
        if (now > 20000000) {
            l->hung = true;
            break;
        }
    }
    l->rig->thread = false;
    fabric_sleep(fabric, l->rig->worker->id);
    return NULL;
}

static bool in_threads(uint64_t *now)
{
    pthread_t thread[RIG_WORKERS];
    bool ended = true;
    atomic_store(&lanes_busy, workers);
    for (unsigned i = 0; i < workers; i++) {
        lane[i].rig->now_us = *now;
        pthread_create(&thread[i], NULL, lane_main, &lane[i]);
    }
    for (unsigned i = 0; i < workers; i++) {
        pthread_join(thread[i], NULL);
        ended &= !lane[i].hung;
        if (lanes[i].now_us > *now)
            *now = lanes[i].now_us;
    }
    return ended;
}

/* -- a history */

static uint64_t now_us;

/* Everybody runs until what a history has left behind is done. */
static void settle(void)
{
    for (unsigned i = 0; i < QUIET_ROUNDS; i++, now_us += ROUND_US)
        for (unsigned n = 0; n < workers; n++) {
            lanes[n].now_us = now_us;
            rig_round(&lanes[n]);
        }
}

static void say_to_all(const char *request)
{
    for (unsigned n = 0; n < workers; n++)
        for (unsigned i = 0; i < per_lane; i++)
            rig_send(&lanes[n].client[i], request);
    settle();
    for (unsigned n = 0; n < workers; n++)
        for (unsigned i = 0; i < per_lane; i++)
            lanes[n].client[i].got_len = 0;
}

/* Long commands give way at each element in some histories, seldom in others. Not those of a few keys (four at most
 * here): see KEYS_MOST in turns_seat.c. */
static void set_slices(uint64_t *random)
{
    static const unsigned work[] = {4 * KEY_WORK, 6 * KEY_WORK, TURN_WORK};
    for (unsigned n = 0; n < workers; n++) {
        struct worker *w = lanes[n].worker;
        w->env.turn_work = work[linear_random(random) % 3];
        w->turns.each = w->env.turn_work < TURN_WORK;
    }
}

static void print_hung(void)
{
    for (unsigned n = 0; n < workers; n++)
        for (unsigned i = 0; i < per_lane; i++)
            if (lane[n].client[i]->waiting)
                printf("# client %u waits for ever: %.*s\n", lane[n].client[i]->number,
                       (int)lane[n].client[i]->request_len, lane[n].client[i]->request);
}

void play_start(unsigned n)
{
    static const char *const count[] = {"0", "1", "2", "3", "4"};
    const char *events = n % 2 ? "" : "KEA"; /* whoever runs a command looks at what it has noted */
    const char *const pairs[] = {"workers", count[n], "idle-policy", "adaptive", "notify-keyspace-events", events, NULL};
    workers = n;
    per_lane = n < 3 ? PLAY_CLIENTS : PLAY_CLIENTS - 1; /* the search grows with those at a time */
    now_us = 0;
    rig_start_lanes(lanes, n, pairs);
    for (unsigned i = 0; i < n; i++) {
        lane[i] = (struct lane){.number = i, .rig = &lanes[i]};
        for (unsigned k = 0; k < per_lane; k++)
            connect_client(&lane[i], k);
        if (lanes[i].now_us > now_us)
            now_us = lanes[i].now_us;
    }
}

bool play_history(const struct play *p, struct history *h)
{
    uint64_t random = p->seed;
    say_to_all("UNWATCH\r\nFLUSHALL\r\nSCRIPT FLUSH\r\n");
    set_slices(&random);
    load = (struct linear_load){.seed = p->seed, .ops = p->ops, .whole = p->whole, .slow = p->slow, .block_ms = 4, .defect = p->defect,
                                .clock = &clock_ticks};
    atomic_store(&clock_ticks, 1);
    for (unsigned n = 0; n < workers; n++) {
        lane[n].play = p;
        lane[n].random = p->seed * 31 + n;
        lane[n].hung = false;
        for (unsigned i = 0; i < per_lane; i++)
            start_client(&lane[n], i);
    }
    delay_random = p->seed;
    atomic_store(&delay.pause, p->threads);
    atomic_store(&delay.per_mille, (unsigned)(linear_random(&random) % 4) * (p->threads ? 20 : 250));
    bool ended = p->threads ? in_threads(&now_us) : in_turns(&random, &now_us);
    atomic_store(&delay.per_mille, 0);
    if (!ended)
        print_hung();
    for (unsigned i = 0; i < LINEAR_CLIENTS; i++) {
        if (clients[i].load)
            linear_client_gather(&clients[i], h);
        linear_client_free(&clients[i]);
        clients[i].load = NULL;
    }
    return ended;
}

bool play_stop(void)
{
    return rig_stop_lanes(lanes, workers);
}
