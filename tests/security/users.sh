#!/bin/bash
# ACL SETUSER of clients as revisions of the configuration, and users of a commit in a box that serves. Prints TAP.
# Runs a box of its own beside any other, with two workers.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=sluusers SLUICE_LINK_NAME=sluu0 SLUICE_HOST_IP=127.0.87.1 SLUICE_BOX_IP=127.0.87.2 SLUICE_STATS_PORT=29187
. board/dev/lib.sh
. tests/tap.sh
CONF=$(mktemp)
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; echo "hugepages no"; echo 'user carol on >carols ~c* +@read +ping'; } >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -f "$CONF"' EXIT

r() { timeout 20 redis-cli -h "$BOX_IP" "$@" 2>&1; }
as() { r --no-auth-warning --user "$1" --pass "$2" "${@:3}"; }
# The newest revision, and what differs in it from the one before.
newest() { sluice show history --json | jq -er '.[0] | "\(.way), \(.who)"'; }
number() { sluice show history --json | jq -er '.[0].revision'; }
another_than() { [ "$(number)" -gt "$1" ] && newest_is "$2"; } # NUMBER WHAT: a revision behind that one
newest_is() { case $(newest) in "$1"*) ;; *) newest; return 1 ;; esac; }
differs() { sluice show configuration '|' compare 1 '|' json | jq -c '[.changes[] | select(.directive == "user") | {before, after}]'; }
listed() { r ACL LIST | grep -q "^user $1 "; }
running() { sluice show configuration user | grep -q "^# user $1 "; }
edit() { { echo configure; cat; echo "commit comment users"; } | sluice; }

becomes_a_revision() {
    r ACL SETUSER alice on '>alices' '~a*' +get +ping || return 1
    wait_until 30 "a revision" newest_is "ACL SETUSER, user default at $HOST_IP:" || return 1
    differs | jq -e '.[0].before == [.[0].after[0]] and (.[0].after | length == 2) and
        (.[0].after[1] | startswith("alice on sanitize-payload #"))' >/dev/null || { differs; return 1; }
}
no_password_shows() {
    local hash
    hash=$(printf alices | sha256sum | cut -d ' ' -f 1)
    ! { sluice show configuration; sluice show configuration '|' compare 1; sluice show configuration --json; } | grep -e "$hash" -e alices -e carols
}
password_alone_shows() { # another password is another text
    local before
    before=$(number)
    r ACL SETUSER alice '>second' >/dev/null
    wait_until 30 "another revision" another_than "$before" "ACL SETUSER" || return 1
    differs | jq -e '.[0].before[1] != .[0].after[1]' >/dev/null
}
rolls_back() { # to before alice; whoever is carol stays connected
    exec 7<>"/dev/tcp/$BOX_IP/6379" 8<>"/dev/tcp/$BOX_IP/6379"
    local line
    printf 'AUTH alice alices\r\n' >&7 && IFS= read -r -u 7 -t 20 line && [ "${line%$'\r'}" = +OK ] || return 1
    printf 'AUTH carol carols\r\n' >&8 && IFS= read -r -u 8 -t 20 line && [ "${line%$'\r'}" = +OK ] || return 1
    [ "$(as alice alices PING)" = PONG ] || return 1
    printf 'configure\nrollback 2\ncommit comment "without alice"\n' | sluice || return 1
    ! listed alice && listed carol || { r ACL LIST; return 1; }
    IFS= read -r -u 7 -t 20 line
    [ $? = 1 ] || { echo "alice stays, or is told $line"; return 1; } # 1: the end; more: nothing within 20 s
    printf 'PING\r\n' >&8 && IFS= read -r -u 8 -t 20 line && [ "${line%$'\r'}" = +PONG ] || return 1
    exec 7>&- 8>&-
    case $(as alice alices PING) in *WRONGPASS*) ;; *) return 1 ;; esac
}
comes_back() {
    printf 'configure\nrollback 1\ncommit comment "with alice"\n' | sluice && [ "$(as alice second PING)" = PONG ]
}
at_once_on_all_workers() { # sixteen clients of both workers: what they may is another thing with one commit
    local fd line fds=()
    for _ in $(seq 16); do
        exec {fd}<>"/dev/tcp/$BOX_IP/6379" || return 1
        printf 'AUTH alice second\r\n' >&"$fd" && IFS= read -r -u "$fd" -t 20 line && [ "${line%$'\r'}" = +OK ] || return 1
        fds+=("$fd")
    done
    printf 'delete user\nset user alice on >second ~b* +get +set\nset user carol on >carols ~c* +@read +ping\n' | edit || return 1
    for fd in "${fds[@]}"; do
        printf 'GET a\r\nGET b\r\n' >&"$fd"
        IFS= read -r -u "$fd" -t 20 line && case $line in -NOPERM*) ;; *) echo "GET a: $line"; return 1 ;; esac
        IFS= read -r -u "$fd" -t 20 line && [ "${line%$'\r'}" = '$-1' ] || { echo "GET b: $line"; return 1; }
        exec {fd}>&-
    done
    [ "$(as alice second SET b 1)" = OK ]
}
bad_users_change_nothing() {
    local before after
    before=$(r ACL LIST)
    printf 'set user dave on >x +nosuch\nset maxclients 77\n' | edit 2>&1 | grep -q nosuch || return 1
    after=$(r ACL LIST)
    [ "$before" = "$after" ] && ! running dave && [ "$(r CONFIG GET maxclients | tail -n 1)" != 77 ]
}
deluser() {
    r ACL DELUSER alice >/dev/null
    wait_until 30 "a revision" newest_is "ACL DELUSER, user default at $HOST_IP:" && ! running alice && running carol
}
outlives_the_dataplane() { # it begins with the users that were
    r ACL SETUSER erin on '>erins' +ping >/dev/null
    wait_until 30 "a revision" running erin || return 1
    sluice restart dataplane && wait_until 60 "the box serves" serves && [ "$(as erin erins PING)" = PONG ]
}
gone() { ! kill -0 "$1" 2>/dev/null; }
serves() { [ "$(r PING)" = PONG ] && sluice show status --json | jq -e '.dataplane.state == "serving" and .dataplane.phase == "attached"' >/dev/null; }
outlives_control() { # the dataplane serves on with its users, and the next control finds them
    local pid
    pid=$(sluice show status --json | jq -r .control.pid)
    r ACL SETUSER frank on '>franks' +ping >/dev/null
    wait_until 30 "a revision" running frank || return 1
    kill -9 "$pid"
    wait_until 20 "the end of control" gone "$pid" || return 1
    timeout 120 board/dev/up --workers 2 --config "$CONF" >/dev/null || return 1
    wait_until 60 "the box serves" serves && [ "$(as frank franks PING)" = PONG ] && wait_until 20 "control finds frank" running frank && running erin
}
is_written() { sluice config rewrite && grep -q '^user frank on ' "$CONF" && grep -qx 'user carol on >carols ~c\* +@read +ping' "$CONF"; }

check "a box with two workers" timeout 300 board/dev/up --workers 2 --config "$CONF"
wait_until 60 "the box serves" serves
check "ACL SETUSER is a revision with its author; another user keeps their words" becomes_a_revision
check "no password and no whole hash shows" no_password_shows
check "another password shows" password_alone_shows
check "rollback takes a user away, whose clients end; another's stay" rolls_back
check "rollback brings the user back with the password" comes_back
check "a user of a commit is another one for all clients of all workers" at_once_on_all_workers
check "a commit with bad rules changes nothing, be it of users or others" bad_users_change_nothing
check "ACL DELUSER is a revision" deluser
check "a dataplane that starts anew has the users that were" outlives_the_dataplane
check "control that starts anew finds the users that are" outlives_control
check "config rewrite writes them" is_written
plan
