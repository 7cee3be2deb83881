#!/bin/bash
# Real peers against a box: the kernel's TCP over TAP and over veth (IPv4, IPv6, without timestamps, SACK, window scaling, with ECN,
# small MSS, links that go away), abnormal packets by scapy, scans by nmap, floods of odd packets by hping3, each compared or beside a
# client that must not notice. Prints TAP. Needs root.
#   BULK_GB=N        bytes of the bulk transfer over TAP (default 1/8)
#   CHURN_SECONDS=N  length of each opening and closing (default 0.4)
#   TABLE=FILE       the comparison with the kernel, as Markdown
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slupeers SLUICE_LINK_NAME=slup0 SLUICE_HOST_IP=127.0.72.1 SLUICE_BOX_IP=127.0.72.2 SLUICE_STATS_PORT=29172
. board/dev/lib.sh
NETNS=$INSTANCE-peer
REF=$INSTANCE-ref
WORK=$(mktemp -d)
BULK_MB=${BULK_GB:+$((BULK_GB * 1024))}
number=0
failed=0
pids=()

finish() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
    ip netns del "$REF" 2>/dev/null
    board/dev/down >/dev/null 2>&1
    rm -rf "$WORK"
}
trap finish EXIT
trap 'exit 1' INT TERM
board/dev/down >/dev/null 2>&1 # what a run that was killed has left
ip netns del "$REF" 2>/dev/null

# check NAME COMMAND...: one test. suite COMMAND...: a command that prints TAP itself.
check() {
    local name=$1 status
    shift
    "$@" >"$WORK/out" 2>&1
    status=$?
    result "$([ $status = 0 ] && echo ok || echo "not ok")" "$name"
    echo "# at $SECONDS s"
    { [ $status = 0 ] && grep '^# ' "$WORK/out" || sed 's/^/# /' "$WORK/out"; } | tail -n 20
}
result() { # ok|not ok NAME
    number=$((number + 1))
    [ "$1" = ok ] || failed=$((failed + 1))
    echo "$1 $number - $2"
}
suite() {
    timeout "${LIMIT:-120}" "$@" >"$WORK/suite" 2>"$WORK/errors"
    local line before=$number
    while IFS= read -r line; do
        case $line in
        ok\ *) result ok "${line#ok * - }" ;;
        "not ok "*) result "not ok" "${line#not ok * - }" ;;
        \#*) printf '%s\n' "$line" ;;
        esac
    done <"$WORK/suite"
    grep -q '^1\.\.' "$WORK/suite" || { result "not ok" "$* came to its end"; tail -n 5 "$WORK/errors" | sed 's/^/# /'; }
    [ $number -gt $before ] || result "not ok" "$* did anything"
}

IN_NS=(ip netns exec "$NETNS")
in_ns() { "${IN_NS[@]}" "$@"; }
first_port=10000
peer() { # HOST NAME OPTION...; each time other ports, as the old ones are in the client's TIME_WAIT
    local host=$1 name=$2
    shift 2
    first_port=$((first_port + 2000))
    suite "${where[@]}" "$BUILD/tests/integration/peer/sluice-peer" --host "$host" --name "$name" --churn-seconds "${CHURN_SECONDS:-0.4}" --first-port $first_port "$@"
}

figure() { # NAME: of the box's statistics
    curl -s "http://127.0.0.1:$STATS_PORT/metrics" | awk -v name="sluice_$1" '$1 == name || index($1, name "{") == 1 {n += $2} END {print n + 0}'
}
at_most() { [ "$(figure "$1")" -le "$2" ]; }
# What is idle after everything is what was idle before: no packet buffer is lost, no client is left.
nothing_kept() { # BUFFERS
    wait_until 70 "buffers in use to fall to $1 (now $(figure packet_buffers_in_use))" at_most packet_buffers_in_use "$1" &&
        wait_until 10 "clients to leave" at_most connected_clients 0 && echo "# $(figure packet_buffers_in_use) buffers in use"
}
gauges_come() { [ "$(figure link_up)" = 1 ]; }

config() { sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf >"$WORK/conf"; }
up() { timeout 120 board/dev/up --config "$WORK/conf" "$@"; }

with_sysctl() { # NAME=VALUE...: in the namespace, then a little of everything, then back
    local word old=()
    for word in "$@"; do
        old+=("${word%%=*}=$(in_ns sysctl -n "${word%%=*}")")
        in_ns sysctl -qw "$word"
    done
    peer 10.77.0.2 "kernel peer, $*" --only "bulk: long,every ending,QUIT behind" --bulk-mb 32
    for word in "${old[@]}"; do in_ns sysctl -qw "$word"; done
}
small_mss() {
    in_ns ip route change 10.77.0.0/24 dev eth0 src 10.77.0.1 advmss 536
    peer 10.77.0.2 "kernel peer, advmss 536" --only "bulk: long,QUIT behind" --bulk-mb 32
    in_ns ip route change 10.77.0.0/24 dev eth0 src 10.77.0.1
}

# The link is gone for two seconds while values are on their way: all arrive in the end.
sent() { in_ns cat /sys/class/net/eth0/statistics/tx_packets; }
sent_beyond() { [ "$(sent)" -gt "$1" ]; }
bulk_over_a_gap() {
    local before bulk status=0
    before=$(sent)
    "${IN_NS[@]}" timeout 60 "$BUILD/tests/integration/peer/sluice-peer" --host 10.77.0.2 --only "bulk: long" --bulk-mb 256 >"$WORK/gap" &
    bulk=$!
    wait_until 10 "the transfer to run" sent_beyond $((before + 200)) || return 1
    in_ns ip link set eth0 down
    kill -0 $bulk || { echo "it had ended before the gap"; status=1; }
    sleep 2 # the gap itself
    in_ns ip link set eth0 up
    in_ns ip addr add fd77::1/64 dev eth0 nodad 2>/dev/null
    wait $bulk || status=1
    cat "$WORK/gap"
    return $status
}

# The kernel to compare with: a namespace behind ref0 with redis-server.
start_reference() {
    ip netns add "$REF" || return 1
    ip link add ref0 netns "$NETNS" type veth peer name eth0 netns "$REF" || return 1
    in_ns sh -c "ip link set ref0 up; ip addr add 10.78.0.1/24 dev ref0; ip addr add fd78::1/64 dev ref0 nodad
                 ethtool -K ref0 tx off" >/dev/null
    ip netns exec "$REF" sh -c "ip link set lo up; ip link set eth0 up; ip addr add 10.78.0.2/24 dev eth0
                                ip addr add fd78::2/64 dev eth0 nodad; ethtool -K eth0 tx off" >/dev/null
    ip netns exec "$REF" redis-server --port 6379 --bind '*' '-::*' --protected-mode no --save '' --dir "$WORK" >/dev/null 2>&1 &
    pids+=($!)
    wait_until 10 "redis-server" eval 'in_ns redis-cli -h 10.78.0.2 ping 2>/dev/null | grep -q PONG'
}

# A client asks all the time while COMMAND runs; it must not see an error. What the command says goes to $WORK/said.
beside_requests() { # COMMAND...
    : >"$WORK/requests" # the one before said that it asks, too
    "${IN_NS[@]}" /usr/bin/python3 tests/integration/requests.py --host 10.77.0.2 >"$WORK/requests" 2>&1 &
    local client=$! status
    wait_until 10 "the client to ask" grep -q asking "$WORK/requests" || { kill $client; return 1; }
    in_ns timeout 60 "$@" >"$WORK/said" 2>&1
    status=$?
    kill $client 2>/dev/null
    wait $client || { cat "$WORK/requests"; return 1; }
    cat "$WORK/requests" | grep requests
    [ $status = 0 ] || { tail -n 5 "$WORK/said"; return 1; }
}
scan() { # PATTERN NMAP-OPTION...: the scan's answer must match
    local want=$1
    shift
    beside_requests nmap -n -Pn --max-retries 2 "$@" 10.77.0.2 && { grep -Eq "$want" "$WORK/said" || { cat "$WORK/said"; false; }; }
}
flood() { # HPING-OPTION...: 3000 odd packets
    beside_requests sh -c 'hping3 -q -n -i u200 -c 3000 "$@" 10.77.0.2 >/dev/null 2>&1; true' flood "$@"
}
have() { command -v "$1" >/dev/null || { number=$((number + 1)); echo "ok $number - $2 # SKIP no $1"; false; }; }

over_tap() {
    where=()
    config
    check "TAP: up" up || return
    wait_until 10 "the first statistics" gauges_come
    local before
    before=$(figure packet_buffers_in_use)
    LIMIT=7200 peer "$BOX_IP" "kernel peer over TAP" --bulk-mb "${BULK_MB:-128}"
    check "TAP: no packet buffer is lost" nothing_kept "$before"
    check "TAP: down" board/dev/down
}

over_veth() {
    where=("${IN_NS[@]}")
    check "veth: up" up --link af_packet || return
    wait_until 10 "the first statistics" gauges_come
    local before
    before=$(figure packet_buffers_in_use)
    peer fd77::2 "kernel peer over IPv6" --bulk-mb 32
    peer 10.77.0.2 "kernel peer over veth" --only "bulk: long,every ending,forgotten" --bulk-mb 32
    with_sysctl net.ipv4.tcp_timestamps=0
    with_sysctl net.ipv4.tcp_sack=0
    with_sysctl net.ipv4.tcp_window_scaling=0
    with_sysctl net.ipv4.tcp_ecn=1
    with_sysctl net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0 net.ipv4.tcp_window_scaling=0
    small_mss
    check "veth: values arrive although the link was gone for two seconds" bulk_over_a_gap
    if check "veth: a kernel to compare with" start_reference && /usr/bin/python3 -c 'import scapy.all' 2>/dev/null; then
        suite "${IN_NS[@]}" /usr/bin/python3 tests/integration/abnormal.py --table "${TABLE:-$WORK/table}"
    else
        number=$((number + 1))
        echo "ok $number - abnormal segments # SKIP no python3-scapy"
    fi
    scans
    check "veth: no packet buffer is lost" nothing_kept "$before"
    check "veth: down" board/dev/down
}

scans() {
    if have nmap "scans"; then
        check "nmap -sS finds one port" scan '^6379/tcp +open' -sS -p 1-3000,6379
        check "nmap -sF" scan '6379/tcp +open.filtered' -sF -p 6370-6400
        check "nmap -sX" scan '6379/tcp +open.filtered' -sX -p 6370-6400
        check "nmap -sN" scan '6379/tcp +open.filtered' -sN -p 6370-6400
        check "nmap -sA: nothing is filtered" scan 'unfiltered' -sA -p 6370-6400
        check "nmap -O comes to its end" scan 'Nmap done' -O -p 6379,6380
        check "nmap -sO comes to its end" scan 'Nmap done' -sO -p 1,6,17,47,132 --host-timeout 20s
    fi
    if have hping3 "odd packets"; then
        check "hping3: SYNs" flood -S -p 6379
        check "hping3: SYN FIN RST PSH ACK URG" flood -S -F -R -P -A -U -p 6379
        check "hping3: acknowledgements of nothing, spoofed" flood -A -p 6379 -a 10.77.0.99
        check "hping3: fragments" flood -f -S -p 6379 -d 100
        check "hping3: LAND" flood -S -p 6379 -s 6379 -k -a 10.77.0.2
        check "hping3: wrong checksums" flood -S -b -p 6379
        check "hping3: UDP" flood -2 -p 6379 -d 30
        check "hping3: ICMP" flood -1 -d 1000
    fi
}

over_tap
over_veth
echo "1..$number"
[ $failed = 0 ]
