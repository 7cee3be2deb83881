#!/bin/bash
# How long a login takes tells nothing of users and passwords: timing.py, in instructions. Prints TAP. No box, no root.
set -u
cd "$(dirname "$0")/../.." || exit 1
. board/dev/lib.sh
. tests/tap.sh
BUILD=build # a sanitizer's own instructions are not what is shipped
build $BUILD
if command -v valgrind >/dev/null; then
    exec timeout 900 /usr/bin/python3 tests/security/timing.py "$BUILD/tests/login_cost"
fi
skip "instructions of a login" "needs valgrind"
plan
