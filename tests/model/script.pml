/* script.pml: what is built. A script on the worker of its only shard (dataplane/script/script.h), which has its shard to
 * itself between its slices and starts anew with all workers stopped when it meets its first write; and what another
 * worker finds out of the same text meanwhile (`wide`). Two workers, a script of the same text each on its own shard;
 * a third client changes both shards, each time in a stop of its own. That nobody works while another worker has stopped
 * all is stop.pml's: here a round on a worker's own shard, and a stop, are one step each.
 *
 * A fourth is an EXEC: a command on one shard, a script that gives way in the middle, and a command on the other shard
 * (dataplane/command/transaction.c). It begins in a stop and has all shards until its end, slices of its script included.
 *
 * Checked: a script writes from what its shard still says, in EXEC, too; nobody sees an EXEC half done; no deadlock.
 * Mutants, which must fail: LOOKS_AGAIN (one that is in the middle leaves for a stop when it sees that its text is wide,
 * and goes on there: it was so once), KEEPS_READ (it starts anew with what it has read), NO_SEAT (its shard is not held
 * between slices), EXEC_GIVES_WAY (an EXEC is without its shards between the slices of its script), EXEC_OF_ONE (it has only
 * the shard that it has written to). */
#define NOBODY 0
#define EXEC 3
#define SETS 3

byte version[2];     /* of a shard's value */
byte seat[2] = NOBODY; /* shard: who has it to itself, plus one */
bool wide;           /* the text has needed more than a shard */
bool half;           /* an EXEC has done something, and not all */

#define ALL_FREE (seat[0] == NOBODY && seat[1] == NOBODY)

proctype script(byte self)
{
    byte read;
begin:
    atomic {
        if
        :: !wide && seat[self] == NOBODY -> /* it runs for a while, and gives way in the middle */
            assert(!half);
#ifndef NO_SEAT
            seat[self] = self + 1;
#endif
            read = version[self]
        :: wide && ALL_FREE ->
            assert(!half);
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
            assert(!half);
            version[0]++;
            version[1]++;
            n++
        }
    :: else -> break
    od
}

proctype exec()
{
    byte read;
    atomic {
        ALL_FREE ->
        seat[0] = EXEC;
#ifndef EXEC_OF_ONE
        seat[1] = EXEC;
#endif
        version[0]++;
        half = true;
        read = version[1] /* its script begins, and gives way */
    };
#ifdef EXEC_GIVES_WAY
    atomic { seat[0] = NOBODY; seat[1] = NOBODY };
    atomic { ALL_FREE -> seat[0] = EXEC; seat[1] = EXEC };
#endif
    atomic { /* a slice, the script's end, and the command behind it */
        assert(read == version[1]);
        version[1] = read + 1;
        half = false;
        seat[0] = NOBODY;
        if
        :: seat[1] == EXEC -> seat[1] = NOBODY
        :: else
        fi
    }
}

init
{
    atomic { run script(0); run script(1); run setter(); run exec() }
}
