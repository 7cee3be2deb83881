#!/bin/bash
# What the image decides without a machine: which slot is kept, which bundle is taken, and the boot loader's variables when power fails.
# The CLI, rauc and systemctl are of this test. Prints TAP.
set -u
cd "$(dirname "$0")/../../.." || exit 1
. tests/tap.sh
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export SLUICE_ROOT=$WORK/box
SCRIPTS=images/root/usr/lib/sluice ENV=$SLUICE_ROOT/boot/esp/EFI/sluice/grubenv
PATH=$WORK/bin:$PWD/images/root/usr/local/bin:$PATH
for command in jq /usr/bin/grub-editenv; do
    command -v $command >/dev/null || { skip "scripts of the image" "no $command"; plan; exit; }
done

# A box in slot b. The CLI answers with the lines of `states`, one a call, the last for ever; what is asked of rauc and systemctl is noted.
fresh() {
    rm -rf "$SLUICE_ROOT" && mkdir -p "$SLUICE_ROOT"/{data,dev,run/sluice-image} "$(dirname "$ENV")" "$WORK/bin"
    echo b >"$SLUICE_ROOT/run/sluice-image/slot"
    rm -f "$ENV" && /usr/bin/grub-editenv "$ENV" create && /usr/bin/grub-editenv "$ENV" set "ORDER=B A" A_OK=1 A_TRY=0 B_OK=1 B_TRY=2
    : >"$WORK/asked"
    echo 0 >"$WORK/calls"
    echo good >"$WORK/other"
    : >"$WORK/rauc-fails"
}
tool() { mkdir -p "$WORK/bin"; { echo '#!/bin/bash'; cat; } >"$WORK/bin/$1"; chmod 755 "$WORK/bin/$1"; }
tool sluice <<END
n=\$((\$(cat $WORK/calls) + 1)); echo \$n >$WORK/calls
line=\$(sed -n "\${n}p" $WORK/states); [ -n "\$line" ] || line=\$(tail -n 1 $WORK/states)
[ "\$line" = none ] && exit 3
set -- \$line; echo "{\"dataplane\": {\"state\": \"\$1\", \"restarts\": \${2:-0}}}"
END
tool rauc <<END
echo "rauc \$*" >>$WORK/asked
case "\$*" in *output-format=json*) echo '{"boot_primary": "rootfs.1", "slots": [{"rootfs.0": {"bootname": "A", "state": "inactive", "boot_status": "'\$(cat $WORK/other)'"}}, {"rootfs.1": {"bootname": "B", "state": "booted", "boot_status": "good"}}]}' ;; esac
! grep -qx "\$1 \${2-}" $WORK/rauc-fails
END
tool systemctl <<<"echo \"systemctl \$*\" >>$WORK/asked"
tool chronyc <<<"echo \"chronyc \$*\" >>$WORK/asked"
tool logger <<<""
tool sleep <<<"" # a second of the script's is none of the test's

asked() { grep -qx "$1" "$WORK/asked" || { cat "$WORK/asked"; return 1; }; }
on_trial() { echo b >"$SLUICE_ROOT/data/trial"; }
is_on_trial() { [ "$(cat "$SLUICE_ROOT/data/trial" 2>/dev/null)" = "$1" ]; }
variable() { /usr/bin/grub-editenv "$ENV" list | grep -qx "$1"; }
states() { printf '%s\n' "$@" >"$WORK/states"; }
good() { timeout 60 "$SCRIPTS/good" "${1:-100}"; }
leave=0123456789abcdef0123456789abcdef
plain() { printf '%s\n%s' "$1" "${2-}" | timeout 60 "$SCRIPTS/system"; }
given() { mkdir -p "$SLUICE_ROOT/var/lib/sluice/leave" && printf '%s' "$1" >"$SLUICE_ROOT/var/lib/sluice/leave/$leave"; }
request() { given "$1"; plain "$1 leave=$leave" "${2-}"; }

marked() { variable B_OK=1 && variable B_TRY=0 && variable A_OK=1 && is_on_trial '' && [ ! -s "$WORK/asked" ]; } # rauc is not started for that
unmarked() { fresh; on_trial; /usr/bin/grub-editenv "$ENV" set B_OK=0; }
serves() { unmarked; states none "starting 2" serving; good && marked; }
loads_long() { unmarked; states loading loading loading loading "loading 12" serving; good 0 && marked && [ "$(cat "$WORK/calls")" = 6 ]; }
falls_back() { fresh; on_trial; states starting "starting 10" "waiting 11"; ! good && asked "rauc status mark-bad" && asked "systemctl --no-block reboot" && is_on_trial ''; }
waits_for_updates() { fresh; on_trial; mkdir -p "$SLUICE_ROOT/run/sluice-dataplane/current"; states "waiting 14" "waiting 14" serving; good && is_on_trial ''; }
falls_back_in_time() { fresh; on_trial; states none; ! good 0 && asked "rauc status mark-bad" && asked "systemctl --no-block reboot"; }
falls_back_alone() { fresh; on_trial; states "waiting 11"; echo "status mark-bad" >"$WORK/rauc-fails"; ! good && variable B_OK=0 && asked "systemctl --no-block reboot"; }
stays() { fresh; states "waiting 11"; ! good && ! asked "systemctl --no-block reboot" >/dev/null && variable B_TRY=0 && variable B_OK=1; }

installs() { fresh; [ "$(request "upgrade install" bundle | tail -n 1)" = "=0" ] && is_on_trial a && asked "rauc install $SLUICE_ROOT/data/upgrade/bundle.raucb" && [ ! -e "$SLUICE_ROOT/data/upgrade/bundle.raucb" ]; }
refuses() { fresh; echo "install $SLUICE_ROOT/data/upgrade/bundle.raucb" >"$WORK/rauc-fails"; [ "$(request "upgrade install" bundle | tail -n 1)" = "=1" ] && is_on_trial ''; }
no_bundle() { fresh; contains "no bundle came" request "upgrade install" && ! asked "rauc install .*" >/dev/null; }
goes_back() { fresh; [ "$(request "upgrade rollback" | tail -n 1)" = "=0" ] && is_on_trial a && asked "rauc status mark-active other"; }
stays_here() { fresh; echo bad >"$WORK/other"; [ "$(request "upgrade rollback" | tail -n 1)" = "=1" ] && is_on_trial '' && ! asked "rauc status mark-active other" >/dev/null; }
no_shell() { fresh; [ "$(request "system sh" | tail -n 1)" = "=2" ] && [ "$(request 'upgrade $(reboot)' | tail -n 1)" = "=2" ] && [ ! -s "$WORK/asked" ]; }

no_leave() { # none, of other words, of another name, too old, a second time
    fresh
    for words in "board apply" "upgrade install" "upgrade confirm" "upgrade rollback" "upgrade remove" "system reboot" "system poweroff"; do
        [ "$(plain "$words" bundle | tail -n 1)" = "=1" ] || return 1
        given "board show"
        [ "$(plain "$words leave=$leave" bundle | tail -n 1)" = "=1" ] || return 1
    done
    given "system reboot"
    [ "$(plain "system reboot leave=../leave/$leave" | tail -n 1)" = "=1" ] || return 1
    touch -d "2 minutes ago" "$SLUICE_ROOT/var/lib/sluice/leave/$leave"
    [ "$(plain "system reboot leave=$leave" | tail -n 1)" = "=1" ] && [ ! -s "$WORK/asked" ] || return 1
    [ "$(request "system reboot" | tail -n 1)" = "=0" ] && asked "systemctl --no-block reboot" || return 1
    [ "$(plain "system reboot leave=$leave" | tail -n 1)" = "=1" ] && [ "$(wc -l <"$WORK/asked")" = 1 ]
}

keeps_those_before() { fresh; grub-editenv "$ENV" set A_OK=0 && variable A_OK=0 && /usr/bin/grub-editenv "$ENV.old" list | grep -qx A_OK=1; }
mends() { # GRUB has gone on with the copy; so do we
    keeps_those_before || return 1
    : >"$ENV"
    grub-editenv "$ENV" set B_TRY=0 && variable B_TRY=0 && variable A_OK=1 && variable "ORDER=B A"
}

names() { "$SCRIPTS/names"; }
told() { mkdir -p "$SLUICE_ROOT/run/systemd/netif" && printf '%s\n' OPER_STATE=routable "$@" >"$SLUICE_ROOT/run/systemd/netif/state"; }
resolv() { grep -v '^#' "$SLUICE_ROOT/run/sluice-names/resolv.conf" | xargs; }
sources() { xargs <"$SLUICE_ROOT/run/chrony-dhcp/sluice.sources"; }
told_of_servers() { fresh; told "DNS=10.0.2.3 fd00::3 10.0.2.4#dns.example 10.0.2.5" "NTP=10.0.2.9 time.example"; names
    [ "$(resolv)" = "nameserver 10.0.2.3 nameserver fd00::3 nameserver 10.0.2.4" ] && [ "$(sources)" = "server 10.0.2.9 iburst server time.example iburst" ] && asked "chronyc reload sources"; }
told_again() { told_of_servers || return 1; : >"$WORK/asked"; names; [ ! -s "$WORK/asked" ] && told DNS=10.0.3.3 && names && [ "$(resolv)" = "nameserver 10.0.3.3" ] && [ -z "$(sources)" ] && asked "chronyc reload sources"; }
told_nonsense() { fresh; told 'DNS=10.0.2.3 $(reboot) 1;2' 'NTP=x`y` good'; names; [ "$(resolv)" = "nameserver 10.0.2.3" ] && [ "$(sources)" = "server good iburst" ]; }

told_by_configuration() { # instead of DHCP's, as long as there are any
    fresh; told DNS=10.0.2.3
    mkdir -p "$SLUICE_ROOT/run/sluice" && printf '192.0.2.7\n2001:db8::53\n' >"$SLUICE_ROOT/run/sluice/name-servers"
    names; [ "$(resolv)" = "nameserver 192.0.2.7 nameserver 2001:db8::53" ] || return 1
    rm "$SLUICE_ROOT/run/sluice/name-servers"; names; [ "$(resolv)" = "nameserver 10.0.2.3" ]
}

# What DHCP offers at a first start: a server of files on 127.0.0.1, and the option as networkd keeps it.
LIB=$WORK/lib FILES=$WORK/files
mkdir -p "$LIB" "$FILES/box" && cp "$SCRIPTS"/{offer,names,give-role} "$LIB/"
printf '#!/bin/bash\necho "board $*" >>%s/asked\n' "$WORK" >"$LIB/board"
printf '#!/bin/bash\n! grep -n wrong "$2"\n' >"$LIB/sluice-control"
chmod 755 "$LIB"/*
tool install <<'END'
[ "$1 $3" = "-m -g" ] && exec /usr/bin/install -m "$2" "$5" "$6" # a group sluice is the box's
exec /usr/bin/install "$@"
END
tool chgrp <<<""
serve_files() { # until the test ends; $PORT
    # In a folder HOW-NAME is what is in box, but NAME: 410, 503, 503 once, 204, cut off, or the connection is reset.
    python3 -u -c 'import http.server as h, os, socket, struct, sys
once = set()
class Files(h.SimpleHTTPRequestHandler):
    def do_GET(self):
        folder, name = self.path.split("/")[-2:]
        how, _, which = folder.partition("-")
        if which:
            self.path = "/box/" + name
        if which != name or (how == "once" and self.client_address[0] in once):
            super().do_GET()
        elif how == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()
        elif how == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"user default on nopass")
        else:
            once.add(self.client_address[0])
            self.send_response(503 if how == "once" else int(how))
            self.end_headers()
os.chdir(sys.argv[1])
s = h.ThreadingHTTPServer(("127.0.0.1", 0), Files)
print(s.server_port)
s.serve_forever()' "$FILES" >"$WORK/port" 2>/dev/null &
    FILE_SERVER=$!
    trap 'kill $FILE_SERVER; rm -rf "$WORK"' EXIT
    for _ in $(seq 600); do [ -s "$WORK/port" ] && break; /bin/sleep 0.1; done
    PORT=$(cat "$WORK/port")
}
lease() { # URL
    fresh; mkdir -p "$SLUICE_ROOT"/{data/etc,data/ssh,data/sluice,run/systemd/netif/leases}
    : >"$SLUICE_ROOT/data/etc/offer"; echo "port 1" >"$SLUICE_ROOT/data/sluice/sluice.conf"
    { echo ADDRESS=10.0.2.15; [ -z "$1" ] || echo "OPTION_239=$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n')${2-}"; } >"$SLUICE_ROOT/run/systemd/netif/leases/2"
}
offer() { timeout 60 "$LIB/offer" "${1:-5}" "${2:-0}" >"$WORK/said"; ! [ -e "$SLUICE_ROOT/data/etc/offer" ] && asked "board apply --start"; }
has() { grep -qx "$2" "$SLUICE_ROOT/data/$1" || { cat "$SLUICE_ROOT/data/$1" "$WORK/said"; return 1; }; }
said() { grep -q "$1" "$WORK/said" || { cat "$WORK/said"; return 1; }; }
offered_folder() { lease "http://127.0.0.1:$PORT/box/"; offer && has sluice/sluice.conf "port 7000" && has sluice/sluice.conf "management-role admin user admin" && has ssh/authorized_keys "ssh-ed25519 A" && [ ! -e "$SLUICE_ROOT/data/board.conf" ]; }
offered_file() { lease "http://127.0.0.1:$PORT/box/sluice.conf" 00; offer && has sluice/sluice.conf "port 7000" && [ ! -e "$SLUICE_ROOT/data/ssh/authorized_keys" ]; }
nothing_offered() { lease ""; offer && has sluice/sluice.conf "port 1" && [ ! -s "$WORK/said" ]; }
no_lease() { lease ""; rm "$SLUICE_ROOT"/run/systemd/netif/leases/2; offer 0 && has sluice/sluice.conf "port 1" && said "no address by DHCP"; }
offered_wrong() { lease "http://127.0.0.1:$PORT/wrong.conf"; offer && has sluice/sluice.conf "port 1" && said "is wrong: 1:wrong"; }
offered_missing() { lease "http://127.0.0.1:$PORT/box/missing"; offer && has sluice/sluice.conf "port 1" && said "no configuration from"; }
offered_large() { lease "http://127.0.0.1:$PORT/large.conf"; offer && has sluice/sluice.conf "port 1" && said "no configuration from"; }
offered_nonsense() { lease 'file:///etc/passwd'; offer && has sluice/sluice.conf "port 1" && said "no URL" && lease 'http://$(reboot)/ x' && offer && said "no URL"; }
offered_later() { lease "http://127.0.0.1:$PORT/box/"; rm "$SLUICE_ROOT/data/etc/offer"; timeout 60 "$LIB/offer" && has sluice/sluice.conf "port 1" && [ ! -s "$WORK/asked" ]; }
# Whether the server has a file cannot be told: nothing is taken, and the console says which and why.
untold() { # HOW NAME REASON
    lease "http://127.0.0.1:$PORT/$1-$2/"; offer && has sluice/sluice.conf "port 1" && said "took nothing from .*whether it has $2 cannot be told: .*$3" &&
        [ -z "$(find "$SLUICE_ROOT"/data/{ssh,board.conf,sluice/users.acl} -type f 2>/dev/null)" ]
}
offered_untold() { untold 503 users.acl 503 && untold 503 authorized_keys 503 && untold 503 board.conf 503 && untold 204 users.acl 204; }
offered_cut() { untold cut users.acl "" && untold cut authorized_keys "" && untold reset board.conf ""; }
offered_gone() { lease "http://127.0.0.1:$PORT/410-authorized_keys/"; offer && has sluice/sluice.conf "port 7000" && [ ! -e "$SLUICE_ROOT/data/ssh/authorized_keys" ]; }
offered_again() { lease "http://127.0.0.1:$PORT/once-authorized_keys/"; offer 5 1 && has sluice/sluice.conf "port 7000" && has ssh/authorized_keys "ssh-ed25519 A"; }

# A medium SLUICE-CONF: a folder, which a mount puts where the box expects it.
MEDIUM=$WORK/medium
tool blkid <<<"[ -d $MEDIUM ] && echo /dev/sdz1"
tool mount <<<"cp $MEDIUM/* \"\${!#}\""
tool umount <<<'rm -rf "$1"'
medium() { # FILE...: each says what it is
    rm -rf "$MEDIUM" && mkdir "$MEDIUM" || return
    for name in "$@"; do echo "medium $name" >"$MEDIUM/$name"; done
    "$SCRIPTS/medium" >"$WORK/said"
}
first() { fresh; mkdir -p "$SLUICE_ROOT"/data/{etc,ssh,sluice}; }
asks() { [ -e "$SLUICE_ROOT/data/etc/offer" ]; }
medium_all() { first; medium sluice.conf users.acl authorized_keys board.conf && has sluice/sluice.conf "medium sluice.conf" && has sluice/users.acl "medium users.acl" && has ssh/authorized_keys "medium authorized_keys" && has board.conf "medium board.conf" && said "took board.conf from /dev/sdz1" && ! asks; }
medium_part() { for name in sluice.conf users.acl authorized_keys board.conf; do first; medium $name && said "took $name" && ! asks || return 1; done; }
no_medium() { first; rm -rf "$MEDIUM"; "$SCRIPTS/medium" && asks && first && medium readme && asks; }
medium_before() { # power failed before the password was made; then without the medium, or with one after all
    first; medium authorized_keys && rm -rf "$MEDIUM" && "$SCRIPTS/medium" && ! asks && has ssh/authorized_keys "medium authorized_keys" || return 1
    first; rm -rf "$MEDIUM"; "$SCRIPTS/medium" && asks && medium board.conf && ! asks
}
medium_kept() { first; rm -rf "$MEDIUM"; echo "port 1" >"$SLUICE_ROOT/data/sluice/sluice.conf"; "$SCRIPTS/medium" && ! asks; }

# images/build with tools that do nothing, but for one, which would go on for ever.
BUILD=$WORK/build
build_tool() { { echo '#!/bin/bash'; cat; } >"$BUILD/bin/$1" && chmod 755 "$BUILD/bin/$1"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
within() { for _ in $(seq 1200); do "$@" && return; /bin/sleep 0.1; done; echo "not in time: $*"; return 1; }
build_ends() { # TOOL SIGNAL STATUS; HUP even if this test is run by nohup
    rm -rf "$BUILD" && mkdir -p "$BUILD"/{bin,programs/{control,mgmt},signing} && : >"$BUILD/signing/certificate.pem" || return
    for name in sluice-dataplane sluice-replay control/sluice-control mgmt/sluice; do : >"$BUILD/programs/$name" && chmod 755 "$BUILD/programs/$name"; done
    build_tool id <<<"echo 1000" # no packages of this machine
    build_tool mmdebstrap <<<'while [ $# -gt 2 ]; do shift; done; echo base >"$1"'
    build_tool strip <<<'cp "$4" "$3"'
    build_tool python3 <<<""
    build_tool "$1" <<<"echo \$\$ >$BUILD/pid.new; mv $BUILD/pid.new $BUILD/pid; exec /bin/sleep 1000"
    SLUICE_SIGNING=$BUILD/signing PATH=$BUILD/bin:$PATH env --default-signal=HUP images/build --output "$BUILD/out" --cache "$BUILD/cache" --programs "$BUILD/programs" >"$BUILD/log" 2>&1 &
    local build=$! child status
    within test -s "$BUILD/pid" || { cat "$BUILD/log"; kill $build; return 1; }
    child=$(cat "$BUILD/pid")
    kill -"$2" $build
    within gone $build; wait $build; status=$?
    gone "$child" && [ $status = "$3" ] && ! ls -d "$BUILD"/cache/work.* 2>/dev/null && return
    echo "status $status"; kill "$child" 2>/dev/null; return 1
}
build_ended() { build_ends mksquashfs TERM 143 && build_ends mmdebstrap TERM 143 && build_ends mksquashfs HUP 129; }

printf 'port 7000\n' >"$FILES/box/sluice.conf"; echo "ssh-ed25519 A" >"$FILES/box/authorized_keys"; echo wrong >"$FILES/wrong.conf"
head -c 3000000 /dev/zero >"$FILES/large.conf"

check "good: a slot that serves is kept" serves
check "good: loading keys may take long" loads_long
check "good: on trial, its dataplane fails again and again: the other slot" falls_back
check "good: updates of the dataplane are given up before that" waits_for_updates
check "good: on trial, control does not answer: the other slot" falls_back_in_time
check "good: on trial, its dataplane fails, and rauc, too" falls_back_alone
check "good: not on trial: stays, and the boot loader does not leave it" stays
check "upgrade install: the other slot is on trial" installs
check "upgrade install: a refused bundle changes nothing" refuses
check "upgrade install: without a bundle" no_bundle
check "upgrade rollback: to a slot that is whole, on trial" goes_back
check "upgrade rollback: not to another" stays_here
check "what is no request of ours is none" no_shell
check "what changes the box is done with control's leave alone, once" no_leave
check "grub-editenv: those before are kept" keeps_those_before
check "grub-editenv: a file that is not whole is made of those before" mends
check "names: servers that DHCP tells of" told_of_servers
check "names: others later; the same again changes nothing" told_again
check "names: what is neither address nor name" told_nonsense
check "names: name servers that are configured" told_by_configuration
check "medium: all that it has is taken, the network is not asked" medium_all
check "medium: the same if it has one of the files alone" medium_part
check "medium: none, or nothing of ours on it: the network is asked" no_medium
check "medium: what a start has left that lost power" medium_before
check "medium: a configuration that a factory reset has kept" medium_kept
check "images/build: when it is ended, so is what it has started" build_ended
if command -v curl >/dev/null; then
    serve_files
    check "offer: a folder of a web server" offered_folder
    check "offer: one file, told with a zero behind it" offered_file
    check "offer: no option: the box keeps what it has" nothing_offered
    check "offer: no lease" no_lease
    check "offer: a configuration with an error" offered_wrong
    check "offer: a file that is not there" offered_missing
    check "offer: more than a megabyte" offered_large
    check "offer: what is no URL of ours" offered_nonsense
    check "offer: not after the first start" offered_later
    check "offer: a server that fails with one of the files: nothing is taken" offered_untold
    check "offer: a file that is cut off, a connection that is reset: nothing is taken" offered_cut
    check "offer: a file that the server has no more" offered_gone
    check "offer: a server that fails once is asked again" offered_again
else
    skip "offer" "no curl"
fi
plan
