#!/bin/bash
# Snapshots that are loaded: load.py (in_namespace). Prints TAP. Needs root. With COUNT=N so many keys of all types go from redis-server to
# the box and back, or (argument speed) are loaded by both, by turns: large.py.
exec "$(dirname "$0")/in_namespace" "$([ -n "${COUNT:-}" ] && echo large || echo load)" "$@"
