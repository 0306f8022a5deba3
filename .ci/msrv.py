"""Every dependency has to build with the Rust that the workspace names in `rust-version`.

usage: msrv.py MANIFEST...
"""

import json
import subprocess
import sys


def version(text):
    parts = [int(part) for part in text.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


failed = False
for manifest in sys.argv[1:]:
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--locked", "--format-version=1", "--all-features"]
            + ["--manifest-path", manifest],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    own = [p for p in metadata["packages"] if p["id"] in metadata["workspace_members"]]
    promised = min(version(package["rust_version"]) for package in own)
    for package in metadata["packages"]:
        needed = package["rust_version"]
        if needed and version(needed) > promised:
            failed = True
            name = f"{package['name']} {package['version']}"
            print(f"{manifest}: {name} needs Rust {needed}, promised is {promised}")
    if not failed:
        print(f"{manifest}: {len(metadata['packages'])} packages build with Rust "
              f"{'.'.join(map(str, promised))}")
sys.exit(failed)
