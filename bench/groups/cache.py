"""`windhover cache` beside memcached, one thread each: nine reads to a write. Rows: CASES and SERVERS below."""

import functools

from harness import servers
from harness.loader import crowd
from harness.report import Sample

TITLE = "Cache"
UNIT = "requests/s"
ROUNDS, SECONDS = 5, 1.0

# Case, connections, requests in one write, bytes of a value.
CASES = [
    ("64 × 1, 100 B", 64, 1, 100),
    ("64 × 16, 100 B", 64, 16, 100),
    ("1 × 64, 100 B", 1, 64, 100),
    ("64 × 1, 16 KiB", 64, 1, 16 * 1024),
    ("64 × 1, 1 MiB", 64, 1, 1024 * 1024),
    ("1,000 × 1, 100 B", 1000, 1, 100),
    ("10,000 × 1, 100 B", 10_000, 1, 100),
]


def all_servers():
    """Name, how it is started, whether it is ours."""
    for runtime in servers.RUNTIMES:
        yield runtime, functools.partial(servers.cache, runtime=runtime), True
    yield servers.memcached_version(), servers.memcached, False


def measure(tools, seconds):
    for case, connections, pipelined, size in CASES:
        for name, start, ours in all_servers():
            with start(tools) as server:
                told = crowd(
                    tools, server, "cache", connections, seconds,
                    settle=0, size=size, pipeline=pipelined,
                )
            busy = {"load, busy %": told["generator_percent"]}
            yield Sample(case, name, told["per_second"], told["server_us_each"], ours, busy)
