"""Every public type, trait and function of the library crates has an example that compiles: on it or on one of its
methods; or, by name, in one on what takes it, gives it or holds it, or on the page of its module. What has none is in
ALLOWED, with the reason. Needs a nightly compiler, whose rustdoc tells.

usage: examples.py [CRATE...]      such as core; without one, all of them
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES = ["core", "cache", "client", "runtime", "tokio", "async-std", "mio"]
KINDS = ("struct", "enum", "union", "trait", "function")

# Items that need no example of their own, and why.
ALLOWED = {
    "windhover_core::client::CallId": "opaque: `submit` gives it, `Completed` names it; Cluster's example compares the two",
    "windhover_core::client::ConnectionId": "opaque: `Connect` gives it, and each input is given it, as in Cluster's example",
    "windhover_core::client::ring::Owners": "an iterator that nobody names: Ring's example takes the second owner from it",
    "windhover_core::client::ring::Ranked": "an iterator that nobody names: Rendezvous's example counts it",
    "windhover_core::memcache::Ticket": "opaque: `send` gives it; ClientConnection's example compares it with that of the reply",
    "windhover_core::memcache::meta::Iter": "an iterator that nobody names: MetaFlags's example goes through it",
}

FENCE = re.compile(r"^ *(`{3,}|~{3,})(.*)$")
# Words behind a fence with which the compiler still sees the example.
COMPILED = {"", "rust", "no_run", "should_panic"}
IMPORT = re.compile(r"\buse [^;]*;", re.DOTALL)


def index_of(crate):
    """What rustdoc tells of a crate: its items by id, and the id of its root."""
    command = ["cargo", "+nightly", "rustdoc", "--quiet", "--locked", "-p", f"windhover-{crate}", "--lib", "--all-features"]
    subprocess.run([*command, "--", "-Z", "unstable-options", "--output-format", "json"], cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    told = json.loads((target / f"doc/windhover_{crate.replace('-', '_')}.json").read_text(encoding="utf-8"))
    return told["index"], told["root"]


def examples(item):
    """What a reader sees of the examples in an item's documentation, without imports and hidden lines."""
    found, fence, lines = [], None, []
    for line in (item["docs"] or "").splitlines():
        edge = FENCE.match(line)
        if fence is None and edge:
            fence = edge[1], set(edge[2].replace(",", " ").split()) <= COMPILED
            lines = []
        elif fence is not None and edge and edge[1].startswith(fence[0]) and not edge[2].strip():
            if fence[1]:
                found.append(IMPORT.sub("", "\n".join(lines)))
            fence = None
        elif not re.match(r"\s*#( |$)", line):
            lines.append(line)
    return found


class Crate:
    def __init__(self, name):
        self.name = name
        self.index, root = index_of(name)
        # Each public item by id, with its shortest path and the modules that list it.
        self.paths, self.pages = {}, {}
        self.walk(root, (), None)

    def item(self, id_):
        return self.index.get(str(id_))

    def inner(self, id_):
        return next(iter(self.item(id_)["inner"].items()))

    def walk(self, id_, path, page):
        if self.item(id_) is None:
            return
        kind, inner = self.inner(id_)
        name = self.item(id_)["name"]
        if kind == "module":
            for child in inner["items"]:
                self.walk(child, (*path, name), id_)
        elif kind == "use":
            of_glob = inner["is_glob"] and self.item(inner["id"])
            for child in self.inner(inner["id"])[1]["items"] if of_glob else [inner["id"]]:
                self.walk(child, path, page)
        elif kind in KINDS:
            known = self.paths.setdefault(id_, (*path, name))
            self.paths[id_] = min(known, (*path, name), key=len)
            self.pages.setdefault(id_, set()).add(page)

    def parts(self, id_):
        """Fields, variants and their fields, methods and what traits give."""
        kind, inner = self.inner(id_)
        ids = list(inner.get("items", [])) if kind in ("trait", "impl") else []
        if kind in ("struct", "variant"):
            fields = inner["kind"]
            if isinstance(fields, dict):
                fields = next(iter(fields.values()))
                ids += fields["fields"] if isinstance(fields, dict) else [field for field in fields if field is not None]
        elif kind == "enum":
            ids += inner["variants"]
        if kind in ("struct", "enum", "union"):
            own = [impl for impl in inner["impls"] if self.item(impl) and not self.is_given(impl)]
            ids += own
        return [child for child in ids if self.item(child) is not None]

    def is_given(self, impl):
        inner = self.inner(impl)[1]
        return inner["is_synthetic"] or inner["blanket_impl"] is not None

    def all_parts(self, id_):
        found = [id_]
        for part in self.parts(id_):
            found += self.all_parts(part)
        return found

    def held(self, id_):
        """Items of this crate that a reader gets to from one: named by its signatures and fields, and by theirs."""
        found, todo = set(), [id_]
        whole = True
        while todo:
            at = todo.pop()
            parts = self.all_parts(at) if whole else self.all_fields(at)
            whole = False
            for part in parts:
                named = set(ids_in(self.inner(part)[1])) & self.paths.keys()
                todo += named - found
                found |= named
        return found - {id_}

    def all_fields(self, id_):
        return [part for part in self.all_parts(id_) if self.inner(part)[0] not in ("impl", "function")]

    def shown(self):
        """The items that have an example."""
        shown = set()
        for id_ in self.paths:
            texts = [text for part in self.all_parts(id_) for text in examples(self.item(part))]
            if texts:
                shown.add(id_)
            held = self.held(id_) if texts else ()
            shown |= {other for other in held if self.is_named(other, texts)}
            pages = [text for page in self.pages[id_] for text in examples(self.item(page))]
            if self.is_named(id_, pages):
                shown.add(id_)
        return shown

    def is_named(self, id_, texts):
        return any(re.search(rf"\b{self.item(id_)['name']}\b", text) for text in texts)


def ids_in(tree):
    """The types that a signature, a field or a bound names."""
    if isinstance(tree, dict):
        if "id" in tree and "path" in tree:
            yield tree["id"]
        for key, child in tree.items():
            if key not in ("impls", "variants", "items", "implementations"):
                yield from ids_in(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from ids_in(child)


def main():
    chosen = sys.argv[1:] or CRATES
    faults, count, reasons = [], 0, dict(ALLOWED)
    for name in chosen:
        crate = Crate(name)
        shown = crate.shown()
        count += len(crate.paths)
        for id_, path in sorted(crate.paths.items(), key=lambda it: it[1]):
            path = "::".join(path)
            reason = reasons.pop(path, None)
            if id_ not in shown and reason is None:
                kind = crate.inner(id_)[0]
                span = crate.item(id_)["span"]
                faults.append(f"{path}: no example shows this {kind} ({span['filename']}:{span['begin'][0]})")
            elif id_ in shown and reason is not None:
                faults.append(f"{path}: has an example, and needs no reason any more")
    if chosen == CRATES:
        faults += [f"{path}: has a reason, and is no public item" for path in reasons]
    shown = count - (len(ALLOWED) - len(reasons))
    print("\n".join(faults) or f"{shown} of {count} public items with an example; each of the others has a reason")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
