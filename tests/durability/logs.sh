#!/bin/bash
# Logs that are imported while the box serves: logs.py (in_namespace). Prints TAP. Needs root.
exec "$(dirname "$0")/in_namespace" logs "$@"
