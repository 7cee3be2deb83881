#!/bin/bash
# soak.sh [--workers N] [--minutes M] [--jobs J]: queues (bullmq, bull: Lua scripts, streams, blocking pops) with J jobs a turn, and
# histories of concurrent clients, by turns for M minutes on a box of its own with N workers. No job lost or done twice, every history
# linearizable. Prints TAP. Not a part of tests/run: that has one turn of each.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slusoak SLUICE_LINK_NAME=sluk0 SLUICE_HOST_IP=127.0.119.1 SLUICE_BOX_IP=127.0.119.2 SLUICE_STATS_PORT=29219
. board/dev/lib.sh
workers=2 minutes=5 jobs=10000
while [ $# -gt 1 ]; do
    case $1 in
    --workers) workers=$2 ;;
    --minutes) minutes=$2 ;;
    --jobs) jobs=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# = 0 ] || { echo "usage: soak.sh [--workers N] [--minutes M] [--jobs J]" >&2; exit 2; }
if [ "$(id -u)" != 0 ] || [ ! -c /dev/net/tun ]; then
    printf '1..1\nok 1 - soak # SKIP needs root and /dev/net/tun\n'
    exit 0
fi
CONF=$(mktemp) log=$(mktemp)
sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF" "$log"' EXIT
timeout 300 board/dev/up --config "$CONF" --workers "$workers" >"$log" 2>&1 || { cat "$log"; exit 1; }

number=0 bad=0 turns=0 histories=0 end=$((SECONDS + minutes * 60))
turn() { # WHAT COMMAND...: every check of the command's TAP counts
    local what=$1
    shift
    timeout $((jobs / 10 + 300)) "$@" >"$log" 2>&1
    local status=$?
    number=$((number + 1))
    if [ $status = 0 ] && ! grep -q '^not ok' "$log"; then
        echo "ok $number - $what"
    else
        bad=1
        echo "not ok $number - $what"
        sed 's/^/# /' "$log"
    fi
}
while [ $SECONDS -lt $end ]; do
    turns=$((turns + 1))
    turn "queues, turn $turns: $jobs jobs" env JOBS="$jobs" tests/integration/node/run tests/integration/node/queues.js --host "$BOX_IP" --port 6379
    turn "histories, turn $turns: 200" "$BUILD/tests/linear/linear_box_histories" "$BOX_IP" 6379 200 $((turns * 1000))
    histories=$((histories + 200))
done
redis-cli -h "$BOX_IP" info stats | grep -E 'total_commands_processed' | tr -d '\r' | sed 's/^/# /'
echo "# $workers workers, $turns turns, $((turns * jobs)) jobs and $histories histories"
echo "1..$number"
exit $bad
