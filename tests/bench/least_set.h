/* least_set.h: "LSET" and "LGET": the least that a SET with a time to live can be where memory is full, and a GET beside it. */
#pragma once
#include <stdint.h>

struct least_full {
    double get, set;     /* nanoseconds a request in batches of 32, the best of all rounds; 0: no memory */
    double misses, news; /* the share of the GETs that found nothing, and of the SETs that took another key's place */
};

/* Keys of 16 bytes are drawn uniformly from so many, of which 37 in 100 fit, as in the rows of G5; in hugepages where there are any. GETs and
 * SETs by turns, so many rounds. */
struct least_full least_set(uint64_t keys, int rounds);
