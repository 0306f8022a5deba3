"""The tracker beside other HTTP servers: wrk posts forms with events in base64. Rows: SERVERS, CASES below."""

import base64
import contextlib
import functools
import http.client
import json
import re
import urllib.parse

from harness import servers
from harness.processes import Failed, load, scratch
from harness.report import Sample

TITLE = "Tracker"
UNIT = "events/s"
ROUNDS, SECONDS = 5, 1.0
CONNECTIONS = 64

EVENT = {
    "event": "Page viewed",
    "properties": {
        "token": "e3bc4100330c35722740fb8c6f5abddc",
        "distinct_id": "13793",
        "time": 1700000000,
        "$browser": "Firefox",
        "$os": "Linux",
        "url": "https://example.org/a/page",
        "seats": 12,
        "trial": False,
        "mp_lib": "web",
    },
}


def ours(runtime, fsync):
    return functools.partial(servers.tracker, runtime=runtime, fsync=fsync)


def peer(kind):
    return functools.partial(servers.peer_tracker, kind=kind)


# Name, how it is started, whether it is ours.
IN_MEMORY = [
    *[(runtime, ours(runtime, "never"), True) for runtime in servers.RUNTIMES],
    ("axum, in memory", peer("axum-memory"), False),
    ("hyper, a constant", peer("hyper"), False),
    ("nginx, a constant", servers.nginx, False),
    ("eventlet, simplejson", servers.eventlet, False),
]
SYNCED = [
    *[(runtime, ours(runtime, "always"), True) for runtime in servers.RUNTIMES],
    ("axum, file and sync", peer("axum-file"), False),
]
# Case, events in each request, whether each request has a connection of its own, who.
CASES = [
    ("one event, keep-alive, no sync", 1, False, IN_MEMORY),
    ("50 events, keep-alive, no sync", 50, False, IN_MEMORY),
    ("one event, a connection each, no sync", 1, True, IN_MEMORY),
    ("one event, keep-alive, synced", 1, False, SYNCED),
    ("50 events, keep-alive, synced", 50, False, SYNCED),
]


def form(batch):
    events = json.dumps(EVENT if batch == 1 else [EVENT] * batch, separators=(",", ":"))
    return urllib.parse.urlencode({"data": base64.b64encode(events.encode())})


def check(server, body):
    """wrk looks at the status alone."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as asked:
        asked.request("POST", "/track", body, {"Content-Type": "application/x-www-form-urlencoded"})
        response = asked.getresponse()
        answer = response.status, response.read()
    if answer != (200, b"1"):
        raise Failed(f"the answer to a good event is {answer}")


def wrk(tools, server, body, seconds, close=False):
    """Requests a second, processor time of server and load a request, in µs."""
    with scratch(tools) as directory:
        (directory / "body").write_text(body, encoding="ascii")
        # It takes whole seconds.
        command = ["wrk", "--threads", "1", "--connections", CONNECTIONS]
        command += ["--duration", f"{max(1, round(seconds))}s"]
        command += ["--script", tools.root / "bench/peers/track.lua"]
        command += [f"http://127.0.0.1:{server.port}/"]
        environment = {"BODY": str(directory / "body"), **({"CLOSE": "1"} if close else {})}
        before = server.process.cpu()
        out, load_cpu = load(command, seconds + 30, environment)
        cpu = server.process.cpu() - before
    if refused := re.search(r"Non-2xx or 3xx responses: (\d+)", out):
        raise Failed(f"refused {refused[1]} requests under load")
    errors = re.search(r"Socket errors: .*", out)
    if errors:
        raise Failed(f"failed under load: {errors[0]}")
    requests = int(re.search(r"(\d+) requests in ", out)[1])
    if not requests:
        raise Failed("answered nothing under load")
    rate = float(re.search(r"Requests/sec: +([\d.]+)", out)[1])
    return rate, cpu * 1e6 / requests, load_cpu * 1e6 / requests * rate / 1e4


def measure(tools, seconds):
    for case, batch, close, who in CASES:
        body = form(batch)
        for name, start, is_ours in who:
            with start(tools) as server:
                check(server, body)
                rate, cpu, busy = wrk(tools, server, body, seconds, close)
            events = rate * batch
            yield Sample(case, name, events, cpu / batch, is_ours, {"load, busy %": busy})
