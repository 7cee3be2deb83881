/* ordered.pml: what DESIGN.md has for the time after stops: ordered transactions over several shards. A
 * transaction takes an id from a shared counter and sends an intent to each of its shards; messages to
 * different shards take different times, so a shard may see a higher id first. A shard queues intents in
 * the order of ids and gives its seat to the first; who has the seats of all its shards executes on them,
 * one after the other, and leaves. When a lower id comes to a shard whose seat is given, the shard asks for
 * the seat: whoever has not got all of his gives it back and stays in the queue; so the lowest id is never
 * stopped by others. Single-key commands run on a shard whose seat is empty ("alone"). Three shards, three
 * transactions over any two or three of them.
 *
 * Checked: what a transaction has written is there when it has written everything (nobody came between);
 * two transactions pass the shards that they share in the same order (serial order); no deadlock. Mutants,
 * which must fail: NO_RETURN (seats are not given back: deadlock), NO_SEAT (executed on each shard as soon
 * as that is reached). */
#define S 3
#define T 3
#define NOBODY 255

mtype = { INTENT, LEAVE, RETURNED, SEAT, WANTED };

byte counter;
byte queued[S * T];     /* [shard * T + transaction]: the id of its intent, 0: none */
byte seat[S] = NOBODY;  /* transaction */
bool wanted[S];         /* the seat has been asked for */
byte value[S] = NOBODY; /* who wrote last */
byte passed[S * T];     /* [shard * T + transaction]: as how-many-th it executed there */
byte passes[S];
byte shards[T];         /* sets */
byte ended;
chan to[S] = [2 * T] of { mtype, byte, byte }; /* what, transaction, id */
chan back[T] = [2 * S] of { mtype, byte };     /* what, shard */

#define HAS(set, s) ((set >> (s)) & 1)
#define BIT(s)      (1 << (s))

/* The transaction with the lowest id in a shard's queue. */
inline first_of()
{
    first = NOBODY;
    i = 0;
    do
    :: i < T ->
        if
        :: queued[self * T + i] != 0 && (first == NOBODY || queued[self * T + i] < queued[self * T + first]) -> first = i
        :: else
        fi;
        i++
    :: else -> break
    od
}

inline give_seat()
{
    first_of();
    if
    :: first == NOBODY
    :: first != NOBODY && seat[self] == NOBODY -> seat[self] = first; wanted[self] = false; back[first]!SEAT, self
#ifndef NO_RETURN
    :: first != NOBODY && seat[self] != NOBODY && first != seat[self] && !wanted[self] ->
        wanted[self] = true;
        back[seat[self]]!WANTED, self
#endif
    :: else
    fi;
    first = 0;
    i = 0
}

proctype shard(byte self)
{
    byte t, id, first, i;
    bool commanded;
    do
    :: atomic { to[self]?INTENT, t, id -> queued[self * T + t] = id; give_seat(); t = 0; id = 0 }
    :: atomic { to[self]?LEAVE, t, id -> queued[self * T + t] = 0; seat[self] = NOBODY; give_seat(); t = 0; id = 0 }
    :: atomic { to[self]?RETURNED, t, id -> seat[self] = NOBODY; give_seat(); t = 0; id = 0 }
    :: atomic { seat[self] == NOBODY && !commanded -> value[self] = NOBODY; commanded = true }
    :: ended == T && empty(to[self]) -> break
    od
}

inline execute(s)
{
    atomic {
        value[s] = self;
        passes[s]++;
        passed[s * T + self] = passes[s]
    }
}

/* On the shards that both have passed, the same one came first. */
inline check_order(other)
{
    s = 0;
    before = false;
    after = false;
    do
    :: s < S ->
        if
        :: passed[s * T + self] != 0 && passed[s * T + other] != 0 ->
            if
            :: passed[s * T + self] < passed[s * T + other] -> before = true
            :: else -> after = true
            fi
        :: else
        fi;
        s++
    :: else -> break
    od;
    assert(!(before && after))
}

inline answered()
{
    if
    :: back[self]?SEAT, s ->
        seats = seats | BIT(s);
#ifdef NO_SEAT
        execute(s);
        to[s]!LEAVE, self, id
#endif
    :: back[self]?WANTED, s -> /* FIFO: its seat came before */
        seats = seats & ~BIT(s);
        to[s]!RETURNED, self, id
    fi
}

proctype transaction(byte self)
{
    byte id, s, seats;
    bool before, after;
    if /* any two, or all */
    :: shards[self] = 3
    :: shards[self] = 5
    :: shards[self] = 6
    :: shards[self] = 7
    fi;
    atomic { counter++; id = counter };
    s = 0;
    do /* one after the other: others come between */
    :: s < S -> if :: HAS(shards[self], s) -> to[s]!INTENT, self, id :: else fi; s++
    :: else -> break
    od;
    do
    :: seats != shards[self] -> answered()
    :: else -> break
    od;
#ifndef NO_SEAT
    s = 0;
    do
    :: s < S -> if :: HAS(shards[self], s) -> execute(s) :: else fi; s++
    :: else -> break
    od;
    skip;
    d_step {
        s = 0;
        do
        :: s < S -> assert(!HAS(shards[self], s) || value[s] == self); s++
        :: else -> break
        od;
        s = 0
    };
    s = 0;
    do
    :: s < S -> if :: HAS(shards[self], s) -> to[s]!LEAVE, self, id :: else fi; s++
    :: else -> break
    od;
#endif
    skip;
    d_step { check_order((self + 1) % T); check_order((self + 2) % T) };
    ended++
}

init
{
    atomic {
        run shard(0); run shard(1); run shard(2);
        run transaction(0); run transaction(1); run transaction(2)
    }
}
