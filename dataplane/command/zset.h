/* zset.h: what the sorted set commands share: ranges, replies, lists of elements. */
#pragma once
#include "command/command.h"
#include "store/zset.h"

/* The sorted set of a key. False after replying WRONGTYPE. */
bool request_zset(struct request *rq, const struct key *k, unsigned how, struct value_at *v, struct zset *z);

struct zset_mpop { /* the arguments of ZMPOP from numkeys on */
    int keys;
    bool greatest;
    int64_t count;
};
/* Reads them from argument `at` on; false after replying the error. */
bool request_zset_mpop(struct request *rq, int at, struct zset_mpop *m);
/* What a blocking command tries now and again: pops from the first of these keys that has elements and
 * replies as ZMPOP, or one element as BZPOPMIN, or replies an error. CMD_BLOCK, or false: all are empty,
 * nothing was replied. */
enum command_result zset_mpop_try(struct request *rq, int first, int keys, bool greatest, int64_t count);
bool zset_pop_try(struct request *rq, int first, int keys, bool greatest);

/* A double argument, replying `error` if it is none. */
bool request_double(const struct request *rq, int i, double *out, const char *error);
/* An integer argument of at least `least`, replying `error` otherwise. */
bool request_at_least(const struct request *rq, int i, int64_t least, int64_t *out, const char *error);

/* A range of ranks, from the least. */
struct rank_range {
    uint64_t first, end;
};
/* Start and stop as ZRANGE has them, negative ones from the end; reverse: counted from the greatest. */
struct rank_range rank_range_of(uint64_t count, int64_t start, int64_t stop, bool reverse);

struct score_range {
    double min, max;
    bool min_exclusive, max_exclusive;
};
/* The ends in two arguments ("5", "(5", "-inf"); replies an error if they are none. */
bool request_score_range(const struct request *rq, int min, int max, struct score_range *out);
struct rank_range score_range_in(const struct zset *z, const struct score_range *range);

struct lex_range {
    struct zset_lex min, max;
};
/* The same for members ("[a", "(a", "-", "+"). */
bool request_lex_range(const struct request *rq, int min, int max, struct lex_range *out);
struct rank_range lex_range_in(const struct zset *z, const struct lex_range *range, bool reverse);

/* How many replies an array of elements has, and each of them: pairs lie in arrays of their own in RESP3. */
void reply_elements(struct resp_writer *out, uint64_t count, bool with_scores);
void reply_element(struct resp_writer *out, const struct zset_element *e, bool with_scores);

/* A list of elements on the heap, outside the store. */
struct tally_text;
struct tally {
    struct zset_element *element;
    uint64_t count, cap;
    uint32_t *slot; /* by member, if found with tally_find(); 0 = empty */
    uint64_t slots;
    struct tally_text *text;
    bool failed; /* no memory: the list is not complete */
    struct turn *turn;
};
void tally_free(struct tally *t);
/* Appends a copy; the member must be new. */
void tally_add(struct tally *t, struct slice member, double score);
/* The score of a member for changing, or NULL. */
double *tally_find(struct tally *t, struct slice member);
void tally_sort(struct tally *t);
/* Makes the sorted list the value of a key and replies how many there are; an empty one deletes the key. */
void tally_store(struct request *rq, const struct tally *t, const struct key *to);
