/* load.h: records of a snapshot on their way into the store. The main thread takes them off the channel
 * (box_load_in.c) and sorts them by the shard that owns their key; batches go to workers as jobs, as commands
 * that have their shard to themselves for a batch and take turns with everybody else (worker_load.c). */
#pragma once
#include "command/command.h"

struct job;
struct worker;

enum { LOAD_LINE = 384 };
enum load_order { LOAD_RECORDS, LOAD_RUN_LOG, LOAD_CLOSE_DOORS, LOAD_OPEN_DOORS };

struct load_batch { /* of a JOB_LOAD; one block of malloc() */
    enum load_order order;
    uint8_t mode; /* enum load_mode (messages.h) */
    bool logs;    /* of a log: what has expired meanwhile stays until the log says so */
    uint64_t at;  /* of LOAD_RUN_LOG: where in the file it ends */
    uint32_t db;  /* ... and the database that is selected */
    uint64_t failed; /* ... commands that replied an error */
    uint64_t loaded, expired, kept;
    char why[LOAD_LINE]; /* "" = all of it was stored; else it ended there */
    size_t len, room;
    uint8_t bytes[]; /* struct load_record and its body, one after the other, unaligned; of LOAD_RUN_LOG commands */
};

struct load_record {
    uint64_t at;                                   /* in the file */
    uint64_t expire_ms, access_number, name, body; /* body: bytes of name and value together */
    uint32_t db;
    uint8_t access; /* enum load_access */
};

/* Once, when there is a command table. */
void load_init(void);
/* A log is loaded at a time that stands still, so long ago that no life had ended that the log may still put off or take back: one
 * that is small is never rewritten. And so near that the timer wheels need no other form: their horizon is 8.7 years, what lies
 * beyond is filed at its end and again when that has come; a call of upkeep takes them 2^18 ticks (4.7 hours) nearer to the present. */
#define LOAD_BEFORE_MS (8 * 365ull * 24 * 3600 * 1000)
/* load_log.c: runs the commands of a batch, with all other workers stopped. */
void load_run_log(struct command_env *env, struct load_batch *b);
/* Makes a batch that has come the request that it is. */
void load_prepare(struct job *j, struct command_env *env);
