#!/bin/bash
# kill -9 of the dataplane, and what the next one has: crash.py (in_namespace). Prints TAP. Needs root, redis-server.
command -v redis-check-aof >/dev/null || { echo "1..0 # SKIP there is no redis-check-aof"; exit 0; }
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-slucrash}
exec "$(dirname "$0")/in_namespace" crash "$@"
