#!/bin/bash
# Certificates as an operator handles them, and as openssl, redis-cli and redis-py meet them: board/dev/up --tls, rotation under
# load without a dropped connection, control killed while it rotates, client certificates as users. Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slucert SLUICE_LINK_NAME=slce0 SLUICE_HOST_IP=127.0.142.1 SLUICE_BOX_IP=127.0.142.2 SLUICE_STATS_PORT=29142
. board/dev/lib.sh
. tests/tap.sh
CONF=$(mktemp)
WORK=$(mktemp -d)
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; echo "hugepages no"; } >"$CONF"
load=''
trap '[ -n "$load" ] && kill "$load" 2>/dev/null; board/dev/down >/dev/null 2>&1; rm -rf "$CONF" "$WORK"' EXIT
PORT=$TLS_PORT

cli() { redis-cli -h "$BOX_IP" -p "$PORT" --tls "$@"; }
served() { # the fingerprint that a new client sees
    openssl s_client -connect "$BOX_IP:$PORT" -CAfile "$WORK/all.pem" -verify_return_error -verify_ip "$BOX_IP" </dev/null 2>/dev/null |
        openssl x509 -noout -fingerprint -sha256
}
print_of() { openssl x509 -in "$1" -noout -fingerprint -sha256; }
serves() { [ "$(served)" = "$(print_of "$1")" ]; }
serves_one_of() { local now; now=$(served); [ "$now" = "$(print_of "$1")" ] || [ "$now" = "$(print_of "$2")" ]; }

# A pair for the box, and an authority with certificates for clients: NAME EXTENSION
pair() { openssl req -x509 -nodes -newkey "$2" ${3:+-pkeyopt $3} -keyout "$WORK/$1.key" -out "$WORK/$1.crt" -days 90 -subj "/CN=$1" -addext "subjectAltName=IP:$BOX_IP"; }
client_of() { # AUTHORITY NAME SUBJECT-ALTERNATIVE-NAME
    openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$WORK/$2.key" -subj "/CN=$2" -addext "subjectAltName=$3" -out "$WORK/$2.csr" &&
        openssl x509 -req -in "$WORK/$2.csr" -CA "$WORK/$1.crt" -CAkey "$WORK/$1.key" -CAcreateserial -days 30 -copy_extensions copy -out "$WORK/$2.crt"
}
make_all() {
    pair first ec ec_paramgen_curve:P-256 && pair second rsa:2048 && pair clients ec ec_paramgen_curve:P-256 && pair strangers ec ec_paramgen_curve:P-256 &&
        client_of clients alice DNS:alice.example.net && client_of clients app URI:urn:app:one && client_of clients nobody DNS:nobody.example.net &&
        client_of strangers mallory DNS:mallory.example.net && cat "$WORK/first.crt" "$WORK/second.crt" "$RUN/ca.pem" >"$WORK/all.pem"
}

start_load() {
    /usr/bin/python3 tests/integration/certificates_load.py "$BOX_IP" "$PORT" "$WORK/all.pem" "$WORK/stop" "$WORK/load" &
    load=$!
    wait_until 30 "the load to run" test -e "$WORK/load.running" >/dev/null
}
end_load() { # a check runs in a shell of its own, which cannot wait for the load
    touch "$WORK/stop"
    wait_until 60 "the load to end" test -e "$WORK/load" && cat "$WORK/load" && grep -q '^good$' "$WORK/load"
    local status=$?
    mv "$WORK/load" "$WORK/figures"
    rm -f "$WORK/stop" "$WORK/load.running"
    return $status
}
rotate_often() {
    local i name
    for i in $(seq 20); do
        name=first; [ $((i % 2)) = 0 ] && name=second
        sluice certificate rotate server "$WORK/$name.crt" "$WORK/$name.key" >/dev/null && serves "$WORK/$name.crt" || { echo "rotation $i"; return 1; }
    done
}
control_pid() { cat "$RUN/control.pid"; }
control_gone() { ! alive "$RUN/control.pid" sluice-control >/dev/null; }
attached() { sluice show status --json | grep -q '"phase": *"attached"'; }
kill_while_rotating() {
    local i name
    for i in $(seq 8); do
        name=first; [ $((i % 2)) = 0 ] && name=second
        sluice certificate rotate server "$WORK/$name.crt" "$WORK/$name.key" >/dev/null 2>&1 &
        local rotation=$!
        sleep "0.0$i" # not a wait for something: the kill moves through the rotation
        kill -9 "$(control_pid)"
        wait $rotation
        wait_until 10 "control to be gone" control_gone || return 1
        serves_one_of "$WORK/first.crt" "$WORK/second.crt" || { echo "after kill $i neither is served"; return 1; }
        board/dev/up >/dev/null || return 1
        wait_until 30 "control to attach" attached >/dev/null || return 1
        sluice certificate check server >/dev/null || { echo "after kill $i the stored pair is not whole"; return 1; }
    done
}
as() { cli --cacert "$WORK/all.pem" --cert "$WORK/$1.crt" --key "$WORK/$1.key" "${@:2}"; }
whoami_is() { [ "$(as "$1" acl whoami)" = "$2" ]; }
plain() { redis-cli -h "$BOX_IP" "$@"; }

check "up --tls" timeout 600 board/dev/up --config "$CONF" --tls || { plan; exit 1; }
check "certificates of all kinds are made" make_all
check "redis-cli --tls with the CA that up names" contains PONG cli --cacert "$RUN/ca.pem" ping
check "up again tells the same endpoint" contains "rediss://$BOX_IP:$PORT" board/dev/up
check "openssl sees what is stored, and its name" serves "$RUN/state/certificates/server.pem"
check "show status knows the TLS endpoint" contains "$BOX_IP:$PORT (TLS)" sluice show status
check "without the CA it is not trusted" fails_with 1 "" cli --cacert "$WORK/first.crt" ping
check "a pair that does not fit is refused" fails_with 1 "is not the one of the certificate" sluice certificate rotate server "$WORK/first.crt" "$WORK/second.key"
check "and nothing has changed" serves "$RUN/state/certificates/server.pem"

start_load
check "20 rotations, each served at once (EC and RSA in turn)" rotate_often
check "clients that were connected all the time, and new ones, saw no error" end_load
head -n 1 "$WORK/figures" | sed "s/^/# /"
start_load
check "control killed while it rotates: one of both is served, the stored pair is whole" kill_while_rotating
check "clients saw no error of it" end_load
head -n 1 "$WORK/figures" | sed "s/^/# /"
check "CONFIG SET by a client rotates as well" contains OK plain config set tls-cert-file "$WORK/first.crt" tls-key-file "$WORK/first.key"
check "and that is served" wait_until 10 "first" serves "$WORK/first.crt"
check "show certificate knows one from outside" contains "CN=first" sluice certificate show
check "metrics have its end" contains "certificate=\"$WORK/first.crt\",used=\"yes\"" curl -s "http://127.0.0.1:$STATS_PORT/metrics"

check "users by certificate: set up" contains OK plain config set tls-ca-cert-file "$WORK/clients.crt" tls-auth-clients optional tls-auth-clients-user "URI CN"
plain acl setuser alice on certificate-only nopass '~*' +@all >/dev/null
plain acl setuser urn:app:one on certificate-only '~app:*' +get +set +acl >/dev/null
check "its common name" whoami_is alice alice
check "its URI" whoami_is app urn:app:one
check "with that user's rights" contains NOPERM as app get other
check "a name that is nobody's is the default user" whoami_is nobody default
check "no certificate: the default user" contains default cli --cacert "$WORK/all.pem" acl whoami
check "a certificate of strangers: no connection" fails_with 1 "" as mallory ping
check "AUTH as a certificate-only user over plain" contains WRONGPASS plain auth alice any
check "and over TLS with another one's certificate" contains WRONGPASS as app auth alice any
check "redis-py with a client certificate" contains "alice" /usr/bin/python3 -c "import redis; print(redis.Redis('$BOX_IP', $PORT, ssl=True, ssl_ca_certs='$WORK/all.pem', ssl_certfile='$WORK/alice.crt', ssl_keyfile='$WORK/alice.key').execute_command('ACL WHOAMI'))"
check "tls-auth-clients yes asks everybody" contains OK plain config set tls-auth-clients yes
check "who shows none is not let in" fails_with 1 "" cli --cacert "$WORK/all.pem" ping
check "who shows one is" whoami_is alice alice
check "down" board/dev/down
plan
