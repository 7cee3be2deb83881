#!/bin/bash
# Snapshots while the box is used: kept.py (in_namespace). Prints TAP. Needs root.
exec "$(dirname "$0")/in_namespace" kept "$@"
