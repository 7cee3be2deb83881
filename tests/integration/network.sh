#!/bin/bash
# A box on a network of its own: behind a router with a small MTU, with fragments, an address that is taken, and a VLAN; IPv4 and IPv6.
# Three network namespaces: box -- router -- client, joined by veth pairs. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slunet SLUICE_STATS_PORT=29171
. board/dev/lib.sh
. tests/box.sh
. tests/tap.sh
B=$INSTANCE-box R=$INSTANCE-router C=$INSTANCE-client
BOX=10.91.1.2 BOX6=fd91:1::2 TAP_BOX=10.91.3.2 MTU=1300
in_ns() { ip netns exec "$@"; }

network() {
    local ns
    for ns in $B $R $C; do
        ip netns add $ns && in_ns $ns ip link set lo up || return 1
    done
    ip link add bx0 netns $B type veth peer name r0 netns $R && ip link add c0 netns $C type veth peer name r1 netns $R || return 1
    in_ns $B sysctl -qw net.ipv6.conf.bx0.disable_ipv6=1 net.ipv4.conf.all.forwarding=0
    in_ns $R sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    for ns in $R:r0 $R:r1 $C:c0; do # no address of ours waits for the kernel's own detection
        in_ns ${ns%:*} sysctl -qw "net.ipv6.conf.${ns#*:}.accept_dad=0"
        in_ns ${ns%:*} ethtool -K "${ns#*:}" tx off gso off gro off >/dev/null
        in_ns ${ns%:*} ip link set "${ns#*:}" up
    done
    in_ns $B ip link set bx0 up
    in_ns $R sh -c "ip addr add 10.91.1.1/24 dev r0; ip addr add fd91:1::1/64 dev r0; ip addr add 10.91.2.1/24 dev r1; ip addr add fd91:2::1/64 dev r1"
    # The router's way to the client takes packets of $MTU bytes: it says so to who sends larger ones.
    in_ns $R sh -c "ip route replace 10.91.2.0/24 dev r1 mtu lock $MTU; ip -6 route replace fd91:2::/64 dev r1 mtu lock $MTU; ip -6 route del fd91:2::/64 dev r1 proto kernel"
    in_ns $C sh -c 'ip addr add 10.91.2.2/24 dev c0; ip addr add fd91:2::2/64 dev c0; ip route add default via 10.91.2.1; ip -6 route add default via fd91:2::1'
}

start() { start_in $B board/dev/sluice.conf --link-type af_packet --link-name bx0 "$@"; }
stop() { board/dev/down >/dev/null 2>&1; }
clean() {
    stop
    for ns in $B $R $C; do ip netns del $ns 2>/dev/null; done
}
trap clean EXIT

counted() {
    local now
    now=$(counter "$1" in_ns "${COUNTS:-$B}")
    [ "$now" -ge "$2" ] || { echo "$1 is $now, wanted $2"; return 1; }
}
answers() { # HOST WANTED WORD...
    local host=$1 want=$2
    shift 2
    says "$want" timeout 20 ip netns exec $C redis-cli -h "$host" "$@"
}
pings() { in_ns $C ping -q -c 3 -i 0.2 -W 20 "$@"; }
set_long() { head -c 100000 /dev/zero | tr '\0' v | answers "$1" OK -x set long; }
get_long() { [ "$(timeout 30 ip netns exec $C redis-cli -h "$1" get long | wc -c)" -ge 100001 ]; }
# The router cuts what the client sends without "do not fragment".
set_in_fragments() {
    local before
    before=$(counter net_reassembled in_ns "${COUNTS:-$B}")
    in_ns $C sysctl -qw net.ipv4.ip_no_pmtu_disc=1
    in_ns $R ip route add $TAP_BOX/32 dev nt0 mtu lock 1000
    set_long $TAP_BOX && get_long $TAP_BOX
    local status=$?
    in_ns $C sysctl -qw net.ipv4.ip_no_pmtu_disc=0
    in_ns $R ip route del $TAP_BOX/32 dev nt0
    [ $status = 0 ] && counted net_reassembled $((before + 20))
}
udp_is_refused() {
    in_ns $C /usr/bin/python3 - "$1" <<'P'
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], 53))
s.send(b"anybody there?")
try:
    s.recv(1)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)
P
}
traced() { in_ns $C tracepath -n -p 33434 "$1" | tee /dev/stderr | grep -q 'reached'; }
known() { in_ns $R ip neigh show "$1" | grep -Eq 'lladdr.*(REACHABLE|STALE|DELAY|PROBE)'; }
unused() { ! in_ns $R arping -q -c 2 -w 2 -I r0 $BOX; }
pong() { answers "$1" PONG ping >/dev/null; }

common=(--link-address $BOX/24 --link-address $BOX6/64 --link-gateway fd91:1::1 --link-route "10.91.2.0/24 via 10.91.1.1")
check "network: three namespaces" network || { plan; exit 1; }
for workers in 1 2; do
    n="$workers worker(s)"
    check "$n: up" start "${common[@]}" --workers $workers || { plan; exit 1; }
    for host in $BOX $BOX6; do
        check "$n, $host: PONG through the router" wait_until 30 PONG pong $host
        check "$n, $host: ping" pings $host
        [ $host = $BOX ] || check "$n, $host: ping -s 3000, in fragments both ways" pings -s 3000 $host
        check "$n, $host: a value of many segments comes in" set_long $host
        check "$n, $host: and goes out over a path of $MTU bytes" get_long $host
        check "$n, $host: UDP is refused" udp_is_refused $host
        check "$n, $host: the router knows the box" known $host
        if command -v tracepath >/dev/null; then
            check "$n, $host: tracepath reaches it" traced $host
        else
            skip "$n, $host: tracepath reaches it" "no tracepath"
        fi
    done
    check "$n: a router's word made segments smaller" counted tcp_mtu_reductions 2
    stop
done

# DPDK's af_packet has the kernel put IPv4 fragments together; a TAP shows them as they are.
in_ns $R sh -c 'ip tuntap add dev nt0 mode tap multi_queue; ip addr add 10.91.3.1/24 dev nt0; ip link set nt0 up'
for workers in 1 2; do
    n="TAP, $workers worker(s)"
    COUNTS=$R
    check "$n: up" start_in $R board/dev/sluice.conf --link-type tap --link-name nt0 --link-address $TAP_BOX/24 --link-gateway 10.91.3.1 --workers $workers
    check "$n: PONG" wait_until 30 PONG pong $TAP_BOX
    check "$n: ping -s 3000, in fragments both ways" pings -s 3000 $TAP_BOX
    check "$n: ping -s 10000, in fragments both ways" pings -s 10000 $TAP_BOX
    check "$n: TCP segments in fragments" set_in_fragments
    stop
done
COUNTS=$B

in_ns $R ip addr add $BOX/32 dev r0
check "duplicate: up" start "${common[@]}"
check "duplicate: the address is found in use" wait_until 30 "the conflict" counted net_duplicate_addresses 1
in_ns $R ip addr del $BOX/32 dev r0
check "duplicate: nobody answers for it when the other station has just left" unused
check "duplicate: taken into use within half a minute" wait_until 90 PONG pong $BOX
stop

if in_ns $R ip link add link r0 name r0.42 type vlan id 42 2>/dev/null; then
    in_ns $R sh -c 'ip addr add 10.91.42.1/24 dev r0.42; ip link set r0.42 up'
    check "vlan: up" start --link-vlan 42 --link-address 10.91.42.2/24 --link-gateway 10.91.42.1
    check "vlan: PONG" wait_until 30 PONG pong 10.91.42.2
    check "vlan: ping" pings 10.91.42.2
    check "vlan: a value of many segments comes in" set_long 10.91.42.2
    check "vlan: and goes out" get_long 10.91.42.2
    stop
else
    skip "vlan: a box behind a VLAN sub-interface" "this kernel has no 802.1Q interfaces"
fi
plan
