# lib.sh: what up, down and status share. Sourced by bash, from the root of the tree.

INSTANCE=${SLUICE_INSTANCE:-sluice}
RUN=${SLUICE_RUN:-/run/$INSTANCE}
BUILD=${SLUICE_BUILD:-build}
LINK_NAME=${SLUICE_LINK_NAME:-slu0}
HOST_IP=${SLUICE_HOST_IP:-127.0.77.1}
BOX_IP=${SLUICE_BOX_IP:-127.0.77.2}
TLS_PORT=${SLUICE_TLS_PORT:-6380}
STATS_PORT=${SLUICE_STATS_PORT:-9121}
UNDO=$RUN/undo # what up changed on this machine, newest first: down undoes exactly this

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "needs root: links, hugepages and packages are the kernel's (try sudo $0)"; }

# ensure_packages FILE...: installs what is missing, asks apt only if something is. A line is a package, or "package command": not
# needed when the command is there from elsewhere.
ensure_packages() {
    local missing=() package command
    while read -r package command; do
        [ -n "$command" ] && command -v "$command" >/dev/null && continue
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done < <(cat "$@" | sed 's/#.*//' | grep -v '^ *$')
    [ ${#missing[@]} = 0 ] && return 0
    say "installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || die "apt-get update failed: is a Debian mirror reachable?"
    # A stock redis-server must not start by itself on 6379 while it is installed.
    local policy=/usr/sbin/policy-rc.d mine=0
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && mine=1; }
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    local status=$?
    [ $mine = 0 ] || rm -f $policy
    [ $status = 0 ] || die "apt-get install failed for: ${missing[*]}"
}

# build DIR MESON-OPTION... One at a time: another box may be about to start from the same folder.
build() {
    local dir=$1 log; shift
    log=$(mktemp)
    (
        flock -w 1800 9 || die "build of $dir: another one has not ended in half an hour"
        if [ ! -f "$dir/build.ninja" ]; then
            meson setup "$dir" "$@" >"$log" 2>&1 9>&- || { tail -n 20 "$log"; die "meson setup $dir failed"; }
        fi
        ninja -C "$dir" >"$log" 2>&1 9>&- || { tail -n 40 "$log"; die "build of $dir failed"; }
    ) 9>>"$dir.lock" || { rm -f "$log"; exit 1; }
    rm -f "$log"
}

# Whoever undoes may be killed behind any line, and is run again: each may be done twice.
undo() { { printf '%s\n' "$*"; cat "$UNDO" 2>/dev/null; } >"$UNDO.new" && mv "$UNDO.new" "$UNDO"; }

sluice() { "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" "$@"; }

# The pid in FILE if it is alive and still runs PROGRAM. One that has ended and that nobody has waited for yet is not alive.
alive() {
    local pid about
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && about=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
    case $about in "$pid (${2:0:15}) "[ZX]*) return 1 ;; "$pid (${2:0:15}) "*) printf %s "$pid" ;; *) return 1 ;; esac
}

# add_hugepages N: so many more (fewer: N below zero) than there are; prints how many more it became. Boxes come and go side by side: none
# writes a number that another one has changed meanwhile.
add_hugepages() {
    local file=/proc/sys/vm/nr_hugepages before
    (
        flock -w 30 9
        before=$(cat $file) || exit 1
        echo $((before + $1 > 0 ? before + $1 : 0)) >$file || exit 1
        echo $(($(cat $file) - before))
    ) 9>/run/sluice-hugepages.lock 2>/dev/null
}

# Once, even if down is run again; killed in its middle it rather leaves pages than take those of another box.
give_hugepages() {
    [ ! -e "$RUN/hugepages-given" ] || return 0
    : >"$RUN/hugepages-given" && add_hugepages "-$1" >/dev/null
}
delete_link() { ! ip link show "$1" >/dev/null 2>&1 || ip link del "$1"; }
delete_netns() { [ ! -e "/run/netns/$1" ] || ip netns del "$1"; }

# Boxes share the mount that the first of them made; the last one that is brought down unmounts it. A file a box in $MOUNTED.
MOUNTED=/run/sluice-hugepages.mounted
mount_hugepages() {
    (
        flock -w 30 9
        grep -q ' /dev/hugepages hugetlbfs' /proc/mounts || { mkdir -p /dev/hugepages $MOUNTED && mount -t hugetlbfs nodev /dev/hugepages; }
        [ ! -d $MOUNTED ] || : >"$MOUNTED/$INSTANCE"
    ) 9>/run/sluice-hugepages.lock 2>/dev/null
}
unmount_hugepages() {
    (
        flock -w 30 9
        rm -f "$MOUNTED/$INSTANCE"
        [ ! -d $MOUNTED ] || ! rmdir $MOUNTED || umount /dev/hugepages
    ) 9>/run/sluice-hugepages.lock 2>/dev/null
}

# wait_until SECONDS WHAT COMMAND...: polls a condition, never longer than SECONDS (SLUICE_PATIENCE times that: tests/run).
wait_until() {
    local end=$((SECONDS + $1 * ${SLUICE_PATIENCE:-1})) what=$2; shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || { say "gave up waiting for $what" >&2; return 1; }
        sleep 0.1
    done
}

serving() { sluice show status --json 2>/dev/null | grep -q '"state": *"serving"'; }
