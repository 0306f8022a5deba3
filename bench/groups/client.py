"""The client on each runtime beside other clients, on a memcached that is the same for all. Rows: CASES below; who can do
what: bench/peers/src/clients/ and bench/peers/python/client.py."""

import socket

from harness import servers
from harness.processes import Failed, load
from harness.report import Sample

TITLE = "Client"
UNIT = "µs an operation"
ROUNDS, SECONDS = 5, 0.7

PYTHON = ["pymemcache", "pylibmc"]
# Case, its name in the programs, the peers that have a way to do it.
CASES = [
    (
        "get, one after the other",
        "get",
        ["raw", "async-memcached", "memcache", "memcache-async", *PYTHON],
    ),
    ("set, one after the other", "set", ["raw", "async-memcached", "memcache", *PYTHON]),
    ("64 gets pipelined", "gets", ["raw"]),
    ("64 sets pipelined", "sets", ["raw"]),
    ("a call that sets 64 keys, each", "set-many", ["raw", "async-memcached", *PYTHON]),
    ("64 gets in flight", "in-flight", ["async-memcached"]),
    (
        "a get of 100 keys, each",
        "keys",
        ["raw", "async-memcached", "memcache", "memcache-async", *PYTHON],
    ),
    ("64 tasks, one client", "tasks", []),
    ("8 threads, one client", "threads", ["memcache"]),
    (
        "8 threads, a client each",
        "threads-apart",
        ["raw", "async-memcached", "memcache", "memcache-async"],
    ),
]
LABELS = {"raw": "raw socket"}
# 64 connections in place of one.
MORE = {("in-flight", "async-memcached"): "async-memcached, 64 clients"}


def fill(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        for at in range(100):
            stream.sendall(b"set bench:item:%04d 0 0 100\r\n%s\r\n" % (at, b"v" * 100))
            if stream.recv(100) != b"STORED\r\n":
                raise Failed("memcached does not store")


def measure(tools, seconds):
    with servers.memcached(tools) as server:
        fill(server.port)
        for case, work, peers in CASES:
            ours = [name for name in servers.RUNTIMES if (work, name) != ("tasks", "mio")]
            for client in [*ours, *peers]:
                program = [tools.peer("client")]
                if client in PYTHON:
                    program = [tools.python, tools.script("client.py")]
                out, _ = load([*program, client, work, server.port, seconds], timeout=60)
                done, measured, cpu = map(float, out.split())
                if not done:
                    raise Failed(f"{client} did nothing in {seconds} seconds of `{case}`")
                name = MORE.get((work, client), LABELS.get(client, client))
                each = 1e6 / done
                yield Sample(case, name, measured * each, cpu * each, client in ours)
