"""What is below the adapters knows no runtime, and a build of the server with one runtime, for this
machine, pulls in the crates of no other.

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
# Below the adapters; with all their features, so that none is behind one either.
BELOW = ["windhover-core", "windhover-cache", "windhover-runtime", "windhover-client"]


def crates(arguments):
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "-e", "normal", "--prefix", "none", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return {line.split()[0] for line in tree.splitlines() if line.strip()}


failed = False
for package in BELOW:
    found = crates(["-p", package, "--all-features"])
    runtimes = found & set().union(*CRATES.values())
    failed |= bool(runtimes)
    print(f"{package}: {sorted(runtimes) or 'no runtime'}")
for runtime, own in CRATES.items():
    found = crates(["-p", "windhover-server", "--no-default-features", "--features", runtime])
    others = set().union(*(CRATES[other] for other in CRATES if other != runtime))
    foreign = (found & others) - BUILT_ON[runtime]
    missing = own - found
    if foreign or missing:
        failed = True
        print(f"{runtime} alone: has {sorted(foreign)}, lacks {sorted(missing)}")
    else:
        print(f"{runtime} alone: {len(found)} crates, none of another runtime")
sys.exit(failed)
