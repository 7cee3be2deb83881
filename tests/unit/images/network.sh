#!/bin/bash
# What the image does with what the management network tells, without a machine: systemd-networkd as it is configured there, a DHCP server
# that is name server and offers a configuration, a web server that has it, and another name server: in namespaces that end with this
# test, and with them all that runs there. PATH of sluice-control and sluice are the arguments. Prints TAP.
set -u
cd "$(dirname "$0")/../../.." || exit 1
. tests/tap.sh
NETWORKD=/lib/systemd/systemd-networkd
for need in dnsmasq curl unshare nsenter $NETWORKD; do
    command -v $need >/dev/null || { skip "management network of the image" "no $need"; plan; exit; }
done
[ "$(id -u)" = 0 ] && unshare -mnpf --mount-proc true 2>/dev/null || { skip "management network of the image" "no namespaces"; plan; exit; }
[ "${3-}" = inside ] || exec unshare -mnpf --kill-child --mount-proc --propagation private bash "tests/unit/images/network.sh" "$1" "$2" inside
CONTROL=$1 CLI=$2 WORK=$(mktemp -d) IMAGE=$PWD/images/root
pids=()
end() { kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$WORK"; }
trap end EXIT

wait_until() { # COMMAND...: three minutes at most
    local end=$((SECONDS + 180))
    until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}
beside() { local log=$1; shift; "$@" >"$WORK/$log" 2>&1 </dev/null & pids+=($!); }
outside() { nsenter -t "$OUTSIDE" -n "$@"; }

# Places of the box, in a /run that only this test sees.
mount -t tmpfs tmpfs /run && mount -t sysfs -o ro sysfs /sys || { skip "management network of the image" "no mounts"; plan; exit; }
mkdir -p /run/systemd/network /run/systemd/netif/{links,leases,lldp} /run/sluice-names /run/sluice /run/lib /etc/systemd/network "$WORK"/box/data/{etc,sluice,ssh} "$WORK/files/box"
chown -R systemd-network /run/systemd/netif
mount --bind "$IMAGE/etc/systemd/network" /etc/systemd/network
ln -s /run "$WORK/box/run"
: >/run/sluice-names/resolv.conf
cp "$IMAGE"/usr/lib/sluice/{offer,give-role} /run/lib/
ln -s "$(realpath "$CONTROL")" /run/lib/sluice-control
script() { { echo '#!/bin/bash'; cat; } >"$1" && chmod 755 "$1"; }
script /run/lib/board <<<"echo board \"\$@\" >>$WORK/asked"
script /run/lib/names <<<"SLUICE_ROOT=$WORK/box $IMAGE/usr/lib/sluice/names; cat /run/sluice-names/resolv.conf >/run/resolv.conf"
mkdir -p /run/bin # of a group sluice, which this machine may not have
script /run/bin/install <<<'[ "$1 $3" = "-m -g" ] && exec /usr/bin/install -m "$2" "$5" "$6"; exec /usr/bin/install "$@"'
script /run/bin/chgrp <<<''
script /run/bin/chronyc <<<''
PATH=/run/bin:$PATH
: >/run/resolv.conf && mount --bind /run/resolv.conf "$(realpath /etc/resolv.conf)"

network() {
    ip link set lo up
    unshare -n sleep 600 & OUTSIDE=$! && pids+=($!)
    wait_until outside_is_another || return 1
    ip link add eth0 type veth peer name s0 netns "$OUTSIDE" || return 1
    outside ip addr add 10.99.0.1/24 dev s0 && outside ip addr add 10.99.0.2/24 dev s0 && outside ip link set s0 up && outside ip link set lo up
}
outside_is_another() { [ "$(readlink "/proc/$OUTSIDE/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

servers() {
    printf 'port 7000\nlink-type pci\nlink-name @DATA@\nlink-address 10.1.1.1/24\n' >"$WORK/files/box/sluice.conf"
    local dns=(dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --log-queries --bind-interfaces --user=root --local=/example/)
    beside dhcp.log outside "${dns[@]}" --listen-address=10.99.0.1 --dhcp-range=10.99.0.50,10.99.0.50,1h "--dhcp-leasefile=$WORK/leases" --dhcp-option=6,10.99.0.1 --enable-tftp "--tftp-root=$WORK/files" \
        --dhcp-option=239,http://files.first.example:8000/box/ --address=/first.example/10.99.0.1
    beside second.log outside "${dns[@]}" --listen-address=10.99.0.2 --address=/second.example/10.99.0.1
    beside files.log outside python3 -u -m http.server 8000 --bind 10.99.0.1 --directory "$WORK/files"
    beside lines.log outside python3 -u -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.99.0.1", 5514))
while True: print(s.recv(65536), flush=True)'
    wait_until grep -q "Serving HTTP" "$WORK/files.log"
}

leased() { grep -qs '^ADDRESS=10.99.0.50' /run/systemd/netif/leases/*; }
lease() { beside networkd.log $NETWORKD; wait_until leased || { tail -n 5 "$WORK/networkd.log" "$WORK/dhcp.log"; return 1; }; }

takes_offer() {
    : >"$WORK/box/data/etc/offer"
    SLUICE_ROOT=$WORK/box timeout 200 /run/lib/offer
    grep -qx "port 7000" "$WORK/box/data/sluice/sluice.conf" && grep -qx "management-role admin user admin" "$WORK/box/data/sluice/sluice.conf" &&
        grep -qx "board apply --start" "$WORK/asked" && [ ! -e "$WORK/box/data/etc/offer" ]
}

# As by a lease of another box: what a TFTP server says that it has not is left out; one that may not be read is there.
tftp_box() {
    rm -rf "$WORK/other" && mkdir -p "$WORK"/other/{data/{etc,sluice,ssh},run/systemd/netif/leases} && : >"$WORK/other/data/etc/offer"
    printf 'ADDRESS=10.99.0.51\nOPTION_239=%s\n' "$(printf tftp://10.99.0.1/box/ | od -An -v -tx1 | tr -d ' \n')" >"$WORK/other/run/systemd/netif/leases/2"
    SLUICE_ROOT=$WORK/other timeout 200 /run/lib/offer 180 0
}
takes_by_tftp() {
    echo "ssh-ed25519 A" >"$WORK/files/box/authorized_keys"
    tftp_box
    grep -qx "port 7000" "$WORK/other/data/sluice/sluice.conf" && grep -qx "ssh-ed25519 A" "$WORK/other/data/ssh/authorized_keys" && [ ! -e "$WORK/other/data/board.conf" ]
}
refused_by_tftp() {
    mkdir "$WORK/files/box/board.conf" # no file: an error, but not "not found"
    contains "whether it has board.conf cannot be told" tftp_box && [ ! -e "$WORK/other/data/sluice/sluice.conf" ]
}

sluice() { timeout 60 "$CLI" --socket /run/sluice/management.sock "$@"; }
begin_control() {
    printf 'logfile %s\nstats-port 0\ndir %s\n' "$WORK/log" "$WORK" >"$WORK/control.conf"
    beside control.log "$CONTROL" "$WORK/control.conf" --dataplane /bin/false --state-dir "$WORK/state" --management-socket /run/sluice/management.sock \
        --dataplane-socket /run/sluice/dataplane.sock --instance "names$$"
    wait_until answers || { cat "$WORK/control.log" "$WORK/log"; return 1; }
}
answers() { sluice show version >/dev/null 2>&1; }
# The resolver of libevent mixes upper and lower case.
asked_of() { grep -qiE "query\[A+\] $2 from 10.99.0.50" "$WORK/$1"; }
by_dhcp() {
    begin_control && sluice config set log-remote udp://collector.first.example:5514 && wait_until asked_of dhcp.log collector.first.example &&
        wait_until grep -q "sluice-control" "$WORK/lines.log"
}
configured() {
    sluice config set system-name-server 10.99.0.2 && /run/lib/names || return 1 # as sluice-names.path does
    : >"$WORK/lines.log"
    sluice config set log-remote udp://collector.second.example:5514 && wait_until asked_of second.log collector.second.example &&
        wait_until grep -q "sluice-control" "$WORK/lines.log" && ! asked_of dhcp.log collector.second.example
}
taken_back() { sluice config set system-name-server "" && /run/lib/names && grep -qx "nameserver 10.99.0.1" /run/resolv.conf && ! grep -q 10.99.0.2 /run/resolv.conf; }

if network && servers; then
    check "networkd as on the image gets an address" lease
    check "a first start takes what DHCP option 239 offers" takes_offer
    check "a first start takes by TFTP what is there" takes_by_tftp
    check "TFTP: nothing, when another error than not found is the answer" refused_by_tftp
    check "log-remote: its name is asked of the server that DHCP tells of, lines come there" by_dhcp
    check "system-name-server: that one is asked instead" configured
    check "without one DHCP's is asked again" taken_back
else
    check "namespaces and servers of this test" false
fi
plan
