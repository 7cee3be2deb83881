/* import.h: an existing redis.conf, or the arguments of a redis-server, line by line: what is taken, what means something
 * else here, what means nothing here and why, and what is wrong. */
#pragma once
#include "control/settings.h"

#include <jansson.h>

/* Puts what is taken into `into`, also if there are errors. {"rows":[{"line":N,"directive":...,"status":
 * "taken|mapped|ignored|error","note":...}],"taken":N,"mapped":N,"ignored":N,"errors":N}; values are not told. */
json_t *import_text(const char *text, struct settings *into);
/* redis-server [FILE] --requirepass x --save 900 1 --save 300 10 */
json_t *import_arguments(const struct words *arguments, struct settings *into);
