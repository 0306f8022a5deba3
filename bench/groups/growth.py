"""What an operation costs as connections, keys, servers, queues and the backlog grow. Rows: the tables below."""

import functools
import time

from groups.codec import timed
from groups.queue import on_the_loads_core
from harness import queues, servers
from harness.loader import crowd
from harness.report import Sample

TITLE = "Growth"
# Each table names its own.
UNIT = "figure"
WIDE = True
ROUNDS, SECONDS = 3, 0.5

CONNECTIONS = [64, 1000, 10_000]
KEYS = [1, 10, 100, 1000]
QUEUES = [1, 100, 10_000]
BACKLOGS = [0, 1_000_000, 10_000_000]
IN_FLIGHT, FILL = 64, 2000
# Small, so that ten million of them fit into the memory of most machines.
ITEM = b"0123456789" * 2


def caches():
    for runtime in servers.RUNTIMES:
        yield runtime, functools.partial(servers.cache, runtime=runtime), True
    yield servers.memcached_version(), servers.memcached, False


def trackers():
    for runtime in servers.RUNTIMES:
        yield runtime, functools.partial(servers.tracker, runtime=runtime, fsync="never"), True
    yield "axum, in memory", functools.partial(servers.peer_tracker, kind="axum-memory"), False
    yield "nginx, a constant", servers.nginx, False


def queue_servers():
    yield "windhover", functools.partial(servers.queue, runtime="tokio"), queues.Kestrel, True
    yield "Redis list", servers.redis, queues.RedisList, False


def connections(tools, seconds):
    for protocol, all_servers in [("cache", caches), ("track", trackers)]:
        for count in CONNECTIONS:
            for name, start, ours in all_servers():
                # Only with most of them is memory looked at.
                settle = 0.5 if count == max(CONNECTIONS) else 0
                with start(tools) as server:
                    told = crowd(tools, server, protocol, count, seconds, settle=settle)
                what = {"cache": "cache", "track": "tracker"}[protocol]
                case = f"{what}, µs of CPU a request: {count:,} connections"
                yield Sample(case, name, told["server_us_each"], ours=ours)
                if count == max(CONNECTIONS):
                    each = (told["memory_kib"] - told["memory_before_kib"]) / count
                    case = f"KiB of an idle connection, of {count:,}: {what}"
                    yield Sample(case, name, each, ours=ours)


def keys(tools, seconds):
    for count in KEYS:
        for name, start, ours in caches():
            with start(tools) as server:
                told = crowd(tools, server, "cache", 16, seconds, settle=0, multiget=count)
            # Of ten requests one is a write, which has one key.
            a_request = (9 * count + 1) / 10
            case = f"cache, µs of CPU a key: {count:,} in a get"
            yield Sample(case, name, told["server_us_each"] / a_request, ours=ours)


def many_queues(tools, seconds):
    for count in QUEUES:
        for name, start, kind, ours in queue_servers():
            with start(tools, fsync="never") as server, queues.connect(kind, server.port) as client:
                puts = [client.to(b"q%d" % (at % count)) for at in range(max(count, IN_FLIGHT))]
                batches = [puts[at : at + IN_FLIGHT] for at in range(0, len(puts), IN_FLIGHT)]
                batches = [(b"".join(batch), len(batch)) for batch in batches]
                with on_the_loads_core():
                    # Every queue is made before.
                    for batch in batches:
                        client.send(*batch)
                    before, done, end = server.process.cpu(), 0, time.monotonic() + seconds
                    while time.monotonic() < end:
                        for batch in batches:
                            client.send(*batch)
                            done += batch[1]
                    cpu = server.process.cpu() - before
            yield Sample(f"queue, µs of CPU a put: queues {count:,}", name, cpu * 1e6 / done, ours=ours)


def measure(tools, seconds):
    yield from connections(tools, seconds)
    yield from keys(tools, seconds)
    yield from many_queues(tools, seconds)
    for case, name, nanoseconds in timed(tools, "ring", seconds / 20):
        yield Sample(case, name, nanoseconds, ours=True)


def measure_once(tools, seconds, rounds):
    """To put ten million items in takes longer than everything else: the rounds follow each other at each size."""
    # The server with the memory of ten million items is alone.
    for name, start, kind, ours in queue_servers():
        with start(tools, fsync="never") as server, queues.connect(kind, server.port, ITEM) as client:
            there, empty = 0, server.process.resident()
            for backlog in BACKLOGS:
                with on_the_loads_core():
                    while there < backlog:
                        client.put(FILL)
                        there += FILL
                for _ in range(rounds):
                    cpu = put_and_get(server.process, client, seconds)
                    case = f"queue, µs of CPU to put and get an item: backlog {backlog:,}"
                    yield Sample(case, name, cpu, ours=ours)
            each = (server.process.resident() - empty) / there
            case = f"queue, bytes of memory for an item of {len(ITEM)}: backlog {there:,}"
            yield Sample(case, name, each, ours=ours)


def put_and_get(process, client, seconds):
    before, done, end = process.cpu(), 0, time.monotonic() + seconds
    with on_the_loads_core():
        while time.monotonic() < end:
            client.put(IN_FLIGHT)
            client.get(IN_FLIGHT)
            done += IN_FLIGHT
    return (process.cpu() - before) * 1e6 / done
