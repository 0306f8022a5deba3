#!/usr/bin/env python3
"""Fails where a bug of fuzz/mutants.txt or conformance/interleavings.txt can no longer be planted: what it takes the
place of stands in its file once. To plant each and look for it takes an hour (CONTRIBUTING.md); this takes none."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fuzz"))

from planted import planned  # noqa: E402


def file_of(where):
    """A path from the root, or from core/src, perhaps with the fuzz target behind it."""
    name = where.split(" ")[0]
    return next((path for path in (ROOT / name, ROOT / "core/src" / name) if path.exists()), None)


def main():
    count, wrong = 0, []
    for bugs in ("fuzz/mutants.txt", "conformance/interleavings.txt"):
        for bug in planned(ROOT / bugs):
            count += 1
            file = file_of(bug["where"])
            stands = file.read_text(encoding="utf-8").count(bug["from"]) if file else 0
            if stands != 1 or bug["from"] == bug["to"]:
                wrong.append(f"{bugs}: {bug['where']}: {bug['name']}: stands there {stands} times, not once")
    print("\n".join(wrong) or f"{count} bugs can be planted")
    sys.exit(bool(wrong))


main()
