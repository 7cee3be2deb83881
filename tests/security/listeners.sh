#!/bin/bash
# Several listeners with their own settings on one box, which come and go while it serves. Prints TAP.
# Runs a box of its own beside any other, with two workers.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slulist SLUICE_LINK_NAME=slli0 SLUICE_HOST_IP=127.0.88.1 SLUICE_BOX_IP=127.0.88.2 SLUICE_STATS_PORT=29188
. board/dev/lib.sh
. tests/tap.sh
OTHER_IP=127.0.88.3
DIR=$(mktemp -d)
trap 'board/dev/down >/dev/null 2>&1; rm -rf "$DIR"' EXIT
tests/security/make_certificates.sh "$DIR" "$BOX_IP" || exit 1
CONF=$DIR/box.conf
cat >"$CONF" <<END
port 6379
tls-cert-file $DIR/box.pem
tls-key-file $DIR/box.key
tls-ca-cert-file $DIR/ca.pem
protected-mode yes
requirepass geheim
user app on nopass ~app:* +@read +ping +acl|whoami +reset
listener start port 7000 user app
save ""
hugepages no
idle-policy adaptive
link-address $BOX_IP/8
link-address $OTHER_IP/8
END

at() { timeout 20 redis-cli -h "$1" -p "$2" "${@:3}" 2>&1; }
secure() { at "$BOX_IP" "$1" --tls --cacert "$DIR/ca.pem" "${@:2}"; }
edit() { { echo configure; cat; echo commit; } | sluice 2>&1; }
refused() { case $(at "$@" PING) in *"Connection refused"*) ;; *) at "$@" PING; return 1 ;; esac; }
shown() { sluice show listeners --json | jq -e --arg n "$1" --argjson p "$2" 'map(select(.name == $n and .port == $p and .state == "listening")) | length == '"$3" >/dev/null; }
serves() { # not the one that is about to end
    [ "$(at "$BOX_IP" 6379 -a geheim --no-auth-warning PING)" = PONG ] && sluice show status --json | jq -e '.dataplane.state == "serving" and .dataplane.phase == "attached"' >/dev/null
}

with_its_user() { # nobody has shown a password, and that after RESET, too; elsewhere it is asked for
    says app at "$BOX_IP" 7000 ACL WHOAMI && says app at "$OTHER_IP" 7000 ACL WHOAMI || return 1
    local line said=
    exec 9<>"/dev/tcp/$BOX_IP/7000"
    printf 'RESET\r\nACL WHOAMI\r\nGET other\r\n' >&9
    for _ in 1 2 3 4; do IFS= read -r -u 9 -t 20 line && said+="${line%$'\r'} "; done
    exec 9>&-
    case $said in '+RESET $3 app -NOPERM'*) ;; *) echo "$said"; return 1 ;; esac
    case $(at "$BOX_IP" 6379 PING) in NOAUTH*) ;; *) return 1 ;; esac
}
comes_live() {
    refused "$BOX_IP" 7001 || return 1
    printf 'set listener one port 7001\nset listener two port 7002 bind %s\n' "$OTHER_IP" | edit || return 1
    case $(at "$BOX_IP" 7001 PING) in NOAUTH*) ;; *) return 1 ;; esac
    shown one 7001 2 && shown two 7002 1
}
at_its_address() { case $(at "$OTHER_IP" 7002 PING) in NOAUTH*) ;; *) return 1 ;; esac && refused "$BOX_IP" 7002; }
goes_live() { # who is connected stays, to it and to others
    local line
    exec 8<>"/dev/tcp/$BOX_IP/7001"
    printf 'AUTH geheim\r\n' >&8 && IFS= read -r -u 8 -t 20 line && [ "${line%$'\r'}" = +OK ] || return 1
    printf 'delete listener one port 7001\n' | edit || return 1
    refused "$BOX_IP" 7001 || return 1
    printf 'PING\r\n' >&8 && IFS= read -r -u 8 -t 20 line && [ "${line%$'\r'}" = +PONG ] || return 1
    exec 8>&-
    case $(at "$OTHER_IP" 7002 PING) in NOAUTH*) ;; *) return 1 ;; esac
    ! shown one 7001 2
}
by_tls() { # the first port that speaks TLS; certificates of clients as each listener says
    printf 'set listener open port 7003 tls yes auth-clients no\nset listener strict port 7004 tls yes user app\n' | edit || return 1
    case $(secure 7003 PING) in NOAUTH*) ;; *) secure 7003 PING; return 1 ;; esac
    says app secure 7004 --cert "$DIR/app.pem" --key "$DIR/app.key" ACL WHOAMI || return 1
    ! secure 7004 PING | grep -q PONG && ! secure 7004 --cert "$DIR/stranger.pem" --key "$DIR/stranger.key" PING | grep -q PONG
}
no_way_around() { # a session of the port that asks for no certificate is not resumed where one is asked for
    local v
    for v in tls1_2 tls1_3; do
        rm -f "$DIR/session"
        { printf 'AUTH geheim\r\n'; sleep 1; printf 'QUIT\r\n'; } | timeout 20 openssl s_client -connect "$BOX_IP:7003" -$v -sess_out "$DIR/session" -ign_eof >/dev/null 2>&1
        [ -s "$DIR/session" ] || { echo "$v: no session"; return 1; }
        printf 'AUTH geheim\r\nQUIT\r\n' | timeout 20 openssl s_client -connect "$BOX_IP:7003" -$v -sess_in "$DIR/session" -ign_eof 2>&1 | grep -q '^Reused' || { echo "$v: not resumed at its own"; return 1; }
        printf 'PING\r\nQUIT\r\n' | timeout 20 openssl s_client -connect "$BOX_IP:7004" -$v -sess_in "$DIR/session" -ign_eof >"$DIR/said" 2>&1
        ! grep -q PONG "$DIR/said" || { echo "$v: let in"; return 1; }
    done
}
refusals() {
    local before
    before=$(sluice show configuration listener)
    printf 'set listener bad port 6379\n' | edit | grep -q 'port 6379 is taken' || return 1
    printf 'set listener bad port 7005 bind 127.0.88.9\n' | edit | grep -q 'none of link-address' || return 1
    printf 'set listener bad port 70000\n' | edit | grep -q 'is no port' || return 1
    says "$before" sluice show configuration listener && at "$BOX_IP" 6379 -a geheim --no-auth-warning CONFIG SET listener "x port 7005" | grep -q "immutable\|Unknown"
}
without_its_user() { # nobody gets the default user's rights by it
    printf 'delete user app\n' | edit >/dev/null
    at "$BOX_IP" 6379 -a geheim --no-auth-warning ACL DELUSER app >/dev/null
    case $(at "$BOX_IP" 7000 PING) in NOAUTH*) ;; *) at "$BOX_IP" 7000 PING; return 1 ;; esac
}
after_a_restart() { sluice restart dataplane >/dev/null && wait_until 60 "the box serves" serves && shown two 7002 1 && at_its_address && refused "$BOX_IP" 7001; }
undisturbed() { # the connection that was there from the beginning
    local line
    printf 'AUTH geheim\r\n' >&7 && IFS= read -r -u 7 -t 20 line && [ "${line%$'\r'}" = +OK ]
}

check "a box with two workers" timeout 400 board/dev/up --workers 2 --config "$CONF"
ip route add "$OTHER_IP/32" dev "$LINK_NAME" src "$HOST_IP" table local # it goes with the link
wait_until 60 "the box serves" serves
exec 7<>"/dev/tcp/$BOX_IP/6379"
check "a listener of the file, with a user of its own" with_its_user
check "listeners come with a commit" comes_live
check "one has an address of its own" at_its_address
check "one goes with a commit; who is connected stays" goes_live
check "TLS, and certificates of clients, listener by listener" by_tls
check "a session without certificate does not open the port that wants one" no_way_around
check "what does not fit is refused, and all stays" refusals
check "who was connected before all this still is" undisturbed
check "without its user a listener's clients are nobody" without_its_user
check "they are there again after a restart of the dataplane" after_a_restart
plan
