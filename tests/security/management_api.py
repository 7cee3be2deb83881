#!/usr/bin/python3
"""management_api.py WHAT ADDRESS PORT CA FOLDER: hostile and exact clients of the management API over HTTPS. FOLDER holds a token a
role (admin.token ...). Each WHAT exits with 0, or says what is wrong."""
import http.client
import json
import socket
import ssl
import struct
import subprocess
import sys
import time

ROLES = ["admin", "operator", "security", "read-only", "support"]
ALL = set(ROLES)
LOOK = [
    "show status|version|config|clients|stats|latency|log|links|connections|neighbors|arp|routes|addresses|listeners|drops|filters|topology|plan|roles|health|alarms|configuration|history",
    "config get|schema|import", "certificate list|show|export", "snapshot list",
]
# Written down here once more, so that whoever changes the box's table says so twice.
WANTED = {
    frozenset(ALL): LOOK,
    frozenset({"admin", "operator", "read-only"}): ["show hotkeys|bigkeys"],
    frozenset({"admin", "operator", "support"}): ["ping start|next"],
    frozenset({"admin", "operator", "security"}): ["config set|load|rewrite", "configure enter|leave|set|delete|insert|show|check|commit|rollback|discard|load|import"],
    frozenset({"admin", "security"}): ["certificate check|install|rotate|self-signed|csr|delete", "token list|revoke", "audit show|verify"],
    frozenset({"admin", "operator"}): ["restart dataplane", "stop ", "system leave", "capture ", "snapshot import|abandon"],
    frozenset({"admin"}): ["token create"],
}
# What would end the box, or hold a connection: allowed ones are only asked where the answer is known to be no.
ENDS = {("stop", ""), ("restart", "dataplane"), ("capture", ""), ("config", "load"), ("config", "rewrite")}

what, address, port, ca, folder = sys.argv[1:6]
port = int(port)
context = ssl.create_default_context(cafile=ca)


def token(role):
    return open(f"{folder}/{role}.token").read().strip()


def ask(method, path, role="admin", body=None, headers=None, connection=None):
    c = connection or http.client.HTTPSConnection(address, port, context=context, timeout=40)
    head = {"Authorization": "Bearer " + token(role)} if role else {}
    if body is not None:
        head["Content-Type"] = "application/json"
    head.update(headers or {})
    c.request(method, path, body, head)
    r = c.getresponse()
    text = r.read()
    if not connection:
        c.close()
    return r.status, text


def patient(*what, **how):
    """As ask, no faster than one address may."""
    for _ in range(600):
        try:
            status, text = ask(*what, **how)
            if status != 429:
                return status, text
        except (ConnectionError, http.client.HTTPException, ssl.SSLError):
            pass
        time.sleep(0.05)  # until the bucket has something
    sys.exit("not so: the box serves this address again")


def raw(data=b"", wait=True):
    s = context.wrap_socket(socket.create_connection((address, port), timeout=40), server_hostname=address)
    if data:
        s.sendall(data)
    if not wait:
        return s
    got = b""
    try:
        while piece := s.recv(65536):
            got += piece
    except (ConnectionError, ssl.SSLError):
        pass
    s.close()
    return got


def must(condition, text):
    if not condition:
        sys.exit(f"not so: {text}")


def table():
    rows = json.loads(patient("GET", "/v1/show/roles")[1])["data"]["operations"]
    return {(r["op"], r["what"]): set(r["roles"]) for r in rows}


def wanted():
    out = {}
    for roles, lines in WANTED.items():
        for line in lines:
            op, whats = line.split(" ", 1)
            for w in whats.split("|"):
                out[op, w] = set(roles)
    return out


def known():
    """The table is the one that is written down; an operation that is not there is admin's alone."""
    have, want = table(), wanted()
    for key, roles in have.items():
        expected = want.get(key, {"admin"})
        must(roles == expected or key not in want, f"{key}: {sorted(roles)}, wanted {sorted(expected)}")
    must(not set(want) - set(have), f"gone: {set(want) - set(have)}")


def matrix():
    """Each role, each operation: refused by the role exactly as the table says."""
    n, rows = 0, table()
    for role in ROLES:
        for (op, w), roles in rows.items():
            if role in roles and (op, w) in ENDS:
                continue
            status, text = patient("POST", f"/v1/{op}" + (f"/{w}" if w else ""), role, "{}")
            answer = json.loads(text)
            refused = status == 403 and answer["error"]["code"] == "forbidden" and role in answer["error"]["message"]
            must(refused == (role not in roles), f"{role}, {op} {w}: {status} {text[:200]}")
            n += 1
        for path, roles in (("/v1/snapshot/export", {"admin", "operator"}), ("/v1/session", ALL)):
            status, text = patient("GET", path, role)
            must((status == 403) == (role not in roles), f"{role}, {path}: {status}")
        status, text = patient("PUT", "/v1/snapshot/upload", role, headers={"Content-Length": "0"})
        must((status == 403) == (role not in {"admin", "operator"}), f"{role}, upload: {status}")
    print(n)


def socket_matrix():
    """The same on the Unix socket, as users whom management-role lines name. FOLDER/uids: "role uid" lines."""
    path = open(f"{folder}/socket").read().strip()
    ask_one = (
        "import json, socket, struct, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect(sys.argv[1])\n"
        "for line in sys.stdin:\n"
        "    b = line.strip().encode(); s.sendall(struct.pack('>I', len(b)) + b)\n"
        "    def take(n):\n"
        "        d = b''\n"
        "        while len(d) < n:\n"
        "            p = s.recv(n - len(d))\n"
        "            if not p: sys.exit('closed')\n"
        "            d += p\n"
        "        return d\n"
        "    r = json.loads(take(struct.unpack('>I', take(4))[0]))\n"
        "    print(json.dumps(r.get('error', {'code': 'ok', 'message': ''})), flush=True)\n"
    )
    rows = table()
    for line in open(f"{folder}/uids"):
        role, uid = line.split()
        asked = [(k, v) for k, v in rows.items() if not (role in v and k in ENDS)]
        text = "".join(json.dumps({"op": op, "what": w}) + "\n" for (op, w), _ in asked)
        p = subprocess.run(["setpriv", "--reuid", uid, "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", ask_one, path],
                           input=text, capture_output=True, text=True, timeout=240)
        answers = [json.loads(a) for a in p.stdout.splitlines()]
        must(len(answers) == len(asked), f"{role}: {len(answers)} of {len(asked)} answers {p.stderr[-300:]}")
        for ((op, w), roles), a in zip(asked, answers):
            must((a["code"] == "forbidden") == (role not in roles), f"{role}, {op} {w}: {a}")


def hostile():
    """What is no request, or one too big: a status, and the next client is served."""
    host = b"Host: box\r\n"
    auth = b"Authorization: Bearer " + token("admin").encode() + b"\r\n"
    cases = [
        (b"GET /v1/show/status HTTP/1.1\r\n" + host + auth + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET /v1/show/status HTTP/1.1\r\n" + host + auth + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400),
        (b"GET /v1/show/status HTTP/1.1\r\n" + host + auth + b"Origin: https://evil.example\r\n\r\n", 403),
        (b"GET /v1/show/status HTTP/1.1\r\n" + auth + b"\r\n", 400),
        (b"GET /v1/../../etc/passwd HTTP/1.1\r\n" + host + auth + b"\r\n", 404),
        (b"GET /v1/config/set HTTP/1.1\r\n" + host + auth + b"\r\n", 405),
        (b"DELETE /v1/config/set HTTP/1.1\r\n" + host + auth + b"\r\n", 405),
        (b"POST /v1/config/set HTTP/1.1\r\n" + host + auth + b"Content-Type: application/json\r\nContent-Length: 2000000\r\n\r\n", 413),
        (b"POST /v1/config/set HTTP/1.1\r\n" + host + auth + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"POST /v1/config/set HTTP/1.1\r\n" + host + auth + b"Content-Type: application/json\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n" + b"[" * 5000, 400),
        (b"GET /v1/show/status?" + b"a" * 20000 + b" HTTP/1.1\r\n" + host + auth + b"\r\n", 431),
        (b"\x16\x03\x01 not http at all\r\n\r\n", 400),
        (b"GET /v1/show/status HTTP/1.1\n" + host + auth + b"\r\n\r\n", 400),
        (b"POST /v1/stop?op=show&what=status HTTP/1.1\r\n" + host + auth + b"\r\n", 400),
    ]
    for data, status in cases:
        got = raw(data)
        must(got.startswith(f"HTTP/1.1 {status} ".encode()), f"{data[:60]!r}: {got[:120]!r}, wanted {status}")
        must(json.loads(got.split(b"\r\n\r\n", 1)[1])["ok"] is False, "an error as JSON")
    # Requests behind each other in one piece: answered in order.
    one = b"GET /v1/show/version HTTP/1.1\r\n" + host + auth + b"\r\n"
    got = raw(one * 5 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    must(got.count(b"HTTP/1.1 200 OK") == 6, "six requests at once")
    must(ask("GET", "/v1/show/status")[0] == 200, "it serves")


def plain():
    """Somebody who speaks no TLS, and one whom the box has to speak TLS 1.1 or without forward secrecy."""
    s = socket.create_connection((address, port), timeout=40)
    s.sendall(b"GET /v1/show/status HTTP/1.1\r\nHost: box\r\n\r\n")
    got = b""
    try:
        while piece := s.recv(4096):
            got += piece
    except ConnectionError:
        pass
    must(b"HTTP" not in got, f"an answer without TLS: {got[:80]!r}")
    must(ask("GET", "/v1/show/status")[0] == 200, "it serves")


def logins():
    """Refused ones are answered later and later; a good one at once."""
    times = []
    for _ in range(4):
        begin = time.monotonic()
        status, _text = ask("GET", "/v1/show/status", None, headers={"Authorization": "Bearer slt_00000000_" + "A" * 43})
        must(status == 401, f"status {status}")
        times.append(time.monotonic() - begin)
    must(times[2] >= 1 and times[3] >= 2, f"held back for {times}")
    quick = []
    for _ in range(5):  # a disk that others keep busy may hold one of them up, at the audit log
        begin = time.monotonic()
        must(ask("GET", "/v1/show/status")[0] == 200, "the right token")
        quick.append(time.monotonic() - begin)
    must(min(quick) < 1, f"the right token waits for the wrong ones: {quick}")
    status, _text = ask("GET", "/v1/show/status", None)
    must(status == 401, "nobody")


def slow():
    """A head that comes byte by byte, and connections that say nothing: closed after 10 s; there are no more than 16 from here."""
    begin = time.monotonic()
    idle = [raw(wait=False) for _ in range(12)]
    s = raw(wait=False)
    ended = None
    s.settimeout(0.5)
    data = b"GET /v1/show/status HTTP/1.1\r\nHost: box\r\nA: " + b"a" * 200
    for i in range(60):
        try:
            s.sendall(data[i:i + 1])
            if s.recv(100) == b"":
                ended = time.monotonic() - begin
                break
        except (TimeoutError, socket.timeout, ssl.SSLWantReadError):
            continue
        except (ConnectionError, ssl.SSLError, OSError):
            ended = time.monotonic() - begin
            break
    must(ended and ended < 29, f"a slow head ends after {ended}")
    for c in idle:
        c.settimeout(20)
        try:
            must(c.recv(10) == b"", "an idle connection is answered")
        except (ConnectionError, ssl.SSLError):
            pass
    must(ask("GET", "/v1/show/status")[0] == 200, "it serves")


def crowd():
    """More connections than one address may have: those that are there are served on."""
    kept = [raw(wait=False) for _ in range(14)]
    more = 0
    for _ in range(30):
        try:
            kept.append(raw(wait=False))
            more += 1
        except (ConnectionError, ssl.SSLError, OSError):
            pass
    must(more <= 2, f"{14 + more} connections from one address")
    kept[0].sendall(b"GET /v1/show/version HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer " + token("admin").encode() + b"\r\n\r\n")
    must(kept[0].recv(1000).startswith(b"HTTP/1.1 200"), "a connection that was there")
    for s in kept:
        s.close()


def rate():
    """More requests than one address may send: 429, and soon again 200."""
    c = http.client.HTTPSConnection(address, port, context=context, timeout=40)
    seen = {}
    for _ in range(600):
        try:
            status, _text = ask("GET", "/v1/show/version", connection=c)
        except (ConnectionError, http.client.HTTPException, ssl.SSLError):
            status = 0
        seen[status] = seen.get(status, 0) + 1
        if status != 200:
            c = http.client.HTTPSConnection(address, port, context=context, timeout=40)
    for _ in range(100):
        try:
            if ask("GET", "/v1/show/version")[0] == 200:
                return
        except (ConnectionError, ssl.SSLError, OSError):
            time.sleep(0.1)  # until the bucket has something
    sys.exit(f"not so: served again: {seen}")


def openapi():
    j = json.loads(ask("GET", "/v1/openapi.json", "support")[1])
    have = table()
    must(j["openapi"].startswith("3.1"), "version")
    for (op, w), roles in have.items():
        path = j["paths"].get(f"/v1/{op}" + (f"/{w}" if w else ""))
        must(path and set(path["post"]["x-roles"]) == roles, f"{op} {w}")
    ids = [m["operationId"] for p in j["paths"].values() for m in p.values()]
    must(len(ids) == len(set(ids)), "operationIds are unique")


def secrets():
    """Passwords are for admin and security alone."""
    for role in ROLES:
        value = json.loads(ask("GET", "/v1/config/get?name=requirepass", role)[1])["data"]["requirepass"]
        must((value == "sesame") == (role in ("admin", "security")), f"{role}: {value}")


def upload():
    """A file that is none, one that stops half way, one of zero bytes."""
    must(ask("PUT", "/v1/snapshot/upload", body=b"REDIS0011 no" * 1000, headers={"Content-Type": "application/octet-stream"})[0] == 422, "garbage")
    s = raw(b"PUT /v1/snapshot/upload HTTP/1.1\r\nHost: box\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\nAuthorization: Bearer " + token("admin").encode() + b"\r\n\r\n", False)
    must(s.recv(100).startswith(b"HTTP/1.1 100 "), "the box waits for it")
    s.sendall(b"REDIS")
    second = ask("PUT", "/v1/snapshot/upload", body=b"x", headers={"Content-Type": "application/octet-stream"})[0]
    s.close()
    must(second == 409, f"two at a time: {second}")
    must(ask("PUT", "/v1/snapshot/upload", headers={"Content-Length": str(10**15)})[0] == 507, "more than the disk holds")
    for _ in range(100):
        if ask("PUT", "/v1/snapshot/upload", body=b"x", headers={"Content-Type": "application/octet-stream"})[0] == 422:
            return
        time.sleep(0.1)  # until the first has been noticed to be gone
    sys.exit("not so: the next upload is possible")


def sessions():
    """One token's sessions are not all that there may be: the local CLI (FOLDER/local: what to call) is served."""
    head = b"GET /v1/session HTTP/1.1\r\nHost: box\r\nConnection: Upgrade\r\nUpgrade: sluice\r\nAuthorization: Bearer " + token("read-only").encode() + b"\r\n\r\n"
    kept, answer = [], b""
    for _ in range(2000):
        try:
            s = raw(head, False)
            answer = s.recv(1000)
        except (ConnectionError, ssl.SSLError):
            answer = b""
        if answer.startswith(b"HTTP/1.1 101"):
            kept.append(s)
        elif answer.startswith(b"HTTP/1.1 503"):
            break
        else:
            time.sleep(0.05)  # until the bucket has something
    must(answer.startswith(b"HTTP/1.1 503") and 40 <= len(kept) <= 48, f"{len(kept)} sessions, then {answer[:40]}")
    local = subprocess.run(open(f"{folder}/local").read().split(), timeout=60, capture_output=True, text=True)
    must(local.returncode == 0, f"the local CLI: {local.stderr}")
    for s in kept:
        s.close()


def revoked():
    """A session and a stream end when their token does. FOLDER/gone.token, FOLDER/revoke: what to call."""
    t = open(f"{folder}/gone.token").read().strip().encode()
    head = b"Host: box\r\nAuthorization: Bearer " + t + b"\r\n"
    session = raw(b"GET /v1/session HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: sluice\r\n" + head + b"\r\n", False)
    must(session.recv(1000).startswith(b"HTTP/1.1 101"), "a session")
    request = b'{"op":"show","what":"version"}'
    session.sendall(struct.pack(">I", len(request)) + request)
    must(b'"ok":true' in session.recv(4096), "it is served")
    stream = raw(b"POST /v1/capture HTTP/1.1\r\n" + head + b"Content-Length: 0\r\n\r\n", False)
    must(stream.recv(1000).startswith(b"HTTP/1.1 200"), "a stream")
    # Requests whose head has come, and whose body comes after the token's end.
    late = []
    for begin, rest in ((b"PUT /v1/snapshot/upload HTTP/1.1\r\nContent-Length: 20\r\n", b"REDIS0011 no" + b"x" * 8),
                        (b"POST /v1/show/version HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n", b"{}")):
        s = raw(begin + b"Expect: 100-continue\r\n" + head + b"\r\n", False)
        must(s.recv(1000).startswith(b"HTTP/1.1 100"), "the box waits for the body")
        late.append((s, rest))
    must(subprocess.run(open(f"{folder}/revoke").read().split(), timeout=60, capture_output=True).returncode == 0, "revoke")
    for s, rest in late:
        s.sendall(rest)
        answer = s.recv(4096)
        must(answer.startswith(b"HTTP/1.1 403"), f"a body behind the token's end: {answer[:80]}")
        s.close()
    for s in (session, stream):
        s.settimeout(40)
        try:
            while s.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
    status, _text = ask("GET", "/v1/show/version", None, headers={"Authorization": "Bearer " + t.decode()})
    must(status == 401, "it is no token any more")


{f.__name__: f for f in (known, matrix, socket_matrix, hostile, plain, logins, slow, crowd, rate, openapi, secrets, upload, sessions, revoked)}[what]()
