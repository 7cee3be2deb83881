#!/bin/bash
# What the compiler, the linker and systemd are asked to do against the use of a defect: looked for in the programs and in the unit.
# Prints TAP. Runs nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1
. board/dev/lib.sh
. tests/tap.sh
PROGRAMS=("$BUILD/sluice-dataplane" "$BUILD/sluice-replay" "$BUILD/control/sluice-control" "$BUILD/mgmt/sluice")

has_dynamic() { readelf -dW "$1" | grep -qE "$2"; }
is_pie() { readelf -hW "$1" | grep -qE 'Type: +DYN' && has_dynamic "$1" 'FLAGS_1.*PIE'; }
binds_now() { has_dynamic "$1" 'FLAGS_1.*NOW|BIND_NOW'; }
is_relro() { readelf -lW "$1" | grep -q GNU_RELRO; }
stack_is_data() { readelf -lW "$1" | grep GNU_STACK | grep -q 'RW ' && ! readelf -lW "$1" | grep GNU_STACK | grep -q 'RWE'; }
nothing_written_and_run() { ! readelf -lW "$1" | grep LOAD | grep -q RWE; }
no_search_path() { ! has_dynamic "$1" 'RPATH|RUNPATH'; }
guards_stack() { readelf -sW --dyn-syms "$1" | grep -q __stack_chk_fail; }
# Functions of the C library with a bound, beside those that have none: most have to be of the former kind.
is_fortified() { readelf -sW --dyn-syms "$1" | grep -qE '__(memcpy|snprintf|vsnprintf|fprintf|printf|memset|strcpy|read|recv)_chk'; }
none_unbounded() {
    local bad
    bad=$(readelf -sW --dyn-syms "$1" | grep -oE ' (gets|strcpy|strcat|sprintf|vsprintf)@' | sort -u)
    [ -z "$bad" ] || { echo "calls$bad"; return 1; }
}

for program in "${PROGRAMS[@]}"; do
    name=$(basename "$program")
    [ -x "$program" ] || { skip "$name" "not built in $BUILD"; continue; }
    check "$name: position independent" is_pie "$program"
    check "$name: everything bound at the start" binds_now "$program"
    check "$name: tables read-only after it" is_relro "$program"
    check "$name: no stack that can be run" stack_is_data "$program"
    check "$name: no segment that is written and run" nothing_written_and_run "$program"
    check "$name: libraries from the system's folders alone" no_search_path "$program"
    check "$name: calls no function of strings without a bound" none_unbounded "$program"
    if readelf -sW --dyn-syms "$program" | grep -q __asan_init; then
        skip "$name: guarded stack, fortified library" "a build with sanitizers"
    else
        check "$name: guarded stack" guards_stack "$program"
        check "$name: fortified library" is_fortified "$program"
    fi
done

# systemd-analyze's exposure of the unit as the image has it: 5.0 and less is "OK".
UNIT=images/units/sluice-control.service
if ! command -v systemd-analyze >/dev/null; then
    skip "systemd-analyze security" "no systemd-analyze"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    { [ -r $UNIT ] && cat $UNIT || printf '[Service]\nExecStart=/bin/true\n'; cat $UNIT.d/*.conf; } >"$folder/sluice-control.service"
    exposure() { systemd-analyze security --offline=true --no-pager --threshold=50 "$folder/sluice-control.service"; }
    check "systemd-analyze security: OK or better" exposure
    echo "# $(systemd-analyze security --offline=true --no-pager "$folder/sluice-control.service" | tail -n 1)"
fi
plan
