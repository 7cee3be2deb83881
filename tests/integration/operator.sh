#!/bin/bash
# What an operator sees of a box's network, held against what the kernel at the other end of the link sees. Prints TAP.
# Runs a box of its own beside any other, with two workers.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slushow SLUICE_LINK_NAME=slsh0 SLUICE_HOST_IP=127.0.78.1 SLUICE_BOX_IP=127.0.78.2 SLUICE_STATS_PORT=29178
. board/dev/lib.sh
. tests/tap.sh
CONF=$(mktemp)
WORK=$(mktemp -d)
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; echo "hugepages no"; echo "link-address 192.0.2.2/24"; echo "link-address fd78::2/64"; } >"$CONF"
trap 'close_clients; board/dev/down >/dev/null 2>&1; rm -rf "$CONF" "$WORK"' EXIT

# Clients that stay: this shell's own sockets (so not inside a check, which runs in a shell of its own).
open_clients() { # N
    local fd
    fds=()
    for _ in $(seq "$1"); do
        exec {fd}<>"/dev/tcp/$BOX_IP/6379" || return 1
        printf 'PING\r\n' >&"$fd"
        IFS= read -r -u "$fd" -t 30 _ || return 1
        fds+=("$fd")
    done
}
close_clients() {
    local fd
    for fd in "${fds[@]:-}"; do [ -n "$fd" ] && exec {fd}>&-; done
    fds=()
}
fds=()

established() { sluice show connections --json --limit 100000 | jq -r '.connections[] | select(.state == "ESTABLISHED") | .remote' | sort; }
kernel_sees() { ss -Htn state established dst "$BOX_IP:6379" | awk '{print $3}' | sort; }
same_as_the_kernel() { diff <(established) <(kernel_sees); }
both_workers_serve() {
    [ "$(sluice show connections --json | jq '[.connections[].worker] | unique | length')" = 2 ]
}
unread_at_the_box() { # the box does not answer while a client does not read: its send queue shows
    sluice show connections --json | jq -es --arg r "$1" '.[0] | .connections[] | select(.remote == $r) | .send_q > 0'
}
local_end() { ss -Htnp state established dst "$BOX_IP:6379" | awk '{print $3}' | tail -n 1; }
detail_is_whole() {
    sluice show connections --json --detail "$1" | jq -es '.[0] | .connections | length == 1 and (.[0] |
        .state == "ESTABLISHED" and .mss > 500 and .cwnd >= 10 * .mss and .sack and .wscale and .rto_us >= 200000 and
        .bytes_in == 6 and .bytes_out == 7 and .client_id > 0 and .retransmits == 0)'
}
slow_reader() { # asks for much and reads nothing: what is unacknowledged must show
    local fd remote
    redis-cli -h "$BOX_IP" setrange big 8000000 x >/dev/null
    exec {fd}<>"/dev/tcp/$BOX_IP/6379"
    remote=$(ss -Htn state established dst "$BOX_IP:6379" | awk '{print $3}' | sort | comm -13 "$WORK/before" - | head -n 1)
    printf 'GET big\r\n' >&"$fd"
    wait_until 30 "a send queue at $remote" unread_at_the_box "$remote" >/dev/null
    local status=$?
    exec {fd}>&-
    return $status
}
host_mac() { cat "/sys/class/net/$LINK_NAME/address"; }
neighbor_is_the_host() { # of each worker
    [ "$(sluice show "$1" --json | jq -r --arg a "$HOST_IP" '.[] | select(.address == $a) | .mac' | sort -u)" = "$(host_mac)" ]
}
ipv6_neighbor() {
    contains "$(host_mac)" sh -c "$BUILD/mgmt/sluice --socket $RUN/management.sock show neighbors --match fd78::1" &&
        [ -z "$(sluice show arp --match fd78::1)" ]
}
drop_counted() { # NAME: more than zero, and the workers' figures add up
    sluice show drops --json | jq -es --arg n "$1" '.[0] | .[] | select(.name == $n) | .total > 0 and (.workers | add) == .total'
}
nonzero_first() { sluice show drops --json | jq -es '.[0] | [.[].total > 0] | . == (sort | reverse)'; }
all_times() { # a client may have the last reply before its time is noted
    sluice show latency --json | jq -es '.[0] | .string as $s | $s.total.count == 1000 and $s.total.count == $s.send.count and
        $s.execute.count + $s.elsewhere.count == 1000 and $s.total.p50_ns <= $s.total["p99.9_ns"] and $s.total["p99.9_ns"] <= $s.total.max_ns' &&
        curl -s "http://127.0.0.1:$STATS_PORT/metrics" | grep -q '^sluice_request_seconds_count{family="string",stage="total"} 1000$'
}
every_request_has_its_times() { # over two workers: what hopped was elsewhere, the others were executed; and /metrics says the same
    redis-cli -h "$BOX_IP" config resetstat >/dev/null
    redis-benchmark -h "$BOX_IP" -n 1000 -c 4 -r 1000 -t get -q >/dev/null
    wait_until 30 "the times of all requests" all_times || { sluice show latency --json; return 1; }
}
asked_for() { # N COMMAND...: that often, over some connections
    redis-benchmark -h "$BOX_IP" -c 4 -r 1000 -q -n "$@" >/dev/null
}
hot_keys_in_order() { # a thousand cold ones, and two that are asked for more than all of them; by turns, as counts fade within seconds
    local i
    for i in 1 2 3 4 5; do
        asked_for 2000 set warm x && asked_for 2000 get cold:__rand_int__ && asked_for 4000 get hot || return 1
    done
    sluice show hotkeys --json | jq -es '.[0] | .all_keys.reads > .all_keys.writes and (.hotkeys | length == 20 and
            .[0].key == "hot" and .[0].writes == 0 and .[0].share_percent > 25 and
            .[1].key == "warm" and .[1].reads == 0 and .[1].share_percent > 10 and .[2].share_percent < 5)'
}
big_keys_in_order() {
    seq 1 50000 | sed 's/^/RPUSH biglist /' | redis-cli -h "$BOX_IP" --pipe >/dev/null &&
        redis-cli -h "$BOX_IP" setrange bigstring 999999 x >/dev/null &&
        sluice show bigkeys --json | jq -es '.[0] | (map(.memory) | . == (sort | reverse)) and
            (map(select(.key == "bigstring")) | length == 1 and .[0].bytes >= 1000000 and .[0].type == "string") and
            (map(select(.key == "biglist")) | length == 1 and .[0].elements == 50000 and .[0].type == "list")'
}
closed_port() { ! (exec 3<>"/dev/tcp/$BOX_IP/6380") 2>/dev/null; }
workers_at_once() { [ "$(sluice show status --json | jq .workers)" = 2 ]; }
many_rounds() { sluice ping "$HOST_IP" --count 20 --interval 20 --size 1400 --json | jq -es '.[0] | .received == 20 and .min_us <= .avg_us and .avg_us <= .max_us'; }

check "up with two workers" timeout 300 board/dev/up --config "$CONF" --workers 2 || { plan; exit 1; }
check "show status knows both workers at once" workers_at_once
check "ping reaches the host" contains "3 received, 0% lost" sluice ping "$HOST_IP" --count 3 --interval 20
check "ping --json" many_rounds
if ip -6 addr add fd78::1/64 dev "$LINK_NAME" nodad 2>/dev/null; then # goes with the link
    wait_until 30 "the host to take its address into use" sluice ping fd78::1 --count 1 >/dev/null
    check "ping over IPv6" contains "3 received, 0% lost" sluice ping fd78::1 --count 3 --interval 20
    check "show neighbors has the IPv6 host, show arp has not" ipv6_neighbor
else
    skip "ping over IPv6" "this kernel has no IPv6"
fi
check "ping to a silent address: exit 1" fails_with 1 "100% lost" sluice ping 192.0.2.99 --count 2 --interval 20
check "and says that no neighbor answers" fails_with 1 unreachable sluice ping 192.0.2.99 --count 1
check "ping to a word: exit 1 and one line" fails_with 1 "neither IPv4 nor IPv6" sluice ping nowhere
check "ping with a wrong option: exit 2" fails_with 2 "not a number" sluice ping "$HOST_IP" --count some
check "ping beyond the MTU is refused" fails_with 1 "MTU" sluice ping "$HOST_IP" --size 9000
check "ping without an address: exit 2" fails_with 2 "ADDRESS is missing" sluice ping
open_clients 24 # all of them are of one worker once in eight million times
check "24 clients connect" [ ${#fds[@]} = 24 ]
check "both workers serve some" both_workers_serve
check "connections are those of the kernel's ss" wait_until 30 "the same connections" same_as_the_kernel
check "a line of totals for people" contains "ESTABLISHED 24" sluice show connections
check "--limit" contains "3 of 24 are shown" sluice show connections --limit 3
check "--limit beyond the bound: exit 1" fails_with 1 "choose 0 to" sluice show connections --limit 100000000
check "--limit that is no number: exit 2" fails_with 2 "not a number" sluice show connections --limit few
check "--detail of one connection" detail_is_whole "$(local_end)"
check "--detail for people" contains "srtt_us" sluice show connections --detail "$(local_end)"
check "--detail of none: exit 1" fails_with 1 "no connection" sluice show connections --detail 198.51.100.1:1
kernel_sees >"$WORK/before"
check "a client that does not read has a send queue" slow_reader
close_clients
check "clients that leave are gone from the list" wait_until 30 "the end of connections" same_as_the_kernel
check "show neighbors: the host's MAC" neighbor_is_the_host neighbors
check "show arp: the host's MAC" neighbor_is_the_host arp
check "show neighbors for people" contains "$HOST_IP" sluice show neighbors
check "show routes: the connected prefix" contains "127.0.0.0/8" sluice show routes
check "a closed port is a drop with a name" closed_port
check "show drops counts it, a figure a worker" drop_counted tcp_drop_closed_port
check "show drops: what is not zero comes first" nonzero_first
check "show drops for people has the meaning" contains "nobody listens" sluice show drops
check "show latency has every request once, whatever worker ran it" every_request_has_its_times
check "show latency for people" contains "string  total" sluice show latency
check "show hotkeys: the two that are asked for most, over both workers" hot_keys_in_order
check "show hotkeys for people" contains '"hot"' sluice show hotkeys --limit 1
check "show bigkeys: a string and a list" big_keys_in_order
check "show bigkeys for people" contains '"biglist"' sluice show bigkeys
if /usr/bin/python3 -c 'import jsonschema' 2>/dev/null; then
    check "every show | json fits its schema" timeout 200 /usr/bin/python3 tests/integration/schemas.py "$BUILD/mgmt/sluice" "$RUN/management.sock" "$BOX_IP"
else
    skip "every show | json fits its schema" "no python3-jsonschema"
fi
check "control gone: exit 3" fails_with 3 "" "$BUILD/mgmt/sluice" --socket /nonexistent show connections
check "down" board/dev/down
plan
