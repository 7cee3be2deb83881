/* stop.pml: what is built. Stops of some workers (dataplane/fabric/fabric.c: tickets, seats, parking, sleeping, the
 * second look) and, on top of them, transactions over two shards that take several slices, each in a stop of
 * its own, and have their shards to themselves meanwhile (dataplane/turns.h). Three workers, a shard and a
 * transaction each; transaction i is over shards i and i + 1, so each meets both others, or the last one is over its
 * own shard alone and goes on beside the first. Atomics are sequentially consistent in fabric.c, so each is one step
 * here.
 *
 * Checked: nobody works on a shard while another worker holds its worker, and no two hold the same one; no command of
 * a shard's worker and no other transaction comes between the slices of one (so the order in which transactions end is
 * a serial one); no deadlock; under weak fairness everybody ends. Mutants, which must fail: NO_SECOND_LOOK (a worker
 * leaves its seat without looking again), NO_WAIT (the holder does not wait for one who runs), NO_DRAWING (a ticket is
 * seen only when it has been drawn), TICKET_FIRST (given back before the seats), SELF_LEFT_OUT (who stops others may be
 * stopped meanwhile), HOLD_AND_WAIT (a transaction takes the shards that are free and waits for the rest), NO_SEAT
 * (shards are not held between slices). */
#define W 3
#define NOBODY 0

mtype = { RUNNING, PARKED, ASLEEP };

#define NONE 0
#define DRAWING 1

byte ticket[W] = NONE;      /* fabric->seat[].ticket, */
byte drawn[W] = NONE;       /* one that is not written down yet: */
byte set[W];                /* .set, a bit each, */
byte holder[W] = NOBODY;    /* .holder */
mtype seat[W] = RUNNING;    /* and .state */
byte guest[W] = NOBODY;     /* who works on this shard, its worker being held */
bool single;                /* the last transaction is over one shard alone */
bool at_work[W];            /* on its own shard, in its round */
byte held[W] = NOBODY;      /* shard: by whose transaction */
byte value[W];              /* shard: who wrote last */
byte finished;

#define BY_OTHER (holder[self] != NOBODY && holder[self] != self + 1)
#define FREE(s)  (held[s] == NOBODY || held[s] == self + 1)
#define NEXT     (single && self == W - 1 -> self : (self + 1) % W)
#define HAS(i)   ((set[self] >> (i)) & 1)

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
    assert(guest[self] == NOBODY);
    at_work[self] = false
}

inline wait_for(i)
{
#ifndef NO_WAIT
    i == self || !HAS(i) || seat[i] != RUNNING;
#endif
    skip
}

inline take(i, who)
{
    d_step {
        if
        :: HAS(i) -> holder[i] = who
        :: else
        fi
    }
}

/* Its ticket and then its set are looked at. */
inline look_at(i)
{
    if
    :: first && i != self && ticket[i] != NONE && ticket[i] < ticket[self] ->
        d_step {
            if
            :: set[i] & set[self] -> first = false
            :: else
            fi
        }
    :: else
    fi
}

/* Later than all that are out: which numbers they are does not matter, and the states stay few. */
inline later_than(i)
{
    if
    :: ticket[i] >= drawn[self] -> drawn[self] = ticket[i] + 1
    :: else
    fi;
    if
    :: i != self && drawn[i] >= drawn[self] -> drawn[self] = drawn[i] + 1
    :: else
    fi
}

inline draw_ticket()
{
#ifdef SELF_LEFT_OUT
    set[self] = 1 << NEXT;
#else
    set[self] = (1 << self) | (1 << NEXT);
#endif
#ifndef NO_DRAWING
    ticket[self] = DRAWING;
#endif
    d_step {
        drawn[self] = DRAWING + 1;
        later_than(0);
        later_than(1);
        later_than(2)
    };
    d_step {
        ticket[self] = drawn[self];
        drawn[self] = NONE
    }
}

inline enter(i, who)
{
    if
    :: i != self && HAS(i) ->
        assert(!at_work[i] && (who == NOBODY || guest[i] == NOBODY));
        guest[i] = who
    :: else
    fi
}

/* One slice; slice counts those that are done. */
inline work()
{
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

inline stop()
{
    if
    :: ticket[self] == NONE -> draw_ticket()
    :: else
    fi;
    first = true;
    look_at(0);
    look_at(1);
    look_at(2);
    if
    :: first ->
        take(0, self + 1);
        take(1, self + 1);
        take(2, self + 1);
        wait_for(0);
        wait_for(1);
        wait_for(2);
        d_step { enter(0, self + 1); enter(1, self + 1); enter(2, self + 1); work() };
        d_step {
            enter(0, NOBODY);
            enter(1, NOBODY);
            enter(2, NOBODY);
#ifdef TICKET_FIRST
            ticket[self] = NONE
#endif
        };
        take(0, NOBODY);
        take(1, NOBODY);
        take(2, NOBODY);
        ticket[self] = NONE
    :: else -> first = true
    fi
}

proctype worker(byte self)
{
    byte slice;
    bool first = true, commanded, napped;
    do
    :: slice < 2 ->
        park();
        if
        :: !commanded -> command(); commanded = true
        :: true
        fi;
        if
        :: CAN_GO_ON || ticket[self] != NONE -> stop()
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
    atomic { if :: single = true :: single = false fi; run worker(0); run worker(1); run worker(2) }
}

ltl ends { <> (finished == W) }
