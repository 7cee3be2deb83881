#!/bin/bash
# Packages of the dataplane alone: what is taken, what is refused and why, what is left when power fails. Without a box: the CLI is of this
# test and stands for control, programs are scripts. Prints TAP.
set -u
cd "$(dirname "$0")/../../.." || exit 1
. tests/tap.sh
for command in jq openssl; do
    command -v $command >/dev/null || { skip "packages of the dataplane" "no $command"; plan; exit; }
done
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export SLUICE_ROOT=$WORK/box
SCRIPT=$PWD/images/root/usr/lib/sluice/dataplane SYSTEM=$PWD/images/root/usr/lib/sluice/system
BASE=aaaaaaaaaaaaaaaaaaaaaaaa STORE=$SLUICE_ROOT/data/dataplane/a-$BASE AT=$SLUICE_ROOT/run/sluice-dataplane
PATH=$WORK/bin:$PATH
mkdir -p "$WORK/bin"
tool() { { echo '#!/bin/bash'; cat; } >"$WORK/bin/$1" && chmod 755 "$WORK/bin/$1"; }

# Control: takes the first of current, before and the slot's own that is not broken. A file `refuses` has its answer to a restart, `saves`
# how many times it is asked for the versions until the snapshot before the restart has failed (`saves-well`: until the restart).
tool sluice <<'END'
box=$SLUICE_ROOT now=$(cat "$SLUICE_ROOT/now")
case "$*" in
"show version --json")
    is="an update"; [ "$now" != "$box/usr/lib/sluice/sluice-dataplane" ] || is="the box's own"
    jq -n --arg p "$now" --arg is "$is" --arg layout "$(cat "$box/layout")" --arg fails "$(cat "$box/fails")" \
        --argjson loses "$(cat "$box/loses" 2>/dev/null || echo null)" --argjson restarting "$([ -e "$box/saving" ] && echo true || echo false)" \
        '{channel: 7, layout_kept: $layout, dataplane_program: $p, dataplane_is: $is, dataplane: "0.1.0", update_fails: $fails, restart_loses: $loses, restarting: $restarting}'
    [ -e "$box/saving" ] || exit 0
    left=$(($(cat "$box/saving") - 1))
    echo $left >"$box/saving"
    [ $left -gt 0 ] || rm "$box/saving"
    [ $left = 0 ] && [ -e "$box/saves-well" ] && rm "$box/saves" && exec "$0" restart dataplane ;;
"show status --json") jq -n --arg p "$now" --argjson pid "$(cat "$box/pid")" '{dataplane: {state: "serving", program: $p, pid: $pid, phase: "attached"}}' ;;
"restart dataplane")
    [ ! -e "$box/refuses" ] || { cat "$box/refuses"; exit 1; }
    echo "restart" >>"$box/asked"
    [ ! -e "$box/saves" ] || { cp "$box/saves" "$box/saving"; exit 0; }
    : >"$box/fails"
    for one in run/sluice-dataplane/current run/sluice-dataplane/before usr/lib/sluice; do
        program=$(readlink -f "$box/$one")/sluice-dataplane
        [ -x "$program" ] || continue
        grep -q broken "$program" || break
        echo "given up: broken" >"$box/fails"
    done
    echo "$program" >"$box/now"
    echo $(($(cat "$box/pid") + 1)) >"$box/pid" ;;
*) exit 2 ;;
esac
END
tool logger <<<""
tool systemctl <<<""
tool rauc <<<'echo "rauc $*" >>"$SLUICE_ROOT/asked"'
key() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" -keyout "$WORK/$1/key.pem" -out "$WORK/$1/certificate.pem" 2>/dev/null; }
mkdir "$WORK/ours" "$WORK/theirs" && key ours && key theirs

program() { # NAME LAYOUT CHANNEL WORD
    printf '#!/bin/bash\n# %s %s\ncase $1 in --layout) echo 0000%s ;; --channel-version) echo %s ;; *) exit 1 ;; esac\n' "$1" "${4-}" "$2" "$3" >"$WORK/$1-program"
    chmod 755 "$WORK/$1-program"
}
package() { # NAME OPTION...: of NAME-program
    local name=$1; shift
    images/dataplane-package --base "$WORK/release" --program "$WORK/$name-program" --version "$name" --signing "$WORK/ours" --output "$WORK/$name.package" "$@" >/dev/null
}
printf 'NAME=Sluice\nVERSION=0.1.0\nBUILD_ID=%s\nCOMPATIBLE=sluice-x86\n' $BASE >"$WORK/release"
LAYOUT=0123456789ab
program own $LAYOUT 7
for name in one two; do program $name $LAYOUT 7 && package $name; done
program bad $LAYOUT 7 broken && package bad
program layout ba9876543210 7 && package layout
program channel $LAYOUT 8 && package channel

fresh() {
    rm -rf "$SLUICE_ROOT" && mkdir -p "$SLUICE_ROOT"/{data/upgrade,dev,run/sluice-image,usr/lib/sluice,etc/rauc,var/lib/sluice/leave} || return
    echo a >"$SLUICE_ROOT/run/sluice-image/slot"
    cp "$WORK/release" "$SLUICE_ROOT/usr/lib/sluice/release"
    cp "$WORK/own-program" "$SLUICE_ROOT/usr/lib/sluice/sluice-dataplane"
    cp "$WORK/ours/certificate.pem" "$SLUICE_ROOT/etc/rauc/keyring.pem"
    echo "$SLUICE_ROOT/usr/lib/sluice/sluice-dataplane" >"$SLUICE_ROOT/now"
    echo $LAYOUT >"$SLUICE_ROOT/layout"
    echo 100 >"$SLUICE_ROOT/pid"
    : >"$SLUICE_ROOT/fails"; : >"$SLUICE_ROOT/asked"
    "$SCRIPT" start
}
install() { timeout 120 "$SCRIPT" install "$@"; }
current() { sed -n 's/^VERSION=//p' "$AT/current/release" 2>/dev/null; }
runs() { [ "$(cat "$SLUICE_ROOT/now")" = "$(readlink -f "$AT/current")/sluice-dataplane" ] && [ "$(current)" = "$1" ]; }
runs_own() { [ "$(cat "$SLUICE_ROOT/now")" = "$SLUICE_ROOT/usr/lib/sluice/sluice-dataplane" ]; }
unchanged() { [ ! -e "$STORE/current" ] && [ ! -e "$AT/current" ] && runs_own && [ ! -s "$SLUICE_ROOT/asked" ]; }
refused() { # REASON PACKAGE [cold]
    local said
    fresh && said=$(install "${@:2}") && { echo "it was taken: $said"; return 1; }
    case $said in *"$1"*) ;; *) echo "said: $said"; return 1 ;; esac
    unchanged && [ -z "$(find "$SLUICE_ROOT/data/dataplane" -type f 2>/dev/null)" ] && ! ls -d "$AT"/work.* 2>/dev/null
}
restarted() { rm -rf "$SLUICE_ROOT/run/sluice-dataplane" && "$SCRIPT" start >"$WORK/said"; } # the machine

taken() { fresh && contains "the dataplane is version one" install "$WORK/one.package" && runs one && cmp "$AT/current/sluice-dataplane" "$WORK/one-program"; }
again() { taken && fails_with 1 "runs already" install "$WORK/one.package" && runs one; }
wrong_key() { package one --signing "$WORK/theirs" --output "$WORK/theirs.package" && refused "signature is wrong" "$WORK/theirs.package"; }
changed() { # a byte of it, wherever that is
    local size at
    size=$(stat -c %s "$WORK/one.package")
    for at in 40 200 $((size / 2)) $((size - 300)) $((size - 5)); do
        cp "$WORK/one.package" "$WORK/changed.package"
        printf "\\x$(printf %02x $((0x$(od -An -tx1 -j $at -N 1 "$WORK/changed.package" | tr -d ' ') ^ 1)))" | dd of="$WORK/changed.package" bs=1 seek=$at conv=notrunc status=none
        refused "signature is wrong" "$WORK/changed.package" || { echo "byte $at"; return 1; }
    done
}
cut() {
    local size at
    size=$(stat -c %s "$WORK/one.package")
    for at in 40 $((size / 3)) $((size - 1)); do
        head -c $at "$WORK/one.package" >"$WORK/cut.package"
        refused "is cut off" "$WORK/cut.package" || { echo "at $at"; return 1; }
    done
    cat "$WORK/one.package" "$WORK/one-program" >"$WORK/long.package" && refused "bytes too many" "$WORK/long.package"
}
other_form() { sed '1s/ 1 / 2 /' "$WORK/one.package" >"$WORK/form.package" && refused "another form" "$WORK/form.package" && : >"$WORK/empty.package" && refused "no package" "$WORK/empty.package"; }
head_of() { tail -n +2 "$WORK/$1.package" | openssl cms -verify -binary -inform DER -CAfile "$WORK/ours/certificate.pem" -purpose any 2>/dev/null | sed '/^$/q'; }
sign() { # NAME: a package of what is in $WORK/content
    openssl cms -sign -binary -nodetach -outform DER -in "$WORK/content" -signer "$WORK/ours/certificate.pem" -inkey "$WORK/ours/key.pem" -out "$WORK/signed" &&
        { echo "sluice-dataplane-package 1 $(stat -c %s "$WORK/signed")"; cat "$WORK/signed"; } >"$WORK/$1.package"
}
unsigned_head() { # signed by us, but something else: a manifest of a bundle
    printf '[update]\ncompatible=sluice-x86\n' >"$WORK/content" && sign manifest || return
    refused "does not say its VERSION" "$WORK/manifest.package"
}
wrong_board() { package one --compatible another-box --output "$WORK/board.package" && refused "for the board another-box; this is sluice-x86" "$WORK/board.package"; }
other_base() { sed 's/BUILD_ID=.*/BUILD_ID=cccccccccccccccccccccccc/' "$WORK/release" >"$WORK/other" && package one --base "$WORK/other" --output "$WORK/base.package" && refused "build cccccccccccccccccccccccc; this box runs" "$WORK/base.package"; }
other_channel() { refused "the control that runs speaks 7" "$WORK/channel.package"; }
other_layout() { refused "another way" "$WORK/layout.package" && contains "version layout" install "$WORK/layout.package" cold && runs layout; }
back_to_layout() { other_layout && echo ba9876543210 >"$SLUICE_ROOT/layout" && fails_with 1 "another way" "$SCRIPT" remove && runs layout && "$SCRIPT" remove cold && runs_own; }
keeps_nothing() { fresh; : >"$SLUICE_ROOT/layout"; fails_with 1 "keeps nothing in memory" install "$WORK/one.package" && unchanged && install "$WORK/one.package" cold && runs one; }
does_not_run() { # what is signed says otherwise
    printf '#!/bin/bash\nexit 3\n' >"$WORK/sick-program"
    { head_of one | sed "s/^SIZE=.*/SIZE=$(stat -c %s "$WORK/sick-program")/" && cat "$WORK/sick-program"; } >"$WORK/content"
    sign sick && refused "does not run here" "$WORK/sick.package"
}
# A pending directive would lay out memory in another way: only cold, there and back.
waits() {
    fresh && echo '"workers is another one then"' >"$SLUICE_ROOT/loses" && fails_with 1 "workers is another one then" install "$WORK/one.package" && unchanged && install "$WORK/one.package" cold && runs one &&
        fails_with 1 "workers is another one then" "$SCRIPT" remove && runs one && "$SCRIPT" remove cold && runs_own
}
# What an update is: its links, packages and what control has given up.
picture() {
    readlink "$AT/current" "$AT/before"
    find "$STORE" -type f -exec sha256sum {} + 2>/dev/null | sort
    ls "$SLUICE_ROOT/var/lib/sluice" && cat "$SLUICE_ROOT/var/lib/sluice/dataplane-refused" "$SLUICE_ROOT/now"
}
# as_before REASON WORDS...: it says so, fails, and everything is as it was, in memory and after a restart of the machine.
as_before() {
    local reason=$1 said; shift
    picture >"$WORK/picture" 2>&1
    said=$(timeout 120 "$SCRIPT" "$@") && { echo "it went well: $said"; return 1; }
    [[ $said == *"$reason"*"all is as it was before"* ]] || { echo "said: $said"; return 1; }
    picture >"$WORK/picture-after" 2>&1
    diff "$WORK/picture" "$WORK/picture-after" && restarted && readlink "$AT/current" "$AT/before" | diff - <(sed -n '/^[0-9a-f]*$/p' "$WORK/picture")
}
with_two() { second && echo "1234 why" >"$SLUICE_ROOT/var/lib/sluice/dataplane-refused"; }
snapshot_fails() { with_two && echo 3 >"$SLUICE_ROOT/saves" && as_before "snapshot of its keys failed" install "$WORK/layout.package" cold && as_before "snapshot of its keys failed" remove cold; }
snapshot_fails_first() { fresh && echo 3 >"$SLUICE_ROOT/saves" && as_before "snapshot of its keys failed" install "$WORK/layout.package" cold && runs_own && [ ! -e "$STORE/current" ]; }
snapshot_first() { fresh && echo 5 >"$SLUICE_ROOT/saves" && : >"$SLUICE_ROOT/saves-well" && install "$WORK/one.package" && runs one && [ ! -e "$STORE/before" ] && ! ls "$STORE"/*.new 2>/dev/null; }
busy() { with_two && echo "a restart or a stop is under way" >"$SLUICE_ROOT/refuses" && as_before "a stop is under way" install "$WORK/one.package" && as_before "a stop is under way" remove; }
under_way() { fresh && echo 100 >"$SLUICE_ROOT/saving" && fails_with 1 "under way already" install "$WORK/one.package" && unchanged; }
no_disk() { # the package cannot be written
    with_two && tool cp <<<'exit 1'
    as_before "cannot be written" install "$WORK/one.package"; local status=$?
    rm "$WORK/bin/cp"; return $status
}
remove_no_disk() {
    with_two && tool mv <<<'case " $* " in *.removed\ *) exit 1 ;; esac; exec '"$REAL"'/mv "$@"'
    as_before "cannot be written" remove; local status=$?
    rm "$WORK/bin/mv"; return $status
}
# Power fails while an update is removed: it is there whole, or gone without a word.
remove_cuts() {
    local n there=0 gone=0
    second && cp -a "$SLUICE_ROOT" "$WORK/kept" || return 1
    for n in $(seq 60); do
        rm -rf "$SLUICE_ROOT" && cp -a "$WORK/kept" "$SLUICE_ROOT" || return 1
        cut_in $n "$SCRIPT" remove || break
        restarted || return 1
        if [ -e "$AT/current" ]; then
            there=$((there + 1)); [ "$(current)" = two ] && [ -e "$AT/before" ] || { echo "cut $n: half"; return 1; }
        else
            gone=$((gone + 1)); [ ! -s "$WORK/said" ] && [ ! -e "$STORE" ] && [ ! -e "$STORE.removed" ] || { echo "cut $n"; cat "$WORK/said"; return 1; }
        fi
    done
    echo "$there times there, $gone times gone"
    [ $ended = 0 ] && [ $there -gt 0 ] && [ $gone -gt 0 ]
}
# Control is down: what root knows is told all the same.
status_without_control() {
    local said status=0
    taken || return 1
    tool rauc <<<'case $* in *json*) echo "{\"slots\": []}" ;; esac'
    said=$(echo "upgrade status --json" | timeout 120 "$SYSTEM") && [ "${said##*$'\n'}" = "=0" ] && sed -n 's/^\.//p' <<<"$said" | jq -es '.[0].dataplane.is == "an update"' || status=1
    mv "$WORK/bin/sluice" "$WORK/bin/none"
    said=$(echo "upgrade status --json" | timeout 120 "$SYSTEM") && [ "${said##*$'\n'}" = "=0" ] && sed -n 's/^\.//p' <<<"$said" | jq -es '.[0] == {slots: [], dataplane: null}' || { status=1; echo "$said"; }
    said=$(echo "upgrade status" | timeout 120 "$SYSTEM") && [[ $said == *"control does not answer"*"=0" ]] || { status=1; echo "$said"; }
    mv "$WORK/bin/none" "$WORK/bin/sluice"
    tool rauc <<<'echo "rauc $*" >>"$SLUICE_ROOT/asked"'
    return $status
}
no_control() { fresh; mv "$WORK/bin/sluice" "$WORK/bin/none"; fails_with 1 "control does not answer" install "$WORK/one.package"; local status=$?; mv "$WORK/bin/none" "$WORK/bin/sluice"; [ $status = 0 ] && unchanged; }

second() { taken && install "$WORK/two.package" && runs two && [ "$(sed -n 's/^VERSION=//p' "$AT/before/release")" = one ]; }
fails() { taken && fails_with 1 "given up: broken" install "$WORK/bad.package" && [ "$(cat "$SLUICE_ROOT/now")" = "$(readlink -f "$AT/before")/sluice-dataplane" ]; }
fails_alone() { fresh && fails_with 1 "given up: broken" install "$WORK/bad.package" && runs_own; }
after_failure() { fails_alone && install "$WORK/one.package" && runs one && [ ! -e "$AT/before" ]; }
removed() { second && "$SCRIPT" remove && runs_own && [ ! -e "$STORE" ] && [ ! -e "$AT/current" ] && fails_with 1 "there is no update" "$SCRIPT" remove; }
over_restart() { second && restarted && [ "$(current)" = two ] && [ "$(sed -n 's/^VERSION=//p' "$AT/before/release")" = one ] && cmp "$AT/current/sluice-dataplane" "$WORK/two-program"; }
damaged() { second && printf X | dd of="$STORE/current" bs=1 seek=300 conv=notrunc status=none && restarted && [ ! -e "$AT/current" ] && [ -e "$AT/before" ] && grep -q "signature is wrong" "$AT/damaged"; }
other_slot() { taken && echo b >"$SLUICE_ROOT/run/sluice-image/slot" && restarted && [ ! -e "$AT/current" ] && echo a >"$SLUICE_ROOT/run/sluice-image/slot" && restarted && [ "$(current)" = one ]; }
other_build() { taken && sed -i 's/^BUILD_ID=.*/BUILD_ID=dddddddddddddddddddddddd/' "$SLUICE_ROOT/usr/lib/sluice/release" && restarted && [ ! -e "$AT/current" ] && [ ! -e "$STORE" ]; }
at_once() { fresh && flock "$AT/lock" "$SCRIPT" install "$WORK/one.package" >"$WORK/said"; [ $? = 1 ] && grep -q "another update" "$WORK/said" && unchanged; }

# By the way that the CLI goes: with control's leave, through the helper of root.
leave=0123456789abcdef0123456789abcdef
request() { # WORDS MORE [FILE]
    printf '%s' "$1" >"$SLUICE_ROOT/var/lib/sluice/leave/$leave"
    { echo "$1${2:+ $2} leave=$leave"; [ -z "${3-}" ] || cat "$3"; } | timeout 120 "$SYSTEM"
}
by_helper() {
    fresh && [ "$(request "upgrade install" "" "$WORK/one.package" | tail -n 1)" = "=0" ] && runs one && [ ! -e "$SLUICE_ROOT/data/upgrade/bundle.raucb" ] &&
        [ "$(request "upgrade install" "" "$WORK/layout.package" | tail -n 1)" = "=1" ] && [ "$(request "upgrade install" cold "$WORK/layout.package" | tail -n 1)" = "=0" ] &&
        runs layout && [ "$(request "upgrade remove" cold | tail -n 1)" = "=0" ] && runs_own && ! grep rauc "$SLUICE_ROOT/asked"
}
not_copied() { # once on the data partition is enough
    fresh && tool cp <<<'exit 1'
    [ "$(request "upgrade install" "" "$WORK/one.package" | tail -n 1)" = "=0" ] && runs one && cmp "$STORE/current" "$WORK/one.package" && [ ! -e "$SLUICE_ROOT/data/upgrade/bundle.raucb" ]
    local status=$?
    rm "$WORK/bin/cp"; return $status
}
no_space() { # of the data partition
    tool df <<<'echo Avail; echo 67108964'
    contains "does not fit" no_space_said; local status=$?
    rm "$WORK/bin/df"; return $status
}
no_space_said() { fresh && request "upgrade install" "" "$WORK/one.package" && unchanged; }
ended_by_bundle() { # a bundle in the other slot ends the update of what was there
    taken && mkdir "$SLUICE_ROOT/data/dataplane/b-eeeeeeeeeeeeeeee" && echo hsqs >"$WORK/bundle" && [ "$(request "upgrade install" "" "$WORK/bundle" | tail -n 1)" = "=0" ] &&
        [ ! -e "$SLUICE_ROOT/data/dataplane/b-eeeeeeeeeeeeeeee" ] && [ -e "$STORE/current" ]
}

# Power fails: before the Nth command that changes anything on the disk, or when it is half done; what was not synced is not on it.
REAL=$(dirname "$(command -v sync)")
cutting_tools() {
    local name
    for name in cp mv ln rm mkdir sync; do
        tool $name <<END
n=\$((\$(cat $WORK/n) + 1)); echo \$n >$WORK/n
if [ \$n = "\$(cat $WORK/cut)" ]; then
    [ $name != cp ] || { head -c 700 "\$1" >"\$2"; echo "\$2" >>$WORK/dirty; }
    while read -r file; do [ ! -e "\$file" ] || truncate -s 100 "\$file"; done <$WORK/dirty
    kill -9 0
fi
case $name in
cp) echo "\${!#}" >>$WORK/dirty ;;
mv) sed -i "s|^\${*: -2:1}\$|\${!#}|" $WORK/dirty ;;
sync) for file; do sed -i "\\|^\$file\$|d" $WORK/dirty; done ;;
esac
exec $REAL/$name "\$@"
END
    done
}
cut_in() { # N WORDS...: false if they came to their end; how that was is in $ended. What the words are given is not on the disk yet.
    echo "$1" >"$WORK/cut"; echo 0 >"$WORK/n"; echo "${!#}" >"$WORK/dirty"
    cutting_tools
    setsid -w timeout 120 "${@:2}" >/dev/null 2>&1
    ended=$?
    for name in cp mv ln rm mkdir sync; do "$REAL/rm" "$WORK/bin/$name"; done
    [ $ended = 137 ]
}
power_cuts() { # FOLDER EVERY: where the package is; of so many commands one is cut
    local n before now old=0 new=0 cuts=0
    second || return 1 # one is kept as the one before
    for n in $(seq 1 "$2" 100); do
        before=$(current)
        [ "$before" = one ] && now=two || now=one
        rm -f "$1/file" && cp "$WORK/$now.package" "$1/file" || return 1
        cut_in $n "$SCRIPT" install "$1/file" || break
        cuts=$((cuts + 1))
        restarted && current >"$WORK/is" && read -r is <"$WORK/is" || { echo "cut $n: nothing is left"; cat "$WORK/said"; return 1; }
        [ ! -e "$AT/damaged" ] && cmp "$AT/current/sluice-dataplane" "$WORK/$is-program" || { echo "cut $n: damaged"; cat "$WORK/said"; return 1; }
        if [ "$is" = "$before" ]; then old=$((old + 1)); elif [ "$is" = "$now" ]; then new=$((new + 1)); else echo "cut $n: $is"; return 1; fi
        readlink -f "$AT/current" | sed 's|$|/sluice-dataplane|' >"$SLUICE_ROOT/now"
    done
    echo "$cuts cuts: $old times the one before, $new times the new one" | tee -a "$WORK/cuts"
    [ $ended = 0 ] && [ $old -gt 3 ] && [ $new -gt 1 ]
}

check "a package is taken and runs" taken
check "the same once more is not" again
check "refused: a signature of another key" wrong_key
check "refused: a changed byte" changed
check "refused: cut off, or too long" cut
check "refused: another form, an empty one" other_form
check "refused: something else that we have signed" unsigned_head
check "refused: of another board" wrong_board
check "refused: for another base" other_base
check "refused: another version of the channel than that of the control that runs" other_channel
check "refused: another layout, unless cold" other_layout
check "the way back from another layout, too" back_to_layout
check "refused: memory is not kept, unless cold" keeps_nothing
check "refused: what waits for a restart changes the layout, unless cold, there and back" waits
check "refused: a restart is under way" under_way
check "refused: a program that does not run here" does_not_run
check "refused: control does not answer" no_control
check "a second one; the one before is kept" second
check "one that does not serve: back to the one before" fails
check "one that does not serve: back to the slot's own" fails_alone
check "another one after that" after_failure
check "remove: the slot's own" removed
check "the snapshot before the restart fails: all is as it was" snapshot_fails
check "the same with nothing before" snapshot_fails_first
check "a snapshot before the restart is waited for" snapshot_first
check "control refuses the restart: all is as it was" busy
check "no disk for the package: all is as it was" no_disk
check "no disk while it is removed: all is as it was" remove_no_disk
check "upgrade status while control is down" status_without_control
check "a restart of the machine keeps it" over_restart
check "one that is damaged is not used, with the reason" damaged
check "of another slot it is none, and is there when that one is back" other_slot
check "of another build of the slot it is over" other_build
check "one at a time" at_once
check "through root's helper, cold, too" by_helper
check "the package is once on the data partition" not_copied
check "refused: no space" no_space
check "a bundle in the other slot ends what was updated there" ended_by_bundle
check "power fails at any command of an install: the one before or the new one, whole" power_cuts "$WORK" 1
check "the same of a package that is on the data partition" power_cuts "$SLUICE_ROOT/data/upgrade" 2
check "power fails while an update is removed: it is there, or gone without a word" remove_cuts
[ ! -s "$WORK/cuts" ] || sed 's/^/# /' "$WORK/cuts"
plan
