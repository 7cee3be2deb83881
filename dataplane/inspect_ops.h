/* inspect_ops.h: the operations of inspect.c's table; what they say is in control/README.md. */
#pragma once
#include "inspect.h"

inspect_fn inspect_workers;
