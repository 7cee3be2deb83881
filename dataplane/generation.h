/* generation.h: what belongs to a generation of configuration beside its fields: the compiled packet filter, and
 * contexts for TLS.
 * Main thread only; EAL must run. */
#pragma once
#include "base/config.h"

/* Compiles what the workers need, or shares it with the generation before (or NULL) if its text is the same.
 * False and one line in error. */
bool generation_compile(struct config *conf, const struct config *before, char *error, size_t size);
/* Instead of config_free. NULL: no effect. */
void generation_free(struct config *conf);
