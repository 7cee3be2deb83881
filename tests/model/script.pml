/* script.pml: what is built. A script on the worker of its only shard (dataplane/script/script.h), which has its shard to
 * itself between its slices and starts anew with all workers stopped when it meets its first write; and what another
 * worker finds out of the same text meanwhile (`wide`). Two workers, a script of the same text each on its own shard;
 * a third client changes both shards, each time in a stop of its own. That nobody works while another worker has stopped
 * all is stop.pml's: here a round on a worker's own shard, and a stop, are one step each.
 *
 * Checked: a script writes from what its shard still says; no deadlock. Mutants, which must fail: LOOKS_AGAIN (one that is
 * in the middle leaves for a stop when it sees that its text is wide, and goes on there: it was so once), KEEPS_READ (it
 * starts anew with what it has read), NO_SEAT (its shard is not held between slices). */
#define NOBODY 0
#define SETS 3

byte version[2];     /* of a shard's value */
byte seat[2] = NOBODY; /* shard: who has it to itself, plus one */
bool wide;           /* the text has needed more than a shard */

#define ALL_FREE (seat[0] == NOBODY && seat[1] == NOBODY)

proctype script(byte self)
{
    byte read;
begin:
    atomic {
        if
        :: !wide && seat[self] == NOBODY -> /* it runs for a while, and gives way in the middle */
#ifndef NO_SEAT
            seat[self] = self + 1;
#endif
            read = version[self]
        :: wide && ALL_FREE ->
            seat[0] = self + 1;
            seat[1] = self + 1;
            read = version[self];
            goto all
        fi
    };
    /* its first slice: the handler is called once more */
#ifdef LOOKS_AGAIN
    atomic {
        if
        :: wide -> seat[self] = NOBODY; goto left
        :: else
        fi
    };
#endif
    /* its first write: nothing has been changed */
    atomic {
        assert(read == version[self]);
        wide = true;
        seat[self] = NOBODY
    };
#ifdef KEEPS_READ
    goto left;
#else
    goto begin;
#endif
left:
    atomic {
        ALL_FREE ->
        seat[0] = self + 1;
        seat[1] = self + 1
    };
all:
    atomic {
        assert(read == version[self]);
        version[self] = read + 1;
        seat[0] = NOBODY;
        seat[1] = NOBODY
    }
}

proctype setter()
{
    byte n;
    do
    :: n < SETS -> atomic {
            ALL_FREE ->
            version[0]++;
            version[1]++;
            n++
        }
    :: else -> break
    od
}

init
{
    atomic { run script(0); run script(1); run setter() }
}
