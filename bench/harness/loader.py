"""The load generator of bench/src."""

from harness.processes import Failed, load

# One that has many asks each of them once before it asks any of them again.
CONNECTIONS_A_SECOND = 10_000


def crowd(tools, server, protocol, connections, seconds, **options):
    """What it tells of `connections` that ask for so many seconds; `options` are its flags."""
    seconds = max(seconds, connections / CONNECTIONS_A_SECOND)
    command = [tools.loader, f"127.0.0.1:{server.port}", "--protocol", protocol]
    command += ["--connections", connections, "--seconds", seconds, "--warm-up", seconds / 4]
    command += ["--process", server.process.popen.pid]
    for name, value in options.items():
        command += [f"--{name}", value]
    out, _ = load(command, timeout=seconds + 60)
    told = {name: float(value) for name, value in (pair.split("=") for pair in out.split())}
    if not told["per_second"]:
        raise Failed(f"answered nothing to {connections} connections in {seconds} seconds")
    return told
