/* loadgen_test.c: the generator's own arithmetic: keys, values, replies, skew and quantiles. */
#include <stdlib.h>

#include "histogram.h"
#include "options.h"
#include "unit.h"
#include "workload.h"
