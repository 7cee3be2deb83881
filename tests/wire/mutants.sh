#!/bin/sh
# mutants.sh [NAME...]: does the wire suite notice when a rule is taken out? Builds each mutant of the table beside
# this script (or those named) in a copy of the tree and runs all packet scripts, over plain ports and with
# offloads. Prints the survivors; exit status 1 if there are any. Takes about ten seconds a mutant.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
jobs=${JOBS:-2}

(cd "$root" && tar cf - --exclude='./build*' --exclude=./.git .) | tar xf - -C "$work"
cd "$work" || exit 2
meson setup --buildtype=debug -Dwerror=false build >setup.log 2>&1 || { cat setup.log; exit 2; }

build() { ninja -j"$jobs" -C build tests/unit/tcp/wire_runner >build.log 2>&1; }

# Fails if any script does. A mutant may hang: it gets a minute.
suite() {
    timeout 60 build/tests/unit/tcp/wire_runner tests/wire/*.pkt >plain.log 2>&1 &&
        TCP_OFFLOAD=1 timeout 60 build/tests/unit/tcp/wire_runner tests/wire/*.pkt >offload.log 2>&1
}

build || { cat build.log; exit 2; }
suite || { grep -h '^not ok' plain.log offload.log; echo "the suite fails without any mutant"; exit 2; }

killed=0 survived=0 wrong=0
while read -r name file change; do
    case $name in '' | '#'*) continue ;; esac
    [ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    file=dataplane/tcp/$file
    cp "$file" saved
    sed -i "$change" "$file"
    if cmp -s saved "$file"; then
        echo "WRONG     $name: changes nothing"
        wrong=$((wrong + 1))
    elif ! build; then
        echo "WRONG     $name: does not build"
        wrong=$((wrong + 1))
    elif suite; then
        echo "SURVIVED  $name"
        survived=$((survived + 1))
    else
        echo "killed    $name ($(grep -c '^not ok' plain.log) scripts)"
        killed=$((killed + 1))
    fi
    cp saved "$file"
done <"$here/mutants"
echo "$killed killed, $survived survived, $wrong wrong"
[ $((survived + wrong)) -eq 0 ]
