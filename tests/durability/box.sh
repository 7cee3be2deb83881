# box.sh: a box in a network namespace of its own, for tests of what is on its disk. Sourced by bash, from the root of the tree,
# behind board/dev/lib.sh; N, LINK and BOX are set.
in_ns() { ip netns exec "$N" "$@"; }
start() { # DIRECTIVES...
    mkdir -p "$RUN/state"
    : >>"$RUN/sluice.log"
    local command=("$BUILD/control/sluice-control" board/dev/sluice.conf --dataplane "$BUILD/sluice-dataplane" --instance "$INSTANCE" \
        --management-socket "$RUN/management.sock" --dataplane-socket "$RUN/dataplane.sock" --state-dir "$RUN/state" \
        --stats-port "$STATS_PORT" --log-file "$RUN/sluice.log" --hugepages no --link-type tap --link-name "$LINK" \
        --link-address "$BOX/24" --enable-debug-command yes "$@")
    printf '%s\0' "${command[@]}" >"$RUN/command" # for whoever starts control again
    setsid ip netns exec "$N" "${command[@]}" </dev/null >"$RUN/control.out" 2>&1 &
    echo $! >"$RUN/control.pid"
    wait_until 60 "the box to serve" serving || { cat "$RUN/control.out"; tail -n 8 "$RUN/sluice.log"; sluice show status 2>&1 | head -n 3; return 1; }
}
stop() { board/dev/down >/dev/null 2>&1; }
namespace() {
    ip netns add "$N" && in_ns sh -c "ip link set lo up; ip tuntap add dev $LINK mode tap multi_queue && ip link set $LINK up
        ip addr add ${BOX%.*}.1/24 dev $LINK"
}
clean() {
    stop
    ip netns del "$N" 2>/dev/null
}
