#!/bin/bash
# Updates of the dataplane alone, on a box that serves: update.py (in_namespace). Prints TAP. Needs root.
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-sluupd}
exec "$(dirname "$0")/in_namespace" update "$@"
