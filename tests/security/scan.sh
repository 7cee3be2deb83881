#!/bin/bash
# Scanners that nobody here wrote at a box as `board/dev/up --tls` makes it: sslscan, which takes seconds; TESTSSL=1: testssl.sh as well (minutes).
# TABLE=FILE: what they say, as a table. Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-sluscan} SLUICE_LINK_NAME=${SLUICE_LINK_NAME:-slusc0} SLUICE_STATS_PORT=${SLUICE_STATS_PORT:-29144}
export SLUICE_HOST_IP=${SLUICE_HOST_IP:-127.0.43.1} SLUICE_BOX_IP=${SLUICE_BOX_IP:-127.0.43.2}
. board/dev/lib.sh
. tests/tap.sh
command -v sslscan >/dev/null || { skip "scanners" "needs sslscan"; plan; exit; }
options=() seconds=300
[ -z "${TABLE-}" ] || options+=(--table "$TABLE")
if [ -n "${TESTSSL-}" ]; then
    command -v testssl >/dev/null || { skip "scanners" "needs testssl.sh"; plan; exit; }
    options+=(--testssl) seconds=2400
fi
CONF=$(mktemp)
sed "s/127\.0\.77\.2/$BOX_IP/; s/^hugepages .*/hugepages no/" board/dev/sluice.conf >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF"' EXIT
timeout 300 board/dev/up --tls --config "$CONF" >/dev/null || { echo "1..0 # the box does not start"; exit 1; }
timeout $seconds /usr/bin/python3 tests/security/scan.py "$BOX_IP" "$TLS_PORT" ec ${options[@]+"${options[@]}"}
status=$?
board/dev/down >/dev/null || status=1
exit $status
