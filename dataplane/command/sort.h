/* sort.h: what the parts of SORT share: options and output in sort.c, elements and their order in
 * sort_order.c. */
#pragma once
#include "command/command.h"
#include "store/list.h"

command_handler sort_command, sort_ro_command;
int sort_getkeys(int argc, const struct slice *argv, int *position, int room);
int sort_ro_getkeys(int argc, const struct slice *argv, int *position, int room);
/* True if BY or GET lead to keys that the arguments do not name. */
bool sort_reaches(int argc, const struct slice *argv);

/* An element and what it is ordered by. Texts lie in the store; a number has no text. */
struct sort_member {
    struct item element;
    union {
        double score;
        struct item weight; /* ALPHA with BY; size 0: there is none */
    };
};

struct sort {
    struct request *rq;
    bool desc, alpha, unsorted;       /* unsorted: BY a constant */
    int by, store;                    /* argument positions, 0 = not given */
    unsigned gets;                    /* GET options */
    int64_t limit_start, limit_count; /* as given; count -1: all */
    struct sort_member *member;
    const struct sort_member **order; /* the members in their order; NULL: as they are */
    int64_t members;
    int64_t start, end; /* what is replied: [start, end] of the members */
    bool not_a_number;  /* a score could not be read */
    bool no_memory;
    char *key; /* room for the names that patterns make */
    size_t key_room;
};

/* The item of a text. A number has no text of its own: its digits may lie in some scratch that goes. */
struct item sort_item(struct slice text);
/* Types that can be sorted. */
bool sort_is_source(const struct entry *e);
/* What it takes to sort it (turn_wanted). */
uint64_t sort_work(const struct entry *e);
/* Loads the elements of e (NULL: there are none) in the range that is needed. False without memory. */
bool sort_load(struct sort *o, struct entry *e);
/* Reads the weights and orders the members. */
void sort_order(struct sort *o);
void sort_free(struct sort *o);
static inline const struct sort_member *sort_nth(const struct sort *o, int64_t i)
{
    return o->order ? o->order[i] : &o->member[i];
}

/* The value that a pattern leads to from an element, of a string, or of a hash's field ("*->field"); false if
 * there is none. *from: the entry it lies in, NULL if that is the element's. A number has no text then. */
bool sort_pattern_value(struct sort *o, struct slice pattern, const struct item *element, struct item *value,
                        struct entry **from);
/* A '*' in a pattern, which ends at its first zero byte as in Redis; NULL if there is none. */
const uint8_t *sort_star(struct slice pattern);
