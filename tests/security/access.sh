#!/bin/bash
# Attempts to get in through the data port (access.py), holes that others had (old_holes.py), and the ready roles (roles.py), on a box with one and with two workers.
# Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-sluacc} SLUICE_LINK_NAME=${SLUICE_LINK_NAME:-slua0} SLUICE_STATS_PORT=${SLUICE_STATS_PORT:-29159}
export SLUICE_HOST_IP=${SLUICE_HOST_IP:-127.0.159.1} SLUICE_BOX_IP=${SLUICE_BOX_IP:-127.0.159.2} SLUICE_BUILD=${SLUICE_BUILD:-build-asan}
. board/dev/lib.sh
. tests/tap.sh
CONF=$(mktemp)
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; echo "enable-debug-command yes"; } >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF" "$CONF".*' EXIT

# Each line of a script's TAP as one of ours.
against() { # NAME WORKERS
    local line
    timeout 600 /usr/bin/python3 "tests/security/$1.py" --host "$BOX_IP" --port 6379 >"$CONF.$1" || tap_failed=$((tap_failed + 1))
    while read -r line; do
        case $line in
        'ok '* | 'not ok '*) tap_number=$((tap_number + 1)); echo "${line%%ok *}ok $tap_number - ${line#* - }, workers: $2" ;;
        '#'*) echo "$line" ;;
        esac
    done <"$CONF.$1"
}

for workers in 1 2; do
    check "a box, workers: $workers" eval "board/dev/up --config '$CONF' --workers $workers >'$CONF.up'" || { cat "$CONF.up"; break; }
    against access $workers
    against old_holes $workers
    against roles $workers
    check "the box ends cleanly, workers: $workers" board/dev/down
done
plan
