/* nomem.h: memory that runs out when a test says so. A program that depends on nomem_dep is linked with --wrap
 * for malloc, calloc, realloc and strdup, libraries linked statically included. */
#pragma once

/* Allocations until the one that fails, 0: the next one. Negative: none does; so it is again after one has. */
extern long fail_at;
