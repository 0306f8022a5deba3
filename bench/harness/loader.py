"""`windhover load`, and what it tells, as one flat dictionary."""

import json

from harness.processes import Failed, load

# One that has many asks each of them once before it asks any of them again.
CONNECTIONS_A_SECOND = 10_000
# Bytes of all values of a cache; with large ones there are fewer keys.
BYTES, KEYS = 64 << 20, 1000


def command(program, port, protocol, connections, seconds, process, **options):
    """The command line; `options` are its flags, without a value where it is True."""
    target = f"http://127.0.0.1:{port}" if protocol == "track" else f"127.0.0.1:{port}"
    if protocol == "cache":
        options.setdefault("keys", max(1, min(KEYS, BYTES // int(options.get("size", 100)))))
    if "rate" not in options:
        options["max"] = True
    words = [program, "load", protocol, target, "--json", "--rounds", 1, "--timeout", "30s"]
    words += ["--connections", connections, "--duration", f"{round(seconds * 1000)}ms"]
    words += ["--warmup", f"{round(seconds * 250)}ms", "--process", process]
    for name, value in options.items():
        words += [f"--{name}"] if value is True else [f"--{name}", value]
    return [str(word) for word in words]


def figures(out):
    """What it printed."""
    run = json.loads(out)["runs"][0]
    told = {name: run[name] for name in ("per_second", "generator_percent")}
    told.update({f"{name}_us": run["latency"][name] for name in ("p50", "p99", "p999", "max")})
    server = run["server"]
    told["server_us_each"] = server["cpu_us_each"]
    told["memory_before_kib"] = server["memory_before_kib"]
    # When every connection has had one answer, before the load.
    told["memory_kib"] = server["memory_connected_kib"]
    return told


def crowd(tools, server, protocol, connections, seconds, **options):
    """What is told of `connections` that ask for so many seconds."""
    seconds = max(seconds, connections / CONNECTIONS_A_SECOND)
    process = server.process.popen.pid
    words = command(tools.windhover, server.port, protocol, connections, seconds, process, **options)
    out, _ = load(words, timeout=seconds + 60)
    told = figures(out)
    if not told["per_second"]:
        raise Failed(f"answered nothing to {connections} connections in {seconds} seconds")
    return told
