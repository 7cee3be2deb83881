#!/bin/bash
# Snapshots that are loaded: load.py (in_namespace). Prints TAP. Needs root. `large N`: N keys of all types from redis-server to the box and
# back; `speed N`: loaded by both, by turns (large.py).
NAME=load
[[ ${1:-} =~ ^(large|speed)$ ]] && NAME=large
exec "$(dirname "$0")/in_namespace" $NAME "$@"
