/* inspect_ops.h: the operations of inspect.c's table. */
#pragma once
#include "inspect.h"

inspect_fn inspect_workers, inspect_connections, inspect_connection, inspect_neighbors, inspect_routes;
inspect_fn inspect_addresses, inspect_filters, inspect_hotkeys, inspect_bigkeys;
inspect_fn inspect_ping_start, inspect_ping_next;
