/* least_get.h: "L", the least that a GET of a text of 64 bytes can be: bytes in, bytes out, and nothing of what makes a server. */
#pragma once
#include <stdint.h>

/* Nanoseconds a GET in batches of 32, over so many keys of 16 bytes, drawn uniformly, in hugepages where there are any; the best of so
 * many rounds. 0: no memory. */
double least_get(uint64_t keys, int rounds);
