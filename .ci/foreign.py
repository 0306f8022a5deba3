"""The public API of each crate names types of these other crates, and of no more: a dependency whose types are in it
cannot change its major version without ours.

usage: foreign.py LISTINGS [--accept]      LISTINGS are made by .ci/api
"""

import pathlib
import re
import sys

LIST = pathlib.Path(__file__).with_name("foreign.txt")
# Ours, the standard library's, and its primitive types.
OWN = re.compile(r"^(windhover_\w+|core|alloc|std|self|crate|str|bool|char|[iu](8|16|32|64|128|size)|f32|f64)$")
# The first part of a path.
ROOT = re.compile(r"(?<![\w:>])([a-z_][a-z0-9_]*)::(?=[A-Za-z_<])")


def foreign(listing):
    names = set()
    for line in listing.read_text(encoding="utf-8").splitlines():
        names |= {name for name in ROOT.findall(line) if not OWN.match(name)}
    return names


def main():
    folder = pathlib.Path(sys.argv[1])
    found = sorted(
        f"{listing.stem}: {name}" for listing in folder.glob("*.txt") for name in foreign(listing)
    )
    reasons = {}
    for line in LIST.read_text(encoding="utf-8").splitlines() if LIST.exists() else []:
        if line and not line.startswith("#"):
            name, _, why = line.partition("  # ")
            reasons[name] = why
    faults = [f"{name}: is in the public API, and not in .ci/foreign.txt" for name in found if name not in reasons]
    faults += [f"{name}: is in .ci/foreign.txt, and not in the public API" for name in reasons if name not in found]
    faults += [f"{name}: has no reason in .ci/foreign.txt" for name, why in reasons.items() if not why]
    print("\n".join(faults) or f"{len(found)} times types of other crates in the public API, each with its reason")
    return bool(faults)


sys.exit(main())
