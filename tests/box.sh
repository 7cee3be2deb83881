# box.sh: a box that a test starts by itself, in a network namespace, and what it looks at in it. Sourced by bash, from the root of the
# tree, behind board/dev/lib.sh. board/dev/down stops it.

# start_in NAMESPACE CONFIG OPTION...: sluice-control and what it starts, until it serves. No function in between: its shell would be the
# one that is waited for at the end, and control, which lives on, would take its successor's socket away.
start_in() {
    local ns=$1 conf=$2
    shift 2
    mkdir -p "$RUN/state"
    : >>"$RUN/sluice.log"
    local command=("$BUILD/control/sluice-control" "$conf" --dataplane "$BUILD/sluice-dataplane" --instance "$INSTANCE" \
        --management-socket "$RUN/management.sock" --dataplane-socket "$RUN/dataplane.sock" --state-dir "$RUN/state" \
        --stats-port "$STATS_PORT" --log-file "$RUN/sluice.log" "$@")
    printf '%s\0' "${command[@]}" >"$RUN/command" # for whoever starts control again
    setsid ip netns exec "$ns" "${command[@]}" </dev/null >"$RUN/control.out" 2>&1 &
    echo $! >"$RUN/control.pid"
    wait_until 60 "the box to serve" serving || { cat "$RUN/control.out"; tail -n 8 "$RUN/sluice.log"; sluice show status 2>&1 | head -n 3; return 1; }
}

dataplane_pid() { alive "$RUN/state/dataplane.pid" sluice-dataplane; }
control_pid() { alive "$RUN/control.pid" sluice-control; }

# counter NAME [COMMAND...]: its sum over all labels; curl runs by that command, in a namespace.
counter() { "${@:2}" curl -s "http://127.0.0.1:$STATS_PORT/metrics" | awk -v n="sluice_$1_total" '$1 == n || index($1, n "{") == 1 { s += $2 } END { print s + 0 }'; }
