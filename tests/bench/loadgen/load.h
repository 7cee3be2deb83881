/* load.h: the course of a measurement: open all connections, fill, warm up, measure, drain and close. */
#pragma once
#include "conn.h"

struct part { /* one turn of one mix, or of one side of another comparison */
    unsigned set_percent;
    const char *label; /* what is compared; NULL = the mix */
    unsigned pipeline;
    double attack_rate; /* packets a second that the link took */
    double full_share;  /* of the turns, those that found the link full */
    double seconds;
    uint64_t replies, misses, empty_cycles;
};

struct load {
    const struct options *options;
    enum load_phase { LOAD_OPENING, LOAD_REST, LOAD_FILL, LOAD_RUN, LOAD_DRAIN } phase;
    bool measuring;
    uint32_t fill_next; /* first key not yet set */
    uint32_t fill_end;
    unsigned fill_line; /* of the script's row */
    unsigned pipeline;
    uint32_t *idle, idle_head, idle_n; /* open loop: connections with nothing to do, oldest first (a ring of
                                          `connections`) */
    double due, interval;              /* open loop: TSC of the next request */
    double big_due;                    /* of the next large one */
    double fill_seconds, seconds;      /* that they really took */
    unsigned parts;
    struct part part[LOADGEN_PARTS_MAX * LOADGEN_ROUNDS_MAX]; /* more than two a row of a script */
    struct stats stats; /* of the measured seconds, all parts together */
    struct histogram latency;
    uint64_t frames_in, bursts_in, tx_full, tx_dropped, no_mbuf;
    double open_lag_ms; /* open loop: how far behind its clock it was at the end */
    bool filled, closed;
};

/* -- for flood.c and idle.c, which compare with and without something by turns */
void load_start(struct load *l, struct client *cl, enum load_phase phase);
/* The same with the first connections alone. */
void load_start_some(struct load *l, struct client *cl, enum load_phase phase, uint32_t connections);
void load_run_for(struct client *cl, double seconds);
/* Adds a part: what the good clients and the attack do in the next seconds. */
struct part *load_part(struct load *l, struct client *cl);
unsigned load_turn(struct client *cl);
/* Opens (or closes) all connections behind the timed ones, a bounded number at a time. False if they do not come to it. */
bool load_change_all(struct client *cl, bool open);
void idle_measure(struct load *l, struct client *cl);
void crowd_measure(struct load *l, struct client *cl);
void script_measure(struct load *l, struct client *cl);
void flood_measure(struct load *l, struct client *cl);

/* Runs all phases; what happened is in l and cl. False and one line in error if a phase did not come to its
 * end in its time (what was measured until then stands). l->options is set by the caller. */
bool load_run(struct load *l, struct client *cl, char *error, size_t size);
void load_free(struct load *l);
