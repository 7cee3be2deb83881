#!/bin/bash
# Warm restarts of the dataplane: warm.py (in_namespace). Prints TAP. Needs root.
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-sluwarm}
exec "$(dirname "$0")/in_namespace" warm "$@"
