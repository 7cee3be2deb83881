/* echo.h: mode echo: keeps frames of one size on the way to something that sends them back (testpmd's 5tswap) and
 * counts what returns: the physical limit E of a link. */
#pragma once
#include "report.h"

void echo_run(struct link *l, const struct options *o, struct echo_result *out);
