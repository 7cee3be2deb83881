#!/bin/bash
# TLS on CPUs of other kinds: handshakes and records (tests/unit/tls) with OpenSSL told that there are no instructions for AES, so that what its tables
# seal is opened by the library's instructions, and the other way round; and on CPUs of QEMU's user emulation: one without AES (a hypervisor may hide it),
# where OpenSSL keeps the records, and one with AES and AVX2 alone, the least that the box is built for. Prints TAP. No box, no root.
set -u
cd "$(dirname "$0")/../.." || exit 1
. board/dev/lib.sh
. tests/tap.sh
BUILD=build # the emulator has no room for AddressSanitizer's shadow
TESTS=$BUILD/tests/unit/tls
build $BUILD

passes() { # WHAT-IT-SAYS COMMAND...: a unit test that says so, skips nothing and has no failure
    local want=$1 said
    shift
    said=$(timeout 200 "$@" 2>&1) || { echo "status $?: $said"; return 1; }
    case $said in *"not ok"* | *"# SKIP"*) echo "$said"; return 1 ;; esac
    case $said in *"$want"*) ;; *) echo "wanted: $want"; echo "$said"; return 1 ;; esac
}

# AES and the carry-less multiplication off in OpenSSL's view of the CPU, OPENSSL_ia32cap(3).
check "OpenSSL without AES instructions, our records with them" passes "records of TLS 1.3: ours" env OPENSSL_ia32cap=~0x200000200000000 "$TESTS/tls_cpu_test"
if ! command -v qemu-x86_64 >/dev/null; then
    skip "other CPUs" "needs qemu-user"
    plan
    exit
fi
check "no AES: OpenSSL's records" passes "records of TLS 1.3: OpenSSL's" qemu-x86_64 -cpu Haswell,-aes,-pclmulqdq "$TESTS/tls_cpu_test"
check "AES and AVX2: ours" passes "records of TLS 1.3: ours" qemu-x86_64 -cpu Haswell "$TESTS/tls_cpu_test"
check "RFC 8448's record" passes "ok 1" qemu-x86_64 -cpu Haswell "$TESTS/tls_record_test" the_record_of_rfc_8448
check "RFC 8439's example" passes "ok 1" qemu-x86_64 -cpu Haswell "$TESTS/tls_aead_test" the_example_of_rfc_8439
plan
