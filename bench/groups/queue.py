"""The queue beside Redis and JetStream: 200 bytes an item, on one connection. Rows: QUEUES, POLICIES below."""

import contextlib
import functools
import os
import time

from harness import queues, servers
from harness.processes import LOAD_CORE
from harness.report import Sample

TITLE = "Queue"
UNIT = "items/s"
ROUNDS, SECONDS = 5, 0.4

# Name, how it is started, its client, whether it is ours.
QUEUES = [
    ("tokio", functools.partial(servers.queue, runtime="tokio"), queues.Kestrel, True),
    ("mio", functools.partial(servers.queue, runtime="mio"), queues.Kestrel, True),
    ("Redis list", servers.redis, queues.RedisList, False),
    ("Redis stream", servers.redis, queues.RedisStream, False),
    ("JetStream", servers.jetstream, queues.JetStream, False),
]
# `--fsync` of ours, what the case is called, how many are in flight.
POLICIES = [
    ("never", "no sync", [1, 64, 512]),
    ("interval=1000", "sync each second", [64]),
    ("always", "synced", [1, 64, 512]),
]
# Items that are put without being measured go in together.
FILL = 512


@contextlib.contextmanager
def on_the_loads_core():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Phase:
    """Time and processor time of a server from here on, and how long each turn took: from the write of so many
    operations until the last of them was answered. Where it `writes`, what the disk has written, too."""

    def __init__(self, process, writes=False):
        self._process = process
        self._turns = []
        self._written = process.written() if writes else None
        self._before = self._now()

    def turn(self, call, count):
        begun = time.monotonic()
        call(count)
        self._turns.append(time.monotonic() - begun)

    def put_for(self, client, in_flight, seconds):
        """How many items were put in about so many seconds."""
        end = time.monotonic() + seconds
        before = len(self._turns)
        while time.monotonic() < end:
            self.turn(client.put, in_flight)
        return (len(self._turns) - before) * in_flight

    def each(self, call, count, at_a_time):
        for _ in range(0, count, at_a_time):
            self.turn(call, at_a_time)

    def _now(self):
        return time.monotonic(), self._process.cpu()

    def sample(self, case, name, ours, count):
        took, cpu = (now - then for now, then in zip(self._now(), self._before))
        turns = sorted(self._turns)
        more = {f"p{part}, µs": 1e6 * turns[len(turns) * part // 100] for part in (50, 99)}
        if self._written is not None:
            written = self._process.written() - self._written
            more["written ÷ put"] = written / (count * len(queues.ITEM))
        return Sample(case, name, count / took, cpu * 1e6 / count, ours, more)


def measure_one(name, ours, process, client, in_flight, policy, seconds):
    """Puts for a while, gets all of it; puts as much again, reserves and confirms all of it."""
    case = f"{in_flight} in flight, {policy}"
    Phase(process).put_for(client, in_flight, seconds / 5)
    phase = Phase(process, writes=True)
    count = phase.put_for(client, in_flight, seconds)
    yield phase.sample(f"put, {case}", name, ours, count)
    if client.get:
        phase = Phase(process)
        phase.each(client.get, count, in_flight)
        yield phase.sample(f"get, {case}", name, ours, count)
        Phase(process).each(client.put, count, FILL)
    phase = Phase(process)
    phase.each(client.reserve, count, in_flight)
    client.confirm()
    yield phase.sample(f"reserve and confirm, {case}", name, ours, count)


def measure(tools, seconds):
    for fsync, policy, flights in POLICIES:
        for name, start, kind, ours in QUEUES:
            for in_flight in flights:
                # A server for each: what one left behind is nothing to the next.
                with start(tools, fsync=fsync) as server, queues.connect(kind, server.port) as client:
                    with on_the_loads_core():
                        yield from measure_one(
                            name, ours, server.process, client, in_flight, policy, seconds
                        )
