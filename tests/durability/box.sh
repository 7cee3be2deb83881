# box.sh: a box in a network namespace of its own, for tests of what is on its disk. Sourced by bash, from the root of the tree,
# behind board/dev/lib.sh; N, LINK and BOX are set.
. tests/box.sh
in_ns() { ip netns exec "$N" "$@"; }
start() { # DIRECTIVES...
    start_in "$N" board/dev/sluice.conf --hugepages no --link-type tap --link-name "$LINK" --link-address "$BOX/24" --enable-debug-command yes "$@"
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
