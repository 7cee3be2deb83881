#!/bin/bash
# Snapshots that are loaded: load.py in a network namespace of its own. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
NS=${SLUICE_INSTANCE:-sludur}-ns
ip netns add "$NS" || exit 1
trap 'ip netns del "$NS"' EXIT
in_ns() { ip netns exec "$NS" "$@"; }
in_ns sh -c 'ip link set lo up; ip tuntap add dev sludur0 mode tap multi_queue && ip link set sludur0 up && ip addr add 10.44.0.1/24 dev sludur0' || exit 1
in_ns /usr/bin/python3 tests/durability/load.py "$@"
