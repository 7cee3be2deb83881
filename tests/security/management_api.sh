#!/bin/bash
# The management API over HTTPS and its roles: curl, openssl and our own CLI as clients; each role and each operation; who is refused and
# what the audit log says of it; limits. Prints TAP. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=${SLUICE_INSTANCE:-slumga} SLUICE_LINK_NAME=${SLUICE_LINK_NAME:-slga0} SLUICE_STATS_PORT=${SLUICE_STATS_PORT:-29161}
export SLUICE_HOST_IP=${SLUICE_HOST_IP:-127.0.161.1} SLUICE_BOX_IP=${SLUICE_BOX_IP:-127.0.161.2} SLUICE_BUILD=${SLUICE_BUILD:-build-asan}
. board/dev/lib.sh
. tests/tap.sh
WORK=$(mktemp -d)
CONF=$WORK/box.conf
PORT=9443
trap 'board/dev/down >/dev/null 2>&1; rm -rf "$WORK"' EXIT

# Authorities and certificates of clients: a good one, one of another authority, one that is over.
authority() { openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$WORK/$1.key" -out "$WORK/$1.crt" -days 30 -subj "/CN=$1"; }
client_of() { # AUTHORITY NAME SAN DAYS
    openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$WORK/$2.key" -subj "/CN=$2" -addext "subjectAltName=$3" -out "$WORK/$2.csr" &&
        openssl x509 -req -in "$WORK/$2.csr" -CA "$WORK/$1.crt" -CAkey "$WORK/$1.key" -CAcreateserial -days "$4" -copy_extensions copy -out "$WORK/$2.crt" &&
        cat "$WORK/$2.crt" "$WORK/$2.key" >"$WORK/$2.pem"
}
{ authority clients && authority strangers && client_of clients ops DNS:ops.example.net 30 && client_of clients nobody DNS:nobody.example.net 30 &&
    client_of clients late DNS:ops.example.net -1 && client_of strangers ops2 DNS:ops.example.net 30; } >"$WORK/openssl.log" 2>&1

{
    sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf
    printf '%s\n' "management-bind $HOST_IP" "management-port $PORT" "management-ca-cert-file $WORK/clients.crt" "management-socket-group nogroup" "requirepass sesame" \
        "management-role operator user 47001" "management-role security user 47002" "management-role read-only user 47003" \
        "management-role support user 47004" "management-role operator certificate ops.example.net"
} >"$CONF"

ROLES='admin operator security read-only support'
box() { sluice --host "$HOST_IP:$PORT" --host-ca "$WORK/ca.pem" "$@"; }
as() { local role=$1; shift; box --token-file "$WORK/$role.token" "$@"; }
web() { curl -sS -m 30 --cacert "$WORK/ca.pem" "$@"; }
bearer() { printf 'Authorization: Bearer %s' "$(cat "$WORK/$1.token")"; }
url() { printf 'https://%s:%s/v1/%s' "$HOST_IP" "$PORT" "$1"; }
client() { /usr/bin/python3 tests/security/management_api.py "$1" "$HOST_IP" "$PORT" "$WORK/ca.pem" "$WORK"; }
stranger() { local uid=$1; shift; setpriv --reuid "$uid" --regid 65534 --clear-groups "$BUILD/mgmt/sluice" --socket "$RUN/management.sock" "$@"; }
tokens() {
    local role
    for role in $ROLES; do sluice token create "t-$role" --role "$role" --expires 1d >"$WORK/$role.token" 2>/dev/null || return 1; done
    sluice certificate export management --authority >"$WORK/ca.pem"
}
audited() { # TEXT...
    local log want
    log=$(sluice audit show --lines 400) || return 1
    for want; do case $log in *"$want"*) ;; *) echo "no '$want' in"; tail -n 5 <<<"$log"; return 1 ;; esac; done
}
no_secret_on_disk() { # neither tokens nor what is in them
    local role
    for role in $ROLES; do ! grep -rqF "$(cut -c14- "$WORK/$role.token")" "$RUN/state" "$RUN"/*.log || { echo "$role's token lies there"; return 1; }; done
}
round_trip() { # out through curl, in through curl and the CLI: the same keys
    redis-cli -h "$BOX_IP" -a sesame --no-auth-warning --raw eval 'for i=1,20000 do redis.call("set","key:"..i,string.rep(i,20)) end' 0 &&
        redis-cli -h "$BOX_IP" -a sesame --no-auth-warning save && web -H "$(bearer operator)" -o "$WORK/a.rdb" "$(url snapshot/export)" || return 1
    local before
    before=$(redis-cli -h "$BOX_IP" -a sesame --no-auth-warning debug digest)
    redis-cli -h "$BOX_IP" -a sesame --no-auth-warning flushall >/dev/null
    contains '"loaded":20000' web -H "$(bearer operator)" -T "$WORK/a.rdb" "$(url 'snapshot/upload?mode=replace')" || return 1
    redis-cli -h "$BOX_IP" -a sesame --no-auth-warning flushall >/dev/null
    contains 'loaded 20000' as operator snapshot import "$WORK/a.rdb" && [ "$before" = "$(redis-cli -h "$BOX_IP" -a sesame --no-auth-warning debug digest)" ] || return 1
    as operator snapshot export "$WORK/b.rdb" && cmp "$WORK/a.rdb" "$WORK/b.rdb" && ! ls "$RUN"/state/temp-upload-* 2>/dev/null
}
captured() { # a stream through the CLI and through curl, which tcpdump reads
    timeout 60 "$BUILD/mgmt/sluice" --host "$HOST_IP:$PORT" --host-ca "$WORK/ca.pem" --token-file "$WORK/operator.token" capture --count 20 --write - >"$WORK/c.pcap" 2>"$WORK/c.log" &
    local one=$!
    while kill -0 $one 2>/dev/null; do redis-cli -h "$BOX_IP" ping >/dev/null; done
    wait $one && [ "$(tcpdump -nr "$WORK/c.pcap" 2>/dev/null | wc -l)" = 20 ] || { cat "$WORK/c.log"; return 1; }
    web -H "$(bearer operator)" -H 'Content-Type: application/json' -d '{"count":20}' -o "$WORK/d.pcap" "$(url capture)" &
    one=$!
    while kill -0 $one 2>/dev/null; do redis-cli -h "$BOX_IP" ping >/dev/null; done
    wait $one && [ "$(tcpdump -nr "$WORK/d.pcap" 2>/dev/null | wc -l)" = 20 ]
}
versions() { # only TLS 1.2 and 1.3
    local v
    for v in tls1_2 tls1_3; do openssl s_client -connect "$HOST_IP:$PORT" -$v -CAfile "$WORK/ca.pem" -verify_return_error </dev/null >/dev/null 2>&1 || { echo "$v is refused"; return 1; }; done
    for v in tls1 tls1_1; do ! openssl s_client -connect "$HOST_IP:$PORT" -$v -cipher ALL:@SECLEVEL=0 </dev/null >/dev/null 2>&1 || { echo "$v is taken"; return 1; }; done
    ! openssl s_client -connect "$HOST_IP:$PORT" -tls1_2 -cipher AES128-GCM-SHA256 </dev/null >/dev/null 2>&1
}
new_certificate() { # installed in the store: served from then on
    openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$WORK/new.key" -out "$WORK/new.crt" -days 90 -subj "/CN=box" -addext "subjectAltName=IP:$HOST_IP" 2>/dev/null
    as security certificate install management "$WORK/new.crt" "$WORK/new.key" >/dev/null || return 1
    ! web -H "$(bearer admin)" "$(url show/version)" >/dev/null 2>&1 || { echo "the old one is served"; return 1; }
    cp "$WORK/new.crt" "$WORK/ca.pem"
    contains '"ok":true' web -H "$(bearer admin)" "$(url show/version)"
}
control_again() { # kill -9 of control: tokens are there still
    local pid
    pid=$(cat "$RUN/control.pid")
    kill -9 "$pid"
    wait_until 10 "control's end" eval "! kill -0 $pid 2>/dev/null"
    board/dev/up --config "$CONF" >/dev/null && as read-only show version >/dev/null
}

board/dev/up --config "$CONF" >/dev/null || { echo "1..0 # the box does not start"; exit 1; }
check "tokens are made, and shown once" tokens
check "one that is over, and one of another authority, end the handshake" eval '! web --cert "$WORK/late.pem" "$(url show/status)" && ! web --cert "$WORK/ops2.pem" "$(url show/status)"'
check "and the audit log says so" audited "refused: client certificate: certificate has expired"
check "the table of roles is the one that is written down" client known
check "each role, each operation over HTTPS: allowed exactly as the table says" client matrix
for pair in operator:47001 security:47002 read-only:47003 support:47004; do echo "${pair/:/ }"; done >"$WORK/uids"
echo "$RUN/management.sock" >"$WORK/socket"
check "and on the socket, by user" client socket_matrix
check "a user without a role is told so" fails_with 1 "you have no role on this box" stranger 47005 show status
check "a group's role" eval 'sluice config set management-role "support group nogroup" >/dev/null && contains health stranger 47005 show status && fails_with 1 "role support may not" stranger 47005 token list'
sluice config set management-role "operator certificate ops.example.net" >/dev/null
check "what decides about access is not the operator's to set" fails_with 1 "requirepass: role operator may not" as operator config set requirepass x
check "and the rest not security's" fails_with 1 "maxmemory: role security may not" as security config set maxmemory 100mb
check "each may set its own" eval 'as operator config set maxmemory 100mb >/dev/null && as security config set protected-mode no >/dev/null'
check "security does not make itself admin" fails_with 1 "management-role: role security may not" as security config set management-role "admin certificate x"
check "passwords in the configuration are hidden from the others" client secrets
check "curl: JSON in and out" contains '"generation"' web -H "$(bearer operator)" -H 'Content-Type: application/json' -d '{"set":{"maxmemory":"0"}}' "$(url config/set)"
check "curl: parameters in the query" contains '"ok":true' web -H "$(bearer support)" "$(url 'show/log?lines=3&level=warning')"
check "an operator's mistake has a status and a line" contains 'Unknown option' web -H "$(bearer operator)" -H 'Content-Type: application/json' -d '{"set":{"nosuch":"0"}}' "$(url config/set)"
check "a client certificate is a role, by curl" contains '"role":"operator"' web --cert "$WORK/ops.pem" "$(url show/roles)"
check "and by the CLI" contains 'certificate ops at' box --certificate "$WORK/ops.pem" show roles
check "a certificate without a role may nothing" contains 'you have no role' web --cert "$WORK/nobody.pem" "$(url show/status)"
check "TLS 1.2 and 1.3 with forward secrecy alone" versions
check "a server that the CLI does not know" fails_with 3 "give the box's certificate with --host-ca" sluice --host "$HOST_IP:$PORT" --token-file "$WORK/admin.token" show status
check "the prompt over HTTPS" contains "health" env SLUICE_HOST="$HOST_IP:$PORT" SLUICE_HOST_CA="$WORK/ca.pem" SLUICE_TOKEN_FILE="$WORK/support.token" "$BUILD/mgmt/sluice" show status
check "snapshots out and in" round_trip
check "uploads that are none" client upload
check "captures as streams" captured
check "what is no request" client hostile
check "no TLS, no answer" client plain
sluice token create gone --role operator >"$WORK/gone.token" 2>/dev/null
echo "$BUILD/mgmt/sluice --socket $RUN/management.sock token revoke $(cut -c5-12 "$WORK/gone.token")" >"$WORK/revoke"
check "a token that is revoked ends its sessions and streams" client revoked
echo "$BUILD/mgmt/sluice --socket $RUN/management.sock show version" >"$WORK/local"
check "many sessions leave room for the local CLI" client sessions
check "slow heads and silent connections are closed" client slow
check "connections of one address are few" client crowd
check "and its requests a second" client rate
check "the OpenAPI document is the table" client openapi
check "figures" contains 'sluice_management_refused_logins_total' curl -sS -m 10 "http://127.0.0.1:$STATS_PORT/metrics"
check "no token lies on disk" no_secret_on_disk
check "the audit log has logins and refusals, with who and from where" audited "login: ok; token $(cut -c5-12 "$WORK/operator.token") (t-operator) at $HOST_IP" \
    "refused: role " "token create: ok" '"name":"t-support","role":"support"' "login: ok; certificate ops"
check "a certificate that is installed for it is served" new_certificate
check "kill -9 of control: tokens are there still" control_again
check "refused logins wait longer and longer" client logins
check "and are told" audited "login: refused: no such token" "login: refused: neither a token nor a certificate"
check "the audit log is whole" contains whole: sluice audit verify
plan
