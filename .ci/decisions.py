"""Every public enum and struct is decided: whether it may grow (`non_exhaustive`), and why. The decisions are the table of
docs/api.md; a type that it does not have, or has otherwise than the code, is an error.

usage: decisions.py [--list]      with --list it prints what the code has, as rows without a reason
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES = ["core", "cache", "client", "runtime", "runtime-tokio", "runtime-async-std", "runtime-mio", "server"]
PAGE = ROOT / "docs/api.md"
# An item at the left margin with what stands above it: `unreachable_pub` says that each is reached from outside.
ITEM = re.compile(r"^((?:#\[[^\n]*\n|#!\[[^\n]*\n|///[^\n]*\n| [^\n]*\n|\)\]\n)*)pub (enum|struct|union) (\w+)(.*)", re.MULTILINE)
ROW = re.compile(r"^\| `([\w:-]+)` \| (enum|struct) \| (grows|closed) \| (.+?) \|$", re.MULTILINE)
# One that macros write out for several types.
MACRO = re.compile(r"^macro_rules! .*?^}\n", re.MULTILINE | re.DOTALL)


def body(text, start):
    """What stands between the first bracket behind `start` and its other half."""
    opening = re.compile(r"[{(;]").search(text, start)
    if opening is None or opening[0] == ";":
        return None
    depth, at = 0, opening.start()
    while at < len(text):
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return text[opening.start() + 1 : at]
        at += 1
    return None


def is_open_struct(inside):
    """Whether others can write it out: no field is private."""
    if inside is None:
        return True
    plain = re.sub(r"//[^\n]*", "", inside)
    plain = re.sub(r"#\[[^\n]*\]", "", plain)
    fields, depth, start = [], 0, 0
    for at, char in enumerate(plain):
        depth += {"<": 1, "(": 1, "[": 1, "{": 1, ">": -1, ")": -1, "]": -1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            fields.append(plain[start:at])
            start = at + 1
    fields.append(plain[start:])
    fields = [field.strip() for field in fields if field.strip()]
    return all(field.startswith("pub ") for field in fields)


def found():
    """Each type with its kind and whether it may grow; structs with a private field are decided by it."""
    for crate in CRATES:
        for path in sorted((ROOT / crate / "src").rglob("*.rs")):
            if "tests" in path.relative_to(ROOT).parts or path.name in ("tests.rs", "main.rs"):
                continue
            text = MACRO.sub("", path.read_text(encoding="utf-8"))
            text = re.split(r"^#\[cfg\(test\)\]\nmod \w+ \{", text, flags=re.MULTILINE)[0]
            module = path.relative_to(ROOT / crate / "src").with_suffix("").parts[0]
            prefix = crate if module == "lib" else f"{crate}::{module}"
            for item in ITEM.finditer(text):
                above, kind, name, _ = item.groups()
                grows = "#[non_exhaustive]" in above
                if kind == "struct" and not grows and not is_open_struct(body(text, item.start(4))):
                    continue
                yield f"{prefix}::{name}", kind, "grows" if grows else "closed"


def main():
    code = {}
    for name, kind, decision in found():
        code.setdefault((name, kind), set()).add(decision)
    if "--list" in sys.argv[1:]:
        for (name, kind), decisions in sorted(code.items()):
            print(f"| `{name}` | {kind} | {'/'.join(sorted(decisions))} | |")
        return 0
    table = {(name, kind): (decision, why) for name, kind, decision, why in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    faults = []
    for (name, kind), decisions in sorted(code.items()):
        decided = table.pop((name, kind), None)
        if decided is None:
            faults.append(f"{kind} {name} is not decided: it {' or '.join(decisions)}")
        elif decisions != {decided[0]}:
            faults.append(f"{kind} {name}: the table says {decided[0]}, the code {' and '.join(decisions)}")
    faults += [f"{kind} {name} is in the table and not in the code" for name, kind in sorted(table)]
    print("\n".join(faults) or f"{len(code)} public enums and open structs, each decided in docs/api.md")
    return bool(faults)


sys.exit(main())
