#!/bin/bash
# TLS on the data port against programs that nobody here wrote: openssl s_client (versions, suites, resumption, client certificates),
# redis-cli, redis-benchmark, sslscan; certificates changed under load; who comes to the wrong port; one worker and two. Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slutls SLUICE_LINK_NAME=slutls0 SLUICE_HOST_IP=127.0.141.1 SLUICE_BOX_IP=127.0.141.2 SLUICE_STATS_PORT=29141
. board/dev/lib.sh
. tests/box.sh
. tests/tap.sh
DIR=$(mktemp -d)
trap 'board/dev/down >/dev/null 2>&1; rm -rf "$DIR"' EXIT
tests/security/make_certificates.sh "$DIR" "$BOX_IP" || exit 1
CONF=$DIR/box.conf
cat >"$CONF" <<EOF
port 6379
tls-port 6380
tls-cert-file $DIR/box.pem
tls-key-file $DIR/box.key
tls-ca-cert-file $DIR/ca.pem
tls-dh-params-file $DIR/dh.pem
tls-auth-clients no
protected-mode no
save ""
hugepages no
idle-policy adaptive
link-address $BOX_IP/8
EOF

plain() { timeout 20 redis-cli -h "$BOX_IP" "$@"; }
cli() { timeout 20 redis-cli -h "$BOX_IP" -p 6380 --tls --cacert "$DIR/ca.pem" "$@"; }
with_certificate() { local name=$1; shift; cli --cert "$DIR/$name.pem" --key "$DIR/$name.key" "$@"; }
set_to() { says OK plain config set "$@"; } # over the port without TLS: what is changed there
talk() { # LINES OPTION...: what s_client shows of a conversation
    local lines=$1
    shift
    { printf '%b' "$lines"; } | timeout 20 openssl s_client -connect "$BOX_IP:6380" -CAfile "$DIR/ca.pem" -verify_return_error -ign_eof "$@" 2>&1 | tr -d '\r'
}
pongs() { talk 'PING\r\nQUIT\r\n' "$@" | grep -q '^+PONG'; }
refused() { ! pongs "$@"; }
keys_updated() { # on both sides: K is a command to s_client where it begins what is read, and the end of its input may end it
    local said=$DIR/keys
    : >"$said"
    {
        wait_until 20 "the handshake" grep -q 'Verify return code' "$said" && printf 'K\n' &&
            wait_until 20 "the keys" grep -q KEYUPDATE "$said" && printf 'PING\r\n' && wait_until 20 "PONG" grep -q '^+PONG' "$said"
    } | timeout 200 openssl s_client -connect "$BOX_IP:6380" -CAfile "$DIR/ca.pem" -tls1_3 >"$said" 2>&1
    grep -q '^+PONG' "$said" || { tail -n 5 "$said"; return 1; }
}
resumed() { # OPTION...
    rm -f "$DIR/session"
    { printf 'PING\r\n'; sleep 0.3; printf 'QUIT\r\n'; } | timeout 20 openssl s_client -connect "$BOX_IP:6380" -sess_out "$DIR/session" -ign_eof "$@" >/dev/null 2>&1
    talk 'QUIT\r\n' -sess_in "$DIR/session" "$@" | grep -q '^Reused'
}
not_resumed() { ! resumed "$@"; }
has_counted() { [ "$(counter "$1")" -gt 0 ]; }
serial() { openssl x509 -noout -serial -in "$DIR/$1.pem" | cut -d= -f2; }
serves() { [ "$(timeout 20 openssl s_client -connect "$BOX_IP:6380" </dev/null 2>/dev/null | openssl x509 -noout -serial | cut -d= -f2)" = "$(serial "$1")" ]; }

versions_and_suites() {
    local v c
    for v in tls1_2 tls1_3; do check "$v" pongs -$v; done
    for v in tls1 tls1_1; do check "$v is refused" refused -$v -cipher ALL:@SECLEVEL=0; done
    for c in ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-CHACHA20-POLY1305 DHE-RSA-AES256-GCM-SHA384; do
        check "TLS 1.2 $c" pongs -tls1_2 -cipher $c
    done
    for c in AES256-GCM-SHA384 ECDHE-RSA-AES256-SHA384 AES128-SHA; do
        check "TLS 1.2 $c is refused" refused -tls1_2 -cipher $c
    done
    for c in TLS_AES_256_GCM_SHA384 TLS_AES_128_GCM_SHA256 TLS_CHACHA20_POLY1305_SHA256; do
        check "TLS 1.3 $c" pongs -tls1_3 -ciphersuites $c
    done
    for v in tls1_2 tls1_3; do check "$v resumes a session" resumed -$v; done
    check "a client cannot renegotiate" contains "no renegotiation" talk 'R\nPING\r\n' -tls1_2 -no_ign_eof
    check "keys can be updated" keys_updated
}

client_certificates() {
    local mode
    check "tls-auth-clients yes" set_to tls-auth-clients yes
    check "without a certificate: refused" fails_with 1 "" cli ping
    check "with one: PONG" says PONG with_certificate app ping
    check "with a stranger's: refused" fails_with 1 "" with_certificate stranger ping
    check "TLS 1.2 with a certificate" pongs -tls1_2 -cert "$DIR/app.pem" -key "$DIR/app.key"
    check "TLS 1.2 without: refused" refused -tls1_2
    check "they are counted" wait_until 10 "it" has_counted tls_failed_no_certificate
    check "so are strangers" wait_until 10 "it" has_counted tls_failed_bad_certificate
    check "tls-auth-clients optional" set_to tls-auth-clients optional
    check "without a certificate: PONG" says PONG cli ping
    check "with one: PONG" says PONG with_certificate app ping
    check "with a stranger's: refused" fails_with 1 "" with_certificate stranger ping
    check "a certificate's name is a user's" set_to tls-auth-clients-user CN
    check "who must be there" says OK plain acl setuser app on nopass '+@all' '~*'
    check "the client is that user" says app with_certificate app acl whoami
    check "without a certificate it is not" says default cli acl whoami
    check "off again" set_to tls-auth-clients-user off tls-auth-clients no
}

# redis-benchmark goes on while the pair is changed to and fro: no connection may notice.
rotation() {
    local load log i
    log=$DIR/load
    timeout 300 redis-benchmark -h "$BOX_IP" -p 6380 --tls --cacert "$DIR/ca.pem" -t set,get -c 8 -P 4 -n 60000 -q >"$log" 2>&1 &
    load=$!
    for i in 1 2 3 4 5; do
        set_to tls-cert-file "$DIR/box2.pem" tls-key-file "$DIR/box2.key" && serves box2 &&
            set_to tls-cert-file "$DIR/boxec.pem" tls-key-file "$DIR/boxec.key" && serves boxec &&
            set_to tls-cert-file "$DIR/box.pem" tls-key-file "$DIR/box.key" && serves box || { kill $load; return 1; }
    done
    wait $load || { cat "$log"; return 1; }
    ! grep -iE 'error|refused|reset|closed' "$log"
}
same_file_read_again() {
    cp "$DIR/box2.pem" "$DIR/now.pem" && cp "$DIR/box2.key" "$DIR/now.key" &&
        set_to tls-cert-file "$DIR/now.pem" tls-key-file "$DIR/now.key" && serves box2 &&
        cp "$DIR/boxec.pem" "$DIR/now.pem" && cp "$DIR/boxec.key" "$DIR/now.key" &&
        set_to maxmemory-samples 6 && serves box2 &&
        set_to tls-cert-file "$DIR/now.pem" && serves boxec
}
wrong_settings() {
    local bad="Unable to update TLS configuration. Check server logs."
    check "a key of another certificate is refused" contains "$bad" plain config set tls-key-file "$DIR/box2.key"
    check "a file that is not there" contains "$bad" plain config set tls-cert-file "$DIR/nothing.pem"
    check "a file that is no certificate" contains "$bad" plain config set tls-ca-cert-file "$CONF"
    check "a directory instead of a file" contains "$bad" plain config set tls-cert-file "$DIR"
    check "an unknown protocol" contains "$bad" plain config set tls-protocols SSLv3
    check "an unknown cipher" contains "$bad" plain config set tls-ciphers NONE
    check "a wrong pass phrase" contains "$bad" plain config set tls-key-file "$DIR/locked.key" tls-key-file-pass wrong
    check "the right one" set_to tls-key-file "$DIR/locked.key" tls-key-file-pass sesame
    check "back" set_to tls-key-file "$DIR/box.key" tls-key-file-pass ""
    check "a directory of authorities" set_to tls-ca-cert-file "" tls-ca-cert-dir "$DIR/authorities" tls-auth-clients yes
    check "any of them is trusted" says PONG with_certificate stranger ping
    check "back again" set_to tls-ca-cert-file "$DIR/ca.pem" tls-ca-cert-dir "" tls-auth-clients no
    check "only TLS 1.2" set_to tls-protocols TLSv1.2
    check "then 1.3 is refused" refused -tls1_3
    check "and 1.2 is not" pongs -tls1_2
    check "both" set_to tls-protocols "TLSv1.2 TLSv1.3"
    check "no caching" set_to tls-session-caching no
    check "then nothing is resumed" not_resumed -tls1_3
    check "caching" set_to tls-session-caching yes
    check "the old certificate is still served" serves box
}
scan() {
    command -v sslscan >/dev/null || { skip "sslscan" "not installed"; return; }
    sslscan --no-colour --no-ocsp --no-heartbleed "$BOX_IP:6380" >"$DIR/scan" 2>&1
    [ -n "${OUT-}" ] && cp "$DIR/scan" "$OUT/sslscan.txt"
    check "sslscan sees no old version" sh -c "! grep -E '^(SSLv2|SSLv3|TLSv1.0|TLSv1.1) +enabled' $DIR/scan && grep -qE '^TLSv1.3 +enabled' $DIR/scan"
    check "sslscan sees no weak cipher" sh -c "! grep -E '^(Preferred|Accepted)' $DIR/scan | grep -vE 'GCM|CHACHA20'"
    check "sslscan sees no insecure renegotiation" sh -c "grep -iq 'renegotiation' $DIR/scan && ! grep -iq 'insecure.*renegotiation' $DIR/scan"
}
wrong_ports() {
    check "a plain client on the port with TLS is told" contains "this port speaks TLS" plain -p 6380 ping
    check "so is a browser" contains "this port speaks TLS" timeout 20 bash -c "exec 3<>/dev/tcp/$BOX_IP/6380; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3"
    check "a TLS client on the plain port fails at once" fails_with 1 "wrong version number" timeout 20 openssl s_client -connect "$BOX_IP:6379"
    check "they are counted" wait_until 10 "it" has_counted tls_failed_plain
}

for workers in 1 2; do
    check "up, $workers" timeout 200 board/dev/up --config "$CONF" --workers $workers || { plan; exit 1; }
    check "redis-cli --tls" says PONG cli ping
    check "CONFIG REWRITE keeps TLS" says OK plain config rewrite
    versions_and_suites
    client_certificates
    wrong_settings
    wrong_ports
    check "a pair is changed under load" rotation
    check "files are read again when a directive of theirs is set, and only then" same_file_read_again
    check "first pair" set_to tls-cert-file "$DIR/box.pem" tls-key-file "$DIR/box.key"
    check "wrong authority: the client ends it" fails_with 1 "certificate verify failed" timeout 20 redis-cli -h "$BOX_IP" -p 6380 --tls --cacert "$DIR/stranger.pem" ping
    scan
    for script in tls_clients tls_hostile; do
        timeout 900 /usr/bin/python3 tests/security/$script.py --host "$BOX_IP" --port 6380 --certificates "$DIR" >"$DIR/$script.tap" 2>&1
        check "$script.py" sh -c "cat $DIR/$script.tap | grep -v '^ok'; grep -q '^1\.\.' $DIR/$script.tap && ! grep -q '^not ok' $DIR/$script.tap"
    done
    check "redis-benchmark --tls" sh -c "timeout 300 redis-benchmark -h $BOX_IP -p 6380 --tls --cacert $DIR/ca.pem -t set,get,incr,lpush,lrange_100 -n 4000 -c 20 -P 16 -q"
    check "down" board/dev/down
done
sed -i 's/^port 6379/port 0/' "$CONF"
check "port 0: TLS alone" timeout 200 board/dev/up --config "$CONF"
check "it serves" says PONG cli ping
check "nobody listens on 6379" fails_with 1 "refused" plain ping
check "INFO names the port" contains "tcp_port:6380" cli info server
check "down" board/dev/down
plan
