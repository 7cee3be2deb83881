#!/bin/bash
# The cluster view with 1, 2 and 4 workers on a TAP link, and with 2 on af_packet: unchanged clients of Redis Clusters. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=sluclu SLUICE_LINK_NAME=slucl0 SLUICE_HOST_IP=127.0.132.11 SLUICE_BOX_IP=127.0.132.12 SLUICE_STATS_PORT=29232
. board/dev/lib.sh
CONF=$(mktemp) OUT=$(mktemp) NUMBER=0 FAILED=0
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; echo "cluster-view workers"; } >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF" "$OUT"' EXIT

passes() { # NAME COMMAND...: the checks of a script, each with this name in front
    local name=$1
    shift
    timeout 300 "$@" >"$OUT" 2>&1 || FAILED=1
    grep -qE '^(not )?ok ' "$OUT" || { echo "not ok 1 - it ended early" >>"$OUT"; FAILED=1; }
    while read -r line; do
        case $line in
        ok\ * | not\ ok\ *) NUMBER=$((NUMBER + 1)) && echo "${line%%ok *}ok $NUMBER - $name: ${line#* - }" ;;
        \#*) echo "$line" ;;
        esac
    done <"$OUT"
}

for workers in 1 2 4; do
    board/dev/up --config "$CONF" --workers $workers >/dev/null || { echo "not ok 1 - a box with $workers workers"; exit 1; }
    passes "$workers workers" /usr/bin/python3 tests/integration/cluster_view.py --host "$BOX_IP" --port 7000 --plain 6379 --stats $STATS_PORT
    passes "$workers workers" tests/integration/node/run tests/integration/node/cluster.js --host "$BOX_IP" --port 7000
    board/dev/down >/dev/null || FAILED=1
done
sed -i "/^link-address/d" "$CONF"
board/dev/up --config "$CONF" --workers 2 --link af_packet >/dev/null || { echo "not ok 1 - a box on af_packet"; exit 1; }
passes "af_packet" ip netns exec $INSTANCE-peer /usr/bin/python3 tests/integration/cluster_view.py --host 10.77.0.2 --port 7000 --plain 6379
board/dev/down >/dev/null || FAILED=1
echo "1..$NUMBER"
exit $FAILED
