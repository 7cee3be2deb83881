#!/bin/bash
# Snapshots of a box: redis-server loads them and has the same data, an invariant of transactions holds in each of many, a full disk and
# kill -9 leave the one before. Prints TAP. Needs root. An argument: an expression that the names of tests must match. KILLS=N.
set -u
CHOSEN=${1:-.}
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-slusnap} SLUICE_STATS_PORT=${SLUICE_STATS_PORT:-29143}
. board/dev/lib.sh
N=$SLUICE_INSTANCE-host LINK=sn0 BOX=10.143.0.2 HERE=10.143.0.1
. tests/durability/box.sh
export RUN BOX HERE
trap clean EXIT
clean
namespace || exit 1
exec 3>&1
total=0 bad=0
part() { # NAME ARGUMENT... -- DIRECTIVE...
    local name=$1 args=()
    shift
    while [ "$1" != -- ]; do args+=("$1"); shift; done
    shift
    [[ $name =~ $CHOSEN ]] || return 0
    stop
    if start "$@" >&2 && in_ns timeout $((900 + 20 * ${KILLS:-0})) /usr/bin/python3 tests/durability/snapshots.py "${args[@]}" >"$OUT_FILE" 2>&1; then
        total=$((total + 1)) && echo "ok $total - $name"
    else
        total=$((total + 1)) bad=1 && echo "not ok $total - $name"
        sed 's/^/# /' "$OUT_FILE" | tail -n 20
    fi
}
OUT_FILE=$(mktemp)
for w in 1 2 4; do
    part "redis-server loads what $w worker(s) wrote, digests are equal" digests -- --workers $w --save "3600 1"
    part "transactions are whole in each of ${SNAPSHOTS:-100} snapshots under load, $w worker(s)" invariant "${SNAPSHOTS:-100}" -- --workers $w
done
part "a policy's knowledge of use is in the file" policies -- --workers 1
part "save points, LASTSAVE, INFO, SAVE, rdbcompression, dbfilename" commands -- --workers 2 --save "1 10" --enable-protected-configs yes
mkdir -p "$RUN/tiny"
mount -t tmpfs -o size=1m snapshots "$RUN/tiny" && part "a full disk: the file before is whole, MISCONF, and better again" full -- --workers 2 --dir "$RUN/tiny" --save "3600 100000000"
stop
umount "$RUN/tiny" 2>/dev/null
part "kill -9 of either process while it saves leaves the file before" killed -- --workers 2
part "SHUTDOWN saves" shutdown -- --workers 2 --save "3600 1"
echo "1..$total"
rm -f "$OUT_FILE"
exit $bad
