#!/bin/bash
# Life of a box: up twice, status, configuration, restarts, kill -9 of either process under load, a second box, down to nothing.
# Prints TAP. Runs a box of its own beside any other.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slutest SLUICE_LINK_NAME=slut0 SLUICE_HOST_IP=127.0.76.1 SLUICE_BOX_IP=127.0.76.2 SLUICE_STATS_PORT=29176
. board/dev/lib.sh
. tests/box.sh
. tests/tap.sh
CONF=$(mktemp)
sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF"' EXIT

up() { timeout 120 board/dev/up --config "$CONF" "$@"; }
cli() { timeout 30 redis-cli -h "$BOX_IP" "$@"; }
answers() { [ "$(cli ping 2>/dev/null)" = PONG ]; }

# A client that counts what goes wrong while something is done to the box: it must not notice.
undisturbed() { # COMMAND...
    local log
    log=$(mktemp)
    timeout 300 redis-benchmark -h "$BOX_IP" -t set,get -c 10 -n 60000 -q --csv >"$log" 2>&1 &
    local load=$!
    "$@" || { kill $load; rm -f "$log"; return 1; }
    wait $load || { cat "$log"; rm -f "$log"; return 1; }
    ! grep -iE 'error|refused|reset|closed' "$log"
    local status=$?
    rm -f "$log"
    return $status
}
kill_control() { kill -9 "$(control_pid)"; }
restarted() { local now; now=$(dataplane_pid) && [ "$now" != "$1" ] && answers; }
kill_dataplane() {
    local old
    old=$(dataplane_pid) || return 1
    kill -9 "$old"
    wait_until 60 "control to restart the dataplane" restarted "$old"
}
cli_restart() {
    local old
    old=$(dataplane_pid)
    sluice restart dataplane || return 1
    wait_until 60 "the restarted dataplane" restarted "$old"
}
nothing_left() {
    local left=0
    ip link show "$LINK_NAME" >/dev/null 2>&1 && { echo "link $LINK_NAME"; left=1; }
    ip route show table local | grep "$BOX_IP " && left=1
    [ -e "$RUN" ] && { ls -R "$RUN"; left=1; }
    ls /dev/hugepages 2>/dev/null | grep "$INSTANCE" && left=1
    pgrep -af "sluice-(control|dataplane).*$INSTANCE" && left=1
    return $left
}

check "up on a machine without a box" up || { plan; exit 1; }
check "redis-cli gets PONG" says PONG cli ping
check "set" says OK cli set k v
check "get" says v cli get k
check "up a second time is harmless" contains "already up" up
check "status tells that it serves" board/dev/status
check "metrics say redis_up 1" contains "redis_up 1" curl -s "http://127.0.0.1:$STATS_PORT/metrics"
check "healthz answers 200" curl -sf "http://127.0.0.1:$STATS_PORT/healthz"
check "stats.json is JSON" sh -c "curl -s http://127.0.0.1:$STATS_PORT/stats.json | jq -es '.[0]' >/dev/null"
for what in status version config clients stats log links; do
    check "show $what" sluice show $what
    check "show $what --json is JSON" sh -c "$BUILD/mgmt/sluice --socket $RUN/management.sock show $what --json | jq -es '.[0]' >/dev/null"
done
check "config set reaches the dataplane" sluice config set maxmemory 64mb
check "CONFIG GET shows it" contains 67108864 cli config get maxmemory
check "CONFIG SET on the wire" says OK cli config set maxmemory 48mb
check "config get on the management side shows it" contains 50331648 sluice config get maxmemory
check "a wrong value is refused" contains "ERR CONFIG SET failed" cli config set maxmemory lots
check "CONFIG REWRITE" says OK cli config rewrite
check "the file has it" grep -q '^maxmemory ' "$CONF"
check "usage errors exit 2" fails_with 2 "" sluice show nonsense
check "no control: exit 3 and a remedy" fails_with 3 "" "$BUILD/mgmt/sluice" --socket /nonexistent show status
check "kill -9 of control disturbs no client" undisturbed kill_control
check "control comes back and finds the dataplane serving" contains "starting control again" up
check "the data is still there" says v cli get k
check "kill -9 of the dataplane is repaired by control" kill_dataplane
check "it serves again" says PONG cli ping
check "restart dataplane by the CLI" cli_restart
check "a second box with the same name is refused by its lock" fails_with 1 "" \
    "$BUILD/control/sluice-control" "$CONF" --dataplane "$BUILD/sluice-dataplane" --instance "$INSTANCE" --state-dir "$RUN/state" \
    --management-socket "$RUN/second.sock" --dataplane-socket "$RUN/dataplane.sock" --stats-port 29177
check "the first one still serves" says PONG cli ping
check "a link name in use is a clear error" fails_with 1 "exists already" env SLUICE_INSTANCE=slutest2 board/dev/up --config "$CONF"
check "and it leaves nothing behind" test ! -e /run/slutest2
check "a broken configuration is refused with file and line" fails_with 1 ":1:" \
    sh -c "echo 'maxmemroy 1gb' >$CONF.bad; $BUILD/control/sluice-control --check $CONF.bad; s=\$?; rm $CONF.bad; exit \$s"
check "SIGTERM of the dataplane is clean and repaired" sh -c "kill \$(cat $RUN/state/dataplane.pid)"
check "wait for it" wait_until 60 "service" answers
check "down" board/dev/down
check "nothing is left" nothing_left
check "down again is harmless" board/dev/down
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups env -i PATH="$PATH" "$@"; }
if as_nobody test -x "$PWD/board/dev/up" 2>/dev/null; then
    check "up without root says what it needs" fails_with 1 "needs root" as_nobody board/dev/up
else
    skip "up without root says what it needs" "this folder is closed to others"
fi
printf 'hugepages no\nenable-debug-command yes\n' >>"$CONF"
check "up with two workers, without hugepages" contains "hugepages: none" up --workers 2
check "keys of all shards are reached from every connection" sh -c "
    for i in \$(seq 200); do redis-cli -h $BOX_IP set key:\$i \$i >/dev/null; done
    for i in \$(seq 200); do [ \"\$(redis-cli -h $BOX_IP get key:\$i)\" = \$i ] || exit 1; done
    [ \$(redis-cli -h $BOX_IP dbsize) = 200 ]"
check "MSET and MGET over shards" sh -c "
    [ \"\$(redis-cli -h $BOX_IP mset a 1 b 2 c 3 d 4)\" = OK ] && [ \"\$(redis-cli -h $BOX_IP mget a b c d | tr -d '\n')\" = 1234 ]"
check "redis-benchmark on two workers" sh -c "timeout 120 redis-benchmark -h $BOX_IP -t set,get,incr,mset -n 20000 -c 20 -P 8 -q"
check "MIGRATE to redis-server and back on two workers" timeout 300 /usr/bin/python3 tests/integration/migrate.py --host "$BOX_IP"
check "down after two workers" board/dev/down
check "nothing is left after two workers" nothing_left
plan
