/* stop.pml: what is built. The stop of all workers (dataplane/fabric/fabric.c: seats, parking, sleeping, the
 * second look) and, on top of it, transactions over two shards that take several slices, each in a stop of
 * its own, and have their shards to themselves meanwhile (dataplane/turns.h). Three workers, a shard and a
 * transaction each; transaction i is over shards i and i + 1, so each meets both others. Atomics are
 * sequentially consistent in fabric.c, so each is one step here.
 *
 * Checked: nobody works on a shard while another worker has stopped all; no command of a shard's worker and
 * no other transaction comes between the slices of one (so the order in which transactions end is a serial
 * one); no deadlock; under weak fairness everybody ends. Mutants, which must fail: NO_SECOND_LOOK (a worker
 * leaves its seat without looking again), NO_WAIT (the stopper does not wait for one who runs), HOLD_AND_WAIT
 * (a transaction takes the shards that are free and waits for the rest), NO_SEAT (shards are not held
 * between slices). */
#define W 3
#define NOBODY 0

mtype = { RUNNING, PARKED, ASLEEP };

byte stopper = NOBODY;      /* fabric->stopper */
mtype seat[W] = RUNNING;    /* fabric->seat[].state */
byte alone = NOBODY;        /* who works with all others stopped */
bool at_work[W];            /* on its own shard, in its round */
byte held[W] = NOBODY;      /* shard: by whose transaction */
byte value[W];              /* shard: who wrote last */
byte finished;

#define BY_OTHER (stopper != NOBODY && stopper != self + 1)
#define FREE(s)  (held[s] == NOBODY || held[s] == self + 1)
#define NEXT     ((self + 1) % W)

/* Would a stop help? In the code one is tried in each round; what finds its shards held tries again. That
 * is left out, or whoever tries for ever could be what keeps the others from their stop. */
#ifdef HOLD_AND_WAIT
#define CAN_GO_ON (held[self] == NOBODY || held[NEXT] == NOBODY || (FREE(self) && FREE(NEXT)))
#else
#define CAN_GO_ON (FREE(self) && FREE(NEXT))
#endif

inline leave_seat(resting)
{
    do
    :: !BY_OTHER ->
        seat[self] = RUNNING;
#ifdef NO_SECOND_LOOK
        break
#else
        if
        :: !BY_OTHER -> break
        :: else -> seat[self] = resting
        fi
#endif
    od
}

inline park()
{
    if
    :: BY_OTHER -> seat[self] = PARKED; leave_seat(PARKED)
    :: else
    fi
}

inline nap()
{
    seat[self] = ASLEEP;
    leave_seat(ASLEEP)
}

/* A command of its own shard, if nobody holds it. */
inline command()
{
    at_work[self] = true;
    if
    :: held[self] == NOBODY -> value[self] = 0
    :: else
    fi;
    assert(alone == NOBODY || alone == self + 1);
    at_work[self] = false
}

inline wait_for(i)
{
#ifndef NO_WAIT
    i == self || seat[i] != RUNNING;
#endif
    skip
}

/* One slice; slice counts those that are done. */
inline work()
{
    assert(!at_work[(self + 1) % W] && !at_work[(self + 2) % W]);
    if
    :: slice == 0 ->
#ifdef HOLD_AND_WAIT
        if
        :: held[self] == NOBODY -> held[self] = self + 1
        :: else
        fi;
        if
        :: held[NEXT] == NOBODY -> held[NEXT] = self + 1
        :: else
        fi;
#else
        if
        :: FREE(self) && FREE(NEXT) -> held[self] = self + 1; held[NEXT] = self + 1
        :: else
        fi;
#endif
        if
        :: held[self] == self + 1 && held[NEXT] == self + 1 -> value[self] = self + 1; slice = 1
        :: else
        fi;
#ifdef NO_SEAT
        held[self] = NOBODY;
        held[NEXT] = NOBODY;
#endif
    :: slice == 1 ->
        assert(value[self] == self + 1);
        value[NEXT] = self + 1;
        held[self] = NOBODY;
        held[NEXT] = NOBODY;
        slice = 2
    fi
}

inline stop_all()
{
    atomic { /* compare and exchange */
        if
        :: stopper == NOBODY -> stopper = self + 1; got = true
        :: else -> got = false
        fi
    };
    if
    :: got ->
        wait_for(0);
        wait_for(1);
        wait_for(2);
        alone = self + 1;
        d_step { work() };
        alone = NOBODY;
        stopper = NOBODY
    :: else
    fi
}

proctype worker(byte self)
{
    byte slice;
    bool got, commanded, napped;
    do
    :: slice < 2 ->
        park();
        if
        :: !commanded -> command(); commanded = true
        :: true
        fi;
        if
        :: CAN_GO_ON -> stop_all()
        :: else
        fi;
        if
        :: !napped -> nap(); napped = true
        :: true
        fi
    :: else -> break
    od;
    finished++;
    seat[self] = ASLEEP
}

init
{
    atomic { run worker(0); run worker(1); run worker(2) }
}

ltl ends { <> (finished == W) }
