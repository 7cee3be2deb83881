#!/bin/bash
# kill -9 of each process for each setting, many times: matrix.py (in_namespace). Not in the default whole. Prints TAP. Needs root, redis-server.
[ -n "${KILLS-}" ] || { echo "1..0 # SKIP takes long: KILLS=N"; exit 0; }
command -v redis-check-aof >/dev/null || { echo "1..0 # SKIP there is no redis-check-aof"; exit 0; }
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-slumatrix}
exec "$(dirname "$0")/in_namespace" matrix "$@"
