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

# What a check may be made of.
says() { # TEXT COMMAND...: the command says exactly that
    local want=$1 got
    shift
    got=$("$@" 2>&1)
    [ "$got" = "$want" ] || { echo "wanted: $want"; echo "got: $got"; return 1; }
}
contains() { # TEXT COMMAND...: the command succeeds and says TEXT
    local want=$1 got
    shift
    got=$("$@" 2>&1) || { echo "status $?: $got"; return 1; }
    case $got in *"$want"*) ;; *) echo "wanted in it: $want"; printf 'got: %s\n' "$got"; return 1 ;; esac
}
fails_with() { # STATUS TEXT COMMAND...: the command ends with STATUS and says TEXT
    local status=$1 want=$2 got code
    shift 2
    got=$("$@" 2>&1)
    code=$?
    [ $code = "$status" ] || { echo "status $code, wanted $status: $got"; return 1; }
    case $got in *"$want"*) ;; *) echo "wanted in it: $want"; echo "got: $got"; return 1 ;; esac
}

plan() {
    echo "1..$tap_number"
    [ $tap_failed = 0 ]
}
