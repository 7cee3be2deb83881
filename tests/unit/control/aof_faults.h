/* aof_faults.h: what the files of test_aof_faults.c share: the calls of the system, which fail (aof_faults_calls.c), and control, which makes
 * them in a process of its own (aof_faults_control.c), beside the dataplane and its clients (test_aof_faults.c). */
#pragma once
#include "channel/messages.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { WORKERS = 2, NAMES = 16 };

/* LATER: the call fails, and all others of its kind for a while; KILL: control ends before or behind the call; POWER: the same, and
 * nothing is there that was not on the disk. */
enum fault { FAULT_NONE, FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULT_KILL_BEFORE, FAULT_KILL_AFTER, FAULT_POWER_BEFORE, FAULT_POWER_AFTER, FAULTS };

/* Between control and this program, in memory that both have. */
struct between {
    _Atomic(unsigned) end_asked, end_done, base_asked, base_done; /* how often control has asked the dataplane, and had an answer */
    _Atomic(uint64_t) base_file, base_instant;                    /* number of the increment; records in the base */
    _Atomic(bool) on, refuses;                                    /* what clients are told: there is a log; it cannot be written */
    _Atomic(unsigned) rewrites, rewrites_failed, warnings;
    _Atomic(unsigned) rewrite_wanted, rewrite_begun;
    _Atomic(bool) ends, load_failed, left_same;
    _Atomic(unsigned) calls; /* that control has made */
    char warning[300];       /* the last one */
};

extern struct between *between;
extern char faults_dir[64]; /* of the test; the log is in its folder "log" */
extern int faults_bulk;     /* the memory of the rings, a memfd */

/* -- aof_faults_calls.c */
/* From now on, in this process: the at-th call (from 1; 0: none) has that fault. */
void faults_begin(enum fault fault, unsigned at);

/* -- aof_faults_control.c */
/* Control's life until between->ends: with a new dataplane, or with one that it finds. */
void faults_control(bool finds);
