#!/bin/bash
# The append-only log of a box: redis-server and redis-check-aof accept it and have the same data, the box loads redis-server's, kill -9
# of either process or both loses nothing that was acknowledged, a full disk, cut files, rewriting, on and off. Prints TAP. Needs root,
# redis-server and python3-redis.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v redis-check-aof >/dev/null || { echo "1..0 # SKIP there is no redis-check-aof"; exit 0; }
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-sluaof}
NS=$SLUICE_INSTANCE-host
trap 'ip netns del $NS 2>/dev/null' EXIT
ip netns del $NS 2>/dev/null
ip netns add $NS && ip netns exec $NS sh -c 'ip link set lo up; ip tuntap add dev sludur0 mode tap multi_queue && ip link set sludur0 up
    ip addr add 10.44.0.1/24 dev sludur0' || exit 1
ip netns exec $NS timeout ${SECONDS_MOST:-2700} /usr/bin/python3 tests/durability/aof.py "$@"
