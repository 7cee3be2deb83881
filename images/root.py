#!/usr/bin/env python3
"""root.py BASE.tar OWN --sbom FILE --extract DIR ...: the root as a tar on stdout: Debian's part, ours over it, in one order and
with one time, owned by root unless Debian's part says otherwise. Also writes what is in it (SPDX 2.3) and takes out what the first
file system is made of."""
import argparse
import hashlib
import io
import json
import os
import posixpath
import re
import sys
import tarfile
import time

FIRST = {"bin/busybox": "busybox", "usr/bin/busybox": "busybox", "sbin/dmsetup": "dmsetup", "usr/sbin/dmsetup": "dmsetup"}
LIBRARIES = ("libc.so.6", "libm.so.6", "libdevmapper.so.1.02.1", "libselinux.so.1", "libudev.so.1", "libpcre2-8.so.0",
             "libpthread.so.0", "ld-linux-x86-64.so.2", "libcap.so.2")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("own")
    parser.add_argument("--sbom")
    parser.add_argument("--extract")
    parser.add_argument("--version")
    parser.add_argument("--epoch", type=int)
    return parser.parse_args()


def sbom(status, options, own):
    """Debian's packages by dpkg's list, our files by their sums."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(options.epoch))
    packages = []
    for block in status.split("\n\n"):
        field = dict(re.findall(r"^([A-Za-z-]+): (.*)$", block, re.M))
        if "installed" not in field.get("Status", "").split():
            continue
        name, version = field["Package"], field["Version"]
        packages.append({"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version,
                         "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                         "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                           "referenceLocator": f"pkg:deb/debian/{name}@{version}?arch={field['Architecture']}&distro=bookworm"}]})
    packages.sort(key=lambda p: p["name"])
    packages.insert(0, {"SPDXID": "SPDXRef-Sluice", "name": "sluice", "versionInfo": options.version, "downloadLocation": "NOASSERTION",
                        "filesAnalyzed": False, "licenseDeclared": "BSD-3-Clause"})
    files = [{"SPDXID": f"SPDXRef-File-{n}", "fileName": "./" + path,
              "checksums": [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(body).hexdigest()}]}
             for n, (path, body) in enumerate(sorted(own.items()))]
    digest = hashlib.sha256(json.dumps([packages, files]).encode()).hexdigest()
    return json.dumps({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "sluice-image",
                       "documentNamespace": f"urn:sluice:sbom:{digest}", "creationInfo": {"created": stamp, "creators": ["Tool: images/build"]},
                       "packages": packages, "files": files,
                       "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": p["SPDXID"]}
                                         for p in packages]}, indent=1).encode() + b"\n"


def own_members(folder, linked):
    """Our files as tar members; a path through one of Debian's links (lib -> usr/lib) goes where that leads."""
    for at, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(at, name)
            member = tarfile.TarInfo(linked(os.path.relpath(path, folder)))
            status = os.lstat(path)
            member.mode = status.st_mode & 0o7777
            if os.path.islink(path):
                member.type, member.linkname, body = tarfile.SYMTYPE, os.readlink(path), None
                if name in folders:
                    folders.remove(name)
            elif os.path.isdir(path):
                member.type, body = tarfile.DIRTYPE, None
            else:
                with open(path, "rb") as f:
                    body = f.read()
                member.size = len(body)
            yield member, body


def main():
    options = arguments()
    base = tarfile.open(options.base)
    members = {}
    for member in base:
        member.name = posixpath.normpath(member.name)
        members[member.name] = (member, None)
    links = {name: m.linkname for name, (m, _) in members.items() if m.issym() and "/" not in name}

    def linked(path):
        first, _, rest = path.partition("/")
        return f"{links[first].lstrip('/')}/{rest}" if first in links and rest else path

    own = {}
    for member, body in own_members(options.own, linked):
        if member.isdir() and member.name in members:
            continue
        members[member.name] = (member, body)
        if body is not None:
            own[member.name] = body
    status = base.extractfile(members["var/lib/dpkg/status"][0]).read().decode()
    text = sbom(status, options, own)
    with open(options.sbom, "wb") as f:
        f.write(text)
    listing = tarfile.TarInfo("usr/lib/sluice/sluice.spdx.json")
    listing.size, listing.mode = len(text), 0o644
    members[listing.name] = (listing, text)
    extract(base, members, options.extract)

    out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)
    for name in sorted(members):
        member, body = members[name]
        member.mtime = options.epoch
        member.pax_headers = {k: v for k, v in member.pax_headers.items() if not k.endswith("time")}
        if name.startswith("boot/") and name != "boot/esp":
            continue
        if member.islnk():  # what it is a link to may come later: two files, which squashfs keeps once
            body = base.extractfile(member).read()
            member.type, member.linkname, member.size = tarfile.REGTYPE, "", len(body)
        out.addfile(member, io.BytesIO(body) if body is not None else base.extractfile(member) if member.isreg() else None)
    out.close()


def extract(base, members, folder):
    def resolve(name):
        while members[name][0].issym():
            link = members[name][0].linkname
            name = posixpath.normpath(link.lstrip("/") if link.startswith("/") else posixpath.join(posixpath.dirname(name), link))
        return name

    def put(name, to):
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(to, "wb") as f:
            f.write(base.extractfile(members[resolve(name)][0]).read())
        os.chmod(to, 0o755)

    for name in sorted(members):
        base_name = posixpath.basename(name)
        if name in FIRST:
            put(name, f"{folder}/{FIRST[name]}")
        elif name.startswith("boot/vmlinuz-"):
            put(name, f"{folder}/vmlinuz")
        elif base_name in LIBRARIES and "/x86_64-linux-gnu/" in "/" + name:
            put(name, f"{folder}/libs/{base_name}")
        elif re.match(r"(usr/)?lib/modules/", name) and members[name][0].isreg():
            put(name, f"{folder}/modules/" + name.split("modules/", 1)[1])


main()
