/* box_load.h: a snapshot that control sends, on the main thread: taken off the channel, sorted by shard,
 * given to workers in batches, and the credit that it may send more.
 *
 *   IDLE --start--> WAITING (for workers to run) --> CLEARING (at start: doors closed, emptied) --> RUNNING
 *   RUNNING --end, all stored--> OPENING (at start: doors opened) --> IDLE
 *           --damage, control gone--> DRAINING (what is under way) --> BROKEN (at start: clients are told
 * LOADING until another one is loaded) or IDLE
 *
 * Memory beside what is stored: LOAD_WINDOW bytes that are allowed to come, LOAD_UNDER_WAY that workers have,
 * and the packed bytes of two records, if these are larger. */
#pragma once
#include "base/config.h"
#include "kept.h"
#include "load.h"

struct load_request;
struct plane;

enum { LOAD_WINDOW = 512 * 1024, LOAD_UNDER_WAY = 4 << 20, LOAD_BATCH = 32 * 1024 };
enum load_phase {
    LOAD_IDLE,
    LOAD_WAITING,
    LOAD_CLEARING,
    LOAD_RUNNING,
    LOAD_OPENING,
    LOAD_DRAINING,
    LOAD_BROKEN
};

struct load {
    enum load_phase phase;
    uint64_t id;
    uint8_t mode;
    bool told;  /* control knows how it ended, or is not there */
    bool ended; /* the file has */
    bool warm;  /* there is no file: functions alone, of a store that was taken over */
    struct kept_texts texts;
    bool logs;  /* it is a log */
    bool memory; /* ... and what was left in memory is as good */
    bool goes_on; /* the log does, behind what was taken over */
    struct load_batch *log; /* of its commands; room for more */
    bool log_whole;         /* the last of them is */
    uint32_t db;            /* that is selected by those that ran */
    uint64_t refused;       /* commands that replied an error */
    char name[256], why[LOAD_LINE + 64];
    uint64_t total, at; /* bytes of the file, and the place of the last record */
    uint64_t loaded, expired, kept, libraries;
    uint8_t *carry; /* of the stream, what is not a whole item yet */
    size_t carried;
    struct load_batch *open; /* the record that comes in parts; `room` says nothing of its end */
    bool open_function;
    struct load_batch *batch[CONFIG_WORKERS];
    unsigned jobs;            /* that workers have */
    uint64_t under_way, owed; /* bytes of them; bytes that have come and for which there was no credit yet */
    uint64_t began_ms, next_tell_ms;
};

/* The store has been taken over, with these libraries of functions: control's snapshot is not wanted, and clients are
 * told LOADING until the libraries are there. Before workers run. */
void load_warm(struct plane *p, struct kept_texts *texts); /* takes them */

/* From the channel. */
void load_start(struct plane *p, const struct load_request *request);
void load_data(struct plane *p, uint64_t id, struct slice bytes);
void load_stop(struct plane *p, uint64_t id, const char *why);
void load_forget(struct plane *p); /* control has gone */

/* Is the store not to be served yet? */
bool load_keeps_closed(const struct plane *p);
/* A job of it has come back; takes it over. False: it is none. */
bool load_takes(struct plane *p, struct job *j);
void load_turn(struct plane *p, uint64_t now_ms);
void load_free(struct plane *p); /* workers have ended */
