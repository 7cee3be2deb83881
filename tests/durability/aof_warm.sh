#!/bin/bash
# Warm restarts with an append-only log: aof_warm.py (in_namespace). Prints TAP. Needs root, redis-server.
command -v redis-check-aof >/dev/null || { echo "1..0 # SKIP there is no redis-check-aof"; exit 0; }
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-sluaofw}
exec "$(dirname "$0")/in_namespace" aof_warm "$@"
