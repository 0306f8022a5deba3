"""Bugs that are planted in a copy of the project, one at a time, to see whether they are found.

A list has a header `== WHERE: NAME` for each bug, lines behind `- ` that stand there once, and behind `+ ` what is to
stand there instead.
"""

import contextlib
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def planned(path):
    """The bugs of a list: `where`, `name`, `from` and `to`."""
    bugs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "==":
            where, _, name = rest.partition(": ")
            bugs.append({"where": where, "name": name, "-": [], "+": []})
        elif mark in ("-", "+"):
            bugs[-1][mark].append(rest)
    for bug in bugs:
        bug["from"], bug["to"] = "\n".join(bug.pop("-")), "\n".join(bug.pop("+"))
    return bugs


def copy(place):
    """What git knows, or could, in that folder anew."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.split("\n")
    shutil.rmtree(place, ignore_errors=True)
    for name in filter(None, listed):
        to = place / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, to)
    return place


@contextlib.contextmanager
def planted(bug, file):
    """The bug is in that file meanwhile."""
    sound = file.read_text(encoding="utf-8")
    if sound.count(bug["from"]) != 1:
        sys.exit(f"{bug['where']}: not there once: {bug['from']}")
    file.write_text(sound.replace(bug["from"], bug["to"]), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(sound, encoding="utf-8")
