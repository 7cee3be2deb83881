#!/bin/bash
# What is left to whoever takes the dataplane over, or control: system calls are put into the running processes (inject.c), and what the
# kernel says of them is looked at. Then a box whose control is no root either: everything that an operator does still works. Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-sluconf} SLUICE_LINK_NAME=${SLUICE_LINK_NAME:-slucf0} SLUICE_STATS_PORT=${SLUICE_STATS_PORT:-29155}
export SLUICE_HOST_IP=${SLUICE_HOST_IP:-127.0.155.1} SLUICE_BOX_IP=${SLUICE_BOX_IP:-127.0.155.2}
. board/dev/lib.sh
. tests/tap.sh
DIR=$(mktemp -d)
trap 'board/dev/down >/dev/null 2>&1; rm -rf "$DIR"' EXIT
sed "s/127\.0\.77\.2/$BOX_IP/; s/^hugepages .*/hugepages no/" board/dev/sluice.conf >"$DIR/box.conf"

up() { timeout 300 board/dev/up --config "$DIR/box.conf" "$@"; }
dataplane() { alive "$RUN/state/dataplane.pid" sluice-dataplane; }
control() { alive "$RUN/control.pid" sluice-control; }
cli() { timeout 30 redis-cli -h "$BOX_IP" "$@"; }
status_of() { sed -n "s/^$2:[[:space:]]*//p" "$1" | tr -s '\t' ' '; }
uid_of() { status_of "/proc/$1/status" Uid | cut -d' ' -f1; }

# PID USER: every thread is that user alone, without capabilities, and under the filter.
gave_all_up() {
    local task uid
    uid=$(id -u "$2") || return 1
    for task in "/proc/$1/task"/*/status; do
        [ "$(status_of "$task" Uid)" = "$uid $uid $uid $uid" ] || { echo "$task: Uid $(status_of "$task" Uid)"; return 1; }
        [ -z "$(status_of "$task" Groups | tr -d ' ')" ] || { echo "$task: Groups $(status_of "$task" Groups)"; return 1; }
        for set in CapInh CapPrm CapEff CapBnd CapAmb; do
            [ "$(status_of "$task" $set)" = 0000000000000000 ] || { echo "$task: $set $(status_of "$task" $set)"; return 1; }
        done
        [ "$(status_of "$task" NoNewPrivs) $(status_of "$task" Seccomp)" = "1 2" ] || { echo "$task: no filter"; return 1; }
    done
}
no_core() { grep -q '^Max core file size *0 *0 ' "/proc/$1/limits"; }
not_dumpable() { [ "$(stat -c %u "/proc/$1/environ")" = 0 ]; } # the kernel gives what may not be traced to root
no_root_descriptor() { # a descriptor of a folder, or of a file that can be written, outside memory and the link
    local open
    open=$(for fd in "/proc/$1/fd"/*; do readlink "$fd"; done | grep '^/' | grep -v -e '^/dev/null$' -e '^/dev/net/tun$' -e '/dataplane\.log$' -e '^/memfd:' -e '^/dev/hugepages' -e '^/dev/vfio')
    [ -z "$open" ] || { echo "$open"; return 1; }
}

inject() { timeout 20 "$BUILD/tests/inject" "$@"; }
serves_again() { [ "$(cli ping 2>/dev/null)" = PONG ] && dataplane >/dev/null; }
new_dataplane() { local now; now=$(dataplane) && [ "$now" != "$1" ] && serves_again; }
comes_back() { local old; old=$(dataplane); "$@" >/dev/null && wait_until 60 "another dataplane" new_dataplane "$old"; }
named() { grep -c "^sluice-dataplane: system call $1 ([0-9]*) is not allowed here: ended$" "$RUN/state/dataplane.log"; }
# NAME CALL ARGUMENT...: ends the dataplane with a line that names NAME, and control starts it again.
is_fatal() {
    local name=$1 pid before
    shift
    before=$(named "$name")
    pid=$(dataplane) || { echo "no dataplane"; return 1; }
    [ "$(inject "$pid" "$@")" = ended ] || { echo "it went on after $*"; return 1; }
    [ "$(named "$name")" = $((before + 1)) ] || { tail -n 3 "$RUN/state/dataplane.log"; return 1; }
    wait_until 60 "the dataplane to come back" new_dataplane "$pid" && comes_back sluice restart dataplane # the next is not to wait longer
}
comes_to() { # RESULT CALL ARGUMENT...
    local want=$1 got
    shift
    got=$(inject "$(dataplane)" "$@") && [ "$got" = "= $want" ] || { echo "$*: $got, wanted $want"; return 1; }
}

check "up" up || { plan; exit 1; }
check "the dataplane's threads: another user, no capability, a filter" gave_all_up "$(dataplane)" sluice-dataplane
check "it writes no core file" no_core "$(dataplane)"
check "nobody beside root may trace it" not_dumpable "$(dataplane)"
check "it has no file open beside its memory, its link and its log" no_root_descriptor "$(dataplane)"
check "control writes no core file" no_core "$(control)"
check "control may not be traced either" not_dumpable "$(control)"
check "the log says what was given up" grep -q "The dataplane goes on as user .* without capabilities; system calls beside ours end it" "$RUN/sluice.log"
sluice certificate self-signed server --san "$BOX_IP" >/dev/null
KEY=$RUN/state/certificates/server.pem
PID=$(control)
check "taken over, it opens no key: openat" is_fatal openat openat -100 "$KEY" 0
check "open" is_fatal open open "$KEY" 0
check "runs no program: execve" is_fatal execve execve /bin/sh 0 0
check "makes no socket" is_fatal socket socket 2 1 0
check "traces nobody: ptrace" is_fatal ptrace ptrace 16 "$PID" 0 0
check "reads nobody's memory" is_fatal process_vm_readv process_vm_readv "$PID" 0 0 0 0 0
check "signals nobody else" is_fatal kill kill "$PID" 9
check "takes no memory that is new and executable" is_fatal mmap mmap 0 4096 7 34 -1 0
check "makes none executable" is_fatal mprotect mprotect 0 4096 7
check "becomes nobody else: setuid" is_fatal setuid setuid 0
check "makes no ring around the filter: io_uring_setup" is_fatal io_uring_setup io_uring_setup 8 0
check "removes nothing, which is no reason to end" comes_to -1 unlink "$RUN/sluice.conf"
check "control has seen all of this and lives" control
check "and has said why, at least where ptrace did not take the exit status" grep -q "exited with status 71: sluice-dataplane: system call" "$RUN/sluice.log"

# Without the filter, being nobody is enough against files and processes.
board/dev/down >/dev/null 2>&1
echo 'dataplane-seccomp off' >>"$DIR/box.conf"
check "dataplane-seccomp off: up" up
sluice certificate self-signed server --san "$BOX_IP" >/dev/null
check "the log says that there is no filter" grep -q "without capabilities; no filter of system calls" "$RUN/sluice.log"
check "the user alone: no key" comes_to -13 open "$KEY" 0
check "no configuration" comes_to -13 open "$RUN/state/started.conf" 1
check "no folder of control's" comes_to -13 open "$RUN/state/audit" 65536
check "no signal to control" comes_to -1 kill "$(control)" 9
check "no way back: setuid" comes_to -1 setuid 0
check "nothing of the machine's: /etc/shadow" comes_to -13 open /etc/shadow 0
board/dev/down >/dev/null 2>&1
sed -i '/^dataplane-seccomp/d' "$DIR/box.conf"

# No such user: it goes on, and says so.
echo 'dataplane-user nobody-of-this-name' >>"$DIR/box.conf"
check "no such dataplane-user: up" up
check "the log says that it stays root" grep -q "dataplane-user nobody-of-this-name: there is no such user: the dataplane stays root" "$RUN/sluice.log"
check "its filter holds all the same" is_fatal socket socket 2 1 0
board/dev/down >/dev/null 2>&1
sed -i '/^dataplane-user/d' "$DIR/box.conf"

# -- control without root ---------------------------------------------------------------------------------
starter() { pgrep -x sluice-starter -P "$(control)"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
control_killed() {
    local old helper served
    old=$(control) helper=$(starter) served=$(dataplane)
    kill -9 "$old" && wait_until 30 "the starter to end" gone "$helper" && [ "$(cli ping)" = PONG ] && board/dev/up >/dev/null &&
        [ "$(dataplane)" = "$served" ] && [ "$(control)" != "$old" ]
}
belongs_to_sluice() {
    local other
    other=$(find "$RUN/state" ! -user sluice)
    [ -z "$other" ] || { ls -ld $other; return 1; }
}
captures() { # there are frames until it has two, however late it begins
    timeout 60 "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" capture --count 2 --write "$DIR/x.pcapng" --filter "tcp port 6379" &
    while kill -0 $! 2>/dev/null; do cli ping >/dev/null; done
    wait $! && [ -s "$DIR/x.pcapng" ]
}
saved() { cli set kept 1 && contains OK cli save && [ -s "$RUN/state/dump.rdb" ]; }
rewritten() { [ "$(cli config set slowlog-max-len 77)" = OK ] && [ "$(cli config rewrite)" = OK ] && grep -q '^slowlog-max-len 77' "$RUN/state/sluice.conf"; }
control_is_ended_by() { # NAME CALL ARGUMENT...: only where nothing is started again
    shift
    [ "$(inject "$(control)" "$@")" = ended ]
}

check "control without root: up" up --confined || { plan; exit 1; }
check "control's threads: user sluice, no capability, a filter" gave_all_up "$(control)" sluice
check "the dataplane is another user's" test "$(uid_of "$(dataplane)")" = "$(id -u sluice-dataplane)"
check "what control makes is its own" belongs_to_sluice
check "its key files are nobody else's" sluice certificate self-signed server --san "$BOX_IP"
check "and have mode 600" test "$(stat -c %a "$RUN/state/certificates/server.pem")" = 600
check "CONFIG SET and REWRITE" rewritten
check "SAVE" saved
check "a capture with a filter" captures
check "sluice restart dataplane" comes_back sluice restart dataplane
check "the key is there again" test "$(cli get kept)" = 1
check "it stayed in memory: control could ask the program on disk for its layout" test -z "$(grep "a snapshot first" "$RUN/sluice.log")"
check "a dataplane that is killed is started again" comes_back kill -9 "$(dataplane)"
check "control is killed: its starter goes, the dataplane serves on, another control finds it" control_killed
check "that control restarts a dataplane that it did not start" comes_back sluice restart dataplane
check "sluice verify of the audit log" sluice audit verify
check "control, taken over, runs no program" control_is_ended_by execve execve /bin/sh 0 0
check "the dataplane serves on" test "$(cli ping)" = PONG
check "down" board/dev/down
plan
