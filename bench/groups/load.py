"""`windhover load` beside wrk: how hard each drives the same server from one core. Rows: SERVERS below."""

import functools

from groups import tracker
from harness import servers
from harness.loader import crowd
from harness.report import Sample

TITLE = "Load generators"
UNIT = "requests/s"
ROUNDS, SECONDS = 5, 1.0

# Name, how it is started.
SERVERS = [
    *[(runtime, functools.partial(servers.tracker, runtime=runtime, fsync="never")) for runtime in servers.RUNTIMES],
    ("nginx, a constant", servers.nginx),
]


def measure(tools, seconds):
    body = tracker.form(1)
    for name, start in SERVERS:
        case = f"64 keep-alive connections: {name}"
        with start(tools) as server:
            tracker.check(server, body)
            rate, cpu, busy = tracker.wrk(tools, server, body, seconds)
            yield Sample(case, "wrk", rate, cpu, more={"load, busy %": busy})
        with start(tools) as server:
            told = crowd(tools, server, "track", tracker.CONNECTIONS, seconds, settle=0)
            busy = {"load, busy %": told["generator_percent"]}
            yield Sample(case, "windhover load", told["per_second"], told["server_us_each"], True, busy)
