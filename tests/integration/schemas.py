#!/usr/bin/env python3
"""schemas.py CLI SOCKET HOST: every `show X | json` of a running box against mgmt/schema/show-X.json (draft 2020-12), with clients,
keys, a filter and another revision there, so that lists have rows; and every show of the API has a schema. Prints TAP."""
import glob, json, os, re, socket, subprocess, sys
import jsonschema

cli, path, host = sys.argv[1:4]
folder = os.path.join(os.path.dirname(__file__), "../../mgmt/schema")
schemas = {re.search(r"show-(.*)\.json", f).group(1): json.load(open(f)) for f in sorted(glob.glob(folder + "/show-*.json"))}
number = failed = 0


def check(name, good, why=""):
    global number, failed
    number += 1
    failed += not good
    print(("ok" if good else "not ok"), number, "-", name)
    for line in str(why).splitlines()[:12] if not good else []:
        print("#", line)


def sluice(*words):
    r = subprocess.run([cli, "--socket", path, *words], capture_output=True, text=True, timeout=60)
    if r.returncode:
        raise RuntimeError(f"{' '.join(words)}: {r.stderr}")
    return r.stdout


def ask(client, *words):
    client.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(str.encode, words)))
    return client.recv(65536)


def fits(value, schema):
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(value), key=lambda e: list(e.path))
    return "\n".join(f"{list(e.path)}: {e.message[:300]}" for e in errors[:5])


client = socket.create_connection((host, 6379), timeout=30)
for i in range(300):
    ask(client, "SET", f"key:{i}", "v" * 2000)
    ask(client, "GET", f"key:{i % 7}")
for words in (("RPUSH", "list", *map(str, range(500))), ("HSET", "hash", "f", "v"), ("CONFIG", "SET", "maxclients", "777")):
    ask(client, *words)
sluice("config", "set", "filter", "permit from 0.0.0.0/0", "listener", "more port 7100 user nobody")

answers = {}
for name, schema in schemas.items():
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        answers[name] = json.loads(sluice("show", name, "|", "json"))
        why = fits(answers[name], schema)
    except (RuntimeError, ValueError, jsonschema.SchemaError) as e:
        why = str(e)
    check(f"show {name}", not why, why)

remote = next((c["remote"] for c in answers.get("connections", {}).get("connections", []) if c["state"] == "ESTABLISHED"), "")
for words, name in ((["show", "connections", "--detail", remote], "connections"), (["show", "configuration", "revision", "1"], "configuration"),
                    (["show", "configuration", "|", "compare", "1"], "configuration"), (["show", "config", "max*"], "config")):
    try:
        why = fits(json.loads(sluice(*words, "|", "json")), schemas[name])
    except (RuntimeError, ValueError) as e:
        why = str(e)
    check(" ".join(words[:4]), not why, why)
has_rows = [n for n in ("clients", "drops", "filters", "history", "listeners", "log", "neighbors", "addresses", "routes", "links") if not answers.get(n)]
check("lists have rows", not has_rows, has_rows)
shows = {o["what"] for o in answers.get("roles", {}).get("operations", []) if o["op"] == "show"}
check("every show has a schema", shows == set(schemas), shows ^ set(schemas))
# A schema that takes everything would be none: what is changed in an answer must be seen.
blind = []
for name, value in answers.items():
    row = value[0] if isinstance(value, list) and value else value
    if isinstance(row, dict) and row and name not in ("clients", "config", "links"):
        first = next(iter(row))
        broken = dict(row, **{first: {"odd": [None]}})
        if not fits([broken] if isinstance(value, list) else broken, schemas[name]):
            blind.append(name)
check("an odd value is noticed", not blind, blind)
print(f"1..{number}")
sys.exit(failed > 0)
