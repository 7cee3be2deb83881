/* block_model.h: a single-threaded model of clients that wait for lists, as Redis 7.0 serves them. Elements
 * are numbers below MODEL_LONGEST in all. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { MODEL_KEYS = 4, MODEL_CLIENTS = 6, MODEL_LIST = 4096, MODEL_TEXT = 1 << 16 };

struct model_client {
    bool waits, moves, from_tail;
    int keys, key[MODEL_KEYS], to; /* those it waits for, each once; the destination of a move */
    unsigned since;                /* when it began, for the order */
    char *text;                    /* all it has been told, expected */
    size_t len;
};

struct model {
    const char *name[MODEL_KEYS];
    int list[MODEL_KEYS][MODEL_LIST], len[MODEL_KEYS];
    int ready[64], readies;
    unsigned clock;
    struct model_client client[MODEL_CLIENTS];
};

/* Pops at once, or waits. A move goes from the right of key[0] to the left of `to`. */
void model_pop(struct model *m, int client, const int *key, int keys, bool from_tail);
void model_move(struct model *m, int client, int from, int to);
/* A whole push, then those who waited are served; returns the length the pusher is told. */
int model_push(struct model *m, int key, const int *element, int n, bool at_head);
/* It waits no more, and is told so. */
void model_told(struct model *m, int client, const char *text);
