#!/bin/bash
# sluice capture on a running box: under load, with filters, ended in every way. Prints TAP. Runs a box of its own.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slucapt SLUICE_LINK_NAME=slucap1 SLUICE_HOST_IP=127.0.84.1 SLUICE_BOX_IP=127.0.84.2 SLUICE_STATS_PORT=29184
. board/dev/lib.sh
. tests/box.sh
. tests/tap.sh
TMP=$(mktemp -d)
CONF=$TMP/box.conf
sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -rf "$TMP"' EXIT

up() { timeout 300 board/dev/up --config "$CONF" "$@"; }
cli() { timeout 10 redis-cli -h "$BOX_IP" "$@"; }
capture() { timeout 60 "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" capture "$@"; }
answers() { [ "$(cli ping 2>/dev/null)" = PONG ]; }
load() { timeout 120 redis-benchmark -h "$BOX_IP" -t get -c 10 -q --csv "$@"; }
# A command that ends by itself when it has its frames: there are some until then, however late it begins.
while_loaded() { # COMMAND...
    local status loading
    timeout 120 redis-benchmark -h "$BOX_IP" -t get -c 40 -l -q --csv >/dev/null 2>&1 &
    loading=$!
    "$@"
    status=$?
    kill $loading && wait $loading 2>/dev/null
    return $status
}

# A capture in the background, its process in $captured; comes back when frames arrive in FILE.
captured=
begin() { # FILE ARGUMENT...
    local file=$1
    shift
    "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" capture "$@" --write "$file" 2>"$file.said" &
    captured=$!
    wait_until 30 "the capture to begin" test -s "$file"
}
end() { kill -INT "$captured" && wait "$captured"; } # as Ctrl-C does
packets() { tcpdump -nr "$1" "${@:2}" 2>/dev/null | wc -l; }
memory_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$(dataplane_pid)/status"; }
# The start of the next capture is the proof that the last one is gone.
free_again() { wait_until 30 "the capture to be free" sh -c "$BUILD/mgmt/sluice --socket $RUN/management.sock capture --duration 1 --filter 'port 1' >/dev/null 2>&1"; }

counts_agree() { # the file holds what the summary says, and what the box counts is near
    begin "$TMP/all.pcapng" --filter 'tcp port 6379' || return 1
    load -n 20000 >/dev/null || return 1
    end || return 1
    cat "$TMP/all.pcapng.said"
    local told dropped read
    told=$(sed -n 's/^\([0-9]*\) packets captured, .*/\1/p' "$TMP/all.pcapng.said")
    dropped=$(sed -n 's/.*captured, \([0-9]*\) dropped.*/\1/p' "$TMP/all.pcapng.said")
    read=$(packets "$TMP/all.pcapng")
    echo "told $told, read $read, dropped $dropped"
    [ "$told" = "$read" ] && [ "$read" -ge 30000 ] && [ "$dropped" = 0 ]
}
tcpdump_agrees() { # the same filter finds every frame again, and its opposite none
    [ "$(packets "$TMP/all.pcapng" 'tcp port 6379')" = "$(packets "$TMP/all.pcapng")" ] &&
        [ "$(packets "$TMP/all.pcapng" 'not tcp port 6379')" = 0 ]
}
scapy_agrees() {
    [ "$(/usr/bin/python3 -c "
from scapy.all import PcapNgReader
print(sum(1 for _ in PcapNgReader('$TMP/all.pcapng')))" 2>/dev/null)" = "$(packets "$TMP/all.pcapng")" ]
}
count_ends() {
    while_loaded capture --count 7 --write "$TMP/seven.pcapng" || return 1
    [ "$(packets "$TMP/seven.pcapng")" = 7 ]
}
one_direction() {
    while_loaded capture --count 50 --direction out --filter tcp --snaplen 60 --write "$TMP/out.pcapng" || return 1
    [ "$(packets "$TMP/out.pcapng" "src host $BOX_IP")" = 50 ] && tcpdump -r "$TMP/out.pcapng" 2>&1 | grep -q 'snapshot length 60'
}
only_icmp() {
    local pinging
    ping -i 0.2 -w 60 "$BOX_IP" >/dev/null &
    pinging=$!
    while_loaded capture --count 6 --filter 'icmp and host '"$HOST_IP" >"$TMP/icmp" || { kill $pinging; return 1; }
    kill $pinging && wait $pinging 2>/dev/null
    cat "$TMP/icmp"
    [ "$(grep -c 'icmp type [08] ' "$TMP/icmp")" = 6 ] && [ "$(wc -l <"$TMP/icmp")" = 6 ]
}
nothing_matches() { capture --filter 'host 192.0.2.1' --duration 1 2>&1 | grep '^0 packets captured, 0 dropped'; }
as_json() {
    while_loaded capture --count 3 --json >"$TMP/lines" || return 1
    jq -es 'length == 3 and all(.[]; .time_ns > 0 and .worker == 0 and .length > 0)' "$TMP/lines"
}
to_a_pipe() {
    while_loaded capture --count 5 --write - | tcpdump -nr - 2>/dev/null >"$TMP/piped"
    [ "$(wc -l <"$TMP/piped")" = 5 ]
}
one_at_a_time() {
    begin "$TMP/first" || return 1
    fails_with 1 "another capture is running" capture --count 1 || return 1
    end && free_again
}
killed_cli() {
    local before after
    before=$(memory_kb)
    begin "$TMP/killed" || return 1
    kill -STOP "$captured" # its reader stands still, so the rings fill
    load -n 60000 >/dev/null || return 1
    after=$(memory_kb)
    { kill -9 "$captured"; wait "$captured"; } 2>/dev/null
    free_again || return 1
    echo "memory before $before kB, with full rings $after kB, after $(memory_kb) kB"
    [ $((after - before)) -lt 24576 ] && [ $(($(memory_kb) - before)) -lt 6144 ]
}
slow_reader_loses_and_is_told() {
    begin "$TMP/slow" || return 1
    kill -STOP "$captured"
    load -n 150000 >/dev/null || return 1
    kill -CONT "$captured"
    end || return 1
    cat "$TMP/slow.said"
    local told dropped
    told=$(sed -n 's/^\([0-9]*\) packets captured, .*/\1/p' "$TMP/slow.said")
    dropped=$(sed -n 's/.*captured, \([0-9]*\) dropped.*/\1/p' "$TMP/slow.said")
    [ "$dropped" -gt 0 ] && [ "$(packets "$TMP/slow")" = "$told" ]
}
configuration_is_not_starved() {
    begin "$TMP/busy" || return 1
    load -n 20000 >/dev/null &
    for i in $(seq 5); do
        timeout 30 "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" config set timeout $((i * 100)) >/dev/null &&
            timeout 30 "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" show clients >/dev/null || return 1
    done
    wait $!
    end
}
killed_control() {
    begin "$TMP/orphan" || return 1
    kill -9 "$(control_pid)"
    wait "$captured"
    [ $? = 1 ] && grep -q 'control went away' "$TMP/orphan.said" && answers &&
        wait_until 60 "control to be back" sh -c "board/dev/up --config $CONF >/dev/null 2>&1" && free_again
}
restarted_dataplane() {
    begin "$TMP/restart" || return 1
    kill -9 "$(dataplane_pid)"
    wait "$captured"
    cat "$TMP/restart.said"
    grep -q 'the dataplane went away' "$TMP/restart.said" && wait_until 60 "service" answers && free_again
}
rate() { load -n "$1" -P 4 | sed -n 's/^"GET[^"]*","\([0-9.]*\)".*/\1/p'; }
throughput() { # what a capture of everything leaves of the throughput
    local without with
    rate 20000 >/dev/null
    without=$(rate 60000)
    begin "$TMP/everything" || return 1
    with=$(rate 60000)
    end || return 1
    awk -v a="$without" -v b="$with" 'BEGIN { printf "%.0f requests/s without, %.0f with a capture of everything: ratio %.2f\n", a, b, b / a; exit b <= 0 }' |
        tee "$TMP/ratio"
    cat "$TMP/everything.said"
}

check "up" up
check "a capture under load holds every packet it speaks of" counts_agree
check "tcpdump reads it and its filter agrees" tcpdump_agrees
if /usr/bin/python3 -c 'import scapy' 2>/dev/null; then
    check "scapy reads it" scapy_agrees
else
    skip "scapy reads it" "python3-scapy is not installed"
fi
check "--count ends by itself" count_ends
check "--direction and --snaplen" one_direction
check "a filter by protocol and host" only_icmp
check "--duration ends by itself, an empty capture is none the less a file" nothing_matches
check "--json is a line a packet" as_json
check "--write - goes down a pipe" to_a_pipe
check "a bad filter: libpcap's message" fails_with 1 "syntax error" capture --filter 'tcp prot 6379'
check "an unknown host is said" fails_with 1 "unknown host" capture --filter 'host no.such.host.invalid'
check "a filter with a loop is refused" fails_with 1 "loop" capture --filter 'ip6 protochain 6'
check "a bad number is a usage error" fails_with 2 "--count needs a number" capture --count none
check "a bad direction is refused" fails_with 1 "choose in, out or both" capture --direction up
check "a file that cannot be made ends the capture" fails_with 1 "No such file" capture --write /nonexistent/file
check "one at a time" one_at_a_time
check "kill -9 of the command frees its memory" killed_cli
check "what a slow reader loses is counted" slow_reader_loses_and_is_told
check "configuration and commands get through" configuration_is_not_starved
check "service goes on under a capture of everything" throughput
sed 's/^/# /' "$TMP/ratio" 2>/dev/null
check "kill -9 of control ends it" killed_control
check "a dataplane that dies ends it" restarted_dataplane
check "down" board/dev/down
sed "s/^workers .*/workers 2/" -i "$CONF"
check "up with two workers" up
two_workers() { # 40 clients: hardly ever are they all of one worker
    while_loaded capture --count 2000 --filter 'tcp port 6379' >"$TMP/two" || return 1
    awk '{ print $3 }' "$TMP/two" | sort | uniq -c
    [ "$(wc -l <"$TMP/two")" = 2000 ] && grep -q ' w0 ' "$TMP/two" && grep -q ' w1 ' "$TMP/two"
}
check "both workers are seen" two_workers
check "down after two workers" board/dev/down
plan
