#!/bin/bash
# Two boxes on one Ethernet, the second with two workers: MIGRATE from one to the other and back, IPv4 and IPv6, past a packet filter
# that keeps the other one out. TAPs on a bridge in a network namespace. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
. board/dev/lib.sh
. tests/box.sh
. tests/tap.sh
N=slumib-host CONF=$(mktemp)
{ cat board/dev/sluice.conf; echo "enable-debug-command yes"; } >"$CONF"
in_ns() { ip netns exec $N "$@"; }
as_box() { # NUMBER: the variables of lib.sh
    INSTANCE=slumib$1 RUN=/run/slumib$1 STATS_PORT=2919$1 UNDO=/run/slumib$1/undo
}

start() { # NUMBER OPTION...
    as_box "$1"
    local i=$1
    shift
    start_in $N "$CONF" --hugepages no --link-type tap --link-name "mb$i" --link-address "10.93.0.1$i/24" --link-address "fd93::1$i/64" "$@"
}
stop() { SLUICE_INSTANCE=slumib$1 board/dev/down >/dev/null 2>&1; }
clean() {
    stop 1
    stop 2
    ip netns del $N 2>/dev/null
    rm -f "$CONF"
}
trap clean EXIT

network() {
    ip netns add $N && in_ns sh -c "ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0
        ip link add br0 type bridge && ip link set br0 up && ip addr add 10.93.0.1/24 dev br0
        for i in 1 2; do ip tuntap add dev mb\$i mode tap multi_queue && ip link set mb\$i master br0 up || exit 1; done"
}
cli() { # NUMBER WORD...
    local box=10.93.0.1$1
    shift
    in_ns timeout 300 redis-cli -h "$box" "$@"
}
fill() { # a list and a hash of 20000, a string of 5 MB, 1000 numbers
    head -c 5000000 /dev/zero | tr '\0' v | cli 1 -x set string >/dev/null
    for i in $(seq 20000); do echo "rpush list element-$i"; echo "hset hash field-$i $i"; done | cli 1 --pipe >/dev/null
    for i in $(seq 1000); do echo "set key:$i $i"; done | cli 1 --pipe >/dev/null
    says 1003 cli 1 dbsize
}
# What each box has lost, sent again and given up: a move that fails says in which of them, and what of.
losses() {
    local i
    for i in 1 2; do
        as_box $i
        echo "box $i:" $(sluice show stats | awk '/^  (tcp_(retransmits|rto|timeouts|resets|drop)|net_drop|net_neighbour_failures|[st][a-z]*_(full_)?drops|mbuf_exhausted|peers_)/ && $2 {print $1 "=" $2}')
    done
}
# The time limit is that of a peer that takes nothing and says nothing. How soon a machine that has other things to do gets to it is not asked here.
move() { # FROM ADDRESS
    says OK cli "$1" migrate "$2" 6379 "" 0 120000 keys string list hash $(seq -f key:%g 1000) || { losses; return 1; }
}
digest() { cli "$1" debug digest; }
same_digest() { [ "$(digest "$1")" = "$before" ] && says 1003 cli "$1" dbsize; }
no_entry() { as_box 1 && sluice config set filter "deny tcp from 10.93.0.12" >/dev/null; }

check "a bridge" network || { plan; exit 1; }
check "a box" start 1 || { plan; exit 1; }
check "a box with two workers" start 2 --workers 2 || { plan; exit 1; }
check "keys" fill
before=$(digest 1)
check "from one worker to two" move 1 10.93.0.12
check "they have arrived" same_digest 2
check "none is left" says 0 cli 1 dbsize
check "from two workers to one, IPv6" move 2 fd93::11
check "they are back" same_digest 1
check "none is left" says 0 cli 2 dbsize
check "to itself: refused" says "IOERR error or timeout connecting to the client" cli 1 migrate 10.93.0.11 6379 string 0 1000
check "a filter that keeps the other one out" no_entry
check "a key of the other one" says OK cli 2 set mine 1
check "it keeps it out" says "IOERR error or timeout connecting to the client" cli 2 migrate 10.93.0.11 6379 mine 0 1000
check "the key stays" says 1 cli 2 del mine
check "but not the answers to what was asked" move 1 10.93.0.12
check "they have arrived" same_digest 2
plan
