/* rdb_values.h: the types of values in RDB files, and the way over one without looking into it. */
#pragma once
#include "control/rdb_input.h"

enum { RDB_MODULE = 7, RDB_VALUE_TYPES = 26 };

/* "string", "hash" ...: as TYPE says; NULL if there is no such type. */
const char *rdb_type_name(unsigned type);
/* How the value is kept in the file, "listpack" ... */
const char *rdb_type_form(unsigned type);
/* Goes over a value behind its type's byte. Returns how many elements it has, as far as that can be told from
 * outside (a collection in one string: 0). */
uint64_t rdb_skip_value(struct rdb_input *in, unsigned type);
/* Over what a module has written, from its id on. */
void rdb_skip_module(struct rdb_input *in);
