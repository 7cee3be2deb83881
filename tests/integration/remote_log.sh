#!/bin/bash
# The log of a box on other hosts: Debian's rsyslogd takes it over UDP, TCP and TLS, goes away and comes back. Prints TAP.
# Runs a box of its own beside any other.
set -u
cd "$(dirname "$0")/../.." || exit 1
export SLUICE_INSTANCE=slurlog SLUICE_LINK_NAME=slrl0 SLUICE_HOST_IP=127.0.157.1 SLUICE_BOX_IP=127.0.157.2 SLUICE_STATS_PORT=29357
. board/dev/lib.sh
. tests/tap.sh
command -v rsyslogd >/dev/null || { skip "log-remote" "rsyslogd is not installed"; plan; exit 0; }
WORK=$(mktemp -d)
CONF=$WORK/sluice.conf
{ sed "s/127\.0\.77\.2/$BOX_IP/" board/dev/sluice.conf; echo "hugepages no"; } >"$CONF"
receivers_end() { for f in "$WORK"/*.pid; do [ -s "$f" ] && kill "$(cat "$f")" 2>/dev/null; done; }
trap 'receivers_end; board/dev/down >/dev/null 2>&1; rm -rf "$WORK"' EXIT
declare -A PORT=([udp]=19514 [tcp]=19601 [tls]=19651)

receiver() { # WAY: an rsyslogd that writes fields with bars between them to $WORK/WAY
    local way=$1 input
    case $way in
    udp) input="module(load=\"imudp\") input(type=\"imudp\" address=\"127.0.0.1\" port=\"${PORT[udp]}\")" ;;
    tcp) input="module(load=\"imtcp\") input(type=\"imtcp\" address=\"127.0.0.1\" port=\"${PORT[tcp]}\")" ;;
    tls) input="global(DefaultNetstreamDriverCAFile=\"$WORK/cert.pem\" DefaultNetstreamDriverCertFile=\"$WORK/cert.pem\"
                       DefaultNetstreamDriverKeyFile=\"$WORK/key.pem\")
                module(load=\"imtcp\" StreamDriver.Name=\"ossl\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")
                input(type=\"imtcp\" address=\"127.0.0.1\" port=\"${PORT[tls]}\")" ;;
    esac
    cat >"$WORK/$way.conf" <<E
global(workDirectory="$WORK" maxMessageSize="64k")
template(name="fields" type="string" string="%protocol-version%|%pri%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%msg%\n")
$input
action(type="omfile" file="$WORK/$way" template="fields")
E
    rsyslogd -n -f "$WORK/$way.conf" -i "$WORK/$way.pid" >>"$WORK/$way.err" 2>&1 &
    wait_until 30 "rsyslogd" test -s "$WORK/$way.pid" && wait_until 30 "its port" listens "$way"
}
listens() { ss -Hlntu "sport = :${PORT[$1]}" | grep -q .; } # what is sent by UDP before is lost
has() { grep -qE "$2" "$WORK/$1"; } # WAY PATTERN
up_is() { curl -sf "http://127.0.0.1:$STATS_PORT/metrics" | grep -qF "sluice_log_remote_up{target=\"$1://127.0.0.1:${PORT[$1]}\"} $2"; }
audit_is_json() { grep -E '\|audit\|' "$WORK/$1" | tail -n 1 | cut -d'|' -f8- | jq -es '.[0] | .what == "configuration" and (.hash | length == 64)' >/dev/null; }

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=logs -addext subjectAltName=IP:127.0.0.1 \
    -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null
check "up" timeout 300 board/dev/up --config "$CONF" || { plan; exit 1; }
for way in udp tcp tls; do check "an rsyslogd for $way" receiver $way; done
check "a word that is no host is refused" fails_with 1 "must be udp://HOST" sluice config set log-remote ftp://127.0.0.1
check "log-remote to all three" sluice config set log-remote-ca-cert-file "$WORK/cert.pem" log-remote "udp://127.0.0.1:${PORT[udp]}" \
    log-remote "tcp://127.0.0.1:${PORT[tcp]}" log-remote "tls://127.0.0.1:${PORT[tls]}"
for way in udp tcp tls; do check "$way is up" wait_until 30 "it" up_is $way 1; done
sluice config set slowlog-max-len 77 >/dev/null
for way in udp tcp tls; do
    check "$way: a line of the log, all fields" wait_until 30 "it" has $way '^1\|133\|20[0-9T:.-]+(Z|[+-][0-9:]+)\|[^|]+\|sluice-control\|[0-9]+\|-\|.*slowlog-max-len'
    check "$way: the line of the audit log" wait_until 30 "it" has $way '^1\|109\|.*\|audit\|.*slowlog-max-len'
    check "$way: which is whole" audit_is_json $way
done
kill -9 "$(cat "$WORK/tcp.pid")"
rm -f "$WORK/tcp.pid"
check "a receiver that is gone is noticed" wait_until 30 "it" up_is tcp 0
for i in 1 2 3 4 5; do sluice config set slowlog-max-len 10$i >/dev/null; done
check "it comes again" receiver tcp
check "and gets what was said meanwhile" wait_until 90 "it" has tcp 'slowlog-max-len.*105'
check "from the first line on" has tcp 'slowlog-max-len.*101'
check "no log-remote any more" sluice config set log-remote ""
check "down" board/dev/down
plan
