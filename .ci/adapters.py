"""An adapter is sockets, timers and tasks: those of runtimes with tasks stay small, and what two adapters
would both say stands in the std layer.

usage: adapters.py
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Lines of code, without comments and tests. A mio loop keeps what is its own.
MAX_LINES = {"runtime-tokio": 250, "runtime-async-std": 250, "runtime-mio": None}
# Lines that stand in two adapters in runs of so many, and most of them in all: the list of what is exported,
# and the signatures of a trait.
RUN = 6
MAX_SHARED = 32


def code(path):
    text = re.split(r"\n#\[cfg\(test\)\]\nmod ", path.read_text(encoding="utf-8"))[0]
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("//")]


def runs(lines):
    return ((at, tuple(lines[at : at + RUN])) for at in range(len(lines) - RUN + 1))


files = {
    name: [code(path) for path in sorted((ROOT / name / "src").rglob("*.rs")) if path.name != "tests.rs"]
    for name in MAX_LINES
}
failed = False
for name, most in MAX_LINES.items():
    count = sum(map(len, files[name]))
    print(f"{name}: {count} lines of code" + (f" of {most}" if most else ""))
    failed |= most is not None and count > most
owners = {}
for name, sources in files.items():
    for lines in sources:
        for _, run in runs(lines):
            owners.setdefault(run, set()).add(name)
shared = 0
for sources in files.values():
    for lines in sources:
        found = {at + i for at, run in runs(lines) if len(owners[run]) > 1 for i in range(RUN)}
        shared += len(found)
print(f"{shared} lines of {MAX_SHARED} stand in two adapters")
failed |= shared > MAX_SHARED
sys.exit(failed)
