"""Crates that the program is built with in more than one version: each is in `.ci/duplicates.txt`, with the crates that
bring it and why it stays.

usage: duplicates.py
"""

import pathlib
import subprocess
import sys

LIST = pathlib.Path(__file__).with_name("duplicates.txt")
COMMAND = ["cargo", "tree", "--locked", "--duplicates", "-p", "windhover-server", "--edges", "normal,build"]
COMMAND += ["--target", "x86_64-unknown-linux-gnu", "--depth", "1", "--prefix", "depth"]


def main():
    tree = subprocess.run(COMMAND, check=True, stdout=subprocess.PIPE, text=True).stdout
    found, crate = {}, None
    for line in tree.splitlines():
        if line.startswith("0"):
            name, version, *_ = line[1:].split()
            crate = f"{name} {version.removeprefix('v')}"
            found.setdefault(crate, set())
        elif line.startswith("1") and crate:
            found[crate].add(line[1:].split()[0])
    now = {f"{crate}: {', '.join(sorted(by))}" for crate, by in found.items()}
    listed, without_reason = set(), []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            entry, _, why = line.partition("  # ")
            listed.add(entry)
            if not why:
                without_reason.append(entry)
    faults = [f"not in .ci/duplicates.txt: {entry}" for entry in sorted(now - listed)]
    faults += [f"in .ci/duplicates.txt, and not there: {entry}" for entry in sorted(listed - now)]
    faults += [f"has no reason: {entry}" for entry in without_reason]
    count = len({line.split()[0] for line in now})
    print("\n".join(faults) or f"{count} crates in two versions, each with what brings it")
    return bool(faults)


sys.exit(main())
