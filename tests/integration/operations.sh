#!/bin/bash
# A box as those who run it see it: configuration mode, commits that go back, history; Prometheus with our rules and dashboard,
# Debian's redis exporter; the support bundle; the factory reset. Prints TAP. Runs a box of its own beside any other.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=sluops SLUICE_LINK_NAME=slop0 SLUICE_HOST_IP=127.0.156.1 SLUICE_BOX_IP=127.0.156.2 SLUICE_STATS_PORT=29356
. board/dev/lib.sh
. tests/tap.sh
WORK=$(mktemp -d)
CONF=$WORK/sluice.conf
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; echo "hugepages no"; } >"$CONF"
pids=()
trap 'for p in "${pids[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done; board/dev/down >/dev/null 2>&1; rm -rf "$WORK"' EXIT

cli=("$BUILD/mgmt/sluice" --socket "$RUN/management.sock")
edit() { { echo configure; printf '%s\n' "$@"; } | "${cli[@]}"; }
metrics() { curl -sf "http://127.0.0.1:$STATS_PORT/metrics"; }
exporter() { curl -sf "http://127.0.0.1:19356/metrics"; }
workers_are() { # and clients are served by them
    [ "$(sluice show status --json | jq .workers)" = "$1" ] && [ "$(timeout 20 redis-cli -h "$BOX_IP" ping 2>/dev/null)" = PONG ]
}

# -- configuration --
committed() { edit 'set maxmemory-policy allkeys-lru' 'set workers 2' 'commit comment "for S1"' &&
    grep -qx 'maxmemory-policy allkeys-lru' "$CONF" && [ "$(redis-cli -h "$BOX_IP" config get maxmemory-policy | tail -n 1)" = allkeys-lru ]; }
set_by_client() { redis-cli -h "$BOX_IP" config set slowlog-max-len 77 >/dev/null && contains "CONFIG SET by user default at" sluice show history; }
rewritten_by_client() { redis-cli -h "$BOX_IP" config rewrite >/dev/null && contains "CONFIG REWRITE by user default at" sluice show history; }
unconfirmed_with_restart() { # the dataplane runs with it
    edit 'set workers 1' 'commit confirmed 5' && sluice restart dataplane && wait_until 60 "one worker" workers_are 1
}
control_dies() {
    local pid
    pid=$(cat "$RUN/control.pid")
    kill -9 "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    board/dev/up --config "$CONF"
}
back_to_two() { wait_until 60 "two workers again" workers_are 2; }

# -- Prometheus --
start_prometheus() {
    mkdir -p "$WORK/prometheus" && cp mgmt/prometheus/sluice.rules.yml "$WORK/prometheus/"
    cat >"$WORK/prometheus/prometheus.yml" <<EOF
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [sluice.rules.yml]
scrape_configs:
  - job_name: sluice
    static_configs: [{targets: ['127.0.0.1:$STATS_PORT']}]
EOF
    prometheus --config.file="$WORK/prometheus/prometheus.yml" --storage.tsdb.path="$WORK/prometheus/data" \
        --web.listen-address=127.0.0.1:19357 >"$WORK/prometheus/log" 2>&1 &
    pids+=($!)
}
ask_prometheus() { curl -sf --data-urlencode "query=$1" http://127.0.0.1:19357/api/v1/query | jq -es ".[0] | .data.result[0].value[1] == \"$2\""; }
pending_notice() { ask_prometheus 'ALERTS{alertname="SluiceNotice",alarm="unsaved"}' 1; }
names_of() { grep -ohE '\b(redis|sluice)_[a-z_]+\b' "$@" | sort -u; }
every_metric_is_there() { # what dashboard and rules ask for is what the box tells
    local missing
    metrics | grep -oE '^[a-z_]+' | sort -u >"$WORK/names"
    missing=$(jq -r '.panels[].targets[].expr' mgmt/grafana/sluice.json | cat - mgmt/prometheus/sluice.rules.yml | names_of - |
        comm -23 - "$WORK/names")
    [ -z "$missing" ] || { echo "not in /metrics: $missing"; return 1; }
}
start_exporter() {
    prometheus-redis-exporter -redis.addr "redis://$BOX_IP:6379" -redis.password sesame -web.listen-address 127.0.0.1:19356 >"$WORK/exporter.log" 2>&1 &
    pids+=($!)
}

# -- the bundle --
no_secret_in_the_bundle() {
    redis-cli -h "$BOX_IP" -a sesame --no-auth-warning set customer-key-4711 customer-value >/dev/null
    redis-cli -h "$BOX_IP" -a sesame --no-auth-warning acl setuser anna on '>annas-word' '~customer*' +@all >/dev/null
    redis-cli -h "$BOX_IP" -a sesame --no-auth-warning slowlog get >/dev/null
    sluice support-bundle "$WORK/bundle.tar.gz" && mkdir -p "$WORK/bundle" && tar -xzf "$WORK/bundle.tar.gz" -C "$WORK/bundle" || return 1
    ! grep -rlE 'sesame|annas-word|customer-key|customer-value|PRIVATE KEY' "$WORK/bundle"
}
bundle_is_whole() {
    local f
    [ "$(find "$WORK/bundle" -name '*.json' | wc -l)" -ge 20 ] || return 1
    for f in "$WORK"/bundle/*/*.json; do jq -es '.[0] | type == "object" or type == "array"' "$f" >/dev/null || { echo "$f"; return 1; }; done
}

# -- factory reset --
reset_box() {
    local pid
    pid=$(cat "$RUN/control.pid")
    [ -e "$RUN/state/dump.rdb" ] && [ -e "$RUN/state/certificates/server.pem" ] || { ls -R "$RUN/state"; return 1; }
    sluice factory-reset keep-network --confirm "$(hostname)" || return 1
    wait_until 60 "control to end" sh -c "! kill -0 $pid 2>/dev/null"
}
nothing_is_left() { # but the lock, and the mark that says who did it
    [ "$(ls "$RUN/state" | tr '\n' ' ')" = "control.lock factory-reset " ] || { ls "$RUN/state"; return 1; }
    ! grep -E 'requirepass|maxmemory-policy' "$CONF" && grep -q "^link-address" "$CONF"
}

check "up" timeout 300 board/dev/up --config "$CONF" || { plan; exit 1; }
check "a commit runs, is written, and says what waits for a restart" contains "closes all connections: workers" committed
check "restart with it" sluice restart dataplane
check "two workers" back_to_two
check "show history has author and comment" contains ": for S1" sluice show history
check "CONFIG SET of a client is a revision with its author" set_by_client
check "CONFIG REWRITE, too" rewritten_by_client
check "a commit that is not confirmed, and a dataplane started with it" unconfirmed_with_restart
check "control is killed" control_dies
check "the dataplane is started with the configuration before" back_to_two
check "and nobody waits for a confirmation any more" [ "$(sluice show health --json | jq '[.alarms[] | select(.alarm == "unconfirmed")] | length')" = 0 ]
check "show inventory" contains "kernel" sluice show inventory
sluice certificate self-signed server >/dev/null
sluice config set requirepass sesame >/dev/null
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
    check "promtool: rules are sound" promtool check rules mgmt/prometheus/sluice.rules.yml
    check "promtool: each alert comes when it should" sh -c "cd mgmt/prometheus && promtool test rules sluice.test.yml"
    start_prometheus
    check "Prometheus scrapes the box" wait_until 60 "a scrape" ask_prometheus 'up{job="sluice"}' 1
    check "it serves" wait_until 60 "redis_up" ask_prometheus 'redis_up{job="sluice"}' 1
    check "an alarm of the box is an alert" wait_until 60 "the alert" pending_notice
    check "/metrics is sound to promtool" sh -c "curl -sf http://127.0.0.1:$STATS_PORT/metrics | promtool check metrics | grep -v -E 'no help text|should (have|not)|non-histogram' | grep . && exit 1; exit 0"
else
    skip "Prometheus" "it is not installed"
fi
if command -v prometheus-redis-exporter >/dev/null; then
    start_exporter
    check "Debian's exporter scrapes the data port" wait_until 60 "redis_up of the exporter" sh -c "curl -sf http://127.0.0.1:19356/metrics | grep -qx 'redis_up 1'"
    check "and reads INFO whole" contains 'redis_commands_total{cmd="' exporter
else
    skip "Debian's redis exporter" "it is not installed"
fi
redis-cli -h "$BOX_IP" -a sesame --no-auth-warning setex some 100 thing >/dev/null
check "what rules and dashboard ask for is in /metrics" wait_until 30 "all of them" every_metric_is_there
check "the support bundle: no secret, no name of a key" no_secret_in_the_bundle
check "and all of its parts" bundle_is_whole
check "a snapshot to be wiped" [ "$(redis-cli -h "$BOX_IP" -a sesame --no-auth-warning save)" = OK ]
check "factory-reset of another box is refused" fails_with 1 "confirm it with the name" sluice factory-reset --confirm not-this-one
check "factory-reset ends the box" reset_box
check "and leaves nothing" nothing_is_left
check "down" board/dev/down
plan
