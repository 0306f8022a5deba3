"""What was measured, as a table, as CSV, as a chart."""

import csv
import dataclasses
import html
import re
import statistics


@dataclasses.dataclass
class Sample:
    """One figure of one round."""

    # Samples of one case are compared with each other.
    case: str
    name: str
    # In the unit of the group.
    value: float
    # Microseconds of processor time an operation.
    cpu: float | None = None
    # Peers are divided by these.
    ours: bool = False
    # Whatever else is worth a column, by its heading.
    more: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Row:
    """All samples of one name in one case."""

    case: str
    name: str
    ours: bool
    samples: list

    @property
    def median(self):
        return statistics.median(sample.value for sample in self.samples)

    @property
    def spread(self):
        """From the least to the most, as a part of the median."""
        values = [sample.value for sample in self.samples]
        return (max(values) - min(values)) / self.median if self.median else 0.0

    @property
    def cpu(self):
        values = [sample.cpu for sample in self.samples if sample.cpu is not None]
        return statistics.median(values) if values else None

    def more(self, heading):
        values = [s.more[heading] for s in self.samples if s.more.get(heading) is not None]
        return statistics.median(values) if values else None


class Results:
    """The rows of a group, in the order in which they were first measured."""

    def __init__(self, title, unit, wide=False):
        self.title, self.unit, self.wide = title, unit, wide
        self._rows = {}

    def add(self, sample):
        key = sample.case, sample.name
        row = self._rows.setdefault(key, Row(sample.case, sample.name, sample.ours, []))
        row.samples.append(sample)

    def cases(self):
        cases = {}
        for row in self._rows.values():
            cases.setdefault(row.case, []).append(row)
        return cases

    def rows(self):
        return [row for rows in self.cases().values() for row in rows]

    def rounds(self):
        return max(len(row.samples) for row in self.rows())

    def headings(self):
        return list(dict.fromkeys(h for row in self.rows() for s in row.samples for h in s.more))

    def markdown(self):
        return "\n".join(self._wide() if self.wide else self._long()).rstrip()

    def _long(self):
        """A line for each row; a column for each of ours, divided by the row."""
        ours = list(dict.fromkeys(row.name for row in self.rows() if row.ours))
        more = self.headings()
        cpu = any(row.cpu is not None for row in self.rows())
        ratios = [f"{name} ÷ it" for name in ours]
        yield line(["", "", self.unit, "spread", *ratios, *(["CPU each"] if cpu else []), *more])
        yield line(["---", "---"] + ["--:"] * (2 + len(ratios) + cpu + len(more)))
        for case, rows in self.cases().items():
            mine = {row.name: row.median for row in rows if row.ours}
            for row in rows:
                cells = [case, f"**{row.name}**" if row.ours else row.name]
                cells += [number(row.median), percent(row.spread)]
                cells += [ratio(mine.get(name), row.median) for name in ours]
                if cpu:
                    cells.append("" if row.cpu is None else f"{number(row.cpu)} µs")
                cells += ["" if row.more(h) is None else number(row.more(h)) for h in more]
                yield line(cells)
                case = ""

    def _wide(self):
        """A line for each case; a column for each name, and behind each peer ours divided by it. Cases that
        begin alike (`parse a reply: …`) make a table."""
        tables = {}
        for case, rows in self.cases().items():
            tables.setdefault(case.rpartition(": ")[0], {})[case.rpartition(": ")[2]] = rows
        for title, cases in tables.items():
            names = list(dict.fromkeys(row.name for rows in cases.values() for row in rows))
            yield line([title, *names])
            yield line(["---"] + ["--:"] * len(names))
            for case, rows in cases.items():
                yield line([case, *self._beside(rows, names)])
            yield ""

    def _beside(self, rows, names):
        mine = next((row.median for row in rows if row.ours), None)
        by_name = {row.name: row for row in rows}
        for row in map(by_name.get, names):
            if row is None:
                yield ""
            else:
                divided = "" if row.ours or mine is None else f" ({ratio(mine, row.median)})"
                yield f"{number(row.median)} ± {percent(row.spread / 2)}{divided}"

    def write_csv(self, path):
        """Every sample of every round."""
        more = self.headings()
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["case", "name", "ours", "round", self.unit, "cpu_us_each", *more])
            for row in self.rows():
                for number_, sample in enumerate(row.samples, 1):
                    cells = [row.case, row.name, int(row.ours), number_, sample.value, sample.cpu]
                    out.writerow([*cells, *(sample.more.get(heading) for heading in more)])

    def write_svg(self, path):
        """A bar for each median, with a line from the least to the most; each case has its own scale."""
        left, width, height = 190, 420, 16
        out, top = [], 30
        for case, rows in self.cases().items():
            out.append(text(8, top + 14, case, "bold"))
            top += height + 4
            most = max(sample.value for row in rows for sample in row.samples) or 1
            for row in rows:
                values = [sample.value for sample in row.samples]
                at = {v: left + width * v / most for v in (min(values), row.median, max(values))}
                colour = "#2a6f97" if row.ours else "#adb5bd"
                middle = top + height / 2
                out.append(text(16, top + 12, row.name))
                out.append(
                    f'<rect x="{left}" y="{top + 2}" width="{at[row.median] - left:.1f}"'
                    f' height="{height - 4}" fill="{colour}"/>'
                )
                out.append(
                    f'<path d="M{at[min(values)]:.1f} {middle}H{at[max(values)]:.1f}" stroke="#212529"/>'
                )
                out.append(text(left + width + 8, top + 12, number(row.median)))
                top += height
            top += 10
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 100}" height="{top}"'
            ' font-family="sans-serif" font-size="12">'
            '<rect width="100%" height="100%" fill="white"/>'
        )
        title = text(8, 18, f"{self.title}: {self.unit}", "bold")
        path.write_text("\n".join([head, title, *out, "</svg>\n"]), encoding="utf-8")


def text(x, y, content, weight="normal"):
    return f'<text x="{x}" y="{y}" font-weight="{weight}">{html.escape(content)}</text>'


def line(cells):
    return "| " + " | ".join(cells) + " |"


def number(value):
    """With three digits that count, or all of a whole number."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def percent(part):
    return f"{part:.0%}".replace("%", " %")


def ratio(ours, peer):
    return "" if ours is None or not peer else f"{ours / peer:.2f}"


def replace(document, group, content):
    """`document` with `content` between the markers of `group`."""
    begin, end = f"<!-- bench/run {group} -->", f"<!-- end of {group} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(document):
        raise ValueError(f"the document has no `{begin}` … `{end}`")
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", document, count=1)
