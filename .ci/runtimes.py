"""A build of the server with one runtime, for this machine, pulls in the crates of no other.

usage: runtimes.py
"""

import subprocess
import sys

# The crates by which one knows a runtime. tokio is itself built on mio.
CRATES = {
    "tokio": {"tokio", "windhover-tokio"},
    "async-std": {"async-std", "async-io", "async-global-executor", "windhover-async-std"},
    "mio": {"mio", "windhover-mio"},
}
BUILT_ON = {"tokio": {"mio"}, "async-std": set(), "mio": set()}

failed = False
for runtime, own in CRATES.items():
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "-p", "windhover", "--no-default-features"]
        + ["--features", runtime, "-e", "normal", "--prefix", "none"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    crates = {line.split()[0] for line in tree.splitlines() if line.strip()}
    others = set().union(*(CRATES[other] for other in CRATES if other != runtime))
    foreign = (crates & others) - BUILT_ON[runtime]
    missing = own - crates
    if foreign or missing:
        failed = True
        print(f"{runtime} alone: has {sorted(foreign)}, lacks {sorted(missing)}")
    else:
        print(f"{runtime} alone: {len(crates)} crates, none of another runtime")
sys.exit(failed)
