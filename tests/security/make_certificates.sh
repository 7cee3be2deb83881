#!/bin/bash
# make_certificates.sh DIR ADDRESS: what the tests of TLS need, made with the openssl program: an authority (ca), two pairs of the
# box (box, box2: RSA as in the seeds; boxec: EC), clients' (app, trusted; stranger, not), a wrong name (wrong), DH parameters.
set -eu
cd "$1"
address=$2
log() { "$@" >>make.log 2>&1 || { cat make.log >&2; exit 1; }; }
log openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj "/CN=authority" -days 30
sign() { # NAME SAN KEYTYPE...
    local name=$1 san=$2
    shift 2
    log openssl req "$@" -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=$name"
    printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$san" >"$name.ext"
    log openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile "$name.ext" -out "$name.pem"
}
sign box "DNS:box.example,IP:$address" -newkey rsa:2048
sign box2 "DNS:box.example,IP:$address" -newkey rsa:2048
sign boxec "DNS:box.example,IP:$address" -newkey ec -pkeyopt ec_paramgen_curve:P-256
sign app "DNS:app.example,URI:urn:app:7" -newkey rsa:2048
sign wrong "DNS:other.example" -newkey rsa:2048
log openssl req -x509 -newkey rsa:2048 -nodes -keyout stranger.key -out stranger.pem -subj "/CN=stranger" -days 30
log openssl rsa -aes256 -passout pass:sesame -in box.key -out locked.key
mkdir -p authorities && cp ca.pem stranger.pem authorities/
cat >dh.pem <<'EOF'
-----BEGIN DH PARAMETERS-----
MIIBDAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAgICAOE=
-----END DH PARAMETERS-----
EOF
