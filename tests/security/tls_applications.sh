#!/bin/bash
# TLS as guides and applications use it: ioredis and node-redis (tls_node.js), rediss:// URLs in redis-py (tls_urls.py), the recipes of
# two guides word for word but for the address (a box has one of its own): a CA with redis-cli, and `openssl req -x509` with --tls-*
# options, which Redis itself refuses without tls-auth-clients no: so do we, in the same words. Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slutla SLUICE_LINK_NAME=slutla0 SLUICE_HOST_IP=127.0.158.1 SLUICE_BOX_IP=127.0.158.2 SLUICE_STATS_PORT=29158
. board/dev/lib.sh
. tests/tap.sh
DIR=$(mktemp -d)
trap 'board/dev/down >/dev/null 2>&1; rm -rf "$DIR"' EXIT
tests/security/make_certificates.sh "$DIR" "$BOX_IP" || exit 1
PASSWORD=guide-password
common() { printf '%s\n' 'protected-mode no' 'save ""' 'hugepages no' 'idle-policy adaptive' "link-address $BOX_IP/8"; }

passes() { # NAME SCRIPT...: it prints TAP of its own
    local name=$1
    shift
    timeout 400 "$@" >"$DIR/tap" 2>"$DIR/err"
    if grep -q '# SKIP n' "$DIR/tap"; then
        skip "$name" "$(sed -n 's/.*# SKIP //p' "$DIR/tap" | head -n 1)"
        return
    fi
    check "$name, $(grep -c '^ok' "$DIR/tap") checks" sh -c "grep -v '^ok' $DIR/tap; tail -n 3 $DIR/err; grep -q '^1\.\.' $DIR/tap && ! grep -q '^not ok' $DIR/tap && [ \$(grep -c '^ok' $DIR/tap) = \$(sed -n 's/^1\.\.//p' $DIR/tap) ]"
}
guide() { timeout 20 redis-cli --tls --cacert "$DIR/certs/ca-cert.pem" -h "$BOX_IP" -p 6380 "$@"; }
oracle_says() { # Redis' own word on the options
    timeout 10 redis-server --bind 127.0.158.9 --tls-port 26380 --port 0 --save "" "$@" 2>&1 | sed -n 's/^.* # \(Either.*\)/\1/p'
}

# A guide's redis-tls.conf: port 6380 with TLS, its own CA, no client certificates, strong suites.
mkdir "$DIR/certs" && cp "$DIR/ca.pem" "$DIR/certs/ca-cert.pem" && cp "$DIR/box.pem" "$DIR/certs/server-cert.pem" && cp "$DIR/box.key" "$DIR/certs/server-key.pem"
{
    common
    printf '%s\n' 'port 6379' 'tls-port 6380' "tls-cert-file $DIR/certs/server-cert.pem" "tls-key-file $DIR/certs/server-key.pem" \
        "tls-ca-cert-file $DIR/certs/ca-cert.pem" 'tls-auth-clients no' 'tls-protocols "TLSv1.2 TLSv1.3"' \
        'tls-ciphersuites TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'
} >"$DIR/box.conf"
timeout 300 tests/integration/node/run /dev/null >/dev/null 2>&1 # installs the clients: that is not the script's time
for workers in 1 2; do
    check "up, $workers" timeout 300 board/dev/up --config "$DIR/box.conf" --workers $workers || { plan; exit 1; }
    check "redis-cli --tls --cacert certs/ca-cert.pem -p 6380 ping" says PONG guide ping
    check "set test_tls" says OK guide set test_tls "TLS Working"
    check "get test_tls" says "TLS Working" guide get test_tls
    check "the certificate names what the guide looks for" contains "IP Address:$BOX_IP" sh -c "openssl x509 -in $DIR/certs/server-cert.pem -text -noout | grep -A3 'Subject Alternative Name'"
    passes "tls_node, $workers" env CERTIFICATES="$DIR" PLAIN_PORT=6379 tests/integration/node/run tests/security/tls_node.js --host "$BOX_IP" --port 6380
    check "requirepass" says OK timeout 20 redis-cli -h "$BOX_IP" config set requirepass "$PASSWORD"
    passes "tls_urls, $workers" /usr/bin/python3 tests/security/tls_urls.py --host "$BOX_IP" --port 6380 --certificates "$DIR"
    check "down" board/dev/down
done

# The other: openssl req -x509, every question answered with Enter; --port 0.
check "openssl req -x509 -nodes -days 365 -newkey rsa:2048 -keyout redis.key -out redis.crt" \
    sh -c "cd $DIR && printf '\n\n\n\n\n\n\n' | openssl req -x509 -nodes -days 365 -newkey rsa:2048 -keyout redis.key -out redis.crt"
recipe() { printf '%s\n' "requirepass $PASSWORD" 'tls-port 6380' 'port 0' "tls-cert-file $DIR/redis.crt" "tls-key-file $DIR/redis.key"; }
said=$(oracle_says --requirepass "$PASSWORD" --tls-cert-file "$DIR/redis.crt" --tls-key-file "$DIR/redis.key")
check "Redis refuses the options as the guide has them" [ -n "$said" ]
{ common; recipe; echo 'tls-auth-clients no'; } >"$DIR/guide.conf"
check "with tls-auth-clients no: up" timeout 300 board/dev/up --config "$DIR/guide.conf" || { plan; exit 1; }
check "without it the box refuses them, too" contains "Unable to update TLS configuration" timeout 20 redis-cli --tls --insecure -h "$BOX_IP" -p 6380 --no-auth-warning -a "$PASSWORD" config set tls-auth-clients yes
check "in the same words" contains "$said" cat "$RUN/sluice.log"
check "redis-cli --tls trusts the certificate itself" says PONG timeout 20 redis-cli --tls --cacert "$DIR/redis.crt" -h "$BOX_IP" -p 6380 --no-auth-warning -a "$PASSWORD" ping
check "--insecure needs no CA" says PONG timeout 20 redis-cli --tls --insecure -h "$BOX_IP" -p 6380 --no-auth-warning -a "$PASSWORD" ping
check "without a CA it is not trusted" fails_with 1 "certificate verify failed" timeout 20 redis-cli --tls -h "$BOX_IP" -p 6380 ping
check "redis-py's URL, the certificate as CA" says True timeout 20 /usr/bin/python3 -c \
    "import redis; print(redis.from_url('rediss://:$PASSWORD@$BOX_IP:6380/0', ssl_ca_certs='$DIR/redis.crt', ssl_check_hostname=False).ping())"
check "it has no altname: who checks names refuses it" contains "mismatch" timeout 20 /usr/bin/python3 -c \
    "import redis
try: redis.from_url('rediss://:$PASSWORD@$BOX_IP:6380/0', ssl_ca_certs='$DIR/redis.crt', ssl_check_hostname=True).ping()
except redis.ConnectionError as e: print(e)"
check "nobody listens on 6379" fails_with 1 "refused" timeout 20 redis-cli -h "$BOX_IP" ping
check "down" board/dev/down
plan
