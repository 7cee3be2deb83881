#!/bin/bash
# Packet filter and connection rates of a box: what clients of several addresses meet, before and after the rules change.
# A network namespace with a TAP link in it; its host has no address but a link-local one of IPv6 when the box starts. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slufil SLUICE_STATS_PORT=29192
. board/dev/lib.sh
. tests/box.sh
. tests/tap.sh
N=$INSTANCE-host LINK=fl0 BOX=10.92.0.2 BOX6=fd92::2 CONF=$(mktemp)
A=10.92.0.10 B=10.92.0.11 C=10.92.0.20 D=10.92.0.30 E=10.92.0.31 F=10.92.0.32 G=10.92.0.33 A6=fd92::10 C6=fd92::20
in_ns() { ip netns exec $N "$@"; }
cat board/dev/sluice.conf >"$CONF"

start() { start_in $N "$CONF" --hugepages no --link-type tap --link-name $LINK --link-address $BOX/24 --link-address $BOX6/64 "$@"; }
stop() { board/dev/down >/dev/null 2>&1; }
clean() {
    stop
    ip netns del $N 2>/dev/null
    rm -f "$CONF" "$CONF".*
}
trap clean EXIT

namespace() { # a TAP for the box, and a link to nowhere that has its link-local address alone
    ip netns add $N && in_ns sh -c "ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0
        ip tuntap add dev $LINK mode tap multi_queue && ip link set $LINK up
        ip link add fl1 type veth peer name fl2 && ip link set fl1 up && ip link set fl2 up"
}
only_link_local() { ! in_ns ip -o addr show scope global | grep -q . && in_ns ip -o -6 addr show scope link | grep -q fe80; }
addresses() {
    local a
    for a in 10.92.0.1/24 $A/24 $B/24 $C/24 $D/24 $E/24 $F/24 $G/24; do in_ns ip addr add $a dev $LINK || return 1; done
    for a in fd92::1 $A6 $C6; do in_ns ip addr add $a/64 dev $LINK nodad || return 1; done
}

knock() { # for a second where nothing is to come, as long as it takes where something is
    local silence=20
    [ "${want-}" != silence ] && [ "${want-}" != alive ] || silence=1
    in_ns env SILENCE=$silence /usr/bin/python3 tests/integration/knock.py "$@"
}
ping_of() { # SOURCE HOST: what comes back to one echo request
    local wait=20
    [ "${want-}" != silence ] || wait=1
    case $(in_ns ping -n -c 1 -W $wait -I "$1" "$2" 2>&1) in
    *'bytes from'*) echo reply ;;
    *'iltered'* | *'rohibited'*) echo prohibited ;;
    *) echo silence ;;
    esac
}
stats_answer() { in_ns curl -sf "http://127.0.0.1:$STATS_PORT/metrics" | grep -q '^redis_up 1'; }
counted() {
    local now
    now=$(counter "$1" in_ns)
    [ "$now" -ge "$2" ] || { echo "$1 is $now, wanted $2"; return 1; }
}
rules() { sluice show filters --json | jq -c "map([.rule, .text])"; }
hits() { sluice show filters --json | jq -r --arg r "$1" '.[] | select((.rule | tostring) == $r) | .hits'; }
hit() { [ "$(hits "$1")" -ge "$2" ] || { sluice show filters; return 1; }; }
set_config() { sluice config set "$@" >/dev/null; }
between() { # LOW HIGH COMMAND...
    local low=$1 high=$2 got
    shift 2
    got=$("$@")
    [ "$got" -ge "$low" ] && [ "$got" -le "$high" ] || { echo "wanted $low to $high, got $got"; return 1; }
}
others_are_served() { # while connections of A are more than its rate
    knock burst $BOX $A 100 2 >/dev/null &
    local pid=$! i
    for i in 1 2 3; do says PONG knock tcp $BOX $C || { wait $pid; return 1; }; done
    wait $pid
}

check "a namespace" namespace || { plan; exit 1; }
check "its host has nothing but a link-local address of IPv6" wait_until 10 "the address" only_link_local
check "up" start || { plan; exit 1; }
check "the statistics answer there" stats_answer
check "addresses of clients" addresses
for workers in 1 2; do
    n="$workers worker(s)"
    if [ $workers = 2 ]; then
        stop
        check "$n: up" start --workers 2 || { plan; exit 1; }
        # The first SYN after "serving" has been seen to be lost with two workers (2026-11-22, cause not found): the kernel says it again.
        wait_until 10 "the data port to answer" says PONG knock tcp $BOX $A >/dev/null
    fi
    for source in $A $B $C; do check "$n: no rule: $source is served" says PONG knock tcp $BOX $source; done
    check "$n: no rule: IPv6 is served" says PONG knock tcp $BOX6 $A6

    check "$n: rules at run time" set_config filter "deny tcp from $A" filter "reject tcp from $B port 6000-6999" filter "reject from $A6" \
        filter "deny tcp from 10.92.9.0/24"
    check "$n: deny: not a word" says silence knock tcp $BOX $A
    check "$n: reject: refused at once" says refused knock tcp $BOX $B
    check "$n: reject, IPv6: refused at once" says refused knock tcp $BOX6 $A6
    check "$n: others are served" says PONG knock tcp $BOX $C
    check "$n: others are served, IPv6" says PONG knock tcp $BOX6 $C6
    check "$n: a rule for tcp lets echo requests pass" says reply ping_of $A $BOX
    check "$n: a rule for everything does not: prohibited" says prohibited ping_of $A6 $BOX6
    check "$n: nor UDP: prohibited" says prohibited knock udp $BOX6 $A6
    check "$n: UDP of others is refused as ever" says refused knock udp $BOX $A
    check "$n: show filters: the rules in order" says "[[1,\"deny tcp from $A/32\"],[2,\"reject tcp from $B/32 port 6000-6999\"],[3,\"reject from $A6/128\"],[4,\"deny tcp from 10.92.9.0/24\"],[\"default\",\"permit\"]]" rules
    for r in 1 2; do check "$n: show filters: rule $r has decided" wait_until 10 "it" hit $r 1; done
    check "$n: show filters: rule 3 thrice" wait_until 10 "it" hit 3 3
    check "$n: show filters: rule 4 never" says 0 hits 4
    check "$n: show filters: a table" contains "deny tcp from $A/32" sluice show filters
    check "$n: counters" wait_until 10 "the count" counted filter_denied 1
    check "$n: counters" wait_until 10 "the count" counted filter_rejected 3
    check "$n: config get" contains "filter deny tcp from $A" sluice config get filter

    check "$n: a change leaves others' connections alone" says alive knock ended $BOX $C "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" \
        config set filter "deny from $A"
    check "$n: a change ends connections that it denies" says ended knock ended $BOX $C "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" \
        config set filter "deny from $C"
    check "$n: and counts them" wait_until 30 "filter_ended" counted filter_ended 1
    check "$n: deny everything: no echo reply" says silence ping_of $C $BOX
    check "$n: deny everything: no word about UDP" says silence knock udp $BOX $C
    check "$n: default deny" set_config filter "permit from 10.92.0.0/28" filter-default deny
    check "$n: default deny: who is named is served" says PONG knock tcp $BOX $A
    check "$n: default deny: who is not named gets nothing" says silence knock tcp $BOX $C
    check "$n: default deny: IPv6 neither" says silence knock tcp $BOX6 $C6
    check "$n: an empty value clears the list" set_config filter "" filter-default permit
    check "$n: everybody is served" says PONG knock tcp $BOX $C

    # 5 at once, one more a second: who is dropped asks again after a second. Each worker rounds its part up, and a busy machine takes
    # a second or two for all of it.
    check "$n: a rate" set_config connection-rate-limit 1 connection-rate-burst 5
    check "$n: a rate: 60 connections at once" between 5 9 knock burst $BOX $A 60 5
    check "$n: a rate: counted" wait_until 10 "the count" counted connection_rate_drops 50
    check "$n: a rate: other sources are not touched" others_are_served
    check "$n: a rate: two addresses have it each" between 10 18 knock burst $BOX $D,$E 60 10
    check "$n: a rate: of a prefix" set_config connection-rate-prefix "24 64"
    check "$n: a rate: of a prefix: both together have it once" between 5 9 knock burst $BOX $F,$G 60 5
    check "$n: a rate: off" set_config connection-rate-limit 0 connection-rate-prefix "32 64"
    check "$n: a rate: off: 60 connections at once" says 60 knock burst $BOX $A 60 60
done

check "a wrong rule is refused, the word named" fails_with 1 "udp: not expected here" sluice config set filter "deny udp"
check "and the old rules stay" says '[["default","permit"]]' rules
printf 'filter reject from %s\nfilter-default permit\nconnection-rate-limit 1000\n' $A >>"$CONF"
check "config load: rules of the file" contains "" sluice config load
check "config load: they act" says refused knock tcp $BOX $A
check "the file checked: fine" "$BUILD/control/sluice-control" --check "$CONF"
{ cat "$CONF"; echo 'filter deny from 10.92.0/8'; } >"$CONF.wrong"
check "the file checked: line, word, remedy" fails_with 1 ":$(wc -l <"$CONF.wrong"): filter: 10.92.0/8: not ADDRESS or ADDRESS/BITS, IPv4 or IPv6; write for example" \
    "$BUILD/control/sluice-control" --check "$CONF.wrong"
check "config set and rewrite: the file has the list" sh -c "'$BUILD/mgmt/sluice' --socket '$RUN/management.sock' config set filter 'deny from $A' filter 'deny from $B' &&
    '$BUILD/mgmt/sluice' --socket '$RUN/management.sock' config rewrite && [ \"\$(grep -c '^filter deny' '$CONF')\" = 2 ] && ! grep '^filter reject' '$CONF'"
check "clients of the data port cannot change rules" contains "can't set immutable config" in_ns redis-cli -h $BOX config set filter-default deny
plan
