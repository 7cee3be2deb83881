/* fabric.c: rings between all pairs of workers, and the stop of all workers. */
#include "fabric/fabric.h"
#include "fabric/delay.h"

#include <sched.h>
#include <stdlib.h>

enum seat_state { SEAT_RUNNING, SEAT_PARKED, SEAT_ASLEEP };

struct seat { /* one a worker, on a line of its own */
    _Alignas(64) _Atomic(int) state;
    unsigned next_from; /* whose ring is looked at first */
};

struct fabric {
    unsigned workers;
    _Atomic(unsigned) stopper; /* number of the worker that stops all, plus one; 0 = nobody */
    _Atomic(bool) closed;
    struct seat *seat;
    struct ring **ring; /* [to * (workers + 1) + from] */
};

struct ring *ring_new(uint32_t size)
{
    struct ring *r = aligned_alloc(64, (sizeof *r + size * sizeof(void *) + 63) / 64 * 64);
    if (!r)
        return NULL;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    r->tail_seen = r->head_seen = 0;
    r->mask = size - 1;
    return r;
}

struct fabric *fabric_new(unsigned workers, uint32_t size)
{
    unsigned ends = workers + 1;
    struct fabric *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->workers = workers;
    f->seat = aligned_alloc(64, ends * sizeof *f->seat);
    f->ring = calloc((size_t)ends * ends, sizeof *f->ring);
    bool ok = f->seat && f->ring;
    for (unsigned i = 0; ok && i < ends * ends; i++)
        ok = (f->ring[i] = ring_new(size)) != NULL;
    if (!ok) {
        fabric_free(f);
        return NULL;
    }
    for (unsigned i = 0; i < ends; i++) {
        atomic_init(&f->seat[i].state, SEAT_RUNNING);
        f->seat[i].next_from = 0;
    }
    return f;
}

void fabric_free(struct fabric *f)
{
    if (!f)
        return;
    unsigned ends = f->workers + 1;
    for (unsigned i = 0; f->ring && i < ends * ends; i++)
        free(f->ring[i]);
    free(f->ring);
    free(f->seat);
    free(f);
}

unsigned fabric_main(const struct fabric *f)
{
    return f->workers;
}

bool fabric_send(struct fabric *f, unsigned from, unsigned to, void *message)
{
    return !fabric_delay(FABRIC_SEND, from) && ring_push(f->ring[to * (f->workers + 1) + from], message);
}

void *fabric_receive(struct fabric *f, unsigned self)
{
    unsigned ends = f->workers + 1;
    struct seat *seat = &f->seat[self];
    if (fabric_delay(FABRIC_RECEIVE, self))
        return NULL;
    for (unsigned i = 0; i < ends; i++) {
        unsigned from = seat->next_from;
        seat->next_from = from + 1 == ends ? 0 : from + 1;
        void *message = ring_pull(f->ring[self * ends + from]);
        if (message)
            return message;
    }
    return NULL;
}

static __attribute__((noinline)) unsigned receive_all(struct fabric *f, unsigned self, void **message, unsigned room)
{
    unsigned ends = f->workers + 1, n = 0, from = f->seat[self].next_from;
    struct ring **ring = f->ring + self * ends;
    for (unsigned i = ends; i-- > 0;) {
        for (void *m; n < room && (m = ring_pull(ring[from]));)
            message[n++] = m;
        from = from + 1 == ends ? 0 : from + 1;
    }
    if (n)
        f->seat[self].next_from = from + 1 == ends ? 0 : from + 1;
    return n;
}

/* Mostly nothing has come. */
unsigned fabric_receive_all(struct fabric *f, unsigned self, void **message, unsigned room)
{
    struct ring **ring = f->ring + self * (f->workers + 1), **end = ring + f->workers + 1;
    if (fabric_delay(FABRIC_RECEIVE, self))
        return 0;
    for (; ring < end; ring++)
        if (ring_waits(*ring))
            return receive_all(f, self, message, room);
    return 0;
}

/* Spins, and lets others run now and then: workers may share a core. */
static void wait_a_little(unsigned *turns)
{
    if (++*turns % 64 == 0)
        sched_yield();
    else
        __builtin_ia32_pause();
}

bool fabric_stop_all(struct fabric *f, unsigned self)
{
    unsigned nobody = 0, turns = 0;
    if (fabric_delay(FABRIC_STOP, self) || atomic_load(&f->closed) ||
        !atomic_compare_exchange_strong(&f->stopper, &nobody, self + 1))
        return false;
    fabric_delay(FABRIC_STOPPING, self);
    for (unsigned i = 0; i < f->workers; i++)
        while (i != self && atomic_load(&f->seat[i].state) == SEAT_RUNNING) {
            if (atomic_load(&f->closed)) {
                atomic_store(&f->stopper, 0);
                return false;
            }
            wait_a_little(&turns);
        }
    return true;
}

void fabric_resume(struct fabric *f, unsigned self)
{
    fabric_delay(FABRIC_RESUME, self);
    atomic_store(&f->stopper, 0);
}

/* fabric_close frees nobody who is parked: the stopper may be at work on this worker's sessions. It resumes,
 * or gives up waiting for others. */
static bool stopped_by_other(struct fabric *f, unsigned self)
{
    unsigned stopper = atomic_load(&f->stopper);
    return stopper != 0 && stopper != self + 1;
}

/* Leaving the seat races with a new stopper that still sees it as parked. So: say running first, then look
 * again, and sit down once more if somebody stops all. Both sides use sequentially consistent operations, so
 * at least one sees the other. */
static void leave_seat(struct fabric *f, unsigned self, int resting)
{
    unsigned turns = 0;
    for (;;) {
        while (stopped_by_other(f, self))
            wait_a_little(&turns);
        atomic_store(&f->seat[self].state, SEAT_RUNNING);
        fabric_delay(FABRIC_LEAVE, self);
        if (!stopped_by_other(f, self))
            return;
        atomic_store(&f->seat[self].state, resting);
    }
}

void fabric_park(struct fabric *f, unsigned self)
{
    if (atomic_load_explicit(&f->stopper, memory_order_relaxed) == 0 || !stopped_by_other(f, self))
        return;
    fabric_delay(FABRIC_PARK, self);
    atomic_store(&f->seat[self].state, SEAT_PARKED);
    leave_seat(f, self, SEAT_PARKED);
}

void fabric_sleep(struct fabric *f, unsigned self)
{
    atomic_store(&f->seat[self].state, SEAT_ASLEEP);
}

void fabric_wake(struct fabric *f, unsigned self)
{
    leave_seat(f, self, SEAT_ASLEEP);
}

void fabric_close(struct fabric *f)
{
    atomic_store(&f->closed, true);
}
