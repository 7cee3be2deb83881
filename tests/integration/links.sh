#!/bin/bash
# A box on every link that board/dev/up can make: af_packet to a stock client in a network namespace, vhost and memif to another DPDK
# process (the load generator, which checks every byte); and a start that waits for a peer. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slulinks SLUICE_LINK_NAME=slul0 SLUICE_HOST_IP=127.0.73.1 SLUICE_BOX_IP=127.0.73.2 SLUICE_STATS_PORT=29173
. board/dev/lib.sh
. tests/tap.sh
NETNS=$INSTANCE-peer
VETH_IP=10.77.0.2
CONF=$(mktemp) OTHER=$(mktemp)
sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF" "$OTHER"' EXIT

# up_with DIRECTIVE LINK...: as up, with one more line of configuration.
up_with() {
    { cat "$CONF"; echo "$1"; } >"$OTHER"
    shift
    timeout 120 board/dev/up --config "$OTHER" --link "$@"
}
up() { timeout 120 board/dev/up --config "$CONF" --link "$@"; }
answers() { # WANTED WORD...
    local want=$1
    shift
    says "$want" timeout 30 ip netns exec "$NETNS" redis-cli -h $VETH_IP "$@"
}
benchmark() { timeout 120 ip netns exec "$NETNS" redis-benchmark -h $VETH_IP -q -c 20 "$@"; }
# Values longer than a segment, both ways.
long_value() {
    local value
    value=$(head -c 200000 /dev/zero | tr '\0' v)
    answers OK -x set long <<<"$value" && [ "$(ip netns exec "$NETNS" redis-cli -h $VETH_IP get long | wc -c)" -ge 200001 ]
}
# generate LINK WORD...: the load generator at the other end of the box's link.
generate() {
    local link=$1
    shift
    timeout 120 "$BUILD/tests/bench/loadgen/sluice-loadgen" --link "$link" --no-huge --polite --core 0 --file-prefix $INSTANCE-peer \
        --local "$HOST_IP" --peer "$BOX_IP" --connections 20 --keys 2000 --fill --set-percent 20 --seconds 2 --warmup 0.2 "$@"
}
listed() { board/dev/status | grep -q "$1"; }
nothing_left() {
    local left=0
    ip link show "$LINK_NAME" 2>/dev/null && left=1
    ip netns list | grep -w "$NETNS" && left=1
    [ -e "$RUN" ] && { ls -R "$RUN"; left=1; }
    ls -d /dev/hugepages/*"$INSTANCE"* /var/run/dpdk/"$INSTANCE" 2>/dev/null && left=1
    pgrep -af "sluice-(control|dataplane).*$INSTANCE" && left=1
    return $left
}
down() { board/dev/down && nothing_left; }

# A virtio_user server is deaf until the vhost side comes; control must still be able to tell why and to end it.
start_waiting() {
    mkdir -p "$RUN/state"
    setsid "$BUILD/control/sluice-control" "$CONF" --dataplane "$BUILD/sluice-dataplane" --instance $INSTANCE \
        --management-socket "$RUN/management.sock" --dataplane-socket "$RUN/dataplane.sock" --state-dir "$RUN/state" \
        --stats-port $STATS_PORT --log-file "$RUN/sluice.log" --link-type virtio-user --link-role server \
        --link-path "$RUN/link.sock" </dev/null >"$RUN/control.out" 2>&1 &
    echo $! >"$RUN/control.pid"
    wait_until 60 "the status to tell what is waited for" listed "waiting for the vhost side"
}
# Bytes and frames that the box has received.
received() { curl -s "http://127.0.0.1:$STATS_PORT/metrics" | awk '/^sluice_rx_bytes_total/ {b = $2} /^sluice_rx_packets_total/ {p = $2} END {print b, p}'; }
# What a frame carried on average while 200000 bytes came in: a segment of the usual size has 1514.
jumbo_frames() {
    local before after
    before=$(received)
    head -c 200000 /dev/zero | tr '\0' v | answers OK -x set large || return 1
    after=$(received)
    awk -v a="$before $after" 'BEGIN {split(a, n, " "); p = n[4] - n[2]; print n[3] - n[1], p; exit !(p > 0 && (n[3] - n[1]) / p > 2000)}'
}
# The virtio-user box finds segmentation offload at the other end, and large frames leave.
large_frames() {
    generate "vdev:net_vhost0,iface=$RUN/link.sock,queues=1,client=1,tso=1" --checksum offload --value-size 16000 --keys 200 &&
        [ "$(curl -s "http://127.0.0.1:$STATS_PORT/metrics" | awk '/^sluice_tcp_large_out_total/ {n += $2} END {print n + 0}')" -gt 10 ]
}
ends_by_itself() { # `sluice stop` waits, control kills what is deaf to SIGTERM and says so
    sluice stop && ! grep 'does not react to SIGTERM' "$RUN/sluice.log" && board/dev/down
}

check "af_packet: up" up af_packet || { plan; exit 1; }
check "af_packet: PONG" answers PONG ping
check "af_packet: set" answers OK set k v
check "af_packet: get" answers v get k
check "af_packet: a value of many segments" long_value
check "af_packet: redis-benchmark" benchmark -t set,get,incr -n 10000
check "af_packet: redis-benchmark, pipeline 16" benchmark -t set,get,mset -n 50000 -P 16
check "af_packet: down, nothing is left" down
check "af_packet: up with two workers" up af_packet --workers 2
check "af_packet: redis-benchmark on two workers" benchmark -t set,get -n 20000 -P 4
check "af_packet: down after two workers" down
for link in vhost memif; do
    peer=virtio-user:$RUN/link.sock
    [ $link = memif ] && peer=vdev:net_memif0,role=client,socket=$RUN/link.sock,socket-abstract=no
    check "$link: up" up $link
    check "$link: a peer's GETs and SETs, every byte right" generate "$peer"
    check "$link: a second peer after the first, pipeline 16" generate "$peer" --pipeline 16
    check "$link: down, nothing is left" down
done
check "vhost, link-offload off: up" up_with "link-offload off" vhost
check "vhost, link-offload off: GETs and SETs, every byte right" generate "virtio-user:$RUN/link.sock" --checksum offload
check "vhost, link-offload off: values of many segments" generate "virtio-user:$RUN/link.sock" --value-size 16000 --keys 200
check "vhost, link-offload off: down" down
check "af_packet, link-mtu 9000: up" up_with "link-mtu 9000" af_packet
check "af_packet, link-mtu 9000: a value of many segments" long_value
check "af_packet, link-mtu 9000: frames of that size" jumbo_frames
check "af_packet, link-mtu 9000: down" down
check "virtio-user: up" start_waiting
check "virtio-user: frames of many segments, every byte right" large_frames
check "virtio-user: down" down
check "a start that waits for its peer says so" start_waiting
check "it is brought down without being killed" ends_by_itself
check "nothing is left of it" nothing_left
plan
