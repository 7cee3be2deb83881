#!/usr/bin/env python3
"""layout.py OUT FILE...: what the store's memory looks like, as one number: the hash of all struct, union and enum
definitions and macros in these files, comments and white space left out. A store is taken over by a later process
(warm.c) only if the number is the same. What changes the meaning of bytes without changing a definition raises MEANING."""
import hashlib
import re
import sys

MEANING = 2


def definitions(text):
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = text.replace("\\\n", " ")
    for line in re.findall(r"^[ \t]*#[ \t]*define[^\n]*", text, flags=re.M):
        yield line
    for head in re.finditer(r"\b(struct|union|enum)\b\s*\w*\s*\{", text):
        depth, at = 1, head.end()
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        yield text[head.start():at]


def main():
    found = {" ".join(d.split()) for name in sys.argv[2:] for d in definitions(open(name, encoding="utf-8").read())}
    sum256 = hashlib.sha256("\n".join([f"meaning {MEANING}"] + sorted(found)).encode()).hexdigest()
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write(f"/* layout.h: made by layout.py */\n#pragma once\n#define STORE_LAYOUT UINT64_C(0x{sum256[:16]})\n")


main()
