"""Five builds of an embedder pull in the crates that `.ci/crates.txt` lists, and no others.

usage: crates.py [--accept]

`--accept` writes what is there to the list, for a change that means it.
"""

import difflib
import pathlib
import subprocess
import sys

LIST = pathlib.Path(__file__).with_name("crates.txt")
# One target for all machines: what a platform adds would make another list of each.
COMMAND = ["cargo", "tree", "--locked", "--target", "x86_64-unknown-linux-gnu"]
COMMAND += ["--edges", "normal,build", "--prefix", "none", "--no-default-features"]
BUILDS = {
    "the codec alone": ["-p", "windhover-core", "--features", "memcache"],
    "the client without a runtime": ["-p", "windhover-client"],
    "a memcache server on tokio": [
        *("-p", "windhover-tokio", "-p", "windhover-core"),
        *("--features", "windhover-core/memcache"),
    ],
    "the client on mio": ["-p", "windhover-mio", "--features", "client"],
    "a memcache server on smol": [
        *("-p", "windhover-async-std", "-p", "windhover-core"),
        *("--features", "windhover-core/memcache"),
    ],
}
# What only the tracking API, the journal, or values as JSON need; no list can make them accepted.
FOREIGN = {"base64", "crc32fast", "httparse", "miniz_oxide", "serde_json"}


def crates(arguments):
    tree = subprocess.run(
        COMMAND + arguments, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return sorted({line.split()[0] for line in tree.splitlines() if line.strip()})


def main():
    found = {build: crates(arguments) for build, arguments in BUILDS.items()}
    lines = [
        line
        for build, names in found.items()
        for line in (f"{build}: {len(names)}", *(f"  {name}" for name in names), "")
    ]
    failed = False
    for build, names in found.items():
        foreign = sorted(FOREIGN.intersection(names))
        if foreign:
            failed = True
            print(f"{build}: builds {', '.join(foreign)}, which it does not need")
    if "--accept" in sys.argv[1:] and not failed:
        LIST.write_text("\n".join(lines), encoding="utf-8")
    expected = LIST.read_text(encoding="utf-8").split("\n") if LIST.exists() else []
    difference = list(difflib.unified_diff(expected, lines, str(LIST.name), "now", lineterm=""))
    if difference:
        failed = True
        print("\n".join(difference))
        print("if that is meant: python3 .ci/crates.py --accept")
    if not failed:
        print("; ".join(f"{build}: {len(names)} crates" for build, names in found.items()))
    return failed


sys.exit(main())
