#!/bin/bash
# What users may do by random rules, on a box and on a redis-server: verdicts, commands that are run, texts (tests/conformance/acl.py).
# RULES_COUNT: verdicts a protocol and number of workers (1000); SEED. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-slurul} SLUICE_LINK_NAME=${SLUICE_LINK_NAME:-slur0} SLUICE_STATS_PORT=${SLUICE_STATS_PORT:-29187}
export SLUICE_HOST_IP=${SLUICE_HOST_IP:-127.0.87.1} SLUICE_BOX_IP=${SLUICE_BOX_IP:-127.0.87.2} SLUICE_BUILD=${SLUICE_BUILD:-build-asan}
. board/dev/lib.sh
. tests/tap.sh
CONF=$(mktemp)
ORACLE=16401
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; printf "enable-debug-command yes\nhugepages no\n"; } >"$CONF"
redis-server --port $ORACLE --bind 127.0.0.1 --save '' --appendonly no --daemonize no --enable-debug-command yes >/dev/null 2>&1 &
oracle=$!
trap 'kill $oracle; board/dev/down >/dev/null 2>&1; rm -f "$CONF" "$CONF".*' EXIT

# Each line of the script's TAP as one of ours.
random_rules() { # WORKERS
    local line
    timeout 1500 /usr/bin/python3 tests/conformance/acl.py --oracle 127.0.0.1:$ORACLE --box "$BOX_IP:6379" --seed "${SEED:-1}" \
        --count "${RULES_COUNT:-1000}" >"$CONF.rules" || tap_failed=$((tap_failed + 1))
    while read -r line; do
        case $line in
        'ok '* | 'not ok '*) tap_number=$((tap_number + 1)); echo "${line%%ok *}ok $tap_number - ${line#* - }, workers: $1" ;;
        '#'*) echo "$line" ;;
        esac
    done <"$CONF.rules"
}

check "a redis-server" wait_until 30 "redis-server" redis-cli -p $ORACLE ping
for workers in 1 2; do
    check "a box, workers: $workers" eval "board/dev/up --config '$CONF' --workers $workers >'$CONF.up'" || { cat "$CONF.up"; break; }
    random_rules $workers
    check "the box ends cleanly, workers: $workers" board/dev/down
done
plan
