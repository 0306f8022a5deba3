"""Counts beside those that were committed, and what follows from it.

A count is comparable where it was made with the same compiler, processor, valgrind and C library; with any
other, it is shown and nothing follows.
"""

import dataclasses
import json

# Percent.
TOLERANCE = 3


@dataclasses.dataclass
class Baseline:
    """What was committed: with what it was made, and the count of each case."""

    made_with: dict
    counts: dict

    @classmethod
    def read(cls, path):
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["made_with"], content["counts"])

    def write(self, path):
        content = {"made_with": self.made_with, "counts": self.counts}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@dataclasses.dataclass
class Comparison:
    """The lines to print, whether a case has grown beyond what is tolerated, and whether one shrank."""

    lines: list
    failures: list
    improved: bool


def compare(counts, made_with, baseline):
    """Compares `counts`, made with `made_with`, with `baseline`."""
    differences = [
        f"{what}: {made_with.get(what)} here, {baseline.made_with.get(what)} in the baseline"
        for what in sorted({*made_with, *baseline.made_with})
        if made_with.get(what) != baseline.made_with.get(what)
    ]
    lines, failures, improved = [], [], False
    for case in sorted({*counts, *baseline.counts}):
        count, before = counts.get(case), baseline.counts.get(case)
        if count is None:
            failures.append(f"{case} is in the baseline, and was not counted")
        elif before is None:
            failures.append(f"{case} has no baseline")
            lines.append(f"{case:28} {count:>12,}")
        else:
            change = count / before - 1
            # Whole numbers, so that the edge is where it is said to be.
            grown = (count - before) * 100 > TOLERANCE * before
            shrunk = (before - count) * 100 > TOLERANCE * before
            mark = "  more" if grown else "  less" if shrunk else ""
            lines.append(f"{case:28} {count:>12,} {before:>12,} {change:+8.1%}{mark}")
            improved |= shrunk
            if grown:
                failures.append(
                    f"{case} takes {count:,} instructions, {change:+.1%} over its baseline of {before:,}"
                )
    if differences:
        lines.append("not comparable, so nothing fails: " + "; ".join(differences))
        return Comparison(lines, [], False)
    return Comparison(lines, failures, improved)
