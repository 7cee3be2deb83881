#!/usr/bin/python3
"""What scanners say of a port with TLS: sslscan, and testssl.sh with --testssl (minutes). Everything they find is held against what is expected of a
box with an EC or an RSA key: nothing less, and nothing more. Prints TAP; --table FILE: the findings as a table.

scan.py HOST PORT ec|rsa [--dh] [--testssl] [--table FILE]"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

AEAD = {"{0}-AES256-GCM-SHA384", "{0}-AES128-GCM-SHA256", "{0}-CHACHA20-POLY1305"}
EXCHANGES = {"ec": ["ECDHE-ECDSA"], "rsa": ["ECDHE-RSA"]}
TLS13 = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"}
LEAST_BITS = 112  # of a group for a key agreement (SP 800-57)
GOOD = {"OK", "INFO"}  # severities of testssl.sh
# Findings of testssl.sh that are worse than INFO, each with the reason.
EXPECTED = {"cipher_order": "tls-prefer-server-ciphers is no, as in Redis: every suite that is offered is good enough for the client to choose"}
SECTIONS = {"-p": "protocols", "-s": "categories of ciphers", "-f": "forward secrecy", "-P": "preferences", "-U": "vulnerabilities"}
TESTSSL_SECONDS = 900


class Tap:
    def __init__(self):
        self.number = self.failed = 0

    def check(self, good, name, note=""):
        self.number += 1
        self.failed += not good
        print(f"{'' if good else 'not '}ok {self.number} - {name}")
        if note and not good:
            print(f"# {note}")
        sys.stdout.flush()


def expected_ciphers(key, dh):
    exchanges = EXCHANGES[key] + (["DHE-RSA"] if dh else [])
    return {("TLSv1.3", name) for name in TLS13} | {("TLSv1.2", name.format(each)) for each in exchanges for name in AEAD}


def sslscan(tap, opts, folder):
    out = pathlib.Path(folder, "sslscan.xml")
    subprocess.run(["sslscan", "--no-colour", "--show-sigs", f"--xml={out}", f"{opts.host}:{opts.port}"], capture_output=True, timeout=240, check=True)
    found = tree.parse(out).getroot().find("ssltest")
    spoken = {p.get("type") + p.get("version") for p in found.iter("protocol") if p.get("enabled") == "1"}
    tap.check(spoken == {"tls1.2", "tls1.3"}, "sslscan: TLS 1.2 and 1.3 are spoken, nothing else", spoken)
    ciphers = {(c.get("sslversion"), c.get("cipher")) for c in found.iter("cipher")}
    wanted = expected_ciphers(opts.key, opts.dh)
    tap.check(ciphers == wanted, "sslscan: exactly the suites with forward secrecy and AEAD",
              f"more: {sorted(ciphers - wanted)}, less: {sorted(wanted - ciphers)}")
    weak = [c.get("cipher") for c in found.iter("cipher") if c.get("strength") in ("weak", "null", "anonymous", "medium") or int(c.get("bits")) < 128]
    tap.check(ciphers and not weak, "sslscan: none of them weak", weak)
    groups = {g.get("name"): int(g.get("bits")) for g in found.iter("group")}
    tap.check(groups and min(groups.values()) >= LEAST_BITS, "sslscan: no small group for a key agreement", groups)
    beats = [h.get("vulnerable") for h in found.iter("heartbleed")]
    tap.check(beats and set(beats) == {"0"}, "sslscan: no heartbleed", beats)
    again = [(r.get("supported"), r.get("secure")) for r in found.iter("renegotiation")]
    tap.check(again and all(s == "0" or secure == "1" for s, secure in again), "sslscan: no insecure renegotiation", again)
    return [("protocols", ", ".join(sorted(spoken))), ("suites", ", ".join(f"{v} {c}" for v, c in sorted(ciphers))),
            ("groups", ", ".join(f"{name} ({bits} bits)" for name, bits in groups.items())), ("Heartbleed, insecure renegotiation", "none")]


def testssl(tap, opts, folder):
    rows = []
    for option, what in SECTIONS.items():
        out = pathlib.Path(folder, f"testssl{option}.json")
        subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", option, "--jsonfile", str(out), f"{opts.host}:{opts.port}"],
                       capture_output=True, timeout=TESTSSL_SECONDS)
        found = json.loads(out.read_text()) if out.exists() else []
        own = [f for f in found if f["id"] not in ("scanTime", "engine_problem", "service")]
        worse = [f for f in own if f["severity"] not in GOOD and f["id"] not in EXPECTED]
        tap.check(own and not worse, f"testssl.sh: {what}: {len(own)} findings, none worse than expected",
                  [(f["id"], f["severity"], f["finding"]) for f in worse])
        rows += [(f["id"], f"{f['finding']} ({f['severity']})") for f in own]
    return rows


def main():
    parser = argparse.ArgumentParser(description="see the head of this file")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("key", choices=EXCHANGES)
    parser.add_argument("--dh", action="store_true", help="there are tls-dh-params")
    parser.add_argument("--testssl", action="store_true")
    parser.add_argument("--table")
    opts, tap = parser.parse_args(), Tap()
    with tempfile.TemporaryDirectory() as folder:
        rows = sslscan(tap, opts, folder) + (testssl(tap, opts, folder) if opts.testssl else [])
    if opts.table:
        pathlib.Path(opts.table).write_text("| asked for | said |\n|---|---|\n" + "".join(f"| {a} | {b} |\n" for a, b in rows))
    print(f"1..{tap.number}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
