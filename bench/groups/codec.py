"""Codec and tracking decoder beside other libraries, on slices. Rows: bench/peers/src/codec.rs."""

from harness.processes import load
from harness.report import Sample

TITLE = "Codec"
UNIT = "ns a message"
WIDE = True
ROUNDS, SECONDS = 7, 0.03
NEEDS = ["peers"]


def timed(tools, which, seconds):
    """What the timings in one process say, in turn: (case, name, nanoseconds)."""
    out, _ = load([tools.peer("codec"), which, int(seconds * 1000)], timeout=300)
    for line in out.splitlines():
        case, name, nanoseconds = line.split("\t")
        yield case, name, float(nanoseconds)


def measure(tools, seconds):
    for case, name, nanoseconds in timed(tools, "codec", seconds):
        # One thread that does nothing else: its time is its processor time.
        yield Sample(case, name, nanoseconds, nanoseconds / 1000, name == "windhover")
