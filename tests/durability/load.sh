#!/bin/bash
# Snapshots that are loaded: load.py (in_namespace). Prints TAP. Needs root.
exec "$(dirname "$0")/in_namespace" load "$@"
