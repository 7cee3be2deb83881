#!/bin/bash
# Who may speak with control and with the dataplane beside the data port: modes of sockets and files, strangers on them, and the
# audit log of what was done. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-slumgm} SLUICE_LINK_NAME=${SLUICE_LINK_NAME:-slug0} SLUICE_STATS_PORT=${SLUICE_STATS_PORT:-29160}
export SLUICE_HOST_IP=${SLUICE_HOST_IP:-127.0.160.1} SLUICE_BOX_IP=${SLUICE_BOX_IP:-127.0.160.2} SLUICE_BUILD=${SLUICE_BUILD:-build-asan}
. board/dev/lib.sh
. tests/tap.sh
CONF=$(mktemp)
sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF" "$CONF".*' EXIT

mode_is() { # MODE FILE
    local mode
    mode=$(stat -c %a "$2") && [ "$mode" = "$1" ] || { echo "$2 has mode $mode, wanted $1"; return 1; }
}
closed_to_others() { # FOLDER: nothing below it that others may read and that holds secrets or history
    local open
    open=$(find "$1" \( -name '*.conf' -o -name '*.jsonl' -o -name '*.log' -o -name '*.pem' -o -name '*.request' \) -perm /o+rwx)
    [ -z "$open" ] || { echo "others may read $open"; return 1; }
}
stranger() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
stranger_is_refused() { # SOCKET
    stranger /usr/bin/python3 -c 'import socket, sys
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    s = socket.socket(socket.AF_UNIX, kind)
    try:
        s.connect(sys.argv[1])
    except PermissionError:
        continue
    except OSError:
        continue
    sys.exit("connected")' "$1"
}
# Forged and truncated messages on the dataplane's channel, from somebody who may open it: the box serves on, and control keeps its link.
forged() {
    /usr/bin/python3 - "$RUN/dataplane.sock" <<'P'
import random, socket, struct, sys
dice = random.Random(1)
for i in range(200):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        s.connect(sys.argv[1])
        s.settimeout(1)
        for _ in range(dice.randrange(4)):
            body = bytes(dice.randrange(256) for _ in range(dice.randrange(200)))
            s.send(struct.pack("<IIQ", dice.randrange(30), len(body) + dice.randrange(-2, 3) & 0xffffffff, i) + body)
    except OSError:
        pass
    s.close()
P
    serving && [ "$(redis-cli -h "$BOX_IP" ping)" = PONG ] && sluice config set timeout 0 | grep -q running
}
garbage() { # on the management socket: lengths that lie, no JSON, half a request
    /usr/bin/python3 - "$RUN/management.sock" <<'P'
import random, socket, struct, sys
dice = random.Random(2)
for i in range(300):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(1)
    s.connect(sys.argv[1])
    body = dice.choice([b'{"op":"show","what":"status"}', b'{"op":"' + b'a' * 5000, bytes(dice.randrange(256) for _ in range(99)), b'[' * 3000, b'{"op":1,"what":[]}', b'""'])
    try:
        s.sendall(struct.pack(">I", dice.choice([len(body), len(body), 0, 0xffffffff, len(body) + 9, 1])) + body)
        s.shutdown(socket.SHUT_WR)
        s.recv(4096)
    except OSError:
        pass
    s.close()
P
    serving
}
audited() { # TEXT...: the last lines of the audit log hold them all
    local log want
    log=$(sluice audit show --lines 20) || return 1
    for want; do case $log in *"$want"*) ;; *) echo "no '$want' in"; echo "$log"; return 1 ;; esac; done
}
# What a client writes is text wherever an operator meets it: no line of its own, no field, no command to the terminal, no directive.
all_that_is_shown() { # of what the box, its files and the CLI say
    local what
    cat "$RUN/sluice.log" "$RUN"/state/dataplane.log "$RUN"/state/audit/*.jsonl "$CONF" # the file is rewritten where it lies
    curl -s "http://127.0.0.1:$STATS_PORT/metrics"
    for what in clients status history hotkeys log; do sluice show $what; sluice show $what --json; done
    sluice audit show --lines 40
    sluice show configuration
}
odd_words_are_text() {
    /usr/bin/python3 tests/security/odd_words.py "$BOX_IP" || return 1
    all_that_is_shown >"$CONF.shown" 2>&1
    [ "$(LC_ALL=C grep -ac FORGED "$CONF.shown")" -gt 5 ] || { echo "hardly anything of it is shown"; return 1; }
    ! LC_ALL=C grep -anE $'\033|\a|^ *(FORGED|sluice_forged)' "$CONF.shown" || return 1
    "$BUILD/control/sluice-control" --check "$CONF" && contains whole: sluice audit verify || return 1
    redis-cli -h "$BOX_IP" acl deluser "$(printf 'o"}\033]0;FORGED\a\\{,')" | grep -q 1
}
changed_line() {
    local file=$RUN/state/audit/000001.jsonl
    cp "$file" "$CONF.audit"
    sed -i '2s/management socket/management sockeT/' "$file"
    fails_with 1 "its own hash does not fit" sluice audit verify && cat "$CONF.audit" >"$file" && contains whole: sluice audit verify
}
killed() { # control ends at any moment, and the chain holds
    local i pid
    for i in 1 2 3 4 5 6; do
        pid=$(cat "$RUN/control.pid")
        for _ in 1 2 3 4 5 6 7 8; do sluice config set timeout $i >/dev/null 2>&1 & done
        kill -9 "$pid"
        wait
        wait_until 30 "control's end" eval "! kill -0 $pid 2>/dev/null"
        board/dev/up --config "$CONF" >/dev/null || return 1
        contains whole: sluice audit verify || return 1
    done
}

board/dev/up --config "$CONF" >/dev/null || { echo "1..0 # the box does not start"; exit 1; }
check "the management socket is its group's, the channel its owner's" eval 'mode_is 660 "$RUN/management.sock" && mode_is 600 "$RUN/dataplane.sock"'
check "a stranger on this machine can open neither" eval 'stranger_is_refused "$RUN/management.sock" && stranger_is_refused "$RUN/dataplane.sock"'
check "a stranger's sluice says so" fails_with 3 "" stranger "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" show status
check "nobody else reads configurations, logs or the audit log" closed_to_others "$RUN/state"
check "garbage on the management socket" garbage
check "forged messages on the channel" forged
sluice config set maxmemory 100mb >/dev/null
redis-cli -h "$BOX_IP" config set maxmemory 0 >/dev/null
redis-cli -h "$BOX_IP" auth nobody x >/dev/null
sluice config set requirepass sesame >/dev/null
sluice config set requirepass "" >/dev/null
sluice config set nosuch 1 >/dev/null 2>&1
check "the audit log has changes with who, from where, before and after" audited '(root), pid' 'management socket {"maxmemory":{"before":"0","after":"104857600"}}' \
    "user default at $HOST_IP:" 'data port {"maxmemory":{"before":"104857600","after":"0"}}' '{"requirepass":{"before":"","after":"(secret)"}}' 'Unknown option'
check "and logins that were refused" wait_until 30 "the line" audited 'logins: refused'
commands() { # what a client did that changes the box, without its words: each is told of with who and from where
    redis-cli -h "$BOX_IP" >/dev/null <<'C'
ACL SETUSER anna on >hunter2 ~app:* +get
ACL SETUSER anna +set resetpass
ACL SETUSER anna +nosuchcommand
FLUSHALL
CONFIG RESETSTAT
SCRIPT FLUSH
FUNCTION FLUSH
DEBUG SLEEP 0
CLIENT KILL ID 999999999
SLOWLOG RESET
EVAL "redis.call('flushdb')" 0
ACL DELUSER anna
C
    redis-cli -h "$BOX_IP" monitor >/dev/null &
    local monitor=$! status
    wait_until 30 "the last line" audited 'monitor: ok; user default at'
    status=$?
    kill $monitor
    return $status
}
check "administrative commands of clients are told of" eval 'commands && audited "acl|setuser: ok; user default at $HOST_IP:" "\"anna: (none) -> on sanitize-payload #f52fbd32..." "-> on sanitize-payload ~app:* resetchannels -@all +get +set" "acl|setuser: refused" "flushall: ok" "config|resetstat: ok" "script|flush: ok" "function|flush: ok" "client|kill: " "slowlog|reset: ok" "(script)" "DELUSER anna"'
check "and their passwords are not" eval '! grep -q hunter2 "$RUN"/state/audit/*'
check "what clients write stays text: log, audit log, metrics, tables, the rewritten file" odd_words_are_text
check "a line that somebody changed is found" changed_line
check "kill -9 of control in the middle of changes leaves a whole log" killed
plan
