#!/bin/bash
# The CLI as a person uses it, in windows of tmux (terminal.py), against a box that sees a /var/tmp of its own, as on the image. Prints TAP.
# SCREENS=FOLDER keeps what was on the screens.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=sluterm SLUICE_LINK_NAME=slte0 SLUICE_HOST_IP=127.0.242.1 SLUICE_BOX_IP=127.0.242.2 SLUICE_STATS_PORT=29242
. board/dev/lib.sh
WORK=$(mktemp -d)
OPERATORS=/var/tmp/$(basename "$WORK")
CONF=$WORK/sluice.conf
{
    sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf
    printf '%s\n' "hugepages no" "enable-debug-command yes" "management-socket-group nogroup" "management-role operator user 47001"
} >"$CONF"
trap 'board/dev/down >/dev/null 2>&1; rm -rf "$WORK" "$OPERATORS"' EXIT

mkdir "$OPERATORS" && chmod 755 "$WORK"
# Three keys, in a file that control can neither see nor read.
printf 'SET a 1\nSET b 2\nSET c 3\nSAVE\n' >"$WORK/keys"
redis-server --port 0 --unixsocket "$WORK/redis.sock" --dir "$OPERATORS" --dbfilename own.rdb --save '' >/dev/null 2>&1 &
redis=$!
wait_until 60 "a redis-server" test -S "$WORK/redis.sock" && redis-cli -s "$WORK/redis.sock" <"$WORK/keys" >/dev/null
redis-cli -s "$WORK/redis.sock" shutdown nosave 2>/dev/null
wait $redis
chown -R 47001:65534 "$OPERATORS" && chmod 700 "$OPERATORS" && chmod 600 "$OPERATORS/own.rdb"

cat >"$WORK/up" <<EOF
#!/bin/sh
exec unshare -m sh -c 'mount -t tmpfs none /var/tmp && exec board/dev/up --config $CONF'
EOF
chmod 755 "$WORK/up"
timeout 300 "$WORK/up" >"$WORK/up.out" 2>&1 || { sed 's/^/# /' "$WORK/up.out"; printf 'not ok 1 - a box with a /var/tmp of its own\n1..1\n'; exit 1; }
timeout 1500 /usr/bin/python3 tests/integration/terminal.py --cli "$(realpath "$BUILD")/mgmt/sluice" --socket "$RUN/management.sock" --host "$BOX_IP" --folder "$WORK" \
    --up "$WORK/up" --pid "$RUN/control.pid" ${SCREENS:+--screens "$SCREENS"} "$@"
