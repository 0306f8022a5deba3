"""Every relative link in the Markdown files of the repository leads to a file, and to a heading."""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\]\(([^()\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def prose(path):
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path):
    """The ids that headings get: lower case, without punctuation, spaces as hyphens."""
    found = set()
    for heading in HEADING.findall(prose(path)):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split("\n")
    broken, count = [], 0
    for name in filter(None, listed):
        page = root / name
        for inline, reference in LINK.findall(prose(page)):
            link = inline or reference
            if re.match(r"[a-z][a-z0-9+.-]*:", link):
                continue
            count += 1
            target, _, anchor = link.partition("#")
            there = (page.parent / target).resolve() if target else page
            if not there.exists():
                broken.append(f"{name}: {link}: no such file")
            elif anchor and there.suffix == ".md" and anchor not in anchors(there):
                broken.append(f"{name}: {link}: no such heading")
    print("\n".join(broken) or f"{count} relative links lead somewhere")
    return bool(broken)


sys.exit(main())
