# tap.sh: TAP from bash. `check NAME COMMAND...` is one test; `plan` at the end.

tap_number=0
tap_failed=0

check() {
    local name=$1 out status
    shift
    out=$("$@" 2>&1)
    status=$?
    tap_number=$((tap_number + 1))
    if [ $status = 0 ]; then
        echo "ok $tap_number - $name"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_number - $name"
        printf '%s\n' "$out" "status $status" | tail -n 12 | sed 's/^/# /'
    fi
    return $status
}

skip() {
    tap_number=$((tap_number + 1))
    echo "ok $tap_number - $1 # SKIP $2"
}

plan() {
    echo "1..$tap_number"
    [ $tap_failed = 0 ]
}
