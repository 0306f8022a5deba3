"""No two public types of one name where a user imports both.

A name may stand for two types where nobody needs both: that is said below, with the reason. What the
workspace itself imports side by side, by another name for one of them, is a homonym all the same.
"""

import collections
import pathlib
import re
import subprocess
import sys

LIBRARIES = ["core", "cache", "client", "runtime", "runtime-tokio", "runtime-async-std", "runtime-mio"]

# An application has one adapter, so what each of them calls by the same name is one name to it.
ADAPTERS = ("runtime-tokio/", "runtime-async-std/", "runtime-mio/")

# Names that two types have, and why nobody is misled.
ALLOWED = {
    "Request": "HTTP's and memcache's: an endpoint speaks one protocol, and says which by its module",
    "Response": "HTTP's and memcache's, as above",
    "ServerConnection": "HTTP's and memcache's, alike on purpose: what drives one drives the other",
    "Output": "what the two of them say, alike on purpose",
    "Item": "a client's answer, and a record of the journal, which applications do not read",
    "Kind": "a reply's frame, and a record of the journal, which applications do not read",
    "Socket": "that of the std layer is what an adapter makes its own of",
}

# `pub`, with nothing behind it: the lint `unreachable_pub` sees to it that it can be reached.
TYPE = re.compile(r"^ *pub (?:struct|enum|trait|type|union) (\w+)", re.MULTILINE)
# `use …::Name as Other`; `as _` brings a trait's methods alone.
RENAMED = re.compile(r"\b(?:use [\w:]*|[{,]\s*[\w:]*?)\b([A-Z]\w+) as ([A-Z]\w+)")


def listed(*globs):
    root = pathlib.Path(__file__).resolve().parent.parent
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *globs],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    return [(name, (root / name).read_text(encoding="utf-8")) for name in names if (root / name).is_file()]


def public_types():
    found = collections.defaultdict(set)
    for name, text in listed(*(f"{library}/src/*.rs" for library in LIBRARIES)):
        text = text.split("#[cfg(test)]\nmod tests")[0]
        where = "an adapter" if name.startswith(ADAPTERS) else name
        for type_name in TYPE.findall(text):
            found[type_name].add(where)
    return found


def main():
    found = public_types()
    wrong = []
    for name, places in sorted(found.items()):
        if len(places) > 1 and name not in ALLOWED:
            wrong.append(f"{name} is public in {', '.join(sorted(places))}: rename one, or say why not")
    for name in sorted(ALLOWED):
        if len(found.get(name, ())) < 2:
            wrong.append(f"{name} is one public type: it needs no reason any more")
    for path, text in listed("*.rs"):
        for name, other in RENAMED.findall(text):
            if len(found.get(name, ())) > 1:
                wrong.append(f"{path}: {name} had to be imported as {other}: rename one of the two")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(found)} public types; {len(ALLOWED)} names for two of them, each with a reason")


if __name__ == "__main__":
    main()
